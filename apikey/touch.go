package apikey

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxPending = 1 << 16 // keys whose uses wait to be written; further ones are not written down
	touchBatch = 1000    // uses in one call
)

// touches collects when keys were used and writes it down in batches. A request
// does no more than move an instant forward.
type touches struct {
	write  func(ctx context.Context, uses []Use) error
	now    func() time.Time
	logger *slog.Logger
	off    atomic.Bool // the store cannot do it

	mu     sync.Mutex
	fresh  *entry             // those used since the last flush, linked
	count  int                // of fresh
	byID   map[string]*entry  // the fresh ones of each key, linked
	unsent map[string]instant // what a flush has taken and not yet written

	flushing sync.Mutex // one flush at a time
	failing  bool       // under flushing: the last one failed, and the log knows
}

// instant is nanoseconds since 1970.
type instant int64

func (n instant) time() time.Time { return time.Unix(0, int64(n)).UTC() }

func newTouches(write func(context.Context, []Use) error, now func() time.Time, logger *slog.Logger) *touches {
	return &touches{write: write, now: now, logger: logger, byID: make(map[string]*entry), unsent: make(map[string]instant)}
}

// markEvery is how exact the last use is: for a busy key the clock is not read
// for every request.
const (
	markEvery   = stamp(time.Second)
	neverMarked = math.MinInt64 / 2
)

// mark notes a use. It never waits for the store.
func (t *touches) mark(e *entry, at stamp) {
	last := e.marked.Load()
	if at-stamp(last) < markEvery || !e.marked.CompareAndSwap(last, int64(at)) {
		return
	}
	n := t.now().UnixNano()
	for old := e.used.Load(); old < n; old = e.used.Load() {
		if e.used.CompareAndSwap(old, n) {
			break
		}
	}
	if !e.queued.Load() && e.queued.CompareAndSwap(false, true) {
		t.enqueue(e)
	}
}

func (t *touches) enqueue(e *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.off.Load() {
		return // e stays queued, so nobody comes here for it again
	}
	if t.count >= maxPending {
		e.queued.Store(false)
		return
	}
	t.count++
	e.nextUsed, t.fresh = t.fresh, e
	e.siblingUsed, t.byID[e.key.ID] = t.byID[e.key.ID], e
}

// last returns the last use of a key that has not been written yet.
func (t *touches) last(id string) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, ok := t.unsent[id]
	for e := t.byID[id]; e != nil; e = e.siblingUsed {
		n, ok = max(n, instant(e.used.Load())), true
	}
	if !ok {
		return time.Time{}
	}
	return n.time()
}

// collect moves the fresh uses to the unsent ones and returns them all.
func (t *touches) collect() []Use {
	t.mu.Lock()
	defer t.mu.Unlock()
	for e := t.fresh; e != nil; {
		next := e.nextUsed
		e.nextUsed, e.siblingUsed = nil, nil
		// Before the value is read: a use that comes later queues e again.
		e.queued.Store(false)
		if old, ok := t.unsent[e.key.ID]; ok || len(t.unsent) < maxPending {
			t.unsent[e.key.ID] = max(old, instant(e.used.Load()))
		}
		e = next
	}
	t.fresh, t.count = nil, 0
	clear(t.byID)
	all := make([]Use, 0, len(t.unsent))
	for id, n := range t.unsent {
		all = append(all, Use{id, n.time()})
	}
	return all
}

// flush writes all uses. What could not be written stays for the next flush.
func (t *touches) flush(ctx context.Context) error {
	t.flushing.Lock()
	defer t.flushing.Unlock()
	uses := t.collect()
	for len(uses) > 0 {
		batch := uses[:min(len(uses), touchBatch)]
		uses = uses[len(batch):]
		if err := t.send(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

func (t *touches) send(ctx context.Context, batch []Use) error {
	sent := make([]Use, len(batch)) // for the store, which may do with it what it likes
	copy(sent, batch)
	err := t.write(ctx, sent)
	if errors.Is(err, errors.ErrUnsupported) {
		t.giveUp(err)
		return nil
	}
	if err != nil {
		if !t.failing {
			t.failing = true
			t.logger.Warn("apikey: uses cannot be written down; they are kept for later", "error", err)
		}
		return err
	}
	t.failing = false
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, u := range batch {
		if t.unsent[u.ID] == instant(u.At.UnixNano()) {
			delete(t.unsent, u.ID)
		}
	}
	return nil
}

// giveUp stops collecting for a store that has no Touch.
func (t *touches) giveUp(err error) {
	if t.off.CompareAndSwap(false, true) {
		t.logger.Info("apikey: the store does not write down uses", "error", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.unsent)
}
