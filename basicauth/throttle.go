package basicauth

import (
	"container/list"
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

// ThrottleConfig configures a MemoryThrottle.
type ThrottleConfig struct {
	// Free is how many failures make nobody wait; negative: none. Default: 5.
	Free int
	// First is how long the failure after those makes the next attempt wait. Each
	// further one doubles it. Default: 1 s.
	First time.Duration
	// Max is where that ends. Default: 1 h.
	Max time.Duration
	// Limit is how many failures in a row are too many: after them the wait is no
	// less than Forget, until Reset or until all are forgotten. From 1 to 100, the
	// most that NIST SP 800-63B section 3.2.2 allows. Default: 100.
	Limit int
	// Forget is how long it takes until one failure is forgotten, and again until
	// the next one is. From a second to a year. Default: 24 h.
	Forget time.Duration
	// MaxKeys is how many keys are remembered at most. Default: 65,536, which
	// take about 15 MB.
	MaxKeys int
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// MemoryThrottle is the keystile.Throttle of a single process. Failures under a
// key make the next attempts wait, longer each time; Reset ends it. It has no
// goroutine and needs no Close. The zero value fails every call.
//
// At MaxKeys each new key displaces another: the one that failed longest ago of
// those that never had to wait, so that a flood of invented keys sets nobody free
// who is waiting; where there is none, the one that failed longest ago.
type MemoryThrottle struct {
	config ThrottleConfig

	mu   sync.Mutex
	keys map[throttleKey]*failures
	calm *list.List // of *failures that make nobody wait, the latest in front
	slow *list.List // of those that do
}

const maxForget = 366 * 24 * time.Hour

// throttleKey is a digest of a key: keys of any length take the same memory.
type throttleKey [16]byte

// failures are those under a key that are not forgotten.
type failures struct {
	key   throttleKey
	count int
	run   int       // with those that are forgotten
	since time.Time // from when on the next one is being forgotten
	wait  time.Duration
	until time.Time // the end of the wait
	in    *list.List
	place *list.Element
}

// NewMemoryThrottle returns an empty MemoryThrottle, or all mistakes of c as
// *keystile.ConfigError values joined.
func NewMemoryThrottle(c ThrottleConfig) (*MemoryThrottle, error) {
	const field = "basicauth.ThrottleConfig."
	c.Free = max(orElse(c.Free, 5), 0)
	c.First = orElse(c.First, time.Second)
	c.Max = orElse(c.Max, time.Hour)
	c.Limit = orElse(c.Limit, 100)
	c.Forget = orElse(c.Forget, 24*time.Hour)
	c.MaxKeys = orElse(c.MaxKeys, 1<<16)
	if c.Now == nil {
		c.Now = time.Now
	}
	var m mistakes
	if c.First < 0 {
		m.add(field+"First", c.First, "is negative; use a positive duration, or 0 for the default")
	}
	if c.Max < c.First {
		m.add(field+"Max", c.Max, "is shorter than First; use the longest wait, such as 1h, or 0 for the default")
	}
	if c.Forget < time.Second || c.Forget > maxForget {
		m.add(field+"Forget", c.Forget, "is shorter than a second or longer than a year; use one such as 24h, or 0 for the default")
	}
	if c.Limit < 1 || c.Limit > 100 {
		m.add(field+"Limit", c.Limit, "is not from 1 to 100; more than 100 failures in a row are more than NIST SP 800-63B allows")
	} else if c.Free >= c.Limit {
		m.add(field+"Free", c.Free, "is not less than Limit, so that no wait would come before the longest; use a few")
	}
	if c.MaxKeys < 0 {
		m.add(field+"MaxKeys", c.MaxKeys, "is negative; give the number of keys to remember, or 0 for the default")
	}
	if len(m) > 0 {
		return nil, m.err()
	}
	return &MemoryThrottle{config: c, keys: make(map[throttleKey]*failures), calm: list.New(), slow: list.New()}, nil
}

var errZeroThrottle = errors.New("basicauth: this MemoryThrottle was not made by NewMemoryThrottle")

// begin locks the throttle and finds key, with what has been forgotten by now
// left out. Unlock it afterwards.
func (t *MemoryThrottle) begin(ctx context.Context, key string) (k throttleKey, f *failures, now time.Time, err error) {
	if t == nil || t.keys == nil {
		return k, nil, now, errZeroThrottle
	}
	if err := ctx.Err(); err != nil {
		return k, nil, now, err
	}
	sum := sha256.Sum256([]byte(key))
	copy(k[:], sum[:])
	now = t.config.Now()
	t.mu.Lock()
	if f = t.keys[k]; f != nil && t.settle(f, now) {
		f = nil
	}
	return k, f, now, nil
}

// Check implements keystile.Throttle.
func (t *MemoryThrottle) Check(ctx context.Context, key string) (time.Duration, error) {
	_, f, now, err := t.begin(ctx, key)
	if err != nil {
		return 0, err
	}
	defer t.mu.Unlock()
	if f == nil {
		return 0, nil
	}
	// A clock that was set back must not make anybody wait longer.
	return min(max(f.until.Sub(now), 0), f.wait), nil
}

// Fail implements keystile.Throttle.
func (t *MemoryThrottle) Fail(ctx context.Context, key string) error {
	k, f, now, err := t.begin(ctx, key)
	if err != nil {
		return err
	}
	defer t.mu.Unlock()
	t.sweep(now)
	if f == nil {
		if len(t.keys) >= t.config.MaxKeys {
			t.makeRoom()
		}
		f = &failures{key: k, since: now}
		t.keys[k] = f
	}
	f.count = min(f.count+1, t.config.Limit)
	f.run = min(f.run+1, t.config.Limit)
	f.wait = t.wait(f)
	f.until = now.Add(f.wait)
	t.enlist(f)
	return nil
}

// Reset implements keystile.Throttle.
func (t *MemoryThrottle) Reset(ctx context.Context, key string) error {
	_, f, _, err := t.begin(ctx, key)
	if err != nil {
		return err
	}
	defer t.mu.Unlock()
	if f != nil {
		t.remove(f)
	}
	return nil
}

// Len returns how many keys are remembered.
func (t *MemoryThrottle) Len() int {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.keys)
}

// wait returns how long the latest of f makes the next attempt wait.
func (t *MemoryThrottle) wait(f *failures) time.Duration {
	var wait time.Duration
	if over := f.count - t.config.Free; over > 0 {
		wait = t.config.First
		for ; over > 1 && wait < t.config.Max; over-- {
			wait *= 2
		}
		wait = min(wait, t.config.Max)
	}
	if f.run >= t.config.Limit {
		wait = max(wait, t.config.Forget)
	}
	return wait
}

// settle forgets what is due, and reports whether nothing is left of f.
func (t *MemoryThrottle) settle(f *failures, now time.Time) bool {
	gone := int64(now.Sub(f.since) / t.config.Forget)
	if gone < 1 {
		return false
	}
	if gone >= int64(f.count) {
		t.remove(f)
		return true
	}
	f.count -= int(gone)
	f.since = f.since.Add(time.Duration(gone) * t.config.Forget)
	if f.in == t.slow && f.count <= t.config.Free && !now.Before(f.until) {
		t.enlist(f)
	}
	return false
}

// enlist puts f in front of the list that it belongs to.
func (t *MemoryThrottle) enlist(f *failures) {
	in := t.calm
	if f.count > t.config.Free {
		in = t.slow
	}
	if f.in == in {
		in.MoveToFront(f.place)
		return
	}
	if f.in != nil {
		f.in.Remove(f.place)
	}
	f.in, f.place = in, in.PushFront(f)
}

func (t *MemoryThrottle) remove(f *failures) {
	f.in.Remove(f.place)
	delete(t.keys, f.key)
}

// sweep drops what has been forgotten from the ends of the lists.
func (t *MemoryThrottle) sweep(now time.Time) {
	for _, l := range [...]*list.List{t.calm, t.slow} {
		for range 2 {
			last := l.Back()
			if last == nil || !t.settle(last.Value.(*failures), now) {
				break
			}
		}
	}
}

// makeRoom displaces one key.
func (t *MemoryThrottle) makeRoom() {
	for _, l := range [...]*list.List{t.calm, t.slow} {
		if last := l.Back(); last != nil {
			t.remove(last.Value.(*failures))
			return
		}
	}
}
