package limiter_test

import (
	"context"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystile/keystile/internal/evidence"
	"github.com/keystile/keystile/limiter"
)

const goroutines = 64

// together runs f in 64 goroutines that start at once.
func together(f func(worker int)) {
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range goroutines {
		done.Go(func() {
			start.Wait()
			f(i)
		})
	}
	start.Done()
	done.Wait()
}

func TestSixtyFourGoroutinesGetExactlyTheLimit(t *testing.T) {
	for _, tt := range []struct {
		what   string
		limits []limiter.Limit
		cost   int64
		want   int64
	}{
		{"a window", []limiter.Limit{limiter.PerHour(100)}, 1, 100},
		{"a window of one", []limiter.Limit{limiter.PerHour(1)}, 1, 1},
		{"a window and a cost that does not measure it", []limiter.Limit{limiter.PerHour(100)}, 3, 33},
		{"leases that nobody releases", []limiter.Limit{limiter.Concurrent(50)}, 1, 50},
		{"three windows and leases", []limiter.Limit{limiter.PerMinute(90), limiter.PerHour(80), limiter.PerDay(math.MaxInt64), limiter.Concurrent(85)}, 1, 80},
		{"leases that are fewer than units", []limiter.Limit{limiter.PerMinute(90), limiter.Concurrent(40)}, 1, 40},
	} {
		t.Run(tt.what, func(t *testing.T) {
			eachStore(t, func(t *testing.T, s subject) {
				var admitted atomic.Int64
				together(func(int) {
					for range 4 {
						d := demandOf("k", tt.cost, tt.limits...)
						if err := s.Take(context.Background(), d); err != nil {
							t.Error(err)
						}
						if d.Admitted {
							admitted.Add(1)
						}
					}
				})
				if n := admitted.Load(); n != tt.want {
					t.Errorf("%d admitted, want %d", n, tt.want)
				}
				for i, ask := range s.inspect(t, "k", tt.limits...).Asks {
					if got := max(ask.Used/tt.cost, ask.Live); got != tt.want {
						t.Errorf("limit %d: %+v, want %d", i, ask, tt.want)
					}
				}
			})
		})
	}
}

func TestNeverMoreAtOnceThanAllowed(t *testing.T) {
	const most = 7
	rounds := evidence.Count(50, 1000)
	eachStore(t, func(t *testing.T, s subject) {
		var running, peak, admitted atomic.Int64
		limits := []limiter.Limit{limiter.PerHour(math.MaxInt64), limiter.Concurrent(most)}
		together(func(worker int) {
			d := demandOf("k", 1, limits...)
			for i := range rounds {
				d.Lease = nextLease()
				if err := s.Take(context.Background(), d); err != nil {
					t.Error(err)
				}
				if d.Asks[1].Live > most {
					t.Errorf("%d live", d.Asks[1].Live)
				}
				if !d.Admitted {
					runtime.Gosched()
					continue
				}
				admitted.Add(1)
				now := running.Add(1)
				for p := peak.Load(); now > p && !peak.CompareAndSwap(p, now); p = peak.Load() {
				}
				runtime.Gosched()
				if held, err := s.Renew(context.Background(), d.Key, d.Lease, time.Hour); err != nil || !held {
					t.Errorf("held %v, %v", held, err)
				}
				running.Add(-1)
				for range 1 + (i+worker)%2 { // some release twice
					if err := s.Release(context.Background(), d.Key, d.Lease); err != nil {
						t.Error(err)
					}
				}
			}
		})
		if p := peak.Load(); p > most || admitted.Load() == 0 {
			t.Errorf("%d at once, want at most %d; %d admitted", p, most, admitted.Load())
		}
		if d := s.inspect(t, "k", limits...); d.Asks[1].Live != 0 || d.Asks[0].Used != admitted.Load() {
			t.Errorf("left %+v, want %d used", d.Asks, admitted.Load())
		}
	})
}

// Everything at once on a few keys of a small store, for the race detector and
// for the books of a store that displaces keys.
func TestEverythingAtOnce(t *testing.T) {
	clock := newStoreClock()
	m, err := limiter.NewMemoryStore(limiter.MemoryConfig{MaxKeys: 4096, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	if m.Shards() < 2 {
		t.Fatalf("%d shards: this test wants some", m.Shards())
	}
	s := subject{Store: m, clock: clock}
	rounds := evidence.Count(300, 10_000)
	together(func(worker int) {
		d := demandOf("", 1, limiter.PerSecond(3), limiter.PerDay(1000), limiter.Concurrent(2))
		ctx := context.Background()
		for i := range rounds {
			d.Key = append(d.Key[:0], byte(i), byte(worker/8), byte(i*worker>>3))
			d.Lease = nextLease()
			errs := []error{s.Take(ctx, d), s.Inspect(ctx, demandOf(string(d.Key), 1, limiter.PerDay(1000)))}
			if i%3 == 0 {
				_, err := s.Renew(ctx, d.Key, d.Lease, time.Second)
				errs = append(errs, err)
			}
			if i%4 != 0 {
				errs = append(errs, s.Release(ctx, d.Key, d.Lease))
			}
			if i%5 == 0 {
				errs = append(errs, s.Refund(ctx, d))
			}
			if i%64 == 0 {
				errs = append(errs, s.Reset(ctx, d.Key))
			}
			for _, err := range errs {
				if err != nil {
					t.Error(err)
				}
			}
			if i%16 == 0 {
				clock.Advance(37 * time.Millisecond)
			}
		}
	})
	if n := m.Len(); n < 1 || n > 4096 {
		t.Errorf("%d keys, want at most 4096", n)
	}
	if err := m.CheckBooks(); err != nil {
		t.Error(err)
	}
	clock.Advance(1000 * 24 * time.Hour)
	m.Forget(clock.Now())
	if err := m.CheckBooks(); err != nil || m.Len() != 0 {
		t.Errorf("%d keys are left when all are dead: %v", m.Len(), err)
	}
}
