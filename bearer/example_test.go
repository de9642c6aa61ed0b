package bearer_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/bearer"
)

// whoami answers who is calling.
var whoami = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	p, _ := keystile.PrincipalFrom(r.Context())
	fmt.Fprintf(w, "%s %s, account %q, may read: %v", p.Scheme, p.Subject, p.Account, p.Scopes.Has("contacts:read"))
})

// call sends one request with a token and prints the answer.
func call(h http.Handler, token string) {
	r := httptest.NewRequest("GET", "/", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code == http.StatusOK {
		fmt.Println(w.Code, w.Body)
		return
	}
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
}

// A service that mints short-lived tokens for itself and judges them.
func Example() {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	signer, err := bearer.NewSigner(bearer.SignerConfig{
		Issuer:   "https://login.example.com",
		Audience: []string{"https://api.example.com"},
		Keys:     []bearer.SigningKey{{ID: "2026-03", Algorithm: bearer.ES256, Private: private}},
		TTL:      15 * time.Minute,
	})
	if err != nil {
		panic(err)
	}
	tokens, err := bearer.New(bearer.Config{
		Issuers: []bearer.Issuer{{
			Name:       "https://login.example.com",
			Audience:   []string{"https://api.example.com"},
			Algorithms: []bearer.Algorithm{bearer.ES256},
			KeySet:     signer.KeySet(), // elsewhere: bearer.RemoteKeys
			Principal:  bearer.Mapping{Account: "org"},
		}},
	})
	if err != nil {
		panic(err)
	}
	guard, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: tokens, Realm: "example"})
	if err != nil {
		panic(err)
	}
	h := guard.Wrap(whoami)

	_, token, err := signer.Mint(bearer.Draft{Subject: "alice", Scopes: []string{"contacts:read"}, Claims: map[string]any{"org": "acme"}})
	if err != nil {
		panic(err)
	}
	fmt.Println("printed:", token)
	call(h, string(token))
	call(h, string(token)+"A")
	call(h, "")
	// Output:
	// printed: REDACTED
	// 200 jwt https://login.example.com#alice, account "acme", may read: true
	// 401 Bearer realm="example", error="invalid_token", error_description="Valid credentials are required."
	// 401 Bearer realm="example"
}

// keyTable stands for *apikey.Keys.
type keyTable map[string]*keystile.Principal

func (t keyTable) VerifyToken(_ context.Context, p keystile.Presented) (*keystile.Principal, error) {
	if known := t[string(p.Secret)]; known != nil {
		return known, nil
	}
	return nil, &keystile.Error{Code: keystile.CodeUnauthorized, Scheme: p.Scheme}
}

// JWTs and API keys under one header field.
func ExampleConfig_opaque() {
	keys := keyTable{"acme_7Fq2": {Subject: "key_1", Account: "acme", Scheme: keystile.SchemeBearer}}
	tokens, err := bearer.New(bearer.Config{
		Issuers: []bearer.Issuer{{
			Name: "https://login.example.com", Audience: []string{"https://api.example.com"}, Algorithms: []bearer.Algorithm{bearer.HS256},
			KeySet: bearer.StaticKeys(bearer.Key{Secret: "thirty-two random bytes, or more of them"}),
		}},
		Opaque:         keys,
		OpaquePrefixes: []string{"acme_"},
	})
	if err != nil {
		panic(err)
	}
	guard, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: tokens, Realm: "example"})
	if err != nil {
		panic(err)
	}
	call(guard.Wrap(whoami), "acme_7Fq2")
	call(guard.Wrap(whoami), "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.")
	// Output:
	// 200 bearer key_1, account "acme", may read: false
	// 401 Bearer realm="example", error="invalid_token", error_description="Valid credentials are required."
}

// What a token says besides: typed claims, single ones, or all into a struct.
func ExampleFrom() {
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p, _ := keystile.PrincipalFrom(r.Context())
		c, ok := bearer.From(p)
		if !ok {
			return // a key, or a name and password
		}
		email, _ := c.Text("email")
		var more struct {
			Department string `json:"department"`
		}
		if err := c.Decode(&more); err != nil {
			return
		}
		fmt.Println(c.Subject, email, more.Department)
	})
	tokens := newExample(bearer.Config{})
	guard, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: tokens, Realm: "example"})
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+hs(claims(m{"email": "alice@example.com", "department": "sales"})))
	guard.Wrap(h).ServeHTTP(httptest.NewRecorder(), r)
	// Output:
	// alice alice@example.com sales
}

// newExample is New with the issuer of the tests and their clock.
func newExample(c bearer.Config) *bearer.Authenticator {
	c.Issuers, c.Now = []bearer.Issuer{hmacIssuer()}, newFakeClock().Now
	return must(bearer.New(c))
}

// A list of tokens that end early. It is asked for every request, so that it works
// at once.
func ExampleConfig_revoked() {
	ended := map[string]bool{}
	tokens := newExample(bearer.Config{
		Revoked: func(_ context.Context, c *bearer.Claims) (bool, error) { return ended[c.Issuer+" "+c.ID], nil },
	})
	guard, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: tokens, Realm: "example"})
	if err != nil {
		panic(err)
	}
	token := hs(claims(m{"jti": "logout-me"}))
	call(guard.Wrap(whoami), token)
	ended["https://issuer.example logout-me"] = true
	call(guard.Wrap(whoami), token)
	// Output:
	// 200 jwt https://issuer.example#alice, account "", may read: false
	// 401 Bearer realm="example", error="invalid_token", error_description="The key has been revoked."
}

// New reports all mistakes at once.
func ExampleNew_mistakes() {
	_, err := bearer.New(bearer.Config{
		Issuers: []bearer.Issuer{{
			Name:       "https://login.example.com",
			Algorithms: []bearer.Algorithm{"none"},
			KeySet:     bearer.RemoteKeys(bearer.RemoteConfig{URL: "http://login.example.com/jwks"}),
		}},
	})
	fmt.Println(err)
	var mistake *keystile.ConfigError
	fmt.Println(errors.As(err, &mistake))
	// Output:
	// bearer.Config.Issuers[0].Audience: is empty; name this service as the aud of its tokens does, or else a token for another service would open this one
	// bearer.Config.Issuers[0].Algorithms[0] ("none"): is for tokens that nobody signed, which are never accepted; leave it out
	// bearer.Config.Issuers[0].KeySet: bearer.RemoteConfig.URL ("http://login.example.com/jwks"): is not an https address, and whoever answers another one chooses the keys; use https
	// true
}

// Publishing the public keys, and replacing the one that signs.
func ExampleSigner_Rotate() {
	signer, err := bearer.NewSigner(bearer.SignerConfig{
		Issuer: "https://login.example.com", Audience: []string{"https://api.example.com"},
		Keys: []bearer.SigningKey{{ID: "2026-03", Algorithm: bearer.ES256, Private: ecKey()}},
		TTL:  15 * time.Minute,
	})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /.well-known/jwks.json", signer.JWKS())

	if err := signer.Rotate(bearer.SigningKey{ID: "2026-04", Algorithm: bearer.ES256, Private: newEC()}); err != nil {
		panic(err)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/.well-known/jwks.json", nil))
	var set struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil {
		panic(err)
	}
	fmt.Println(w.Header().Get("Content-Type"), set.Keys)
	// Output:
	// application/jwk-set+json [{2026-04} {2026-03}]
}
