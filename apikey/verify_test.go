package apikey_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
)

func TestAnIssuedKeyIsItsPrincipal(t *testing.T) {
	clock := newHand()
	keys := newKeys(t, apikey.Config{Now: clock.Now})
	k, secret := issue(t, keys, apikey.Draft{Account: "acct", Owner: "alice", Name: "CI", Plan: "pro",
		Scopes: []string{"a:read", "b"}, Metadata: map[string]string{"a": "b"}, ExpiresAt: noon.Add(time.Hour)})
	for _, scheme := range []keystile.Scheme{keystile.SchemeAPIKey, keystile.SchemeBearer, "", "custom"} {
		for _, how := range []string{"from the store", "from memory"} {
			p, err := keys.VerifyToken(t.Context(), keystile.Presented{Secret: secret, Scheme: scheme})
			if err != nil {
				t.Fatalf("%s as %q: %v", how, scheme, err)
			}
			want := scheme
			if want == "" {
				want = keystile.SchemeAPIKey
			}
			if p.Subject != k.ID || p.CredentialID != k.ID || p.Account != "acct" || p.Owner != "alice" || p.Plan != "pro" ||
				!p.Scopes.Has("a:read") || !p.Scopes.Has("b") || p.Scheme != want || !p.Expires.Equal(noon.Add(time.Hour)) {
				t.Errorf("%s as %q: %+v", how, scheme, p)
			}
			got, ok := apikey.From(p)
			if !ok || got.Name != "CI" || got.Metadata["a"] != "b" || got.Hint != k.Hint {
				t.Errorf("From: %+v, %v", got, ok)
			}
			if got.Secrets != nil {
				t.Error("From hands out digests")
			}
			got.Metadata["a"] = "scribbled"
			if again, _ := apikey.From(p); again.Metadata["a"] != "b" {
				t.Error("From hands out what others see too")
			}
		}
	}
	if k, ok := apikey.From(nil); ok || k != nil {
		t.Errorf("From(nil) = %v, %v", k, ok)
	}
	if k, ok := apikey.From(&keystile.Principal{}); ok || k != nil {
		t.Errorf("From of somebody else = %v, %v", k, ok)
	}
	other := (&keystile.Principal{}).WithCredential(k)
	if got, _ := apikey.From(other); got == nil || got.Secrets != nil {
		t.Errorf("From of a principal made with the whole key = %+v", got)
	}
}

func TestTheHolderOfADeadKeyIsToldWhy(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   time.Duration // since noon
		key  func(*apikey.Key)
		want keystile.Code
	}{
		{"a key without expiry is alive for ever", 100 * 365 * 24 * time.Hour, func(*apikey.Key) {}, ""},
		{"a key is alive until its expiry", time.Hour - 1, func(k *apikey.Key) { k.ExpiresAt = noon.Add(time.Hour) }, ""},
		{"dead at its expiry", time.Hour, func(k *apikey.Key) { k.ExpiresAt = noon.Add(time.Hour) }, keystile.CodeKeyExpired},
		{"and dead after it", time.Hour + 1, func(k *apikey.Key) { k.ExpiresAt = noon.Add(time.Hour) }, keystile.CodeKeyExpired},
		{"an expiry in another zone is the same instant", time.Hour - 1, func(k *apikey.Key) { k.ExpiresAt = noon.Add(time.Hour).In(time.FixedZone("", -7200)) }, ""},
		{"an expiry in the far future is none today", 0, func(k *apikey.Key) { k.ExpiresAt = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC) }, ""},
		{"an expiry in the far past is", 0, func(k *apikey.Key) { k.ExpiresAt = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC) }, keystile.CodeKeyExpired},
		{"a disabled key", 0, func(k *apikey.Key) { k.DisabledAt = noon }, keystile.CodeKeyDisabled},
		{"a key that was disabled by a faster clock", 0, func(k *apikey.Key) { k.DisabledAt = noon.Add(time.Minute) }, keystile.CodeKeyDisabled},
		{"a revoked key", 0, func(k *apikey.Key) { k.RevokedAt = noon }, keystile.CodeKeyRevoked},
		{"a key that was revoked by a faster clock", 0, func(k *apikey.Key) { k.RevokedAt = noon.Add(time.Minute) }, keystile.CodeKeyRevoked},
		{"revoked comes before expired", 0, func(k *apikey.Key) { k.RevokedAt, k.ExpiresAt, k.DisabledAt = noon, noon, noon }, keystile.CodeKeyRevoked},
		{"expired comes before disabled", 0, func(k *apikey.Key) { k.ExpiresAt, k.DisabledAt = noon, noon }, keystile.CodeKeyExpired},
		{"dead comes before restricted", 0, func(k *apikey.Key) { k.RevokedAt = noon; k.Endpoints = []string{"GET /"} }, keystile.CodeKeyRevoked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := newHand()
			store := spyOn(apikey.NewMemoryStore())
			keys := newKeys(t, apikey.Config{Store: store, Now: clock.Now})
			other := newKeys(t, apikey.Config{Now: clock.Now})
			_, secret := issue(t, other, apikey.Draft{})
			record := apikey.Key{ID: "k"}
			tt.key(&record)
			if _, err := keys.Import(t.Context(), secret, record); err != nil {
				t.Fatal(err)
			}
			store.finds.Store(0)
			clock.forward(tt.at)
			for range 3 {
				_, err := keys.Verify(t.Context(), keystile.Presented{Secret: secret, Scheme: keystile.SchemeBearer})
				if codeOf(err) != tt.want {
					t.Errorf("%v, want %q", err, tt.want)
				}
				var e *keystile.Error
				if errors.As(err, &e) && (e.Scheme != keystile.SchemeBearer || e.StatusCode() != 401) {
					t.Errorf("%+v", e)
				}
			}
			if got := store.finds.Load(); got != 1 {
				t.Errorf("%d reads for three verifications, want 1: a dead key is remembered like any other", got)
			}
		})
	}
}

// What is remembered is judged by the clock every time.
func TestARememberedKeyDiesInTime(t *testing.T) {
	clock := newHand()
	store := spyOn(apikey.NewMemoryStore())
	keys := newKeys(t, apikey.Config{Store: store, Now: clock.Now})
	_, secret := issue(t, keys, apikey.Draft{ExpiresAt: noon.Add(10 * time.Second)})
	wantVerdict(t, keys, secret, "")
	clock.forward(10*time.Second - 1)
	wantVerdict(t, keys, secret, "")
	clock.forward(1)
	wantVerdict(t, keys, secret, keystile.CodeKeyExpired)
	if got := store.finds.Load(); got != 1 {
		t.Errorf("%d reads, want 1", got)
	}
}

func TestAnUnknownSecretIsUnauthorized(t *testing.T) {
	keys, other := newKeys(t, apikey.Config{}), newKeys(t, apikey.Config{})
	_, good := issue(t, other, apikey.Draft{})
	for _, secret := range []keystile.Secret{good, "", "acme_", "garbage", good + "x", good[:len(good)-1], keystile.Secret("ACME_" + good[5:])} {
		for _, scheme := range []keystile.Scheme{keystile.SchemeAPIKey, keystile.SchemeBearer, "custom"} {
			_, err := keys.Verify(t.Context(), keystile.Presented{Secret: secret, Scheme: scheme})
			var e *keystile.Error
			if !errors.As(err, &e) || e.Code != keystile.CodeUnauthorized || e.Scheme != scheme {
				t.Errorf("%d bytes as %s: %v", len(secret), scheme, err)
			}
			if errors.Is(err, keystile.ErrNoCredentials) {
				t.Error("a wrong credential is not a missing one")
			}
		}
	}
}

func TestARestrictedKey(t *testing.T) {
	addr := func(s string) netip.Addr {
		if s == "" {
			return netip.Addr{}
		}
		return netip.MustParseAddr(s)
	}
	networks := []string{"192.0.2.0/24", "2001:db8::/32", "::ffff:198.51.100.0/120", "203.0.113.7/32"}
	endpoints := []string{"GET /v1/contacts/{id}", "* /v1/any"}
	for _, tt := range []struct {
		name                string
		networks, endpoints bool
		addr, route         string
		want                keystile.Code
	}{
		{"in its IPv4 network", true, false, "192.0.2.9", "", ""},
		{"in its IPv6 network", true, false, "2001:db8::1", "", ""},
		{"an IPv4 network written as IPv6", true, false, "198.51.100.1", "", ""},
		{"an IPv4 address written as IPv6", true, false, "::ffff:192.0.2.9", "", ""},
		{"a single address", true, false, "203.0.113.7", "", ""},
		{"beside it", true, false, "203.0.113.8", "", keystile.CodeIPNotAllowed},
		{"another network", true, false, "198.51.101.1", "", keystile.CodeIPNotAllowed},
		{"an address with a zone", true, false, "2001:db8::1%eth0", "", keystile.CodeIPNotAllowed},
		{"no address", true, false, "", "", keystile.CodeIPNotAllowed},
		{"its route", false, true, "", "GET /v1/contacts/{id}", ""},
		{"any method", false, true, "", "DELETE /v1/any", ""},
		{"another method", false, true, "", "POST /v1/contacts/{id}", keystile.CodeEndpointNotAllowed},
		{"a path instead of its route", false, true, "", "GET /v1/contacts/1", keystile.CodeEndpointNotAllowed},
		{"no route", false, true, "", "", keystile.CodeEndpointNotAllowed},
		{"both good", true, true, "192.0.2.9", "GET /v1/any", ""},
		{"the route wrong", true, true, "192.0.2.9", "GET /v1/other", keystile.CodeEndpointNotAllowed},
		{"both wrong", true, true, "10.0.0.1", "GET /v1/other", keystile.CodeIPNotAllowed},
		{"without restrictions neither matters", false, false, "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			keys := newKeys(t, apikey.Config{})
			d := apikey.Draft{}
			for _, n := range networks {
				if tt.networks {
					d.Networks = append(d.Networks, netip.MustParsePrefix(n))
				}
			}
			if tt.endpoints {
				d.Endpoints = endpoints
			}
			_, secret := issue(t, keys, d)
			_, err := keys.Verify(t.Context(), keystile.Presented{Secret: secret, Addr: addr(tt.addr), Route: tt.route})
			if codeOf(err) != tt.want {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if err != nil && err.(*keystile.Error).StatusCode() != 403 {
				t.Errorf("status %d, want 403", err.(*keystile.Error).StatusCode())
			}

			// And as a request.
			r := requestWith("X-API-Key", string(secret))
			r = r.WithContext(keystile.WithRoute(keystile.WithClient(r.Context(), addr(tt.addr), false), tt.route))
			_, err = keys.From(apikey.Header("X-API-Key")).Authenticate(r)
			if codeOf(err) != tt.want {
				t.Errorf("as a request: %v, want %q", err, tt.want)
			}
		})
	}
}

func TestResolve(t *testing.T) {
	type tenant struct{}
	boom := errors.New("boom")
	refusal := &keystile.Error{Code: keystile.CodeInsufficientPermissions}
	rights := []string{"a"}
	calls := 0
	var answer func(k *apikey.Key) (*keystile.Principal, error)
	keys := newKeys(t, apikey.Config{Resolve: func(ctx context.Context, k *apikey.Key) (*keystile.Principal, error) {
		calls++
		if k.Secrets != nil {
			t.Error("Resolve gets digests")
		}
		if ctx.Value(tenant{}) != "t" {
			t.Error("Resolve does not get the context of the request")
		}
		return answer(k)
	}})
	_, secret := issue(t, keys, apikey.Draft{Owner: "alice", Account: "acct", ExpiresAt: time.Now().Add(time.Hour)})
	ctx := context.WithValue(t.Context(), tenant{}, "t")
	verify := func() (*keystile.Principal, error) {
		return keys.Verify(ctx, keystile.Presented{Secret: secret, Scheme: keystile.SchemeBearer})
	}

	shared := &keystile.Principal{Account: "other"}
	answer = func(k *apikey.Key) (*keystile.Principal, error) {
		k.Name = "scribbled"
		shared.Scopes = keystile.NewScopes(rights...)
		return shared, nil
	}
	for _, want := range [][]string{{"a"}, {"b"}, {"b", "c"}} {
		rights = want
		p, err := verify()
		if err != nil || !slices.Equal(p.Scopes.All(), want) {
			t.Fatalf("rights %v, %v, want %v: what Resolve says is in force at once", p, err, want)
		}
		k, ok := apikey.From(p)
		if !ok || k.Name == "scribbled" || k.Owner != "alice" {
			t.Errorf("From: %+v, %v", k, ok)
		}
		if p.Account != "other" || p.Subject != k.ID || p.CredentialID != k.ID || p.Scheme != keystile.SchemeBearer || p.Expires.IsZero() {
			t.Errorf("principal %+v: what Resolve leaves empty comes from the key, the rest does not", p)
		}
		if shared.Subject != "" || shared.Credential() != nil {
			t.Error("what Resolve returned was changed")
		}
	}
	if calls != 3 {
		t.Errorf("%d calls for 3 verifications", calls)
	}
	for _, tt := range []struct {
		name string
		p    *keystile.Principal
		err  error
		want keystile.Code
		is   error
	}{
		{"a refusal passes", nil, refusal, keystile.CodeInsufficientPermissions, refusal},
		{"a wrapped refusal passes", nil, errors.Join(boom, refusal), keystile.CodeInsufficientPermissions, boom},
		{"any other error is an outage", nil, boom, keystile.CodeUnavailable, boom},
		{"not found is an outage too, and no 401", nil, apikey.ErrNotFound, keystile.CodeUnavailable, apikey.ErrNotFound},
		{"nobody is a mistake", nil, nil, keystile.CodeInternal, nil},
	} {
		answer = func(*apikey.Key) (*keystile.Principal, error) { return tt.p, tt.err }
		p, err := verify()
		if p != nil || codeOf(err) != tt.want || (tt.is != nil && !errors.Is(err, tt.is)) {
			t.Errorf("%s: %v, %v", tt.name, p, err)
		}
	}
	answer = func(*apikey.Key) (*keystile.Principal, error) {
		t.Error("Resolve is asked about a dead key")
		return nil, nil
	}
	page := must[apikey.Page](t)(keys.List(ctx, apikey.Query{}))
	if err := keys.Revoke(ctx, page.Keys[0].ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(); codeOf(err) != keystile.CodeKeyRevoked {
		t.Errorf("revoked: %v", err)
	}
}

func TestResolveMayBeginWithThePrincipalOfTheKey(t *testing.T) {
	keys := newKeys(t, apikey.Config{Resolve: func(_ context.Context, k *apikey.Key) (*keystile.Principal, error) {
		p := k.Principal("")
		p.Plan = "gold"
		return p, nil
	}})
	k, secret := issue(t, keys, apikey.Draft{Account: "acct", Plan: "free"})
	p, err := keys.Verify(t.Context(), keystile.Presented{Secret: secret})
	if err != nil || p.Plan != "gold" || p.Account != "acct" || p.Subject != k.ID || p.Scheme != keystile.SchemeAPIKey {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestAVerifierOverATableOfOnesOwn(t *testing.T) {
	_, secret := issue(t, newKeys(t, apikey.Config{}), apikey.Draft{})
	rows := apikey.NewMemoryStore()
	filler := newKeys(t, apikey.Config{Store: rows})
	k := must[*apikey.Key](t)(filler.Import(t.Context(), secret, apikey.Key{ID: "k", Plan: "old"}))
	v := must[*apikey.Verifier](t)(apikey.NewVerifier(apikey.VerifierConfig{Finder: rows, Formats: []apikey.Format{acme}}))
	if v.Bound() != 30*time.Second {
		t.Errorf("Bound is %v", v.Bound())
	}
	plan := func() string {
		p, err := v.Verify(t.Context(), keystile.Presented{Secret: secret})
		if err != nil {
			t.Fatal(err)
		}
		return p.Plan
	}
	plan()
	k.Plan = "new"
	must[int64](t)(rows.Update(t.Context(), k))
	if got := plan(); got != "old" {
		t.Fatalf("plan %q: nothing is remembered", got)
	}
	v.Forget(apikey.Change{ID: "k"})
	if got := plan(); got != "new" {
		t.Errorf("plan %q after Forget by ID, want the new one", got)
	}
	k.Plan, k.Revision = "newer", k.Revision+1
	must[int64](t)(rows.Update(t.Context(), k))
	v.Forget(apikey.Change{Digests: []apikey.Digest{k.Secrets[0].Digest}})
	if got := plan(); got != "newer" {
		t.Errorf("plan %q after Forget by digest, want the newer one", got)
	}
	if err := v.Close(t.Context()); err != nil {
		t.Error(err)
	}
	wantVerdict(t, v, secret, keystile.CodeUnavailable)
}

func TestZeroValuesRefuse(t *testing.T) {
	var v apikey.Verifier
	var keys apikey.Keys
	var missing *apikey.Verifier
	for name, who := range map[string]verifier{"Verifier": &v, "Keys": &keys, "nil": missing} {
		wantVerdict(t, who, "acme_x", keystile.CodeInternal)
		_, err := keystile.NewGuard(keystile.GuardConfig{Realm: "acme", Authenticator: who.(interface {
			From(...apikey.Place) keystile.Authenticator
		}).From(apikey.Bearer())})
		var config *keystile.ConfigError
		if !errors.As(err, &config) {
			t.Errorf("%s: NewGuard takes it: %v", name, err)
		}
	}
	a := v.From(apikey.Bearer())
	if _, err := a.Authenticate(&http.Request{Header: http.Header{"Authorization": {"Bearer x"}}}); codeOf(err) != keystile.CodeInternal {
		t.Errorf("without a Guard: %v", err)
	}
	if err := v.Close(t.Context()); err != nil {
		t.Error(err)
	}
	v.Forget(apikey.Change{ID: "k"})
	if v.Bound() != 0 {
		t.Error("Bound of nothing")
	}
	if _, _, err := keys.Issue(t.Context(), apikey.Draft{}); err == nil {
		t.Error("zero Keys issue")
	}
	if _, err := keys.Get(t.Context(), "k"); err == nil {
		t.Error("zero Keys read")
	}
	if err := keys.Revoke(t.Context(), "k", ""); err == nil {
		t.Error("zero Keys revoke")
	}
}
