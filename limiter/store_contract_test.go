package limiter_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile/limiter"
)

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
