package echoadapter_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/adapters/echoadapter"
	"github.com/keystile/keystile/limiter"
)

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

func newEcho(middleware ...echo.MiddlewareFunc) *echo.Echo {
	e := echo.New()
	e.Use(middleware...)
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

// recovering answers a panic as middleware.Recover does, without the log.
func recovering(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if r := recover(); r != nil {
				c.Error(fmt.Errorf("%v", r))
			}
		}()
		return next(c)
	}
}

// framed writes a frame around the body, and is done when next returns.
func framed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "<")
		next.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
		_, _ = io.WriteString(w, ">")
	})
}

// Why this package exists: echo answers an error when every middleware has
// returned, outside of the frame.
func TestNaiveWrappingAnswersErrorsOutside(t *testing.T) {
	for _, tt := range []struct {
		name string
		wrap echo.MiddlewareFunc
		want string
	}{
		{"echo.WrapMiddleware", echo.WrapMiddleware(framed), "<>{\"message\":\"tea\"}\n"},
		{"Wrap", echoadapter.Wrap(framed), "<{\"message\":\"tea\"}\n>"},
	} {
		e := newEcho(tt.wrap)
		e.GET("/", func(echo.Context) error { return echo.NewHTTPError(418, "tea") })
		if got := body(do(e, "GET", "/", "")); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// And why leases leak: a middleware of echo's own kind that ends what it began
// behind next, without defer, ends it before the error is answered.
func TestErrorsAreAnsweredBeforeTheSlotIsFreed(t *testing.T) {
	l := newLimiter(t, limiter.Concurrent(1))
	for _, tt := range []struct {
		name string
		wrap echo.MiddlewareFunc
		want int
	}{
		{"echo.WrapMiddleware", echo.WrapMiddleware(l.Wrap), 1},
		{"Wrap", echoadapter.Wrap(l.Wrap), 0},
	} {
		var left int64 = -1
		e := newEcho(echoadapter.Wrap(newGuard(t).Wrap), tt.wrap)
		e.HTTPErrorHandler = func(_ error, c echo.Context) {
			statuses, err := l.Inspect(c.Request())
			if err != nil {
				t.Error(err)
				return
			}
			left = statuses[0].Remaining
			_ = c.NoContent(500)
		}
		e.GET("/", func(echo.Context) error { return errors.New("oh") })
		do(e, "GET", "/", "alice")
		if left != int64(tt.want) {
			t.Errorf("%s: %d slots are free while the error is answered, want %d", tt.name, left, tt.want)
		}
	}
}

func TestRequests(t *testing.T) {
	requireAdmin, err := keystile.RequireScopes("admin")
	if err != nil {
		t.Fatal(err)
	}
	e := newEcho(recovering, echoadapter.Wrap(newGuard(t).Wrap))
	ran := false
	show := func(c echo.Context) error {
		ran = true
		p, ok := echoadapter.Principal(c)
		return c.String(200, fmt.Sprintf("%v %v %s %s", p, ok, keystile.Route(c.Request()), c.Request().PathValue("id")+c.Request().PathValue("path")))
	}
	e.GET("/show", show)
	e.HEAD("/show", show)
	e.GET("/things/:id", show)
	e.POST("/files/*", show)
	e.GET("/status", func(c echo.Context) error { return c.NoContent(204) })
	e.GET("/nothing", func(echo.Context) error { return nil })
	e.GET("/errors", func(echo.Context) error { return echo.NewHTTPError(422, "no") })
	e.GET("/missing", func(echo.Context) error { return echo.ErrNotFound })
	e.GET("/plain", func(echo.Context) error { return errors.New("a cause for the log") })
	e.GET("/ours", func(echo.Context) error { return &keystile.Error{Code: keystile.CodeNotFound} })
	e.GET("/panic", func(echo.Context) error { panic("oh") })
	admin := e.Group("/admin", echoadapter.Wrap(requireAdmin))
	admin.Group("/deep").GET("/x", show)
	tests := []struct {
		method, target, name string
		status               int
		want                 string
	}{
		{"GET", "/show", "alice", 200, "test alice true GET /show "},
		{"HEAD", "/show", "alice", 200, ""},
		{"GET", "/things/7", "alice", 200, "test alice true GET /things/{id} 7"},
		{"POST", "/files/a/b", "alice", 200, "test alice true POST /files/{path...} a/b"},
		{"GET", "/show", "", 401, `"code":"unauthorized"`},
		{"GET", "/show", "mallory", 401, `"code":"key_revoked"`},
		{"GET", "/status", "alice", 204, ""},
		{"GET", "/nothing", "alice", 200, ""},
		{"GET", "/errors", "alice", 422, `{"message":"no"}`},
		{"GET", "/missing", "alice", 404, `{"message":"Not Found"}`},
		{"GET", "/plain", "alice", 500, `{"message":"Internal Server Error"}`},
		{"GET", "/ours", "alice", 404, `"code":"not_found"`},
		{"GET", "/panic", "alice", 500, `{"message":"Internal Server Error"}`},
		{"GET", "/admin/deep/x", "alice", 403, `"missing_scopes":["admin"]`},
		{"GET", "/nowhere", "alice", 404, `"code":"not_found"`},
		{"GET", "/nowhere", "", 401, `"code":"unauthorized"`},
		{"POST", "/show", "alice", 405, `"code":"method_not_allowed"`},
		{"OPTIONS", "/show", "alice", 405, `"code":"method_not_allowed"`},
		{"GET", "/things/%2F%41", "alice", 200, "test alice true GET /things/{id} /A"},
		{"BREW", "/show", "alice", 405, `"code":"method_not_allowed"`},
		{"POST", "/show", "mallory", 401, `"code":"key_revoked"`},
		{"GET", "/admin/nowhere", "", 401, `"code":"unauthorized"`},
		{"GET", "/admin/deep/nowhere", "alice", 403, `"missing_scopes":["admin"]`},
	}
	for _, tt := range tests {
		ran = false
		resp := do(e, tt.method, tt.target, tt.name)
		if got := body(resp); resp.StatusCode != tt.status || !strings.Contains(got, tt.want) || (tt.want == "" && got != "" && tt.method != "HEAD") {
			t.Errorf("%s %s as %q: %d %q, want %d %q", tt.method, tt.target, tt.name, resp.StatusCode, got, tt.status, tt.want)
		}
		if ran && resp.StatusCode != 200 {
			t.Errorf("%s %s as %q: the handler ran", tt.method, tt.target, tt.name)
		}
		if tt.status == 405 && resp.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("Allow %q", resp.Header["Allow"])
		}
	}
}

// upper writes in capitals.
type upper struct{ http.ResponseWriter }

func (u upper) Unwrap() http.ResponseWriter { return u.ResponseWriter }
func (u upper) Write(b []byte) (int, error) {
	return u.ResponseWriter.Write([]byte(strings.ToUpper(string(b))))
}

// rewriter is a middleware that changes the request and the writer.
func rewriter(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(keystile.WithPrincipal(r.Context(), &keystile.Principal{Subject: "rewritten", Scheme: "test"}))
		next.ServeHTTP(upper{w}, r)
	})
}

func TestHandlersSeeWhatTheMiddlewarePassedOn(t *testing.T) {
	var outside *echo.Response
	e := newEcho(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			before := c.Response()
			err := next(c)
			if c.Response() != before {
				t.Error("the response was not put back")
			}
			if _, ok := keystile.PrincipalFrom(c.Request().Context()); ok {
				t.Error("the request was not put back")
			}
			outside = c.Response()
			return err
		}
	}, echoadapter.Wrap(rewriter))
	e.GET("/write", func(c echo.Context) error {
		p, _ := echoadapter.Principal(c)
		c.Response().Header().Set("X-Kept", "yes")
		if err := c.String(201, p.Subject); err != nil {
			return err
		}
		c.Response().Flush()
		return nil
	})
	resp := do(e, "GET", "/write", "")
	if got := body(resp); resp.StatusCode != 201 || got != "REWRITTEN" || resp.Header.Get("X-Kept") != "yes" {
		t.Errorf("%d %q %v", resp.StatusCode, got, resp.Header)
	}
	if outside.Status != 201 || outside.Size != 9 || !outside.Committed {
		t.Errorf("outside: %+v", outside)
	}
	if resp := do(e, "GET", "/nowhere", ""); resp.StatusCode != 404 {
		t.Errorf("no route, below a wrapped writer: %d", resp.StatusCode)
	}
}

func TestTheWrappedResponseHijacks(t *testing.T) {
	e := newEcho(echoadapter.Wrap(rewriter))
	e.GET("/", func(c echo.Context) error {
		conn, rw, err := c.Response().Hijack()
		if err != nil {
			return err
		}
		_, _ = rw.WriteString("HTTP/1.1 299 Mine\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		_ = rw.Flush()
		return conn.Close()
	})
	server := httptest.NewServer(e)
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	if err != nil || resp.StatusCode != 299 {
		t.Fatalf("%v, %v", resp, err)
	}
	_ = resp.Body.Close()
}

func TestLeasesAreFreedWhenAHandlerPanicsOrFails(t *testing.T) {
	e := newEcho(recovering, echoadapter.Wrap(keystile.Chain(newGuard(t).Wrap, newLimiter(t, limiter.Concurrent(1)).Wrap)))
	e.GET("/panic", func(echo.Context) error { panic("oh") })
	e.GET("/error", func(echo.Context) error { return errors.New("oh") })
	for i := range 6 {
		if got := do(e, "GET", []string{"/panic", "/error"}[i%2], "alice").StatusCode; got != 500 {
			t.Fatalf("request %d: %d, want 500", i+1, got)
		}
	}
}

func TestACustomErrorHandlerKeepsItsWord(t *testing.T) {
	e := newEcho(echoadapter.Wrap(newGuard(t).Wrap))
	e.HTTPErrorHandler = func(err error, c echo.Context) { _ = c.String(599, "custom: "+err.Error()) }
	e.RouteNotFound("/mine/*", func(c echo.Context) error { return c.String(404, "mine") })
	e.GET("/x", func(echo.Context) error { return errors.New("oh") })
	for target, want := range map[string]string{"/x": "custom: oh", "/mine/y": "mine"} {
		if got := body(do(e, "GET", target, "alice")); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}

func TestConcurrentRequestsKeepTheirIdentities(t *testing.T) {
	e := newEcho(echoadapter.Wrap(newGuard(t).Wrap), echoadapter.Wrap(newLimiter(t, limiter.PerHour(1000), limiter.Concurrent(50)).Wrap))
	e.GET("/who/:id", func(c echo.Context) error {
		p, _ := echoadapter.Principal(c)
		return c.String(200, p.Subject+" "+c.Param("id"))
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
	e := newEcho(echoadapter.Wrap(keystile.Chain(impatient, newGuard(t).Wrap)))
	e.GET("/", func(c echo.Context) error {
		before := c.Request()
		later(before)
		p, _ := echoadapter.Principal(c)
		if c.Request() != before || p.Subject != c.Request().Header.Get("X-Name") {
			t.Errorf("the handler of %s goes on as %s", before.Header.Get("X-Name"), p.Subject)
		}
		return nil
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

// The answer of a handler inside a middleware that holds its header back is not
// taken for sent.
func TestAHeldBackStatusIsStillSent(t *testing.T) {
	held := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inner := httptest.NewRecorder()
			next.ServeHTTP(inner, r)
			w.WriteHeader(inner.Code)
			_, _ = w.Write(inner.Body.Bytes())
		})
	}
	var hooked, size int64
	e := newEcho(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.Response().Before(func() { hooked++ })
			err := next(c)
			size = c.Response().Size
			return err
		}
	}, echoadapter.Wrap(held))
	e.GET("/json", func(c echo.Context) error { return c.JSON(422, "no") })
	e.GET("/error", func(echo.Context) error { return echo.NewHTTPError(422, "no") })
	e.GET("/foreign", echo.WrapHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusUnprocessableEntity) })))
	e.GET("/bare", echo.WrapHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(422) })))
	for _, path := range []string{"/json", "/error", "/foreign", "/bare"} {
		hooked, size = 0, 0
		resp := do(e, "GET", path, "")
		if got := body(resp); resp.StatusCode != 422 || hooked != 1 || size != int64(len(got)) {
			t.Errorf("%s: %d, %d calls of the hook, size %d of %d", path, resp.StatusCode, hooked, size, len(got))
		}
	}
}

// Where the server cannot flush or hijack, a handler learns it and may answer.
func TestWhatTheServerCannotDoIsSaid(t *testing.T) {
	for _, middleware := range []func(http.Handler) http.Handler{rewriter, keystile.Chain()} {
		e := newEcho(echoadapter.Wrap(middleware), echoadapter.Wrap(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				controller := http.NewResponseController(w)
				_, _, hijack := controller.Hijack()
				if flush := controller.Flush(); !errors.Is(hijack, http.ErrNotSupported) || !errors.Is(flush, http.ErrNotSupported) {
					t.Errorf("Hijack: %v, Flush: %v", hijack, flush)
				}
				w.WriteHeader(501)
			})
		}))
		e.GET("/", func(echo.Context) error { return nil })
		if resp := do(http.TimeoutHandler(e, time.Minute, ""), "GET", "/", ""); resp.StatusCode != 501 {
			t.Errorf("%d, want 501", resp.StatusCode)
		}
	}
}
