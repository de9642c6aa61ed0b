package record

import (
	"net/http"
	"net/url"
)

// Route is the pattern of a route, and the request that matched it. A
// sub-request of a batch carries the same context and is another request: what
// its parent matched says nothing about it.
type Route struct {
	Pattern string // "" when the router matched nothing

	bound         bool // to the request described below, else to any
	method, host  string
	path, rawPath string
	url           *url.URL
}

// RouteOf returns the route that r matched.
func RouteOf(r *http.Request, pattern string) *Route {
	route := &Route{Pattern: pattern, bound: true, method: r.Method, host: r.Host, url: r.URL}
	if r.URL != nil {
		route.path, route.rawPath = r.URL.Path, r.URL.RawPath
	}
	return route
}

// matches reports whether the route is that of r: the same method, host and
// path.
func (t *Route) matches(r *http.Request) bool {
	if !t.bound {
		return true
	}
	if t.method != r.Method || t.host != r.Host {
		return false
	}
	if r.URL == nil {
		return t.url == nil
	}
	return t.path == r.URL.Path && t.rawPath == r.URL.RawPath
}

// FindRoute returns the innermost pattern that was found for r.
func (r *Record) FindRoute(req *http.Request) (pattern string, known bool) {
	for ; r != nil; r = r.parent {
		if route, ok := r.Route.Get(); ok && route.matches(req) {
			return route.Pattern, true
		}
	}
	return "", false
}

// WithRoute returns r with its route in a record of its own or, where the record
// has none yet, in that one. Where the record says the same already, r is
// returned as it is; where it has a route of a router further out, the new
// record belongs to the same request and continues it.
func WithRoute(r *http.Request, pattern string) *http.Request {
	rec := From(r.Context())
	if rec != nil {
		if known, ok := rec.Route.Get(); ok && known.Pattern == pattern && known.bound && known.url == r.URL {
			return r
		}
	}
	return putRoute(r, rec, pattern)
}

// NewRoute is WithRoute for a router that always stands for itself, such as one
// that is mounted in another.
func NewRoute(r *http.Request, pattern string) *http.Request {
	return putRoute(r, From(r.Context()), pattern)
}

func putRoute(r *http.Request, rec *Record, pattern string) *http.Request {
	route := RouteOf(r, pattern)
	if rec != nil && rec.Route.Put(route) {
		return r
	}
	child := Begin(r.Context())
	if rec != nil {
		// WithContext shares the URL; a sub-request has one of its own.
		outer, _ := rec.Route.Get()
		child.continues = outer != nil && outer.bound && outer.url == r.URL
	}
	child.Route.Put(route)
	return r.WithContext(child)
}
