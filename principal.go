package keystile

import (
	"log/slog"
	"slices"
	"time"
)

// Scheme is the kind of credential by which a principal was recognised.
type Scheme string

// The schemes of this module.
const (
	SchemeAPIKey Scheme = "apikey" // an API key in a header of its own
	SchemeBasic  Scheme = "basic"  // HTTP Basic, RFC 7617
	SchemeBearer Scheme = "bearer" // an opaque key as Bearer, RFC 6750
	SchemeJWT    Scheme = "jwt"    // a JSON Web Token as Bearer, RFC 7519
)

// Principal is who is calling. It is shared between requests and immutable:
// Clone it to change it.
type Principal struct {
	Subject      string // whom limits and logs mean: key ID, user name, or issuer and subject
	CredentialID string // which credential it was: key ID, user name, jti
	Account      string // the tenant; "" where there are none
	Owner        string // who made the credential
	Plan         string // the name of the plan
	Scopes       Scopes
	Scheme       Scheme
	Expires      time.Time // when the credential ends; zero means never

	credential Credential
	joined     []*Principal
}

// Credential is what a package of this module knows about the credential of a
// principal besides, such as an *apikey.Key. Read it with the typed accessor of
// that package.
type Credential interface {
	CloneCredential() Credential
}

// Clone returns a copy that the caller may change.
func (p *Principal) Clone() *Principal {
	if p == nil {
		return nil
	}
	c := *p
	c.joined = slices.Clone(p.joined)
	return &c
}

// WithCredential returns a copy of p that carries c. The copy owns c.
func (p *Principal) WithCredential(c Credential) *Principal {
	copied := p.Clone()
	copied.credential = c
	return copied
}

// Credential returns a clone of what p carries, or nil.
func (p *Principal) Credential() Credential {
	if p == nil || p.credential == nil {
		return nil
	}
	return p.credential.CloneCredential()
}

// Joined returns the other principals that AllOf joined to p, in the order of
// its members. They are shared and immutable too.
func (p *Principal) Joined() []*Principal {
	if p == nil {
		return nil
	}
	return slices.Clone(p.joined)
}

// CredentialOf returns a clone of the first credential of type T that p or a
// principal joined to it carries. The typed accessors of packages call it.
func CredentialOf[T Credential](p *Principal) (T, bool) {
	if p != nil {
		if c, ok := p.credential.(T); ok {
			c, ok = c.CloneCredential().(T)
			return c, ok
		}
		for _, j := range p.joined {
			if c, ok := CredentialOf[T](j); ok {
				return c, true
			}
		}
	}
	var zero T
	return zero, false
}

// String names the principal in one line. It holds no secret and no digest.
func (p *Principal) String() string {
	if p == nil {
		return "anonymous"
	}
	return string(p.Scheme) + " " + p.Subject
}

// LogValue returns subject, credential, account, plan and scheme.
func (p *Principal) LogValue() slog.Value {
	if p == nil {
		return slog.StringValue("anonymous")
	}
	return slog.GroupValue(
		slog.String("subject", p.Subject),
		slog.String("credential", p.CredentialID),
		slog.String("account", p.Account),
		slog.String("plan", p.Plan),
		slog.String("scheme", string(p.Scheme)),
	)
}
