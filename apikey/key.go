package apikey

import (
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/keystile/keystile"
)

// Key is an ID with one or more secrets, of which only digests are kept. Nil and
// empty lists mean the same. A zero time means never.
type Key struct {
	ID      string // never changes and is no secret: it stands in logs and URLs
	Account string // the tenant; never changes
	Owner   string // who made the key
	Name    string // what people call it
	Hint    string // what may be shown of the secret, such as "whm_a1b2c3d4"

	Plan      string         // the name of the plan
	Scopes    []string       // what the key may do
	Networks  []netip.Prefix // where it may be used from; empty: anywhere
	Endpoints []string       // what it may be used for, as "METHOD /pattern"; empty: anything
	Metadata  map[string]string

	// Secrets holds the current secret first. During a rotation the older ones
	// live until their NotAfter.
	Secrets []Secret

	CreatedAt  time.Time // never changes
	ExpiresAt  time.Time // the key is dead at this instant
	DisabledAt time.Time // set while the key is suspended
	RevokedAt  time.Time // set once, for ever
	LastUsedAt time.Time // when the key was last accepted, to the second, as far as has been written down

	RevokedReason string
	RevokedBy     string

	// Revision grows with every change but that of LastUsedAt. It is the store's.
	Revision int64
}

// Secret is what is kept of one secret of a key.
type Secret struct {
	Digest   Digest
	Pepper   string    // the name of the pepper; "": plain SHA-256
	NotAfter time.Time // the secret is dead at this instant
}

// State is what a key is good for at an instant.
type State string

// The states. Of several that apply, the most final one counts: revoked, then
// expired, then disabled.
const (
	StateActive   State = "active"
	StateDisabled State = "disabled"
	StateExpired  State = "expired"
	StateRevoked  State = "revoked"
)

// State returns what k is good for at now. A key expires at the very instant of
// ExpiresAt. RevokedAt and DisabledAt count from the moment they are set,
// whatever the clock says, so that no two clocks can disagree about them.
func (k *Key) State(now time.Time) State {
	switch {
	case !k.RevokedAt.IsZero():
		return StateRevoked
	case isOver(k.ExpiresAt, now):
		return StateExpired
	case !k.DisabledAt.IsZero():
		return StateDisabled
	}
	return StateActive
}

// isOver reports whether end, unless it is zero, has come.
func isOver(end, now time.Time) bool { return !end.IsZero() && !now.Before(end) }

// Principal returns the principal that k stands for by itself, without
// credential, for a Resolve function that only wants to change a part of it.
func (k *Key) Principal(scheme keystile.Scheme) *keystile.Principal {
	return &keystile.Principal{
		Subject: k.ID, CredentialID: k.ID, Account: k.Account, Owner: k.Owner, Plan: k.Plan,
		Scopes: keystile.NewScopes(k.Scopes...), Scheme: scheme, Expires: k.ExpiresAt,
	}
}

// Clone returns a copy that shares nothing with k.
func (k *Key) Clone() *Key {
	if k == nil {
		return nil
	}
	c := *k
	c.Scopes = slices.Clone(k.Scopes)
	c.Networks = slices.Clone(k.Networks)
	c.Endpoints = slices.Clone(k.Endpoints)
	c.Metadata = maps.Clone(k.Metadata)
	c.Secrets = slices.Clone(k.Secrets)
	return &c
}

// withoutSecrets returns a deep copy for those who have no use for digests.
func (k *Key) withoutSecrets() *Key {
	c := k.Clone()
	if c != nil {
		c.Secrets = nil
	}
	return c
}

// CloneCredential returns a copy of k without its Secrets: handlers and logs
// have no use for digests.
func (k *Key) CloneCredential() keystile.Credential { return k.withoutSecrets() }

// From returns the key by which p was recognised, without its Secrets, as it was
// when it was last read from the store: at most Bound ago. It is the caller's
// own copy. It returns false where p is nil or was recognised by other means.
func From(p *keystile.Principal) (*Key, bool) {
	k, ok := keystile.CredentialOf[*Key](p)
	return k, ok && k != nil
}

// keyText is a Key without methods.
type keyText Key

// Format prints the fields of k, digests as REDACTED, for every verb. Without it
// a verb that does not fit, such as %s for a list of keys, would print the bytes
// of the digests: fmt calls no methods once it complains.
func (k Key) Format(f fmt.State, verb rune) {
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), keyText(k))
}

// LogValue returns id, account, owner, hint and plan.
func (k *Key) LogValue() slog.Value {
	if k == nil {
		return slog.StringValue("none")
	}
	return slog.GroupValue(
		slog.String("id", k.ID), slog.String("account", k.Account), slog.String("owner", k.Owner),
		slog.String("hint", k.Hint), slog.String("plan", k.Plan))
}

// digests returns those of all secrets of the given keys, each once.
func digests(keys ...*Key) []Digest {
	var all []Digest
	for _, k := range keys {
		if k == nil {
			continue
		}
		for _, s := range k.Secrets {
			if !slices.Contains(all, s.Digest) {
				all = append(all, s.Digest)
			}
		}
	}
	return all
}
