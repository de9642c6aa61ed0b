package keystile

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/keystile/keystile/internal/record"
)

// PrincipalFrom returns who is calling, as the innermost Guard found out. It
// returns false where no Guard ran and where the Guard let an anonymous request
// pass.
func PrincipalFrom(ctx context.Context) (*Principal, bool) {
	id, _ := record.From(ctx).FindIdentity()
	p, _ := id.Principal.(*Principal)
	return p, p != nil
}

// WithPrincipal returns a context in which p is calling, for tests of handlers
// and for routers of one's own. A nil p is an anonymous caller.
func WithPrincipal(ctx context.Context, p *Principal) context.Context {
	rec := record.Begin(ctx)
	rec.Identity.Put(record.Identity{Principal: p})
	return rec
}

// Track returns r with a request record, r itself where it has one. A
// middleware that wants to name the caller after next has returned calls it
// first:
//
//	r = keystile.Track(r)
//	next.ServeHTTP(w, r)
//	p, ok := keystile.PrincipalFrom(r.Context())
func Track(r *http.Request) *http.Request {
	if record.From(r.Context()) != nil {
		return r
	}
	return r.WithContext(record.Begin(r.Context()))
}

// OutcomeFrom returns the error that RespondError answered this request with,
// or nil. With Track it may be read after next has returned.
func OutcomeFrom(ctx context.Context) *Error {
	if rec := record.From(ctx); rec != nil {
		err, _ := rec.Outcome.Get()
		e, _ := err.(*Error)
		return e
	}
	return nil
}

// WithRoute returns a context in which every request has the given route, such
// as "GET /v1/contacts/{id}", for tests. A router of one's own sets the Pattern
// of the request instead.
func WithRoute(ctx context.Context, route string) context.Context {
	rec := record.Begin(ctx)
	rec.Route.Put(&record.Route{Pattern: normalRoute(route, "")})
	return rec
}

// WithClient returns a context in which the request came from addr, over TLS or
// not, for tests and for servers behind a front of one's own.
func WithClient(ctx context.Context, addr netip.Addr, tls bool) context.Context {
	rec := record.Begin(ctx)
	rec.Client.Put(record.Client{Addr: cleanAddr(addr), TLS: tls})
	return rec
}

// WithResponder returns a context below which RespondError answers this request
// through p.
func WithResponder(ctx context.Context, p Responder) context.Context {
	rec := record.Continue(ctx)
	rec.Responder.Put(p)
	return rec
}
