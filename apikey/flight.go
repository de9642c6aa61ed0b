package apikey

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"

	"github.com/keystile/keystile"
)

// flight is one read of the store, for all who ask for the same secret meanwhile.
// It flies by itself: a caller who gives up fails no other.
type flight struct {
	asked []Digest
	gens  []uint64 // the generations of the shards of asked, from before the read
	began stamp

	done  chan struct{} // closed when the rest is set
	entry *entry        // nil without err: nobody's secret
	err   error
}

// current reports whether no digest of f has been invalidated since f began.
func (c *cache) current(f *flight) bool {
	for i, d := range f.asked {
		if c.shard(d).gen.Load() != f.gens[i] {
			return false
		}
	}
	return true
}

// join returns what is known by now, or the flight to wait for, and whether the
// caller is to start it. A flight that began before an invalidation is not
// joined by those who ask after it.
func (c *cache) join(asked []Digest, at stamp) (e *entry, known bool, f *flight, start bool) {
	s := c.shard(asked[0])
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.key(asked[0], at); e != nil {
		return e, true, nil, false
	}
	if f := s.flights[asked[0]]; f != nil && c.current(f) {
		return nil, false, f, false
	}
	f = &flight{asked: asked, gens: make([]uint64, len(asked)), began: at, done: make(chan struct{})}
	for i, d := range asked {
		f.gens[i] = c.shard(d).gen.Load()
	}
	s.flights[asked[0]] = f
	return nil, false, f, true
}

// land stores what f found and then takes it out of the air, so that there is no
// moment at which neither is seen.
func (c *cache) land(f *flight) {
	c.store(f)
	c.end(f)
}

func (c *cache) end(f *flight) {
	s := c.shard(f.asked[0])
	s.mu.Lock()
	if s.flights[f.asked[0]] == f {
		delete(s.flights, f.asked[0])
	}
	s.mu.Unlock()
	close(f.done)
}

// load returns the entry of a secret that is not in the cache, or nil where it is
// nobody's, and whether that was in the cache after all.
func (v *Verifier) load(ctx context.Context, secret string, d Digest, at stamp) (e *entry, cached bool, err error) {
	if ctx.Err() != nil {
		return nil, false, keystile.Unavailable(context.Cause(ctx))
	}
	asked := v.digester.all(secret, d)
	if !v.cache.single && v.cache.missed(asked, at) {
		return nil, true, nil
	}
	if !v.life.begin() {
		return nil, false, errClosedVerify
	}
	e, known, f, start := v.cache.join(asked, at)
	switch {
	case start && v.cache.missed(asked, at): // by a flight that landed just before this one was announced
		v.cache.end(f)
		v.life.end()
		return nil, true, nil
	case start:
		go v.fly(ctx, f, secret)
	default:
		v.life.end()
	}
	if known {
		return e, true, nil
	}
	select {
	case <-f.done:
		return f.entry, false, f.err
	case <-ctx.Done():
		return nil, false, keystile.Unavailable(context.Cause(ctx))
	}
}

// fly reads the store. It keeps the values of the leader's context, for tracing,
// but neither its cancellation nor its deadline.
func (v *Verifier) fly(ctx context.Context, f *flight, secret string) {
	defer v.life.end()
	f.err = errAbandoned
	defer func() {
		if r := recover(); r != nil {
			// Nobody above this goroutine recovers: the server would die.
			v.logger.Error("apikey: panic in a store", "panic", r, "stack", string(debug.Stack()))
			f.entry, f.err = nil, &keystile.Error{Code: keystile.CodeInternal, Err: fmt.Errorf("apikey: panic in a store: %v", r)}
		}
		v.cache.land(f)
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.readTimeout)
	defer cancel()
	defer context.AfterFunc(v.life.ctx, cancel)()
	f.entry, f.err = v.read(ctx, f, secret)
}

var errAbandoned = keystile.Unavailable(errors.New("apikey: the store did not return"))

// read asks the store, and after it the legacy table.
func (v *Verifier) read(ctx context.Context, f *flight, secret string) (*entry, error) {
	k, err := v.finder.FindByDigest(ctx, slices.Clone(f.asked)...)
	if errors.Is(err, ErrNotFound) && v.adopt != nil {
		k, err = v.adopt(ctx, keystile.Secret(secret))
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case errors.Is(err, errLegacyBusy):
		return nil, errLegacyOverloaded
	case errors.Is(err, ErrCorrupt):
		v.logger.Error("apikey: corrupt record", "error", err)
		return nil, keystile.Unavailable(err)
	case err != nil:
		return nil, keystile.Unavailable(fmt.Errorf("apikey: reading the store: %w", err))
	}
	e, err := v.newEntry(k, f)
	if err != nil {
		id := slog.String("id", "")
		if k != nil {
			id.Value = slog.StringValue(k.ID)
		}
		v.logger.Error("apikey: corrupt record", id, "error", err)
		return nil, keystile.Unavailable(err)
	}
	return e, nil
}
