package basicauth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/basicauth"
)

// The kinds of hash that tests can afford.
var (
	tiny   = basicauth.Argon2idKind(8, 1, 1)
	cheap4 = basicauth.BcryptKind(4)
)

func newUsers(t testing.TB, users ...basicauth.User) *basicauth.MemoryUsers {
	t.Helper()
	m, err := basicauth.NewMemoryUsers(users...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// user returns one of account "acme" whose password is hashed cheaply.
func user(name, password string) basicauth.User {
	return basicauth.User{Name: name, Hash: basicauth.HashAs(tiny, password), Account: "acme", Plan: "pro", Scopes: []string{"read"}}
}

func newBasic(t testing.TB, c basicauth.Config) *basicauth.Authenticator {
	t.Helper()
	a, err := basicauth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newGuard(t testing.TB, a keystile.Authenticator) *keystile.Guard {
	t.Helper()
	g, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: a, Realm: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// from is a request over TLS from an address, with the credentials in it.
func from(addr, name, password string) *http.Request {
	r := httptest.NewRequest("GET", "https://api.example/", nil)
	r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(addr), 4711).String()
	r.SetBasicAuth(name, password)
	return r
}

func as(name, password string) *http.Request { return from("192.0.2.1", name, password) }

// with is a request over TLS with these Authorization fields.
func with(fields ...string) *http.Request {
	r := as("", "")
	r.Header["Authorization"] = fields
	return r
}

// status returns what r would be answered with.
func status(a keystile.Authenticator, r *http.Request) int {
	p, err := a.Authenticate(r)
	if err == nil && p != nil {
		return http.StatusOK
	}
	var e *keystile.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.StatusCode()
}

func want(t *testing.T, a keystile.Authenticator, r *http.Request, status_ int) {
	t.Helper()
	if got := status(a, r); got != status_ {
		_, err := a.Authenticate(r)
		t.Fatalf("status %d, want %d (%v)", got, status_, err)
	}
}

func serve(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

var ok = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusOK) })

func codeOf(t *testing.T, resp *http.Response) string {
	t.Helper()
	var members map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&members); err != nil {
		t.Fatal(err)
	}
	code, _ := members["code"].(string)
	return code
}

// clock is one that only tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// compares counts comparisons by kind.
type compares struct {
	mu  sync.Mutex
	all []string
}

func count(a *basicauth.Authenticator) *compares {
	c := new(compares)
	a.SetCompare(func(k basicauth.Kind, _ basicauth.PasswordHash, _ string, real func() bool) bool {
		c.mu.Lock()
		c.all = append(c.all, k.String())
		c.mu.Unlock()
		return real()
	})
	return c
}

// take returns the kinds that were compared since it was last called.
func (c *compares) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.all
	c.all = nil
	return all
}

// free is a Throttle that lets everybody go on.
type free struct{}

func (free) Check(context.Context, string) (time.Duration, error) { return 0, nil }
func (free) Fail(context.Context, string) error                   { return nil }
func (free) Reset(context.Context, string) error                  { return nil }

var unthrottled = basicauth.Throttles{Pair: free{}, Network: free{}, User: free{}}

// usersFunc is a Users that knows no kinds.
type usersFunc func(ctx context.Context, name string) (*basicauth.User, error)

func (f usersFunc) FindUser(ctx context.Context, name string) (*basicauth.User, error) {
	return f(ctx, name)
}

// logBuffer is a logger's output.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// plain makes r one that came unencrypted.
func plain(r *http.Request) *http.Request {
	r.TLS = nil
	return r
}

func prefixes(all ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, p := range all {
		ps = append(ps, netip.MustParsePrefix(p))
	}
	return ps
}
