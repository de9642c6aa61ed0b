package keystile

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/keystile/keystile/internal/record"
)

// GuardConfig configures a Guard.
type GuardConfig struct {
	// Authenticator judges the credentials. Required.
	Authenticator Authenticator
	// Realm names the protected space in every challenge: printable ASCII
	// without quotation marks and backslashes. Required.
	Realm string

	// Optional lets a request without any credential pass, with no principal. A
	// credential that is present is judged all the same. Default: false.
	Optional bool
	// Skip lists the routes that this Guard leaves alone, as "METHOD /pattern"
	// in the form of Route. Default: none.
	Skip []string
	// UniformRefusal answers every refusal of a credential, and of its own
	// restrictions, as one CodeUnauthorized, so that an answer does not tell
	// whether a credential exists. The Observer still sees the real code.
	// Default: false.
	UniformRefusal bool
	// Silence reports whether the challenge of an authentication scheme, such as
	// "Basic", is withheld from an answer. It breaks RFC 9110 section 15.5.2 on
	// purpose, for pages on which a browser must not pop up its own dialogue.
	// Default: no challenge is withheld.
	Silence func(r *http.Request, scheme string) bool
	// Observer gets an Event for every decision. Default: nobody is told.
	Observer Observer
	// Now tells the time, for the durations in events. Default: time.Now.
	Now func() time.Time
}

// Guard asks an Authenticator who is calling and lets nobody else pass. The
// zero value refuses every request with 500 and logs why. A Guard is safe for
// concurrent use.
type Guard struct {
	auth     Authenticator
	realm    string // realm="…"
	optional bool
	uniform  bool
	skip     []string
	silence  func(r *http.Request, scheme string) bool
	observer Observer
	now      func() time.Time
	memo     memo[string, string] // challenges with the realm in them
}

// NewGuard returns the Guard that c describes, or all mistakes of c as
// *ConfigError values joined.
func NewGuard(c GuardConfig) (*Guard, error) {
	var errs []error
	if c.Authenticator == nil {
		errs = append(errs, nilAuthenticator("keystile.GuardConfig.Authenticator"))
	} else if err := configErr(c.Authenticator); err != nil {
		errs = append(errs, err)
	}
	if reason := badRealm(c.Realm); reason != "" {
		errs = append(errs, &ConfigError{Field: "keystile.GuardConfig.Realm", Value: c.Realm, Reason: reason})
	}
	for i, rule := range c.Skip {
		if err := CheckEndpoint(rule); err != nil {
			errs = append(errs, &ConfigError{Field: fmt.Sprintf("keystile.GuardConfig.Skip[%d]", i), Value: rule, Reason: err.Error()})
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Guard{
		auth: c.Authenticator, realm: `realm="` + c.Realm + `"`, optional: c.Optional, uniform: c.UniformRefusal,
		skip: append([]string(nil), c.Skip...), silence: c.Silence, observer: c.Observer, now: c.Now,
	}, nil
}

func badRealm(realm string) string {
	if realm == "" {
		return "is empty; name the protected space, such as the name of the API"
	}
	for i := range len(realm) {
		if c := realm[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return "has a character that a challenge cannot carry; use printable ASCII without quotation marks and backslashes"
		}
	}
	return ""
}

// Wrap lets the requests pass to next whose credential is accepted, with the
// principal in their context, and answers the others itself.
func (g *Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.auth != nil && len(g.skip) > 0 && MatchEndpoint(g.skip, Route(r)) {
			next.ServeHTTP(w, r)
			return
		}
		r, p, err := g.admit(r)
		if err != nil {
			respond(w, r, err, g)
			return
		}
		next.ServeHTTP(w, g.identify(r, p))
	})
}

// Authenticate decides about r without answering it. It returns the principal,
// nil for an anonymous request under Optional; or the error to answer with.
func (g *Guard) Authenticate(r *http.Request) (*Principal, error) {
	if _, p, err := g.admit(r); err != nil {
		return nil, err
	} else {
		return p, nil
	}
}

// admit returns r with a record where the decision needed one.
func (g *Guard) admit(r *http.Request) (*http.Request, *Principal, *Error) {
	if g.observer == nil {
		p, err := g.judge(r)
		return r, p, g.fold(err)
	}
	// A fresh record, so that what the authenticator notes about the credential
	// is about this one.
	r = ownRecord(r)
	started := g.now()
	p, err := g.judge(r)
	g.observe(r, p, err, started)
	return r, p, g.fold(err)
}

// ownRecord returns r with a record in which no principal has been put yet.
func ownRecord(r *http.Request) *http.Request {
	rec := record.From(r.Context())
	if rec != nil {
		if _, taken := rec.Identity.Get(); !taken {
			return r
		}
	}
	return r.WithContext(record.Begin(r.Context()))
}

var (
	errZeroGuard    = errors.New("keystile: this Guard was not made by NewGuard")
	errNilPrincipal = errors.New("keystile: the Authenticator returned neither a principal nor an error")
)

func (g *Guard) judge(r *http.Request) (*Principal, *Error) {
	if g.auth == nil {
		return nil, wiring(r, errZeroGuard)
	}
	if g.optional && !g.auth.Present(r) {
		return nil, nil
	}
	p, err := g.auth.Authenticate(r)
	switch {
	case err != nil:
		return nil, g.refusal(r, err)
	case p == nil:
		return nil, &Error{Code: CodeInternal, Err: errNilPrincipal}
	}
	return p, nil
}

// refusal makes err one of the outcomes that may be answered.
func (g *Guard) refusal(r *http.Request, err error) *Error {
	if e := findError(err); e != nil {
		return e
	}
	if !g.auth.Present(r) {
		return absence([]Authenticator{g.auth}, r)
	}
	return Unavailable(err)
}

// fold hides which refusal of a credential e is, where the Guard is configured
// to.
func (g *Guard) fold(e *Error) *Error {
	if e == nil || !g.uniform {
		return e
	}
	switch e.StatusCode() {
	case http.StatusUnauthorized, http.StatusForbidden:
		return &Error{Code: CodeUnauthorized, Scheme: e.Scheme, Err: e}
	}
	return e
}

// identify returns r with p as its principal. A record that has one already is
// left alone: sub-requests of a batch never swap identities.
func (g *Guard) identify(r *http.Request, p *Principal) *http.Request {
	id := record.Identity{Principal: p, Guard: g}
	if rec := record.From(r.Context()); rec != nil && rec.PutIdentity(id) {
		return r
	}
	rec := record.Begin(r.Context())
	rec.Identity.Put(id)
	return r.WithContext(rec)
}

// guardFrom returns the innermost Guard that r has passed, and whether one, or
// a test in its place, has decided about r at all.
func guardFrom(r *http.Request) (g *Guard, decided bool) {
	id, decided := record.From(r.Context()).FindIdentity()
	g, _ = id.Guard.(*Guard)
	return g, decided
}

// challenge sets the WWW-Authenticate fields of an answer with e, one field for
// each scheme. Where something further in has set them they stay.
func (g *Guard) challenge(a *answer, h http.Header, r *http.Request, e *Error) {
	const field = "Www-Authenticate"
	if g == nil || g.auth == nil || len(h[field]) > 0 {
		return
	}
	switch e.StatusCode() {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusBadRequest:
	default:
		return
	}
	for _, c := range g.auth.Challenges(r, e) {
		if scheme, _, _ := strings.Cut(c, " "); g.silence != nil && g.silence(r, scheme) {
			continue
		}
		c = g.memo.get(c, g.withRealm)
		if len(h[field]) == 0 {
			a.set(h, field, c)
		} else {
			h[field] = append(h[field], c)
		}
	}
}

func (g *Guard) withRealm(challenge string) string { return withRealm(challenge, g.realm) }

func (g *Guard) observe(r *http.Request, p *Principal, e *Error, started time.Time) {
	ev := event(r, KindAuthenticate, p, e)
	ev.Duration = g.now().Sub(started)
	if rec := record.From(r.Context()); rec != nil {
		ev.Cached = rec.Cached.Load()
	}
	if p == nil && e != nil {
		ev.Scheme = e.Scheme
	}
	g.observer.Observe(r.Context(), ev)
}
