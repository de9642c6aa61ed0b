package bearer

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/jose"
)

// Claims are what a verified token says (RFC 7519 section 4). The claims that
// everybody knows are typed; Value, Text and Decode reach the rest.
type Claims struct {
	Issuer    string    // iss
	Subject   string    // sub; "" where there is none
	Audience  []string  // aud
	ID        string    // jti; "" where there is none
	ClientID  string    // client_id (RFC 8693 section 4.3); "" where there is none
	Expires   time.Time // exp
	NotBefore time.Time // nbf; zero where there is none
	IssuedAt  time.Time // iat; zero where there is none

	text   []byte // the JSON object as it was signed; never changed
	hasExp bool
	hasAud bool
}

// From returns the claims of the token by which p was recognised. They are the
// caller's own copy. It returns false where p is nil or was recognised by other
// means.
func From(p *keystile.Principal) (*Claims, bool) {
	c, ok := keystile.CredentialOf[*Claims](p)
	return c, ok && c != nil
}

// CloneCredential returns a copy of c.
func (c *Claims) CloneCredential() keystile.Credential { return c.clone() }

func (c *Claims) clone() *Claims {
	if c == nil {
		return nil
	}
	copied := *c
	copied.Audience = slices.Clone(c.Audience)
	return &copied
}

// Value returns the claim of that name as JSON text. A name that begins with a
// slash is a path into the claims (RFC 6901): "/realm_access/roles" is the member
// roles of the claim realm_access.
func (c *Claims) Value(name string) (json.RawMessage, bool) {
	v := lookup(c.text, name)
	return slices.Clone(v), v != nil
}

// Text returns the claim of that name, as for Value, where it is a string.
func (c *Claims) Text(name string) (string, bool) { return jose.Text(lookup(c.text, name)) }

// Decode stores all claims in v, as json.Unmarshal does. It fails where two names
// in one object differ in their capitals only, since encoding/json takes the one
// for the other.
func (c *Claims) Decode(v any) error {
	if err := distinct(c.text); err != nil {
		return fmt.Errorf("bearer: the claims: %w", err)
	}
	if err := json.Unmarshal(c.text, v); err != nil {
		return fmt.Errorf("bearer: the claims: %w", err)
	}
	return nil
}

// distinct looks for names that encoding/json takes for one another.
func distinct(value []byte) error {
	if len(value) > 0 && value[0] == '[' {
		return jose.Array(value, distinct)
	}
	if len(value) > 0 && value[0] != '{' {
		return nil
	}
	seen := make(map[string]struct{})
	return jose.Object(value, func(name, value []byte) error {
		folded := strings.Map(fold, string(name))
		if _, twice := seen[folded]; twice {
			return fmt.Errorf("the name %.60q is there twice, in different capitals", name)
		}
		seen[folded] = struct{}{}
		return distinct(value)
	})
}

// fold returns the same rune for all that differ in case only, as encoding/json
// does: the long s is an s.
func fold(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			return next
		}
		r = next
	}
}

// Format prints issuer, subject and ID: the rest may be personal.
func (c *Claims) Format(f fmt.State, _ rune) {
	if c == nil {
		_, _ = fmt.Fprint(f, "no claims")
		return
	}
	_, _ = fmt.Fprintf(f, "iss %q sub %q jti %q", c.Issuer, c.Subject, c.ID)
}

// LogValue returns issuer, subject and ID.
func (c *Claims) LogValue() slog.Value {
	if c == nil {
		return slog.StringValue("no claims")
	}
	return slog.GroupValue(slog.String("issuer", c.Issuer), slog.String("subject", c.Subject), slog.String("id", c.ID))
}

// lookup returns the claim of that name, or what a path leads to; nil where there
// is nothing.
func lookup(text []byte, name string) []byte {
	path, isPath := strings.CutPrefix(name, "/")
	if !isPath {
		return jose.Member(text, name)
	}
	for step := range strings.SplitSeq(path, "/") {
		// RFC 6901 section 4. Arrays are not gone into: no claim is found by its
		// position.
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		if text = jose.Member(text, step); text == nil {
			return nil
		}
	}
	return text
}

// flawClaim is a standard claim of the wrong type.
type flawClaim string

func (f flawClaim) Error() string { return "the claim " + string(f) + " has the wrong type" }

// readClaims reads the payload of a token whose signature has been verified.
func readClaims(text []byte) (*Claims, error) {
	c := &Claims{text: text}
	err := jose.Object(text, func(name, value []byte) (err error) {
		switch string(name) {
		case "iss":
			c.Issuer, err = textClaim("iss", value)
		case "sub":
			c.Subject, err = textClaim("sub", value)
		case "jti":
			c.ID, err = textClaim("jti", value)
		case "client_id":
			c.ClientID, err = textClaim("client_id", value)
		case "aud":
			c.hasAud = true
			c.Audience, err = listClaim("aud", value)
		case "exp":
			c.hasExp = true
			c.Expires, err = dateClaim("exp", value)
		case "nbf":
			c.NotBefore, err = dateClaim("nbf", value)
		case "iat":
			c.IssuedAt, err = dateClaim("iat", value)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the claims: %w", err)
	}
	return c, nil
}

func textClaim(name string, value []byte) (string, error) {
	if text, ok := jose.Text(value); ok {
		return text, nil
	}
	return "", flawClaim(name)
}

// listClaim reads a string, or an array of strings (RFC 7519 section 4.1.3).
func listClaim(name string, value []byte) ([]string, error) {
	if text, ok := jose.Text(value); ok {
		return []string{text}, nil
	}
	if texts, ok := jose.Texts(value); ok {
		return texts, nil
	}
	return nil, flawClaim(name)
}

func dateClaim(name string, value []byte) (time.Time, error) {
	if date, ok := jose.NumericDate(value); ok {
		return date.UTC(), nil
	}
	return time.Time{}, flawClaim(name)
}
