package limiter_test

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile/limiter"
)

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
