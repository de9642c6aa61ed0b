package bearer_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/bearer"
)

// mistakes returns the mistakes in err, one by one.
func mistakes(t testing.TB, err error) []*keystile.ConfigError {
	t.Helper()
	var all []*keystile.ConfigError
	var walk func(error)
	walk = func(err error) {
		if e, ok := err.(*keystile.ConfigError); ok {
			all = append(all, e)
		} else if several, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range several.Unwrap() {
				walk(e)
			}
		} else if err != nil {
			t.Errorf("%T in the tree of mistakes: %v", err, err)
		}
	}
	walk(err)
	return all
}

// wantMistakes checks that err holds a mistake with each of the texts, and no
// other.
func wantMistakes(t testing.TB, name string, err error, want ...string) {
	t.Helper()
	all := mistakes(t, err)
	if len(all) != len(want) {
		t.Errorf("%s: %d mistakes, want %d: %v", name, len(all), len(want), err)
		return
	}
	for i, text := range want {
		if !strings.Contains(all[i].Error(), text) {
			t.Errorf("%s: mistake %d is %q, want %q in it", name, i, all[i], text)
		}
	}
}

func TestMistakesInAConfig(t *testing.T) {
	weak := &weakRSA().PublicKey
	rs := func(is *bearer.Issuer) { is.Algorithms = []bearer.Algorithm{bearer.RS256} }
	for _, tt := range []struct {
		name   string
		config bearer.Config
		want   []string
	}{
		{"nothing at all", bearer.Config{}, []string{"bearer.Config.Issuers: is empty and so is Opaque"}},
		{"a number of tokens that is none", bearer.Config{Opaque: silent{}, Remember: -2}, []string{"bearer.Config.Remember (-2)"}},
		{"an empty prefix", bearer.Config{Opaque: silent{}, OpaquePrefixes: []string{""}}, []string{"OpaquePrefixes[0] (\"\"): is empty"}},
		{"a prefix of no token", bearer.Config{Opaque: silent{}, OpaquePrefixes: []string{"acme_", "acme key"}}, []string{"OpaquePrefixes[1]"}},
		{"a prefix and no verifier", bearer.Config{Issuers: []bearer.Issuer{hmacIssuer()}, OpaquePrefixes: []string{"acme_"}}, []string{"no Opaque"}},
		{"a prefix that JWTs have", bearer.Config{Issuers: []bearer.Issuer{hmacIssuer()}, Opaque: silent{}, OpaquePrefixes: []string{"eyJ", "ey", "eyJhb"}}, []string{"begins JWTs", "begins JWTs", "begins JWTs"}},
		{"an empty issuer", bearer.Config{Issuers: []bearer.Issuer{{}}}, []string{
			"bearer.Config.Issuers[0].Name: is empty", "Issuers[0].Audience: is empty", "Issuers[0].Algorithms: is empty", "Issuers[0].KeySet: is the zero value",
		}},
		{"one issuer twice", bearer.Config{Issuers: []bearer.Issuer{hmacIssuer(), hmacIssuer()}}, []string{"Issuers[1].Name"}},
		{"a name with a space", withIssuer(func(is *bearer.Issuer) { is.Name = "my issuer" }), []string{"has a space"}},
		{"a name with a fragment", withIssuer(func(is *bearer.Issuer) { is.Name = "https://issuer.example#a" }), []string{"a #"}},
		{"an empty audience among others", withIssuer(func(is *bearer.Issuer) { is.Audience = []string{"a", ""} }), []string{"Audience ([a ]): has an empty member"}},
		{"the algorithm none", withIssuer(func(is *bearer.Issuer) { is.Algorithms = []bearer.Algorithm{bearer.HS256, "None"} }), []string{`Algorithms[1] ("None"): is for tokens that nobody signed`}},
		{"an algorithm nobody knows", withIssuer(func(is *bearer.Issuer) { is.Algorithms = []bearer.Algorithm{bearer.HS256, "hs256"} }), []string{"is not an algorithm"}},
		{"secrets and public keys", withIssuer(func(is *bearer.Issuer) { is.Algorithms = []bearer.Algorithm{bearer.HS256, bearer.RS256} }), []string{"mixes shared secrets"}},
		{"a leeway of two minutes", withIssuer(func(is *bearer.Issuer) { is.Leeway = 2 * time.Minute }), []string{"Leeway (2m0s)"}},
		{"a leeway that is negative", withIssuer(func(is *bearer.Issuer) { is.Leeway = -1 }), []string{"Leeway (-1ns)"}},
		{"a profile nobody knows", withIssuer(func(is *bearer.Issuer) { is.Profile = 7 }), []string{"Profile (7)"}},
		{"a profile that demands what is waived", withIssuer(func(is *bearer.Issuer) { is.Profile, is.InsecureNoAudience = bearer.ProfileAccessToken, true }), []string{"RFC 9068"}},
		{"two issuers for tokens that name none", bearer.Config{Issuers: func() []bearer.Issuer {
			a, b := hmacIssuer(), hmacIssuer()
			a.InsecureNoIssuer, b.InsecureNoIssuer, b.Name = true, true, "b"
			return []bearer.Issuer{a, b}
		}()}, []string{"Issuers[1].InsecureNoIssuer"}},
		{"an empty name of a scope claim", withIssuer(func(is *bearer.Issuer) { is.Principal.Scopes = []string{""} }), []string{"Principal.Scopes"}},
		{"grants without roles", withIssuer(func(is *bearer.Issuer) { is.Principal.Grants = map[string][]string{"a": {"b"}} }), []string{"Principal.Grants"}},
		{"roles without grants", withIssuer(func(is *bearer.Issuer) { is.Principal.Roles = "roles" }), []string{"Principal.Roles"}},
		{"a grant of nothing", withIssuer(func(is *bearer.Issuer) {
			is.Principal.Roles, is.Principal.Grants = "roles", map[string][]string{"a": {""}}
		}), []string{`Principal.Grants["a"]`}},

		{"no keys", withIssuer(func(is *bearer.Issuer) { is.KeySet = bearer.StaticKeys() }), []string{"bearer.StaticKeys: the set has no key"}},
		{"a key of nothing", withIssuer(func(is *bearer.Issuer) { is.KeySet = bearer.StaticKeys(bearer.Key{}) }), []string{"StaticKeys[0] (\"\"): has neither"}},
		{"a key of both kinds", withIssuer(func(is *bearer.Issuer) {
			is.KeySet = bearer.StaticKeys(bearer.Key{ID: "k", Secret: secret, Public: &rsaKey().PublicKey})
		}), []string{`StaticKeys[0] ("k"): has both`}},
		{"bytes for a public key", withIssuer(func(is *bearer.Issuer) { is.KeySet = bearer.StaticKeys(bearer.Key{Public: []byte(secret)}) }), []string{"is bytes"}},
		{"a private key for a public one", withIssuer(func(is *bearer.Issuer) { rs(is); is.KeySet = bearer.StaticKeys(bearer.Key{Public: rsaKey()}) }), []string{"is a private key"}},
		{"R34: an RSA key of 1024 bits", withIssuer(func(is *bearer.Issuer) { rs(is); is.KeySet = bearer.StaticKeys(bearer.Key{Public: weak}) }), []string{"shorter than 2048 bits"}},
		{"R34: a secret of 31 bytes", withIssuer(func(is *bearer.Issuer) {
			is.KeySet = bearer.StaticKeys(bearer.Key{Secret: "s" + keystile.Secret(secret[:30])})
		}), []string{"shorter than the hash"}},
		{"R34: a secret of 32 bytes for two hashes", withIssuer(func(is *bearer.Issuer) {
			is.Algorithms = []bearer.Algorithm{bearer.HS256, bearer.HS512}
			is.KeySet = bearer.StaticKeys(bearer.Key{Secret: keystile.Secret(secret[:32])})
		}), []string{"shorter than the hash of HS512"}},
		{"a key for other algorithms", withIssuer(func(is *bearer.Issuer) { rs(is); is.KeySet = bearer.StaticKeys(bearer.Key{Public: &ecKey().PublicKey}) }), []string{"fits none of the Algorithms"}},
		{"two keys with one ID", withIssuer(func(is *bearer.Issuer) {
			is.KeySet = bearer.StaticKeys(bearer.Key{ID: "a", Secret: secret}, bearer.Key{ID: "a", Secret: secret + "!"})
		}), []string{"same kid"}},
		{"sixty-five keys", withIssuer(func(is *bearer.Issuer) {
			keys := make([]bearer.Key, 65)
			for i := range keys {
				keys[i] = bearer.Key{ID: fmt.Sprint(i), Secret: secret}
			}
			is.KeySet = bearer.StaticKeys(keys...)
		}), []string{"more than 64"}},
		{"several bad keys", withIssuer(func(is *bearer.Issuer) {
			is.KeySet = bearer.StaticKeys(bearer.Key{Secret: "short"}, bearer.Key{ID: "good", Secret: secret}, bearer.Key{Public: ed25519.PublicKey("short")})
		}), []string{"StaticKeys[0]", "StaticKeys[2]"}},
		{"a broken set", withIssuer(func(is *bearer.Issuer) { is.KeySet = bearer.StaticJWKS([]byte("{")) }), []string{"bearer.StaticJWKS: cannot be used"}},
		{"a set with a secret that is too short", withIssuer(func(is *bearer.Issuer) {
			is.Algorithms = []bearer.Algorithm{bearer.HS512}
			is.KeySet = bearer.StaticJWKS([]byte(`{"kty":"oct","k":"` + b64(secret[:40]) + `"}`))
		}), []string{"shorter than the hash of HS512"}},
		{"a set for other algorithms", withIssuer(func(is *bearer.Issuer) { rs(is); is.KeySet = bearer.StaticJWKS([]byte(ecSet("a", ecKey()))) }), []string{"no key in it fits"}},
		{"a file that is not there", withIssuer(func(is *bearer.Issuer) { is.KeySet = bearer.KeyFile("/nowhere/keys.json") }), []string{"/nowhere/keys.json"}},

		{"no address of keys", remote(bearer.RemoteConfig{}), []string{"RemoteConfig.URL: is empty"}},
		{"an address and a discovery", remote(bearer.RemoteConfig{URL: "https://a.example", Discovery: bearer.DiscoverOpenID}), []string{"besides Discovery"}},
		{"R57: keys over http", remote(bearer.RemoteConfig{URL: "http://a.example/jwks"}), []string{"is not an https address"}},
		{"R57: keys from a file", remote(bearer.RemoteConfig{URL: "file:///etc/keys"}), []string{"is not an https address"}},
		{"keys from nowhere", remote(bearer.RemoteConfig{URL: "https:///jwks"}), []string{"names no host"}},
		{"an address that is none", remote(bearer.RemoteConfig{URL: "https://a.example:port"}), []string{"is not a URL"}},
		{"an address with a password", remote(bearer.RemoteConfig{URL: "https://u:p@a.example"}), []string{"user name"}},
		{"an address with a fragment", remote(bearer.RemoteConfig{URL: "https://a.example#b"}), []string{"fragment"}},
		{"a discovery nobody knows", remote(bearer.RemoteConfig{Discovery: 9}), []string{"Discovery (9)"}},
		{"durations that are negative", remote(bearer.RemoteConfig{URL: "https://a.example", RefreshAfter: -1, MinInterval: -1, MaxAge: -1, Timeout: -1}), []string{"RefreshAfter", "MinInterval", "MaxAge", "Timeout"}},
		{"R57: a timeout of ten seconds", remote(bearer.RemoteConfig{URL: "https://a.example", Timeout: 10 * time.Second}), []string{"Timeout (10s)"}},
		{"an age that ends before it is refreshed", remote(bearer.RemoteConfig{URL: "https://a.example", MaxAge: time.Minute}), []string{"MaxAge (1m0s)"}},
		{"an interval longer than the age", remote(bearer.RemoteConfig{URL: "https://a.example", MinInterval: time.Hour}), []string{"MinInterval (1h0m0s)"}},
		{"a secret that is published", withIssuer(func(is *bearer.Issuer) { is.KeySet = bearer.RemoteKeys(bearer.RemoteConfig{URL: "https://a.example"}) }), []string{"nobody can publish"}},
		{"a discovery of an issuer that has no address", withIssuer(func(is *bearer.Issuer) {
			rs(is)
			is.Name, is.KeySet = "acme", bearer.RemoteKeys(bearer.RemoteConfig{Discovery: bearer.DiscoverOAuth})
		}), []string{"Discovery (\"acme\"): needs an Issuer.Name to ask"}},
		{"a discovery of an issuer with a query", withIssuer(func(is *bearer.Issuer) {
			rs(is)
			is.Name, is.KeySet = "https://a.example?x=1", bearer.RemoteKeys(bearer.RemoteConfig{Discovery: bearer.DiscoverOAuth})
		}), []string{"without a query"}},
	} {
		a, err := bearer.New(tt.config)
		if a != nil {
			t.Errorf("%s: there is an Authenticator", tt.name)
		}
		wantMistakes(t, tt.name, err, tt.want...)
		var ce *keystile.ConfigError
		if !errors.As(err, &ce) {
			t.Errorf("%s: %T", tt.name, err)
		}
		for _, printed := range []string{fmt.Sprint(err), fmt.Sprintf("%+v", tt.config)} {
			if strings.Contains(printed, secret[:20]) {
				t.Errorf("%s: the secret is printed: %s", tt.name, printed)
			}
		}
	}
}

func remote(c bearer.RemoteConfig) bearer.Config {
	return withIssuer(func(is *bearer.Issuer) {
		is.Algorithms, is.KeySet = []bearer.Algorithm{bearer.RS256}, bearer.RemoteKeys(c)
	})
}

func TestAConfigIsCopied(t *testing.T) {
	is := hmacIssuer()
	is.Principal = bearer.Mapping{Roles: "roles", Grants: map[string][]string{"admin": {"contacts:read"}}, Scopes: []string{"scope"}}
	c := bearer.Config{Issuers: []bearer.Issuer{is}, Opaque: knowing("sk.a.b"), OpaquePrefixes: []string{"sk."}}
	a := newAuthenticator(t, c)
	is.Audience[0], is.Algorithms[0], c.OpaquePrefixes[0], c.Issuers[0].Name = "other", bearer.HS512, "x", "other"
	is.Principal.Grants["admin"][0], is.Principal.Scopes[0] = "*", "jti"
	wantAccepted(t, a, "sk.a.b")
	if p := wantAccepted(t, a, hs(claims(m{"roles": "admin"}))); p.Scopes.String() != "contacts:read" {
		t.Errorf("scopes %q", p.Scopes)
	}
}
