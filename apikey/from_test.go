package apikey_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
)

func TestWhereAKeyMayStand(t *testing.T) {
	keys := newKeys(t, apikey.Config{})
	_, s1 := issue(t, keys, apikey.Draft{})
	_, s2 := issue(t, keys, apikey.Draft{})
	k1, k2 := string(s1), string(s2)
	unknown := string(generate(t, acme))
	both := []apikey.Place{apikey.Header("x-api-key"), apikey.Bearer()}
	header, bearer := both[:1], both[1:]
	all := append(slices.Clone(both), apikey.InsecureQuery("key"), apikey.InsecureCookie("key"))
	megabyte := strings.Repeat("a", 1<<20)

	const absent = keystile.Code("absent")
	for _, tt := range []struct {
		name   string
		places []apikey.Place
		fields []string // of the header, in pairs
		query  string
		want   keystile.Code
		scheme keystile.Scheme
	}{
		{"a key in its header", header, []string{"X-API-Key", k1}, "", "", keystile.SchemeAPIKey},
		{"the name of a header has no case", header, []string{"x-aPi-kEY", k1}, "", "", keystile.SchemeAPIKey},
		{"a key as Bearer", bearer, []string{"Authorization", "Bearer " + k1}, "", "", keystile.SchemeBearer},
		{"a scheme has no case", bearer, []string{"Authorization", "bEARER " + k1}, "", "", keystile.SchemeBearer},
		{"several spaces", bearer, []string{"Authorization", "Bearer    " + k1}, "", "", keystile.SchemeBearer},
		{"nothing", both, nil, "", absent, keystile.SchemeAPIKey},
		{"nothing, where only Bearer is taken", bearer, nil, "", absent, keystile.SchemeBearer},
		{"an empty header", both, []string{"X-API-Key", ""}, "", absent, keystile.SchemeAPIKey},
		{"two empty headers", both, []string{"X-API-Key", "", "X-API-Key", ""}, "", absent, keystile.SchemeAPIKey},
		{"an empty Authorization", both, []string{"Authorization", ""}, "", absent, keystile.SchemeAPIKey},
		{"another scheme", both, []string{"Authorization", "Basic " + k1}, "", absent, keystile.SchemeAPIKey},
		{"a scheme that begins alike", both, []string{"Authorization", "BearerX " + k1}, "", absent, keystile.SchemeAPIKey},
		{"a scheme that begins alike, with a mark", both, []string{"Authorization", "Bearer-X " + k1}, "", absent, keystile.SchemeAPIKey},
		{"a shorter scheme", both, []string{"Authorization", "Bear"}, "", absent, keystile.SchemeAPIKey},
		{"the key without a scheme", both, []string{"Authorization", k1}, "", absent, keystile.SchemeAPIKey},
		{"a key in a header that is no place", both, []string{"X-Key", k1}, "", absent, keystile.SchemeAPIKey},
		{"a key as Bearer where only the header is taken", header, []string{"Authorization", "Bearer " + k1}, "", absent, keystile.SchemeAPIKey},

		{"the same key twice, in different places", both, []string{"X-API-Key", k1, "Authorization", "Bearer " + k1}, "", "", keystile.SchemeAPIKey},
		{"and in the other order", []apikey.Place{both[1], both[0]}, []string{"X-API-Key", k1, "Authorization", "Bearer " + k1}, "", "", keystile.SchemeAPIKey},
		{"a key beside another scheme", both, []string{"X-API-Key", k1, "Authorization", "Basic YTpi"}, "", "", keystile.SchemeAPIKey},
		{"an empty header beside a Bearer key", both, []string{"X-API-Key", "", "Authorization", "Bearer " + k1}, "", "", keystile.SchemeBearer},
		{"two good keys", both, []string{"X-API-Key", k1, "Authorization", "Bearer " + k2}, "", keystile.CodeInvalidRequest, keystile.SchemeBearer},
		{"a good key and garbage", both, []string{"X-API-Key", k1, "Authorization", "Bearer x"}, "", keystile.CodeInvalidRequest, keystile.SchemeBearer},
		{"one header twice", header, []string{"X-API-Key", k1, "X-API-Key", k2}, "", keystile.CodeInvalidRequest, keystile.SchemeAPIKey},
		{"one header twice with the same key", header, []string{"X-API-Key", k1, "X-API-Key", k1}, "", keystile.CodeInvalidRequest, keystile.SchemeAPIKey},
		{"one header twice, once empty", header, []string{"X-API-Key", k1, "X-API-Key", ""}, "", keystile.CodeInvalidRequest, keystile.SchemeAPIKey},
		{"two Authorization fields", both, []string{"Authorization", "Bearer " + k1, "Authorization", "Bearer " + k1}, "", keystile.CodeInvalidRequest, keystile.SchemeBearer},
		{"two of another scheme", both, []string{"Authorization", "Basic YTpi", "Authorization", "Basic YTpi"}, "", keystile.CodeInvalidRequest, keystile.SchemeBearer},
		{"a good key beside two Authorization fields", both, []string{"X-API-Key", k1, "Authorization", "Basic YTpi", "Authorization", "Bearer " + k1}, "", keystile.CodeInvalidRequest, keystile.SchemeBearer},

		{"Bearer alone", both, []string{"Authorization", "Bearer"}, "", keystile.CodeInvalidRequest, keystile.SchemeBearer},
		{"Bearer and a space", both, []string{"Authorization", "Bearer "}, "", keystile.CodeInvalidRequest, keystile.SchemeBearer},
		{"a tab for the space", both, []string{"Authorization", "Bearer\t" + k1}, "", keystile.CodeInvalidRequest, keystile.SchemeBearer},
		{"a space and a tab", both, []string{"Authorization", "Bearer \t" + k1}, "", keystile.CodeInvalidRequest, keystile.SchemeBearer},
		{"two tokens", both, []string{"Authorization", "Bearer " + k1 + " " + k1}, "", keystile.CodeInvalidRequest, keystile.SchemeBearer},
		{"a list", both, []string{"Authorization", "Bearer " + k1 + ", " + k1}, "", keystile.CodeInvalidRequest, keystile.SchemeBearer},
		{"a parameter", both, []string{"Authorization", `Bearer token="` + k1 + `"`}, "", keystile.CodeInvalidRequest, keystile.SchemeBearer},
		{"an equals sign in the middle", both, []string{"Authorization", "Bearer a=b"}, "", keystile.CodeInvalidRequest, keystile.SchemeBearer},
		{"equals signs alone", both, []string{"Authorization", "Bearer =="}, "", keystile.CodeInvalidRequest, keystile.SchemeBearer},
		{"a NUL in the token", both, []string{"Authorization", "Bearer a\x00b"}, "", keystile.CodeInvalidRequest, keystile.SchemeBearer},
		{"bytes that are no UTF-8", both, []string{"Authorization", "Bearer \xff\xfe"}, "", keystile.CodeInvalidRequest, keystile.SchemeBearer},
		{"good grammar, with all its characters, and no key", both, []string{"Authorization", "Bearer aZ09-._~+/=="}, "", keystile.CodeUnauthorized, keystile.SchemeBearer},
		{"a megabyte as Bearer", both, []string{"Authorization", "Bearer " + megabyte}, "", keystile.CodeUnauthorized, keystile.SchemeBearer},
		{"a megabyte of spaces", both, []string{"Authorization", "Bearer " + strings.Repeat(" ", 1<<20)}, "", keystile.CodeInvalidRequest, keystile.SchemeBearer},

		{"an unknown key", both, []string{"X-API-Key", unknown}, "", keystile.CodeUnauthorized, keystile.SchemeAPIKey},
		{"an unknown key as Bearer", both, []string{"Authorization", "Bearer " + unknown}, "", keystile.CodeUnauthorized, keystile.SchemeBearer},
		{"a megabyte", both, []string{"X-API-Key", megabyte}, "", keystile.CodeUnauthorized, keystile.SchemeAPIKey},
		{"two different megabytes", both, []string{"X-API-Key", megabyte, "Authorization", "Bearer b" + megabyte[1:]}, "", keystile.CodeUnauthorized, keystile.SchemeAPIKey},
		{"a NUL", both, []string{"X-API-Key", "acme_\x00"}, "", keystile.CodeUnauthorized, keystile.SchemeAPIKey},
		{"control characters", both, []string{"X-API-Key", "\x01\x02\x7f"}, "", keystile.CodeUnauthorized, keystile.SchemeAPIKey},
		{"no UTF-8", both, []string{"X-API-Key", "\xff\xfe\xfd"}, "", keystile.CodeUnauthorized, keystile.SchemeAPIKey},
		{"a space before the key", both, []string{"X-API-Key", " " + k1}, "", keystile.CodeUnauthorized, keystile.SchemeAPIKey},
		{"a list of keys in one field", both, []string{"X-API-Key", k1 + ", " + k1}, "", keystile.CodeUnauthorized, keystile.SchemeAPIKey},
		{"a scheme in a header of the key's own", both, []string{"X-API-Key", "Bearer " + k1}, "", keystile.CodeUnauthorized, keystile.SchemeAPIKey},

		{"a key in the URL", all, nil, "a=b&key=" + k1, "", keystile.SchemeAPIKey},
		{"a key in the URL where that is no place", both, nil, "key=" + k1, absent, keystile.SchemeAPIKey},
		{"an empty parameter", all, nil, "key=", absent, keystile.SchemeAPIKey},
		{"another parameter", all, nil, "KEY=" + k1, absent, keystile.SchemeAPIKey},
		{"a parameter twice", all, nil, "key=" + k1 + "&key=" + k1, keystile.CodeInvalidRequest, keystile.SchemeAPIKey},
		{"a parameter twice, once disguised", all, nil, "key=" + k1 + "&%6bey=" + k2, keystile.CodeInvalidRequest, keystile.SchemeAPIKey},
		{"a key beside one that is broken", all, nil, "key=" + k1 + "&key=%zz", keystile.CodeInvalidRequest, keystile.SchemeAPIKey},
		{"a key beside another parameter that is broken", all, nil, "key=" + k1 + "&a;b", keystile.CodeInvalidRequest, keystile.SchemeAPIKey},
		{"a broken parameter", all, nil, "key=%zz", absent, keystile.SchemeAPIKey},
		{"a key in a cookie", all, []string{"Cookie", "a=b; key=" + k1}, "", "", keystile.SchemeAPIKey},
		{"a cookie twice", all, []string{"Cookie", "key=" + k1 + "; key=" + k1}, "", keystile.CodeInvalidRequest, keystile.SchemeAPIKey},
		{"an empty cookie", all, []string{"Cookie", "key="}, "", absent, keystile.SchemeAPIKey},
		{"a key everywhere", all, []string{"Cookie", "key=" + k1, "X-API-Key", k1, "Authorization", "Bearer " + k1}, "key=" + k1, "", keystile.SchemeAPIKey},
		{"a key everywhere and another in the URL", all, []string{"Cookie", "key=" + k1, "X-API-Key", k1, "Authorization", "Bearer " + k1}, "key=" + k2, keystile.CodeInvalidRequest, keystile.SchemeBearer},
		{"different keys in header and cookie", all, []string{"Cookie", "key=" + k1, "X-API-Key", k2}, "", keystile.CodeInvalidRequest, keystile.SchemeAPIKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := keys.From(tt.places...)
			r := requestWith(tt.fields...)
			r.URL.RawQuery = tt.query
			before := r.Clone(t.Context())
			p, err := a.Authenticate(r)
			got, scheme := codeOf(err), keystile.Scheme("")
			var e *keystile.Error
			switch {
			case errors.Is(err, keystile.ErrNoCredentials):
				got = absent
				fallthrough
			case errors.As(err, &e):
				errors.As(err, &e)
				scheme = e.Scheme
			default:
				scheme = p.Scheme
			}
			if got != tt.want || scheme != tt.scheme {
				t.Errorf("%q as %s (%v), want %q as %s", got, scheme, err, tt.want, tt.scheme)
			}
			if present := a.Present(r); present != (tt.want != absent) {
				t.Errorf("Present is %v", present)
			}
			if err != nil && (strings.Contains(err.Error(), k1) || e.Detail != "" && strings.Contains(e.Detail, k1)) {
				t.Error("the error shows the key")
			}
			if r.URL.RawQuery != before.URL.RawQuery || len(r.Header) != len(before.Header) {
				t.Error("the request was changed")
			}
		})
	}
}

func TestMistakesInPlacesComeBackFromNewGuard(t *testing.T) {
	keys := newKeys(t, apikey.Config{})
	for _, tt := range []struct {
		name          string
		places        []apikey.Place
		field, remedy string
	}{
		{"no place", nil, "apikey.From", "X-API-Key"},
		{"a header without a name", []apikey.Place{apikey.Header("")}, "apikey.Header", "X-API-Key"},
		{"a header with a space", []apikey.Place{apikey.Header("X API Key")}, "apikey.Header", "X-API-Key"},
		{"Authorization as a header", []apikey.Place{apikey.Header("authorization")}, "apikey.Header", "Bearer()"},
		{"Proxy-Authorization as a header", []apikey.Place{apikey.Header("Proxy-Authorization")}, "apikey.Header", "Bearer()"},
		{"Cookie as a header", []apikey.Place{apikey.Header("cookie")}, "apikey.Header", "InsecureCookie"},
		{"Host as a header", []apikey.Place{apikey.Header("host")}, "apikey.Header", "X-API-Key"},
		{"a parameter without a name", []apikey.Place{apikey.InsecureQuery("")}, "apikey.InsecureQuery", "api_key"},
		{"a cookie without a name", []apikey.Place{apikey.InsecureCookie("")}, "apikey.InsecureCookie", "api_key"},
		{"a cookie with a semicolon", []apikey.Place{apikey.InsecureCookie("a;b")}, "apikey.InsecureCookie", "api_key"},
		{"a zero place", []apikey.Place{{}}, "apikey.Place", "Bearer()"},
		{"one place twice", []apikey.Place{apikey.Header("X-API-Key"), apikey.Header("x-api-key")}, "apikey.From[1]", "once"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := keys.From(tt.places...)
			_, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: keystile.AnyOf(a), Realm: "acme"})
			all := configErrors(t, err)
			if len(all) != 1 || all[0].Field != tt.field || !strings.Contains(all[0].Reason, tt.remedy) {
				t.Errorf("got %v, want one mistake in %s that says %q", err, tt.field, tt.remedy)
			}
			if _, err := a.Authenticate(requestWith()); codeOf(err) != keystile.CodeInternal {
				t.Errorf("used all the same: %v, want a refusal", err)
			}
		})
	}
	_, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: keys.From(apikey.Header(""), apikey.InsecureQuery("")), Realm: "acme"})
	if got := len(configErrors(t, err)); got != 2 {
		t.Errorf("%d mistakes of 2 are reported: %v", got, err)
	}
}

func TestChallenges(t *testing.T) {
	keys := newKeys(t, apikey.Config{})
	header, both, bearer := keys.From(apikey.Header("X-API-Key")), keys.From(apikey.Header("X-API-Key"), apikey.Bearer()), keys.From(apikey.Bearer())
	refusal := func(code keystile.Code, scheme keystile.Scheme) *keystile.Error {
		return &keystile.Error{Code: code, Scheme: scheme}
	}
	token := func(sentence string) string {
		return `Bearer error="invalid_token", error_description="` + sentence + `"`
	}
	for _, tt := range []struct {
		name string
		a    keystile.Authenticator
		err  error
		want []string
	}{
		{"no credentials", header, keystile.NoCredentials(""), []string{"ApiKey"}},
		{"no credentials, both", both, keystile.NoCredentials(keystile.SchemeAPIKey), []string{"ApiKey", "Bearer"}},
		{"no credentials, Bearer", bearer, keystile.NoCredentials(keystile.SchemeBearer), []string{"Bearer"}},
		{"a bad key", both, refusal(keystile.CodeUnauthorized, keystile.SchemeAPIKey), []string{"ApiKey", "Bearer"}},
		{"a bad Bearer key", both, refusal(keystile.CodeUnauthorized, keystile.SchemeBearer), []string{"ApiKey", token("Valid credentials are required.")}},
		{"an expired Bearer key", bearer, refusal(keystile.CodeKeyExpired, keystile.SchemeBearer), []string{token("The key has expired.")}},
		{"a bad Bearer key where only headers are taken", header, refusal(keystile.CodeUnauthorized, keystile.SchemeBearer), []string{"ApiKey"}},
		{"the refusal of another member", both, refusal(keystile.CodeUnauthorized, keystile.SchemeBasic), []string{"ApiKey", "Bearer"}},
		{"broken grammar", both, refusal(keystile.CodeInvalidRequest, keystile.SchemeBearer), []string{`Bearer error="invalid_request", error_description="The request is malformed."`}},
		{"a header twice", both, refusal(keystile.CodeInvalidRequest, keystile.SchemeAPIKey), nil},
		{"a missing scope", both, &keystile.Error{Code: keystile.CodeInsufficientPermissions, Scheme: keystile.SchemeBearer, Details: map[string]any{"required_scopes": []string{"a:b"}}},
			[]string{`Bearer error="insufficient_scope", error_description="The credentials lack a required permission.", scope="a:b"`}},
		{"a missing scope of a key in a header", both, refusal(keystile.CodeInsufficientPermissions, keystile.SchemeAPIKey), nil},
		{"an address that is not allowed", both, refusal(keystile.CodeIPNotAllowed, keystile.SchemeBearer), nil},
		{"an outage", both, keystile.Unavailable(errors.New("down")), nil},
		{"another status", both, &keystile.Error{Code: keystile.CodeUnauthorized, Status: 403, Scheme: keystile.SchemeBearer}, nil},
		{"a folded refusal", both, &keystile.Error{Code: keystile.CodeUnauthorized, Scheme: keystile.SchemeBearer, Err: refusal(keystile.CodeKeyExpired, keystile.SchemeBearer)}, []string{"ApiKey", token("Valid credentials are required.")}},
		{"any other error", both, errors.New("boom"), []string{"ApiKey", "Bearer"}},
	} {
		if got := tt.a.Challenges(nil, tt.err); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// FuzzAuthorization checks what is taken from an Authorization field against the
// grammar, written as a regular expression here.
func FuzzAuthorization(f *testing.F) {
	for _, s := range []string{"", "Bearer", "Bearer ", "Bearer a", "bEaReR  a=", "Bearer\ta", "Bearer a b", "BearerX a", "Bearer a=b", "Basic YTpi", "Bearer \x00", "Bearer \xff", " Bearer a", "Bearer ==", "Bearer,a"} {
		f.Add(s, s)
		f.Add(s, "")
	}
	var taken string
	finder := finderFunc(func(d ...apikey.Digest) { taken = d[0].Hex() })
	v, err := apikey.NewVerifier(apikey.VerifierConfig{Finder: finder, Formats: []apikey.Format{apikey.LaxFormat("", 16, 512)}})
	if err != nil {
		f.Fatal(err)
	}
	one := v.From(apikey.Bearer())
	f.Fuzz(func(t *testing.T, field, second string) {
		taken = ""
		r := &http.Request{Method: "GET", Header: http.Header{"Authorization": {field}}}
		_, err := one.Authenticate(r)
		token := bearerGrammar.FindStringSubmatch(field)
		isBearer := bearerScheme.MatchString(field)
		switch {
		case field == "" || !isBearer:
			if !errors.Is(err, keystile.ErrNoCredentials) || one.Present(r) {
				t.Errorf("%q: %v, want no credentials", field, err)
			}
		case token == nil && len(strings.TrimLeft(field[6:], " ")) <= apikey.MaxSecret:
			if codeOf(err) != keystile.CodeInvalidRequest || !one.Present(r) {
				t.Errorf("%q: %v, want a refusal of its grammar", field, err)
			}
		case codeOf(err) != keystile.CodeUnauthorized && !(codeOf(err) == keystile.CodeInvalidRequest && token == nil):
			t.Errorf("%q: %v, want unauthorized", field, err)
		case token != nil && taken != "" && taken != sha256Hex(token[1]):
			t.Errorf("%q: another token was looked up than %q", field, token[1])
		}
		r.Header["Authorization"] = []string{field, second}
		if _, err := one.Authenticate(r); field != "" || second != "" {
			if codeOf(err) != keystile.CodeInvalidRequest {
				t.Errorf("two fields: %v, want 400", err)
			}
		}
	})
}
