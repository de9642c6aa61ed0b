package limiter_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/limiter"
)

func TestAnAccountIsCountedAndThenRefused(t *testing.T) {
	clock := newFakeClock()
	h := newLimiter(t, limiter.Config{
		Store: newMemory(t, clock.Now), Limits: limits(limiter.PerHour(10), limiter.PerDay(100), limiter.Concurrent(1)),
	}).Wrap(ok)
	for i := range 10 {
		resp := serve(h, of("acme"))
		wantStatus(t, "within the limit", resp, 200)
		wantFields(t, "within the limit", resp, map[string]string{
			"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": fmt.Sprint(9 - i), "X-RateLimit-Reset": fmt.Sprint(noon.Unix() + 3600),
			"RateLimit":        fmt.Sprintf(`"hour";r=%d;t=3600, "day";r=%d;t=86400`, 9-i, 99-i),
			"RateLimit-Policy": `"hour";q=10;w=3600, "day";q=100;w=86400, "concurrent";q=1;qu="concurrent-requests"`,
			"Retry-After":      "", "Cache-Control": "",
		})
	}
	clock.Advance(90*time.Second + 1*time.Microsecond)
	for range 3 { // refusals cost nothing
		resp := serve(h, of("acme"))
		wantStatus(t, "the 11th", resp, 429)
		wantFields(t, "the 11th", resp, map[string]string{
			"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": fmt.Sprint(noon.Unix() + 3600),
			"RateLimit":   `"hour";r=0;t=3510, "day";r=90;t=86310`,
			"Retry-After": "3510", "Cache-Control": "no-store", "Content-Type": "application/problem+json",
		})
		body := decode(t, resp)
		for member, want := range map[string]any{
			"type": "https://iana.org/assignments/http-problem-types#quota-exceeded", "code": "rate_limited", "status": 429.0,
			"retry_after": 3510.0, "limit": "hour", "limiter": "api", "quota": 10.0, "reset": float64(noon.Unix() + 3600),
			"violated-policies": "[hour]",
		} {
			if got := body[member]; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("body %s: %v, want %v", member, got, want)
			}
		}
	}
	wantStatus(t, "another account", serve(h, of("other")), 200)
}

// Whoever waits as long as the answer says is admitted, and not before.
func TestRetryAfterIsEnoughAndExact(t *testing.T) {
	for _, period := range []time.Duration{time.Millisecond, 1500 * time.Millisecond, time.Second, 61 * time.Second, time.Hour} {
		for _, offset := range []time.Duration{0, time.Microsecond, period / 3, period - time.Microsecond} {
			clock := newFakeClock()
			h := newLimiter(t, limiter.Config{Store: newMemory(t, clock.Now), Limits: limits(limiter.Per(1, period).Named("x"))}).Wrap(ok)
			wantStatus(t, "first", serve(h, of("a")), 200)
			clock.Advance(offset)
			resp := serve(h, of("a"))
			wantStatus(t, "second", resp, 429)
			var wait int
			if _, err := fmt.Sscan(resp.Header.Get("Retry-After"), &wait); err != nil || wait < 1 {
				t.Fatalf("Retry-After %q", resp.Header.Get("Retry-After"))
			}
			exact := period - offset
			clock.Advance(exact - time.Microsecond)
			wantStatus(t, "a microsecond early", serve(h, of("a")), 429)
			clock.Advance(time.Duration(wait)*time.Second - (exact - time.Microsecond))
			wantStatus(t, "after Retry-After", serve(h, of("a")), 200)
			if got := time.Duration(wait) * time.Second; got < exact || got > max(exact+time.Second-1, time.Second) {
				t.Errorf("period %v at %v: told to wait %v for %v", period, offset, got, exact)
			}
		}
	}
}

func TestPlansByName(t *testing.T) {
	clock := newFakeClock()
	h := newLimiter(t, limiter.Config{
		Store: newMemory(t, clock.Now),
		Plans: limiter.Plans{
			"free":      {Limits: limits(limiter.PerHour(1))},
			"pro":       {Limits: limits(limiter.PerHour(3))},
			"unlimited": {},
		},
		DefaultPlan: "free",
	}).Wrap(ok)
	for _, tt := range []struct {
		plan string
		want []int
	}{
		{"free", []int{200, 429}}, {"pro", []int{200, 200, 200, 429}}, {"unheard-of", []int{200, 429}}, {"", []int{200, 429}}, {"unlimited", []int{200, 200, 200}},
	} {
		for i, want := range tt.want {
			wantStatus(t, fmt.Sprintf("plan %q, request %d", tt.plan, i+1), serve(h, ofPlan("acct-"+tt.plan, tt.plan)), want)
		}
	}
	// A raised plan counts at once, with what was used before.
	wantStatus(t, "free, upgraded to pro", serve(h, ofPlan("acct-free", "pro")), 200)
	wantStatus(t, "and again", serve(h, ofPlan("acct-free", "pro")), 200)
	wantStatus(t, "until three are used", serve(h, ofPlan("acct-free", "pro")), 429)
	if resp := serve(h, ofPlan("acct-unlimited", "unlimited")); resp.Header.Get("X-RateLimit-Limit") != "" || resp.Header.Get("RateLimit") != "" {
		t.Errorf("a plan without limits writes %v", resp.Header)
	}
}

func TestPlanFunction(t *testing.T) {
	var fail error
	plan := limiter.Plan{Limits: limits(limiter.PerHour(1))}
	l := newLimiter(t, limiter.Config{Plan: func(_ context.Context, p *keystile.Principal) (limiter.Plan, error) {
		if p.Account == "big" {
			return limiter.Plan{Limits: limits(limiter.PerHour(1000))}, nil
		}
		return plan, fail
	}})
	h := l.Wrap(ok)
	wantFields(t, "a plan of its own", serve(h, of("big")), map[string]string{"X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "999"})
	wantStatus(t, "first", serve(h, of("small")), 200)
	wantStatus(t, "second", serve(h, of("small")), 429)
	fail = errors.New("billing is down")
	wantStatus(t, "an outage of the function", serve(h, of("x")), 503)
	fail = &keystile.Error{Code: "insufficient_credits", Status: 402}
	wantStatus(t, "an answer of the function", serve(h, of("x")), 402)
	fail, plan = nil, limiter.Plan{Limits: limits(limiter.PerHour(-1))}
	wantStatus(t, "a plan with a mistake", serve(h, of("x")), 500)
}

func TestCost(t *testing.T) {
	cost := int64(1)
	clock := newFakeClock()
	l := newLimiter(t, limiter.Config{
		Store: newMemory(t, clock.Now), Limits: limits(limiter.PerHour(10), limiter.PerDay(5), limiter.Concurrent(1)),
		Cost: func(*http.Request) int64 { return cost },
	})
	h := l.Wrap(ok)
	cost = 4
	wantFields(t, "a cost of 4", serve(h, of("a")), map[string]string{"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "1"})
	cost = 0
	for range 3 {
		wantFields(t, "a cost of 0 only looks", serve(h, of("a")), map[string]string{"X-RateLimit-Remaining": "1"})
	}
	cost = 2
	wantStatus(t, "more than is left", serve(h, of("a")), 429)
	cost = 6
	resp := serve(h, of("a"))
	wantStatus(t, "more than the limit", resp, 400)
	wantFields(t, "more than the limit", resp, map[string]string{"Retry-After": ""})
	if body := decode(t, resp); body["code"] != "cost_exceeds_limit" || body["limit"] != "day" || body["cost"] != 6.0 || body["quota"] != 5.0 {
		t.Errorf("body %v", body)
	}
	_, err := l.Take(of("a"))
	if !errors.Is(err, limiter.ErrCostExceedsLimit) {
		t.Errorf("Take: %v", err)
	}
	cost = -1
	wantStatus(t, "a negative cost is a wiring mistake", serve(h, of("a")), 500)
	cost = 1
	wantStatus(t, "one is left", serve(h, of("a")), 200)
	wantStatus(t, "none is left", serve(h, of("a")), 429)
}

func TestTheLongestWaitBinds(t *testing.T) {
	clock := newFakeClock()
	h := newLimiter(t, limiter.Config{Store: newMemory(t, clock.Now), Limits: limits(limiter.PerHour(1), limiter.PerDay(1), limiter.PerMinute(1))}).Wrap(ok)
	serve(h, of("a"))
	resp := serve(h, of("a"))
	wantFields(t, "all three refuse", resp, map[string]string{
		"X-RateLimit-Limit": "1", "X-RateLimit-Reset": fmt.Sprint(noon.Unix() + 86400), "Retry-After": "86400",
		"RateLimit": `"hour";r=0;t=3600, "day";r=0;t=86400, "minute";r=0;t=60`,
	})
	if body := decode(t, resp); body["limit"] != "day" || fmt.Sprint(body["violated-policies"]) != "[hour day minute]" {
		t.Errorf("body %v", body)
	}
}

func TestWithin(t *testing.T) {
	l := newLimiter(t, limiter.Config{Limits: limits(limiter.PerHour(3), limiter.PerHour(1).Named("route").Within(limiter.ByRoute), limiter.PerHour(2).Named("key").Within(limiter.ByCredential))})
	h := l.Wrap(ok)
	ask := func(key, route string) *http.Request {
		r := httptest.NewRequest("GET", "/", nil)
		ctx := keystile.WithPrincipal(r.Context(), &keystile.Principal{Account: "acme", CredentialID: key})
		return r.WithContext(keystile.WithRoute(ctx, route))
	}
	wantStatus(t, "first on a route", serve(h, ask("k1", "GET /a")), 200)
	resp := serve(h, ask("k2", "GET /a"))
	wantStatus(t, "second on the route, with another key", resp, 429)
	if body := decode(t, resp); body["limit"] != "route" {
		t.Errorf("refused by %v", body["limit"])
	}
	wantStatus(t, "another route", serve(h, ask("k1", "GET /b")), 200)
	resp = serve(h, ask("k1", "GET /c"))
	if body := decode(t, resp); body["limit"] != "key" {
		t.Errorf("the key is used up: refused by %v", body["limit"])
	}
	wantStatus(t, "another key", serve(h, ask("k2", "GET /c")), 200)
	resp = serve(h, ask("k3", "GET /d"))
	if body := decode(t, resp); body["limit"] != "hour" {
		t.Errorf("the account is used up: refused by %v", body["limit"])
	}
}

func TestSkip(t *testing.T) {
	l := newLimiter(t, limiter.Config{Limits: limits(limiter.PerHour(1)), Skip: []string{"GET /health"}})
	mux := http.NewServeMux()
	mux.Handle("GET /health", ok)
	mux.Handle("GET /x", ok)
	h := keystile.Routes(mux, l.Wrap)
	for range 3 {
		wantStatus(t, "skipped without a principal", serve(h, httptest.NewRequest("GET", "/health", nil)), 200)
	}
	wantStatus(t, "not skipped: no principal is a wiring mistake", serve(h, httptest.NewRequest("GET", "/x", nil)), 500)
}

func TestShadowRefusesNothing(t *testing.T) {
	var seen events
	h := newLimiter(t, limiter.Config{Limits: limits(limiter.PerHour(1), limiter.Concurrent(5)), Shadow: true, Observer: &seen}).Wrap(ok)
	for i := range 3 {
		resp := serve(h, of("a"))
		wantStatus(t, "shadowed", resp, 200)
		wantFields(t, "shadowed", resp, map[string]string{"X-RateLimit-Limit": "", "RateLimit": "", "Retry-After": ""})
		if ev := seen.last(); ev.Shadow != (i > 0) || (i > 0 && (ev.Code != keystile.CodeRateLimited || ev.Limit != "hour")) {
			t.Errorf("request %d: %+v", i+1, ev)
		}
	}
}

func TestShadowRefusesNothingWhateverGoesWrong(t *testing.T) {
	var seen events
	store := &brokenStore{Store: newMemory(t, nil), down: true}
	l := newLimiter(t, limiter.Config{Store: store, Limits: limits(limiter.PerHour(1), limiter.Concurrent(1)), Shadow: true, Observer: &seen})
	wantStatus(t, "its store is down", serve(l.Wrap(ok), of("a")), 200)
	if ev := seen.last(); !ev.Shadow || !ev.Degraded || ev.Code != keystile.CodeUnavailable {
		t.Errorf("%+v", ev)
	}
	wantStatus(t, "there is nobody to count", serve(l.Wrap(ok), httptest.NewRequest("GET", "/", nil)), 200)
	if ev := seen.last(); !ev.Shadow || ev.Code != keystile.CodeInternal {
		t.Errorf("%+v", ev)
	}
}

func TestEvents(t *testing.T) {
	var seen events
	now := noon
	l := newLimiter(t, limiter.Config{Limits: limits(limiter.PerHour(1)), Observer: &seen, Now: func() time.Time { now = now.Add(time.Millisecond); return now }})
	h := l.Wrap(ok)
	serve(h, of("a"))
	if ev := seen.last(); ev.Kind != keystile.KindLimit || ev.Code != "" || ev.Limiter != "api" || ev.Principal.Account != "a" || ev.Duration != time.Millisecond {
		t.Errorf("admitted: %+v", ev)
	}
	serve(h, of("a"))
	if ev := seen.last(); ev.Code != keystile.CodeRateLimited || ev.Limit != "hour" || ev.Err == nil || ev.Degraded {
		t.Errorf("refused: %+v", ev)
	}
	serve(h, httptest.NewRequest("GET", "/", nil))
	if ev := seen.last(); ev.Code != keystile.CodeInternal || !strings.Contains(ev.Err.Error(), "put a Guard further out") {
		t.Errorf("wiring mistake: %+v", ev)
	}
	if len(seen) != 3 {
		t.Errorf("%d events for 3 decisions", len(seen))
	}
}

func TestInspectAndStatuses(t *testing.T) {
	clock := newFakeClock()
	l := newLimiter(t, limiter.Config{Store: newMemory(t, clock.Now), Limits: limits(limiter.PerHour(3), limiter.Concurrent(2))})
	var inside []limiter.Status
	h := l.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { inside = limiter.StatusesFrom(r.Context()) }))
	before, err := l.Inspect(of("a"))
	if err != nil {
		t.Fatal(err)
	}
	if s := before[0]; s.Limiter != "api" || s.Limit != "hour" || s.Quota != 3 || s.Remaining != 3 || s.Window != time.Hour || !s.Reset.IsZero() || s.Verdict != limiter.Fits {
		t.Errorf("before: %+v", s)
	}
	serve(h, of("a"))
	if len(inside) != 2 || inside[0].Remaining != 2 || !inside[0].Reset.Equal(noon.Add(time.Hour)) {
		t.Errorf("inside: %+v", inside)
	}
	if s := inside[1]; s.Limit != "concurrent" || s.Kind != limiter.KindConcurrent || s.Remaining != 1 || !s.Reset.Equal(noon.Add(time.Minute)) {
		t.Errorf("inside: %+v, want one of two slots taken, expiring in a minute", s)
	}
	for range 5 {
		after, err := l.Inspect(of("a"))
		if err != nil || after[0].Remaining != 2 || after[1].Remaining != 2 {
			t.Fatalf("after: %+v, %v", after, err)
		}
	}
	if err := l.Reset(of("a")); err != nil {
		t.Fatal(err)
	}
	if after, _ := l.Inspect(of("a")); after[0].Remaining != 3 {
		t.Errorf("after Reset: %+v", after)
	}
	if got := limiter.StatusesFrom(t.Context()); got != nil {
		t.Errorf("outside of any request: %+v", got)
	}
	ctx := limiter.WithStatuses(t.Context(), limiter.Status{Limit: "put there by a test"})
	if got := limiter.StatusesFrom(ctx); len(got) != 1 || got[0].Limit != "put there by a test" {
		t.Errorf("%+v", got)
	}
	if _, err := l.Inspect(httptest.NewRequest("GET", "/", nil)); !errors.Is(err, keystile.CodeInternal) {
		t.Errorf("Inspect without a principal: %v", err)
	}
}

func TestTakeForServersThatAreNoHandlers(t *testing.T) {
	l := newLimiter(t, limiter.Config{Limits: limits(limiter.PerHour(5), limiter.Concurrent(1))})
	d, err := l.Take(of("a"))
	if err != nil {
		t.Fatal(err)
	}
	if s := d.Statuses(); len(s) != 2 || s[0].Remaining != 4 {
		t.Errorf("%+v", s)
	}
	if _, err := l.Take(of("a")); !errors.Is(err, keystile.CodeConcurrencyLimited) {
		t.Errorf("while one runs: %v", err)
	}
	d.Refund(t.Context())
	d.Refund(t.Context())
	d.Release(t.Context())
	d.Release(t.Context())
	d2, err := l.Take(of("a"))
	if err != nil {
		t.Fatalf("after Release: %v", err)
	}
	d.Release(t.Context()) // not the other's slot
	if _, err := l.Take(of("a")); !errors.Is(err, keystile.CodeConcurrencyLimited) {
		t.Errorf("a late Release freed another's slot: %v", err)
	}
	if s := d2.Statuses(); s[0].Remaining != 4 {
		t.Errorf("two refunds of one decision left %d, want 4 after one", s[0].Remaining)
	}
}

func TestAZeroLimiterRefusesEverybody(t *testing.T) {
	before := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	defer slog.SetDefault(before)
	var l limiter.Limiter
	wantStatus(t, "the zero value", serve(l.Wrap(ok), of("a")), 500)
	if _, err := l.Take(of("a")); !errors.Is(err, keystile.CodeInternal) {
		t.Errorf("Take: %v", err)
	}
	if _, err := l.Inspect(of("a")); !errors.Is(err, keystile.CodeInternal) {
		t.Errorf("Inspect: %v", err)
	}
	if err := l.Reset(of("a")); !errors.Is(err, keystile.CodeInternal) {
		t.Errorf("Reset: %v", err)
	}
}

func TestConfigMistakesComeAllAtOnce(t *testing.T) {
	memory := newMemory(t, nil)
	good := limiter.Config{Name: "api", Store: memory, By: limiter.ByAccount, Limits: limits(limiter.PerHour(1)), OnStoreError: limiter.Deny}
	with := func(change func(*limiter.Config)) limiter.Config {
		c := good
		change(&c)
		return c
	}
	tests := []struct {
		name   string
		config limiter.Config
		want   []string
	}{
		{"everything is missing", limiter.Config{}, []string{
			`limiter.Config.Name (""): is not a name`, "limiter.Config.Store: is nil; pass NewMemoryStore", "limiter.Config.By: is nil; say whom",
			"limiter.Config.Plans: is empty; list", "limiter.Config.OnStoreError: is not set; choose Deny, Allow or Local"}},
		{"negative limits, two at once", with(func(c *limiter.Config) { c.Limits = limits(limiter.PerHour(-1), limiter.Concurrent(-2)) }), []string{"limiter.Config.Limits[0]: limiter.PerHour (-1): is negative", "limiter.Concurrent (-2): is negative"}},
		{"two limits in one cell", with(func(c *limiter.Config) { c.Limits = limits(limiter.PerHour(1), limiter.PerHour(2)) }), []string{`Limits[1] ("hour"): is the name of limit [0] too`, `.Named("x")`}},
		{"a mistake in the second plan", with(func(c *limiter.Config) {
			c.Limits, c.Plans, c.DefaultPlan = nil, limiter.Plans{"a": {}, "b": {Limits: limits(limiter.Per(1, 0))}}, "a"
		}), []string{`limiter.Config.Plans["b"].Limits[0]`, "is not a length of time"}},
		{"Plans without DefaultPlan", with(func(c *limiter.Config) { c.Limits, c.Plans = nil, limiter.Plans{"a": {}} }), []string{"DefaultPlan: is empty; name"}},
		{"an unknown DefaultPlan", with(func(c *limiter.Config) { c.Limits, c.Plans, c.DefaultPlan = nil, limiter.Plans{"a": {}}, "b" }), []string{`DefaultPlan ("b"): is not one of Plans`}},
		{"a DefaultPlan without Plans", with(func(c *limiter.Config) { c.DefaultPlan = "b" }), []string{`DefaultPlan ("b"): is set without Plans`}},
		{"Limits and Plans", with(func(c *limiter.Config) { c.Plans, c.DefaultPlan = limiter.Plans{"a": {}}, "a" }), []string{"Limits: and Plans are both set"}},
		{"ByAccountOr without AnonymousPlan", with(func(c *limiter.Config) {
			c.By, c.Limits, c.Plans, c.DefaultPlan = limiter.ByAccountOr(limiter.ByIP), nil, limiter.Plans{"a": {}}, "a"
		}), []string{"AnonymousPlan: is empty; name"}},
		{"an unknown AnonymousPlan", with(func(c *limiter.Config) {
			c.By, c.Limits, c.Plans, c.DefaultPlan, c.AnonymousPlan = limiter.ByAccountOr(limiter.ByIP), nil, limiter.Plans{"a": {}}, "a", "b"
		}), []string{`AnonymousPlan ("b"): is not one of Plans`}},
		{"an AnonymousPlan that nobody has", with(func(c *limiter.Config) { c.AnonymousPlan = "a" }), []string{`AnonymousPlan ("a"): is set, but By does not count`}},
		{"ByAccountOr falls back to a principal", with(func(c *limiter.Config) { c.By = limiter.ByAccountOr(limiter.Join(limiter.ByIP, limiter.BySubject)) }), []string{"limiter.ByAccountOr", "fall back to ByIP"}},
		{"ByAccountOr without a fallback", with(func(c *limiter.Config) { c.By = limiter.ByAccountOr(nil) }), []string{"limiter.ByAccountOr: has no fallback"}},
		{"an empty Join", with(func(c *limiter.Config) { c.By = limiter.Join() }), []string{"limiter.Join: has no members"}},
		{"a Join of nothing", with(func(c *limiter.Config) { c.By = limiter.Join(limiter.ByIP, nil) }), []string{"limiter.Join: has a nil member"}},
		{"ByFunc without a function", with(func(c *limiter.Config) { c.By = limiter.ByFunc("x", nil) }), []string{`limiter.ByFunc ("x"): needs a name and a function`}},
		{"a bad By inside Within", with(func(c *limiter.Config) { c.Limits = limits(limiter.PerHour(1).Within(limiter.Join())) }), []string{"limiter.Join: has no members"}},
		{"Local without nodes", with(func(c *limiter.Config) { c.OnStoreError = limiter.Local{} }), []string{"limiter.Local.Nodes (0): is not a number of machines"}},
		{"headers that exclude each other", with(func(c *limiter.Config) { c.Headers = limiter.Legacy | limiter.LegacySeconds }), []string{"Headers (3): combines Legacy and LegacySeconds"}},
		{"Off and others", with(func(c *limiter.Config) { c.Headers = limiter.Off | limiter.Draft10 }), []string{"combines Off with others"}},
		{"unknown headers", with(func(c *limiter.Config) { c.Headers = 64 }), []string{"has an unknown bit"}},
		{"an unknown HeaderLimit", with(func(c *limiter.Config) { c.HeaderLimit = "day" }), []string{`HeaderLimit ("day"): is the name of no window`}},
		{"a skip rule that is none", with(func(c *limiter.Config) { c.Skip = []string{"/x"} }), []string{`Skip[0] ("/x")`}},
		{"a short LeaseTTL", with(func(c *limiter.Config) { c.LeaseTTL = time.Millisecond }), []string{"LeaseTTL (1ms): is too short"}},
		{"a name that a header cannot carry", with(func(c *limiter.Config) { c.Name = "a\"b" }), []string{`Name ("a\"b")`}},
	}
	if _, err := limiter.New(good); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		l, err := limiter.New(tt.config)
		if l != nil || err == nil {
			t.Errorf("%s: accepted", tt.name)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q\ndoes not say %q", tt.name, err, want)
			}
		}
		var ce *keystile.ConfigError
		if !errors.As(err, &ce) {
			t.Errorf("%s: no *ConfigError in %T", tt.name, err)
		}
	}
}
