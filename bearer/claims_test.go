package bearer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/bearer"
)

func TestTypedClaims(t *testing.T) {
	token := hs(claims(m{
		"nbf": noon.Unix(), "client_id": "web", "aud": []string{service, "other"}, "email": "alice@example.com", "admin": true,
		"https://example.com/org": "acme", "a/b": "slash", "t~u": "tilde", "realm_access": m{"roles": []string{"admin"}, "deep": m{"er": "x"}},
	}))
	p := wantAccepted(t, newAuthenticator(t, bearer.Config{}), token)
	c, ok := bearer.From(p)
	if !ok {
		t.Fatal("no claims")
	}
	if c.Issuer != issuerName || c.Subject != "alice" || fmt.Sprint(c.Audience) != "["+service+" other]" || c.ID != "token-1" || c.ClientID != "web" ||
		!c.Expires.Equal(noon.Add(time.Hour)) || !c.NotBefore.Equal(noon) || !c.IssuedAt.Equal(noon) {
		t.Errorf("%+v", *c)
	}
	for name, want := range map[string]string{
		"email": `"alice@example.com"`, "admin": "true", "https://example.com/org": `"acme"`, "a/b": `"slash"`, "/a~1b": `"slash"`, "/t~0u": `"tilde"`,
		"/realm_access/roles": `["admin"]`, "/realm_access/deep/er": `"x"`, "/email": `"alice@example.com"`,
		"missing": "", "/missing/x": "", "/email/x": "", "/realm_access/roles/0": "", "": "", "/": "",
	} {
		if got, ok := c.Value(name); string(got) != want || ok != (want != "") {
			t.Errorf("%q is %s, want %s", name, got, want)
		}
	}
	if email, ok := c.Text("email"); !ok || email != "alice@example.com" {
		t.Errorf("email %q", email)
	}
	if _, ok := c.Text("admin"); ok {
		t.Error("true is a text")
	}
	var own struct {
		Email string                   `json:"email"`
		Realm struct{ Roles []string } `json:"realm_access"`
	}
	if err := c.Decode(&own); err != nil || own.Email != "alice@example.com" || len(own.Realm.Roles) != 1 {
		t.Errorf("%+v, %v", own, err)
	}
	all := map[string]any{}
	if err := c.Decode(&all); err != nil || len(all) != 14 {
		t.Errorf("%v, %v", all, err)
	}
	if err := c.Decode(&struct{ Email int }{}); err == nil {
		t.Error("a text becomes a number")
	}
}

func TestClaimsAreTheCallersOwn(t *testing.T) {
	p := wantAccepted(t, newAuthenticator(t, bearer.Config{}), hs(claims(nil)))
	c, _ := bearer.From(p)
	c.Audience[0], c.Subject = "changed", "changed"
	raw, _ := c.Value("sub")
	raw[1] = 'X'
	again, _ := bearer.From(p)
	if again.Audience[0] != service || again.Subject != "alice" {
		t.Errorf("%+v", *again)
	}
	if raw, _ := again.Value("sub"); string(raw) != `"alice"` {
		t.Errorf("%s", raw)
	}
	for _, p := range []*keystile.Principal{nil, {}, {Subject: "x"}} {
		if c, ok := bearer.From(p); ok || c != nil {
			t.Errorf("%v has claims", p)
		}
	}
	var none bearer.Claims
	if _, ok := none.Value("x"); ok || none.Decode(&struct{}{}) == nil {
		t.Error("no claims have a value")
	}
}

// encoding/json takes Account for account: a token that has both could say one
// thing to us and another to a struct.
func TestDecodeRefusesNamesThatDifferInCase(t *testing.T) {
	type inner struct{ Account string }
	for _, changes := range []m{
		{"account": "a", "Account": "b"}, {"account": "a", "ACCOUNT": "b"}, {"sub": "a", "\u017fub": "b"}, {"x": m{"kid": 1, "\u212aid": 2}}, {"x": []any{m{"a": 1, "A": 2}}},
	} {
		c, _ := bearer.From(wantAccepted(t, newAuthenticator(t, bearer.Config{}), hs(claims(changes))))
		var own inner
		if err := c.Decode(&own); err == nil || own.Account != "" || !strings.Contains(err.Error(), "capitals") {
			t.Errorf("%v: %+v, %v", changes, own, err)
		}
	}
	c, _ := bearer.From(wantAccepted(t, newAuthenticator(t, bearer.Config{}), hs(claims(m{"Account": "a", "x": m{"account": "b", "y": []any{m{"account": 1}, "account"}}}))))
	var own inner
	if err := c.Decode(&own); err != nil || own.Account != "a" {
		t.Errorf("%+v, %v", own, err)
	}
}

func TestClaimsPrintLittle(t *testing.T) {
	c, _ := bearer.From(wantAccepted(t, newAuthenticator(t, bearer.Config{}), hs(claims(m{"email": "alice@example.com"}))))
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "claims", c)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %s", c, c, c), log.String()} {
		if strings.Contains(text, "alice@example.com") || !strings.Contains(text, "token-1") {
			t.Errorf("%s", text)
		}
	}
	if text := fmt.Sprint((*bearer.Claims)(nil)) + (*bearer.Claims)(nil).LogValue().String(); text != "no claimsno claims" {
		t.Error(text)
	}
}

func TestMapping(t *testing.T) {
	for _, tt := range []struct {
		name    string
		mapping bearer.Mapping
		claims  m
		want    string // subject account owner plan scopes; or why it is refused
	}{
		{"by default there is a subject and scopes", bearer.Mapping{}, m{"scope": "a:read b:read", "org": "acme"}, issuerName + "#alice|||| a:read, b:read"},
		{"scopes in a list", bearer.Mapping{}, m{"scp": []string{"Read Bots", "a:read"}}, issuerName + "#alice|||| Read Bots, a:read"},
		{"scopes with too many spaces", bearer.Mapping{}, m{"scope": " a  b "}, issuerName + "#alice|||| a, b"},
		{"scopes of both claims", bearer.Mapping{}, m{"scope": "a", "scp": "b a"}, issuerName + "#alice|||| a, b"},
		{"no scopes", bearer.Mapping{}, m{"scope": nil, "scp": nil}, issuerName + "#alice||||"},
		{"scopes of another claim", bearer.Mapping{Scopes: []string{"permissions"}}, m{"scope": "a", "permissions": []string{"b"}}, issuerName + "#alice|||| b"},
		{"scopes of no claim", bearer.Mapping{Scopes: []string{}}, m{"scope": "a"}, issuerName + "#alice||||"},
		{"wildcards are left out", bearer.Mapping{}, m{"scope": "* a:* b:*x c"}, issuerName + "#alice|||| b:*x, c"},
		{"wildcards, where they are wanted", bearer.Mapping{Wildcards: true}, m{"scope": "* a:*"}, issuerName + "#alice|||| *, a:*"},
		{"account, owner and plan", bearer.Mapping{Account: "org", Owner: "mgr", Plan: "tier"}, m{"org": "acme", "mgr": "bob", "tier": "pro"}, issuerName + "#alice|acme|bob|pro|"},
		{"an account that is a number", bearer.Mapping{Account: "org"}, m{"org": 42}, issuerName + "#alice|42|||"},
		{"an account within a claim", bearer.Mapping{Account: "/org/id"}, m{"org": m{"id": "acme"}}, issuerName + "#alice|acme|||"},
		{"an account by an address", bearer.Mapping{Account: "https://example.com/org"}, m{"https://example.com/org": "acme"}, issuerName + "#alice|acme|||"},
		{"no account where one is wanted", bearer.Mapping{Account: "org"}, nil, "org"},
		{"an empty account", bearer.Mapping{Account: "org"}, m{"org": ""}, "org"},
		{"an account that is null", bearer.Mapping{Account: "org"}, m{"org": json.RawMessage("null")}, "org"},
		{"an account that is a list", bearer.Mapping{Account: "org"}, m{"org": []string{"acme"}}, "org"},
		{"an account that is a fraction", bearer.Mapping{Account: "org"}, m{"org": 4.2}, "org"},
		{"an account that is true", bearer.Mapping{Account: "org"}, m{"org": true}, "org"},
		{"no plan", bearer.Mapping{Plan: "tier"}, nil, issuerName + "#alice||||"},
		{"a plan that is an object", bearer.Mapping{Plan: "tier"}, m{"tier": m{}}, "tier"},
		{"an owner that is an object", bearer.Mapping{Owner: "mgr"}, m{"mgr": m{}}, "mgr"},
		{"another subject", bearer.Mapping{Subject: "user_id"}, m{"user_id": 7, "sub": nil}, issuerName + "#7||||"},
		{"no other subject", bearer.Mapping{Subject: "user_id"}, nil, "no subject"},
		{"another subject that is a list", bearer.Mapping{Subject: "user_id"}, m{"user_id": []int{7}}, "user_id"},
		{"roles", bearer.Mapping{Roles: "roles", Grants: map[string][]string{"admin": {"a:*", "b"}, "agent": {"c"}}}, m{"roles": []string{"agent", "admin", "other"}, "scope": "d"}, issuerName + "#alice|||| d, c, a:*, b"},
		{"one role", bearer.Mapping{Roles: "role", Grants: map[string][]string{"admin": {"*"}}}, m{"role": "admin"}, issuerName + "#alice|||| *"},
		{"roles within a claim", bearer.Mapping{Roles: "/realm_access/roles", Grants: map[string][]string{"admin": {"x"}}}, m{"realm_access": m{"roles": []string{"admin"}}}, issuerName + "#alice|||| x"},
		{"no roles", bearer.Mapping{Roles: "role", Grants: map[string][]string{"admin": {"*"}}}, nil, issuerName + "#alice||||"},
		{"roles that are a number", bearer.Mapping{Roles: "role", Grants: map[string][]string{"admin": {"*"}}}, m{"role": 1}, "role"},
	} {
		a := newAuthenticator(t, withIssuer(func(is *bearer.Issuer) { is.Principal = tt.mapping }))
		p, err := present(a, hs(claims(tt.claims)))
		if !strings.Contains(tt.want, "|") {
			wantRefused(t, err, keystile.CodeUnauthorized, tt.want)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := strings.TrimRight(strings.Join([]string{p.Subject, p.Account, p.Owner, p.Plan, " " + p.Scopes.String()}, "|"), " ")
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if !p.Expires.Equal(noon.Add(time.Hour)) || p.Scheme != keystile.SchemeJWT || p.CredentialID != "token-1" {
			t.Errorf("%s: %+v", tt.name, p)
		}
	}
}

// R35: equal subjects of two issuers are two callers, however names and subjects
// are cut.
func TestSubjectsOfTwoIssuersDiffer(t *testing.T) {
	var issuers []bearer.Issuer
	for _, name := range []string{"a", "a:b", "https://a.example", "https://a.example/b"} {
		is := hmacIssuer()
		is.Name = name
		issuers = append(issuers, is)
	}
	a := newAuthenticator(t, bearer.Config{Issuers: issuers})
	seen := map[string]string{}
	for _, is := range issuers {
		for _, sub := range []string{"b", "b:c", "#b", "a#b", "/b", "b#", " b", "b "} {
			p := wantAccepted(t, a, hs(claims(m{"iss": is.Name, "sub": sub})))
			if other, taken := seen[p.Subject]; taken {
				t.Errorf("%q is %s and %s %s", p.Subject, other, is.Name, sub)
			}
			seen[p.Subject] = is.Name + " " + sub
			if name, rest, _ := strings.Cut(p.Subject, "#"); name != is.Name || rest != sub {
				t.Errorf("%q is cut into %q and %q", p.Subject, name, rest)
			}
		}
	}
}

func TestATokenWithoutAnIDIsNamedByItsSubject(t *testing.T) {
	if p := wantAccepted(t, newAuthenticator(t, bearer.Config{}), hs(claims(m{"jti": nil}))); p.CredentialID != p.Subject {
		t.Errorf("%+v", p)
	}
}

func TestResolve(t *testing.T) {
	type resolve = func(context.Context, *bearer.Claims, *keystile.Principal) (*keystile.Principal, error)
	calls := 0
	for _, tt := range []struct {
		name    string
		claims  m
		resolve resolve
		want    string
		code    keystile.Code
	}{
		{"changes what the data made", nil, func(_ context.Context, c *bearer.Claims, p *keystile.Principal) (*keystile.Principal, error) {
			calls++
			p.Account, p.Scopes = c.ID, keystile.NewScopes("x")
			return p, nil
		}, issuerName + "#alice|token-1|x", ""},
		{"makes one of its own", nil, func(context.Context, *bearer.Claims, *keystile.Principal) (*keystile.Principal, error) {
			return &keystile.Principal{Subject: "user 7", Account: "acme"}, nil
		}, "user 7|acme|", ""},
		{"finds a subject where the token has none", m{"sub": nil}, func(_ context.Context, _ *bearer.Claims, p *keystile.Principal) (*keystile.Principal, error) {
			if p.Subject != "" {
				t.Errorf("subject %q", p.Subject)
			}
			p.Subject = "found"
			return p, nil
		}, "found||", ""},
		{"finds no subject", m{"sub": nil}, func(_ context.Context, _ *bearer.Claims, p *keystile.Principal) (*keystile.Principal, error) {
			return p, nil
		}, "", keystile.CodeUnauthorized},
		{"refuses", nil, func(context.Context, *bearer.Claims, *keystile.Principal) (*keystile.Principal, error) {
			return nil, &keystile.Error{Code: keystile.CodeKeyDisabled}
		}, "", keystile.CodeKeyDisabled},
		{"fails", nil, func(context.Context, *bearer.Claims, *keystile.Principal) (*keystile.Principal, error) {
			return nil, io.ErrUnexpectedEOF
		}, "", keystile.CodeUnavailable},
		{"forgets to answer", nil, func(context.Context, *bearer.Claims, *keystile.Principal) (*keystile.Principal, error) {
			return nil, nil
		}, "", keystile.CodeInternal},
	} {
		a := newAuthenticator(t, withIssuer(func(is *bearer.Issuer) { is.Principal.Resolve = tt.resolve }))
		for range 3 {
			p, err := present(a, hs(claims(tt.claims)))
			if tt.code != "" {
				var e *keystile.Error
				if !errors.As(err, &e) || e.Code != tt.code {
					t.Errorf("%s: %v, want %s", tt.name, err, tt.code)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			c, ok := bearer.From(p)
			if got := p.Subject + "|" + p.Account + "|" + p.Scopes.String(); got != tt.want || !ok || c.ID != "token-1" || p.Scheme != keystile.SchemeJWT || p.CredentialID == "" || p.Expires.IsZero() {
				t.Errorf("%s: %+v", tt.name, p)
			}
		}
	}
	if calls != 3 {
		t.Errorf("asked %d times for three requests", calls)
	}
}

func TestAccessTokenProfile(t *testing.T) {
	a := newAuthenticator(t, withIssuer(func(is *bearer.Issuer) { is.Profile = bearer.ProfileAccessToken }))
	full := m{"client_id": "web"}
	without := func(name string) m { return m{"client_id": "web", name: nil} }
	for _, tt := range []struct {
		name, typ string
		claims    m
		why       string // "": accepted
	}{
		{"R29: as RFC 9068 says", `"at+jwt"`, full, ""},
		{"R29: the whole media type", `"application/at+jwt"`, full, ""},
		{"R29: in capitals", `"AT+JWT"`, full, ""},
		{"R29: a plain JWT", `"JWT"`, full, "another type"},
		{"R29: no type", ``, full, "another type"},
		{"R29: an ID token's type", `"id+jwt"`, full, "another type"},
		{"R30: no client_id", `"at+jwt"`, nil, "must have"},
		{"R30: an empty client_id", `"at+jwt"`, m{"client_id": ""}, "must have"},
		{"R30: a client_id that is a number", `"at+jwt"`, m{"client_id": 1}, "client_id"},
		{"R30: no sub", `"at+jwt"`, without("sub"), "must have"},
		{"R30: no iat", `"at+jwt"`, without("iat"), "must have"},
		{"R30: no jti", `"at+jwt"`, without("jti"), "must have"},
		{"R30: no exp", `"at+jwt"`, without("exp"), "no exp"},
		{"R30: no aud", `"at+jwt"`, without("aud"), "another service"},
		{"R30: no iss", `"at+jwt"`, without("iss"), "no issuer"},
	} {
		header := `{"alg":"HS256","typ":` + tt.typ + `}`
		if tt.typ == "" {
			header = `{"alg":"HS256"}`
		}
		_, err := present(a, sign(bearer.HS256, []byte(secret), header, claims(tt.claims)))
		if tt.why == "" && err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if tt.why != "" {
			wantRefused(t, err, keystile.CodeUnauthorized, tt.why)
		}
	}
}

func TestLeeway(t *testing.T) {
	for _, tt := range []struct {
		name   string
		leeway time.Duration
		claims m
		good   bool
	}{
		{"expired within the leeway", 30 * time.Second, m{"exp": noon.Add(-29 * time.Second).Unix()}, true},
		{"expired at the end of the leeway", 30 * time.Second, m{"exp": noon.Add(-30 * time.Second).Unix()}, false},
		{"valid soon, within the leeway", 30 * time.Second, m{"nbf": noon.Add(30 * time.Second).Unix()}, true},
		{"valid soon, beyond the leeway", 30 * time.Second, m{"nbf": noon.Add(31 * time.Second).Unix()}, false},
		{"a minute, which is the most", time.Minute, m{"exp": noon.Add(-59 * time.Second).Unix()}, true},
		{"issued a minute ahead, without leeway", 0, m{"iat": noon.Add(time.Minute).Unix()}, true},
		{"issued further ahead, with all leeway", time.Minute, m{"iat": noon.Add(61 * time.Second).Unix()}, false},
	} {
		a := newAuthenticator(t, withIssuer(func(is *bearer.Issuer) { is.Leeway = tt.leeway }))
		for range 2 {
			if _, err := present(a, hs(claims(tt.claims))); (err == nil) != tt.good {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
	}
}

func TestTokensThatNameNoIssuerOrAudience(t *testing.T) {
	first, second := hmacIssuer(), hmacIssuer()
	first.Name, first.InsecureNoIssuer, first.InsecureNoAudience, first.Audience = "legacy", true, true, nil
	for _, tt := range []struct {
		name    string
		claims  m
		subject string // "": refused
	}{
		{"neither of both", m{"iss": nil, "aud": nil}, "legacy#alice"},
		{"its own name", m{"iss": "legacy", "aud": nil}, "legacy#alice"},
		{"the name of another issuer", m{"iss": issuerName}, issuerName + "#alice"},
		{"a name nobody knows", m{"iss": "evil", "aud": nil}, ""},
		{"an empty name", m{"iss": "", "aud": nil}, ""},
		{"a name that is null", m{"iss": json.RawMessage("null"), "aud": nil}, ""},
		{"an audience that is not ours", m{"iss": nil, "aud": "other"}, ""},
		{"an empty list of audiences", m{"iss": nil, "aud": []string{}}, ""},
		{"no audience, of an issuer that names them", m{"aud": nil}, ""},
	} {
		for _, issuers := range [][]bearer.Issuer{{first, second}, {second, first}} {
			p, err := present(newAuthenticator(t, bearer.Config{Issuers: issuers}), hs(claims(tt.claims)))
			if tt.subject == "" && err == nil || tt.subject != "" && (err != nil || p.Subject != tt.subject) {
				t.Errorf("%s: %v, %v", tt.name, p, err)
			}
		}
	}
}
