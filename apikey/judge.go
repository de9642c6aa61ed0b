package apikey

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"

	"github.com/keystile/keystile"
)

// Refusals that say nothing of a particular key are made once. There is one set
// for each scheme.
type refusals struct {
	flawed  [flawAlphabet + 1]*keystile.Error
	unknown *keystile.Error
}

var errUnknown = errors.New("apikey: no key has this secret")

func newRefusals(scheme keystile.Scheme) *refusals {
	refuse := func(err error) *keystile.Error {
		return &keystile.Error{Code: keystile.CodeUnauthorized, Scheme: scheme, Err: err}
	}
	r := &refusals{unknown: refuse(errUnknown)}
	for i := flawLength; i <= flawAlphabet; i++ {
		r.flawed[i] = refuse(i.err())
	}
	return r
}

var (
	refusedAPIKey = newRefusals(keystile.SchemeAPIKey)
	refusedBearer = newRefusals(keystile.SchemeBearer)

	errStale        = keystile.Unavailable(errors.New("apikey: the feed has not been readable for too long, so nothing here can be trusted to be in force"))
	errClosedVerify = keystile.Unavailable(ErrClosed)
	errZeroVerifier = &keystile.Error{Code: keystile.CodeInternal, Err: errors.New("apikey: this Verifier was not made by NewVerifier or New")}
	errNilPrincipal = &keystile.Error{Code: keystile.CodeInternal, Err: errors.New("apikey: Resolve returned neither a principal nor an error")}
)

func refusalsOf(scheme keystile.Scheme) *refusals {
	switch scheme {
	case keystile.SchemeAPIKey:
		return refusedAPIKey
	case keystile.SchemeBearer:
		return refusedBearer
	}
	return newRefusals(scheme)
}

// where a request comes from and what for: worked out only for the keys that ask.
type where struct {
	r     *http.Request // nil: addr and route are given
	addr  netip.Addr
	route string
}

func (w where) address() netip.Addr {
	if w.r != nil {
		return keystile.ClientAddr(w.r)
	}
	return w.addr.Unmap()
}

func (w where) endpoint() string {
	if w.r != nil {
		return keystile.Route(w.r)
	}
	return w.route
}

// judge decides about the holder of the secret of e.
func (v *Verifier) judge(ctx context.Context, e *entry, scheme keystile.Scheme, from where, at stamp) (*keystile.Principal, error) {
	switch {
	case e.refused == revoked:
		return nil, e.refuse(keystile.CodeKeyRevoked, scheme)
	case e.mortal && isOver(e.ends, v.clock.now()):
		return nil, e.refuse(keystile.CodeKeyExpired, scheme)
	case e.refused == disabled:
		return nil, e.refuse(keystile.CodeKeyDisabled, scheme)
	}
	if e.restricted {
		if code := e.restrict(from); code != "" {
			return nil, e.refuse(code, scheme)
		}
	}
	var p *keystile.Principal
	if v.resolve == nil {
		p = e.principal(scheme)
	} else {
		var err error
		if p, err = v.resolved(ctx, e, scheme); err != nil {
			return nil, err
		}
	}
	if v.touches != nil {
		v.touches.mark(e, at)
	}
	if e.outdated && e.rehashing.CompareAndSwap(false, true) && !v.rehash.add(e.key.ID, e.stored, e.digest()) {
		e.rehashing.Store(false)
	}
	return p, nil
}

// restrict returns why the key may not be used there, or "". What is not known is
// not allowed.
func (e *entry) restrict(from where) keystile.Code {
	if networks := e.key.Networks; len(networks) > 0 {
		addr := from.address()
		if !slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			return keystile.CodeIPNotAllowed
		}
	}
	if rules := e.key.Endpoints; len(rules) > 0 && !keystile.MatchEndpoint(rules, from.endpoint()) {
		return keystile.CodeEndpointNotAllowed
	}
	return ""
}

// resolved asks Resolve for the principal and completes it.
func (v *Verifier) resolved(ctx context.Context, e *entry, scheme keystile.Scheme) (*keystile.Principal, error) {
	p, err := v.resolve(ctx, e.key.Clone())
	if err != nil {
		if asError(err) != nil {
			return nil, err
		}
		return nil, keystile.Unavailable(fmt.Errorf("apikey: resolving key %s: %w", e.key.ID, err))
	}
	if p == nil {
		return nil, errNilPrincipal
	}
	p = p.WithCredential(e.key)
	p.Subject = orElse(p.Subject, e.key.ID)
	p.CredentialID = orElse(p.CredentialID, e.key.ID)
	p.Scheme = orElse(p.Scheme, scheme)
	if p.Expires.IsZero() {
		p.Expires = e.ends
	}
	return p, nil
}

func (e *entry) refuse(code keystile.Code, scheme keystile.Scheme) *keystile.Error {
	return &keystile.Error{Code: code, Scheme: scheme, Err: keyRefused(e.key.ID)}
}

// keyRefused is the cause of a refusal: the log may know which key it was.
type keyRefused string

func (id keyRefused) Error() string { return "apikey: key " + string(id) }
