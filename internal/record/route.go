package record

import "net/http"

// WithRoute returns r with route in its record. A record that has another route
// already belongs to a router further out, and gets a child.
func WithRoute(r *http.Request, route string) *http.Request {
	rec := From(r.Context())
	if rec != nil {
		if rec.Route.Put(route) {
			return r
		}
		if known, _ := rec.Route.Get(); known == route {
			return r
		}
	}
	rec = Begin(r.Context())
	rec.Route.Put(route)
	return r.WithContext(rec)
}
