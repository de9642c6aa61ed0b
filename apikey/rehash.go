package apikey

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	maxRehashes = 256 // that wait; the rest comes when it is used again
)

// rehasher brings secrets under the current pepper after they were used. No
// request waits for it, and what fails happens again with a later use.
type rehasher struct {
	update func(ctx context.Context, id string, change func(*Key) (bool, error)) error
	pepper string // the name of the current one
	logger *slog.Logger

	mu   sync.Mutex
	todo []outdated
}

// outdated is a digest of a key, and what it is to be replaced by.
type outdated struct {
	id       string
	old, new Digest
}

// add notes work, and reports false where there is too much of it already.
func (r *rehasher) add(id string, old, new Digest) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.todo) >= maxRehashes {
		return false
	}
	r.todo = append(r.todo, outdated{id, old, new})
	return true
}

// run does what has been noted, one key after the other.
func (r *rehasher) run(ctx context.Context) {
	r.mu.Lock()
	todo := r.todo
	r.todo = nil
	r.mu.Unlock()
	for _, o := range todo {
		err := r.update(ctx, o.id, func(k *Key) (bool, error) { return o.apply(k, r.pepper), nil })
		switch {
		case err == nil, errors.Is(err, ErrConflict), errors.Is(err, ErrNotFound), errors.Is(err, ErrExists):
			// Done, or somebody else was quicker.
		case ctx.Err() != nil:
			return
		default:
			r.logger.Warn("apikey: a digest could not be brought under the current pepper; it stays as it is", "id", o.id, "error", err)
		}
	}
}

// apply replaces the digest, unless it is gone.
func (o outdated) apply(k *Key, pepper string) bool {
	i := slices.IndexFunc(k.Secrets, func(s Secret) bool { return s.Digest.Equal(o.old) })
	if i < 0 {
		return false
	}
	k.Secrets[i].Digest, k.Secrets[i].Pepper = o.new, pepper
	return true
}

// keepHouse writes down uses and brings secrets under the current pepper until
// the Verifier is closed.
func (v *Verifier) keepHouse() {
	tick := time.NewTicker(v.houseInterval)
	defer tick.Stop()
	for {
		select {
		case <-v.life.ctx.Done():
			return
		case <-tick.C:
		}
		v.tidy()
	}
}

// tidy does one round. A panic in a store ends the round, not the process.
func (v *Verifier) tidy() {
	defer func() {
		if r := recover(); r != nil {
			v.logger.Error("apikey: panic in a store", "panic", r)
		}
	}()
	ctx, cancel := context.WithTimeout(v.life.ctx, max(v.houseInterval, v.readTimeout))
	defer cancel()
	if v.touches != nil {
		_ = v.touches.flush(ctx) // logged, and tried again
	}
	if v.rehash != nil {
		v.rehash.run(ctx)
	}
}
