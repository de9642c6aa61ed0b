package bearer_test

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/bearer"
)

// wantNoServerError checks that a client's bytes are the client's fault.
func wantNoServerError(t *testing.T, input string, err error) {
	t.Helper()
	var e *keystile.Error
	if !errors.As(err, &e) || e.StatusCode() >= 500 {
		t.Fatalf("%q: %v", input, err)
	}
	if c := keystile.BearerChallenge(err); c == "" || strings.ContainsFunc(c, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Fatalf("%q: challenge %q", input, c)
	}
}

// The grammar of RFC 6750 section 2.1, said in another way.
var field = regexp.MustCompile(`^(?i:bearer) +([A-Za-z0-9._~+/-]+=*)$`)

func FuzzAuthorization(f *testing.F) {
	good := hs(claims(nil))
	for _, s := range []string{
		"Bearer " + good, "bearer key", "BEARER   a.b.c", "Bearer", "Bearer ", "Bearer\tkey", "BearerX key", "Basic YTpi", "Bearer key==", "Bearer =key", "Bearer k=ey",
		"Bearer a b", " Bearer key", "Bearer key ", "Bearer\u00a0key", "Bearer a.b", "Bearer ...", "Bearer a.b.c.d.e", "", "bearer,key", "Bearer key,key",
	} {
		f.Add(s)
	}
	o := &opaque{}
	a := newAuthenticator(f, bearer.Config{Issuers: []bearer.Issuer{hmacIssuer()}, Opaque: o})
	f.Fuzz(func(t *testing.T, s string) {
		o.asked = nil
		r := request(s)
		p, err := a.Authenticate(r)
		match := field.FindStringSubmatch(s)
		switch {
		case err == nil:
			if match == nil || match[1] != good || p.Subject != issuerName+"#alice" {
				t.Fatalf("%q is accepted", s)
			}
			return
		case errors.Is(err, keystile.ErrNoCredentials):
			if match != nil || a.Present(r) {
				t.Fatalf("%q is absent", s)
			}
		case errors.Is(err, keystile.CodeInvalidRequest):
			if match != nil {
				t.Fatalf("%q is malformed", s)
			}
		case match == nil && len(s) <= bearer.MaxToken:
			t.Fatalf("%q is no malformed request: %v", s, err)
		}
		if len(o.asked) > 0 && (match == nil || string(o.asked[0].Secret) != match[1]) {
			t.Fatalf("%q: the verifier was asked about %q", s, string(o.asked[0].Secret))
		}
		wantNoServerError(t, s, err)
	})
}

// A header that is let through says what encoding/json reads in it, and nothing
// that must not be there.
func FuzzHeader(f *testing.F) {
	for _, s := range []string{
		`{"alg":"HS256"}`, ordinary, `{"alg":"HS256","typ":"at+jwt","cty":"x"}`, `{"alg":"none"}`, `{"alg":"HS256","kid":"a"}`, `{"alg":"HS256","crit":[]}`,
		`{"alg":"HS256","\u0061lg":"none"}`, `{"alg":"HS256","b64":false}`, `{"alg":"HS256","jwk":{"kty":"oct","k":""}}`, `{"ALG":"HS256"}`, ` { "alg" : "HS256" } `,
	} {
		f.Add(s)
	}
	a := newAuthenticator(f, bearer.Config{Issuers: []bearer.Issuer{hmacIssuer()}, Remember: -1})
	body := claims(nil)
	f.Fuzz(func(t *testing.T, header string) {
		_, err := present(a, sign(bearer.HS256, []byte(secret), header, body))
		if err != nil {
			wantNoServerError(t, header, err)
			return
		}
		var all map[string]any
		if json.Unmarshal([]byte(header), &all) != nil || all["alg"] != "HS256" {
			t.Fatalf("%q is accepted", header)
		}
		for _, name := range []string{"crit", "b64", "zip"} {
			if _, there := all[name]; there {
				t.Fatalf("%q is accepted with %s", header, name)
			}
		}
		if kid, there := all["kid"]; there && kid != "" {
			t.Fatalf("%q is accepted with a kid that no key has", header)
		}
	})
}

// Claims that are accepted are so by what encoding/json reads in them.
func FuzzClaims(f *testing.F) {
	for _, s := range []string{
		claims(nil), claims(m{"aud": []string{"x", service}}), claims(m{"exp": 4e9}), claims(m{"exp": "1"}), claims(m{"nbf": 1.5, "iat": -1}), "{}", "",
		strings.Replace(claims(nil), `"exp":`, `"exp":1e400,"x":`, 1), strings.Replace(claims(nil), `{`, `{"sub":"bob",`, 1), claims(m{"scope": "a b", "scp": []string{"c"}}),
		strings.Replace(claims(nil), `"alice"`, `"\u0061lice"`, 1), claims(m{"x": m{"y": []any{m{"z": nil}}}}),
	} {
		f.Add(s)
	}
	a := newAuthenticator(f, bearer.Config{Issuers: []bearer.Issuer{hmacIssuer()}, Remember: -1})
	f.Fuzz(func(t *testing.T, text string) {
		p, err := present(a, hs(text))
		if err != nil {
			wantNoServerError(t, text, err)
			return
		}
		var all struct {
			ISS, SUB string
			AUD      any
			EXP, NBF *json.Number
		}
		var exact map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &exact) != nil {
			t.Fatalf("%q is accepted", text)
		}
		lower := map[string]json.RawMessage{}
		for _, name := range []string{"iss", "sub", "aud", "exp", "nbf"} {
			if v, there := exact[name]; there {
				lower[name] = v
			}
		}
		if err := json.Unmarshal(must(json.Marshal(lower)), &all); err != nil {
			t.Fatalf("%q is accepted: %v", text, err)
		}
		if all.ISS != issuerName || p.Subject != issuerName+"#"+all.SUB || all.SUB == "" {
			t.Fatalf("%q is accepted as %v", text, p)
		}
		if list, several := all.AUD.([]any); several && !slices.Contains(list, any(service)) || !several && all.AUD != service {
			t.Fatalf("%q is accepted for %v", text, all.AUD)
		}
		if exp, err := all.EXP.Float64(); err != nil || exp <= float64(noon.Unix()) || exp > 253402300799 {
			t.Fatalf("%q is accepted until %v", text, all.EXP)
		}
		if all.NBF != nil {
			if nbf, err := all.NBF.Float64(); err != nil || nbf > float64(noon.Unix()) {
				t.Fatalf("%q is accepted before %v", text, all.NBF)
			}
		}
	})
}

// A key set from the network never makes a panic, nor a key that verifies what
// nobody signed.
func FuzzKeySet(f *testing.F) {
	for _, s := range []string{ecSet("a", ecKey()), octSet("a"), `{"keys":[]}`, `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`, "", `{"kty":"oct","k":"` + b64(secret) + `"}`} {
		f.Add([]byte(s))
	}
	token := ecToken("a", newEC(), nil)
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, algorithms := range [][]bearer.Algorithm{{bearer.ES256, bearer.RS256, bearer.EdDSA}, {bearer.HS256}} {
			a, err := bearer.New(withIssuer(func(is *bearer.Issuer) { is.Algorithms, is.KeySet = algorithms, bearer.StaticJWKS(text) }))
			if err != nil {
				if len(mistakes(t, err)) == 0 {
					t.Fatalf("%q: %v", text, err)
				}
				continue
			}
			if _, err := present(a, token); err == nil {
				t.Fatalf("%q verifies what another key has signed", text)
			}
		}
	})
}
