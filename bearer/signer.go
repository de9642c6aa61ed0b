package bearer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystile/keystile/internal/jose"
)

// SignerConfig configures a Signer.
type SignerConfig struct {
	// Issuer is the iss of the tokens. Required.
	Issuer string
	// Audience is the aud of tokens whose Draft names none. Required.
	Audience []string
	// Keys are the keys: the first one signs. The others are published only, since
	// they have signed tokens that still live, or will sign soon. Required: at least
	// one. Secrets do not mix with the others.
	Keys []SigningKey
	// TTL is how long a token lives, and the longest that a Draft may ask for: at
	// most 24 h. Required.
	TTL time.Duration
	// Profile is what tokens say of themselves: ProfileAccessToken sets typ to
	// at+jwt and demands a Draft.ClientID. Default: ProfileJWT.
	Profile Profile
	// CacheFor is how long others may keep the published keys. Default: 5 min.
	CacheFor time.Duration
	// Now tells the time. Default: time.Now.
	Now func() time.Time
}

const (
	minTTL          = time.Second
	maxTTL          = 24 * time.Hour
	defaultCacheFor = 5 * time.Minute
)

// Signer mints short-lived JWTs and publishes the keys that verify them. It is
// safe for concurrent use. The zero value mints nothing.
type Signer struct {
	config SignerConfig
	ring   atomic.Pointer[keyRing]
	mu     sync.Mutex // held while the ring is replaced
}

// keyRing holds the keys of a Signer at one time. It does not change.
type keyRing struct {
	keys []*signingKey // the first signs
	set  *jose.Set     // their public halves
	ends time.Time     // when the first of them vanishes; zero: never
}

// NewSigner returns the Signer that c describes, or all mistakes of c as
// *keystile.ConfigError values joined.
func NewSigner(c SignerConfig) (*Signer, error) {
	const field = "bearer.SignerConfig."
	var m mistakes
	m.issuerName(field+"Issuer", c.Issuer)
	if len(c.Audience) == 0 || slices.Contains(c.Audience, "") {
		m.add(field+"Audience", c.Audience, "is empty or has an empty member; name the services that the tokens are for")
	}
	if c.TTL < minTTL || c.TTL > maxTTL {
		m.add(field+"TTL", c.TTL, "is not between 1 s and 24 h; mint short-lived tokens, minutes rather than hours: nothing else ends them")
	}
	if c.Profile > ProfileAccessToken {
		m.add(field+"Profile", int(c.Profile), "is not a profile; use ProfileJWT or ProfileAccessToken")
	}
	if c.CacheFor < 0 {
		m.add(field+"CacheFor", c.CacheFor, "is negative; use a positive duration, or 0 for the default")
	}
	if len(c.Keys) == 0 {
		m.add(field+"Keys", nil, "is empty; pass at least one key")
	}
	var keys []*signingKey
	for i, k := range c.Keys {
		at := fmt.Sprintf("%sKeys[%d]", field, i)
		if i == 0 && !k.Until.IsZero() {
			m.add(at+".Until", k.Until, "is set for the key that signs; leave it out, and set it once another key signs")
		}
		if made := m.signingKey(at, k); made != nil {
			keys = append(keys, made)
		}
	}
	s := &Signer{config: c}
	s.config.Audience, s.config.Keys = slices.Clone(c.Audience), nil
	s.config.CacheFor = orElse(c.CacheFor, defaultCacheFor)
	if s.config.Now == nil {
		s.config.Now = time.Now
	}
	if len(m) > 0 {
		return nil, m.err()
	}
	if err := s.turn(keys); err != nil {
		m.add(field+"Keys", nil, err.Error())
		return nil, m.err()
	}
	return s, nil
}

// turn puts keys in force.
func (s *Signer) turn(keys []*signingKey) error {
	next := &keyRing{keys: keys}
	var public []*jose.Key
	for _, k := range keys {
		public = append(public, k.public)
		if !k.until.IsZero() && (next.ends.IsZero() || k.until.Before(next.ends)) {
			next.ends = k.until
		}
	}
	var err error
	if next.set, err = jose.NewSet(public...); err != nil {
		return err
	}
	if old := s.ring.Load(); old != nil {
		next.set.Succeed(old.set)
	}
	s.ring.Store(next)
	return nil
}

// at returns the keys in force at now.
func (s *Signer) at(now time.Time) *keyRing {
	ring := s.ring.Load()
	if ring.ends.IsZero() || now.Before(ring.ends) {
		return ring
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ring = s.ring.Load()
	keys := slices.DeleteFunc(slices.Clone(ring.keys), func(k *signingKey) bool { return k.isOver(now) })
	if len(keys) == len(ring.keys) || s.turn(keys) != nil { // the key that signs never ends, so there is one
		return ring
	}
	return s.ring.Load()
}

// Rotate makes next the key that signs. The one that has signed so far stays
// published until the last of its tokens has ended. next may be a key that is
// published already. Publish a new key first, for SignerConfig.CacheFor at least,
// where others verify the tokens and do not look again for a kid that is new to
// them.
//
// The Signer remembers this until the process ends: put next first in
// SignerConfig.Keys as well, and give the old one its Until there.
func (s *Signer) Rotate(next SigningKey) error {
	if s == nil || s.ring.Load() == nil {
		return errZeroSigner
	}
	var m mistakes
	made := m.signingKey("bearer.Signer.Rotate", next)
	if !next.Until.IsZero() {
		m.add("bearer.Signer.Rotate.Until", next.Until, "is set for the key that signs; leave it out")
	}
	if len(m) > 0 {
		return m.err()
	}
	now := s.config.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := []*signingKey{made}
	for i, k := range s.ring.Load().keys {
		switch {
		case k.public.ID() == made.public.ID() && !k.public.Equal(made.public):
			m.add("bearer.Signer.Rotate.ID", next.ID, "is the ID of another key that is published; give every key an ID of its own")
			return m.err()
		case k.public.ID() == made.public.ID() && i == 0:
			return nil // it signs already
		case k.public.ID() == made.public.ID(), k.isOver(now):
			continue
		}
		if i == 0 {
			retired := *k
			retired.until = now.Add(s.config.TTL + maxLeeway)
			k = &retired
		}
		keys = append(keys, k)
	}
	if err := s.turn(keys); err != nil {
		m.add("bearer.Signer.Rotate", next.ID, err.Error())
		return m.err()
	}
	return nil
}

var errZeroSigner = errors.New("bearer: this Signer was not made by NewSigner")

// KeySet returns the keys of s for an Issuer in the same process: rotations are in
// force at once. Use the same clock for both.
func (s *Signer) KeySet() KeySet {
	return KeySet{func(o opening) (source, error) {
		var m mistakes
		at := o.field + ": bearer.Signer.KeySet"
		if s == nil || s.ring.Load() == nil {
			m.add(at, nil, "is of a Signer that was not made by NewSigner")
			return nil, m.err()
		}
		if s.config.Issuer != o.issuer {
			m.add(at, o.issuer, fmt.Sprintf("is for tokens of another issuer; its Signer signs for %q", s.config.Issuer))
		}
		for _, k := range s.ring.Load().keys {
			if !slices.Contains(o.algorithms, k.algorithm) {
				m.add(at, k.public.ID(), fmt.Sprintf("has a key for %s, which is not among the Algorithms of the issuer; list it", k.algorithm))
			}
		}
		return signerKeys{s}, m.err()
	}}
}

// signerKeys is the source of the keys of a Signer.
type signerKeys struct{ signer *Signer }

func (k signerKeys) find(_ context.Context, now time.Time, h *jose.Header) ([]*jose.Key, error) {
	return found(k.signer.at(now).set, h)
}

func (k signerKeys) serves(key *jose.Key, now time.Time) bool {
	k.signer.at(now)
	return !key.Gone()
}

// Format prints the type only.
func (*Signer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "bearer.Signer") }
