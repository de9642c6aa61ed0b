package limiter

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/keystile/keystile"
)

// ask is Store.Take within StoreTimeout.
func (l *Limiter) ask(ctx context.Context, d *Demand) error {
	if _, local := l.config.Store.(*MemoryStore); !local {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.config.StoreTimeout)
		defer cancel()
	}
	return l.config.Store.Take(ctx, d)
}

// detached is for what must be done although the client has left.
func (l *Limiter) detached(ctx context.Context, store Store) (context.Context, context.CancelFunc) {
	if _, local := store.(*MemoryStore); local {
		return context.Background(), func() {} // waits for nobody
	}
	return context.WithTimeout(context.WithoutCancel(ctx), l.config.StoreTimeout)
}

// maxForgetting bounds how many leases of unknown outcome are released at once;
// further ones end by themselves.
const maxForgetting = 64

// forget releases a lease that a store may have taken although it failed, or did
// not answer in time. Nobody waits for it.
func (l *Limiter) forget(ctx context.Context, d *Demand) {
	store, id := l.config.Store, d.Lease
	if _, local := store.(*MemoryStore); local || id == (LeaseID{}) {
		return
	}
	if l.forgetting.Add(1) > maxForgetting {
		l.forgetting.Add(-1)
		return
	}
	key := append([]byte(nil), d.Key...)
	go func() {
		defer l.forgetting.Add(-1)
		defer func() {
			if r := recover(); r != nil {
				l.logger().Error("limiter: the store panicked when a lease was released", "limiter", l.config.Name, "panic", r)
			}
		}()
		ctx, cancel := l.detached(ctx, store)
		defer cancel()
		_ = store.Release(ctx, key, id) // what is not freed now is freed when it expires
	}()
}

// maxKey is the length from which on a key is hashed, so that nobody fills the
// store with long ones.
const maxKey = 160

// shorten replaces the part of key behind prefix by its hash where it is long.
// No way to count begins with an h.
func shorten(key []byte, prefix int) []byte {
	if len(key)-prefix <= maxKey {
		return key
	}
	sum := sha256.Sum256(key[prefix:])
	return append(append(key[:prefix], 'h'), sum[:]...)
}

func (l *Limiter) logger() *slog.Logger { return l.config.Logger }

// quiet lets one line in 10 seconds pass.
type quiet struct{ next atomic.Int64 }

const quietFor = 10 * time.Second

func (q *quiet) pass(now time.Time) bool {
	at, next := now.UnixNano(), q.next.Load()
	return at >= next && q.next.CompareAndSwap(next, at+int64(quietFor))
}

// log writes down what an operator must learn even without an Observer.
func (l *Limiter) log(r *http.Request, err *keystile.Error, failure error) {
	switch {
	case failure != nil && l.outages.pass(l.config.Now()):
		l.logger().ErrorContext(r.Context(), "limiter: the store fails", "limiter", l.config.Name, "cause", failure)
	case err != nil && errors.Is(err, keystile.CodeInternal) && l.mistakes.pass(l.config.Now()):
		l.logger().ErrorContext(r.Context(), "limiter: wiring mistake", "limiter", l.config.Name, "route", keystile.Route(r), "cause", err.Err)
	}
}
