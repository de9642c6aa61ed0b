package limiter_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/keystile/keystile/limiter"
)

// The floor is what many would write today: golang.org/x/time/rate's token bucket
// for each key of a sync.Map. It is written out here, as that package does it,
// because importing it would put it into go.mod for a benchmark. It decides one
// limit, knows no windows and forgets no key.
type floor struct{ buckets sync.Map }

type bucket struct {
	mu     sync.Mutex
	rate   float64
	burst  int
	tokens float64
	last   time.Time
}

func (f *floor) allow(key string) bool {
	v, ok := f.buckets.Load(key)
	if !ok {
		v, _ = f.buckets.LoadOrStore(key, &bucket{rate: 1e12, burst: 1e9, tokens: 1e9})
	}
	return v.(*bucket).allow(time.Now(), 1)
}

func (b *bucket) allow(now time.Time, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := b.last
	if now.Before(last) {
		last = now
	}
	tokens := b.tokens + now.Sub(last).Seconds()*b.rate
	if burst := float64(b.burst); tokens > burst {
		tokens = burst
	}
	tokens -= float64(n)
	var wait time.Duration
	if tokens < 0 {
		wait = time.Duration(float64(time.Second) * (-tokens / b.rate))
	}
	ok := n <= b.burst && wait <= 0
	if ok {
		b.last, b.tokens = now, tokens
	}
	return ok
}

// contender decides on one request of the account with the number i. Undo, where
// there is one, makes up for it outside of what is measured.
type contender struct {
	name string
	do   func() (decide, undo func(i int)) // for each goroutine, with a demand of its own
}

func contenders(tb testing.TB, accounts int) (all []contender) {
	keys := make([]string, accounts)
	for i := range keys {
		keys[i] = fmt.Sprintf("account-%012d", i)
	}
	rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	framed := make([][]byte, accounts) // as a Demand takes them
	for i, key := range keys {
		framed[i] = []byte(key)
	}
	f := new(floor)
	all = append(all, contender{"floor: a token bucket in a sync.Map, one limit", func() (_, _ func(int)) {
		return func(i int) {
			if !f.allow(keys[i%accounts]) {
				tb.Error("refused")
			}
		}, nil
	}})
	many := int64(math.MaxInt64)
	windows := []limiter.Limit{limiter.PerMinute(many), limiter.PerHour(many), limiter.PerDay(many)}
	for _, c := range []struct {
		name    string
		limits  []limiter.Limit
		release int
	}{
		{"MemoryStore: one window", windows[:1], never},
		{"MemoryStore: three windows", windows, never},
		{"MemoryStore: three windows and a new lease", append(slices.Clone(windows), limiter.Concurrent(many)), after},
		{"MemoryStore: three windows and a new lease, and its release", append(slices.Clone(windows), limiter.Concurrent(many)), within},
	} {
		m, err := limiter.NewMemoryStore(limiter.MemoryConfig{})
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, contender{c.name, func() (decide, undo func(int)) {
			d := demandOf("", 1, c.limits...)
			ctx := context.Background()
			release := func(i int) {
				if err := m.Release(ctx, framed[i%accounts], d.Lease); err != nil {
					tb.Error(err)
				}
			}
			decide = func(i int) {
				d.Key = framed[i%accounts]
				if err := m.Take(ctx, d); err != nil || !d.Admitted {
					tb.Error("refused", err)
				}
				if c.release == within {
					release(i)
				}
			}
			if c.release == after {
				undo = release
			}
			return decide, undo
		}})
	}
	return all
}

// When a lease is released: within what is measured, or after it.
const (
	never = iota
	after
	within
)

// BenchmarkDecision is for profiles and allocations.
func BenchmarkDecision(b *testing.B) {
	for _, c := range contenders(b, 10_000) {
		if _, undo := c.do(); undo != nil {
			continue
		}
		b.Run(c.name, func(b *testing.B) {
			decide, _ := c.do()
			for i := range 10_000 {
				decide(i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				decide(i)
			}
		})
		b.Run(c.name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				decide, _ := c.do()
				for i := rand.IntN(10_000); pb.Next(); i++ {
					decide(i)
				}
			})
		})
	}
}

// BenchmarkDecisionBesideTheFloor measures all of them in turns, in an order that
// is shuffled each time, so that a noisy neighbour hits them alike. It reports the
// medians as multiples of the floor; run it with -benchtime=1x.
func BenchmarkDecisionBesideTheFloor(b *testing.B) {
	for _, accounts := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(accounts, " accounts"), func(b *testing.B) {
			const passes, decisions = 21, 100_000
			all := contenders(b, accounts)
			decide, undo := make([]func(int), len(all)), make([]func(int), len(all))
			for n := range all {
				decide[n], undo[n] = all[n].do()
				for i := range accounts {
					decide[n](i)
					if undo[n] != nil {
						undo[n](i)
					}
				}
			}
			took := make([][]float64, len(all))
			at := 0
			for range passes * b.N {
				for _, n := range rand.Perm(len(all)) {
					var total time.Duration
					for done := 0; done < decisions; {
						round := min(accounts, 1000) // so that an account has one lease at a time
						start := time.Now()
						for i := range round {
							decide[n](at + i)
						}
						total += time.Since(start)
						for i := range round {
							if undo[n] != nil {
								undo[n](at + i)
							}
						}
						at, done = at+round, done+round
					}
					took[n] = append(took[n], float64(total.Nanoseconds())/decisions)
				}
			}
			median := func(n int) float64 {
				slices.Sort(took[n])
				return took[n][len(took[n])/2]
			}
			for n, c := range all {
				b.Logf("%7.1f ns  %.2f x the floor  %s", median(n), median(n)/median(0), c.name)
			}
			b.ReportMetric(median(2)/median(0), "windows/floor")
			b.ReportMetric(median(3)/median(0), "windows+lease/floor")
		})
	}
}
