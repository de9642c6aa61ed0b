package bearer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/jose"
)

// Mapping says how the claims of an issuer become a principal. A claim is named
// as it is in the token, such as "org_id" or "https://example.com/org", or, for
// one within another, by a path that begins with a slash (RFC 6901), such as
// "/realm_access/roles".
//
// The Subject of the principal is the name of the issuer, a # and the subject, so
// that equal subjects of two issuers are two callers; its CredentialID is the
// jti, or the Subject where there is none; its Expires is exp. Account, Owner and
// Plan are taken as they are: where several issuers may name the same accounts,
// each can speak for all of them, unless Resolve tells them apart.
type Mapping struct {
	// Subject is the claim that says who it is: a string or an integer. A token
	// without it is refused. Default: "sub".
	Subject string
	// Account is the claim that names the tenant: a string or an integer. A token
	// without it is refused. Default: there is no account.
	Account string
	// Owner and Plan are claims that need not be there. Default: none.
	Owner, Plan string
	// Scopes are claims with scopes: a string of words with spaces between them
	// (RFC 9068 section 2.2.3), or an array of strings. Default: "scope" and "scp".
	Scopes []string
	// Roles is a claim with the names of roles, in the form of Scopes. Default:
	// none.
	Roles string
	// Grants lists the scopes that each role stands for. A role that is not listed
	// grants nothing. Default: none.
	Grants map[string][]string
	// Wildcards lets the scopes "*" and "x:*" of a token grant all that they cover
	// here. Leave it off unless you decide which scopes the issuer writes: to most,
	// they mean nothing in particular. Default: they are left out.
	Wildcards bool
	// Resolve has the last word: it gets a copy of what the above made, which it
	// may change and return. It runs for every request, remembered token or not. It
	// must not change c. A *keystile.Error is passed on, any other error is an
	// outage, a nil principal without an error a mistake (500). Without a subject
	// in the token, it must set Subject. Default: none.
	Resolve func(ctx context.Context, c *Claims, p *keystile.Principal) (*keystile.Principal, error)
}

// mapping is a Mapping that has been checked, with its defaults.
type mapping struct{ Mapping }

func (m *mistakes) mapping(at string, p *Mapping) {
	if slices.Contains(p.Scopes, "") {
		m.add(at+".Scopes", p.Scopes, "has an empty member; name the claims, such as scope")
	}
	if len(p.Grants) > 0 && p.Roles == "" {
		m.add(at+".Grants", nil, "says what roles stand for, and Roles names no claim with roles; set Roles")
	}
	if p.Roles != "" && len(p.Grants) == 0 {
		m.add(at+".Roles", p.Roles, "names a claim with roles, and Grants says of none what it stands for; set Grants")
	}
	for _, role := range slices.Sorted(maps.Keys(p.Grants)) {
		if slices.Contains(p.Grants[role], "") {
			m.add(fmt.Sprintf("%s.Grants[%q]", at, role), nil, "has an empty scope; name the scope, such as contacts:read")
		}
	}
}

func (p Mapping) compile() mapping {
	p.Subject = orElse(p.Subject, "sub")
	if p.Scopes == nil {
		p.Scopes = []string{"scope", "scp"}
	}
	p.Scopes = slices.Clone(p.Scopes)
	p.Grants = maps.Clone(p.Grants)
	for role, scopes := range p.Grants {
		p.Grants[role] = slices.Clone(scopes)
	}
	return mapping{p}
}

// principal makes what the data of the mapping says of c.
func (m *mapping) principal(is *issuer, c *Claims) (*keystile.Principal, error) {
	p := &keystile.Principal{CredentialID: c.ID, Scheme: keystile.SchemeJWT, Expires: c.Expires}
	subject := c.Subject
	if m.Subject != "sub" {
		var err error
		if subject, err = nameClaim(c, m.Subject); err != nil {
			return nil, err
		}
	}
	if subject != "" {
		p.Subject = is.name + "#" + subject // the name holds no #, so the first one divides them (R35)
		p.CredentialID = orElse(p.CredentialID, p.Subject)
	} else if m.Resolve == nil {
		return nil, errNoSubject
	}
	var err error
	if p.Account, err = nameClaim(c, m.Account); err != nil {
		return nil, err
	}
	if m.Account != "" && p.Account == "" {
		return nil, flawClaim(m.Account)
	}
	if p.Owner, err = nameClaim(c, m.Owner); err != nil {
		return nil, err
	}
	if p.Plan, err = nameClaim(c, m.Plan); err != nil {
		return nil, err
	}
	scopes, err := m.scopes(c)
	if err != nil {
		return nil, err
	}
	p.Scopes = keystile.NewScopes(scopes...)
	return p, nil
}

func (m *mapping) scopes(c *Claims) ([]string, error) {
	var all []string
	for _, name := range m.Scopes {
		words, err := wordsClaim(c, name)
		if err != nil {
			return nil, err
		}
		for _, w := range words {
			if m.Wildcards || !isWildcard(w) {
				all = append(all, w)
			}
		}
	}
	if m.Roles == "" {
		return all, nil
	}
	roles, err := wordsClaim(c, m.Roles)
	for _, role := range roles {
		all = append(all, m.Grants[role]...)
	}
	return all, err
}

func isWildcard(scope string) bool { return scope == "*" || strings.HasSuffix(scope, ":*") }

// nameClaim returns a claim that is a name: a string or an integer; "" where there
// is none.
func nameClaim(c *Claims, claim string) (string, error) {
	if claim == "" {
		return "", nil
	}
	value := lookup(c.text, claim)
	if value == nil || string(value) == "null" {
		return "", nil
	}
	if text, ok := jose.Text(value); ok {
		return text, nil
	}
	for i, digit := range value {
		if (digit < '0' || digit > '9') && (digit != '-' || i > 0) {
			return "", flawClaim(claim)
		}
	}
	return string(value), nil
}

// wordsClaim returns a claim that is a list of words, none where there is none.
func wordsClaim(c *Claims, claim string) ([]string, error) {
	value := lookup(c.text, claim)
	if value == nil || string(value) == "null" {
		return nil, nil
	}
	if text, ok := jose.Text(value); ok {
		return strings.Split(text, " "), nil // empty ones are left out by NewScopes
	}
	if texts, ok := jose.Texts(value); ok {
		return texts, nil
	}
	return nil, flawClaim(claim)
}
