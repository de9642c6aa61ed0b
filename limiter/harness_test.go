package limiter_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/limiter"
)

// noon is when tests begin.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fakeClock is a clock that stands still until it is told.
type fakeClock struct{ us atomic.Int64 }

func newFakeClock() *fakeClock {
	c := new(fakeClock)
	c.us.Store(noon.UnixMicro())
	return c
}

func (c *fakeClock) Now() time.Time          { return time.UnixMicro(c.us.Load()) }
func (c *fakeClock) Advance(d time.Duration) { c.us.Add(d.Microseconds()) }

func newMemory(t testing.TB, now func() time.Time) *limiter.MemoryStore {
	t.Helper()
	s, err := limiter.NewMemoryStore(limiter.MemoryConfig{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newLimiter fills in what a test does not care about.
func newLimiter(t testing.TB, c limiter.Config) *limiter.Limiter {
	t.Helper()
	if c.Name == "" {
		c.Name = "api"
	}
	if c.Store == nil {
		c.Store = newMemory(t, newFakeClock().Now)
	}
	if c.By == nil {
		c.By = limiter.ByAccount
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.OnStoreError == nil {
		c.OnStoreError = limiter.Deny
	}
	l, err := limiter.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func limits(l ...limiter.Limit) []limiter.Limit { return l }

// of is a request of an account.
func of(account string) *http.Request { return ofPlan(account, "") }

func ofPlan(account, plan string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	p := &keystile.Principal{Subject: account + "-key", CredentialID: account + "-key", Account: account, Plan: plan}
	return r.WithContext(keystile.WithPrincipal(r.Context(), p))
}

func serve(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

var ok = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })

func answering(status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}

func wantStatus(t *testing.T, what string, resp *http.Response, want int) {
	t.Helper()
	if resp.StatusCode != want {
		body, _ := io.ReadAll(resp.Body)
		t.Errorf("%s: %d, want %d\n%s", what, resp.StatusCode, want, body)
	}
}

func wantFields(t *testing.T, what string, resp *http.Response, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := resp.Header.Values(name); len(got) > 1 || resp.Header.Get(name) != value {
			t.Errorf("%s: %s: %q, want %q", what, name, got, value)
		}
	}
}

func decode(t *testing.T, resp *http.Response) map[string]any {
	t.Helper()
	var members map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&members); err != nil {
		t.Fatal(err)
	}
	return members
}

// events collects what an Observer is told.
type events []keystile.Event

func (e *events) Observe(_ context.Context, ev keystile.Event) { *e = append(*e, ev) }

func (e *events) last() keystile.Event { return (*e)[len(*e)-1] }
