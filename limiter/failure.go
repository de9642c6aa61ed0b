package limiter

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/keystile/keystile"
)

// FailurePolicy says what becomes of a request while the store fails: Deny,
// Allow or Local.
type FailurePolicy interface{ failurePolicy() }

type failureChoice uint8

func (failureChoice) failurePolicy() {}

const (
	// Deny answers 503 with a Retry-After.
	Deny = failureChoice(1)
	// Allow lets the request pass uncounted; the Observer is told.
	Allow = failureChoice(2)
)

// Local counts in this process's own memory while the store fails, with an equal
// share of every limit for each of Nodes machines: at least 1, where the limit
// itself is. After 60 seconds of continuous failure it becomes Deny, since
// shares drift apart from the truth.
type Local struct {
	Nodes int // Required: how many machines share the store.
}

func (Local) failurePolicy() {}

// localGrace is how long Local counts by itself.
const localGrace = 60 * time.Second

// fallback decides while the store fails.
type fallback struct {
	allow bool
	nodes int64
	local *MemoryStore // nil unless Local
	now   func() time.Time
	// since is when the outage began, in nanoseconds of now; 0: there is none.
	since atomic.Int64
}

func newFallback(p FailurePolicy, now func() time.Time) (*fallback, error) {
	f := &fallback{now: now}
	switch p := p.(type) {
	case failureChoice:
		f.allow = p == Allow
	case Local:
		if p.Nodes < 1 {
			return nil, &keystile.ConfigError{Field: "limiter.Local.Nodes", Value: p.Nodes, Reason: "is not a number of machines; say how many share the store, 1 or more"}
		}
		local, err := NewMemoryStore(MemoryConfig{Now: now})
		if err != nil {
			return nil, err
		}
		f.nodes, f.local = int64(p.Nodes), local
	default:
		return nil, &keystile.ConfigError{Field: "limiter.Config.OnStoreError", Reason: "is not set; choose Deny, Allow or Local{Nodes: n} for the time when the store is down"}
	}
	return f, nil
}

// recovered notes that the store works.
func (f *fallback) recovered() {
	if f.since.Load() != 0 {
		f.since.Store(0)
	}
}

// take decides on d instead of the store, which failed with cause. It returns
// the store that d's lease and charges are in, nil where nothing was counted; or
// the error to answer with.
func (f *fallback) take(ctx context.Context, d *Demand, cause error) (Store, *keystile.Error) {
	denied := &keystile.Error{Code: keystile.CodeUnavailable, Type: keystile.ProblemCapacity, RetryAfter: time.Second, Err: cause}
	if ctx.Err() != nil {
		// The client left, or its time is over. Letting it pass would be a way
		// around the limit.
		return nil, denied
	}
	if f.allow {
		return nil, nil
	}
	if f.local == nil || f.graceOver() {
		return nil, denied
	}
	for i := range d.Asks {
		d.Asks[i].N = share(d.Asks[i].N, d.Cost, f.nodes)
	}
	if err := f.local.Take(ctx, d); err != nil {
		denied.Err = errors.Join(cause, err)
		return nil, denied
	}
	return f.local, nil
}

func (f *fallback) graceOver() bool {
	now := max(f.now().UnixNano(), math.MinInt64+int64(localGrace))
	f.since.CompareAndSwap(0, now)
	return now-f.since.Load() >= int64(localGrace)
}

// share is a node's part of n, rounded down, but not so little that a cost which
// fits n could never pass.
func share(n, cost, nodes int64) int64 {
	if cost > n {
		return n
	}
	return min(n, max(1, cost, n/nodes))
}
