package apikey

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keystile/keystile"
)

// ErrInvalid is wrapped by the error of a key that may not be stored. The error
// also wraps a *keystile.ConfigError for each mistake.
var ErrInvalid = errors.New("apikey: invalid key")

// Draft is what is known of a key before it is issued.
type Draft struct {
	ID        string // Default: "key_" and 20 random letters and digits.
	Account   string
	Owner     string
	Name      string
	Plan      string
	Scopes    []string
	Networks  []netip.Prefix // Default: the key may be used from anywhere.
	Endpoints []string       // "METHOD /pattern". Default: the key may be used for everything.
	Metadata  map[string]string
	ExpiresAt time.Time // Default: after Config.DefaultTTL.
	// NeverExpires overrides DefaultTTL, where there is no MaxTTL.
	NeverExpires bool
}

// Sizes of what a key may hold. Stores may rely on them.
const (
	maxText     = 512      // bytes of ID, Account, Owner, Name, Plan, a scope, a rule, a metadata key
	maxReason   = 4 << 10  // bytes of RevokedReason
	maxList     = 1000     // scopes, networks, endpoints, metadata members
	maxMetadata = 64 << 10 // bytes of all metadata
	maxSecrets  = 16       // of one key
)

// checkKey returns all mistakes of k, or nil.
func checkKey(k *Key) error {
	c := checker{}
	if k.ID == "" {
		c.add("ID", nil, "is empty; give the key an ID")
	}
	if k.CreatedAt.IsZero() {
		c.add("CreatedAt", nil, "is zero; say when the key was made")
	}
	c.text("ID", k.ID, maxText)
	c.text("Account", k.Account, maxText)
	c.text("Owner", k.Owner, maxText)
	c.text("Name", k.Name, maxText)
	c.text("Plan", k.Plan, maxText)
	c.text("Hint", k.Hint, maxText)
	c.text("RevokedReason", k.RevokedReason, maxReason)
	c.text("RevokedBy", k.RevokedBy, maxText)
	c.scopes(k.Scopes)
	c.networks(k.Networks)
	c.endpoints(k.Endpoints)
	c.metadata(k.Metadata)
	c.secrets(k.Secrets)
	return c.err()
}

// checker collects what is wrong with a key.
type checker struct{ mistakes }

func (c *checker) add(field string, value any, reason string) {
	c.mistakes.add("apikey.Key."+field, value, reason)
}

func (c *checker) err() error {
	if len(c.mistakes) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrInvalid, c.mistakes.err())
}

func (c *checker) text(field, s string, most int) {
	switch {
	case len(s) > most:
		c.add(field, nil, fmt.Sprintf("has %d bytes; use at most %d", len(s), most))
	case !utf8.ValidString(s):
		c.add(field, s, "is not UTF-8; use text")
	case strings.ContainsRune(s, 0):
		c.add(field, s, "has a NUL, which not every store can keep; leave it out")
	}
}

func (c *checker) many(field string, n int) {
	if n > maxList {
		c.add(field, n, fmt.Sprintf("has too many members; use at most %d", maxList))
	}
}

func (c *checker) scopes(scopes []string) {
	c.many("Scopes", len(scopes))
	for i, s := range scopes {
		at := fmt.Sprintf("Scopes[%d]", i)
		if s == "" {
			c.add(at, nil, "is empty; name the scope, such as contacts:read")
		}
		c.text(at, s, maxText)
	}
}

func (c *checker) networks(networks []netip.Prefix) {
	c.many("Networks", len(networks))
	for i, p := range networks {
		at := fmt.Sprintf("Networks[%d]", i)
		switch {
		case !p.IsValid():
			c.add(at, nil, "is not a network; use netip.ParsePrefix, such as 192.0.2.0/24")
		case p.Addr().Is4In6() && p.Bits() < 96:
			c.add(at, p, "is an IPv4-mapped network wider than IPv4; write it as an IPv4 or IPv6 network")
		}
	}
}

func (c *checker) endpoints(rules []string) {
	c.many("Endpoints", len(rules))
	for i, rule := range rules {
		at := fmt.Sprintf("Endpoints[%d]", i)
		if err := keystile.CheckEndpoint(rule); err != nil {
			c.add(at, rule, err.Error())
		}
		c.text(at, rule, maxText)
	}
}

func (c *checker) metadata(m map[string]string) {
	c.many("Metadata", len(m))
	size := 0
	for name, value := range m {
		size += len(name) + len(value)
		c.text(fmt.Sprintf("Metadata[%.100q]", name), name, maxText)
		c.text(fmt.Sprintf("Metadata[%.100q]", name), value, maxMetadata)
	}
	if size > maxMetadata {
		c.add("Metadata", nil, fmt.Sprintf("has %d bytes; use at most %d", size, maxMetadata))
	}
}

func (c *checker) secrets(secrets []Secret) {
	if len(secrets) == 0 {
		c.add("Secrets", nil, "is empty, so that nobody could use the key; give it at least one")
	}
	if len(secrets) > maxSecrets {
		c.add("Secrets", len(secrets), fmt.Sprintf("are too many that live at the same time; use at most %d, and rotate with an overlap of 0 to end the old ones", maxSecrets))
	}
	for i, s := range secrets {
		if s.Digest.IsZero() {
			c.add(fmt.Sprintf("Secrets[%d].Digest", i), nil, "is zero, which is never found; make it from the secret")
		}
	}
}

// tidyKey brings a key that has been checked into the form in which it is stored.
func tidyKey(k *Key) {
	for i, p := range k.Networks {
		k.Networks[i] = cleanPrefix(p)
	}
}

// key returns the key that d describes, without secret.
func (d Draft) key() *Key {
	k := Key{
		ID: d.ID, Account: d.Account, Owner: d.Owner, Name: d.Name, Plan: d.Plan, Scopes: d.Scopes,
		Networks: d.Networks, Endpoints: d.Endpoints, Metadata: d.Metadata, ExpiresAt: d.ExpiresAt,
	}
	return k.Clone()
}

// newID returns an ID that nobody has.
func newID() string { return string(appendRandom([]byte("key_"), base62, 20)) }

// sameForEver reports whether a function that edits a key has left alone what is
// not its business.
func sameForEver(old, next *Key) bool {
	return next.Revision == old.Revision && next.LastUsedAt.Equal(old.LastUsedAt) && slices.Equal(next.Secrets, old.Secrets) &&
		next.RevokedAt.Equal(old.RevokedAt) && next.RevokedReason == old.RevokedReason && next.RevokedBy == old.RevokedBy &&
		!changesForEver(old, next)
}
