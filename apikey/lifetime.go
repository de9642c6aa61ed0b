package apikey

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// ErrClosed is returned after Close. Verification wraps it in a 503.
var ErrClosed = errors.New("apikey: closed")

// lifetime counts the goroutines of a Verifier, so that Close leaves none behind.
type lifetime struct {
	ctx    context.Context // ends with stop
	cancel context.CancelFunc
	over   atomic.Bool

	mu    sync.Mutex // a begin comes before stop, and is waited for, or after it, and fails
	work  sync.WaitGroup
	ended chan struct{} // made by the first stop, closed when all work has ended
}

func newLifetime() *lifetime {
	l := new(lifetime)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

func (l *lifetime) isOver() bool { return l.over.Load() }

// begin announces work, and reports false where it is too late for any.
func (l *lifetime) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over.Load() {
		return false
	}
	l.work.Add(1)
	return true
}

func (l *lifetime) end() { l.work.Done() }

// run does work in a goroutine of its own, until l.ctx ends.
func (l *lifetime) run(work func()) {
	if l.begin() {
		go func() {
			defer l.end()
			work()
		}()
	}
}

// stop ends all work and waits for it, until ctx ends.
func (l *lifetime) stop(ctx context.Context) error {
	l.mu.Lock()
	if l.ended == nil {
		l.over.Store(true)
		l.cancel()
		l.ended = make(chan struct{})
		go func(ended chan struct{}) {
			l.work.Wait()
			close(ended)
		}(l.ended)
	}
	ended := l.ended
	l.mu.Unlock()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
