package limiter

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/record"
)

// Status is what one limit says about a request, or about a caller.
type Status struct {
	Limiter   string // the name of the limiter
	Limit     string // the name of the limit
	Kind      Kind
	Quota     int64         // what the limit allows
	Remaining int64         // what is left, after the request was charged
	Window    time.Duration // the length of the window; 0 for a Concurrent
	// Reset is when the open window ends; zero where none is open. Of a
	// Concurrent it is when the first lease expires unless it is renewed.
	Reset   time.Time
	Wait    time.Duration // of a window that refused: how long until the cost would fit
	Verdict Verdict
}

// StatusesFrom returns what all limiters said that the request of ctx has
// passed, the outermost first, for handlers that show a caller its quota.
func StatusesFrom(ctx context.Context) []Status {
	var all []Status
	for rec := record.From(ctx); rec != nil; rec = rec.Parent() {
		c := rec.Charges.Load()
		if c == nil {
			continue
		}
		switch of := c.Of.(type) {
		case *Decision:
			return of.statuses(nil)
		case []Status:
			return slices.Clone(of)
		}
	}
	return all
}

// WithStatuses returns a context from which StatusesFrom reads these, for tests
// of handlers.
func WithStatuses(ctx context.Context, statuses ...Status) context.Context {
	rec := record.Begin(ctx)
	rec.Charges.Store(&record.Charge{Of: slices.Clone(statuses)})
	return rec
}

// Inspect returns what the limits of r's caller say now, without charging it.
// Errors are those of Take, but no refusal. To ask about somebody who sends no
// request, make one with keystile.WithPrincipal in its context.
func (l *Limiter) Inspect(r *http.Request) ([]Status, error) {
	if !l.ready {
		return nil, &keystile.Error{Code: keystile.CodeInternal, Err: errZeroLimiter}
	}
	d := &Decision{limiter: l}
	if err := d.fill(r); err != nil {
		return nil, err
	}
	if err := l.config.Store.Inspect(r.Context(), &d.demand); err != nil {
		return nil, keystile.Unavailable(err)
	}
	d.decided = true
	return d.statuses(nil), nil
}

// Reset forgets what r's caller was charged, and frees its slots.
func (l *Limiter) Reset(r *http.Request) error {
	if !l.ready {
		return &keystile.Error{Code: keystile.CodeInternal, Err: errZeroLimiter}
	}
	d := &Decision{limiter: l}
	if err := d.fill(r); err != nil {
		return err
	}
	if err := l.config.Store.Reset(r.Context(), d.demand.Key); err != nil {
		return keystile.Unavailable(err)
	}
	return nil
}

// Statuses returns what each limit said, those of limiters further out first.
func (d *Decision) Statuses() []Status { return d.statuses(nil) }

func (d *Decision) statuses(all []Status) []Status {
	if d.outer != nil {
		all = d.outer.statuses(all)
	}
	if !d.decided {
		return all
	}
	for i, l := range d.plan.limits {
		a, o := &d.demand.Asks[i], d.demand.Outlook(i)
		s := Status{
			Limiter: d.limiter.config.Name, Limit: l.name, Kind: l.kind, Quota: a.N, Remaining: d.outlook(i).Remaining,
			Window: l.Period(), Wait: duration(o.Wait), Verdict: a.Verdict,
		}
		if l.kind == KindConcurrent {
			o.Reset = a.Expiry
		}
		if o.Reset != 0 {
			s.Reset = time.UnixMicro(o.Reset)
		}
		all = append(all, s)
	}
	return all
}

// duration turns microseconds into a Duration, which holds fewer of them.
func duration(us int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Microsecond)
	return time.Duration(min(us, most)) * time.Microsecond
}
