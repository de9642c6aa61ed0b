package keystile_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/keystile/keystile"
)

var showRoute = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = fmt.Fprintf(w, "%s id=%s", keystile.Route(r), r.PathValue("id"))
})

func TestRoutesKnowTheRouteBeforeTheChainRuns(t *testing.T) {
	var seen string
	spy := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen = keystile.Route(r)
			next.ServeHTTP(w, r)
		})
	}
	mux := http.NewServeMux()
	for _, pattern := range []string{"GET /things/{id}", "POST  /spaced/{id}", "/any/{id}", "GET /dir/{$}", "GET example.com/host", "GET /sub/", "HEAD /head"} {
		mux.Handle(pattern, showRoute)
	}
	h := keystile.Routes(mux, spy)
	tests := []struct {
		method, target, route string
		status                int
		body                  string
	}{
		{"GET", "/things/7", "GET /things/{id}", 200, "GET /things/{id} id=7"},
		{"HEAD", "/things/7", "GET /things/{id}", 200, "GET /things/{id} id=7"},
		{"GET", "/%74hings/a%2Fb", "GET /things/{id}", 200, "GET /things/{id} id=a/b"},
		{"POST", "/spaced/1", "POST /spaced/{id}", 200, "POST /spaced/{id} id=1"},
		{"PATCH", "/any/2", "PATCH /any/{id}", 200, "PATCH /any/{id} id=2"},
		{"HEAD", "/any/2", "GET /any/{id}", 200, "GET /any/{id} id=2"},
		{"HEAD", "/head", "GET /head", 200, "GET /head id="},
		{"GET", "http://example.com/host", "GET example.com/host", 200, "GET example.com/host id="},
		{"GET", "/sub", "GET /sub/", 301, ""},
		{"GET", "/x/../things/7", "GET /things/{id}", 301, ""},
		{"GET", "/nowhere", "", 404, ""},
		{"GET", "/x/../nowhere", "", 301, ""},
		{"DELETE", "/things/7", "", 405, ""},
	}
	for _, tt := range tests {
		seen = "the chain did not run"
		resp := serve(h, httptest.NewRequest(tt.method, tt.target, nil))
		if resp.StatusCode/100 == 3 && tt.status/100 == 3 {
			tt.status = resp.StatusCode // 301 before Go 1.26, 307 since
		}
		if resp.StatusCode != tt.status || seen != tt.route {
			t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.target, resp.StatusCode, seen, tt.status, tt.route)
		}
		if body, _ := io.ReadAll(resp.Body); tt.body != "" && string(body) != tt.body {
			t.Errorf("%s %s: body %q, want %q", tt.method, tt.target, body, tt.body)
		}
	}
}

func TestRoutesAnswer404And405InTheShapeOfTheHouse(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /x", showRoute)
	mux.Handle("PUT /x", showRoute)
	h := keystile.Routes(mux)
	resp := serve(h, httptest.NewRequest("GET", "/y", nil))
	if got := problem(t, resp)["code"]; got != "not_found" || resp.Header["Allow"] != nil {
		t.Errorf("%v, Allow %q", got, resp.Header["Allow"])
	}
	resp = serve(h, httptest.NewRequest("POST", "/x", nil))
	if got := problem(t, resp)["code"]; got != "method_not_allowed" || resp.Header.Get("Allow") != "GET, HEAD, PUT" {
		t.Errorf("%v, Allow %q", got, resp.Header["Allow"])
	}
}

func TestNoCredentialIs401Before404(t *testing.T) {
	g := newGuard(t, keystile.GuardConfig{Authenticator: &scripted{absent: true, err: keystile.NoCredentials(""), challenges: []string{"ApiKey"}}})
	h := keystile.Routes(http.NewServeMux(), g.Wrap)
	if got := get(h).StatusCode; got != 401 {
		t.Errorf("%d, want 401", got)
	}
}

func TestARequestRewrittenInsideRoutesIsRefused(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /public", showRoute)
	mux.Handle("GET /admin", showRoute)
	ran := ""
	for name, rewrite := range map[string]func(*http.Request) *http.Request{
		"another path":     func(r *http.Request) *http.Request { r.URL.Path = "/admin"; return r },
		"a path that 404s": func(r *http.Request) *http.Request { r.URL.Path = "/zzz"; return r },
		"a cloned request": func(r *http.Request) *http.Request {
			c := r.Clone(r.Context())
			c.URL.Path = "/admin"
			return c
		},
	} {
		h := keystile.Routes(mux, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, rewrite(r)) })
		})
		resp := serve(h, httptest.NewRequest("GET", "/public", nil))
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 500 || strings.Contains(string(body), "/admin") {
			t.Errorf("%s: %d %s%s", name, resp.StatusCode, body, ran)
		}
	}
}

func TestMountedRoutesAreInnermost(t *testing.T) {
	inner := http.NewServeMux()
	inner.Handle("GET /api/things/{id}", showRoute)
	outer := http.NewServeMux()
	outer.Handle("/api/", keystile.Routes(inner))
	body, _ := io.ReadAll(serve(keystile.Routes(outer), httptest.NewRequest("GET", "/api/things/7", nil)).Body)
	if string(body) != "GET /api/things/{id} id=7" {
		t.Errorf("%q", body)
	}
}

func TestRouteWithoutRoutes(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/plain/{id}", showRoute)
	body, _ := io.ReadAll(serve(mux, httptest.NewRequest("HEAD", "/plain/1", nil)).Body)
	if string(body) != "GET /plain/{id} id=1" {
		t.Errorf("from the pattern: %q", body)
	}
	r := httptest.NewRequest("GET", "/", nil)
	if got := keystile.Route(r); got != "" {
		t.Errorf("without a router: %q", got)
	}
	for given, want := range map[string]string{"GET /x": "GET /x", "HEAD /x": "GET /x", "GET\t /x": "GET /x", "/x": "/x", "": "", "GET ": "GET "} {
		if got := keystile.Route(r.WithContext(keystile.WithRoute(context.Background(), given))); got != want {
			t.Errorf("WithRoute(%q): %q, want %q", given, got, want)
		}
	}
}

func TestEndpointRules(t *testing.T) {
	for _, tt := range []struct {
		rule, route string
		want        bool
	}{
		{"GET /x/{id}", "GET /x/{id}", true},
		{"GET /x/{id}", "GET /x/{ID}", false},
		{"GET /x/{id}", "POST /x/{id}", false},
		{"* /x/{id}", "POST /x/{id}", true},
		{"* /x/{id}", "GET /x/{id}/y", false},
		{"GET /x/", "GET /x/{id}", false},
		{"GET /x", "", false},
		{"* /", "", false},
	} {
		if err := keystile.CheckEndpoint(tt.rule); err != nil {
			t.Errorf("%q: %v", tt.rule, err)
		}
		if got := keystile.MatchEndpoint([]string{"GET /other", tt.rule}, tt.route); got != tt.want {
			t.Errorf("rule %q, route %q: %v", tt.rule, tt.route, got)
		}
	}
	for _, bad := range []string{"", "/x", "GET", "GET ", " /x", "GET x", "GET  /x", "GET /x y", "HEAD /x", "get /x", "GET /x\n"} {
		if keystile.CheckEndpoint(bad) == nil {
			t.Errorf("%q is taken for a rule", bad)
		}
	}
}

func TestChainOrder(t *testing.T) {
	var order []string
	mark := func(name string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				order = append(order, name)
				next.ServeHTTP(w, r)
			})
		}
	}
	get(keystile.Chain(mark("first"), mark("second"))(mark("handler")(whoami)))
	if got := strings.Join(order, " "); got != "first second handler" {
		t.Error(got)
	}
}
