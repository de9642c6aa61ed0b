package limiter_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/limiter"
)

// A limiter with three windows, a lease and both kinds of header fields adds the
// Decision and one string of numbers to the record that a Guard has started.
func TestALimiterAddsTwoAllocations(t *testing.T) {
	store, err := limiter.NewMemoryStore(limiter.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	h := newLimiter(t, limiter.Config{Store: store, Limits: limits(limiter.PerMinute(1<<40), limiter.PerHour(1<<40), limiter.PerDay(1<<40), limiter.Concurrent(10))}).
		Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	w, r := httptest.NewRecorder(), of("acme")
	header := w.Header()
	if n := testing.AllocsPerRun(500, func() { clear(header); h.ServeHTTP(w, r) }); n > 2 {
		t.Errorf("%v allocations, want 2", n)
	}
	if header.Get("RateLimit") == "" || header.Get("X-RateLimit-Remaining") == "" {
		t.Errorf("fields %v", header)
	}

	bare := r.WithContext(t.Context())
	byIP := newLimiter(t, limiter.Config{Store: store, By: limiter.ByIP, Limits: limits(limiter.PerMinute(1 << 40))}).
		Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	if n := testing.AllocsPerRun(500, func() { clear(header); byIP.ServeHTTP(w, bare) }); n > 4 {
		t.Errorf("%v allocations without a Guard, want 4: the record and the copy of the request besides", n)
	}
}

func TestTheFieldsAreNotShared(t *testing.T) {
	l := newLimiter(t, limiter.Config{Limits: limits(limiter.PerHour(9))})
	w := httptest.NewRecorder()
	l.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("RateLimit", `"mine";r=1`)
		w.Header()["X-Ratelimit-Limit"][0] = "changed"
		if got := keystile.Route(r); got != "" {
			t.Error(got)
		}
	})).ServeHTTP(w, of("a"))
	resp := serve(l.Wrap(ok), of("a"))
	wantFields(t, "the next answer", resp, map[string]string{"X-RateLimit-Limit": "9"})
	if got := w.Result().Header["Ratelimit"]; len(got) != 2 {
		t.Errorf("%q", got)
	}
}
