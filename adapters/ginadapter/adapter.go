package ginadapter

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/record"
)

// Wrap makes a gin handler of a net/http middleware, such as guard.Wrap. Later
// handlers see the request, and the ResponseWriter, that the middleware passes
// on; where it passes nothing on, they do not run.
func Wrap(middleware func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		withholdAllow(c)
		base := newBase(c.Writer)
		var passage record.Passage
		next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if passage.Enter() {
				defer passage.Leave()
				proceed(c, base, w, r)
			}
		})
		defer func() {
			if !passage.Close() {
				c.Abort()
			}
		}()
		middleware(next).ServeHTTP(base, routed(c))
	}
}

// Principal returns who is calling, for gin handlers.
func Principal(c *gin.Context) (*keystile.Principal, bool) {
	return keystile.PrincipalFrom(c.Request.Context())
}

// proceed runs the later handlers of c with w and r, and puts back what was
// there before however they end.
func proceed(c *gin.Context, base *baseWriter, w http.ResponseWriter, r *http.Request) {
	outer, request := c.Writer, c.Request
	defer func() { c.Writer, c.Request = outer, request }()
	c.Request = r
	var own *writer
	if w != http.ResponseWriter(base) {
		own = newWriter(w, outer, base.status)
		c.Writer = own
	}
	c.Next()
	if e := unmatched(c); e != nil {
		keystile.RespondError(c.Writer, r, e)
	}
	if own != nil {
		own.finish()
	}
}

// allowKey is where the methods of an unmatched request wait for its answer.
const allowKey = "github.com/keystile/keystile/adapters/ginadapter.allow"

// withholdAllow takes back the Allow field that gin has set on an answer which
// may yet become a 401.
func withholdAllow(c *gin.Context) {
	if c.FullPath() != "" {
		return
	}
	h := c.Writer.Header()
	if allow := h.Get("Allow"); allow != "" {
		c.Set(allowKey, allow)
		h.Del("Allow")
	}
}

// unmatched returns the answer to a request that no route matched, where nobody
// has answered it. Gin has left the status for whoever does.
func unmatched(c *gin.Context) *keystile.Error {
	if c.FullPath() != "" || c.Writer.Written() {
		return nil
	}
	switch c.Writer.Status() {
	case http.StatusNotFound:
		return &keystile.Error{Code: keystile.CodeNotFound}
	case http.StatusMethodNotAllowed:
		allowed := strings.Split(c.GetString(allowKey), ", ")
		slices.Sort(allowed)
		allow := strings.Join(slices.Compact(allowed), ", ")
		return &keystile.Error{Code: keystile.CodeMethodNotAllowed, Header: http.Header{"Allow": {allow}}}
	}
	return nil
}

// routed returns c's request with its route and its path values.
func routed(c *gin.Context) *http.Request {
	r := record.WithRoute(c.Request, route(c.Request.Method, c.FullPath()))
	for _, p := range c.Params {
		r.SetPathValue(p.Key, strings.TrimPrefix(p.Value, "/")) // gin keeps the slash of *path
	}
	return r
}

// route spells gin's pattern as net/http does: :id is {id}, *path is {path...}.
func route(method, pattern string) string {
	if pattern == "" {
		return ""
	}
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if !strings.ContainsAny(pattern, ":*") {
		return method + " " + pattern
	}
	parts := strings.Split(pattern, "/")
	for i, part := range parts {
		// A parameter may follow a fixed beginning, such as /v:version.
		if at := strings.IndexAny(part, ":*"); at >= 0 {
			rest := ""
			if part[at] == '*' {
				rest = "..."
			}
			parts[i] = part[:at] + "{" + part[at+1:] + rest + "}"
		}
	}
	return method + " " + strings.Join(parts, "/")
}
