package limiter_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/limiter"
)

// caller describes a request to be counted.
type caller struct {
	account, subject, credential string
	addr, route, header          string
	anonymous                    bool
}

func (c caller) request() *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Tenant", c.header)
	ctx := r.Context()
	if !c.anonymous {
		ctx = keystile.WithPrincipal(ctx, &keystile.Principal{Account: c.account, Subject: c.subject, CredentialID: c.credential})
	}
	if c.route != "" {
		ctx = keystile.WithRoute(ctx, c.route)
	}
	if c.addr != "" {
		ctx = keystile.WithClient(ctx, netip.MustParseAddr(c.addr), false)
	}
	return r.WithContext(ctx)
}

func TestWhoIsCountedTogether(t *testing.T) {
	tenant := limiter.ByFunc("tenant", func(r *http.Request) (string, error) { return r.Header.Get("X-Tenant"), nil })
	tests := []struct {
		name string
		by   limiter.By
		a, b caller
		same bool
	}{
		{"two keys of an account", limiter.ByAccount, caller{account: "x", credential: "1"}, caller{account: "x", credential: "2"}, true},
		{"two accounts", limiter.ByAccount, caller{account: "x"}, caller{account: "y"}, false},
		{"accounts that differ in case", limiter.ByAccount, caller{account: "x"}, caller{account: "X"}, false},
		{"accounts that differ in a trailing space", limiter.ByAccount, caller{account: "x"}, caller{account: "x "}, false},
		{"accounts that differ in a NUL", limiter.ByAccount, caller{account: "x"}, caller{account: "x\x00"}, false},
		{"long accounts that differ at the end", limiter.ByAccount, caller{account: strings.Repeat("x", 10_000) + "a"}, caller{account: strings.Repeat("x", 10_000) + "b"}, false},
		{"two subjects of an account", limiter.BySubject, caller{account: "x", subject: "1"}, caller{account: "x", subject: "2"}, false},
		{"two credentials of a subject", limiter.ByCredential, caller{subject: "s", credential: "1"}, caller{subject: "s", credential: "2"}, false},
		{"one IPv4 address", limiter.ByIP, caller{addr: "192.0.2.1"}, caller{addr: "::ffff:192.0.2.1"}, true},
		{"two IPv4 addresses", limiter.ByIP, caller{addr: "192.0.2.1"}, caller{addr: "192.0.2.2"}, false},
		{"two IPv6 addresses of a /64", limiter.ByIP, caller{addr: "2001:db8::1"}, caller{addr: "2001:db8::ffff:1:2:3"}, true},
		{"two IPv6 networks", limiter.ByIP, caller{addr: "2001:db8::1"}, caller{addr: "2001:db8:0:1::1"}, false},
		{"two routes", limiter.ByRoute, caller{route: "GET /a"}, caller{route: "GET /b"}, false},
		{"one route, two accounts", limiter.ByRoute, caller{account: "x", route: "GET /a"}, caller{account: "y", route: "GET /a"}, true},
		{"joined parts that would collide without their lengths", limiter.Join(limiter.ByAccount, limiter.BySubject), caller{account: "a:b", subject: "c"}, caller{account: "a", subject: "b:c"}, false},
		{"joined parts that differ in one", limiter.Join(limiter.ByAccount, limiter.ByRoute), caller{account: "a", route: "GET /a"}, caller{account: "a", route: "GET /b"}, false},
		{"an account, or an address", limiter.ByAccountOr(limiter.ByIP), caller{account: "a", addr: "192.0.2.1"}, caller{anonymous: true, addr: "192.0.2.1"}, false},
		{"two accounts behind an address", limiter.ByAccountOr(limiter.ByIP), caller{account: "a", addr: "192.0.2.1"}, caller{account: "b", addr: "192.0.2.1"}, false},
		{"two anonymous requests of an address", limiter.ByAccountOr(limiter.ByIP), caller{anonymous: true, addr: "192.0.2.1"}, caller{anonymous: true, addr: "192.0.2.1"}, true},
		{"an account named like a fallback's key", limiter.ByAccountOr(tenant), caller{account: "x"}, caller{anonymous: true, header: "x"}, false},
		{"a function's key", tenant, caller{header: "x"}, caller{header: "x", account: "other"}, true},
		{"a function's other key", tenant, caller{header: "x"}, caller{header: "y"}, false},
	}
	for _, tt := range tests {
		h := newLimiter(t, limiter.Config{By: tt.by, Limits: limits(limiter.PerHour(1))}).Wrap(ok)
		wantStatus(t, tt.name+": the first", serve(h, tt.a.request()), 200)
		want := 200
		if tt.same {
			want = 429
		}
		wantStatus(t, tt.name+": the second", serve(h, tt.b.request()), want)
	}
}

func TestWhoCannotBeCounted(t *testing.T) {
	noPeer := httptest.NewRequest("GET", "/", nil)
	noPeer.RemoteAddr = "@"
	unknown := httptest.NewRequest("GET", "/", nil)
	unknown = unknown.WithContext(keystile.WithClient(unknown.Context(), netip.Addr{}, false))
	failing := func(err error) limiter.By {
		return limiter.ByFunc("f", func(*http.Request) (string, error) { return "", err })
	}
	tests := []struct {
		name   string
		by     limiter.By
		r      *http.Request
		status int
	}{
		{"no principal is a wiring mistake", limiter.ByAccount, caller{anonymous: true}.request(), 500},
		{"no subject either", limiter.BySubject, caller{anonymous: true}.request(), 500},
		{"an account that is empty is a wiring mistake", limiter.ByAccount, caller{subject: "s"}.request(), 500},
		{"so it is where anonymous requests are counted", limiter.ByAccountOr(limiter.ByIP), caller{subject: "s"}.request(), 500},
		{"a subject that is empty", limiter.BySubject, caller{account: "a"}.request(), 500},
		{"a credential that is empty", limiter.ByCredential, caller{account: "a"}.request(), 500},
		{"no router ran", limiter.ByRoute, caller{account: "a"}.request(), 500},
		{"the connection has no address", limiter.ByIP, noPeer, 500},
		{"the client's address is unknown behind proxies", limiter.ByIP, unknown, 400},
		{"a missing header puts nobody into one bucket", failing(nil), caller{}.request(), 400},
		{"the function fails", failing(io.EOF), caller{}.request(), 503},
		{"the function answers", failing(&keystile.Error{Code: keystile.CodeNotFound}), caller{}.request(), 404},
		{"one of joined", limiter.Join(limiter.ByIP, limiter.ByAccount), caller{addr: "192.0.2.1", anonymous: true}.request(), 500},
	}
	for _, tt := range tests {
		l := newLimiter(t, limiter.Config{By: tt.by, Limits: limits(limiter.PerHour(1))})
		for range 2 {
			wantStatus(t, tt.name, serve(l.Wrap(ok), tt.r), tt.status)
		}
	}
}

func TestWhoCannotBeCountedWithin(t *testing.T) {
	for _, by := range []limiter.By{limiter.ByAccount, limiter.BySubject, limiter.ByCredential, limiter.ByRoute, limiter.Join(limiter.ByRoute, limiter.ByCredential)} {
		l := newLimiter(t, limiter.Config{By: limiter.ByIP, Limits: limits(limiter.PerHour(1).Within(by))})
		wantStatus(t, "nothing to count by", serve(l.Wrap(ok), caller{anonymous: true, addr: "192.0.2.1"}.request()), 500)
	}
	anything := limiter.ByFunc("x", func(*http.Request) (string, error) { return "x", nil })
	for _, by := range []limiter.By{limiter.ByIP, anything, limiter.ByAccountOr(limiter.ByIP), limiter.Join(limiter.ByRoute, limiter.ByIP)} {
		if err := limiter.PerHour(1).Within(by).ConfigErr(); err == nil || !strings.Contains(err.Error(), "count the rest in a limiter of its own") {
			t.Errorf("a client can make up values without end: %v", err)
		}
	}
}

// A pattern without a method serves whatever token a client sends as one.
func TestMadeUpMethodsAreCountedTogether(t *testing.T) {
	for _, by := range []limiter.By{limiter.ByRoute, limiter.Join(limiter.ByIP, limiter.ByRoute)} {
		l := newLimiter(t, limiter.Config{By: by, Limits: limits(limiter.PerHour(2))})
		mux := http.NewServeMux()
		mux.Handle("/x", ok)
		h := keystile.Routes(mux, l.Wrap)
		for i, want := range []int{200, 200, 429, 429} {
			wantStatus(t, "a made-up method", serve(h, httptest.NewRequest("X"+string(rune('A'+i)), "/x", nil)), want)
		}
		wantStatus(t, "a real one", serve(h, httptest.NewRequest("POST", "/x", nil)), 200)
	}
}

func TestLongKeysAreToldApart(t *testing.T) {
	store := newMemory(t, newFakeClock().Now)
	l := newLimiter(t, limiter.Config{Store: store, Limits: limits(limiter.PerHour(1))})
	long := strings.Repeat("x", 1<<20)
	for _, account := range []string{long + "a", long + "b", long} {
		wantStatus(t, "a long account", serve(l.Wrap(ok), of(account)), 200)
		wantStatus(t, "the same again", serve(l.Wrap(ok), of(account)), 429)
	}
}

func TestWhatNoRouteMatchesIsCountedTogether(t *testing.T) {
	l := newLimiter(t, limiter.Config{By: limiter.ByRoute, Limits: limits(limiter.PerHour(1))})
	h := keystile.Routes(http.NewServeMux(), l.Wrap)
	wantStatus(t, "the first miss", serve(h, httptest.NewRequest("GET", "/a", nil)), 404)
	wantStatus(t, "another miss", serve(h, httptest.NewRequest("GET", "/b", nil)), 429)
}

func TestAnonymousPlan(t *testing.T) {
	for _, by := range []limiter.By{limiter.ByAccountOr(limiter.ByIP), limiter.Join(limiter.ByAccountOr(limiter.ByIP), limiter.ByIP)} {
		testAnonymousPlan(t, by)
	}
}

func testAnonymousPlan(t *testing.T, by limiter.By) {
	l := newLimiter(t, limiter.Config{
		By:          by,
		Plans:       limiter.Plans{"free": {Limits: limits(limiter.PerHour(2))}, "nobody": {Limits: limits(limiter.PerHour(1))}},
		DefaultPlan: "free", AnonymousPlan: "nobody",
	})
	anonymous := caller{anonymous: true, addr: "192.0.2.1"}
	wantFields(t, "anonymous", serve(l.Wrap(ok), anonymous.request()), map[string]string{"X-RateLimit-Limit": "1"})
	wantFields(t, "known", serve(l.Wrap(ok), caller{account: "a", addr: "192.0.2.1"}.request()), map[string]string{"X-RateLimit-Limit": "2"})
	if _, err := l.Take(anonymous.request()); !errors.Is(err, keystile.CodeRateLimited) {
		t.Errorf("%v", err)
	}
}

// Two limiters may share a store: neither their keys nor their cells meet.
func TestLimitersThatShareAStore(t *testing.T) {
	store := newMemory(t, newFakeClock().Now)
	one := newLimiter(t, limiter.Config{Name: "a", Store: store, Limits: limits(limiter.PerHour(1))})
	two := newLimiter(t, limiter.Config{Name: "ab", Store: store, Limits: limits(limiter.PerHour(1))})
	wantStatus(t, "one", serve(one.Wrap(ok), of("bc")), 200)
	wantStatus(t, "two", serve(two.Wrap(ok), of("c")), 200)
	wantStatus(t, "two again", serve(two.Wrap(ok), of("bc")), 200)
}
