package limiter_test

import (
	"context"
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
