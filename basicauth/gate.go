package basicauth

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/keystile/keystile"
)

// gate bounds how many passwords are compared at once, and how many callers wait
// for their turn. Whoever comes when the queue is full is turned away before
// anything is hashed, so that a flood of logins leaves the rest of the service
// its processors.
type gate struct {
	slots   chan struct{}
	waiting atomic.Int64
	longest int64
}

// maxQueueTime is how long a caller stays in the queue.
const maxQueueTime = 5 * time.Second

// retryOverloaded is what a client is told to wait.
const retryOverloaded = time.Second

var (
	errQueueFull = overloaded(errors.New("basicauth: too many passwords are waiting to be compared"))
	errQueueTime = errors.New("basicauth: waited too long to compare a password")
)

func overloaded(cause error) *keystile.Error {
	return &keystile.Error{Code: keystile.CodeOverloaded, Scheme: keystile.SchemeBasic, RetryAfter: retryOverloaded, Err: cause}
}

func newGate(slots, longest int) *gate {
	return &gate{slots: make(chan struct{}, slots), longest: int64(longest)}
}

// enter waits for a slot, and reports whether it had to wait. Leave it with
// leave.
func (g *gate) enter(ctx context.Context) (waited bool, err error) {
	select {
	case g.slots <- struct{}{}:
		return false, nil
	default:
	}
	if g.waiting.Add(1) > g.longest {
		g.waiting.Add(-1)
		return false, errQueueFull
	}
	defer g.waiting.Add(-1)
	ctx, cancel := context.WithTimeoutCause(ctx, maxQueueTime, errQueueTime)
	defer cancel()
	select {
	case g.slots <- struct{}{}:
		return true, nil
	case <-ctx.Done():
		return true, overloaded(context.Cause(ctx))
	}
}

func (g *gate) leave() { <-g.slots }
