package limiter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/keystile/keystile"
)

// Plan is what one kind of customer is allowed. All limits of a plan are decided
// in one atomic step: all admit and all are charged, or none is.
type Plan struct {
	Limits []Limit // An empty list allows everything.
}

// Plans are the plans of a limiter by their names, which are those of
// keystile.Principal.Plan.
type Plans map[string]Plan

// maxLimits bounds what one decision may ask of a store.
const maxLimits = 32

// compiled is a plan with all that can be prepared before the first request.
type compiled struct {
	limits []Limit
	asks   []Ask
	quotas []string // N of each limit, as the header fields say it
	policy string   // the value of RateLimit-Policy
	nested bool     // some limit has Within
	leases bool     // some limit is Concurrent
}

// compile reports mistakes at field, which is the name of the list of limits.
func compile(field string, p Plan) (*compiled, error) {
	errs := checkLimits(field, p.Limits)
	if len(p.Limits) > maxLimits {
		errs = append(errs, &keystile.ConfigError{Field: field, Value: len(p.Limits), Reason: fmt.Sprintf("are too many for one decision; use at most %d", maxLimits)})
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	c := &compiled{limits: slices.Clone(p.Limits)}
	var policy []byte
	for i, l := range c.limits {
		c.asks = append(c.asks, l.Ask())
		c.quotas = append(c.quotas, strconv.FormatInt(headerInt(l.n), 10))
		c.nested = c.nested || l.nested
		c.leases = c.leases || l.kind == KindConcurrent
		if i > 0 {
			policy = append(policy, ", "...)
		}
		policy = appendPolicy(policy, "", l, l.n)
	}
	c.policy = string(policy)
	return c, nil
}

// planner finds the plan of a request.
type planner struct {
	plans     map[string]*compiled
	standard  *compiled // DefaultPlan, or the only one
	anonymous *compiled
	custom    func(context.Context, *keystile.Principal) (Plan, error)
}

func newPlanner(c Config) (planner, []error) {
	var p planner
	var errs []error
	fail := func(field string, value any, reason string) {
		errs = append(errs, &keystile.ConfigError{Field: "limiter.Config." + field, Value: value, Reason: reason})
	}
	build := func(field string, plan Plan) *compiled {
		built, err := compile("limiter.Config."+field, plan)
		if err != nil {
			errs = append(errs, err)
		}
		return built
	}
	p.custom = c.Plan
	switch {
	case len(c.Limits) > 0 && len(c.Plans) > 0:
		fail("Limits", nil, "and Plans are both set; Limits is the short form for a single plan, so use one of them")
	case len(c.Limits) > 0:
		p.standard = build("Limits", Plan{Limits: c.Limits})
	case len(c.Plans) == 0 && c.Plan == nil:
		fail("Plans", nil, "is empty; list the plans, or give Limits to everybody")
	}
	p.plans = make(map[string]*compiled, len(c.Plans))
	for _, name := range slices.Sorted(maps.Keys(c.Plans)) {
		p.plans[name] = build(fmt.Sprintf("Plans[%q].Limits", name), c.Plans[name])
	}
	if len(c.Plans) > 0 {
		switch _, known := c.Plans[c.DefaultPlan]; {
		case c.DefaultPlan == "":
			fail("DefaultPlan", nil, "is empty; name the plan of a principal whose own plan is not listed")
		case !known:
			fail("DefaultPlan", c.DefaultPlan, "is not one of Plans; list it there")
		}
		p.standard = p.plans[c.DefaultPlan]
	} else if c.DefaultPlan != "" {
		fail("DefaultPlan", c.DefaultPlan, "is set without Plans; list the plan there, or leave it out")
	}
	counts := c.By != nil && c.By.ConfigErr() == nil && countsAnonymous(c.By)
	switch plan, known := p.plans[c.AnonymousPlan]; {
	case counts && len(c.Limits) > 0 && c.AnonymousPlan == "":
		p.anonymous = p.standard
	case counts && c.AnonymousPlan == "":
		fail("AnonymousPlan", nil, "is empty; name the plan of requests without a principal, which ByAccountOr counts")
	case c.AnonymousPlan != "" && !counts:
		fail("AnonymousPlan", c.AnonymousPlan, "is set, but By does not count anonymous requests; use ByAccountOr, or leave it out")
	case c.AnonymousPlan != "" && !known:
		fail("AnonymousPlan", c.AnonymousPlan, "is not one of Plans; list it there")
	default:
		p.anonymous = plan
	}
	return p, errs
}

var errNoPlan = errors.New("limiter: no plan for this principal; set Plans and DefaultPlan, or let Config.Plan return one")

// find returns the plan of p, who is nil for an anonymous request.
func (pl *planner) find(ctx context.Context, p *keystile.Principal) (*compiled, error) {
	if p == nil && pl.anonymous != nil {
		return pl.anonymous, nil
	}
	if p != nil && pl.custom != nil {
		plan, err := pl.custom(ctx, p)
		if err != nil {
			return nil, err
		}
		built, err := compile("limiter.Config.Plan("+strconv.Quote(p.Subject)+").Limits", plan)
		if err != nil {
			return nil, wiring(err)
		}
		return built, nil
	}
	if p != nil {
		if plan := pl.plans[p.Plan]; plan != nil {
			return plan, nil
		}
	}
	if pl.standard == nil {
		return nil, wiring(errNoPlan)
	}
	return pl.standard, nil
}
