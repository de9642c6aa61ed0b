package keystile

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/keystile/keystile/internal/record"
)

// Route returns the pattern of the route that r matched, such as
// "GET /v1/contacts/{id}": what Routes or a framework adapter recorded, else
// r.Pattern. It is the only thing that endpoint rules and skip rules are matched
// against; the path of a URL can be written in many ways.
//
// A sub-request that a handler dispatches with the context of its own request
// has the route that a router found for it, and none of its parent's.
//
// A route always has a method: a pattern without one takes that of r, and HEAD
// counts as GET. "" means that nothing matched or no router has run yet.
func Route(r *http.Request) string {
	if route, ok := record.From(r.Context()).FindRoute(r); ok {
		return route
	}
	return normalRoute(r.Pattern, r.Method)
}

// normalRoute returns pattern with exactly one space behind its method.
func normalRoute(pattern, method string) string {
	if pattern == "" {
		return ""
	}
	own, rest, found := strings.Cut(pattern, " ")
	if i := strings.IndexByte(pattern, '\t'); i >= 0 && (!found || i < len(own)) {
		own, rest, found = pattern[:i], pattern[i+1:], true
	}
	if !found {
		own, rest = method, pattern
	} else if own != http.MethodHead && pattern[len(own)] == ' ' && strings.TrimLeft(rest, " \t") == rest {
		return pattern // as it nearly always is: nothing to allocate
	}
	if own == http.MethodHead {
		own = http.MethodGet
	}
	if own == "" {
		return strings.TrimLeft(rest, " \t")
	}
	return own + " " + strings.TrimLeft(rest, " \t")
}

// CheckEndpoint returns what is wrong with an endpoint rule, or nil. A rule is
// "METHOD /pattern"; METHOD may be *, which matches every method; the pattern
// is compared byte for byte with that of Route.
func CheckEndpoint(rule string) error {
	method, pattern, found := strings.Cut(rule, " ")
	switch {
	case !found || method == "" || !strings.Contains(pattern, "/") || strings.ContainsAny(pattern, " \t\r\n"):
		return errors.New(`an endpoint rule has the form "METHOD /pattern", such as "GET /v1/contacts/{id}"`)
	case method == http.MethodHead:
		return errors.New("HEAD counts as GET; write the rule for GET")
	case method != "*" && strings.ToUpper(method) != method:
		return errors.New("write the method in capitals, or * for every method")
	}
	return nil
}

// MatchEndpoint reports whether one of rules matches route. The empty route
// matches no rule.
func MatchEndpoint(rules []string, route string) bool {
	if route == "" {
		return false
	}
	if slices.Contains(rules, route) {
		return true
	}
	_, pattern, _ := strings.Cut(route, " ")
	for _, rule := range rules {
		if rest, ok := strings.CutPrefix(rule, "* "); ok && rest == pattern {
			return true
		}
	}
	return false
}

// Routes runs the whole chain of middlewares, the first outermost, in front of
// mux, with the route already known to them. A request that mux does not match
// runs through the chain too and ends in RespondError with 404 or 405: a caller
// without a credential learns 401 before 404.
//
// Middlewares inside must not rewrite the method, host or path: a request that
// would reach another route than the one they judged is refused with 500.
// Rewrite outside.
func Routes(mux *http.ServeMux, middleware ...func(http.Handler) http.Handler) http.Handler {
	inner := Chain(middleware...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serveRoute(mux, w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern := mux.Handler(r)
		inner.ServeHTTP(w, record.NewRoute(r, normalRoute(pattern, r.Method)))
	})
}

var errRerouted = errors.New("keystile: a middleware inside Routes changed the request so that it matches another route; rewrite outside of Routes")

func serveRoute(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	h, pattern := mux.Handler(r)
	if judged, known := record.From(r.Context()).FindRoute(r); !known || judged != normalRoute(pattern, r.Method) {
		RespondError(w, r, wiring(r, errRerouted))
		return
	}
	if pattern == "" {
		if e := unmatched(h, r); e != nil {
			RespondError(w, r, e)
			return
		}
	}
	mux.ServeHTTP(w, r)
}

// unmatched asks the mux's own handler for an unmatched request what it would
// answer: 404, or 405 with Allow. Anything else, a redirect to the clean form of
// a path, is the mux's to answer.
func unmatched(h http.Handler, r *http.Request) *Error {
	probe := probe{header: make(http.Header)}
	h.ServeHTTP(&probe, &http.Request{Method: http.MethodHead, URL: &url.URL{Path: "/"}, Host: r.Host, Header: make(http.Header)})
	switch probe.status {
	case http.StatusNotFound:
		return &Error{Code: CodeNotFound}
	case http.StatusMethodNotAllowed:
		return &Error{Code: CodeMethodNotAllowed, Header: http.Header{"Allow": probe.header["Allow"]}}
	}
	return nil
}

// probe is a ResponseWriter that keeps the status and the header fields.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header         { return p.header }
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }
func (p *probe) WriteHeader(status int) {
	if p.status == 0 {
		p.status = status
	}
}
