package ginadapter_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/adapters/ginadapter"
	"github.com/keystile/keystile/limiter"
)

func init() { gin.SetMode(gin.ReleaseMode) }

// byName accepts the name in a header field.
type byName struct{}

func (byName) Present(r *http.Request) bool { return r.Header.Get("X-Name") != "" }
func (byName) Authenticate(r *http.Request) (*keystile.Principal, error) {
	switch name := r.Header.Get("X-Name"); name {
	case "":
		return nil, keystile.NoCredentials("test")
	case "mallory":
		return nil, &keystile.Error{Code: keystile.CodeKeyRevoked, Scheme: "test"}
	default:
		return &keystile.Principal{Subject: name, Account: name, Scheme: "test"}, nil
	}
}
func (byName) Challenges(*http.Request, error) []string { return []string{"Test"} }

func newGuard(t *testing.T) *keystile.Guard {
	t.Helper()
	g, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: byName{}, Realm: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func newLimiter(t *testing.T, limits ...limiter.Limit) *limiter.Limiter {
	t.Helper()
	store, err := limiter.NewMemoryStore(limiter.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := limiter.New(limiter.Config{Name: "api", Store: store, By: limiter.ByAccount, Limits: limits, OnStoreError: limiter.Deny})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newEngine(handlers ...gin.HandlerFunc) *gin.Engine {
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.Use(handlers...)
	return e
}

func do(h http.Handler, method, target, name string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	if name != "" {
		r.Header.Set("X-Name", name)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(resp *http.Response) string {
	b, _ := io.ReadAll(resp.Body)
	return string(b)
}

// Why this package exists: gin runs the handler although the middleware has
// answered 401.
func TestNaiveWrappingLetsTheHandlerRun(t *testing.T) {
	ran := false
	g := newGuard(t)
	e := gin.New()
	e.Use(func(c *gin.Context) {
		g.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { c.Request = r; c.Next() })).ServeHTTP(c.Writer, c.Request)
	})
	e.GET("/", func(*gin.Context) { ran = true })
	if resp := do(e, "GET", "/", "mallory"); resp.StatusCode != 401 || !ran {
		t.Errorf("status %d, handler ran: %v; gin has changed, and the trap in the package comment is gone", resp.StatusCode, ran)
	}

	ran = false
	e = newEngine(ginadapter.Wrap(g.Wrap))
	e.GET("/", func(*gin.Context) { ran = true })
	if resp := do(e, "GET", "/", "mallory"); resp.StatusCode != 401 || ran {
		t.Errorf("with the adapter: status %d, handler ran: %v", resp.StatusCode, ran)
	}
}

func TestRequests(t *testing.T) {
	requireBob, err := keystile.RequireScopes("admin")
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, _ any) { c.AbortWithStatus(500) }), ginadapter.Wrap(newGuard(t).Wrap))
	show := func(c *gin.Context) {
		p, ok := ginadapter.Principal(c)
		c.String(200, "%v %v %s %s", p, ok, keystile.Route(c.Request), c.Request.PathValue("id")+c.Request.PathValue("path"))
	}
	e.GET("/show", show)
	e.HEAD("/show", show)
	e.GET("/things/:id", show)
	e.POST("/files/*path", show)
	e.GET("/v:version/x", show)
	e.GET("/status", func(c *gin.Context) { c.Status(204) })
	e.GET("/nothing", func(*gin.Context) {})
	e.GET("/abort", func(c *gin.Context) { c.AbortWithStatusJSON(418, gin.H{"tea": true}) }, show)
	e.GET("/errors", func(c *gin.Context) { _ = c.Error(errors.New("kept by gin")); c.String(422, "no") })
	e.GET("/panic", func(*gin.Context) { panic("oh") })
	admin := e.Group("/admin", ginadapter.Wrap(requireBob))
	admin.Group("/deep").GET("/x", show)
	tests := []struct {
		method, target, name string
		status               int
		want                 string
	}{
		{"GET", "/show", "alice", 200, "test alice true GET /show "},
		{"HEAD", "/show", "alice", 200, ""},
		{"GET", "/things/7", "alice", 200, "test alice true GET /things/{id} 7"},
		{"GET", "/%74hings/a%20b", "alice", 200, "test alice true GET /things/{id} a b"},
		{"POST", "/files/a/b", "alice", 200, "test alice true POST /files/{path...} a/b"},
		{"GET", "/v2/x", "alice", 200, "test alice true GET /v{version}/x "},
		{"GET", "/show", "", 401, `"code":"unauthorized"`},
		{"GET", "/show", "mallory", 401, `"code":"key_revoked"`},
		{"GET", "/status", "alice", 204, ""},
		{"GET", "/nothing", "alice", 200, ""},
		{"GET", "/abort", "alice", 418, `{"tea":true}`},
		{"GET", "/errors", "alice", 422, "no"},
		{"GET", "/panic", "alice", 500, ""},
		{"GET", "/admin/deep/x", "alice", 403, `"missing_scopes":["admin"]`},
		{"GET", "/nowhere", "alice", 404, `"code":"not_found"`},
		{"GET", "/nowhere", "", 401, `"code":"unauthorized"`},
		{"POST", "/show", "alice", 405, `"code":"method_not_allowed"`},
		{"POST", "/show", "mallory", 401, `"code":"key_revoked"`},
		{"GET", "/admin/nowhere", "", 401, `"code":"unauthorized"`},
	}
	for _, tt := range tests {
		resp := do(e, tt.method, tt.target, tt.name)
		if got := body(resp); resp.StatusCode != tt.status || !strings.Contains(got, tt.want) || (tt.want == "" && got != "" && tt.method != "HEAD") {
			t.Errorf("%s %s as %q: %d %q, want %d %q", tt.method, tt.target, tt.name, resp.StatusCode, got, tt.status, tt.want)
		}
		if tt.status == 405 && tt.name == "alice" && resp.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("Allow %q", resp.Header["Allow"])
		}
	}
}

// rewriter is a middleware that changes the request and the writer.
func rewriter(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(keystile.WithPrincipal(r.Context(), &keystile.Principal{Subject: "rewritten", Scheme: "test"}))
		next.ServeHTTP(upper{w}, r)
	})
}

// upper writes in capitals.
type upper struct{ http.ResponseWriter }

func (u upper) Unwrap() http.ResponseWriter { return u.ResponseWriter }
func (u upper) Write(b []byte) (int, error) {
	return u.ResponseWriter.Write([]byte(strings.ToUpper(string(b))))
}

func TestHandlersSeeWhatTheMiddlewarePassedOn(t *testing.T) {
	var after *http.Request
	var before http.ResponseWriter
	var status, size int
	e := newEngine(func(c *gin.Context) {
		before, after = c.Writer, nil
		c.Next()
		if c.Writer != before {
			t.Error("the writer was not put back")
		}
		after, status, size = c.Request, c.Writer.Status(), c.Writer.Size()
	}, ginadapter.Wrap(rewriter))
	e.GET("/write", func(c *gin.Context) {
		p, _ := ginadapter.Principal(c)
		c.Header("X-Kept", "yes")
		if c.Writer.Written() || c.Writer.Size() != -1 || c.Writer.Status() != 200 {
			t.Errorf("before: %v %d %d", c.Writer.Written(), c.Writer.Size(), c.Writer.Status())
		}
		c.Status(201)
		_, _ = c.Writer.WriteString(p.Subject)
		c.Writer.WriteHeader(500) // too late, as with gin's own
		if !c.Writer.Written() || c.Writer.Size() != 9 || c.Writer.Status() != 201 {
			t.Errorf("after: %v %d %d", c.Writer.Written(), c.Writer.Size(), c.Writer.Status())
		}
		c.Writer.Flush()
	})
	e.GET("/status", func(c *gin.Context) { c.Status(202) })
	resp := do(e, "GET", "/write", "")
	if got := body(resp); resp.StatusCode != 201 || got != "REWRITTEN" || resp.Header.Get("X-Kept") != "yes" {
		t.Errorf("%d %q %v", resp.StatusCode, got, resp.Header)
	}
	if _, ok := keystile.PrincipalFrom(after.Context()); ok || status != 201 || size != 9 {
		t.Errorf("outside: principal %v, status %d, size %d", ok, status, size)
	}
	if resp := do(e, "GET", "/status", ""); resp.StatusCode != 202 {
		t.Errorf("a status without a body: %d", resp.StatusCode)
	}
	if resp := do(e, "GET", "/nowhere", ""); resp.StatusCode != 404 {
		t.Errorf("no route, below a wrapped writer: %d", resp.StatusCode)
	}
}

func TestTheWrappedWriterStaysComplete(t *testing.T) {
	e := newEngine(ginadapter.Wrap(rewriter))
	e.GET("/hijack", func(c *gin.Context) {
		_ = c.Writer.CloseNotify()
		_ = c.Writer.Pusher()
		conn, rw, err := c.Writer.Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = rw.WriteString("HTTP/1.1 299 Mine\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		_ = rw.Flush()
		_ = conn.Close()
	})
	e.GET("/hint", func(c *gin.Context) {
		c.Header("Link", "</x>; rel=preload")
		c.Writer.WriteHeader(103)
		c.String(200, "done")
	})
	server := httptest.NewServer(e)
	defer server.Close()
	for path, want := range map[string]int{"/hijack": 299, "/hint": 200} {
		hints := 0
		trace := &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error { hints++; return nil }}
		r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := server.Client().Do(r)
		if wantHints := map[string]int{"/hint": 1}[path]; hints != wantHints {
			t.Errorf("%s: %d informational answers, want %d", path, hints, wantHints)
		}
		if err != nil || resp.StatusCode != want {
			t.Errorf("%s: %v, %v", path, resp, err)
			continue
		}
		_ = resp.Body.Close()
	}
}

func TestLeasesAreFreedWhenAHandlerPanics(t *testing.T) {
	e := newEngine(gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, _ any) { c.AbortWithStatus(500) }), ginadapter.Wrap(keystile.Chain(newGuard(t).Wrap, newLimiter(t, limiter.Concurrent(1)).Wrap)))
	e.GET("/", func(*gin.Context) { panic("oh") })
	for i := range 3 {
		if got := do(e, "GET", "/", "alice").StatusCode; got != 500 {
			t.Fatalf("request %d: %d, want 500 from the recovery", i+1, got)
		}
	}
}

func TestOwnAnswersForUnmatchedRequestsAreKept(t *testing.T) {
	e := newEngine(ginadapter.Wrap(newGuard(t).Wrap))
	e.GET("/", func(*gin.Context) {})
	e.NoRoute(func(c *gin.Context) { c.String(404, "mine") })
	if resp := do(e, "GET", "/nowhere", "alice"); resp.StatusCode != 404 || body(resp) != "mine" {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestConcurrentRequestsKeepTheirIdentities(t *testing.T) {
	e := newEngine(ginadapter.Wrap(newGuard(t).Wrap), ginadapter.Wrap(newLimiter(t, limiter.PerHour(1000), limiter.Concurrent(50)).Wrap))
	e.GET("/who/:id", func(c *gin.Context) {
		p, _ := ginadapter.Principal(c)
		c.String(200, "%s %s", p.Subject, c.Param("id"))
	})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for j := range 20 {
				name := fmt.Sprintf("user%d", i)
				if got := body(do(e, "GET", fmt.Sprintf("/who/%d", j), name)); got != fmt.Sprintf("%s %d", name, j) {
					t.Errorf("%s got %q", name, got)
				}
			}
		})
	}
	wg.Wait()
}

// A middleware may return while its next still runs. The framework must not use
// the context for another request until then.
func TestAMiddlewareThatReturnsEarlyMixesNobodyUp(t *testing.T) {
	impatient := func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Millisecond, "too late") }
	e := newEngine(ginadapter.Wrap(keystile.Chain(impatient, newGuard(t).Wrap)))
	e.GET("/", func(c *gin.Context) {
		before := c.Request
		later(c.Request)
		p, _ := ginadapter.Principal(c)
		if c.Request != before || p.Subject != c.GetHeader("X-Name") {
			t.Errorf("the handler of %s goes on as %s", before.Header.Get("X-Name"), p.Subject)
		}
	})
	server := httptest.NewServer(e)
	defer server.Close()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 10 {
				r, err := http.NewRequest("GET", server.URL+"/", nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("X-Name", fmt.Sprintf("user%d", i))
				resp, err := server.Client().Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				_ = resp.Body.Close()
			}
		})
	}
	wg.Wait()
}

// later stands between the start of a handler and its end.
func later(r *http.Request) {
	<-r.Context().Done() // the timeout
	<-time.After(time.Millisecond)
}

// Where the server cannot flush or hijack, a handler learns it and may answer.
func TestWhatTheServerCannotDoIsSaid(t *testing.T) {
	for _, middleware := range []func(http.Handler) http.Handler{rewriter, keystile.Chain()} {
		e := newEngine(ginadapter.Wrap(middleware), ginadapter.Wrap(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				controller := http.NewResponseController(w)
				_, _, hijack := controller.Hijack()
				if flush := controller.Flush(); !errors.Is(hijack, http.ErrNotSupported) || !errors.Is(flush, http.ErrNotSupported) {
					t.Errorf("Hijack: %v, Flush: %v", hijack, flush)
				}
				w.WriteHeader(501)
			})
		}))
		e.GET("/", func(*gin.Context) {})
		if resp := do(http.TimeoutHandler(e, time.Minute, ""), "GET", "/", ""); resp.StatusCode != 501 {
			t.Errorf("%d, want 501", resp.StatusCode)
		}
	}
}
