package limiter_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/limiter"
)

func casOf(t testing.TB) (subject, *mapCAS) {
	t.Helper()
	clock := newStoreClock()
	cas := newMapCAS(clock.Now)
	return subject{Store: newCAS(t, cas, nil), clock: clock}, cas
}

func TestFromCASOfNothing(t *testing.T) {
	_, err := limiter.FromCAS(nil, limiter.CASConfig{})
	var mistake *keystile.ConfigError
	if !errors.As(err, &mistake) || mistake.Field != "limiter.FromCAS" {
		t.Error(err)
	}
}

func TestADecisionIsOneLoadAndOneSwap(t *testing.T) {
	s, cas := casOf(t)
	limits := []limiter.Limit{limiter.PerHour(2), limiter.PerDay(9), limiter.Concurrent(2)}
	var one, two *limiter.Demand
	for _, tt := range []struct {
		what         string
		do           func()
		loads, swaps int
	}{
		{"the first take", func() { one = s.take(t, demandOf("k", 1, limits...)) }, 1, 1},
		{"another", func() { two = s.take(t, demandOf("k", 1, limits...)) }, 1, 1},
		{"a refusal", func() { s.take(t, demandOf("k", 1, limits...)) }, 1, 0},
		{"what never fits", func() { s.take(t, demandOf("k", 9, limits...)) }, 1, 0},
		{"a look", func() { s.take(t, demandOf("k", 0, limits...)) }, 1, 0},
		{"an inspection", func() { s.inspect(t, "k", limits...) }, 1, 0},
		{"an inspection of nothing", func() { s.inspect(t, "none", limits...) }, 1, 0},
		{"a renewal", func() { s.renew(t, "k", one.Lease, time.Hour) }, 1, 1},
		{"a renewal in vain", func() { s.renew(t, "k", limiter.LeaseID{}, time.Hour) }, 1, 0},
		{"a release", func() { s.release(t, "k", one.Lease) }, 1, 1},
		{"a release in vain", func() { s.release(t, "k", one.Lease) }, 1, 0},
		{"a refund", func() { s.refund(t, two) }, 1, 1},
		{"a refund that is spent", func() { s.refund(t, two) }, 0, 0},
		{"a refusal with a dead lease beside it", func() {
			s.clock.Advance(2 * time.Minute)
			s.take(t, demandOf("k", 2, limits...))
		}, 1, 0},
		{"a reset", func() { _ = s.Reset(context.Background(), []byte("k")) }, 1, 1},
		{"a reset of nothing", func() { _ = s.Reset(context.Background(), []byte("k")) }, 1, 0},
	} {
		loads, swaps := cas.loads, cas.swaps
		tt.do()
		if got := [2]int{cas.loads - loads, cas.swaps - swaps}; got != [2]int{tt.loads, tt.swaps} {
			t.Errorf("%s: %d loads and %d swaps, want %d and %d", tt.what, got[0], got[1], tt.loads, tt.swaps)
		}
	}
}

func TestABlobLivesAsLongAsWhatIsInIt(t *testing.T) {
	for _, tt := range []struct {
		what   string
		limits []limiter.Limit
		ttl    time.Duration // of the lease
		want   time.Duration
	}{
		{"a window", []limiter.Limit{limiter.PerHour(1)}, 0, time.Hour},
		{"the longest window", []limiter.Limit{limiter.PerHour(1), limiter.PerDay(1), limiter.PerMinute(1)}, 0, 24 * time.Hour},
		{"a lease", []limiter.Limit{limiter.Concurrent(1)}, 0, time.Minute},
		{"a lease that outlives a window", []limiter.Limit{limiter.Concurrent(1), limiter.PerSecond(1)}, time.Minute, time.Minute},
		{"less than a millisecond is one", []limiter.Limit{limiter.Per(1, time.Microsecond)}, 0, time.Millisecond},
		{"fractions are rounded up", []limiter.Limit{limiter.Per(1, 1500*time.Microsecond)}, 0, 2 * time.Millisecond},
		{"as long as a Duration can be", []limiter.Limit{limiter.Concurrent(1)}, math.MaxInt64, math.MaxInt64 / time.Millisecond * time.Millisecond},
	} {
		t.Run(tt.what, func(t *testing.T) {
			s, cas := casOf(t)
			d := demandOf("k", 1, tt.limits...)
			d.TTL = tt.ttl
			before := s.clock.us.Load()
			s.take(t, d)
			if got := cas.blobs["k"].expires - before; got != tt.want.Microseconds() {
				t.Errorf("%d µs, want %d", got, tt.want.Microseconds())
			}
		})
	}
	t.Run("longer where the clock stepped back", func(t *testing.T) {
		s, cas := casOf(t)
		s.admits(t, "k", 1, limiter.PerHour(5))
		end := cas.blobs["k"].expires
		s.clock.Advance(-3 * time.Hour)
		s.admits(t, "k", 1, limiter.PerHour(5))
		if got := cas.blobs["k"].expires; got != end {
			t.Errorf("expires at %d, want %d: the window is open until then by the storage's clock", got, end)
		}
	})
	t.Run("not at all when the last lease is released", func(t *testing.T) {
		s, cas := casOf(t)
		d := s.take(t, demandOf("k", 1, limiter.Concurrent(1)))
		s.release(t, "k", d.Lease)
		if _, there := cas.blobs["k"]; there {
			t.Error("a blob with nothing in it is kept")
		}
	})
}

func TestTheStoragesClockComesFirst(t *testing.T) {
	own, storage := newStoreClock(), newStoreClock()
	own.Advance(1000 * time.Hour)
	cas := newMapCAS(storage.Now)
	s := subject{Store: newCAS(t, cas, own.Now), clock: storage}
	if d := s.take(t, demandOf("k", 1, limiter.PerHour(1))); d.At != storage.us.Load() {
		t.Errorf("at %d, want %d", d.At, storage.us.Load())
	}
	cas.now = nil
	if d := s.take(t, demandOf("other", 1, limiter.PerHour(1))); d.At != own.us.Load() {
		t.Errorf("at %d, want %d", d.At, own.us.Load())
	}
	d := demandOf("third", 1, limiter.PerHour(1))
	d.Now = 77
	if s.take(t, d); d.At != 77 {
		t.Errorf("at %d, want 77", d.At)
	}
	if _, err := limiter.FromCAS(cas, limiter.CASConfig{}); err != nil {
		t.Error(err)
	}
}

func TestACorruptBlobIsAnErrorAndNeverAnAbsentOne(t *testing.T) {
	for what, spoil := range map[string]func([]byte) []byte{
		"empty":     func([]byte) []byte { return []byte{} },
		"cut short": func(b []byte) []byte { return b[:len(b)-1] },
		"of a release to come": func(b []byte) []byte {
			return sealed(append([]byte{99}, b[1:len(b)-4]...))
		},
		"somebody else's": func([]byte) []byte { return []byte(`{"count":1}`) },
	} {
		t.Run(what, func(t *testing.T) {
			s, cas := casOf(t)
			d := s.take(t, demandOf("k", 1, limiter.PerHour(5), limiter.Concurrent(1)))
			b := cas.blobs["k"]
			b.bytes = spoil(b.bytes)
			cas.blobs["k"] = b
			ctx := context.Background()
			_, renew := s.Renew(ctx, d.Key, d.Lease, 0)
			other := *d
			for i, err := range []error{s.Take(ctx, d), s.Inspect(ctx, d), s.Release(ctx, d.Key, d.Lease), renew, s.Refund(ctx, &other)} {
				if !errors.Is(err, limiter.ErrCorruptState) {
					t.Errorf("call %d: %v, want ErrCorruptState", i, err)
				}
			}
			if d.Admitted {
				t.Error("admitted")
			}
			if err := s.Reset(ctx, d.Key); err != nil {
				t.Fatalf("Reset: %v", err)
			}
			if !s.admits(t, "k", 1, limiter.PerHour(5)) {
				t.Error("refused after the reset")
			}
		})
	}
}

func TestFailuresOfTheStorageAreErrors(t *testing.T) {
	down := errors.New("connection refused")
	for _, op := range []string{"load", "swap"} {
		s, cas := casOf(t)
		d := s.take(t, demandOf("k", 1, limiter.PerHour(5), limiter.Concurrent(2)))
		before := fmt.Sprint(cas.blobs)
		receipt := *d
		cas.hook = func(o string) error {
			if o == op {
				return down
			}
			return nil
		}
		ctx := context.Background()
		held, renew := s.Renew(ctx, d.Key, d.Lease, 0)
		for i, err := range []error{s.Take(ctx, demandOf("k", 1, limiter.PerHour(5))), s.Release(ctx, d.Key, d.Lease), renew, s.Refund(ctx, &receipt), s.Reset(ctx, d.Key)} {
			if !errors.Is(err, down) {
				t.Errorf("%s, call %d: %v", op, i, err)
			}
		}
		taken := demandOf("k", 1, limiter.PerHour(5))
		if _ = s.Take(ctx, taken); taken.Admitted || held || receipt.Admitted {
			t.Errorf("%s: admitted %v, held %v, the receipt is good %v", op, taken.Admitted, held, receipt.Admitted)
		}
		if after := fmt.Sprint(cas.blobs); after != before {
			t.Errorf("%s: %s became %s", op, before, after)
		}
	}
}

func TestAWriterBetweenIsTriedAgainUntilTheContextEnds(t *testing.T) {
	s, cas := casOf(t)
	lost := 0
	cas.lost = func() bool { lost++; return lost <= 12 }
	if d := s.take(t, demandOf("k", 1, limiter.PerHour(5))); !d.Admitted || d.Asks[0].Used != 1 || cas.swaps != 13 {
		t.Errorf("%+v after %d swaps, want 13", d.Asks, cas.swaps)
	}

	cas.lost = func() bool { return true }
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	swaps := 0
	cas.hook = func(op string) error {
		if op == "swap" {
			if swaps++; swaps == 20 {
				cancel()
			}
		}
		return nil
	}
	d := demandOf("k", 1, limiter.PerHour(5))
	if err := s.Take(ctx, d); !errors.Is(err, context.Canceled) || d.Admitted {
		t.Errorf("%v, admitted %v", err, d.Admitted)
	}
	if swaps != 20 {
		t.Errorf("%d swaps, want none after the 20th, when the context ended", swaps)
	}
	for name, call := range map[string]func(context.Context) error{
		"Reset": func(ctx context.Context) error { return s.Reset(ctx, d.Key) },
		"Refund": func(ctx context.Context) error {
			r := *d
			r.Admitted = true
			r.Asks[0].Start = s.clock.us.Load()
			return s.Refund(ctx, &r)
		},
		"Release": func(ctx context.Context) error { return s.Release(ctx, d.Key, d.Lease) },
	} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		if err := call(ctx); name != "Release" && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

// An entry whose content is the same again (an ABA) is no harm: the state is all
// there is to compare.
func TestTheStoreReadsWhatIsThereAndNotWhatWas(t *testing.T) {
	s, cas := casOf(t)
	s.admits(t, "k", 1, limiter.PerHour(5))
	between := false
	cas.lost = func() bool {
		if between {
			return false
		}
		between = true
		cas.mu.Unlock()
		s.admits(t, "k", 2, limiter.PerHour(5))
		cas.mu.Lock()
		return false // it is the comparison that must fail
	}
	if d := s.take(t, demandOf("k", 1, limiter.PerHour(5))); d.Asks[0].Used != 4 {
		t.Errorf("used %d, want 4", d.Asks[0].Used)
	}
}
