package apikey

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/keystile/keystile"
)

// legacyQueue is how many secrets may wait for the legacy table. A slow hash is
// what such a table is about, and a flood of guesses must not pile up behind it.
const legacyQueue = 32

var (
	errLegacyBusy       = errors.New("apikey: too many secrets wait for the legacy table")
	errLegacyOverloaded = &keystile.Error{Code: keystile.CodeOverloaded, RetryAfter: time.Second, Err: errLegacyBusy}
)

// legacy asks Config.Legacy and moves what it finds into the store.
type legacy struct {
	keys    *Keys
	find    func(ctx context.Context, secret keystile.Secret) (*Key, error)
	running chan struct{}
	waiting atomic.Int64
}

func newLegacy(k *Keys, find func(context.Context, keystile.Secret) (*Key, error)) *legacy {
	return &legacy{keys: k, find: find, running: make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))}
}

// adopt returns the key of a secret that the store does not know.
func (l *legacy) adopt(ctx context.Context, secret keystile.Secret) (*Key, error) {
	if l.waiting.Add(1) > legacyQueue {
		l.waiting.Add(-1)
		return nil, errLegacyBusy
	}
	select {
	case l.running <- struct{}{}:
		l.waiting.Add(-1)
	case <-ctx.Done():
		l.waiting.Add(-1)
		return nil, context.Cause(ctx)
	}
	defer func() { <-l.running }()
	found, err := l.find(ctx, secret)
	switch {
	case err != nil:
		return nil, err // ErrNotFound among others
	case found == nil:
		return nil, fmt.Errorf("%w: Legacy returned neither a key nor an error", ErrCorrupt)
	}
	return l.move(ctx, found.Clone(), secret)
}

// move creates k in the store, with this secret alone.
func (l *legacy) move(ctx context.Context, k *Key, secret keystile.Secret) (*Key, error) {
	k.Secrets = []Secret{l.keys.digester.secret(string(secret))}
	if k.CreatedAt.IsZero() {
		k.CreatedAt = l.keys.clock.now().UTC().Round(0)
	}
	if k.Hint == "" {
		k.Hint = l.keys.hint(string(secret))
	}
	if err := checkKey(k); err != nil {
		return nil, fmt.Errorf("%w: from Legacy: %w", ErrCorrupt, err)
	}
	tidyKey(k)
	revision, err := l.keys.store.Create(ctx, k)
	if errors.Is(err, ErrExists) {
		// Another process was quicker; or the key is in the store and has other
		// secrets by now, and then this one is nobody's.
		return l.keys.store.FindByDigest(ctx, l.keys.digester.all(string(secret), k.Secrets[0].Digest)...)
	}
	if err != nil {
		return nil, err
	}
	k.Revision = revision
	return k, nil
}
