package limiter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/keystile/keystile"
)

// Config configures a Limiter.
type Config struct {
	// Name tells this limiter from others that share its store, in events and in
	// keys. Required, unique per store.
	Name string
	// Store holds the counters: NewMemoryStore, or one that several machines
	// share. Required.
	Store Store
	// By says whom to count. Required.
	By By

	// Limits is the short form for one plan that everybody has. Required, unless
	// Plans or Plan is set.
	Limits []Limit
	// Plans are the plans by the name that a principal carries.
	Plans Plans
	// DefaultPlan is the plan of a principal whose own is not listed. Required
	// with Plans.
	DefaultPlan string
	// AnonymousPlan is the plan of requests without a principal. Required with
	// Plans where By is ByAccountOr.
	AnonymousPlan string
	// Plan computes the plan of a principal, for plans that are not listed. It
	// runs on every request and must be quick. An error that is not a
	// *keystile.Error is answered with 503. Default: Plans decide.
	Plan func(context.Context, *keystile.Principal) (Plan, error)

	// OnStoreError says what becomes of a request while the store fails: Deny,
	// Allow or Local{Nodes}. Required.
	OnStoreError FailurePolicy

	// Cost is what a request is charged; 0 only looks. Default: 1 for every
	// request.
	Cost func(*http.Request) int64
	// RefundIf gives back what was charged when the answer has one of these
	// statuses, say 500 and above. Default: nothing is given back.
	RefundIf func(status int) bool
	// Skip lists the routes that this limiter leaves alone, as "METHOD /pattern"
	// in the form of keystile.Route. Default: none.
	Skip []string
	// Shadow decides and charges but refuses nothing and sends no header fields:
	// for trying out limits. The Observer sees what would have been refused.
	Shadow bool

	// Headers chooses the header fields, and HeaderLimit the limit that the
	// Legacy ones show on an admitted request. Default: LegacyAndDraft10; the
	// window with the smallest remaining quota.
	Headers     Headers
	HeaderLimit string
	// HouseHeaders writes further header fields, of a house's own. Default: none.
	HouseHeaders func(h http.Header, statuses []Status)

	// StoreTimeout bounds each call of a Store that is not a MemoryStore; after
	// it OnStoreError decides. Default: 250 ms.
	StoreTimeout time.Duration

	// Observer gets an Event for every decision. Default: nobody is told.
	Observer keystile.Observer
	// Logger gets wiring mistakes, and the failures of the store, at most one line
	// in 10 seconds of each. Default: slog.Default(), since both must be seen.
	Logger *slog.Logger
	// LeaseTTL is how long the slot of a crashed process stays taken; leases are
	// renewed every third of it. At least a second. Default: DefaultLeaseTTL.
	LeaseTTL time.Duration
	// Now tells the time, for durations in events and the length of outages;
	// counters go by the clock of the Store. Default: time.Now.
	Now func() time.Time
}

// check returns all mistakes that newPlanner and newFallback do not see.
func (c Config) check() []error {
	var errs []error
	fail := func(field string, value any, reason string) {
		errs = append(errs, &keystile.ConfigError{Field: "limiter.Config." + field, Value: value, Reason: reason})
	}
	if !validName(c.Name) {
		fail("Name", c.Name, `is not a name; take 1 to 64 printable ASCII characters without " and \, unique per store`)
	}
	if c.Store == nil {
		fail("Store", nil, "is nil; pass NewMemoryStore for a single process, or a store that all machines share")
	}
	if c.By == nil {
		fail("By", nil, "is nil; say whom to count, such as ByAccount, or ByIP in front of a Guard")
	} else if err := c.By.ConfigErr(); err != nil {
		errs = append(errs, err)
	}
	for i, rule := range c.Skip {
		if err := keystile.CheckEndpoint(rule); err != nil {
			fail(fmt.Sprintf("Skip[%d]", i), rule, err.Error())
		}
	}
	if reason := c.Headers.mistake(); reason != "" {
		fail("Headers", int(c.Headers), reason)
	}
	if c.HeaderLimit != "" && c.Plan == nil && !c.names(c.HeaderLimit) {
		fail("HeaderLimit", c.HeaderLimit, "is the name of no window in any plan; name one, such as hour")
	}
	if c.LeaseTTL != 0 && c.LeaseTTL < time.Second {
		fail("LeaseTTL", c.LeaseTTL, "is too short to be renewed in time; use a second or more")
	}
	if c.StoreTimeout < 0 {
		fail("StoreTimeout", c.StoreTimeout, "is negative; give the longest time to wait for the store")
	}
	return errs
}

// names reports whether some plan has a window of this name.
func (c Config) names(limit string) bool {
	plans := []Plan{{c.Limits}}
	for _, p := range c.Plans {
		plans = append(plans, p)
	}
	for _, p := range plans {
		for _, l := range p.Limits {
			if l.name == limit && l.kind != KindConcurrent {
				return true
			}
		}
	}
	return false
}

// New returns the Limiter that c describes, or all mistakes of c as
// *keystile.ConfigError values joined.
func New(c Config) (*Limiter, error) {
	errs := c.check()
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.LeaseTTL == 0 {
		c.LeaseTTL = DefaultLeaseTTL
	}
	if c.StoreTimeout == 0 {
		c.StoreTimeout = 250 * time.Millisecond
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Headers == 0 {
		c.Headers = LegacyAndDraft10
	}
	planner, mistakes := newPlanner(c)
	errs = append(errs, mistakes...)
	fallback, err := newFallback(c.OnStoreError, c.Now)
	if err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	l := &Limiter{config: c, planner: planner, fallback: fallback, ready: true}
	l.config.Skip = append([]string(nil), c.Skip...)
	l.prefix = appendFrame(nil, c.Name)
	l.keeper.ttl = c.LeaseTTL
	l.leases.init()
	return l, nil
}
