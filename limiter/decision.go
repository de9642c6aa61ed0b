package limiter

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/record"
)

// Decision is what a Limiter decided about one request. It is safe for
// concurrent use.
type Decision struct {
	charge  record.Charge
	record  *record.Record // the charge is open there
	above   *record.Charge // what was open there before
	prev    *Decision      // in the keeper's list
	next    *Decision
	limiter *Limiter
	plan    *compiled
	store   Store // which decided; nil where nothing was counted
	outer   *Decision
	header  http.Header
	failure error // of the store

	kept     bool // it is in the keeper's list
	decided  bool // some store answered
	admitted bool // and charged; a refund changes what the demand says
	degraded bool // the store failed
	refunded atomic.Bool
	released atomic.Bool
	renewing atomic.Bool

	demand  Demand
	askRoom [4]Ask
	keyRoom [64]byte
	values  [headerValues]string
}

// Release frees the slot of an admitted request. The first call does it, further
// ones do nothing; the end of ctx does not prevent it.
func (d *Decision) Release(ctx context.Context) {
	if d.demand.Lease == (LeaseID{}) || d.store == nil || !d.released.CompareAndSwap(false, true) {
		return
	}
	d.limiter.keeper.remove(d)
	ctx, cancel := d.limiter.detached(ctx, d.store)
	defer cancel()
	// What cannot be freed now is freed when the lease expires.
	_ = d.store.Release(ctx, d.demand.Key, d.demand.Lease)
}

// Refund gives back what was charged, as far as the windows are still open. The
// first call does it, further ones do nothing; the end of ctx does not prevent
// it. The slot stays taken until Release.
func (d *Decision) Refund(ctx context.Context) {
	if d.store == nil || !d.admitted || !d.refunded.CompareAndSwap(false, true) {
		return
	}
	ctx, cancel := d.limiter.detached(ctx, d.store)
	defer cancel()
	// A refund that fails is lost: the caller waits for the end of the window.
	_ = d.store.Refund(ctx, &d.demand)
}

// refundOuter gives back what limiters further out charged for a request that
// this one has refused.
func (d *Decision) refundOuter(ctx context.Context) {
	for o := d.outer; o != nil; o = o.outer {
		o.Refund(ctx)
	}
}

// Names of members in the details of a refusal.
const (
	detailLimiter  = "limiter"
	detailLimit    = "limit"
	detailQuota    = "quota"
	detailReset    = "reset"
	detailCost     = "cost"
	detailViolated = "violated-policies"
)

// ErrCostExceedsLimit is the code of a request whose cost is above a limit, so
// that it can never be admitted.
const ErrCostExceedsLimit = keystile.CodeCostExceedsLimit

// refusal returns the answer to a demand that was not admitted. The name, the
// quota and the reset are those of the binding limit, which the header fields
// show too.
func (d *Decision) refusal() *keystile.Error {
	e := &keystile.Error{Code: keystile.CodeConcurrencyLimited, Details: map[string]any{detailLimiter: d.limiter.config.Name}}
	var names []string
	for i := range d.demand.Asks {
		a := &d.demand.Asks[i]
		switch a.Verdict {
		case NeverFits:
			return d.neverFits(i)
		case Full:
			names = append(names, d.qualifier(i)+d.plan.limits[i].name)
			if d.plan.limits[i].kind != KindConcurrent {
				e.Code = keystile.CodeRateLimited
			}
		}
	}
	e.RetryAfter = max(duration(d.demand.Wait()), time.Second)
	binding := d.binding()
	e.Details[detailLimit] = d.plan.limits[binding].name
	e.Details[detailQuota] = d.demand.Asks[binding].N
	e.Details[detailReset] = secondsUp(d.outlook(binding).Reset) // Unix seconds
	e.Details[detailViolated] = names
	e.Detail = "The quota of " + strings.Join(names, ", ") + " is used up."
	return e
}

func (d *Decision) neverFits(i int) *keystile.Error {
	return &keystile.Error{Code: ErrCostExceedsLimit, Details: map[string]any{
		detailLimiter: d.limiter.config.Name, detailLimit: d.plan.limits[i].name,
		detailQuota: d.demand.Asks[i].N, detailCost: d.demand.Cost,
	}}
}
