package bearer_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/bearer"
)

func newSigner(t testing.TB, c bearer.SignerConfig) *bearer.Signer {
	t.Helper()
	if c.Issuer == "" {
		c.Issuer = issuerName
	}
	if c.Audience == nil {
		c.Audience = []string{service}
	}
	if c.Keys == nil {
		c.Keys = []bearer.SigningKey{{ID: "a", Algorithm: bearer.ES256, Private: ecKey()}}
	}
	if c.TTL == 0 {
		c.TTL = 10 * time.Minute
	}
	if c.Now == nil {
		c.Now = newFakeClock().Now
	}
	s, err := bearer.NewSigner(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mint(t testing.TB, s *bearer.Signer, d bearer.Draft) string {
	t.Helper()
	if d.Subject == "" {
		d.Subject = "alice"
	}
	_, token, err := s.Mint(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

// signerOf returns the issuer that trusts the keys of s.
func signerOf(s *bearer.Signer, algorithms ...bearer.Algorithm) bearer.Issuer {
	is := hmacIssuer()
	is.Algorithms, is.KeySet = algorithms, s.KeySet()
	return is
}

func TestMint(t *testing.T) {
	for _, key := range []bearer.SigningKey{
		{ID: "a", Algorithm: bearer.ES256, Private: ecKey()}, {ID: "a", Algorithm: bearer.EdDSA, Private: edKey()},
		{ID: "a", Algorithm: bearer.RS256, Private: rsaKey()}, {ID: "a", Algorithm: bearer.HS256, Secret: secret},
	} {
		t.Run(string(key.Algorithm), func(t *testing.T) {
			s := newSigner(t, bearer.SignerConfig{Keys: []bearer.SigningKey{key}, Profile: bearer.ProfileAccessToken})
			is := signerOf(s, key.Algorithm)
			is.Profile, is.Principal.Account = bearer.ProfileAccessToken, "org"
			a := newAuthenticator(t, bearer.Config{Issuers: []bearer.Issuer{is}})
			made, token, err := s.Mint(bearer.Draft{Subject: "alice", ClientID: "web", Scopes: []string{"a:read", "b"}, TTL: time.Minute, Claims: m{"org": "acme"}})
			if err != nil {
				t.Fatal(err)
			}
			p := wantAccepted(t, a, string(token))
			if p.Subject != issuerName+"#alice" || p.Account != "acme" || p.Scopes.String() != "a:read, b" || p.CredentialID != made.ID || !p.Expires.Equal(noon.Add(time.Minute)) {
				t.Errorf("%+v", p)
			}
			c, _ := bearer.From(p)
			if c.ClientID != "web" || !c.IssuedAt.Equal(noon) || c.Audience[0] != service || !made.Expires.Equal(c.Expires) {
				t.Errorf("%+v", *c)
			}
			if raw, err := base64.RawURLEncoding.DecodeString(made.ID); err != nil || len(raw) != 16 {
				t.Errorf("jti %q", made.ID)
			}
			header, _, _ := strings.Cut(string(token), ".")
			text := string(must(base64.RawURLEncoding.DecodeString(header)))
			if want := fmt.Sprintf(`{"alg":%q,"kid":"a","typ":"at+jwt"}`, key.Algorithm); text != want {
				t.Errorf("header %s, want %s", text, want)
			}
		})
	}
}

func TestEveryTokenHasItsOwnID(t *testing.T) {
	s := newSigner(t, bearer.SignerConfig{Keys: []bearer.SigningKey{{ID: "a", Algorithm: bearer.HS256, Secret: secret}}})
	seen := map[string]bool{}
	for range 1000 {
		c, token, err := s.Mint(bearer.Draft{Subject: "alice"})
		if err != nil || seen[c.ID] || seen[string(token)] {
			t.Fatalf("%v, %v", c, err)
		}
		seen[c.ID], seen[string(token)] = true, true
	}
}

func TestDraftsThatAreRefused(t *testing.T) {
	s := newSigner(t, bearer.SignerConfig{})
	for _, tt := range []struct {
		name  string
		draft bearer.Draft
		want  string
	}{
		{"no subject", bearer.Draft{}, "Subject"},
		{"an empty audience", bearer.Draft{Subject: "a", Audience: []string{""}}, "Audience"},
		{"a longer life than the Signer gives", bearer.Draft{Subject: "a", TTL: 11 * time.Minute}, "TTL 11m0s"},
		{"a life that is over", bearer.Draft{Subject: "a", TTL: -1}, "TTL -1ns"},
		{"a life of less than a second", bearer.Draft{Subject: "a", TTL: time.Millisecond}, "TTL 1ms"},
		{"a scope that is two", bearer.Draft{Subject: "a", Scopes: []string{"Read Bots"}}, "RFC 6749"},
		{"an empty scope", bearer.Draft{Subject: "a", Scopes: []string{""}}, "RFC 6749"},
		{"a claim that has a field", bearer.Draft{Subject: "a", Claims: m{"sub": "b"}}, "sub"},
		{"a claim that is not theirs to set", bearer.Draft{Subject: "a", Claims: m{"exp": 1}}, "exp"},
		{"a claim without a JSON form", bearer.Draft{Subject: "a", Claims: m{"x": func() {}}}, "JSON"},
		{"a claim with a name twice", bearer.Draft{Subject: "a", Claims: m{"x": json.RawMessage(`{"a":1,"a":2}`)}}, "twice"},
		{"more than anybody reads", bearer.Draft{Subject: "a", Claims: m{"x": strings.Repeat("x", 8000)}}, "longer than 8192"},
	} {
		c, token, err := s.Mint(tt.draft)
		if c != nil || token != "" || !errors.Is(err, bearer.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	access := newSigner(t, bearer.SignerConfig{Profile: bearer.ProfileAccessToken})
	if _, _, err := access.Mint(bearer.Draft{Subject: "a"}); !errors.Is(err, bearer.ErrInvalid) || !strings.Contains(err.Error(), "ClientID") {
		t.Errorf("an access token without client: %v", err)
	}
}

func TestMistakesInASignerConfig(t *testing.T) {
	good := bearer.SigningKey{ID: "a", Algorithm: bearer.ES256, Private: ecKey()}
	for _, tt := range []struct {
		name   string
		change func(*bearer.SignerConfig)
		want   []string
	}{
		{"nothing at all", func(c *bearer.SignerConfig) { *c = bearer.SignerConfig{} }, []string{"Issuer: is empty", "Audience", "TTL (0s)", "Keys: is empty"}},
		{"a name with a space", func(c *bearer.SignerConfig) { c.Issuer = "a b" }, []string{"Issuer"}},
		{"tokens for two days", func(c *bearer.SignerConfig) { c.TTL = 48 * time.Hour }, []string{"TTL (48h0m0s)"}},
		{"tokens for a millisecond", func(c *bearer.SignerConfig) { c.TTL = time.Millisecond }, []string{"TTL (1ms)"}},
		{"a profile nobody knows", func(c *bearer.SignerConfig) { c.Profile = 9 }, []string{"Profile (9)"}},
		{"a cache before now", func(c *bearer.SignerConfig) { c.CacheFor = -1 }, []string{"CacheFor"}},
		{"a key without a name", func(c *bearer.SignerConfig) { c.Keys[0].ID = "" }, []string{"Keys[0].ID"}},
		{"an algorithm that is not signed with", func(c *bearer.SignerConfig) { c.Keys[0].Algorithm = bearer.PS256 }, []string{"Keys[0].Algorithm (\"PS256\")"}},
		{"no algorithm", func(c *bearer.SignerConfig) { c.Keys[0].Algorithm = "none" }, []string{"Keys[0].Algorithm"}},
		{"a key of another kind", func(c *bearer.SignerConfig) { c.Keys[0].Private = rsaKey() }, []string{`Keys[0] ("a"): is no key for ES256`}},
		{"a public key", func(c *bearer.SignerConfig) { c.Keys[0].Private = ecKey().Public() }, []string{"is no key for ES256"}},
		{"a key and a secret", func(c *bearer.SignerConfig) { c.Keys[0].Secret = secret }, []string{"is no key for ES256"}},
		{"a key of another curve", func(c *bearer.SignerConfig) { c.Keys[0].Private = ec384() }, []string{"cannot use"}},
		{"a weak RSA key", func(c *bearer.SignerConfig) { c.Keys[0].Algorithm, c.Keys[0].Private = bearer.RS256, weakRSA() }, []string{"shorter than 2048"}},
		{"a short secret", func(c *bearer.SignerConfig) {
			c.Keys[0] = bearer.SigningKey{ID: "a", Algorithm: bearer.HS256, Secret: "short"}
		}, []string{"shorter than the hash"}},
		{"a secret for a signature", func(c *bearer.SignerConfig) {
			c.Keys[0] = bearer.SigningKey{ID: "a", Algorithm: bearer.EdDSA, Secret: secret}
		}, []string{"is no key for EdDSA"}},
		{"an end of the key that signs", func(c *bearer.SignerConfig) { c.Keys[0].Until = noon }, []string{"Keys[0].Until"}},
		{"two keys of one name", func(c *bearer.SignerConfig) { c.Keys = append(c.Keys, good) }, []string{"same kid"}},
		{"a secret beside a key", func(c *bearer.SignerConfig) {
			c.Keys = append(c.Keys, bearer.SigningKey{ID: "b", Algorithm: bearer.HS256, Secret: secret})
		}, []string{"mixes"}},
	} {
		c := bearer.SignerConfig{Issuer: issuerName, Audience: []string{service}, Keys: []bearer.SigningKey{good}, TTL: time.Minute}
		tt.change(&c)
		s, err := bearer.NewSigner(c)
		if s != nil {
			t.Errorf("%s: there is a Signer", tt.name)
		}
		wantMistakes(t, tt.name, err, tt.want...)
	}
	s := newSigner(t, bearer.SignerConfig{})
	_, err := bearer.New(bearer.Config{Issuers: []bearer.Issuer{func() bearer.Issuer {
		is := signerOf(s, bearer.RS256)
		is.Name = "https://other.example"
		return is
	}()}})
	wantMistakes(t, "a Signer of another issuer and algorithm", err, "is for tokens of another issuer", "is not among the Algorithms")
	_, err = bearer.New(bearer.Config{Issuers: []bearer.Issuer{signerOf(new(bearer.Signer), bearer.ES256)}})
	wantMistakes(t, "no Signer", err, "not made by NewSigner")
}

func TestRotation(t *testing.T) {
	clock := newFakeClock()
	s := newSigner(t, bearer.SignerConfig{Now: clock.Now})
	a := newAuthenticator(t, bearer.Config{Issuers: []bearer.Issuer{signerOf(s, bearer.ES256, bearer.EdDSA)}, Now: clock.Now})
	first := mint(t, s, bearer.Draft{})
	wantAccepted(t, a, first)

	clock.Advance(5 * time.Minute)
	next := bearer.SigningKey{ID: "b", Algorithm: bearer.EdDSA, Private: edKey()}
	if err := s.Rotate(next); err != nil {
		t.Fatal(err)
	}
	if err := s.Rotate(next); err != nil {
		t.Errorf("once more: %v", err)
	}
	second := mint(t, s, bearer.Draft{})
	if kids(t, s) != "b a" {
		t.Errorf("published: %s", kids(t, s))
	}
	wantAccepted(t, a, first)
	if p := wantAccepted(t, a, second); p.Subject != issuerName+"#alice" {
		t.Error(p)
	}

	clock.Advance(10*time.Minute + time.Minute - time.Second)
	if kids(t, s) != "b a" {
		t.Errorf("published a second before the last token of a ends: %s", kids(t, s))
	}
	lasting := sign(bearer.ES256, ecKey(), `{"alg":"ES256","kid":"a"}`, claims(m{"exp": noon.Add(9 * time.Hour).Unix()}))
	wantAccepted(t, a, lasting)
	clock.Advance(time.Second)
	if kids(t, s) != "b" {
		t.Errorf("published after the last token of a has ended: %s", kids(t, s))
	}
	_, err := present(a, lasting) // although it is remembered
	wantRefused(t, err, keystile.CodeUnauthorized, "no key")
	wantAccepted(t, a, mint(t, s, bearer.Draft{}))
}

func TestRotationsThatAreRefused(t *testing.T) {
	s := newSigner(t, bearer.SignerConfig{})
	for _, tt := range []struct {
		name string
		next bearer.SigningKey
		want []string
	}{
		{"another key of the same name", bearer.SigningKey{ID: "a", Algorithm: bearer.ES256, Private: secondEC()}, []string{"is the ID of another key"}},
		{"a key that ends", bearer.SigningKey{ID: "b", Algorithm: bearer.ES256, Private: secondEC(), Until: noon}, []string{"Rotate.Until"}},
		{"a secret after a key", bearer.SigningKey{ID: "b", Algorithm: bearer.HS256, Secret: secret}, []string{"mixes"}},
		{"no key", bearer.SigningKey{}, []string{"Rotate.ID", "Rotate.Algorithm"}},
	} {
		wantMistakes(t, tt.name, s.Rotate(tt.next), tt.want...)
	}
	if kids(t, s) != "a" {
		t.Errorf("published: %s", kids(t, s))
	}
}

// A key may be published before it signs, and one that signs no more until its
// tokens have ended, over a restart too.
func TestKeysThatOnlyVerify(t *testing.T) {
	clock := newFakeClock()
	s := newSigner(t, bearer.SignerConfig{Now: clock.Now, Keys: []bearer.SigningKey{
		{ID: "now", Algorithm: bearer.ES256, Private: ecKey()}, {ID: "next", Algorithm: bearer.ES256, Private: secondEC()},
		{ID: "old", Algorithm: bearer.ES256, Private: newEC(), Until: noon.Add(time.Minute)}, {ID: "older", Algorithm: bearer.RS256, Private: rsaKey(), Until: noon},
	}})
	if got := kids(t, s); got != "now next old" {
		t.Errorf("published: %s", got)
	}
	if err := s.Rotate(bearer.SigningKey{ID: "next", Algorithm: bearer.ES256, Private: secondEC()}); err != nil {
		t.Fatal(err)
	}
	if got := kids(t, s); got != "next now old" {
		t.Errorf("published: %s", got)
	}
	clock.Advance(time.Minute)
	if got := kids(t, s); got != "next now" {
		t.Errorf("published: %s", got)
	}
}

// kids returns the kids of the published keys.
func kids(t testing.TB, s *bearer.Signer) string {
	t.Helper()
	resp := serve(s.JWKS(), httptest.NewRequest("GET", "/jwks.json", nil))
	var set struct{ Keys []struct{ Kid string } }
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, k := range set.Keys {
		all = append(all, k.Kid)
	}
	return strings.Join(all, " ")
}

func TestThePublishedSet(t *testing.T) {
	s := newSigner(t, bearer.SignerConfig{CacheFor: time.Minute, Keys: []bearer.SigningKey{
		{ID: "e", Algorithm: bearer.ES256, Private: ecKey()}, {ID: "d", Algorithm: bearer.EdDSA, Private: edKey()}, {ID: "r", Algorithm: bearer.RS256, Private: rsaKey()},
	}})
	resp := serve(s.JWKS(), httptest.NewRequest("GET", "/", nil))
	body := string(must(io.ReadAll(resp.Body)))
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/jwk-set+json" || resp.Header.Get("Cache-Control") != "public, max-age=60" ||
		resp.Header.Get("Content-Length") != fmt.Sprint(len(body)) || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(body), &set); err != nil || len(set.Keys) != 3 {
		t.Fatalf("%s, %v", body, err)
	}
	allowed := map[string]bool{"kty": true, "use": true, "alg": true, "kid": true, "crv": true, "x": true, "y": true, "n": true, "e": true}
	for _, key := range set.Keys {
		for name := range key {
			if !allowed[name] {
				t.Errorf("%v is published with %s", key["kid"], name)
			}
		}
	}
	private := []*big.Int{rsaKey().D, rsaKey().Primes[0], new(big.Int).SetBytes(must(ecKey().Bytes())), new(big.Int).SetBytes(edKey().Seed())}
	for i, part := range private {
		if strings.Contains(body, b64(string(part.Bytes()))) || strings.Contains(body, b64(string(part.FillBytes(make([]byte, 256))))) {
			t.Errorf("private part %d is published", i)
		}
	}
	// Another service verifies with what is published.
	a := newAuthenticator(t, withIssuer(func(is *bearer.Issuer) {
		is.Algorithms, is.KeySet = []bearer.Algorithm{bearer.ES256, bearer.EdDSA, bearer.RS256}, bearer.StaticJWKS([]byte(body))
	}))
	wantAccepted(t, a, mint(t, s, bearer.Draft{}))

	head := serve(s.JWKS(), httptest.NewRequest("HEAD", "/", nil))
	if text, _ := io.ReadAll(head.Body); head.StatusCode != 200 || len(text) != 0 || head.Header.Get("Content-Length") != fmt.Sprint(len(body)) {
		t.Errorf("HEAD: %d %v %q", head.StatusCode, head.Header, text)
	}
	post := serve(s.JWKS(), httptest.NewRequest("POST", "/", nil))
	if post.StatusCode != 405 || post.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %v", post.StatusCode, post.Header)
	}
}

func TestSecretsAreNeverPublished(t *testing.T) {
	s := newSigner(t, bearer.SignerConfig{Keys: []bearer.SigningKey{{ID: "a", Algorithm: bearer.HS256, Secret: secret}}})
	if body := string(must(io.ReadAll(serve(s.JWKS(), httptest.NewRequest("GET", "/", nil)).Body))); body != `{"keys":[]}` {
		t.Error(body)
	}
}

func TestSigningKeysPrintNothingPrivate(t *testing.T) {
	d := new(big.Int).SetBytes(must(ecKey().Bytes()))
	c := bearer.SignerConfig{Keys: []bearer.SigningKey{{ID: "the-id", Algorithm: bearer.ES256, Private: ecKey()}, {ID: "h", Algorithm: bearer.HS256, Secret: secret}}}
	s := newSigner(t, bearer.SignerConfig{Keys: c.Keys[:1]})
	a := newAuthenticator(t, bearer.Config{Issuers: []bearer.Issuer{signerOf(s, bearer.ES256)}})
	var log strings.Builder
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("x", "key", c.Keys[0], "config", c, "signer", s, "authenticator", a)
	marshalled, _ := json.Marshal(c.Keys)
	text := fmt.Sprintf("%v %+v %#v %s %x", c, c, c, c.Keys[0], c.Keys) + fmt.Sprint(c.Keys[0], s, a) + fmt.Sprintf("%+v %#v %+v %#v", s, s, a, a) + log.String() + string(marshalled)
	for _, private := range []string{d.String(), fmt.Sprintf("%x", d), b64(string(d.Bytes())), secret[:20], fmt.Sprintf("%x", secret[:20])} {
		if strings.Contains(text, private) {
			t.Errorf("%q is printed", private)
		}
	}
	if !strings.Contains(text, "the-id") {
		t.Error(text)
	}
}

func TestTheZeroSigner(t *testing.T) {
	for _, s := range []*bearer.Signer{nil, {}} {
		if _, _, err := s.Mint(bearer.Draft{Subject: "a"}); err == nil {
			t.Error("mints")
		}
		if s.Rotate(bearer.SigningKey{}) == nil {
			t.Error("rotates")
		}
		if got := serve(s.JWKS(), httptest.NewRequest("GET", "/", nil)).StatusCode; got != http.StatusInternalServerError {
			t.Errorf("publishes: %d", got)
		}
	}
}

// Minting, rotating, publishing and verifying at once.
func TestASignerIsSafeForConcurrentUse(t *testing.T) {
	clock := newFakeClock()
	s := newSigner(t, bearer.SignerConfig{Now: clock.Now, TTL: time.Minute})
	a := newAuthenticator(t, bearer.Config{Issuers: []bearer.Issuer{signerOf(s, bearer.ES256)}, Now: clock.Now})
	keys := []bearer.SigningKey{{ID: "a", Algorithm: bearer.ES256, Private: ecKey()}, {ID: "b", Algorithm: bearer.ES256, Private: secondEC()}}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 30 {
				if worker == 0 {
					if err := s.Rotate(keys[i%2]); err != nil {
						t.Error(err)
					}
					clock.Advance(time.Second)
					continue
				}
				if _, err := present(a, mint(t, s, bearer.Draft{})); err != nil {
					t.Error(err)
				}
				if got := kids(t, s); got == "" {
					t.Error("nothing is published")
				}
			}
		})
	}
	wg.Wait()
}
