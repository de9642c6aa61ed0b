package bearer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/jose"
)

// remoteKeys is the key set of one issuer, as far as it is known here. Sets of
// two issuers share nothing: a kid means something within its issuer only
// (CVE-2026-49998).
type remoteKeys struct {
	config     RemoteConfig
	fetcher    fetcher
	algorithms []jose.Algorithm
	issuer     string
	life       *lifetime
	now        func() time.Time
	logger     *slog.Logger

	hand    atomic.Pointer[keysInHand]
	failing atomic.Bool  // failed is set
	quiet   atomic.Int64 // until when there is no use in asking for a fetch, in nanoseconds since epoch
	epoch   time.Time

	mu     sync.Mutex
	flight *flight
	began  time.Time // when the last flight began; zero: none has
	failed error     // why the last one brought nothing; nil: it did
}

// keysInHand are what the last good fetch brought.
type keysInHand struct {
	set *jose.Set
	at  time.Time // when that fetch began
}

// flight is one fetch, for all who wait for it. It flies by itself: a caller who
// gives up fails no other.
type flight struct {
	done chan struct{} // closed when err is set and the keys are in force
	err  error
}

func newRemoteKeys(c RemoteConfig, o opening) *remoteKeys {
	return &remoteKeys{
		config: c, fetcher: newFetcher(c, o.issuer), algorithms: o.algorithms,
		issuer: o.issuer, life: o.life, now: o.now, logger: o.logger, epoch: o.now(),
	}
}

// serves implements source.
func (r *remoteKeys) serves(k *jose.Key, now time.Time) bool {
	hand := r.fresh(now)
	if hand == nil || k.Gone() {
		return false
	}
	age := now.Sub(hand.at)
	if r.overdue(age) {
		return false // and find waits
	}
	if age >= r.config.RefreshAfter && int64(now.Sub(r.epoch)) >= r.quiet.Load() {
		r.refresh(now)
	}
	return true
}

// find implements source.
func (r *remoteKeys) find(ctx context.Context, now time.Time, h *jose.Header) ([]*jose.Key, error) {
	hand := r.fresh(now)
	var f *flight
	if hand != nil {
		wait := false
		if age := now.Sub(hand.at); age >= r.config.RefreshAfter {
			wait = r.overdue(age)
			f = r.refresh(now)
		}
		// A kid that is known with another algorithm is no reason to fetch.
		if keys, known := hand.set.Find(h); known && (f == nil || !wait) {
			return some(keys)
		}
	}
	if f == nil {
		f = r.refresh(now)
	}
	var err error
	if f != nil {
		select {
		case <-f.done:
			err = f.err
		case <-ctx.Done():
			return nil, keystile.Unavailable(context.Cause(ctx))
		}
	} else {
		err = r.failure()
	}
	now = r.now()
	if hand = r.fresh(now); hand != nil {
		// While the issuer cannot be asked, a kid that is not in hand may be a new
		// one: that is for nobody to say.
		if keys, known := hand.set.Find(h); known || err == nil {
			return some(keys)
		}
	}
	return nil, r.unavailable(now, err)
}

func some(keys []*jose.Key) ([]*jose.Key, error) {
	if len(keys) == 0 {
		return nil, errUnknownKey
	}
	return keys, nil
}

// fresh returns the keys in hand that are in force at now, or nil.
func (r *remoteKeys) fresh(now time.Time) *keysInHand {
	hand := r.hand.Load()
	if hand == nil || now.Sub(hand.at) >= r.config.MaxAge {
		return nil
	}
	return hand
}

// overdue reports whether keys of that age should not be used before the fetch
// that is on its way has come back: nobody asked for them for a long time, so
// nothing is known of the issuer. Where it has been asked and did not answer, the
// keys in hand serve until MaxAge.
func (r *remoteKeys) overdue(age time.Duration) bool {
	return age >= 2*r.config.RefreshAfter && !r.failing.Load()
}

func (r *remoteKeys) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// refresh returns the fetch that is on its way, having sent one off if there is
// none and the last one is long enough ago; else nil. It does not wait.
func (r *remoteKeys) refresh(now time.Time) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.flight != nil:
		return r.flight
	case !r.began.IsZero() && now.Sub(r.began) < r.config.MinInterval:
		return nil
	case !r.life.begin():
		r.fail(ErrClosed)
		return nil
	}
	r.began = now
	r.quiet.Store(int64(now.Sub(r.epoch) + r.config.MinInterval))
	r.flight = &flight{done: make(chan struct{})}
	go r.fly(r.flight, now)
	return r.flight
}

var errAbandoned = errors.New("bearer: the fetch was abandoned")

func (r *remoteKeys) fly(f *flight, began time.Time) {
	defer r.life.end()
	var set *jose.Set
	f.err = errAbandoned
	defer func() {
		if p := recover(); p != nil {
			// Nobody above this goroutine recovers, and the client is the user's.
			r.logger.Error("bearer: panic in a fetch of keys", "issuer", r.issuer, "panic", p, "stack", string(debug.Stack()))
			f.err = fmt.Errorf("bearer: panic in a fetch of keys: %v", p)
		}
		r.land(f, set, began)
	}()
	ctx, cancel := context.WithTimeout(r.life.ctx, r.config.Timeout)
	defer cancel()
	set, f.err = r.fetch(ctx)
}

func (r *remoteKeys) fetch(ctx context.Context) (*jose.Set, error) {
	text, err := r.fetcher.fetch(ctx)
	if err != nil {
		return nil, err
	}
	set, notes, err := jose.ParsePublished(text)
	for _, note := range notes {
		r.logger.Info("bearer: passing over a key", "issuer", r.issuer, "reason", note)
	}
	if err != nil {
		return nil, fmt.Errorf("bearer: the key set: %w", err)
	}
	if !useful(set, r.algorithms) {
		return nil, fmt.Errorf("bearer: the key set: %w", errNoUse)
	}
	return set, nil
}

// land puts what a flight brought in force.
func (r *remoteKeys) land(f *flight, set *jose.Set, began time.Time) {
	r.mu.Lock()
	if f.err == nil {
		old := r.hand.Load()
		if old != nil {
			set.Succeed(old.set)
		}
		r.hand.Store(&keysInHand{set, began})
	}
	r.fail(f.err)
	r.flight = nil
	r.mu.Unlock()
	close(f.done)
	if f.err != nil {
		r.logger.Warn("bearer: the keys of an issuer could not be fetched; those in hand stay in force until they are too old", "issuer", r.issuer, "error", f.err)
	}
}

// fail notes how the last fetch ended. The caller holds the lock.
func (r *remoteKeys) fail(err error) {
	r.failed = err
	r.failing.Store(err != nil)
}

// unavailable is the answer where a token cannot be judged: 503, and a wait that
// ends when the next fetch may begin.
func (r *remoteKeys) unavailable(now time.Time, cause error) *keystile.Error {
	if cause == nil {
		cause = errors.New("they have not been fetched for too long")
	}
	e := keystile.Unavailable(fmt.Errorf("bearer: no keys of issuer %s: %w", r.issuer, cause))
	r.mu.Lock()
	e.RetryAfter = min(max(r.config.MinInterval-now.Sub(r.began), time.Second), maxFetch)
	r.mu.Unlock()
	return e
}
