package keystile

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"
)

// Observer is told of every decision. It is called on the request's goroutine,
// before the answer: it must be quick and safe for concurrent use.
type Observer interface {
	Observe(ctx context.Context, e Event)
}

// Kind is the question that was decided.
type Kind string

// The kinds of decision.
const (
	KindAuthenticate Kind = "authenticate" // who is calling?
	KindAuthorize    Kind = "authorize"    // may it do this?
	KindLimit        Kind = "limit"        // may it do this now?
)

// Event is one decision. It never holds a secret.
type Event struct {
	Kind      Kind
	Code      Code          // "" when the request passed
	Err       error         // the whole error; nil when the request passed undisturbed
	Principal *Principal    // nil: anonymous or refused
	Scheme    Scheme        // of the credential that was judged
	Route     string        // as Route gives it
	Addr      netip.Addr    // as ClientAddr gives it
	Limiter   string        // limiter decisions: the name of the limiter
	Limit     string        // limiter decisions: the name of the limit that refused
	Duration  time.Duration // how long the decision took
	Cached    bool          // the credential came from a cache
	Shadow    bool          // the limiter would have refused, but only watches
	Degraded  bool          // the limiter's store failed and OnStoreError decided
}

// event fills in what every kind of decision has in common.
func event(r *http.Request, kind Kind, p *Principal, e *Error) Event {
	ev := Event{Kind: kind, Principal: p, Route: Route(r), Addr: ClientAddr(r)}
	if p != nil {
		ev.Scheme = p.Scheme
	}
	if e != nil {
		ev.Code, ev.Err = e.Code, e
	}
	return ev
}

// NewEvent returns an event about r with its route, address and principal
// filled in, for middlewares of other packages.
func NewEvent(r *http.Request, kind Kind, e *Error) Event {
	p, _ := PrincipalFrom(r.Context())
	return event(r, kind, p, e)
}

// SlogObserver logs one line for each decision: refusals as Info, decisions
// that could not be taken as Error, degraded ones as Warn, the rest as Debug.
// A nil logger is silent.
func SlogObserver(logger *slog.Logger) Observer { return slogObserver{logger} }

type slogObserver struct{ logger *slog.Logger }

func (o slogObserver) Observe(ctx context.Context, e Event) {
	level := e.level()
	if o.logger == nil || !o.logger.Enabled(ctx, level) {
		return
	}
	code := string(e.Code)
	if code == "" {
		code = "ok"
	}
	attrs := make([]slog.Attr, 0, 16)
	attrs = append(attrs, slog.String("code", code))
	if p := e.Principal; p != nil {
		attrs = append(attrs, slog.String("subject", p.Subject), slog.String("credential", p.CredentialID),
			slog.String("account", p.Account), slog.String("plan", p.Plan))
	}
	attrs = appendNonEmpty(attrs, "scheme", string(e.Scheme))
	attrs = appendNonEmpty(attrs, "route", e.Route)
	if e.Addr.IsValid() {
		attrs = append(attrs, slog.String("addr", e.Addr.String()))
	}
	attrs = appendNonEmpty(attrs, "limiter", e.Limiter)
	attrs = appendNonEmpty(attrs, "limit", e.Limit)
	attrs = append(attrs, slog.Duration("took", e.Duration))
	for _, flag := range [...]struct {
		name string
		set  bool
	}{{"cached", e.Cached}, {"shadow", e.Shadow}, {"degraded", e.Degraded}} {
		if flag.set {
			attrs = append(attrs, slog.Bool(flag.name, true))
		}
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("cause", e.Err.Error()))
	}
	o.logger.LogAttrs(ctx, level, "keystile "+string(e.Kind), attrs...)
}

func (e Event) level() slog.Level {
	switch {
	case e.Code != "" && e.statusCode() >= http.StatusInternalServerError:
		return slog.LevelError
	case e.Degraded || e.Shadow:
		return slog.LevelWarn
	case e.Code != "":
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

func (e Event) statusCode() int {
	if err, ok := e.Err.(*Error); ok {
		return err.StatusCode()
	}
	return e.Code.Status()
}

func appendNonEmpty(attrs []slog.Attr, key, value string) []slog.Attr {
	if value == "" {
		return attrs
	}
	return append(attrs, slog.String(key, value))
}
