package bearer_test

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/bearer"
)

// opaque is a verifier of opaque tokens that knows some, and writes down what it
// is asked.
type opaque struct {
	known map[string]*keystile.Principal
	err   error
	asked []keystile.Presented
}

var errUnknown = &keystile.Error{Code: keystile.CodeUnauthorized, Scheme: keystile.SchemeBearer, Err: errors.New("unknown key")}

func (o *opaque) VerifyToken(_ context.Context, p keystile.Presented) (*keystile.Principal, error) {
	o.asked = append(o.asked, p)
	if o.err != nil {
		return nil, o.err
	}
	if known := o.known[string(p.Secret)]; known != nil {
		return known, nil
	}
	return nil, errUnknown
}

func knowing(tokens ...string) *opaque {
	o := &opaque{known: map[string]*keystile.Principal{}}
	for _, token := range tokens {
		o.known[token] = &keystile.Principal{Subject: token, Scheme: keystile.SchemeBearer}
	}
	return o
}

func TestTheAuthorizationField(t *testing.T) {
	good := hs(claims(nil))
	const (
		missing = `Bearer realm="test"`
		invalid = `Bearer realm="test", error="invalid_token", error_description="Valid credentials are required."`
		broken  = `Bearer realm="test", error="invalid_request", error_description="The request is malformed."`
	)
	for _, tt := range []struct {
		name      string
		fields    []string
		status    int
		challenge string
	}{
		{"a good token", []string{"Bearer " + good}, 200, ""},
		{"the scheme in lower case", []string{"bearer " + good}, 200, ""},
		{"the scheme in capitals", []string{"BEARER " + good}, 200, ""},
		{"several spaces", []string{"Bearer    " + good}, 200, ""},
		{"an opaque key", []string{"Bearer acme_key"}, 200, ""},
		{"an opaque key with padding", []string{"Bearer a~+/-._z=="}, 200, ""},

		{"no field", nil, 401, missing},
		{"an empty field", []string{""}, 401, missing},
		{"two empty fields", []string{"", ""}, 401, missing},
		{"another scheme", []string{"Basic YTpi"}, 401, missing},
		{"another scheme that begins alike", []string{"BearerX " + good}, 401, missing},
		{"another scheme with a hyphen", []string{"Bearer-Token " + good}, 401, missing},
		{"the token without a scheme", []string{good}, 401, missing},
		{"half a scheme", []string{"Bear"}, 401, missing},
		{"a space before the scheme", []string{" Bearer " + good}, 401, missing},

		{"the scheme alone", []string{"Bearer"}, 400, broken},
		{"the scheme and spaces", []string{"Bearer   "}, 400, broken},
		{"a tab behind the scheme", []string{"Bearer\t" + good}, 400, broken},
		{"a colon behind the scheme", []string{"Bearer:" + good}, 400, broken},
		{"two tokens", []string{"Bearer " + good + " " + good}, 400, broken},
		{"two tokens with a comma", []string{"Bearer " + good + "," + good}, 400, broken},
		{"a parameter", []string{`Bearer token="` + good + `"`}, 400, broken},
		{"a space behind the token", []string{"Bearer " + good + " "}, 400, broken},
		{"a line break in the token", []string{"Bearer " + good[:20] + "\n" + good[20:]}, 400, broken},
		{"a letter that is not ASCII", []string{"Bearer ключ"}, 400, broken},
		{"padding and nothing else", []string{"Bearer =="}, 400, broken},
		{"padding in the middle", []string{"Bearer a=b"}, 400, broken},
		{"a NUL", []string{"Bearer a\x00b"}, 400, broken},
		{"the same field twice", []string{"Bearer " + good, "Bearer " + good}, 400, broken},
		{"a second field of another scheme", []string{"Basic YTpi", "Bearer " + good}, 400, broken},
		{"a second field that is empty", []string{"Bearer " + good, ""}, 400, broken},

		{"an unknown opaque key", []string{"Bearer acme_other"}, 401, invalid},
		{"a JWT with a bad signature", []string{"Bearer " + good[:len(good)-4] + "AAAA"}, 401, invalid},
		{"an expired JWT", []string{"Bearer " + hs(claims(m{"exp": 1}))}, 401, `Bearer realm="test", error="invalid_token", error_description="The key has expired."`},
		{"a JWT for another service", []string{"Bearer " + hs(claims(m{"aud": "x"}))}, 401, invalid},
		{"an encrypted token", []string{"Bearer a.b.c.d.e"}, 401, invalid},
		{"a token of 8193 bytes", []string{"Bearer " + strings.Repeat("a", 8193)}, 401, invalid},
		{"a token of 8193 bytes that is not in the grammar either", []string{"Bearer " + strings.Repeat(",", 8193)}, 401, invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			is := hmacIssuer()
			a := newAuthenticator(t, bearer.Config{Issuers: []bearer.Issuer{is}, Opaque: knowing("acme_key", "a~+/-._z==")})
			for range 2 {
				resp := serve(newGuard(t, a).Wrap(served), request(tt.fields...))
				if resp.StatusCode != tt.status || strings.Join(resp.Header["Www-Authenticate"], "|") != tt.challenge {
					t.Errorf("%d with %q, want %d with %q", resp.StatusCode, resp.Header["Www-Authenticate"], tt.status, tt.challenge)
				}
				if body, _ := io.ReadAll(resp.Body); strings.Contains(string(body), good) {
					t.Errorf("the answer repeats the token: %s", body)
				}
			}
			if want := tt.challenge != missing; a.Present(request(tt.fields...)) != want {
				t.Errorf("Present is not %v", want)
			}
		})
	}
}

// Tokens in the URL or the body are not looked at (RFC 6750 sections 2.2 and 2.3);
// one in the URL beside the field is one too many.
func TestOtherMethodsAreOff(t *testing.T) {
	good := hs(claims(nil))
	g := newGuard(t, newAuthenticator(t, bearer.Config{})).Wrap(served)
	for _, tt := range []struct {
		name, target, body, field string
		status                    int
	}{
		{"in the URL", "/?access_token=" + good, "", "", 401},
		{"in a form", "/", "access_token=" + good, "", 401},
		{"in the field, with another parameter in the URL", "/?token_access=1&q=access_token", "", "Bearer " + good, 200},
		{"in the URL and in the field", "/?a=1&access_token=" + good, "", "Bearer " + good, 400},
		{"in the URL and in the field, where it is bad", "/?access_token=x", "", "Bearer x.y.z", 400},
	} {
		r := httptest.NewRequest("POST", tt.target, strings.NewReader(tt.body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if tt.field != "" {
			r.Header.Set("Authorization", tt.field)
		}
		if resp := serve(g, r); resp.StatusCode != tt.status {
			t.Errorf("%s: %d, want %d", tt.name, resp.StatusCode, tt.status)
		}
	}
}

func TestJWTBesideKeys(t *testing.T) {
	good, bad := hs(claims(nil)), hs(claims(m{"exp": 1}))
	for _, tt := range []struct {
		name     string
		prefixes []string
		token    string
		subject  string // "": refused
		asked    bool   // the verifier of opaque tokens
	}{
		{"a JWT is judged as one", nil, good, issuerName + "#alice", false},
		{"a JWT that is refused is not tried as a key", nil, bad, "", false},
		{"a JWT that the verifier would take is refused all the same", nil, "eyJhbGciOiJub25lIn0.e30.", "", false},
		{"three parts are a JWT, whatever is in them", nil, "sk.live.key", "", false},
		{"three empty parts are a JWT", nil, "..", "", false},
		{"a declared prefix is opaque, with two dots in it", []string{"sk."}, "sk.live.key", "sk.live.key", true},
		{"a key without dots is opaque", nil, "acme_key", "acme_key", true},
		{"a key with one dot is opaque", nil, "a.b", "a.b", true},
		{"an unknown key is not tried as a JWT", nil, "unknown", "", true},
		{"five parts are opaque: an encrypted token is nothing else to us", nil, "a.b.c.d.e", "a.b.c.d.e", true},
		{"three parts with a character of no JWT are opaque", nil, "a~.b.c", "a~.b.c", true},
		{"a prefix is compared byte for byte", []string{"SK."}, "sk.live.key", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := knowing("acme_key", "a.b", "sk.live.key", "a.b.c.d.e", "a~.b.c", "eyJhbGciOiJub25lIn0.e30.", bad)
			a := newAuthenticator(t, bearer.Config{Issuers: []bearer.Issuer{hmacIssuer()}, Opaque: o, OpaquePrefixes: tt.prefixes})
			p, err := present(a, tt.token)
			if tt.subject == "" && err == nil || tt.subject != "" && (err != nil || p.Subject != tt.subject) {
				t.Errorf("%v, %v; want %q", p, err, tt.subject)
			}
			if asked := len(o.asked) > 0; asked != tt.asked {
				t.Errorf("the verifier of keys was asked: %v", asked)
			}
		})
	}
}

func TestOpaqueTokens(t *testing.T) {
	t.Run("are presented with what is known of the request", func(t *testing.T) {
		o := knowing("key")
		r := request("Bearer key")
		r.RemoteAddr, r.Pattern = "192.0.2.7:1234", "GET /v1/{id}"
		if _, err := newAuthenticator(t, bearer.Config{Opaque: o}).Authenticate(r); err != nil {
			t.Fatal(err)
		}
		got := o.asked[0]
		if string(got.Secret) != "key" || got.Scheme != keystile.SchemeBearer || got.Addr.String() != "192.0.2.7" || got.Route != "GET /v1/{id}" {
			t.Errorf("%+v, secret %q", got, string(got.Secret))
		}
	})
	t.Run("are all there is without issuers", func(t *testing.T) {
		jwt := hs(claims(nil))
		if p := wantAccepted(t, newAuthenticator(t, bearer.Config{Opaque: knowing(jwt)}), jwt); p.Subject != jwt {
			t.Error(p)
		}
	})
	t.Run("are refused without a verifier", func(t *testing.T) {
		_, err := present(newAuthenticator(t, bearer.Config{}), "acme_key")
		wantRefused(t, err, keystile.CodeUnauthorized, "no verifier")
		if c := keystile.BearerChallenge(err); !strings.Contains(c, "invalid_token") {
			t.Error(c)
		}
	})
	for _, tt := range []struct {
		name   string
		err    error
		code   keystile.Code
		scheme keystile.Scheme
	}{
		{"a refusal is passed on", &keystile.Error{Code: keystile.CodeKeyRevoked, Scheme: keystile.SchemeBearer}, keystile.CodeKeyRevoked, keystile.SchemeBearer},
		{"a refusal without a scheme gets one", &keystile.Error{Code: keystile.CodeUnauthorized}, keystile.CodeUnauthorized, keystile.SchemeBearer},
		{"any other error is an outage", io.ErrUnexpectedEOF, keystile.CodeUnavailable, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := present(newAuthenticator(t, bearer.Config{Opaque: &opaque{err: tt.err}}), "key")
			var e *keystile.Error
			if !errors.As(err, &e) || e.Code != tt.code || e.Scheme != tt.scheme {
				t.Errorf("%+v", err)
			}
		})
	}
	t.Run("without principal or error are a mistake", func(t *testing.T) {
		_, err := present(newAuthenticator(t, bearer.Config{Opaque: silent{}}), "key")
		wantRefused(t, err, keystile.CodeInternal, "neither")
	})
}

type silent struct{}

func (silent) VerifyToken(context.Context, keystile.Presented) (*keystile.Principal, error) {
	return nil, nil
}

func TestVerifyWithoutARequest(t *testing.T) {
	a := newAuthenticator(t, bearer.Config{Issuers: []bearer.Issuer{hmacIssuer()}, Opaque: knowing("key")})
	for _, token := range []string{"key", hs(claims(nil))} {
		if _, err := a.Verify(t.Context(), keystile.Presented{Secret: keystile.Secret(token)}); err != nil {
			t.Errorf("%.10s: %v", token, err)
		}
	}
	_, err := a.Verify(t.Context(), keystile.Presented{})
	wantRefused(t, err, keystile.CodeInvalidRequest, "")
}

func TestTheZeroAuthenticatorRefusesEveryone(t *testing.T) {
	var a bearer.Authenticator
	_, err := present(&a, hs(claims(nil)))
	wantRefused(t, err, keystile.CodeInternal, "not made by New")
	_, err = a.Verify(t.Context(), keystile.Presented{Secret: "x"})
	wantRefused(t, err, keystile.CodeInternal, "not made by New")
	if err := a.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
