package basicauth

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/keystile/keystile"
)

// Config configures an Authenticator.
type Config struct {
	// Users finds the users: NewMemoryUsers, Htpasswd, or a table of one's own.
	// Required.
	Users Users
	// Kinds are the kinds of hash that Users may return, at most eight: each login
	// pays one compare of each, whoever it is, so that its duration does not tell
	// whether the user exists. Needed only for a Users that is no KindLister: a
	// kind that is missing here is noticed when it is met first, and from then on
	// all pay for it. Default: what Users lists; else what has been met.
	Kinds []Kind
	// InsecureAllowPlaintext accepts passwords over connections that are not
	// encrypted. Without it they are refused with 400, unless the client is on
	// this machine or a proxy that ClientIP trusts says https. Default: false.
	InsecureAllowPlaintext bool

	// Throttles slow down guessing. Default: as its fields say.
	Throttles Throttles

	// Remember is for how long a password that was right is not compared again,
	// up to a minute; negative: not at all. The user is looked up for every
	// request all the same. Default: a minute.
	Remember time.Duration
	// RememberSize is how many logins are remembered, and of how many pairs of a
	// user and a network that they belong together. Default: 16384.
	RememberSize int

	// MaxCompares is how many passwords are compared at once. Each takes a
	// processor for as long as it lasts. Default: half of the processors, at
	// least one, so that the rest of the service keeps the others.
	MaxCompares int
	// MaxWaiting is how many logins wait for one of those, for up to 5 seconds;
	// further ones are answered with 503 at once. From 1 to 32. Default: 32.
	MaxWaiting int

	// Logger gets what nobody is told otherwise: weak kinds of hash, broken
	// records, a Throttle that fails. Default: silent.
	Logger *slog.Logger
	// Now tells the time. Default: time.Now.
	Now func() time.Time
}

const (
	maxRemember         = time.Minute
	defaultRememberSize = 1 << 14
	maxWaiting          = 32
)

// New returns the Authenticator that c describes, or all mistakes of c as
// *keystile.ConfigError values joined. It works in no background and needs no
// Close.
func New(c Config) (*Authenticator, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	c.Remember = orElse(c.Remember, maxRemember)
	c.RememberSize = orElse(c.RememberSize, defaultRememberSize)
	c.MaxCompares = orElse(c.MaxCompares, max(1, runtime.GOMAXPROCS(0)/2))
	c.MaxWaiting = orElse(c.MaxWaiting, maxWaiting)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: it ends the program instead
	lister, _ := c.Users.(KindLister)
	return &Authenticator{
		users: c.Users, plaintext: c.InsecureAllowPlaintext, now: c.Now, epoch: c.Now(), logger: c.Logger,
		readers: newReaders(key),
		memory:  newMemory(c.RememberSize, stamp(c.Remember)),
		brake:   newBrake(c.Throttles.withDefaults(c.Now), c.RememberSize),
		flights: flights{all: make(map[question]*flight)},
		gate:    newGate(c.MaxCompares, c.MaxWaiting),
		comparer: comparer{
			lister: lister, always: append([]Kind(nil), c.Kinds...), logger: c.Logger, matches: (*storedHash).matches,
			dummies: make(map[Kind]*storedHash), warned: make(map[Kind]bool),
		},
	}, nil
}

func (c Config) check() error {
	const field = "basicauth.Config."
	var m mistakes
	if c.Users == nil {
		m.add(field+"Users", nil, "is nil; pass what finds the users, such as NewMemoryUsers or Htpasswd")
	}
	if len(c.Kinds) > maxKinds {
		m.add(field+"Kinds", len(c.Kinds), fmt.Sprintf("are more than %d, of which each login would pay one compare; hash passwords anew so that fewer remain", maxKinds))
	}
	for i, k := range c.Kinds {
		if reason := k.flaw(); reason != "" {
			m.add(fmt.Sprintf("%sKinds[%d]", field, i), k.String(), reason)
		}
	}
	if c.Remember > maxRemember {
		m.add(field+"Remember", c.Remember, "is longer than a minute; use up to 1m, or a negative duration to remember nothing")
	}
	if c.RememberSize < 0 {
		m.add(field+"RememberSize", c.RememberSize, "is negative; use the number of users who are active at a time, or 0 for the default")
	}
	if c.MaxCompares < 0 {
		m.add(field+"MaxCompares", c.MaxCompares, "is negative; use a part of the number of processors, or 0 for the default")
	}
	if c.MaxWaiting < 0 || c.MaxWaiting > maxWaiting {
		m.add(field+"MaxWaiting", c.MaxWaiting, fmt.Sprintf("is not from 1 to %d; a longer queue would only make everybody wait longer", maxWaiting))
	}
	return m.err()
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

func (m mistakes) err() error { return errors.Join(m...) }
