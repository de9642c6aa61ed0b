package keystile_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/keystile/keystile"
)

func TestRequireScopes(t *testing.T) {
	require, err := keystile.RequireScopes("contacts:read", "contacts:write")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		scheme  keystile.Scheme
		scopes  []string
		status  int
		missing string
		bearer  string
	}{
		{"both scopes pass", keystile.SchemeAPIKey, []string{"contacts:read", "contacts:write"}, 200, "", ""},
		{"a wildcard covers both", keystile.SchemeAPIKey, []string{"contacts:*"}, 200, "", ""},
		{"the star covers everything", keystile.SchemeAPIKey, []string{"*"}, 200, "", ""},
		{"a key without one of them is told which", keystile.SchemeAPIKey, []string{"contacts:read"}, 403, "[contacts:write]", ""},
		{"a Bearer token is challenged with all of them", keystile.SchemeBearer, nil, 403, "[contacts:read contacts:write]",
			`Bearer realm="test", error="insufficient_scope", error_description="The credentials lack a required permission.", scope="contacts:read contacts:write"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			auth := bearerLike{fixed{&keystile.Principal{Scheme: tt.scheme, Scopes: keystile.NewScopes(tt.scopes...)}}}
			resp := get(newGuard(t, keystile.GuardConfig{Authenticator: auth}).Wrap(require(whoami)))
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if got := resp.Header.Get("WWW-Authenticate"); got != tt.bearer {
				t.Errorf("challenge %q, want %q", got, tt.bearer)
			}
			if tt.status == 403 {
				body := problem(t, resp)
				if got := fmt.Sprint(body["missing_scopes"]); got != tt.missing || body["code"] != "insufficient_permissions" {
					t.Errorf("body %v, want missing %s", body, tt.missing)
				}
			}
		})
	}
}

// bearerLike challenges as RFC 6750 says.
type bearerLike struct{ fixed }

func (bearerLike) Challenges(_ *http.Request, err error) []string {
	if c := keystile.BearerChallenge(err); c != "" {
		return []string{c}
	}
	return nil
}

func TestRequireScopesWithoutAPrincipal(t *testing.T) {
	require, err := keystile.RequireScopes("x")
	if err != nil {
		t.Fatal(err)
	}
	if got := get(require(whoami)).StatusCode; got != 500 {
		t.Errorf("no Guard at all: %d, want 500, a wiring mistake", got)
	}
	auth := &scripted{absent: true, err: keystile.NoCredentials(""), challenges: []string{"ApiKey"}}
	resp := get(newGuard(t, keystile.GuardConfig{Authenticator: auth, Optional: true}).Wrap(require(whoami)))
	if resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") != `ApiKey realm="test"` {
		t.Errorf("an anonymous caller: %d, %q", resp.StatusCode, resp.Header)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r = r.WithContext(keystile.WithPrincipal(r.Context(), &keystile.Principal{Scopes: keystile.NewScopes("x")}))
	if got := serve(require(whoami), r).StatusCode; got != 200 {
		t.Errorf("a principal put there by a test: %d, want 200", got)
	}
}

func TestRequireScopesRefusesMistakes(t *testing.T) {
	for _, tt := range []struct {
		required []string
		want     string
	}{
		{nil, "names no scope"},
		{[]string{"a", ""}, "is empty"},
		{[]string{"contacts:*"}, "only a credential may hold"},
		{[]string{"*"}, "only a credential may hold"},
	} {
		mw, err := keystile.RequireScopes(tt.required...)
		var ce *keystile.ConfigError
		if mw != nil || !errors.As(err, &ce) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.required, err, tt.want)
		}
	}
}

func TestAuthorizationEvents(t *testing.T) {
	var events []keystile.Event
	require, _ := keystile.RequireScopes("x")
	g := newGuard(t, keystile.GuardConfig{
		Authenticator: fixed{&keystile.Principal{Subject: "alice"}},
		Observer:      observerFunc(func(e keystile.Event) { events = append(events, e) }),
	})
	get(g.Wrap(require(whoami)))
	if len(events) != 2 || events[1].Kind != keystile.KindAuthorize || events[1].Code != keystile.CodeInsufficientPermissions || events[1].Principal.Subject != "alice" {
		t.Errorf("events %+v", events)
	}
}
