package limiter_test

import (
	"encoding/binary"
	"math"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystile/keystile/limiter"
)

var leaseCount atomic.Uint64

// nextLease returns a lease ID that no other test has.
func nextLease() (id limiter.LeaseID) {
	binary.BigEndian.PutUint64(id[8:], leaseCount.Add(1))
	return id
}

func TestAtMostMaxLeasesLive(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		if n := s.count(t, "k", limiter.Concurrent(3)); n != 3 {
			t.Errorf("%d at once, want 3", n)
		}
		d := s.inspect(t, "k", limiter.Concurrent(3))
		if d.Asks[0].Live != 3 || d.Outlook(0) != (limiter.Outlook{}) {
			t.Errorf("%+v, %+v", d.Asks[0], d.Outlook(0))
		}
	})
}

func TestAReleaseFreesItsOwnSlotOnce(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		limit := limiter.Concurrent(2)
		a, b := demandOf("k", 1, limit), demandOf("k", 1, limit)
		s.take(t, a)
		s.take(t, b)
		s.release(t, "k", nextLease())       // nobody's
		s.release(t, "other", a.Lease)       // of another key
		s.release(t, "k", limiter.LeaseID{}) // none
		if s.admits(t, "k", 1, limit) {
			t.Fatal("somebody else's release freed a slot")
		}
		s.release(t, "k", a.Lease)
		s.release(t, "k", a.Lease)
		if n := s.count(t, "k", limit); n != 1 {
			t.Errorf("a slot that was released twice lets %d in, want 1", n)
		}
	})
}

func TestALeaseIsDeadAtItsExpiry(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		limit := limiter.Concurrent(1)
		one := demandOf("k", 1, limit)
		s.take(t, one)
		s.clock.us.Add(60_000_000 - 1)
		if s.admits(t, "k", 1, limit) {
			t.Error("two at once in the last microsecond")
		}
		s.clock.us.Add(1)
		if s.renew(t, "k", one.Lease, 0) {
			t.Error("renewed at its expiry")
		}
		two := demandOf("k", 1, limit)
		if !s.take(t, two).Admitted {
			t.Fatal("refused at the expiry of the other")
		}
		s.release(t, "k", one.Lease) // which is dead, and frees none
		if s.admits(t, "k", 1, limit) {
			t.Error("a dead lease freed a slot")
		}
	})
}

func TestARenewedLeaseLives(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		limit := limiter.Concurrent(1)
		one := demandOf("k", 1, limit)
		one.TTL = 3 * time.Second
		s.take(t, one)
		for range 5 {
			s.clock.Advance(2 * time.Second)
			if !s.renew(t, "k", one.Lease, 3*time.Second) {
				t.Fatal("not held any more")
			}
			if s.admits(t, "k", 1, limit) {
				t.Fatal("two at once")
			}
		}
		if !s.renew(t, "k", one.Lease, time.Microsecond) {
			t.Fatal("not held any more")
		}
		s.clock.us.Add(3_000_000 - 1)
		if s.admits(t, "k", 1, limit) {
			t.Error("a renewal made its life shorter")
		}
		s.clock.us.Add(1)
		s.forget()
		if s.renew(t, "k", one.Lease, time.Hour) {
			t.Error("a late renewal brought it back")
		}
		if !s.admits(t, "k", 1, limit) {
			t.Error("the slot of a holder that crashed did not come back")
		}
	})
}

func TestAReleasedLeaseIsNotRenewed(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		one := demandOf("k", 1, limiter.Concurrent(1), limiter.PerHour(5))
		s.take(t, one)
		s.release(t, "k", one.Lease)
		if s.renew(t, "k", one.Lease, 0) || s.renew(t, "other", one.Lease, 0) || s.renew(t, "k", limiter.LeaseID{}, 0) {
			t.Error("renewed")
		}
	})
}

func TestALeaseTakenAgainIsOneLease(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		limits := []limiter.Limit{limiter.Concurrent(2), limiter.PerHour(9)}
		one := demandOf("k", 1, limits...)
		s.take(t, one)
		s.clock.Advance(30 * time.Second)
		for range 3 {
			if s.take(t, one); !one.Admitted || one.Asks[0].Live != 1 {
				t.Fatalf("admitted %v, %+v", one.Admitted, one.Asks[0])
			}
		}
		if want := s.clock.us.Load() + 60_000_000; one.Asks[0].Expiry != want || one.Asks[1].Used != 4 {
			t.Errorf("%+v, want the expiry at %d and 4 units charged", one.Asks, want)
		}
		two := demandOf("k", 1, limits...)
		if !s.take(t, two).Admitted {
			t.Fatal("the second slot is not free")
		}
		if !s.take(t, one).Admitted {
			t.Error("who holds a slot was refused because all are taken")
		}
		s.release(t, "k", one.Lease)
		if d := s.inspect(t, "k", limits...); d.Asks[0].Live != 1 {
			t.Errorf("%d live after the release, want 1", d.Asks[0].Live)
		}
	})
}

func TestOneLeaseHoldsASlotOfEveryConcurrent(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		all, uploads := limiter.Concurrent(5), limiter.Concurrent(1).Named("uploads")
		one := demandOf("k", 1, all, uploads)
		s.take(t, one)
		if s.admits(t, "k", 1, uploads, all) {
			t.Error("two uploads at once")
		}
		if !s.renew(t, "k", one.Lease, time.Hour) {
			t.Error("not held")
		}
		s.clock.Advance(time.Minute)
		if d := s.inspect(t, "k", all, uploads); d.Asks[0].Live != 1 || d.Asks[1].Live != 1 {
			t.Errorf("%+v", d.Asks)
		}
		s.release(t, "k", one.Lease)
		if state := s.raw("k"); !reflect.DeepEqual(state, limiter.RawState{}) {
			t.Errorf("left %+v", state)
		}
	})
}

func TestALeaseForEver(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		one := demandOf("k", 1, limiter.Concurrent(1))
		one.TTL = math.MaxInt64
		s.take(t, one)
		s.clock.Advance(100 * 365 * 24 * time.Hour)
		s.forget()
		if s.admits(t, "k", 1, limiter.Concurrent(1)) {
			t.Error("two at once")
		}
	})
}

func TestARefundIsExact(t *testing.T) {
	hour, day := limiter.PerHour(10), limiter.PerDay(20)
	used := func(t *testing.T, s subject) [2]int64 {
		d := s.inspect(t, "k", hour, day)
		return [2]int64{d.Asks[0].Used, d.Asks[1].Used}
	}
	for _, tt := range []struct {
		what string
		do   func(t *testing.T, s subject, receipt *limiter.Demand)
		want [2]int64
	}{
		{"at once", func(t *testing.T, s subject, r *limiter.Demand) { s.refund(t, r) }, [2]int64{1, 1}},
		{"twice", func(t *testing.T, s subject, r *limiter.Demand) { s.refund(t, r); s.refund(t, r) }, [2]int64{1, 1}},
		{"in the last microsecond of the hour", func(t *testing.T, s subject, r *limiter.Demand) {
			s.clock.us.Add(3_600_000_000 - 1)
			s.refund(t, r)
		}, [2]int64{1, 1}},
		{"at the end of the hour, while the day is open", func(t *testing.T, s subject, r *limiter.Demand) {
			s.clock.us.Add(3_600_000_000)
			s.refund(t, r)
		}, [2]int64{0, 1}},
		{"in the next hour", func(t *testing.T, s subject, r *limiter.Demand) {
			s.clock.Advance(time.Hour)
			s.admits(t, "k", 1, hour, day)
			s.refund(t, r)
		}, [2]int64{1, 2}},
		{"the day after", func(t *testing.T, s subject, r *limiter.Demand) {
			s.clock.Advance(25 * time.Hour)
			s.admits(t, "k", 1, hour, day)
			s.refund(t, r)
		}, [2]int64{1, 1}},
		{"after a reset", func(t *testing.T, s subject, r *limiter.Demand) {
			if err := s.Reset(t.Context(), r.Key); err != nil {
				t.Fatal(err)
			}
			s.refund(t, r)
		}, [2]int64{0, 0}},
		{"of a refusal", func(t *testing.T, s subject, _ *limiter.Demand) {
			s.refund(t, s.take(t, demandOf("k", 10, hour, day)))
		}, [2]int64{5, 5}},
		{"of a look", func(t *testing.T, s subject, _ *limiter.Demand) {
			s.refund(t, s.take(t, demandOf("k", 0, hour, day)))
		}, [2]int64{5, 5}},
		{"of more than there is, after a copy of the receipt", func(t *testing.T, s subject, r *limiter.Demand) {
			again := *r
			s.refund(t, r)
			s.refund(t, &again)
		}, [2]int64{0, 0}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			eachStore(t, func(t *testing.T, s subject) {
				s.admits(t, "k", 1, hour, day)
				receipt := s.take(t, demandOf("k", 4, hour, day, limiter.Concurrent(1)))
				tt.do(t, s, receipt)
				if got := used(t, s); got != tt.want {
					t.Errorf("used %v, want %v", got, tt.want)
				}
			})
		})
	}
	t.Run("the lease stays", func(t *testing.T) {
		eachStore(t, func(t *testing.T, s subject) {
			receipt := s.take(t, demandOf("k", 4, hour, limiter.Concurrent(1)))
			s.refund(t, receipt)
			if receipt.Admitted || s.admits(t, "k", 1, limiter.Concurrent(1)) {
				t.Error("the receipt is not spent, or its slot is free")
			}
		})
	})
}
