package limiter

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/record"
)

// By says whom a limiter, or a single limit with Limit.Within, counts. The ways
// to count are ByAccount, BySubject, ByCredential, ByIP, ByRoute, Join,
// ByAccountOr and ByFunc.
type By interface {
	// name tells the ways apart within one plan.
	name() string
	// appendKey appends what r is counted under, so that no two callers share a
	// key: a tag, and the value with its length in front.
	appendKey(dst []byte, r *http.Request, p *keystile.Principal) ([]byte, error)
	// ConfigErr returns the mistake of its construction.
	ConfigErr() error
}

// The simple ways to count. Those about a principal want a Guard further out: a
// request without what they count is a wiring mistake and is answered with 500,
// never counted as "anonymous".
const (
	ByAccount    = byPrincipal('a') // the account of the principal, all its credentials together
	BySubject    = byPrincipal('s') // the subject of the principal
	ByCredential = byPrincipal('c') // one credential: a key, a user, a token

	// ByIP counts the client's address as keystile.ClientAddr gives it, IPv6 by
	// /64: whoever has one address of such a network has all of them.
	ByIP = byIP(0)
	// ByRoute counts the pattern of the route, all callers together; within
	// another By it counts each route of a caller apart.
	ByRoute = byRoute(0)
)

var (
	errNoPrincipal = errors.New("limiter: no principal to count by; put a Guard further out, or count anonymous requests with ByAccountOr(ByIP)")
	errNoAccount   = errors.New("limiter: the principal has no account to count by; set Principal.Account, or count BySubject")
	errNoSubject   = errors.New("limiter: the principal has no subject or credential to count by; set it in the Authenticator")
	errNoRoute     = errors.New("limiter: no route to count by; use keystile.Routes or a framework adapter further out")
	errNoAddr      = errors.New("limiter: the client's address could not be found out")
	errNoPeer      = errors.New("limiter: the connection has no address to count by; put keystile.ClientIP outermost, with TrustUnixPeer for a Unix socket")
	errEmptyKey    = errors.New("limiter: the function of ByFunc returned an empty key, under which everybody would be counted together")
)

func wiring(err error) error { return &keystile.Error{Code: keystile.CodeInternal, Err: err} }

// badRequest is for what a client's own bytes can bring about.
func badRequest(err error) error {
	return &keystile.Error{Code: keystile.CodeInvalidRequest, Err: err}
}

type byPrincipal byte

func (b byPrincipal) name() string {
	switch b {
	case ByAccount:
		return "account"
	case BySubject:
		return "subject"
	}
	return "credential"
}

func (byPrincipal) ConfigErr() error { return nil }

func (b byPrincipal) appendKey(dst []byte, _ *http.Request, p *keystile.Principal) ([]byte, error) {
	if p == nil {
		return dst, wiring(errNoPrincipal)
	}
	value, missing := p.CredentialID, errNoSubject
	switch b {
	case ByAccount:
		value, missing = p.Account, errNoAccount
	case BySubject:
		value = p.Subject
	}
	if value == "" {
		return dst, wiring(missing)
	}
	return appendFrame(append(dst, byte(b)), value), nil
}

type byIP byte

func (byIP) name() string     { return "ip" }
func (byIP) ConfigErr() error { return nil }

func (byIP) appendKey(dst []byte, r *http.Request, _ *keystile.Principal) ([]byte, error) {
	addr := keystile.ClientAddr(r)
	if !addr.IsValid() {
		if _, judged := record.From(r.Context()).FindClient(); judged {
			return dst, badRequest(errNoAddr)
		}
		return dst, wiring(errNoPeer)
	}
	return appendAddr(dst, addr), nil
}

func appendAddr(dst []byte, addr netip.Addr) []byte {
	if addr.Is4() {
		b := addr.As4()
		return append(append(dst, '4'), b[:]...)
	}
	b := addr.As16()
	return append(append(dst, '6'), b[:8]...)
}

type byRoute byte

func (byRoute) name() string     { return "route" }
func (byRoute) ConfigErr() error { return nil }

func (byRoute) appendKey(dst []byte, r *http.Request, _ *keystile.Principal) ([]byte, error) {
	route := keystile.Route(r)
	if route == "" {
		// Known to match nothing: counted together with all else that does, so
		// that a client makes no keys by asking for nonsense.
		if _, known := record.From(r.Context()).FindRoute(r); !known {
			return dst, wiring(errNoRoute)
		}
	}
	return appendFrame(append(dst, 'r'), countedRoute(route)), nil
}

// countedRoute counts methods that nobody has registered as one: a pattern
// without a method serves whatever a client makes up.
func countedRoute(route string) string {
	method, pattern, found := strings.Cut(route, " ")
	if !found {
		return route
	}
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return route
	}
	return "* " + pattern
}

// bounded reports whether b has only as many values below one caller as the
// service itself gives out. A client can make up the others without end.
func bounded(b By) bool {
	switch b := b.(type) {
	case byPrincipal, byRoute:
		return true
	case join:
		for _, m := range b {
			if !bounded(m) {
				return false
			}
		}
		return true
	}
	return false
}

// countsAnonymous reports whether b counts requests without a principal apart.
func countsAnonymous(b By) bool {
	switch b := b.(type) {
	case byAccountOr:
		return true
	case join:
		return slices.ContainsFunc(b, countsAnonymous)
	}
	return false
}

// Join counts by all of its members at once: Join(ByAccount, ByRoute) counts
// each route of each account.
func Join(members ...By) By { return join(append([]By(nil), members...)) }

type join []By

func (j join) name() string {
	name := "join("
	for i, m := range j {
		if i > 0 {
			name += ","
		}
		name += m.name()
	}
	return name + ")"
}

func (j join) ConfigErr() error {
	var errs []error
	if len(j) == 0 {
		errs = append(errs, &keystile.ConfigError{Field: "limiter.Join", Reason: "has no members; pass at least one By, such as ByAccount"})
	}
	for _, m := range j {
		if m == nil {
			errs = append(errs, &keystile.ConfigError{Field: "limiter.Join", Reason: "has a nil member; pass a By, such as ByAccount"})
		} else if err := m.ConfigErr(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (j join) appendKey(dst []byte, r *http.Request, p *keystile.Principal) ([]byte, error) {
	var err error
	for _, m := range j {
		if dst, err = m.appendKey(dst, r, p); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// ByAccountOr counts the account of the principal, and a request without any
// principal by fallback, under the AnonymousPlan of the limiter.
func ByAccountOr(fallback By) By { return byAccountOr{fallback} }

type byAccountOr struct{ fallback By }

func (b byAccountOr) name() string { return "account-or-" + b.fallback.name() }

func (b byAccountOr) ConfigErr() error {
	if b.fallback == nil {
		return &keystile.ConfigError{Field: "limiter.ByAccountOr", Reason: "has no fallback; pass a By that needs no principal, such as ByIP"}
	}
	if err := b.fallback.ConfigErr(); err != nil {
		return err
	}
	if needsPrincipal(b.fallback) {
		return &keystile.ConfigError{Field: "limiter.ByAccountOr", Value: b.fallback.name(), Reason: "counts a principal too, which an anonymous request does not have; fall back to ByIP"}
	}
	return nil
}

// needsPrincipal reports whether b cannot count an anonymous request.
func needsPrincipal(b By) bool {
	switch b := b.(type) {
	case byPrincipal:
		return true
	case join:
		for _, m := range b {
			if needsPrincipal(m) {
				return true
			}
		}
	}
	return false
}

func (b byAccountOr) appendKey(dst []byte, r *http.Request, p *keystile.Principal) ([]byte, error) {
	if p != nil {
		return ByAccount.appendKey(dst, r, p)
	}
	return b.fallback.appendKey(append(dst, 'o'), r, p)
}

// ByFunc counts by what f returns. The name tells it from others in a plan. An
// error of f that is a *keystile.Error is the answer; another one is taken as an
// outage and answered with 503. An empty key is refused with 400: a missing
// header must not put everybody into one bucket. f must be safe for concurrent
// use.
func ByFunc(name string, f func(*http.Request) (string, error)) By { return byFunc{name, f} }

type byFunc struct {
	label string
	f     func(*http.Request) (string, error)
}

func (b byFunc) name() string { return "func-" + b.label }

func (b byFunc) ConfigErr() error {
	if b.f == nil || b.label == "" {
		return &keystile.ConfigError{Field: "limiter.ByFunc", Value: b.label, Reason: "needs a name and a function; pass both"}
	}
	return nil
}

func (b byFunc) appendKey(dst []byte, r *http.Request, _ *keystile.Principal) ([]byte, error) {
	key, err := b.f(r)
	switch {
	case err != nil:
		return dst, err
	case key == "":
		return dst, badRequest(errEmptyKey)
	}
	return appendFrame(append(dst, 'f'), key), nil
}
