package limiter_test

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/limiter"
)

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

func TestStackedLimitersMergeTheirFields(t *testing.T) {
	clock := newFakeClock()
	store := newMemory(t, clock.Now)
	outer := newLimiter(t, limiter.Config{Name: "site", Store: store, Limits: limits(limiter.PerHour(50), limiter.PerMinute(30))})
	inner := newLimiter(t, limiter.Config{Name: "search", Store: store, Limits: limits(limiter.PerHour(3), limiter.PerDay(9))})
	h := outer.Wrap(inner.Wrap(ok))
	resp := serve(h, of("a"))
	wantFields(t, "both admit", resp, map[string]string{
		"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": "2",
		"RateLimit":        `"hour";r=49;t=3600, "minute";r=29;t=60, "search.hour";r=2;t=3600, "day";r=8;t=86400`,
		"RateLimit-Policy": `"hour";q=50;w=3600, "minute";q=30;w=60, "search.hour";q=3;w=3600, "day";q=9;w=86400`,
	})
	serve(h, of("a"))
	serve(h, of("a"))
	resp = serve(h, of("a"))
	wantStatus(t, "the inner refuses", resp, 429)
	wantFields(t, "the inner refuses", resp, map[string]string{
		"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": "0", "Retry-After": "3600",
		"RateLimit": `"hour";r=47;t=3600, "minute";r=27;t=60, "search.hour";r=0;t=3600, "day";r=6;t=86400`,
	})
	if body := decode(t, resp); body["limit"] != "hour" || body["limiter"] != "search" || len(body["violated-policies"].([]any)) != 1 || body["violated-policies"].([]any)[0] != "search.hour" {
		t.Errorf("body %v", body)
	}
	if statuses, _ := outer.Inspect(of("a")); statuses[0].Remaining != 47 {
		t.Errorf("the outer limiter charged a refused request: %+v", statuses[0])
	}
	var seen []limiter.Status
	serve(outer.Wrap(inner.Wrap(ok)), of("b"))
	serve(outer.Wrap(inner.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = limiter.StatusesFrom(r.Context()) }))), of("b"))
	if len(seen) != 4 || seen[0].Limiter != "site" || seen[2].Limiter != "search" || seen[2].Remaining != 1 {
		t.Errorf("%+v", seen)
	}
}

func TestAnOuterRefusalMeetsNoInnerLimiter(t *testing.T) {
	outer := newLimiter(t, limiter.Config{Name: "site", Limits: limits(limiter.PerHour(1))})
	inner := newLimiter(t, limiter.Config{Name: "search", Limits: limits(limiter.PerHour(9))})
	h := outer.Wrap(inner.Wrap(ok))
	serve(h, of("a"))
	wantStatus(t, "the outer refuses", serve(h, of("a")), 429)
	if statuses, _ := inner.Inspect(of("a")); statuses[0].Remaining != 8 {
		t.Errorf("%+v", statuses[0])
	}
}

func TestEachLimiterChoosesItsFields(t *testing.T) {
	legacy := newLimiter(t, limiter.Config{Name: "a", Limits: limits(limiter.PerHour(50)), Headers: limiter.LegacySeconds})
	draft := newLimiter(t, limiter.Config{Name: "b", Limits: limits(limiter.PerMinute(3)), Headers: limiter.Draft10})
	off := newLimiter(t, limiter.Config{Name: "c", Limits: limits(limiter.PerHour(2)), Headers: limiter.Off})
	resp := serve(legacy.Wrap(off.Wrap(draft.Wrap(ok))), of("a"))
	wantFields(t, "mixed", resp, map[string]string{
		"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "49", "X-RateLimit-Reset": "3600",
		"RateLimit": `"minute";r=2;t=60`, "RateLimit-Policy": `"minute";q=3;w=60`,
	})
}

// A sub-request that an inner limiter refuses must not win back what the batch
// itself was charged.
func TestABatchPaysForItself(t *testing.T) {
	store := newMemory(t, newFakeClock().Now)
	outer := newLimiter(t, limiter.Config{Name: "batch", Store: store, Limits: limits(limiter.PerHour(10))})
	inner := newLimiter(t, limiter.Config{Name: "call", Store: store, Limits: limits(limiter.PerHour(0))})
	resp := serve(outer.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wantStatus(t, "the sub-request", serve(inner.Wrap(ok), httptest.NewRequestWithContext(r.Context(), "GET", "/", nil)), 400)
		sub := newLimiter(t, limiter.Config{Name: "sub", Store: store, Limits: limits(limiter.PerHour(1))})
		for range 2 {
			serve(sub.Wrap(ok), httptest.NewRequestWithContext(r.Context(), "GET", "/", nil))
		}
	})), of("a"))
	wantStatus(t, "the batch", resp, 200)
	if statuses, _ := outer.Inspect(of("a")); statuses[0].Remaining != 9 {
		t.Errorf("the batch paid %d", 10-statuses[0].Remaining)
	}
}

func TestSiblingsInOneHandlerDoNotRefundEachOther(t *testing.T) {
	store := newMemory(t, newFakeClock().Now)
	l := newLimiter(t, limiter.Config{Store: store, Limits: limits(limiter.PerHour(2))})
	outer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = keystile.Track(r)
		for i, want := range []int{200, 200, 429, 429} {
			if got := serve(l.Wrap(ok), r).StatusCode; got != want {
				t.Errorf("sub-request %d: %d, want %d", i+1, got, want)
			}
		}
	})
	serve(outer, of("a"))
	if _, err := l.Take(of("a")); !errors.Is(err, keystile.CodeRateLimited) {
		t.Errorf("a refused sub-request won back its sibling's charge: %v", err)
	}
}

func TestHeaderLimit(t *testing.T) {
	h := newLimiter(t, limiter.Config{Limits: limits(limiter.PerDay(2), limiter.PerHour(50)), HeaderLimit: "hour"}).Wrap(ok)
	wantFields(t, "the named window", serve(h, of("a")), map[string]string{"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "49"})
	serve(h, of("a"))
	wantFields(t, "unless another refused", serve(h, of("a")), map[string]string{"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "0", "Retry-After": "86400"})
}

func TestHeaderFields(t *testing.T) {
	tests := []struct {
		name   string
		limits []limiter.Limit
		want   map[string]string
	}{
		{"a window below a second has no w", limits(limiter.PerSecond(5), limiter.Per(2, 250_000_000).Named("burst")), map[string]string{
			"RateLimit-Policy": `"second";q=5;w=1, "burst";q=2`, "RateLimit": `"second";r=4;t=1, "burst";r=1;t=1`}},
		{"a limit beyond the integers of structured fields is cut", limits(limiter.PerHour(1 << 60)), map[string]string{
			"RateLimit-Policy": `"hour";q=999999999999999;w=3600`, "RateLimit": `"hour";r=999999999999999;t=3600`, "X-RateLimit-Limit": "999999999999999", "X-RateLimit-Remaining": "999999999999999"}},
		{"an admitted Concurrent is in the policy only", limits(limiter.Concurrent(4)), map[string]string{
			"RateLimit-Policy": `"concurrent";q=4;qu="concurrent-requests"`, "RateLimit": "", "X-RateLimit-Limit": ""}},
		{"the tighter window binds", limits(limiter.PerHour(7), limiter.PerMinute(3), limiter.PerDay(3)), map[string]string{
			"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": "2", "X-RateLimit-Reset": "1772452800"}},
	}
	for _, tt := range tests {
		wantFields(t, tt.name, serve(newLimiter(t, limiter.Config{Limits: tt.limits}).Wrap(ok), of("a")), tt.want)
	}
}

func TestHouseHeaders(t *testing.T) {
	h := newLimiter(t, limiter.Config{Limits: limits(limiter.PerHour(1)), Headers: limiter.Off, HouseHeaders: func(h http.Header, statuses []limiter.Status) {
		if statuses[0].Verdict == limiter.Full {
			h.Set("X-Error-Code", "OVER_"+statuses[0].Limit)
		}
	}}).Wrap(ok)
	serve(h, of("a"))
	wantFields(t, "refused", serve(h, of("a")), map[string]string{"X-Error-Code": "OVER_hour", "RateLimit": "", "X-RateLimit-Limit": "", "Retry-After": "3600"})
}

func TestHeadHasTheSameFields(t *testing.T) {
	clock := newFakeClock()
	h := newLimiter(t, limiter.Config{Store: newMemory(t, clock.Now), Limits: limits(limiter.PerHour(1))}).Wrap(ok)
	serve(h, of("a"))
	full := serve(h, of("a"))
	r := of("a")
	r.Method = "HEAD"
	head := serve(h, r)
	if body, _ := io.ReadAll(head.Body); len(body) > 0 {
		t.Errorf("HEAD has a body: %s", body)
	}
	for name := range full.Header {
		if full.Header.Get(name) != head.Header.Get(name) {
			t.Errorf("%s: %q, and %q to HEAD", name, full.Header.Get(name), head.Header.Get(name))
		}
	}
}

// Sub-requests that run at once under one record leave nothing of themselves
// behind.
func TestSubRequestsAtOnceLeaveNothingBehind(t *testing.T) {
	outer := newLimiter(t, limiter.Config{Name: "outer", Limits: limits(limiter.PerHour(100))})
	sub := newLimiter(t, limiter.Config{Name: "sub", Limits: limits(limiter.PerHour(1000), limiter.Concurrent(100))})
	late := newLimiter(t, limiter.Config{Name: "late", Limits: limits(limiter.PerMinute(7))})
	resp := serve(outer.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				seen := 0
				serve(sub.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = len(limiter.StatusesFrom(r.Context())) })), httptest.NewRequestWithContext(r.Context(), "GET", "/", nil))
				if seen != 2 {
					t.Errorf("a sub-request sees %d limits, want its own 2", seen)
				}
			})
		}
		wg.Wait()
		if s := limiter.StatusesFrom(r.Context()); len(s) != 1 || s[0].Limiter != "outer" {
			t.Errorf("afterwards: %+v", s)
		}
		late.Wrap(ok).ServeHTTP(w, r)
	})), of("a"))
	wantFields(t, "an inner limiter afterwards", resp, map[string]string{"RateLimit": `"hour";r=99;t=3600, "minute";r=6;t=60`})
}
