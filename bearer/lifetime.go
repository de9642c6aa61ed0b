package bearer

import (
	"context"
	"errors"
	"sync"
)

// ErrClosed is the cause of the 503 after Close.
var ErrClosed = errors.New("bearer: closed")

// lifetime counts the goroutines of an Authenticator, so that Close leaves none
// behind.
type lifetime struct {
	ctx    context.Context // ends with stop
	cancel context.CancelFunc

	mu    sync.Mutex // a begin comes before stop, and is waited for, or after it, and fails
	work  sync.WaitGroup
	ended chan struct{} // made by the first stop, closed when all work has ended
}

func newLifetime() *lifetime {
	l := new(lifetime)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// begin announces work, and reports false where it is too late for any.
func (l *lifetime) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != nil {
		return false
	}
	l.work.Add(1)
	return true
}

func (l *lifetime) end() { l.work.Done() }

// stop ends all work and waits for it, until ctx ends.
func (l *lifetime) stop(ctx context.Context) error {
	l.mu.Lock()
	if l.ended == nil {
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
