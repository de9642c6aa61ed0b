package bearer

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/jose"
)

// verify judges a JWT that is not remembered: its header, its signature, its
// claims, in that order. Nothing but the header is read of a token that nobody
// has signed, and its iss where there are several issuers to choose from.
func (a *Authenticator) verify(ctx context.Context, secret string, now time.Time) (*verified, error) {
	t, err := jose.Parse(secret)
	if err != nil {
		return nil, refuse(err)
	}
	is, err := a.take(&t)
	if err != nil {
		return nil, refuse(err)
	}
	if err := is.checkHeader(&t.Header); err != nil {
		return nil, refuse(err)
	}
	keys, err := is.keys.find(ctx, now, &t.Header)
	if err != nil {
		if errors.Is(err, errUnknownKey) {
			return nil, refuse(err)
		}
		return nil, err
	}
	payload, key, err := t.Verify(keys)
	if err != nil {
		return nil, refuse(err)
	}
	c, err := readClaims(payload)
	if err != nil {
		return nil, refuse(err)
	}
	now = a.now() // find may have waited
	if err := is.checkClaims(c, now); err != nil {
		if errors.Is(err, errExpired) {
			return nil, refusedExpired
		}
		return nil, refuse(err)
	}
	p, err := is.mapping.principal(is, c)
	if err != nil {
		return nil, refuse(err)
	}
	v := &verified{issuer: is, key: key, principal: p.WithCredential(c), claims: c}
	if a.memory != nil {
		v.begins, v.ends, v.front = a.memory.span(c, is.leeway, now)
	}
	return v, nil
}

// checkHeader says which tokens are looked at at all.
func (is *issuer) checkHeader(h *jose.Header) error {
	if !slices.Contains(is.algorithms, h.Algorithm) {
		return errAlgorithm
	}
	// RFC 8725 section 3.11: a token of another type is not to be taken for this
	// one, whoever signed it.
	switch {
	case h.Type == "at+jwt":
	case is.profile == ProfileAccessToken: // RFC 9068 section 4
		return errType
	case h.Type != "" && h.Type != "jwt":
		return errType
	}
	if h.ContentType == "jwt" { // RFC 7519 section 5.2
		return errNested
	}
	return nil
}

// checkClaims judges what a token of this issuer says.
func (is *issuer) checkClaims(c *Claims, now time.Time) error {
	switch {
	case c.Issuer != is.name && !(is.noIssuer && jose.Member(c.text, "iss") == nil):
		return errIssuer
	case !is.meant(c):
		return errAudience
	case !c.hasExp:
		return errNoExpiry
	case !now.Before(c.Expires.Add(is.leeway)): // RFC 7519 section 4.1.4: on or after
		return errExpired
	case now.Before(c.NotBefore.Add(-is.leeway)):
		return errEarly
	case now.Before(c.IssuedAt.Add(-maxLeeway)):
		return errAhead
	case is.profile == ProfileAccessToken && (c.Subject == "" || c.ClientID == "" || c.ID == "" || c.IssuedAt.IsZero()):
		return errRequired
	}
	return nil
}

// meant reports whether one of the audiences is this service (RFC 7519 section
// 4.1.3).
func (is *issuer) meant(c *Claims) bool {
	if !c.hasAud {
		return is.noAudience
	}
	return slices.ContainsFunc(c.Audience, func(aud string) bool { return slices.Contains(is.audience, aud) })
}

// span returns between which instants c may be used, and now.
func (m *memory) span(c *Claims, leeway time.Duration, now time.Time) (begins, ends, at stamp) {
	begins, ends = m.stamp(time.Time{}), m.stamp(c.Expires.Add(leeway))
	if !c.NotBefore.IsZero() {
		begins = m.stamp(c.NotBefore.Add(-leeway))
	}
	if !c.IssuedAt.IsZero() {
		begins = max(begins, m.stamp(c.IssuedAt.Add(-maxLeeway)))
	}
	return begins, ends, m.stamp(now)
}

var _ keystile.Authenticator = (*Authenticator)(nil)
