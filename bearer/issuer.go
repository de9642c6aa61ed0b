package bearer

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keystile/keystile/internal/jose"
)

// Issuer is who signs tokens, and what is demanded of them. Nothing a token says
// of itself chooses an algorithm or a key that is not listed here.
type Issuer struct {
	// Name is the iss of the tokens, compared byte for byte. Required.
	Name string
	// Audience lists what a token may be meant for: one of these must be in its
	// aud. Required, unless InsecureNoAudience is set.
	Audience []string
	// Algorithms lists the algorithms that the issuer signs with: name the one or
	// two it really uses. HS256 and its kin do not mix with the others. Required.
	Algorithms []Algorithm
	// KeySet is where the keys are: StaticKeys, StaticJWKS, KeyFile, RemoteKeys or
	// that of a Signer. Required.
	KeySet KeySet

	// Profile says what kind of JWT the tokens are. Default: ProfileJWT.
	Profile Profile
	// Leeway forgives clocks that differ, at exp and nbf: up to a minute. An iat may
	// be a minute ahead in any case. Default: 0.
	Leeway time.Duration
	// Principal says how claims become a principal. Default: as its fields say.
	Principal Mapping

	// InsecureNoIssuer takes a token without iss for one of this issuer; one with
	// another iss stays refused. It is insecure because nothing but the key tells
	// whose token it is. Default: false.
	InsecureNoIssuer bool
	// InsecureNoAudience accepts a token without aud; one with an aud that is not
	// in Audience stays refused. It is insecure because a token that was made for
	// another service of the same issuer opens this one. Default: false.
	InsecureNoAudience bool
}

// Profile is a kind of JWT.
type Profile uint8

const (
	// ProfileJWT is a plain JWT: typ is absent, JWT or at+jwt.
	ProfileJWT Profile = iota
	// ProfileAccessToken is an access token as in RFC 9068: typ must be at+jwt, and
	// iss, exp, aud, sub, client_id, iat and jti must be there.
	ProfileAccessToken
)

// issuer is an Issuer that has been checked.
type issuer struct {
	name       string
	audience   []string
	algorithms []jose.Algorithm
	keys       source
	profile    Profile
	leeway     time.Duration
	mapping    mapping
	noIssuer   bool
	noAudience bool
}

func (m *mistakes) issuer(at string, is *Issuer) {
	m.issuerName(at+".Name", is.Name)
	if len(is.Audience) == 0 && !is.InsecureNoAudience {
		m.add(at+".Audience", nil, "is empty; name this service as the aud of its tokens does, or else a token for another service would open this one")
	}
	if slices.Contains(is.Audience, "") {
		m.add(at+".Audience", is.Audience, "has an empty member; name this service as the aud of its tokens does")
	}
	m.algorithms(at+".Algorithms", is.Algorithms)
	if is.Leeway < 0 || is.Leeway > maxLeeway {
		m.add(at+".Leeway", is.Leeway, "is not between 0 and a minute; set clocks right instead of forgiving more")
	}
	if is.Profile > ProfileAccessToken {
		m.add(at+".Profile", int(is.Profile), "is not a profile; use ProfileJWT or ProfileAccessToken")
	}
	if is.Profile == ProfileAccessToken && (is.InsecureNoIssuer || is.InsecureNoAudience) {
		m.add(at+".Profile", int(is.Profile), "demands iss and aud (RFC 9068 section 2.2), which InsecureNoIssuer and InsecureNoAudience waive; drop the one or the other")
	}
	m.mapping(at+".Principal", &is.Principal)
}

func (m *mistakes) issuerName(at, name string) {
	switch {
	case name == "":
		m.add(at, nil, "is empty; name the issuer as the iss of its tokens does, such as https://login.example.com/")
	case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '#' || r == 0x7f }):
		m.add(at, name, "has a space, a control character or a #, which no issuer has (RFC 8414 section 2); copy the iss of a token")
	}
}

func (m *mistakes) algorithms(at string, algorithms []Algorithm) {
	if len(algorithms) == 0 {
		m.add(at, nil, "is empty; name the algorithm that the issuer signs with, such as RS256: a token must not choose (RFC 8725 section 3.1)")
	}
	secret, public := false, false
	for i, a := range algorithms {
		kind := jose.Algorithm(a).Kind()
		switch {
		case strings.EqualFold(string(a), "none"):
			m.add(fmt.Sprintf("%s[%d]", at, i), string(a), "is for tokens that nobody signed, which are never accepted; leave it out")
		case kind == jose.KindUnknown:
			m.add(fmt.Sprintf("%s[%d]", at, i), string(a), "is not an algorithm; use one of this package's constants, such as bearer.ES256")
		case kind == jose.KindSecret:
			secret = true
		default:
			public = true
		}
	}
	if secret && public {
		m.add(at, algorithms, "mixes shared secrets with public keys, which is how a public key comes to be taken for a secret (RFC 8725 section 3.1); make the other kind an issuer of its own")
	}
}

func (is *Issuer) compile(o opening) (*issuer, error) {
	c := &issuer{
		name: is.Name, audience: slices.Clone(is.Audience), profile: is.Profile, leeway: is.Leeway,
		mapping: is.Principal.compile(), noIssuer: is.InsecureNoIssuer, noAudience: is.InsecureNoAudience,
	}
	for _, a := range is.Algorithms {
		c.algorithms = append(c.algorithms, jose.Algorithm(a))
	}
	o.issuer, o.algorithms = is.Name, c.algorithms
	var err error
	c.keys, err = is.KeySet.open(o)
	return c, err
}

// take returns the issuer whose token t says it is, which its key must confirm.
// With one issuer there is nothing to choose, and the claims stay unread until
// the signature has been verified.
func (a *Authenticator) take(t *jose.JWS) (*issuer, error) {
	if len(a.issuers) == 1 {
		return a.issuers[0], nil
	}
	text, err := t.Unverified()
	if err != nil {
		return nil, err
	}
	value := jose.Member(text, "iss")
	name, ok := jose.Text(value)
	for _, is := range a.issuers {
		if ok && is.name == name || value == nil && is.noIssuer {
			return is, nil
		}
	}
	return nil, errIssuer
}
