package bearer

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/jose"
)

// Draft is what is known of a token before it is minted.
type Draft struct {
	Subject  string         // sub. Required.
	Audience []string       // aud. Default: SignerConfig.Audience.
	ClientID string         // client_id. Required with ProfileAccessToken.
	Scopes   []string       // scope: words without spaces. Default: none.
	TTL      time.Duration  // Default: SignerConfig.TTL, which is also the longest.
	Claims   map[string]any // further claims; none of the above, nor iss, exp, nbf, iat and jti
}

// ErrInvalid is wrapped by the error of a Draft that cannot be minted.
var ErrInvalid = errors.New("bearer: invalid draft")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// Mint makes a token. Its jti is 128 random bits. Put the jti of Claims.ID on a
// list that Config.Revoked reads to end the token early.
func (s *Signer) Mint(d Draft) (*Claims, keystile.Secret, error) {
	if s == nil || s.ring.Load() == nil {
		return nil, "", errZeroSigner
	}
	if err := d.check(&s.config); err != nil {
		return nil, "", err
	}
	now := s.config.Now()
	text, err := json.Marshal(d.claims(&s.config, now))
	if err != nil {
		return nil, "", invalid("a claim has no JSON form: %w", err)
	}
	c, err := readClaims(text)
	if err != nil {
		return nil, "", invalid("no reader would take it: %w", err)
	}
	k := s.at(now).keys[0]
	typ := "JWT"
	if s.config.Profile == ProfileAccessToken {
		typ = "at+jwt"
	}
	header, err := json.Marshal(struct {
		Algorithm jose.Algorithm `json:"alg"`
		KeyID     string         `json:"kid"`
		Type      string         `json:"typ"`
	}{k.algorithm, k.public.ID(), typ})
	if err != nil {
		return nil, "", fmt.Errorf("bearer: %w", err)
	}
	input := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(text)
	signature, err := k.algorithm.Sign(input, k.private)
	if err != nil {
		return nil, "", fmt.Errorf("bearer: signing: %w", err)
	}
	token := input + "." + base64.RawURLEncoding.EncodeToString(signature)
	if len(token) > MaxToken {
		return nil, "", invalid("the token would be longer than %d bytes, which no Authenticator reads; leave claims out", MaxToken)
	}
	return c, keystile.Secret(token), nil
}

func (d *Draft) check(c *SignerConfig) error {
	switch {
	case d.Subject == "":
		return invalid("Subject is empty; say whom the token is for")
	case slices.Contains(d.Audience, ""):
		return invalid("Audience has an empty member")
	case d.ClientID == "" && c.Profile == ProfileAccessToken:
		return invalid("ClientID is empty, which an access token must have (RFC 9068 section 2.2)")
	case d.TTL != 0 && (d.TTL < minTTL || d.TTL > c.TTL):
		return invalid("TTL %v is not between %v and %v", d.TTL, minTTL, c.TTL)
	}
	for _, scope := range d.Scopes {
		if scope == "" || strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			return invalid("the scope %.60q cannot stand in the scope claim (RFC 6749 section 3.3); put it into another claim, as a list", scope)
		}
	}
	for name := range d.Claims {
		switch name {
		case "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope":
			return invalid("Claims has %s, which has a field of its own or is not yours to set", name)
		}
	}
	return nil
}

func (d *Draft) claims(c *SignerConfig, now time.Time) map[string]any {
	all := make(map[string]any, len(d.Claims)+8)
	for name, value := range d.Claims {
		all[name] = value
	}
	ttl := orElse(d.TTL, c.TTL)
	all["iss"], all["sub"] = c.Issuer, d.Subject
	all["iat"], all["exp"] = now.Unix(), now.Add(ttl).Unix() // rounded down: never longer than TTL
	all["jti"] = newID()
	all["aud"] = d.Audience
	if d.Audience == nil {
		all["aud"] = c.Audience
	}
	if d.ClientID != "" {
		all["client_id"] = d.ClientID
	}
	if len(d.Scopes) > 0 {
		all["scope"] = strings.Join(d.Scopes, " ")
	}
	return all
}

// newID returns 128 random bits.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}
