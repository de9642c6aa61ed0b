package limiter

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/keystile/keystile"
)

// CASConfig configures FromCAS.
type CASConfig struct {
	// Now is the clock to use where the storage says none of its own. Default:
	// time.Now.
	Now func() time.Time
}

// FromCAS returns a Store that keeps its state in s, one blob per key. A decision
// is one Load and one Swap, and a refusal one Load; where another writer comes
// between, it is tried again until the context ends. That is safe as Swap did
// nothing then. An error of Swap is final, for nobody knows what it did.
func FromCAS(s CASStore, c CASConfig) (Store, error) {
	if s == nil {
		return nil, &keystile.ConfigError{Field: "limiter.FromCAS", Reason: "is given no CASStore; pass the storage to keep the counters in"}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &casStore{storage: s, now: c.Now}, nil
}

type casStore struct {
	storage CASStore
	now     func() time.Time
}

func (c *casStore) Take(ctx context.Context, d *Demand) error {
	d.Admitted = false
	if err := d.Check(); err != nil {
		return err
	}
	err := c.edit(ctx, d.Key, d.Now, func(s *State, now int64) bool { return Decide(s, d, now) })
	if err != nil {
		d.Admitted = false
	}
	return err
}

func (c *casStore) Inspect(ctx context.Context, d *Demand) error {
	d.Admitted = false
	if err := d.Check(); err != nil {
		return err
	}
	return c.edit(ctx, d.Key, d.Now, func(s *State, now int64) bool {
		examine(s, d, now)
		return false
	})
}

func (c *casStore) Release(ctx context.Context, key []byte, lease LeaseID) error {
	return c.edit(ctx, key, 0, func(s *State, now int64) bool { return s.release(lease, now) })
}

func (c *casStore) Renew(ctx context.Context, key []byte, lease LeaseID, ttl time.Duration) (held bool, err error) {
	if err := checkTTL(ttl); err != nil {
		return false, err
	}
	err = c.edit(ctx, key, 0, func(s *State, now int64) bool {
		held = s.renew(lease, leaseTTL(ttl), now)
		return held
	})
	return held && err == nil, err
}

func (c *casStore) Refund(ctx context.Context, d *Demand) error {
	if err := d.Check(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if !d.spend() {
		return nil
	}
	return c.edit(ctx, d.Key, d.Now, func(s *State, now int64) bool { return s.refund(d, now) })
}

func (c *casStore) Reset(ctx context.Context, key []byte) error {
	name := string(key)
	for try := 0; ; try++ {
		if err := pause(ctx, try); err != nil {
			return err
		}
		blob, _, err := c.storage.Load(ctx, name)
		if err != nil {
			return failed(ctx, "Load", err)
		}
		if blob == nil {
			return nil
		}
		// The blob is not read: Reset is the way out where it is corrupt.
		if swapped, err := c.storage.Swap(ctx, name, blob, nil, 0); err != nil {
			return failed(ctx, "Swap", err)
		} else if swapped {
			return nil
		}
	}
}

// edit runs change on the state under key and writes what it changed. It may run
// change several times, each time on a state as it was loaded.
func (c *casStore) edit(ctx context.Context, key []byte, override int64, change func(*State, int64) bool) error {
	name := string(key)
	for try := 0; ; try++ {
		if err := pause(ctx, try); err != nil {
			return err
		}
		blob, clock, err := c.storage.Load(ctx, name)
		if err != nil {
			return failed(ctx, "Load", err)
		}
		var s State
		if blob != nil {
			if err := s.UnmarshalBinary(blob); err != nil {
				return err
			}
		}
		if clock.IsZero() {
			clock = c.now()
		}
		now := clock.UnixMicro()
		if override != 0 {
			now = override
		}
		if !change(&s, now) {
			return nil
		}
		var next []byte
		if !s.empty() {
			if next, err = s.AppendBinary(nil); err != nil {
				return err
			}
		}
		if swapped, err := c.storage.Swap(ctx, name, blob, next, timeLeft(&s, now)); err != nil {
			return failed(ctx, "Swap", err)
		} else if swapped {
			return nil
		}
	}
}

// failed makes sure that the error after the end of a context is recognised,
// whatever the storage makes of it.
func failed(ctx context.Context, what string, err error) error {
	if ended := ctx.Err(); ended != nil {
		return fmt.Errorf("limiter: CASStore.%s: %w: %w", what, ended, err)
	}
	return fmt.Errorf("limiter: CASStore.%s: %w", what, err)
}

// timeLeft returns how long s must be kept, in whole milliseconds, rounded up:
// that is all that many storages can count.
func timeLeft(s *State, now int64) time.Duration {
	left := s.death() - instant(now)
	ms := left / 1000
	if left%1000 > 0 {
		ms++
	}
	return time.Duration(min(max(ms, 1), math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}

const (
	patience   = 4 // tries before the first pause
	firstPause = 20 * time.Microsecond
	maxPause   = 5 * time.Millisecond
)

// pause returns the error of a context that has ended. From the fifth try on it
// waits before that, a random time that grows, so that writers on one key do not
// keep each other from writing.
func pause(ctx context.Context, try int) error {
	if try < patience {
		return ctx.Err()
	}
	timer := time.NewTimer(rand.N(min(firstPause<<min(try-patience, 16), maxPause)) + 1)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return ctx.Err()
	}
}
