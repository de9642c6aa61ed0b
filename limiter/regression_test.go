package limiter_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/keystile/keystile/limiter"
)

// The tests of this file are named after projects in which the bug was real.

func TestUluleRefusalsAreNotCounted(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		admitted := 0
		for range 100 {
			if s.admits(t, "k", 1, limiter.PerHour(2)) {
				admitted++
			}
		}
		if n := s.count(t, "k", limiter.PerHour(50)); admitted != 2 || n != 48 {
			t.Errorf("%d of 100 tries, then %d after the raise to 50; want 2 and 48", admitted, n)
		}
	})
}

func TestThrottledPeriodsAreNotCutToSeconds(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		limit := limiter.Per(5, 1900*time.Millisecond)
		n := s.count(t, "k", limit)
		for range 18 { // past the first second
			s.clock.Advance(100 * time.Millisecond)
			s.forget()
			n += s.count(t, "k", limit)
		}
		if n != 5 {
			t.Errorf("%d admitted in 1.8 s of a window of 1.9 s, want 5", n)
		}
	})
}

func TestGoLimiterStateThatIsAliveIsNotSweptAway(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		limit, n := limiter.PerDay(3), 0
		for range 24 {
			n += s.count(t, "k", limit)
			s.clock.Advance(time.Hour - time.Microsecond)
			s.forget()
		}
		if n != 3 {
			t.Errorf("%d admitted in a day, want 3", n)
		}
	})
}

func TestHttprateTheWaitIsNotAlwaysTheWholeWindow(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		s.count(t, "k", limiter.PerMinute(1))
		s.clock.Advance(59 * time.Second)
		if d := s.take(t, demandOf("k", 1, limiter.PerMinute(1))); d.Wait() != 1_000_000 {
			t.Errorf("wait %d µs, want 1,000,000", d.Wait())
		}
	})
}

func TestRedisRateWhatNeverFitsHasNoWait(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		s.count(t, "k", limiter.PerMinute(3))
		d := s.take(t, demandOf("k", 4, limiter.PerMinute(3), limiter.PerHour(3)))
		if d.Asks[0].Verdict != limiter.NeverFits || d.Outlook(0).Wait != 0 || d.Wait() != 0 {
			t.Errorf("%+v waits %d", d.Asks[0], d.Wait())
		}
	})
}

func TestRedisRateRemainingIsExact(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		for _, n := range []int64{1, 3, 7, 49, 97, 98, 103, 1000} {
			limit := limiter.PerHour(n).Named("n")
			if err := s.Reset(context.Background(), []byte("k")); err != nil {
				t.Fatal(err)
			}
			for want := n - 1; want >= 0; want-- {
				if left := s.take(t, demandOf("k", 1, limit)).Outlook(0).Remaining; left != want {
					t.Fatalf("of %d per hour %d are left, want %d", n, left, want)
				}
				s.clock.us.Add(1_234_567)
			}
		}
	})
}

func TestGubernatorAPlanFlipGivesNothingBack(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		if !s.admits(t, "k", 90, limiter.PerHour(100)) || s.admits(t, "k", 1, limiter.PerHour(10)) {
			t.Fatal("the plan does not hold")
		}
		if n := s.count(t, "k", limiter.PerHour(100)); n != 10 {
			t.Errorf("%d left after 100 -> 10 -> 100, want 10", n)
		}
		// Nor does a flip between periods, there and back.
		s.count(t, "named", limiter.PerDay(20).Named("api"))
		s.count(t, "named", limiter.PerHour(5).Named("api"))
		s.clock.Advance(2 * time.Hour)
		if n := s.count(t, "named", limiter.PerHour(5).Named("api")); n != 5 {
			t.Errorf("%d in the next hour, want 5", n)
		}
		if n := s.count(t, "named", limiter.PerDay(20).Named("api")); n != 0 {
			t.Errorf("%d more on the same day, want 0", n)
		}
	})
}

func TestBoulder8785ARaiseTakesEffectAtOnce(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		d := demandOf("k", 1, limiter.PerHour(1))
		for range 3 {
			s.take(t, d)
		}
		d = demandOf("k", 1, limiter.PerHour(2))
		if !s.take(t, d).Admitted {
			t.Errorf("refused after the raise: %+v", d.Asks[0])
		}
	})
}

func TestExpressRateLimit647ARefundNeverReachesTheNextWindow(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		limit := limiter.PerMinute(5)
		receipt := s.take(t, demandOf("k", 3, limit))
		s.clock.Advance(time.Minute)
		s.admits(t, "k", 1, limit)
		s.refund(t, receipt)
		if used := s.inspect(t, "k", limit).Asks[0].Used; used != 1 {
			t.Errorf("used %d, want 1", used)
		}
		if n := s.count(t, "k", limit); n != 4 {
			t.Errorf("%d more, want 4", n)
		}
	})
}

// lossySwap does what is asked and loses the answer.
type lossySwap struct {
	*mapCAS
	lose bool
}

var errLost = errors.New("i/o timeout")

func (l *lossySwap) Swap(ctx context.Context, key string, old, new []byte, ttl time.Duration) (bool, error) {
	swapped, err := l.mapCAS.Swap(ctx, key, old, new, ttl)
	if l.lose {
		return false, errLost
	}
	return swapped, err
}

func TestRateLimitRedis251AnUnknownOutcomeIsChargedOnce(t *testing.T) {
	clock := newStoreClock()
	cas := &lossySwap{mapCAS: newMapCAS(clock.Now)}
	s := newCAS(t, cas, nil)
	d := demandOf("k", 2, limiter.PerHour(10))
	cas.lose = true
	if err := s.Take(context.Background(), d); !errors.Is(err, errLost) || d.Admitted {
		t.Fatalf("%v, admitted %v; want the error, and nothing admitted", err, d.Admitted)
	}
	receipt := demandOf("k", 3, limiter.PerHour(10))
	cas.lose = false
	if err := s.Take(context.Background(), receipt); err != nil || receipt.Asks[0].Used != 5 {
		t.Fatalf("%v, used %d, want 5", err, receipt.Asks[0].Used)
	}
	cas.lose = true
	if err := s.Refund(context.Background(), receipt); !errors.Is(err, errLost) {
		t.Fatal(err)
	}
	cas.lose = false
	if err := s.Refund(context.Background(), receipt); err != nil {
		t.Fatal(err)
	}
	if err := s.Inspect(context.Background(), receipt); err != nil || receipt.Asks[0].Used != 2 {
		t.Errorf("%v, used %d after a refund whose answer was lost, want 2", err, receipt.Asks[0].Used)
	}
}

func TestLaravel58707TheDayIsNotChargedWhenTheBurstRefuses(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		second, day := limiter.PerSecond(2), limiter.PerDay(5)
		for range 50 {
			s.admits(t, "k", 1, day, second)
		}
		if used := s.inspect(t, "k", day).Asks[0].Used; used != 2 {
			t.Errorf("the day has %d used, want 2", used)
		}
	})
}

func TestKong5311CheckAndCountAreOneStep(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		var start, done sync.WaitGroup
		start.Add(1)
		admitted := make(chan bool, 60)
		for range 60 {
			done.Go(func() {
				d := demandOf("k", 1, limiter.PerHour(30))
				start.Wait()
				err := s.Take(context.Background(), d)
				admitted <- err == nil && d.Admitted
			})
		}
		start.Done()
		done.Wait()
		close(admitted)
		n := 0
		for a := range admitted {
			if a {
				n++
			}
		}
		if n != 30 {
			t.Errorf("%d of 60 admitted, want 30", n)
		}
	})
}

func TestSpringCloudGateway2412ApplicationClocksDoNotRefill(t *testing.T) {
	clock := newStoreClock()
	cas := newMapCAS(clock.Now)
	limit := limiter.PerMinute(4)
	n := 0
	for i := range 12 { // machines whose own clocks are hours apart
		own := func() time.Time { return clock.Now().Add(time.Duration(i-6) * time.Hour) }
		s := subject{Store: newCAS(t, cas, own), clock: clock}
		n += s.count(t, "k", limit)
	}
	if n != 4 {
		t.Errorf("%d admitted through 12 machines, want 4", n)
	}
}

func TestSlotsOfOthersDoNotExpireTogether(t *testing.T) {
	// One counter with one TTL for all, as many have, would free the second slot
	// with the first, or keep both for as long as anybody comes.
	eachStore(t, func(t *testing.T, s subject) {
		limit := limiter.Concurrent(2)
		s.take(t, demandOf("k", 1, limit))
		s.clock.Advance(40 * time.Second)
		s.take(t, demandOf("k", 1, limit))
		s.clock.Advance(20 * time.Second)
		if d := s.inspect(t, "k", limit); d.Asks[0].Live != 1 || d.Asks[0].Expiry != s.clock.us.Load()+40_000_000 {
			t.Errorf("%+v, want one slot free and one for 40 s", d.Asks[0])
		}
	})
}

func TestHttprateASlowStorageBlocksItsOwnCallOnly(t *testing.T) {
	clock := newStoreClock()
	cas := newMapCAS(clock.Now)
	s := newCAS(t, &stuckKey{CASStore: cas, key: "stuck", stuck: make(chan struct{})}, nil)
	ctx, cancel := context.WithCancel(context.Background())
	stuck := make(chan error)
	go func() { stuck <- s.Take(ctx, demandOf("stuck", 1, limiter.PerHour(1))) }()
	for range 3 {
		if err := s.Take(context.Background(), demandOf("free", 1, limiter.PerHour(9))); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-stuck; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// stuckKey hangs on one key until the context ends.
type stuckKey struct {
	limiter.CASStore
	key   string
	stuck chan struct{}
}

func (s *stuckKey) Load(ctx context.Context, key string) ([]byte, time.Time, error) {
	if key == s.key {
		select {
		case <-s.stuck:
		case <-ctx.Done():
			return nil, time.Time{}, errors.New("connection closed") // not the context's error, as drivers do
		}
	}
	return s.CASStore.Load(ctx, key)
}

func TestTollboothJoinedKeysDoNotCollide(t *testing.T) {
	eachStore(t, func(t *testing.T, s subject) {
		for _, pair := range [][2]limiter.Ask{
			{limiter.PerHour(1).Named("a|b").AskWithin([]byte("c")), limiter.PerHour(1).Named("a").AskWithin([]byte("b|c"))},
			{limiter.PerHour(1).Named("ab").AskWithin([]byte("c")), limiter.PerHour(1).Named("a").AskWithin([]byte("bc"))},
		} {
			for _, ask := range pair {
				d := &limiter.Demand{Key: []byte("k"), Cost: 1, Asks: []limiter.Ask{ask}}
				if !s.take(t, d).Admitted {
					t.Errorf("%q shares a counter", ask.Cell.ID())
				}
			}
		}
	})
}

func TestUluleAndGitLab285352AStateThatOutlivesItsTTLBlocksNobody(t *testing.T) {
	// The storage forgets to let blobs vanish; each was given a TTL all the same,
	// which mapCAS watches.
	eachStore(t, func(t *testing.T, s subject) {
		limits := []limiter.Limit{limiter.PerMinute(1), limiter.Concurrent(1)}
		for range 3 {
			if n := s.count(t, "k", limits...); n != 1 {
				t.Fatalf("%d admitted, want 1", n)
			}
			s.clock.Advance(time.Minute)
		}
		if state := s.raw("k"); !reflect.DeepEqual(state, limiter.RawState{}) {
			t.Errorf("%+v is alive", state)
		}
	})
}

func TestAFloodOfKeysNeitherResetsNorExhausts(t *testing.T) {
	clock := newStoreClock()
	m, err := limiter.NewMemoryStore(limiter.MemoryConfig{MaxKeys: 500, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	s := subject{Store: m, clock: clock}
	s.count(t, "blocked", limiter.PerDay(1))
	for i := range 5000 {
		s.admits(t, string(rune(0x4e00+i)), 1, limiter.PerDay(2))
	}
	if m.Len() > 500 || s.admits(t, "blocked", 1, limiter.PerDay(1)) {
		t.Errorf("%d keys, or the blocked caller was set free", m.Len())
	}
}
