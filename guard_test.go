package keystile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keystile/keystile"
)

// scripted answers what a test wants.
type scripted struct {
	principal  *keystile.Principal
	err        error
	absent     bool
	challenges []string
}

func (s *scripted) Present(*http.Request) bool { return !s.absent }
func (s *scripted) Authenticate(*http.Request) (*keystile.Principal, error) {
	return s.principal, s.err
}
func (s *scripted) Challenges(_ *http.Request, err error) []string {
	if e, ok := err.(*keystile.Error); ok && e.StatusCode() == http.StatusUnauthorized {
		return s.challenges
	}
	return nil
}

func newGuard(t *testing.T, c keystile.GuardConfig) *keystile.Guard {
	t.Helper()
	if c.Realm == "" {
		c.Realm = "test"
	}
	g, err := keystile.NewGuard(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func serve(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func get(h http.Handler) *http.Response {
	return serve(h, httptest.NewRequest("GET", "/", nil))
}

// problem decodes a problem document.
func problem(t *testing.T, resp *http.Response) map[string]any {
	t.Helper()
	if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("Content-Type %q", got)
	}
	var members map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&members); err != nil {
		t.Fatal(err)
	}
	return members
}

var whoami = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	p, _ := keystile.PrincipalFrom(r.Context())
	_, _ = io.WriteString(w, p.String())
})

func TestGuardAnswersEveryOutcome(t *testing.T) {
	alice := &keystile.Principal{Subject: "alice", Scheme: keystile.SchemeBasic}
	tests := []struct {
		name      string
		auth      scripted
		status    int
		code      string
		challenge []string
		retry     string
	}{
		{"an accepted credential reaches the handler", scripted{principal: alice}, 200, "", nil, ""},
		{"no credential is 401 with all challenges", scripted{absent: true, err: keystile.NoCredentials(""), challenges: []string{"ApiKey", "Bearer"}}, 401, "unauthorized", []string{`ApiKey realm="test"`, `Bearer realm="test"`}, ""},
		{"a realm goes before other parameters", scripted{err: &keystile.Error{Code: keystile.CodeKeyExpired}, challenges: []string{`Bearer error="invalid_token"`}}, 401, "key_expired", []string{`Bearer realm="test", error="invalid_token"`}, ""},
		{"a challenge keeps its own realm", scripted{err: &keystile.Error{Code: keystile.CodeUnauthorized}, challenges: []string{`Basic charset="UTF-8", Realm="other"`}}, 401, "unauthorized", []string{`Basic charset="UTF-8", Realm="other"`}, ""},
		{"realm within a quoted string is not a realm", scripted{err: &keystile.Error{Code: keystile.CodeUnauthorized}, challenges: []string{`Bearer error_description="no \" realm=x"`}}, 401, "unauthorized", []string{`Bearer realm="test", error_description="no \" realm=x"`}, ""},
		{"a plain error is an outage and not a refusal", scripted{err: errStoreDown}, 503, "unavailable", nil, "1"},
		{"a wrapped refusal is a refusal", scripted{err: fmt.Errorf("lookup: %w", &keystile.Error{Code: keystile.CodeKeyRevoked}), challenges: []string{"ApiKey"}}, 401, "key_revoked", []string{`ApiKey realm="test"`}, ""},
		{"an outage joined to a refusal is an outage", scripted{err: errors.Join(io.EOF, &keystile.Error{Code: keystile.CodeKeyRevoked})}, 503, "unavailable", nil, "1"},
		{"so is one that wraps it", scripted{err: errors.Join(&keystile.Error{Code: keystile.CodeKeyRevoked}, keystile.Unavailable(io.EOF))}, 503, "unavailable", nil, "1"},
		{"a plain error without a credential is no credential", scripted{absent: true, err: io.EOF, challenges: []string{"ApiKey"}}, 401, "unauthorized", []string{`ApiKey realm="test"`}, ""},
		{"neither principal nor error is a wiring mistake", scripted{}, 500, "internal", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := get(newGuard(t, keystile.GuardConfig{Authenticator: &tt.auth}).Wrap(whoami))
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if tt.status == 200 {
				if body, _ := io.ReadAll(resp.Body); string(body) != "basic alice" {
					t.Errorf("the handler saw %q", body)
				}
				return
			}
			if got := problem(t, resp)["code"]; got != tt.code {
				t.Errorf("code %q, want %q", got, tt.code)
			}
			if got := resp.Header["Www-Authenticate"]; strings.Join(got, "|") != strings.Join(tt.challenge, "|") {
				t.Errorf("challenges %q, want %q", got, tt.challenge)
			}
			if got := resp.Header.Get("Retry-After"); got != tt.retry {
				t.Errorf("Retry-After %q, want %q", got, tt.retry)
			}
			if got := resp.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q", got)
			}
		})
	}
}

func TestGuardOptional(t *testing.T) {
	auth := &scripted{absent: true, err: keystile.NoCredentials("")}
	h := newGuard(t, keystile.GuardConfig{Authenticator: auth, Optional: true}).Wrap(whoami)
	if body, _ := io.ReadAll(get(h).Body); string(body) != "anonymous" {
		t.Errorf("without credential the handler saw %q", body)
	}
	auth.absent, auth.err = false, &keystile.Error{Code: keystile.CodeUnauthorized}
	if got := get(h).StatusCode; got != 401 {
		t.Errorf("a refused credential: %d, want 401", got)
	}
}

func TestUniformRefusalLooksTheSameForEveryReason(t *testing.T) {
	var seen []keystile.Code
	var first string
	for _, code := range []keystile.Code{
		keystile.CodeUnauthorized, keystile.CodeKeyRevoked, keystile.CodeKeyExpired, keystile.CodeKeyDisabled,
		keystile.CodeIPNotAllowed, keystile.CodeEndpointNotAllowed, "account_closed",
	} {
		auth := &scripted{err: &keystile.Error{Code: code, Status: map[bool]int{true: 403}[code == "account_closed"], Detail: "secret reason", Header: http.Header{"X-Why": {"y"}}}, challenges: []string{"ApiKey"}}
		g := newGuard(t, keystile.GuardConfig{Authenticator: auth, UniformRefusal: true, Observer: observerFunc(func(e keystile.Event) { seen = append(seen, e.Code) })})
		dump := dumpResponse(get(g.Wrap(whoami)))
		if first == "" {
			first = dump
		}
		if dump != first {
			t.Errorf("%s answers\n%s\nand unauthorized answers\n%s", code, dump, first)
		}
		if len(seen) == 0 || seen[len(seen)-1] != code {
			t.Errorf("the observer saw %v, want %s last", seen, code)
		}
	}
	if !strings.Contains(first, "401") || strings.Contains(first, "secret reason") {
		t.Errorf("answer:\n%s", first)
	}
	for _, code := range []keystile.Code{keystile.CodeInvalidRequest, keystile.CodeUnavailable} {
		auth := &scripted{err: &keystile.Error{Code: code}}
		if got := get(newGuard(t, keystile.GuardConfig{Authenticator: auth, UniformRefusal: true}).Wrap(whoami)); got.StatusCode != code.Status() {
			t.Errorf("%s became %d", code, got.StatusCode)
		}
	}
}

func dumpResponse(resp *http.Response) string {
	var b bytes.Buffer
	_ = resp.Write(&b)
	return b.String()
}

type observerFunc func(keystile.Event)

func (f observerFunc) Observe(_ context.Context, e keystile.Event) { f(e) }

func TestSilencedChallenges(t *testing.T) {
	auth := &scripted{err: &keystile.Error{Code: keystile.CodeUnauthorized}, challenges: []string{"Basic", "Bearer"}}
	g := newGuard(t, keystile.GuardConfig{Authenticator: auth, Silence: func(r *http.Request, scheme string) bool {
		return scheme == "Basic" && keystile.Route(r) == "GET /app"
	}})
	mux := http.NewServeMux()
	mux.Handle("GET /app", whoami)
	mux.Handle("GET /api", whoami)
	h := keystile.Routes(mux, g.Wrap)
	for path, want := range map[string]string{
		"/app": `Bearer realm="test"`,
		"/api": `Basic realm="test"|Bearer realm="test"`,
	} {
		resp := serve(h, httptest.NewRequest("GET", path, nil))
		if got := strings.Join(resp.Header["Www-Authenticate"], "|"); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestGuardSkipsRoutesAndNeverPaths(t *testing.T) {
	auth := &scripted{err: &keystile.Error{Code: keystile.CodeUnauthorized}, challenges: []string{"ApiKey"}}
	g := newGuard(t, keystile.GuardConfig{Authenticator: auth, Skip: []string{"GET /health", "* /docs/{page...}"}})
	mux := http.NewServeMux()
	for _, pattern := range []string{"GET /health", "/docs/{page...}", "GET /admin", "GET /health/detail"} {
		mux.Handle(pattern, whoami)
	}
	h := keystile.Routes(mux, g.Wrap)
	for target, want := range map[string]int{
		"GET /health": 200, "HEAD /health": 200, "GET /docs/a/b": 200, "POST /docs/a": 200,
		"GET /admin": 401, "POST /health": 401, "GET /health/detail": 401, "GET /%68ealth": 200,
		"GET /health%2Fdetail": 401, "GET /nothing": 401, "GET /docs/../admin": 401, "GET //health": 401,
	} {
		method, path, _ := strings.Cut(target, " ")
		resp := serve(h, httptest.NewRequest(method, path, nil))
		if resp.StatusCode != want && (want != 401 || resp.StatusCode/100 != 3) {
			t.Errorf("%s: %d, want %d", target, resp.StatusCode, want)
		}
		if want == 401 && resp.StatusCode == 200 {
			t.Errorf("%s slipped past the Guard", target)
		}
	}
}

// logged returns what f writes to the default logger.
func logged(f func()) string {
	var b bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
	defer slog.SetDefault(before)
	f()
	return b.String()
}

// Wiring mistakes are answered with 500 and logged, though nobody observes.
func TestWiringMistakesAreLogged(t *testing.T) {
	require, err := keystile.RequireScopes("x")
	if err != nil {
		t.Fatal(err)
	}
	var guard keystile.Guard
	var client keystile.ClientIP
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", whoami)
	rerouted := keystile.Routes(mux, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { r.URL.Path = "/x"; next.ServeHTTP(w, r) })
	})
	for want, h := range map[string]http.Handler{
		"NewGuard": guard.Wrap(whoami), "NewClientIP": client.Wrap(whoami), "RequireScopes without a Guard": require(whoami), "rewrite outside": rerouted,
	} {
		status := 0
		if line := logged(func() { status = get(h).StatusCode }); status != 500 || !strings.Contains(line, want) {
			t.Errorf("%s: %d, logged %q", want, status, line)
		}
	}
	_ = logged(func() {
		if p, err := guard.Authenticate(httptest.NewRequest("GET", "/", nil)); p != nil || !errors.Is(err, keystile.CodeInternal) {
			t.Errorf("Authenticate: %v, %v", p, err)
		}
	})
}

func TestGuardConfigMistakesComeAllAtOnce(t *testing.T) {
	tests := []struct {
		name   string
		config keystile.GuardConfig
		want   []string
	}{
		{"everything is missing", keystile.GuardConfig{}, []string{"GuardConfig.Authenticator: is nil; pass", "GuardConfig.Realm (\"\"): is empty; name"}},
		{"AnyOf has no members", keystile.GuardConfig{Authenticator: keystile.AnyOf(), Realm: "x"}, []string{"keystile.AnyOf: has no members and would refuse everybody; pass"}},
		{"OneOf has a nil member", keystile.GuardConfig{Authenticator: keystile.OneOf(fixed{}, nil), Realm: "x"}, []string{"keystile.OneOf[1]: is nil; pass"}},
		{"a nested AllOf is empty and the realm is bad", keystile.GuardConfig{Authenticator: keystile.AnyOf(fixed{}, keystile.AllOf()), Realm: "a\"b"}, []string{"keystile.AllOf: has no members", "Realm (\"a\\\"b\"): has a character", "use printable ASCII"}},
		{"combine is nil", keystile.GuardConfig{Authenticator: keystile.AllOfFunc(nil, fixed{}), Realm: "x"}, []string{"keystile.AllOfFunc: combine is nil; pass"}},
		{"skip rules are no rules", keystile.GuardConfig{Authenticator: fixed{}, Realm: "x", Skip: []string{"/health", "HEAD /x", "get /x", "GET /ok"}}, []string{"Skip[0] (\"/health\"): an endpoint rule has the form", "Skip[1] (\"HEAD /x\"): HEAD counts as GET; write", "Skip[2] (\"get /x\"): write the method in capitals"}},
		{"the realm has a line break", keystile.GuardConfig{Authenticator: fixed{}, Realm: "a\r\nX: y"}, []string{"Realm (\"a\\r\\nX: y\")"}},
	}
	for _, tt := range tests {
		g, err := keystile.NewGuard(tt.config)
		if g != nil || err == nil {
			t.Errorf("%s: accepted", tt.name)
			continue
		}
		if lines := strings.Split(err.Error(), "\n"); len(lines) < len(tt.want)-1 {
			t.Errorf("%s: only %d mistakes: %v", tt.name, len(lines), err)
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", tt.name, err, want)
			}
		}
		var ce *keystile.ConfigError
		if !errors.As(err, &ce) {
			t.Errorf("%s: no *ConfigError in %T", tt.name, err)
		}
	}
}

// What a batch may do says nothing about what its sub-requests may.
func TestASubRequestDoesNotInheritTheRoute(t *testing.T) {
	auth := &scripted{absent: true, err: keystile.NoCredentials(""), challenges: []string{"ApiKey"}}
	g := newGuard(t, keystile.GuardConfig{Authenticator: auth, Skip: []string{"POST /batch"}})
	ran := false
	admin := http.NewServeMux()
	admin.HandleFunc("DELETE /admin", func(http.ResponseWriter, *http.Request) { ran = true })
	guarded := g.Wrap(admin) // without Routes of its own
	mux := http.NewServeMux()
	mux.HandleFunc("POST /batch", func(_ http.ResponseWriter, r *http.Request) {
		sub := httptest.NewRequestWithContext(r.Context(), "DELETE", "/admin", nil)
		if resp := serve(guarded, sub); resp.StatusCode != 401 || ran {
			t.Errorf("%d, handler ran: %v", resp.StatusCode, ran)
		}
		if got := keystile.Route(sub); got != "" {
			t.Errorf("the sub-request has the route %q", got)
		}
	})
	if resp := serve(keystile.Routes(mux, g.Wrap), httptest.NewRequest("POST", "/batch", nil)); resp.StatusCode != 200 {
		t.Errorf("the batch: %d", resp.StatusCode)
	}
}

// Each sub-request of a batch is judged by itself; the outer identity stays.
func TestABatchNeverSwapsIdentities(t *testing.T) {
	byName := authFunc(func(r *http.Request) (*keystile.Principal, error) {
		if name := r.Header.Get("X-Name"); name != "" {
			return &keystile.Principal{Subject: name, Scheme: "test"}, nil
		}
		return nil, keystile.NoCredentials("test")
	})
	g := newGuard(t, keystile.GuardConfig{Authenticator: byName, Optional: true})
	one := g.Wrap(whoami)
	batch := g.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var wg sync.WaitGroup
		for _, name := range []string{"bob", "", "carol", "bob", ""} {
			wg.Go(func() {
				sub := httptest.NewRequestWithContext(r.Context(), "GET", "/", nil)
				sub.Header.Set("X-Name", name)
				want := "test " + name
				if name == "" {
					want = "anonymous" // and not the identity of the batch
				}
				if body, _ := io.ReadAll(serve(one, sub).Body); string(body) != want {
					t.Errorf("a sub-request of %q ran as %q", name, body)
				}
			})
		}
		wg.Wait()
		whoami(w, r)
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Name", "alice")
	if body, _ := io.ReadAll(serve(batch, r).Body); string(body) != "test alice" {
		t.Errorf("after the batch the caller is %q", body)
	}
}

type authFunc func(*http.Request) (*keystile.Principal, error)

func (f authFunc) Present(r *http.Request) bool { return r.Header.Get("X-Name") != "" }
func (f authFunc) Authenticate(r *http.Request) (*keystile.Principal, error) {
	return f(r)
}
func (authFunc) Challenges(_ *http.Request, err error) []string {
	if e, ok := err.(*keystile.Error); ok && e.StatusCode() != http.StatusUnauthorized {
		return nil
	}
	return []string{"Test"}
}

func TestIdentityNeverComesFromAHeader(t *testing.T) {
	g := newGuard(t, keystile.GuardConfig{Authenticator: &scripted{absent: true, err: keystile.NoCredentials("")}, Optional: true})
	r := httptest.NewRequest("GET", "/", nil)
	for _, name := range []string{"X-User", "X_User", "X-Forwarded-User", "Remote-User", "X-Account", "X-Middleware-Subrequest", "X-Keystile-Principal"} {
		r.Header.Set(name, "admin")
	}
	if body, _ := io.ReadAll(serve(g.Wrap(whoami), r).Body); string(body) != "anonymous" {
		t.Errorf("the caller is %q", body)
	}
}

func TestTrackNamesTheCallerAfterwards(t *testing.T) {
	auth := &scripted{principal: &keystile.Principal{Subject: "alice", Scheme: "test"}}
	mux := http.NewServeMux()
	mux.Handle("GET /ok/{id}", whoami)
	inner := keystile.Routes(mux, newGuard(t, keystile.GuardConfig{Authenticator: auth}).Wrap)
	var who, route string
	var outcome *keystile.Error
	logged := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = keystile.Track(r)
		if keystile.Track(r) != r {
			t.Error("Track starts a second record")
		}
		http.TimeoutHandler(inner, time.Minute, "").ServeHTTP(w, r)
		p, _ := keystile.PrincipalFrom(r.Context())
		who, route, outcome = p.String(), keystile.Route(r), keystile.OutcomeFrom(r.Context())
	})
	serve(logged, httptest.NewRequest("HEAD", "/ok/7", nil))
	if who != "test alice" || route != "GET /ok/{id}" || outcome != nil {
		t.Errorf("seen %q, %q, %v", who, route, outcome)
	}
	auth.err = &keystile.Error{Code: keystile.CodeKeyExpired}
	serve(logged, httptest.NewRequest("GET", "/ok/7", nil))
	if who != "anonymous" || !errors.Is(outcome, keystile.CodeKeyExpired) {
		t.Errorf("seen %q, %v", who, outcome)
	}
}

func TestTrackSeesThroughNestedRoutesAndResponders(t *testing.T) {
	auth := &scripted{principal: &keystile.Principal{Subject: "alice", Scheme: "test"}}
	inner := http.NewServeMux()
	inner.Handle("GET /api/x", whoami)
	outer := http.NewServeMux()
	outer.Handle("/api/", keystile.Routes(inner, newGuard(t, keystile.GuardConfig{Authenticator: auth}).Wrap))
	withHouse := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(keystile.WithResponder(r.Context(), house{})))
		})
	}
	r := keystile.Track(httptest.NewRequest("GET", "/api/x", nil))
	serve(keystile.Routes(outer, withHouse), r)
	if p, _ := keystile.PrincipalFrom(r.Context()); p.String() != "test alice" {
		t.Errorf("the caller is %v", p)
	}
	auth.err = &keystile.Error{Code: keystile.CodeKeyExpired}
	r = keystile.Track(httptest.NewRequest("GET", "/api/x", nil))
	serve(keystile.Routes(outer, withHouse), r)
	if !errors.Is(keystile.OutcomeFrom(r.Context()), keystile.CodeKeyExpired) {
		t.Errorf("the outcome is %v", keystile.OutcomeFrom(r.Context()))
	}
}

func TestGuardEvents(t *testing.T) {
	var events []keystile.Event
	now := time.Unix(1000, 0)
	auth := &scripted{principal: &keystile.Principal{Subject: "alice", Scheme: keystile.SchemeAPIKey}}
	g := newGuard(t, keystile.GuardConfig{
		Authenticator: auth,
		Observer:      observerFunc(func(e keystile.Event) { events = append(events, e) }),
		Now:           func() time.Time { now = now.Add(time.Millisecond); return now },
	})
	mux := http.NewServeMux()
	mux.Handle("POST /things", whoami)
	h := keystile.Routes(mux, g.Wrap)
	r := httptest.NewRequest("POST", "/things", nil)
	r.RemoteAddr = "[::ffff:192.0.2.7]:99"
	serve(h, r)
	auth.err = &keystile.Error{Code: keystile.CodeKeyRevoked, Scheme: keystile.SchemeBearer, Err: io.EOF}
	serve(h, r)
	if len(events) != 2 {
		t.Fatalf("%d events", len(events))
	}
	ok, no := events[0], events[1]
	if ok.Kind != keystile.KindAuthenticate || ok.Code != "" || ok.Err != nil || ok.Principal.Subject != "alice" || ok.Scheme != keystile.SchemeAPIKey ||
		ok.Route != "POST /things" || ok.Addr.String() != "192.0.2.7" || ok.Duration != time.Millisecond {
		t.Errorf("accepted: %+v", ok)
	}
	if no.Code != keystile.CodeKeyRevoked || !errors.Is(no.Err, io.EOF) || no.Principal != nil || no.Scheme != keystile.SchemeBearer {
		t.Errorf("refused: %+v", no)
	}
}

func TestGuardAddsTwoAllocations(t *testing.T) {
	g := newGuard(t, keystile.GuardConfig{Authenticator: fixed{&keystile.Principal{Subject: "alice"}}})
	h := g.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	if n := testing.AllocsPerRun(200, func() { h.ServeHTTP(w, r) }); n > 2 {
		t.Errorf("%v allocations, want 2: the record and the copy of the request", n)
	}
}

// A challenge may hold a nonce: what the Guard remembers of them stays bounded
// and right.
func TestChallengesThatNeverRepeat(t *testing.T) {
	auth := &scripted{err: &keystile.Error{Code: keystile.CodeUnauthorized}}
	h := newGuard(t, keystile.GuardConfig{Authenticator: auth}).Wrap(whoami)
	for round := range 2 {
		for i := range 200 {
			auth.challenges = []string{fmt.Sprintf(`Digest nonce="%d"`, i)}
			want := fmt.Sprintf(`Digest realm="test", nonce="%d"`, i)
			if got := get(h).Header.Get("WWW-Authenticate"); got != want {
				t.Fatalf("round %d: %q, want %q", round, got, want)
			}
		}
	}
}
