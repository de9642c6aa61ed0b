package apikey_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
)

// The way through a Guard, as a client sees it.
func TestAnswers(t *testing.T) {
	clock := newHand()
	store := spyOn(apikey.NewMemoryStore())
	keys := newKeys(t, apikey.Config{Store: store, Now: clock.Now})
	secrets := map[string]string{"unknown": string(generate(t, acme)), "garbage": "garbage", "none": ""}
	for name, d := range map[string]apikey.Draft{
		"good": {}, "expired": {ExpiresAt: noon.Add(time.Second)}, "disabled": {}, "revoked": {},
		"networks":  {Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}},
		"endpoints": {Endpoints: []string{"POST /"}},
		"scoped":    {Scopes: []string{"contacts:read"}},
	} {
		k, secret := issue(t, keys, d)
		secrets[name] = string(secret)
		var err error
		switch name {
		case "disabled":
			err = keys.Disable(t.Context(), k.ID)
		case "revoked":
			err = keys.Revoke(t.Context(), k.ID, "")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	clock.forward(time.Minute)
	guard := newGuard(t, keys.From(apikey.Header("X-API-Key"), apikey.Bearer()))
	scoped, err := keystile.RequireScopes("contacts:read")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("GET /contacts", scoped(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	server := keystile.Routes(mux, guard.Wrap)
	const none, invalid = `ApiKey realm="acme" | Bearer realm="acme"`, `ApiKey realm="acme" | Bearer realm="acme", error="invalid_token", error_description=`
	for _, tt := range []struct {
		name, path string
		fields     []string
		status     int
		code       string
		challenge  string // how it begins
	}{
		{"a good key", "/", []string{"X-API-Key", "good"}, 200, "", ""},
		{"a good key as Bearer", "/", []string{"Authorization", "Bearer good"}, 200, "", ""},
		{"no key", "/", nil, 401, "unauthorized", none},
		{"an empty key", "/", []string{"X-API-Key", "none"}, 401, "unauthorized", none},
		{"an unknown key", "/", []string{"X-API-Key", "unknown"}, 401, "unauthorized", none},
		{"an unknown key as Bearer", "/", []string{"Authorization", "Bearer unknown"}, 401, "unauthorized", invalid},
		{"garbage", "/", []string{"X-API-Key", "garbage"}, 401, "unauthorized", none},
		{"an expired key", "/", []string{"X-API-Key", "expired"}, 401, "key_expired", none},
		{"an expired key as Bearer", "/", []string{"Authorization", "Bearer expired"}, 401, "key_expired", invalid},
		{"a disabled key", "/", []string{"X-API-Key", "disabled"}, 401, "key_disabled", none},
		{"a revoked key", "/", []string{"X-API-Key", "revoked"}, 401, "key_revoked", none},
		{"another address", "/", []string{"X-API-Key", "networks"}, 403, "ip_not_allowed", ""},
		{"another endpoint", "/", []string{"X-API-Key", "endpoints"}, 403, "endpoint_not_allowed", ""},
		{"the header twice", "/", []string{"X-API-Key", "good", "X-API-Key", "good"}, 400, "invalid_request", ""},
		{"broken grammar", "/", []string{"Authorization", "Bearer a b"}, 400, "invalid_request", `Bearer realm="acme", error="invalid_request"`},
		{"a missing scope", "/contacts", []string{"X-API-Key", "good"}, 403, "insufficient_permissions", ""},
		{"a missing scope as Bearer", "/contacts", []string{"Authorization", "Bearer good"}, 403, "insufficient_permissions", `Bearer realm="acme", error="insufficient_scope"`},
		{"the scope", "/contacts", []string{"X-API-Key", "scoped"}, 200, "", ""},
		{"no key and no route", "/nowhere", nil, 401, "unauthorized", none},
		{"no route", "/nowhere", []string{"X-API-Key", "good"}, 404, "not_found", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", tt.path, nil)
			for i := 0; i < len(tt.fields); i += 2 {
				scheme, name, found := strings.Cut(tt.fields[i+1], " ")
				if !found {
					scheme, name = "", tt.fields[i+1]
				} else {
					scheme += " "
				}
				if secret, ok := secrets[name]; ok {
					name = secret
				}
				r.Header.Add(tt.fields[i], scheme+name)
			}
			w := httptest.NewRecorder()
			server.ServeHTTP(w, r)
			challenge := strings.Join(w.Header()["Www-Authenticate"], " | ")
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.code) || !strings.HasPrefix(challenge, tt.challenge) || tt.challenge == "" && challenge != "" {
				t.Errorf("%d %q\n%s", w.Code, challenge, w.Body)
			}
			if w.Code != 200 && w.Header().Get("Cache-Control") != "no-store" {
				t.Error("a refusal may be stored by caches")
			}
			for name, secret := range secrets {
				if len(secret) > 20 && strings.Contains(w.Body.String()+challenge, secret) {
					t.Errorf("the answer shows the %s secret", name)
				}
			}
		})
	}

	t.Run("the store is down", func(t *testing.T) {
		store.set(func() { store.before = func(context.Context) error { return errors.New("password=hunter2 refused") } })
		r := requestWith("X-API-Key", string(generate(t, acme)))
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "hunter2") || len(w.Header()["Www-Authenticate"]) != 0 {
			t.Errorf("%d %v\n%s", w.Code, w.Header(), w.Body)
		}
	})
}

// A client's bytes never cause a 500 or a panic, over a real connection either.
func TestBadInputOverTheWire(t *testing.T) {
	keys := newKeys(t, apikey.Config{Accept: []apikey.Format{apikey.LaxFormat("", 16, 512)}})
	guard := newGuard(t, keys.From(apikey.Header("X-API-Key"), apikey.Bearer(), apikey.InsecureQuery("key"), apikey.InsecureCookie("key")))
	reached := false
	handler := guard.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	inputs := []string{"", "a", strings.Repeat("a", 512), strings.Repeat("a", 513), strings.Repeat("a", 1<<20), "\x00", "\x01\x02", "\x7f", "\xff\xfe", "é", "%00", "%", ";", "=", ",", "\t", " ", "\"", "\\"}
	for _, place := range []func(*http.Request, string){
		func(r *http.Request, s string) { r.Header["X-Api-Key"] = []string{s} },
		func(r *http.Request, s string) { r.Header["Authorization"] = []string{s} },
		func(r *http.Request, s string) { r.Header["Authorization"] = []string{"Bearer " + s} },
		func(r *http.Request, s string) { r.Header["Cookie"] = []string{"key=" + s} },
		func(r *http.Request, s string) { r.Header["Cookie"] = []string{s} },
		func(r *http.Request, s string) { r.URL.RawQuery = "key=" + s },
		func(r *http.Request, s string) { r.URL.RawQuery = s },
		func(r *http.Request, _ string) { r.URL = nil },
	} {
		for _, input := range inputs {
			r := requestWith()
			place(r, input)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != 401 && w.Code != 400 {
				t.Errorf("%.20q: %d", input, w.Code)
			}
		}
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	for _, input := range inputs {
		r := must[*http.Request](t)(http.NewRequest("GET", server.URL, nil))
		r.Header["X-Api-Key"] = []string{input}
		answer, err := server.Client().Do(r)
		if err != nil {
			continue // the client or the server of net/http would not have it
		}
		_ = answer.Body.Close()
		if !slices.Contains([]int{400, 401, 431}, answer.StatusCode) {
			t.Errorf("over the wire %.20q: %d", input, answer.StatusCode)
		}
	}
	if reached {
		t.Error("the handler was reached")
	}
}

// With UniformRefusal nobody learns from an answer whether a key exists.
func TestUniformRefusals(t *testing.T) {
	keys := newKeys(t, apikey.Config{})
	k, revoked := issue(t, keys, apikey.Draft{})
	if err := keys.Revoke(t.Context(), k.ID, ""); err != nil {
		t.Fatal(err)
	}
	_, restricted := issue(t, keys, apikey.Draft{Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}})
	guard, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: keys.From(apikey.Header("X-API-Key"), apikey.Bearer()), Realm: "acme", UniformRefusal: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"X-API-Key", "Authorization"} {
		var answers []string
		for _, secret := range []string{string(revoked), string(restricted), string(generate(t, acme)), "garbage"} {
			if field == "Authorization" {
				secret = "Bearer " + secret
			}
			w := httptest.NewRecorder()
			guard.Wrap(nil).ServeHTTP(w, requestWith(field, secret))
			var all strings.Builder
			_ = w.Header().Write(&all)
			answers = append(answers, w.Result().Status+all.String()+w.Body.String())
		}
		for _, other := range answers[1:] {
			if other != answers[0] {
				t.Errorf("%s: answers differ:\n%s\n%s", field, answers[0], other)
			}
		}
	}
}

// The address and the route of a restricted key come from what trusted hops and
// the router say.
func TestARestrictedKeyInARequest(t *testing.T) {
	keys := newKeys(t, apikey.Config{})
	_, secret := issue(t, keys, apikey.Draft{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, Endpoints: []string{"GET /contacts/{id}"}})
	mux := http.NewServeMux()
	mux.HandleFunc("/contacts/{id}", func(http.ResponseWriter, *http.Request) {})
	server := keystile.Routes(mux, newGuard(t, keys.From(apikey.Header("X-API-Key"))).Wrap)
	for _, tt := range []struct {
		name, method, path, remote string
		status                     int
	}{
		{"where and what it may", "GET", "/contacts/1", "192.0.2.1:1", 200},
		{"HEAD counts as GET", "HEAD", "/contacts/1", "192.0.2.1:1", 200},
		{"another method", "POST", "/contacts/1", "192.0.2.1:1", 403},
		{"a path that no route matches", "GET", "/contacts", "192.0.2.1:1", 403},
		{"another address", "GET", "/contacts/1", "192.0.2.2:1", 403},
		{"no address", "GET", "/contacts/1", "@", 403},
	} {
		r := httptest.NewRequest(tt.method, tt.path, nil)
		r.RemoteAddr = tt.remote
		r.Header.Set("X-API-Key", string(secret))
		r.Header.Set("X-Forwarded-For", "192.0.2.1") // nobody asked
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Code != tt.status {
			t.Errorf("%s: %d, want %d", tt.name, w.Code, tt.status)
		}
	}
}
