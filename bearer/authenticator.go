package bearer

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/jose"
	"github.com/keystile/keystile/internal/record"
)

// Authenticator judges Bearer tokens: JWTs of its issuers, and opaque tokens
// through a verifier of them. It is a keystile.Authenticator, and safe for
// concurrent use. The zero value refuses every token with 500.
type Authenticator struct {
	opaque   keystile.TokenVerifier
	prefixes []string
	issuers  []*issuer
	revoked  func(ctx context.Context, c *Claims) (bool, error)
	memory   *memory // nil: nothing is remembered
	now      func() time.Time
	life     *lifetime
	ready    bool
}

// Present implements keystile.Authenticator: it reports whether r has an
// Authorization field with the scheme Bearer, or more than one such field.
func (a *Authenticator) Present(r *http.Request) bool {
	_, found := fieldToken(r.Header["Authorization"])
	return found != nothing
}

// Authenticate implements keystile.Authenticator.
func (a *Authenticator) Authenticate(r *http.Request) (*keystile.Principal, error) {
	if a == nil || !a.ready {
		return nil, errZeroAuthenticator
	}
	secret, found := fieldToken(r.Header["Authorization"])
	switch found {
	case nothing:
		return nil, absent
	case twice:
		return nil, refusedTwice
	case malformed:
		return nil, refusedGrammar
	}
	if inQuery(r) {
		return nil, refusedMethods
	}
	return a.judge(r.Context(), secret, where{r: r})
}

// Challenges implements keystile.Authenticator, as RFC 6750 section 3 says.
func (a *Authenticator) Challenges(_ *http.Request, err error) []string {
	if c := keystile.BearerChallenge(err); c != "" {
		return []string{c}
	}
	return nil
}

// Verify judges a token that came by other ways than the Authorization field, such
// as the first message of a websocket. The Scheme of p does not matter. The error
// is a *keystile.Error.
func (a *Authenticator) Verify(ctx context.Context, p keystile.Presented) (*keystile.Principal, error) {
	if a == nil || !a.ready {
		return nil, errZeroAuthenticator
	}
	return a.judge(ctx, string(p.Secret), where{addr: p.Addr, route: p.Route})
}

// Close waits until the fetches of keys that are on their way have ended, until
// ctx ends; it cuts them short. Call it after the server has shut down: nothing is
// fetched any more.
func (a *Authenticator) Close(ctx context.Context) error {
	if a == nil || !a.ready {
		return nil
	}
	if err := a.life.stop(ctx); err != nil {
		return fmt.Errorf("bearer: closing: %w", err)
	}
	return nil
}

// Format prints the type only.
func (*Authenticator) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "bearer.Authenticator")
}

// judge decides which kind of token it is, and then what it is worth as one: a
// token that was refused as the one is never tried as the other. It goes from
// what is cheap to what is dear.
func (a *Authenticator) judge(ctx context.Context, secret string, from where) (*keystile.Principal, error) {
	if len(secret) > MaxToken {
		return nil, refusedLong
	}
	// A token without a dot is no JWT, and need not be hashed.
	if len(a.issuers) == 0 || strings.IndexByte(secret, '.') < 0 || a.isDeclared(secret) {
		return a.judgeOpaque(ctx, secret, from)
	}
	now := a.now()
	var d digest
	if a.memory != nil {
		// A token that is remembered has been read from end to end.
		d = digestOf(secret)
		if v := a.memory.get(&d, a.memory.stamp(now)); v != nil {
			if p, good, err := a.recall(ctx, v, now); good {
				return p, err
			}
		}
	}
	if !jose.IsCompact(secret) {
		return a.judgeOpaque(ctx, secret, from)
	}
	v, err := a.verify(ctx, secret, now)
	if err != nil {
		return nil, err
	}
	if a.memory != nil {
		a.memory.put(&d, v)
	}
	return a.admit(ctx, v)
}

func (a *Authenticator) isDeclared(secret string) bool {
	for _, prefix := range a.prefixes {
		if strings.HasPrefix(secret, prefix) {
			return true
		}
	}
	return false
}

// recall judges a token that is remembered. It is not good where it has to be
// verified again: its key has left the set, or the set is too old to tell.
func (a *Authenticator) recall(ctx context.Context, v *verified, now time.Time) (p *keystile.Principal, good bool, err error) {
	at := a.memory.stamp(now)
	switch {
	case at >= v.ends:
		a.memory.forget(v)
		return nil, true, refusedExpired
	case at < v.begins, !v.issuer.keys.serves(v.key, now):
		a.memory.forget(v)
		return nil, false, nil
	}
	if rec := record.From(ctx); rec != nil {
		rec.Cached.Store(true)
	}
	p, err = a.admit(ctx, v)
	return p, true, err
}

// admit asks what may have changed since the token was verified, and returns the
// principal of now.
func (a *Authenticator) admit(ctx context.Context, v *verified) (*keystile.Principal, error) {
	if a.revoked != nil {
		revoked, err := a.revoked(ctx, v.claims)
		if err != nil {
			return nil, outcome(fmt.Errorf("bearer: asking whether the token is revoked: %w", err), keystile.SchemeJWT)
		}
		if revoked {
			return nil, refusedRevoked
		}
	}
	resolve := v.issuer.mapping.Resolve
	if resolve == nil {
		return v.principal, nil
	}
	p, err := resolve(ctx, v.claims, v.principal.Clone())
	switch {
	case err != nil:
		return nil, outcome(fmt.Errorf("bearer: resolving the principal: %w", err), keystile.SchemeJWT)
	case p == nil:
		return nil, errNilPrincipal
	case p.Subject == "":
		return nil, refuse(errNoSubject)
	}
	p = p.WithCredential(v.claims)
	p.CredentialID = orElse(p.CredentialID, p.Subject)
	p.Scheme = orElse(p.Scheme, keystile.SchemeJWT)
	p.Expires = orElse(p.Expires, v.principal.Expires)
	return p, nil
}
