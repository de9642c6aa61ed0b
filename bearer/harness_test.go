package bearer_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/bearer"
)

// noon is when tests begin.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fakeClock is a clock that stands still until it is told.
type fakeClock struct{ ns atomic.Int64 }

func newFakeClock() *fakeClock {
	c := new(fakeClock)
	c.ns.Store(noon.UnixNano())
	return c
}

func (c *fakeClock) Now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *fakeClock) Advance(d time.Duration) { c.ns.Add(int64(d)) }

// Keys that all tests share: those of RSA take long to make.
var (
	rsaKey  = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	weakRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })
	ecKey   = sync.OnceValue(newEC)
	ec384   = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	ec521   = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) })
	edKey   = sync.OnceValue(func() ed25519.PrivateKey { _, k, err := ed25519.GenerateKey(rand.Reader); return must(k, err) })
)

func newEC() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// secret is long enough for every HMAC.
const secret = "a test secret of sixty-four bytes, which no one would ever guess"

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

const (
	issuerName = "https://issuer.example"
	service    = "https://api.example"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// sign signs exactly these texts, whatever is in them.
func sign(alg bearer.Algorithm, key any, header, claims string) string {
	input := b64(header) + "." + b64(claims)
	return input + "." + base64.RawURLEncoding.EncodeToString(mac(alg, key, input))
}

func mac(alg bearer.Algorithm, key any, input string) []byte {
	return must(jwt.GetSigningMethod(string(alg)).Sign(input, key))
}

// hs signs with the secret, under an ordinary header.
func hs(claims string) string {
	return sign(bearer.HS256, []byte(secret), `{"alg":"HS256","typ":"JWT"}`, claims)
}

// flipped returns the token with another character within its signature.
func flipped(token string) string {
	at, other := len(token)-10, "A"
	if token[at] == 'A' {
		other = "B"
	}
	return token[:at] + other + token[at+1:]
}

// claims are good ones at noon, with changes: a nil value takes a claim out.
func claims(changes map[string]any) string {
	all := map[string]any{"iss": issuerName, "aud": service, "sub": "alice", "iat": noon.Unix(), "exp": noon.Add(time.Hour).Unix(), "jti": "token-1"}
	for name, value := range changes {
		if value == nil {
			delete(all, name)
		} else {
			all[name] = value
		}
	}
	return string(must(json.Marshal(all)))
}

type m = map[string]any

// hmacIssuer is the issuer that most tests have.
func hmacIssuer() bearer.Issuer {
	return bearer.Issuer{
		Name: issuerName, Audience: []string{service}, Algorithms: []bearer.Algorithm{bearer.HS256},
		KeySet: bearer.StaticKeys(bearer.Key{Secret: secret}),
	}
}

// newAuthenticator fills in what a test does not care about.
func newAuthenticator(t testing.TB, c bearer.Config) *bearer.Authenticator {
	t.Helper()
	if c.Issuers == nil && c.Opaque == nil {
		c.Issuers = []bearer.Issuer{hmacIssuer()}
	}
	if c.Now == nil {
		c.Now = newFakeClock().Now
	}
	a, err := bearer.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return a
}

// withIssuer changes the issuer that most tests have.
func withIssuer(change func(*bearer.Issuer)) bearer.Config {
	is := hmacIssuer()
	change(&is)
	return bearer.Config{Issuers: []bearer.Issuer{is}}
}

func request(fields ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	if len(fields) > 0 {
		r.Header["Authorization"] = fields
	}
	return r
}

func present(a *bearer.Authenticator, token string) (*keystile.Principal, error) {
	return a.Authenticate(request("Bearer " + token))
}

// wantRefused checks the code and that the cause says why.
func wantRefused(t testing.TB, err error, code keystile.Code, why string) {
	t.Helper()
	var e *keystile.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("error %v, want code %s", err, code)
	} else if !strings.Contains(fmt.Sprint(e.Err), why) {
		t.Errorf("the cause is %q, want %q in it", e.Err, why)
	}
}

func wantAccepted(t testing.TB, a *bearer.Authenticator, token string) *keystile.Principal {
	t.Helper()
	p, err := present(a, token)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return p
}

func newGuard(t testing.TB, a keystile.Authenticator) *keystile.Guard {
	t.Helper()
	g, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: a, Realm: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func serve(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func mustRead(t testing.TB, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
