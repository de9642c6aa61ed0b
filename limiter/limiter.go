package limiter

import (
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/keystile/keystile"
)

// Limiter decides whether a request may go ahead now. Make it with New; the zero
// value refuses every request with 500. A Limiter is safe for concurrent use.
type Limiter struct {
	config   Config
	planner  planner
	fallback *fallback
	keeper   keeper
	leases   leaseIDs
	prefix   []byte // of every key
	ready    bool

	forgetting atomic.Int64
	outages    quiet
	mistakes   quiet
}

var (
	errZeroLimiter  = errors.New("limiter: this Limiter was not made by New")
	errNegativeCost = errors.New("limiter: Config.Cost returned a negative cost")
)

// Wrap lets a request pass to next when all limits of its plan admit it, and
// answers 429 otherwise. A slot of a Concurrent limit is held until next returns
// or panics.
//
// Put http.TimeoutHandler outside: inside it would return early and free the
// slot of a handler that still runs.
func (l *Limiter) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.skips(r) {
			next.ServeHTTP(w, r)
			return
		}
		r = keystile.Track(r)
		d, err := l.decide(r, w.Header())
		if err != nil {
			keystile.RespondError(w, r, err)
			return
		}
		l.serve(d, w, r, next)
	})
}

func (l *Limiter) skips(r *http.Request) bool {
	return len(l.config.Skip) > 0 && keystile.MatchEndpoint(l.config.Skip, keystile.Route(r))
}

// serve runs next and ends d however next ends.
func (l *Limiter) serve(d *Decision, w http.ResponseWriter, r *http.Request, next http.Handler) {
	defer d.Release(r.Context())
	var status *statusWriter
	if l.config.RefundIf != nil {
		w, status = watchStatus(w)
	}
	r = d.open(r)
	panicked := true
	defer func() {
		d.close()
		if status != nil && l.config.RefundIf(status.final(panicked)) {
			d.Refund(r.Context())
		}
	}()
	next.ServeHTTP(w, r)
	panicked = false
}

// Take decides about r without answering it: for servers that are not handlers.
// It returns the Decision of an admitted request, which the caller must Release
// when the request has ended; or the *keystile.Error to answer with.
func (l *Limiter) Take(r *http.Request) (*Decision, error) {
	d, err := l.decide(r, nil)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// decide takes the decision about r, tells the Observer, and writes the header
// fields where header is not nil.
func (l *Limiter) decide(r *http.Request, header http.Header) (*Decision, *keystile.Error) {
	if !l.ready {
		slog.ErrorContext(r.Context(), errZeroLimiter.Error())
		return nil, &keystile.Error{Code: keystile.CodeInternal, Err: errZeroLimiter}
	}
	var started time.Time
	if l.config.Observer != nil {
		started = l.config.Now()
	}
	d := &Decision{limiter: l, header: header}
	d.outer, d.charge.Outer = outerOf(r, header)
	d.charge.Of = d
	err := d.take(r)
	handedOver := false
	defer func() {
		if !handedOver { // something of the service's own panicked
			d.Release(r.Context())
		}
	}()
	if err != nil && !l.config.Shadow {
		d.refundOuter(r.Context()) // the request goes no further
	}
	if header != nil && d.decided && !l.config.Shadow {
		d.writeHeaders(header)
	}
	l.log(r, err, d.failure)
	if l.config.Observer != nil {
		l.observe(r, d, err, started)
	}
	handedOver = true
	if err != nil && !l.config.Shadow {
		return nil, err
	}
	return d, nil
}

func (l *Limiter) observe(r *http.Request, d *Decision, err *keystile.Error, started time.Time) {
	ev := keystile.NewEvent(r, keystile.KindLimit, err)
	ev.Limiter = l.config.Name
	ev.Duration = l.config.Now().Sub(started)
	ev.Degraded = d.degraded
	if d.failure != nil && ev.Err == nil {
		ev.Err = d.failure
	}
	if err != nil {
		ev.Limit, _ = err.Details[detailLimit].(string)
		ev.Shadow = l.config.Shadow
	}
	l.config.Observer.Observe(r.Context(), ev)
}

// fill makes d ask for all limits of r's plan.
func (d *Decision) fill(r *http.Request) *keystile.Error {
	l := d.limiter
	p, _ := keystile.PrincipalFrom(r.Context())
	key, err := l.config.By.appendKey(append(d.keyRoom[:0], l.prefix...), r, p)
	if err != nil {
		return asError(err)
	}
	if d.plan, err = l.planner.find(r.Context(), p); err != nil {
		return asError(err)
	}
	d.demand.Key = shorten(key, len(l.prefix))
	d.demand.Asks = append(d.askRoom[:0], d.plan.asks...)
	if d.plan.nested {
		if err := d.nest(r, p); err != nil {
			return asError(err)
		}
	}
	d.demand.Cost = 1
	if l.config.Cost != nil {
		d.demand.Cost = l.config.Cost(r)
	}
	if d.demand.Cost < 0 {
		return &keystile.Error{Code: keystile.CodeInternal, Err: errNegativeCost}
	}
	if d.plan.leases && d.demand.Cost > 0 {
		d.demand.Lease = l.leases.new()
		d.demand.TTL = l.config.LeaseTTL
	}
	return nil
}

// nest gives the limits with Within their sub-keys.
func (d *Decision) nest(r *http.Request, p *keystile.Principal) error {
	for i, limit := range d.plan.limits {
		if !limit.nested {
			continue
		}
		sub, err := limit.within.appendKey(appendFrame(nil, limit.within.name()), r, p)
		if err != nil {
			return err
		}
		d.demand.Asks[i] = limit.AskWithin(sub)
	}
	return nil
}

// take asks the store, and whoever stands in for it when it fails.
func (d *Decision) take(r *http.Request) *keystile.Error {
	if err := d.fill(r); err != nil {
		return err
	}
	l, ctx := d.limiter, r.Context()
	err := l.ask(ctx, &d.demand)
	switch {
	case err == nil:
		d.store = l.config.Store
		l.fallback.recovered()
	case errors.Is(err, ErrInvalidDemand):
		return &keystile.Error{Code: keystile.CodeInternal, Err: err}
	default:
		d.degraded, d.failure = true, err
		l.forget(ctx, &d.demand)
		store, refused := l.fallback.take(ctx, &d.demand, err)
		if refused != nil {
			return refused
		}
		if store == nil {
			return nil
		}
		d.store = store
	}
	d.decided = true
	if d.admitted = d.demand.Admitted; !d.admitted {
		return d.refusal()
	}
	if d.demand.Lease != (LeaseID{}) {
		l.keeper.add(d)
	}
	return nil
}

func asError(err error) *keystile.Error {
	var e *keystile.Error
	if errors.As(err, &e) && e != nil {
		return e
	}
	return keystile.Unavailable(err)
}
