package apikey

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/keystile/keystile"
)

// Config configures Keys.
type Config struct {
	// Store keeps the keys. Required.
	Store Store
	// Feed tells what other processes change; mostly it is the Store again.
	// Default: none, and then a key revoked elsewhere is accepted here for up to
	// Cache.TTL.
	Feed Feed
	// Format is the shape of new keys. Required.
	Format Format
	// Accept lists further formats that are accepted and imported. Default: none.
	Accept []Format
	// Peppers are the keys under which digests are made, the current one first.
	// Default: none, digests are plain SHA-256.
	Peppers []Pepper
	// Resolve finds the principal for an accepted key, for keys that inherit the
	// rights of somebody else. See VerifierConfig.Resolve. Default: the principal
	// is the key.
	Resolve func(ctx context.Context, k *Key) (*keystile.Principal, error)
	// Legacy looks a secret up in a table of another making, such as one of
	// prefixes and bcrypt hashes, after it was not found in the Store; its format
	// must be in Accept. It returns the key, which then moves into the Store
	// under the same ID and with the secret's digest; or ErrNotFound, which is
	// remembered like any other miss; any other error is an outage. Few calls
	// run at once. A key that is in the Store already is not asked for again, so
	// revoke it there; but one deleted from the Store must vanish from the other
	// table as well, or its next use brings it back. Default: none.
	Legacy func(ctx context.Context, secret keystile.Secret) (*Key, error)
	// DefaultTTL is how long a key lives that is issued without an ExpiresAt.
	// Default: MaxTTL, and for ever where that is not set.
	DefaultTTL time.Duration
	// MaxTTL is the longest life that Issue and Edit give. Default: no limit.
	MaxTTL time.Duration

	Cache Cache // Default: as its fields say.
	Sync  Sync  // Default: as its fields say.

	// Now tells the time. Default: time.Now.
	Now func() time.Time
	// Logger gets what nobody is told otherwise: corrupt records, outages of the
	// feed, batches that could not be written. Default: silent.
	Logger *slog.Logger
}

// VerifierConfig configures a Verifier, for those who keep keys in a table of
// their own.
type VerifierConfig struct {
	// Finder finds keys. Required.
	Finder Finder
	// Feed tells what has changed. Default: none, and then a revoked key is
	// accepted for up to Cache.TTL, unless Forget is called.
	Feed Feed
	// Formats are the shapes of keys. Required: at least one.
	Formats []Format
	// Peppers are the keys under which digests are made. Default: none, digests
	// are plain SHA-256.
	Peppers []Pepper
	// Resolve finds the principal for an accepted key, for keys that inherit the
	// rights of somebody else. It is called for every verification, and what it
	// returns is not remembered. The key is a copy, without Secrets. Empty
	// Subject, CredentialID, Scheme and Expires are filled in from the key, and
	// From finds the key in the result. A *keystile.Error is passed on, any other
	// error is an outage, a nil principal without an error a mistake (500).
	// Default: the principal is the key.
	Resolve func(ctx context.Context, k *Key) (*keystile.Principal, error)
	// Touch writes down when keys were used, in batches. Default: nobody does.
	Touch func(ctx context.Context, uses []Use) error

	Cache Cache // Default: as its fields say.
	Sync  Sync  // Default: as its fields say.

	// Now tells the time. Default: time.Now.
	Now func() time.Time
	// Logger gets what nobody is told otherwise. Default: silent.
	Logger *slog.Logger
}

// Cache says what is remembered of verified secrets, and for how long.
type Cache struct {
	// TTL is how long a key is served from memory at most. Without a Feed it is
	// also how long a revocation may take to arrive. Default: 30 s.
	TTL time.Duration
	// Size is how many secrets are remembered that are those of a key. Make it
	// larger than the number of keys in use. Default: 16384.
	Size int
	// MissTTL is how long it is remembered that a secret is nobody's; at most
	// TTL. Default: TTL.
	MissTTL time.Duration
	// MissSize is how many of those are remembered, apart from the keys, so that
	// a flood of guesses pushes out no key. Default: a quarter of Size.
	MissSize int
	// ReadTimeout is how long one read of the store may take, on behalf of all
	// who wait for it. Default: 2 s.
	ReadTimeout time.Duration
}

// Sync says how this process keeps in step with the others.
type Sync struct {
	// Interval is how soon what others change is in force here, with a Feed: it
	// is read every Interval/2, with a deadline of Interval/4. Default: 1 s.
	Interval time.Duration
	// StaleFor is how long keys are served without news from the Feed. Then every
	// key is answered with 503 until it can be read again. Default: Cache.TTL.
	StaleFor time.Duration
	// Wake asks for a reading of the Feed at once, such as on a NOTIFY of
	// PostgreSQL. Closing it ends it. Default: none.
	Wake <-chan struct{}
	// TouchInterval is how often it is written down when keys were used.
	// Default: 5 s.
	TouchInterval time.Duration
	// NoTouch leaves LastUsedAt alone. Default: false.
	NoTouch bool
}

const (
	defaultTTL           = 30 * time.Second
	defaultSize          = 1 << 14
	defaultReadTimeout   = 2 * time.Second
	defaultInterval      = time.Second
	minInterval          = 10 * time.Millisecond
	defaultTouchInterval = 5 * time.Second
)

func (c Cache) withDefaults() Cache {
	c.TTL = orElse(c.TTL, defaultTTL)
	c.Size = orElse(c.Size, defaultSize)
	c.MissTTL = orElse(c.MissTTL, c.TTL)
	c.MissSize = orElse(c.MissSize, max(1, c.Size/4))
	c.ReadTimeout = orElse(c.ReadTimeout, defaultReadTimeout)
	return c
}

func (s Sync) withDefaults(c Cache) Sync {
	s.Interval = orElse(s.Interval, defaultInterval)
	s.StaleFor = orElse(s.StaleFor, max(c.TTL, s.Interval))
	s.TouchInterval = orElse(s.TouchInterval, defaultTouchInterval)
	return s
}

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// mistakes collects what is wrong with a configuration.
type mistakes []error

func (m *mistakes) add(field string, value any, reason string) {
	*m = append(*m, &keystile.ConfigError{Field: field, Value: value, Reason: reason})
}

// join adds the mistakes that err holds, one by one.
func (m *mistakes) join(err error) {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range all.Unwrap() {
			m.join(e)
		}
	} else if err != nil {
		*m = append(*m, err)
	}
}

func (m mistakes) err() error { return errors.Join(m...) }

func (m *mistakes) notNegative(field string, d time.Duration) {
	if d < 0 {
		m.add(field, d, "is negative; use a positive duration, or 0 for the default")
	}
}

func (m *mistakes) cache(field string, c Cache) {
	m.notNegative(field+".TTL", c.TTL)
	m.notNegative(field+".MissTTL", c.MissTTL)
	m.notNegative(field+".ReadTimeout", c.ReadTimeout)
	if c.Size < 0 {
		m.add(field+".Size", c.Size, "is negative; use the number of keys in use and some more, or 0 for the default")
	}
	if c.MissSize < 0 {
		m.add(field+".MissSize", c.MissSize, "is negative; use a number, or 0 for the default")
	}
	if d := c.withDefaults(); d.TTL > 0 && d.MissTTL > d.TTL {
		m.add(field+".MissTTL", c.MissTTL, fmt.Sprintf("is longer than TTL, so that an imported key would take longer to arrive than Bound says; use at most %v", d.TTL))
	}
}

func (m *mistakes) sync(field string, s Sync, c Cache, feed Feed) {
	m.notNegative(field+".TouchInterval", s.TouchInterval)
	if d := s.withDefaults(c.withDefaults()); d.Interval < minInterval {
		m.add(field+".Interval", s.Interval, fmt.Sprintf("is too short; use at least %v, or 0 for the default", minInterval))
	} else if d.StaleFor < d.Interval {
		m.add(field+".StaleFor", s.StaleFor, fmt.Sprintf("is shorter than Interval, so that keys would be refused between two readings of the feed; use at least %v", d.Interval))
	}
	if s.Wake != nil && feed == nil {
		m.add(field+".Wake", nil, "wakes nothing, because there is no Feed; set Feed as well")
	}
}

func (m *mistakes) formats(field string, formats []Format) {
	for i, f := range formats {
		m.join(f.configErr(fmt.Sprintf("%s[%d]", field, i), false))
	}
}

func (m *mistakes) lifetimes(c Config) {
	m.notNegative("apikey.Config.DefaultTTL", c.DefaultTTL)
	m.notNegative("apikey.Config.MaxTTL", c.MaxTTL)
	if c.MaxTTL > 0 && c.DefaultTTL > c.MaxTTL {
		m.add("apikey.Config.DefaultTTL", c.DefaultTTL, fmt.Sprintf("is longer than MaxTTL; use at most %v, or raise MaxTTL", c.MaxTTL))
	}
}
