// Package record holds the one context value of a request: what the
// middlewares of keystile found out about it.
//
// A Record embeds its parent context, so that the record and the context that
// carries it are one allocation. The first middleware starts it; those inside
// find it with [From] and fill its slots. A slot is written once and may be
// read at any time, so an access log outside and a handler that outlives
// http.TimeoutHandler are no race. Records are never pooled: a goroutine that
// outlives its request may still read its own.
//
// The types of the root package appear here as any, because arrows between
// packages only go down; the root package is the one place that converts them.
package record

import (
	"context"
	"net/netip"
	"sync/atomic"
)

// Identity is what a Guard decided. Principal is a *keystile.Principal, nil
// where the Guard let an anonymous request pass; Guard is the *keystile.Guard,
// nil where a test put the principal there.
type Identity struct {
	Principal any
	Guard     any
}

// Client is where the request came from. An invalid Addr means that it could
// not be found out.
type Client struct {
	Addr netip.Addr
	TLS  bool
}

// A Charge is what one limiter charged to a request, linked to the limiters
// further out. Limiters embed it in their own state, so it costs nothing.
type Charge struct {
	Outer *Charge
	Of    any
}

// Record is the state of one request.
type Record struct {
	context.Context
	parent *Record
	// continues says that parent is about the same request, and not about one
	// that this is a part of.
	continues bool

	Identity  Slot[Identity]
	Route     Slot[*Route] // by pointer: most records never have one
	Outcome   Slot[error]
	Client    Slot[Client]
	Responder Slot[any]

	// Charges is the innermost open charge of this record.
	Charges atomic.Pointer[Charge]
	// Cached tells the observer that the credential came from a cache.
	Cached atomic.Bool
}

type contextKey struct{}

// Begin starts a record below ctx; the record that ctx has, if any, is its
// parent.
func Begin(ctx context.Context) *Record {
	return &Record{Context: ctx, parent: From(ctx)}
}

// From returns the innermost record of ctx, or nil.
func From(ctx context.Context) *Record {
	if r, ok := ctx.(*Record); ok {
		return r
	}
	r, _ := ctx.Value(contextKey{}).(*Record)
	return r
}

// Value makes the record findable below derived contexts.
func (r *Record) Value(key any) any {
	if key == (contextKey{}) {
		return r
	}
	return r.Context.Value(key)
}

// Continue starts a record below ctx that is about the same request as the
// record which ctx has.
func Continue(ctx context.Context) *Record {
	r := Begin(ctx)
	r.continues = r.parent != nil
	return r
}

// PutIdentity fills the identity of r, and of the records further out that are
// about the same request, for those who read them afterwards. It reports whether
// r had none.
func (r *Record) PutIdentity(id Identity) bool {
	if !r.Identity.Put(id) {
		return false
	}
	for r.continues {
		r = r.parent
		r.Identity.Put(id)
	}
	return true
}

// PutOutcome is PutIdentity for the outcome.
func (r *Record) PutOutcome(err error) {
	r.Outcome.Put(err)
	for r.continues {
		r = r.parent
		r.Outcome.Put(err)
	}
}

// Parent returns the record that r was started below, or nil.
func (r *Record) Parent() *Record { return r.parent }

// FindIdentity returns the innermost identity, that of r first.
func (r *Record) FindIdentity() (Identity, bool) {
	for ; r != nil; r = r.parent {
		if v, ok := r.Identity.Get(); ok {
			return v, true
		}
	}
	return Identity{}, false
}

// FindClient returns the innermost client address, that of r first.
func (r *Record) FindClient() (Client, bool) {
	for ; r != nil; r = r.parent {
		if v, ok := r.Client.Get(); ok {
			return v, true
		}
	}
	return Client{}, false
}

// FindResponder returns the innermost responder, that of r first.
func (r *Record) FindResponder() (any, bool) {
	for ; r != nil; r = r.parent {
		if v, ok := r.Responder.Get(); ok {
			return v, true
		}
	}
	return nil, false
}
