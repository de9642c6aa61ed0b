package echoadapter

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/record"
)

// Wrap makes an echo middleware of one of net/http, such as guard.Wrap. Later
// handlers see the request, and the ResponseWriter, that the middleware passes
// on. Echo's error handler runs inside the middleware, so that an error is
// answered before leases are released and envelopes closed; the error itself
// goes no further.
func Wrap(middleware func(http.Handler) http.Handler) echo.MiddlewareFunc {
	routes := new(routeTable)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			route := routes.find(c)
			base := &baseWriter{c.Response()}
			var passage record.Passage
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if passage.Enter() {
					defer passage.Leave()
					proceed(c, next, route, base, w, r)
				}
			})
			defer passage.Close()
			middleware(h).ServeHTTP(base, routed(c, route))
			return nil
		}
	}
}

// Principal returns who is calling, for echo handlers.
func Principal(c echo.Context) (*keystile.Principal, bool) {
	return keystile.PrincipalFrom(c.Request().Context())
}

// proceed runs next with w and r, and puts back what was there before however it
// ends.
func proceed(c echo.Context, next echo.HandlerFunc, route string, base *baseWriter, w http.ResponseWriter, r *http.Request) {
	outer, request := c.Response(), c.Request()
	defer func() {
		c.SetResponse(outer)
		c.SetRequest(request)
	}()
	c.SetRequest(r)
	if w != http.ResponseWriter(base) {
		c.SetResponse(rebuild(w, c))
	}
	if methods := c.Get(echo.ContextKeyHeaderAllow); route == "" && r.Method == http.MethodOptions && methods != nil {
		// Echo would answer by itself, with 204.
		c.Response().Header().Set(echo.HeaderAllow, methods.(string))
		keystile.RespondError(c.Response(), r, methodNotAllowed(c))
		return
	}
	err := next(c)
	if err == nil {
		return
	}
	if e := ours(c, route, err); e != nil {
		keystile.RespondError(c.Response(), r, e)
		return
	}
	c.Error(err)
}

// rebuild returns an echo.Response over w. Its status is what echo's own starts
// with.
func rebuild(w http.ResponseWriter, c echo.Context) *echo.Response {
	r := echo.NewResponse(w, c.Echo())
	r.Status = http.StatusOK
	return r
}

// ours returns the error that this module answers, in place of echo's handler:
// one of its own that a handler returned, and the router's where no route
// matched. It returns nil where an answer has begun.
func ours(c echo.Context, route string, err error) *keystile.Error {
	if c.Response().Committed {
		return nil
	}
	var own *keystile.Error
	if errors.As(err, &own) {
		return own
	}
	var e *echo.HTTPError
	if route != "" || !errors.As(err, &e) {
		return nil
	}
	switch e {
	case echo.ErrNotFound:
		return &keystile.Error{Code: keystile.CodeNotFound}
	case echo.ErrMethodNotAllowed:
		return methodNotAllowed(c)
	}
	return nil
}

func methodNotAllowed(c echo.Context) *keystile.Error {
	return &keystile.Error{Code: keystile.CodeMethodNotAllowed, Header: http.Header{"Allow": {allowed(c)}}}
}

// allowed returns the methods of the path in the order that net/http lists them;
// echo adds OPTIONS of its own accord.
func allowed(c echo.Context) string {
	var methods []string
	for _, m := range strings.Split(c.Response().Header().Get(echo.HeaderAllow), ", ") {
		if m != http.MethodOptions || registered(c, http.MethodOptions) {
			methods = append(methods, m)
		}
	}
	slices.Sort(methods)
	return strings.Join(slices.Compact(methods), ", ")
}

// routed returns c's request with its route and its path values.
func routed(c echo.Context, route string) *http.Request {
	r := record.WithRoute(c.Request(), route)
	names, values := c.ParamNames(), c.ParamValues()
	for i := range min(len(names), len(values)) {
		name := names[i]
		if name == "*" {
			name = wildcard
		}
		value := values[i]
		if r.URL.RawPath != "" { // echo matches that, and keeps it encoded
			if decoded, err := url.PathUnescape(value); err == nil {
				value = decoded
			}
		}
		r.SetPathValue(name, value)
	}
	return r
}

// wildcard is the name that echo's nameless * gets.
const wildcard = "path"

// routeTable remembers which patterns are routes, and how net/http spells them.
// Echo also leaves a pattern in the context where it found no route: of the same
// path with another method, or of the catch-all that a group adds.
type routeTable struct{ known sync.Map } // routeKey to string

type routeKey struct{ method, pattern string }

func (t *routeTable) find(c echo.Context) string {
	key := routeKey{c.Request().Method, c.Path()}
	if key.pattern == "" {
		return ""
	}
	if route, ok := t.known.Load(key); ok {
		return route.(string)
	}
	if !registered(c, key.method) {
		return "" // not remembered: a client can make up methods
	}
	route := spell(key.method, key.pattern)
	t.known.Store(key, route)
	return route
}

// registered reports whether c's pattern is that of a route for method.
func registered(c echo.Context, method string) bool {
	is := func(r *echo.Route) bool { return r.Method == method && r.Path == c.Path() }
	if slices.ContainsFunc(c.Echo().Routes(), is) {
		return true
	}
	for _, host := range c.Echo().Routers() {
		if slices.ContainsFunc(host.Routes(), is) {
			return true
		}
	}
	return false
}

// spell writes echo's pattern as net/http does: :id is {id}, * is {path...}.
func spell(method, pattern string) string {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	parts := strings.Split(pattern, "/")
	for i, part := range parts {
		switch at := strings.IndexAny(part, ":*"); {
		case at < 0:
		case part[at] == '*':
			parts[i] = part[:at] + "{" + wildcard + "...}"
		default:
			parts[i] = part[:at] + "{" + part[at+1:] + "}"
		}
	}
	return method + " " + strings.Join(parts, "/")
}
