package apikey

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/record"
)

// Verifier judges keys that a Finder finds. It is safe for concurrent use. The
// zero value refuses every key with 500.
type Verifier struct {
	finder   Finder
	adopt    func(ctx context.Context, secret keystile.Secret) (*Key, error) // nil: no legacy table
	resolve  func(ctx context.Context, k *Key) (*keystile.Principal, error)
	shapes   []shape
	digester digester
	cache    *cache
	life     *lifetime
	touches  *touches  // nil: nobody writes down uses
	rehash   *rehasher // nil: there is one way to make digests, or nobody to write them

	feed     Feed
	interval time.Duration
	staleFor stamp
	wake     <-chan struct{}
	inStep   atomic.Int64 // when the last complete reading of the feed began, a stamp

	readTimeout   time.Duration
	houseInterval time.Duration
	clock         clock
	logger        *slog.Logger
}

// NewVerifier returns the Verifier that c describes, or all mistakes of c as
// *keystile.ConfigError values joined. With a Feed or Touch it works in the
// background until Close.
func NewVerifier(c VerifierConfig) (*Verifier, error) {
	const field = "apikey.VerifierConfig"
	var m mistakes
	if c.Finder == nil {
		m.add(field+".Finder", nil, "is nil; pass what finds the keys by their digest, or use New with a Store")
	}
	if len(c.Formats) == 0 {
		m.add(field+".Formats", nil, `is empty, so that no key would be accepted; list the shapes of keys, such as apikey.Format{Prefix: "acme_"}`)
	}
	m.formats(field+".Formats", c.Formats)
	m.join(peppersErr(field+".Peppers", c.Peppers))
	m.cache(field+".Cache", c.Cache)
	m.sync(field+".Sync", c.Sync, c.Cache, c.Feed)
	if len(m) > 0 {
		return nil, m.err()
	}
	v := newVerifier(c)
	v.start()
	return v, nil
}

// newVerifier trusts c and starts nothing.
func newVerifier(c VerifierConfig) *Verifier {
	cached := c.Cache.withDefaults()
	sync := c.Sync.withDefaults(cached)
	v := &Verifier{
		finder: c.Finder, resolve: c.Resolve, digester: newDigester(c.Peppers), cache: newCache(cached, len(c.Peppers) == 0), life: newLifetime(),
		feed: c.Feed, interval: sync.Interval, staleFor: stamp(sync.StaleFor), wake: sync.Wake,
		readTimeout: cached.ReadTimeout, houseInterval: sync.TouchInterval, clock: newClock(c.Now), logger: c.Logger,
	}
	for _, f := range c.Formats {
		v.shapes = append(v.shapes, f.compile())
	}
	if v.logger == nil {
		v.logger = slog.New(slog.DiscardHandler)
	}
	if c.Touch != nil && !sync.NoTouch {
		v.touches = newTouches(c.Touch, v.clock.now, v.logger)
	}
	return v
}

// start begins what works in the background, if there is any.
func (v *Verifier) start() {
	if v.feed != nil {
		v.inStep.Store(int64(v.clock.stamp()))
		v.life.run(v.follow)
	} else {
		v.cache.open.Store(true) // there is no news to wait for: TTL is the bound
	}
	if v.touches != nil || v.rehash != nil {
		v.life.run(v.keepHouse)
	}
}

// Verify judges a credential. The error is a *keystile.Error: refused, or
// unavailable where the store cannot be asked. ctx bounds how long the caller
// waits; a read of the store goes on for those who wait as well.
//
// A key that is restricted to networks or endpoints is refused where p has no
// Addr or no Route. An empty Scheme counts as SchemeAPIKey.
//
// Verify does not tell that Secret is empty from that it is wrong: whoever calls
// it has looked whether there is a credential.
func (v *Verifier) Verify(ctx context.Context, p keystile.Presented) (*keystile.Principal, error) {
	return v.verify(ctx, string(p.Secret), orElse(p.Scheme, keystile.SchemeAPIKey), where{addr: p.Addr, route: p.Route})
}

// VerifyToken is Verify, as keystile.TokenVerifier calls it.
func (v *Verifier) VerifyToken(ctx context.Context, p keystile.Presented) (*keystile.Principal, error) {
	return v.Verify(ctx, p)
}

// verify is the hot path. It goes from what is cheap to what is dear, and for a
// key that is cached it allocates nothing.
func (v *Verifier) verify(ctx context.Context, secret string, scheme keystile.Scheme, from where) (*keystile.Principal, error) {
	if v == nil || v.finder == nil {
		return nil, errZeroVerifier
	}
	if f := glanceAll(v.shapes, secret); f != flawNone {
		return nil, refusalsOf(scheme).flawed[f]
	}
	at := v.clock.stamp()
	if err := v.outOfOrder(at); err != nil {
		return nil, err
	}
	d := v.digester.current(secret)
	e, cached := v.cache.get(d, at)
	if !cached {
		if f := checkAll(v.shapes, secret); f != flawNone {
			return nil, refusalsOf(scheme).flawed[f]
		}
		var err error
		if e, cached, err = v.load(ctx, secret, d, at); err != nil {
			return nil, err
		}
	}
	if cached {
		if rec := record.From(ctx); rec != nil {
			rec.Cached.Store(true)
		}
	}
	if e == nil {
		return nil, refusalsOf(scheme).unknown
	}
	return v.judge(ctx, e, scheme, from, at)
}

// outOfOrder returns why no key can be judged at all now, or nil.
func (v *Verifier) outOfOrder(at stamp) error {
	if v.life.isOver() {
		return errClosedVerify
	}
	if v.feed != nil && at-stamp(v.inStep.Load()) >= v.staleFor {
		return errStale
	}
	return nil
}

// Bound returns how long a change that another process makes takes to be in force
// here at most: with a Feed Sync.Interval, and Sync.StaleFor while the Feed
// cannot be read; without one Cache.TTL. A change made through the same Keys is
// in force at once.
func (v *Verifier) Bound() time.Duration {
	if v == nil || v.finder == nil {
		return 0
	}
	if v.feed != nil {
		return min(v.interval, time.Duration(v.cache.ttl))
	}
	return time.Duration(v.cache.ttl)
}

// Forget drops what is remembered of keys that have changed, at once. Those who
// keep keys in a table of their own call it when they write to that table; name
// all digests that the key has and had. Keys calls it by itself.
func (v *Verifier) Forget(changes ...Change) {
	if v == nil || v.finder == nil {
		return
	}
	for _, c := range changes {
		v.cache.forget(c)
	}
}

// Close stops what works in the background, waits for it, and writes down the
// uses that are still pending, all of it until ctx ends. Call it after the
// server has shut down: from then on every key is answered with 503. It may be
// called again, which tries again to write what could not be written.
func (v *Verifier) Close(ctx context.Context) error {
	if v == nil || v.finder == nil {
		return nil
	}
	if err := v.life.stop(ctx); err != nil {
		return fmt.Errorf("apikey: closing: %w", err)
	}
	if v.touches != nil {
		if err := v.touches.flush(ctx); err != nil {
			return fmt.Errorf("apikey: writing down uses while closing: %w", err)
		}
	}
	return nil
}

// Format prints the type only: a Verifier in a log line must not spill digests.
func (*Verifier) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "apikey.Verifier") }
