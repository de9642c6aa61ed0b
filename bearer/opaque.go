package bearer

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/keystile/keystile"
)

// where a token comes from and what for: worked out only for the opaque ones.
type where struct {
	r     *http.Request // nil: addr and route are given
	addr  netip.Addr
	route string
}

func (a *Authenticator) judgeOpaque(ctx context.Context, secret string, from where) (*keystile.Principal, error) {
	if !isB64Token(secret) {
		return nil, refusedGrammar
	}
	if a.opaque == nil {
		return nil, refusedNoOpaque
	}
	if from.r != nil {
		from.addr, from.route = keystile.ClientAddr(from.r), keystile.Route(from.r)
	}
	p, err := a.opaque.VerifyToken(ctx, keystile.Presented{
		Secret: keystile.Secret(secret), Scheme: keystile.SchemeBearer, Addr: from.addr, Route: from.route,
	})
	switch {
	case err != nil:
		return nil, opaqueOutcome(err)
	case p == nil:
		return nil, errNilPrincipal
	}
	return p, nil
}

// opaqueOutcome hands on what a verifier says, without a copy where it is one of
// keystile's already.
func opaqueOutcome(err error) error {
	if e, ok := err.(*keystile.Error); ok && e != nil && e.Scheme != "" {
		return e
	}
	return outcome(fmt.Errorf("bearer: verifying an opaque token: %w", err), keystile.SchemeBearer)
}
