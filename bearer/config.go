package bearer

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/keystile/keystile"
)

// Config configures an Authenticator.
type Config struct {
	// Issuers are those whose JWTs are accepted. Required, unless Opaque is set.
	// Without any, every token is opaque.
	Issuers []Issuer
	// Opaque judges the tokens that are no JWT, such as API keys: *apikey.Keys is
	// one. Default: they are refused.
	Opaque keystile.TokenVerifier
	// OpaquePrefixes begin tokens that are opaque whatever they look like. Declare
	// those of your keys if they have two dots. Default: none.
	OpaquePrefixes []string

	// Revoked reports whether a token that is good otherwise has been revoked. It
	// is asked for every request, remembered token or not, and must not change c.
	// Mind that c.ID is unique for one issuer only, and that not every token has
	// one. An error is an outage, 503. Default: tokens live until they expire.
	Revoked func(ctx context.Context, c *Claims) (bool, error)

	// Remember is how many verified tokens are remembered until they expire, so
	// that a token in use costs a hash and not a signature. Each takes about a
	// kilobyte besides its claims. -1 remembers none. Default: 8192.
	Remember int
	// Now tells the time. Default: time.Now.
	Now func() time.Time
	// Logger gets what nobody is told otherwise: key sets that could not be fetched
	// or read, and keys in them that are passed over. Default: silent.
	Logger *slog.Logger
}

// MaxToken is the longest token that is looked at, in bytes. The longest header
// that most servers take is not much longer.
const MaxToken = 8 << 10

const (
	defaultRemember = 8192
	maxLeeway       = time.Minute
)

func (c *Config) check() (m mistakes) {
	const field = "bearer.Config."
	if len(c.Issuers) == 0 && c.Opaque == nil {
		m.add(field+"Issuers", nil, "is empty and so is Opaque, so that nobody could get in; list the issuers of your JWTs, or pass what verifies your keys as Opaque, or both")
	}
	if c.Remember < -1 {
		m.add(field+"Remember", c.Remember, "is negative; use a number of tokens, 0 for the default, or -1 to remember none")
	}
	for i, prefix := range c.OpaquePrefixes {
		at := fmt.Sprintf("%sOpaquePrefixes[%d]", field, i)
		switch {
		case prefix == "":
			m.add(at, prefix, "is empty, and begins every token; name the prefix of your keys, such as acme_")
		case !isB64Token(prefix):
			m.add(at, prefix, `begins no token; a token has letters, digits and -._~+/ (RFC 6750 section 2.1)`)
		case len(c.Issuers) > 0 && (strings.HasPrefix(prefix, jwtStart) || strings.HasPrefix(jwtStart, prefix)):
			m.add(at, prefix, `begins JWTs too, since a JWT begins with "eyJ"; give your keys another prefix`)
		case c.Opaque == nil:
			m.add(at, prefix, "declares opaque tokens, and there is no Opaque to verify them; set Opaque")
		}
	}
	anonymous := -1
	for i := range c.Issuers {
		at, is := fmt.Sprintf("%sIssuers[%d]", field, i), &c.Issuers[i]
		m.issuer(at, is)
		if is.Name != "" && slices.ContainsFunc(c.Issuers[:i], func(other Issuer) bool { return other.Name == is.Name }) {
			m.add(at+".Name", is.Name, "is the name of another issuer too; list each issuer once, with all its audiences and algorithms")
		}
		if is.InsecureNoIssuer {
			if anonymous >= 0 {
				m.add(at+".InsecureNoIssuer", nil, fmt.Sprintf("is set for Issuers[%d] as well, and a token that names no issuer can only be of one; set it once", anonymous))
			}
			anonymous = i
		}
	}
	return m
}

// jwtStart is how every JWT begins that is written without space: {" in base64.
const jwtStart = "eyJ"

// New returns the Authenticator that c describes, or all mistakes of c as
// *keystile.ConfigError values joined. It reads key files, so that a missing one
// is a mistake; it fetches nothing, so that a service starts while an issuer is
// down.
//
// It starts no goroutine. One that fetches keys later ends by itself within the
// timeout of the fetch, and Close waits for it.
func New(c Config) (*Authenticator, error) {
	m := c.check()
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Authenticator{
		opaque: c.Opaque, prefixes: slices.Clone(c.OpaquePrefixes), revoked: c.Revoked, now: c.Now, life: newLifetime(),
	}
	for i := range c.Issuers {
		at := fmt.Sprintf("bearer.Config.Issuers[%d]", i)
		is, err := c.Issuers[i].compile(opening{field: at + ".KeySet", now: c.Now, logger: c.Logger, life: a.life})
		m.join(err)
		a.issuers = append(a.issuers, is)
	}
	if len(m) > 0 {
		return nil, m.err()
	}
	if size := orElse(c.Remember, defaultRemember); size > 0 && len(a.issuers) > 0 {
		a.memory = newMemory(size, c.Now())
	}
	a.ready = true
	return a, nil
}
