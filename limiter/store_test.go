package limiter_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile/limiter"
)

// subject is a store under test, and what the test moves and sees of it.
type subject struct {
	limiter.Store
	clock  *storeClock
	raw    func(key string) limiter.RawState
	forget func() // drops what is dead
}

// eachStore runs a test on every store there is.
func eachStore(t *testing.T, test func(t *testing.T, s subject)) {
	t.Helper()
	t.Run("MemoryStore", func(t *testing.T) {
		clock := newStoreClock()
		m, err := limiter.NewMemoryStore(limiter.MemoryConfig{Now: clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		test(t, subject{m, clock, func(key string) limiter.RawState { return m.Raw([]byte(key), clock.Now()) }, func() { m.Forget(clock.Now()) }})
	})
	for _, tt := range []struct {
		name string
		own  bool
	}{{"FromCAS and the storage's clock", false}, {"FromCAS and its own clock", true}} {
		t.Run(tt.name, func(t *testing.T) {
			clock := newStoreClock()
			cas := newMapCAS(clock.Now)
			var own func() time.Time
			if tt.own {
				cas.now, own = nil, clock.Now
			}
			raw := func(key string) limiter.RawState {
				r, err := limiter.RawBlob(cas.blob(key), clock.Now())
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			forget := func() {
				if !tt.own {
					cas.expire(func() bool { return true })
				}
			}
			test(t, subject{newCAS(t, cas, own), clock, raw, forget})
			for _, c := range cas.complaints {
				t.Error(c)
			}
		})
	}
}

// demandOf returns a demand of what limits ask, with a lease of its own.
func demandOf(key string, cost int64, limits ...limiter.Limit) *limiter.Demand {
	d := &limiter.Demand{Key: []byte(key), Cost: cost, Lease: nextLease()}
	for _, l := range limits {
		d.Asks = append(d.Asks, l.Ask())
	}
	return d
}

func (s subject) take(t *testing.T, d *limiter.Demand) *limiter.Demand {
	t.Helper()
	if err := s.Take(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	return d
}

// admits takes one unit and reports whether it could.
func (s subject) admits(t *testing.T, key string, cost int64, limits ...limiter.Limit) bool {
	t.Helper()
	return s.take(t, demandOf(key, cost, limits...)).Admitted
}

// count takes units of 1 until one is refused.
func (s subject) count(t *testing.T, key string, limits ...limiter.Limit) (n int) {
	t.Helper()
	for s.admits(t, key, 1, limits...) {
		if n++; n > 10_000 {
			t.Fatal("it goes on for ever")
		}
	}
	return n
}

func (s subject) inspect(t *testing.T, key string, limits ...limiter.Limit) *limiter.Demand {
	t.Helper()
	d := demandOf(key, 0, limits...)
	if err := s.Inspect(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	return d
}

func (s subject) release(t *testing.T, key string, id limiter.LeaseID) {
	t.Helper()
	if err := s.Release(context.Background(), []byte(key), id); err != nil {
		t.Fatal(err)
	}
}

func (s subject) renew(t *testing.T, key string, id limiter.LeaseID, ttl time.Duration) bool {
	t.Helper()
	held, err := s.Renew(context.Background(), []byte(key), id, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return held
}

func (s subject) refund(t *testing.T, d *limiter.Demand) {
	t.Helper()
	if err := s.Refund(context.Background(), d); err != nil {
		t.Fatal(err)
	}
}

func TestExactlyNAreAdmittedAndTheRestIsCountedDown(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		for want := int64(4); want >= 0; want-- {
			d := s.take(t, demandOf("k", 1, limiter.PerHour(5)))
			if o := d.Outlook(0); !d.Admitted || o.Remaining != want || o.Wait != 0 {
				t.Fatalf("admitted %v, %+v; want %d left", d.Admitted, o, want)
			}
			s.clock.Advance(time.Minute)
		}
		for range 3 {
			d := s.take(t, demandOf("k", 1, limiter.PerHour(5)))
			if o := d.Outlook(0); d.Admitted || d.Asks[0].Verdict != limiter.Full || o.Remaining != 0 || d.Wait() != o.Wait {
				t.Fatalf("admitted %v, %+v", d.Admitted, o)
			}
		}
	})
}

func TestAWaitIsEnoughAndNotTooLong(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		for _, back := range []time.Duration{0, time.Hour} { // the clock may have stepped back before the refusal
			key := back.String()
			limits := []limiter.Limit{limiter.PerMinute(2), limiter.PerHour(3)}
			for s.admits(t, key, 1, limits...) {
				s.clock.Advance(7 * time.Second)
			}
			s.clock.Advance(-back)
			for range 2 { // the minute, then the hour
				d := s.take(t, demandOf(key, 1, limits...))
				if d.Admitted || d.Wait() < 1 {
					t.Fatalf("admitted %v, wait %d", d.Admitted, d.Wait())
				}
				s.clock.us.Add(d.Wait() - 1)
				if s.admits(t, key, 1, limits...) {
					t.Error("admitted a microsecond before the wait was over")
				}
				s.clock.us.Add(1)
				if !s.admits(t, key, 1, limits...) {
					t.Fatal("refused when the wait was over")
				}
				for s.admits(t, key, 1, limits...) {
				}
			}
		}
	})
}

func TestAllLimitsOrNone(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		tight, wide := limiter.PerMinute(1), limiter.PerDay(10)
		one := demandOf("k", 1, wide, tight, limiter.Concurrent(1))
		if !s.take(t, one).Admitted {
			t.Fatal("refused at first")
		}
		before := s.raw("k")
		for range 5 {
			d := s.take(t, demandOf("k", 1, wide, tight))
			if d.Admitted || d.Asks[0].Verdict != limiter.Fits || d.Asks[0].Used != 1 {
				t.Errorf("%+v", d.Asks)
			}
			if s.admits(t, "k", 1, wide, limiter.Concurrent(1)) {
				t.Error("two at once")
			}
		}
		if after := s.raw("k"); !reflect.DeepEqual(after, before) {
			t.Errorf("refusals made %+v of %+v", after, before)
		}
	})
}

func TestTheOrderOfLimitsChangesNothing(t *testing.T) {
	limits := []limiter.Limit{limiter.PerMinute(2), limiter.PerHour(3), limiter.PerDay(4), limiter.Concurrent(3)}
	history := func(t *testing.T, s subject, order []int) (all []string) {
		for i := range 8 {
			d := demandOf("k", 1)
			d.Lease = limiter.LeaseID{byte(i + 1)}
			for _, n := range order {
				d.Asks = append(d.Asks, limits[n].Ask())
			}
			s.take(t, d)
			line := fmt.Sprint(d.Admitted, d.Wait())
			for n := range limits {
				at := slices.Index(order, n)
				line += fmt.Sprintf(" %+v", d.Asks[at])
			}
			all = append(all, line)
			s.clock.Advance(25 * time.Second)
		}
		return append(all, fmt.Sprintf("%+v", s.raw("k")))
	}
	eachStore(t, func(t *testing.T, s subject) {
		start := s.clock.us.Load()
		var want []string
		permute([]int{0, 1, 2, 3}, func(order []int) {
			s.clock.us.Store(start)
			if err := s.Reset(context.Background(), []byte("k")); err != nil {
				t.Fatal(err)
			}
			got := history(t, s, order)
			if want == nil {
				want = got
			}
			if !slices.Equal(got, want) {
				t.Fatalf("in the order %v:\n%s\nwant\n%s", order, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	})
}

func permute(a []int, visit func([]int)) {
	var rec func(int)
	rec = func(k int) {
		if k == len(a) {
			visit(slices.Clone(a))
		}
		for i := k; i < len(a); i++ {
			a[k], a[i] = a[i], a[k]
			rec(k + 1)
			a[k], a[i] = a[i], a[k]
		}
	}
	rec(0)
}

func TestACostOfZeroOnlyLooks(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		for _, used := range []int64{0, 3} {
			if used > 0 && !s.admits(t, "k", used, limiter.PerHour(3)) {
				t.Fatal("refused at first")
			}
			before := s.raw("k")
			d := s.take(t, demandOf("k", 0, limiter.PerHour(3), limiter.Concurrent(1)))
			if !d.Admitted || d.Asks[0].Used != used || d.Asks[1].Live != 0 || d.Outlook(0).Remaining != 3-used {
				t.Errorf("admitted %v, %+v", d.Admitted, d.Asks)
			}
			if after := s.raw("k"); !reflect.DeepEqual(after, before) {
				t.Errorf("looking made %+v of %+v", after, before)
			}
		}
		if d := s.take(t, demandOf("k", 0, limiter.PerHour(2))); d.Admitted || d.Asks[0].Verdict != limiter.Full {
			t.Errorf("a limit that is overdrawn since it was lowered: %+v", d.Asks)
		}
	})
}

func TestACostAboveTheLimitNeverFits(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		for _, n := range []int64{0, 1, 10, 1<<52 - 1, math.MaxInt64 - 1} {
			d := s.take(t, demandOf("k", n+1, limiter.PerHour(n), limiter.PerDay(math.MaxInt64)))
			if d.Admitted || d.Asks[0].Verdict != limiter.NeverFits || d.Asks[1].Verdict != limiter.Fits || d.Wait() != 0 {
				t.Errorf("%d of %d: admitted %v, wait %d, %+v", n+1, n, d.Admitted, d.Wait(), d.Asks)
			}
		}
		if d := s.take(t, demandOf("k", 1, limiter.Concurrent(0))); d.Admitted || d.Asks[0].Verdict != limiter.NeverFits {
			t.Errorf("at most 0 at once: %+v", d.Asks)
		}
		if state := s.raw("k"); !reflect.DeepEqual(state, limiter.RawState{}) {
			t.Errorf("they left %+v", state)
		}
	})
}

func TestNumbersAsLargeAsTheyGet(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		const most = math.MaxInt64
		limit := limiter.PerHour(most)
		for _, step := range []struct {
			cost     int64
			admitted bool
			used     int64
		}{
			{most - 1, true, most - 1}, {2, false, most - 1}, {most, false, most - 1}, {1, true, most}, {1, false, most}, {most, false, most}, {0, true, most},
		} {
			d := s.take(t, demandOf("k", step.cost, limit))
			if d.Admitted != step.admitted || d.Asks[0].Used != step.used || d.Outlook(0).Remaining != most-step.used {
				t.Fatalf("cost %d: admitted %v, %+v", step.cost, d.Admitted, d.Asks[0])
			}
		}
		// LIMITS rule 5's trap, at 2^53, where floats stop counting.
		const big = 1 << 53
		for _, step := range []struct {
			cost     int64
			admitted bool
		}{{big - 1, true}, {2, false}, {1, true}, {1, false}} {
			if got := s.admits(t, "float", step.cost, limiter.PerHour(big)); got != step.admitted {
				t.Fatalf("cost %d: admitted %v", step.cost, got)
			}
		}
	})
}

func TestTimesAsFarAsTheyGet(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		for _, now := range []int64{math.MinInt64, -1, 0, 1, math.MaxInt64 - 1, math.MaxInt64} {
			s.clock.us.Store(now)
			key := fmt.Sprint(now)
			limits := []limiter.Limit{limiter.PerDay(2), limiter.Concurrent(2)}
			if n := s.count(t, key, limits...); n != 2 {
				t.Errorf("at %d: %d admitted, want 2", now, n)
			}
			d := s.inspect(t, key, limits...)
			end := min(max(now, 1), math.MaxInt64-86_400_000_000) + 86_400_000_000
			if d.Asks[0].Start < 1 || d.Outlook(0).Reset != end {
				t.Errorf("at %d: %+v, %+v; want the reset at %d", now, d.Asks[0], d.Outlook(0), end)
			}
		}
	})
}

func TestAWindowIsHalfOpen(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		limit := limiter.Per(2, 1500*time.Millisecond)
		if n := s.count(t, "k", limit); n != 2 {
			t.Fatal(n)
		}
		s.clock.us.Add(1_499_999)
		if s.admits(t, "k", 1, limit) {
			t.Error("admitted in the last microsecond")
		}
		s.clock.us.Add(1)
		if n := s.count(t, "k", limit); n != 2 {
			t.Errorf("%d admitted in the next window, want 2", n)
		}
	})
}

func TestAWindowOpensWithTheFirstCharge(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		limit := limiter.PerHour(3)
		s.take(t, demandOf("k", 0, limit)) // looking opens none
		s.take(t, demandOf("k", 4, limit)) // nor does what never fits
		s.clock.Advance(50 * time.Minute)
		d := s.take(t, demandOf("k", 1, limit))
		if want := s.clock.us.Load() + 3_600_000_000; d.Outlook(0).Reset != want {
			t.Errorf("reset at %d, want %d", d.Outlook(0).Reset, want)
		}
		if o := s.inspect(t, "other", limit).Outlook(0); o != (limiter.Outlook{Remaining: 3}) {
			t.Errorf("where nothing was charged: %+v", o)
		}
	})
}

// The documentation says that 2n-1 can pass in an interval of the length of the
// period, and no more.
func TestTheStraddleIsAsLargeAsItIsSaidToBe(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		limit := limiter.PerHour(10)
		if !s.admits(t, "k", 1, limit) {
			t.Fatal("refused at first")
		}
		s.clock.us.Add(3_600_000_000 - 1)
		if n := s.count(t, "k", limit); n != 9 {
			t.Errorf("%d at the end of the window, want 9", n)
		}
		s.clock.us.Add(1)
		if n := s.count(t, "k", limit); n != 10 {
			t.Errorf("%d right after it, want 10", n)
		}
	})
}

func TestChangedPlansTakeEffectAtOnce(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		if n := s.count(t, "k", limiter.PerHour(10)); n != 10 {
			t.Fatal(n)
		}
		if n := s.count(t, "k", limiter.PerHour(15)); n != 5 {
			t.Errorf("%d more after the raise, want 5", n)
		}
		if d := s.inspect(t, "k", limiter.PerHour(3)); d.Asks[0].Used != 15 || d.Outlook(0).Remaining != 0 {
			t.Errorf("lowered: %+v, %+v", d.Asks[0], d.Outlook(0))
		}
		if n := s.count(t, "k", limiter.PerHour(16)); n != 1 {
			t.Errorf("%d more after the next raise, want 1", n)
		}
	})
}

func TestKeysAreIsolated(t *testing.T) {
	keys := []string{
		"a", "A", "aa", "a ", " a", "", "\x00", "a\x00", "a:b", "a|b", "a*", "a?", "[a]", "{a}", "{a}b", "a{b}", "ä", "a\u0308", "a\xff", "a\n",
		strings.Repeat("k", 10<<10), strings.Repeat("k", 10<<10) + "x",
	}
	eachStore(t, func(t *testing.T, s subject) {
		for i, key := range keys {
			if n := s.count(t, key, limiter.PerHour(int64(i+1))); n != i+1 {
				t.Errorf("%.20q: %d admitted, want %d", key, n, i+1)
			}
		}
	})
}

func TestCellsOfAKeyAreIsolated(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		for i, limit := range []limiter.Limit{limiter.PerHour(1), limiter.PerHour(1).Named("a"), limiter.PerHour(1).Named("b"), limiter.PerDay(1), limiter.PerDay(1).Named("a")} {
			if n := s.count(t, "k", limit); n != 1 {
				t.Errorf("limit %d: %d admitted, want 1", i, n)
			}
		}
		for _, sub := range []string{"", "x", "xx", "y", strings.Repeat("r", 1000)} {
			for _, want := range []bool{true, false} {
				d := &limiter.Demand{Key: []byte("k"), Cost: 1, Asks: []limiter.Ask{limiter.PerHour(1).AskWithin([]byte(sub))}}
				if s.take(t, d).Admitted != want {
					t.Errorf("sub-key %.5q: admitted %v", sub, d.Admitted)
				}
			}
		}
	})
}

func TestAStoreKeepsNoPartOfADemand(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		d := demandOf("key", 1, limiter.PerHour(5), limiter.Concurrent(5))
		s.take(t, d)
		before, lease := s.raw("key"), d.Lease
		clear(d.Key)
		clear(d.Asks)
		d.Lease = limiter.LeaseID{}
		s.admits(t, "other", 1, limiter.PerHour(5))
		if after := s.raw("key"); !reflect.DeepEqual(after, before) || !s.renew(t, "key", lease, 0) {
			t.Errorf("%+v became %+v", before, after)
		}
	})
}

func TestInvalidDemandsAreErrors(t *testing.T) {
	hour, slots := limiter.PerHour(1).Ask(), limiter.Concurrent(1).Ask()
	negative := hour
	negative.N = -1
	for _, tt := range []struct {
		what   string
		demand limiter.Demand
		says   string
	}{
		{"a negative cost", limiter.Demand{Cost: -1, Asks: []limiter.Ask{hour}}, "cost -1"},
		{"the lowest cost", limiter.Demand{Cost: math.MinInt64, Asks: []limiter.Ask{hour}}, "negative"},
		{"a negative TTL", limiter.Demand{Cost: 1, TTL: -1, Asks: []limiter.Ask{hour}}, "TTL"},
		{"an ask without a cell", limiter.Demand{Cost: 1, Asks: []limiter.Ask{hour, {N: 1}}}, "ask 1 has no cell"},
		{"a negative limit", limiter.Demand{Cost: 1, Asks: []limiter.Ask{negative}}, "allows -1"},
		{"no lease for a Concurrent", limiter.Demand{Cost: 1, Asks: []limiter.Ask{hour, slots}}, "no lease"},
		{"a cell twice", limiter.Demand{Cost: 1, Asks: []limiter.Ask{hour, slots, hour}, Lease: limiter.LeaseID{1}}, "asks 0 and 2"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			eachStore(t, func(t *testing.T, s subject) {
				for name, call := range map[string]func(context.Context, *limiter.Demand) error{"Take": s.Take, "Inspect": s.Inspect, "Refund": s.Refund} {
					d := tt.demand
					d.Admitted = name != "Refund" // left from before
					err := call(context.Background(), &d)
					if !errors.Is(err, limiter.ErrInvalidDemand) || !strings.Contains(err.Error(), tt.says) {
						t.Errorf("%s: %v, want ErrInvalidDemand that says %q", name, err, tt.says)
					}
					if d.Admitted {
						t.Errorf("%s: admitted", name)
					}
				}
			})
		})
	}
	t.Run("a negative TTL of Renew", func(t *testing.T) {
		eachStore(t, func(t *testing.T, s subject) {
			if _, err := s.Renew(context.Background(), nil, limiter.LeaseID{1}, -1); !errors.Is(err, limiter.ErrInvalidDemand) {
				t.Error(err)
			}
		})
	})
	t.Run("asking nothing is fine", func(t *testing.T) {
		eachStore(t, func(t *testing.T, s subject) {
			if !s.admits(t, "k", 1) || !reflect.DeepEqual(s.raw("k"), limiter.RawState{}) {
				t.Errorf("refused, or left %+v", s.raw("k"))
			}
		})
	})
}

func TestACallAfterTheEndOfItsContextWritesNothing(t *testing.T) {
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	expired, cancel2 := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel2()
	eachStore(t, func(t *testing.T, s subject) {
		receipt := s.take(t, demandOf("k", 2, limiter.PerHour(5), limiter.Concurrent(2)))
		before := s.raw("k")
		for _, tt := range []struct {
			ctx  context.Context
			want error
		}{{cancelled, context.Canceled}, {expired, context.DeadlineExceeded}} {
			for name, call := range map[string]func() error{
				"Take":    func() error { return s.Take(tt.ctx, demandOf("k", 1, limiter.PerHour(5))) },
				"Inspect": func() error { return s.Inspect(tt.ctx, demandOf("k", 1, limiter.PerHour(5))) },
				"Release": func() error { return s.Release(tt.ctx, []byte("k"), receipt.Lease) },
				"Renew":   func() error { _, err := s.Renew(tt.ctx, []byte("k"), receipt.Lease, time.Hour); return err },
				"Refund":  func() error { return s.Refund(tt.ctx, receipt) },
				"Reset":   func() error { return s.Reset(tt.ctx, []byte("k")) },
			} {
				if err := call(); !errors.Is(err, tt.want) {
					t.Errorf("%s: %v, want %v", name, err, tt.want)
				}
				if after := s.raw("k"); !reflect.DeepEqual(after, before) {
					t.Fatalf("%s made %+v of %+v", name, after, before)
				}
			}
		}
		if !receipt.Admitted {
			t.Error("the refund was spent, though nothing was tried")
		}
		s.refund(t, receipt)
		if used := s.inspect(t, "k", limiter.PerHour(5)).Asks[0].Used; used != 0 {
			t.Errorf("%d used after the refund", used)
		}
	})
}

func TestResetForgetsOneKey(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		limits := []limiter.Limit{limiter.PerHour(1), limiter.Concurrent(1)}
		for _, key := range []string{"a", "b"} {
			if !s.admits(t, key, 1, limits...) {
				t.Fatal("refused at first")
			}
		}
		for range 2 { // the second time there is nothing
			if err := s.Reset(context.Background(), []byte("a")); err != nil {
				t.Fatal(err)
			}
			if state := s.raw("a"); !reflect.DeepEqual(state, limiter.RawState{}) {
				t.Errorf("left %+v", state)
			}
		}
		if s.admits(t, "b", 1, limits...) || !s.admits(t, "a", 1, limits...) {
			t.Error("it reset the other key")
		}
	})
}

func TestInspectShowsWhatTakeWouldSay(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		limits := []limiter.Limit{limiter.PerHour(3), limiter.Concurrent(2)}
		one := demandOf("k", 1, limits...)
		one.TTL = 10 * time.Second
		s.take(t, one)
		s.clock.Advance(time.Second)
		s.take(t, demandOf("k", 1, limits...))
		before := s.raw("k")

		d := demandOf("k", 2, limits...)
		if err := s.Inspect(context.Background(), d); err != nil {
			t.Fatal(err)
		}
		if d.Admitted || d.Asks[0].Verdict != limiter.Full || d.Asks[0].Used != 2 || d.Asks[1].Verdict != limiter.Full || d.Asks[1].Live != 2 {
			t.Errorf("admitted %v, %+v", d.Admitted, d.Asks)
		}
		if want := s.clock.us.Load() + 9_000_000; d.Asks[1].Expiry != want {
			t.Errorf("the first slot comes back at %d, want %d", d.Asks[1].Expiry, want)
		}
		if d := s.inspect(t, "k", limits...); !d.Admitted {
			t.Errorf("with a cost of 0: %+v", d.Asks)
		}
		if after := s.raw("k"); !reflect.DeepEqual(after, before) {
			t.Errorf("inspecting made %+v of %+v", after, before)
		}
	})
}

func TestClockSteps(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, step := range []time.Duration{time.Microsecond, time.Hour, 10 * year} {
		t.Run("back by "+step.String()+" gives no free burst", func(t *testing.T) {
			eachStore(t, func(t *testing.T, s subject) {
				limits := []limiter.Limit{limiter.PerMinute(2), limiter.Concurrent(9)}
				if n := s.count(t, "k", limits...); n != 2 {
					t.Fatal(n)
				}
				end := s.inspect(t, "k", limits...).Outlook(0).Reset
				s.clock.Advance(-step)
				if s.admits(t, "k", 1, limits...) {
					t.Error("admitted after the step")
				}
				if d := s.inspect(t, "k", limits...); d.Outlook(0).Reset != end || d.Asks[1].Live != 2 {
					t.Errorf("reset at %d, want %d; %d leases live, want 2", d.Outlook(0).Reset, end, d.Asks[1].Live)
				}
				s.clock.us.Store(end)
				if n := s.count(t, "k", limits...); n != 2 {
					t.Errorf("%d admitted when the clock is at the end, want 2", n)
				}
			})
		})
		t.Run("forward by "+step.String()+" and back leaves other keys alone", func(t *testing.T) {
			eachStore(t, func(t *testing.T, s subject) {
				limit := limiter.Per(2, 20*year)
				if n := s.count(t, "k", limit); n != 2 {
					t.Fatal(n)
				}
				s.clock.Advance(step)
				s.admits(t, "other", 1, limit)
				s.forget()
				s.clock.Advance(-step)
				if s.admits(t, "k", 1, limit) {
					t.Error("admitted after the clock came back")
				}
			})
		})
	}
}
