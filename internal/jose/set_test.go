package jose_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/keystile/keystile/internal/jose"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwk is the JWK of the EC key with changes: nil takes a member out.
func jwk(changes map[string]any) string {
	point := must(ecKey().PublicKey.Bytes())
	all := map[string]any{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:]), "kid": "a", "use": "sig", "alg": "ES256"}
	for name, value := range changes {
		if value == nil {
			delete(all, name)
		} else {
			all[name] = value
		}
	}
	return string(must(json.Marshal(all)))
}

func rsaJWK(n, e string) string {
	return string(must(json.Marshal(map[string]any{"kty": "RSA", "n": n, "e": e, "kid": "r"})))
}

func oct(kid, k string) string {
	return string(must(json.Marshal(map[string]any{"kty": "oct", "k": k, "kid": kid})))
}

func set(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

// factorable is the modulus of a key that Wycheproof has from a bad generator.
const factorable = "AanFpofbj7KjD4Lf-N2hVMKR7yewSyXhhbirIMTGpfYEhZ_lnt5UoK98DnKIgArXGTu3MaW_HhFw16HGaTDUHqPrId7fe4r11CqRw09yBFuW79V8sYI" +
	"wHdzCaWflUI6auImYbVfoN9_nD5n8N8SY9DwXw7mwZM9wREPXoDPgOoIWl6q_MPsp7n0zs3Z5ZaiQWOOzl1S9OhwAfSiiOwz6efnXEaxuTEtPd7BjSx" +
	"7NaFka8Dx9U7YqXy2RFj1O9PjyaDGuRh7YXsX3iMUSP_wSyHQg_c_qHRtKUsNSGCT7OZg0hzm2KphtjnayKJvC64vAbROBR4Ubg6Bxg9IQVZ-QYyE"

func TestSets(t *testing.T) {
	n := b64(rsaKey().N.Bytes())
	many := make([]string, jose.MaxKeys+1)
	for i := range many {
		many[i] = jwk(map[string]any{"kid": fmt.Sprint(i)})
	}
	for _, tt := range []struct {
		name, text string
		keys       int    // in a set of one's own; 0: refused
		published  int    // in a published one
		want       string // in the error about one's own
	}{
		{"one key", set(jwk(nil)), 1, 1, ""},
		{"a single JWK", jwk(nil), 1, 0, ""},
		{"two keys", set(jwk(nil), jwk(map[string]any{"kid": "b"})), 2, 2, ""},
		{"sixty-four keys", set(many[1:]...), 64, 64, ""},
		{"sixty-five keys", set(many...), 0, 0, "more than 64"},
		{"members nobody knows", set(jwk(map[string]any{"x5c": []string{"MII"}, "issuer": "x"})), 1, 1, ""},
		{"a key without kid and alg and use", set(jwk(map[string]any{"kid": nil, "alg": nil, "use": nil})), 1, 1, ""},
		{"key_ops with verify", set(jwk(map[string]any{"use": nil, "key_ops": []string{"verify"}})), 1, 1, ""},
		{"an RSA key", set(rsaJWK(n, "AQAB")), 1, 1, ""},
		{"an RSA key with leading zeros", set(rsaJWK(b64(append([]byte{0}, rsaKey().N.Bytes()...)), "AAEAAQ")), 1, 1, ""},
		{"a secret", set(oct("s", b64(long))), 1, 0, ""},
		{"two secrets", set(oct("s", b64(long)), oct("t", b64(long))), 2, 0, ""},
		{"a secret and a public key", set(oct("s", b64(long)), jwk(nil)), 0, 1, "mixes"},

		{"no keys", set(), 0, 0, "no key"},
		{"an empty object", `{}`, 0, 0, "neither"},
		{"a list", `[` + jwk(nil) + `]`, 0, 0, "not a JSON object"},
		{"HTML", `<html>`, 0, 0, "not a JSON object"},
		{"nothing", ``, 0, 0, "not a JSON object"},
		{"keys that are no list", `{"keys":` + jwk(nil) + `}`, 0, 0, "not a JSON array"},
		{"keys that are null", `{"keys":null}`, 0, 0, "not a JSON array"},
		{"a key that is no object", set(`"` + n + `"`), 0, 0, "not a JSON object"},
		{"something behind it", set(jwk(nil)) + "{}", 0, 0, "follows"},
		{"two keys with one kid", set(jwk(nil), jwk(nil)), 0, 0, "same kid"},
		{"a kid that is there twice", set(strings.Replace(jwk(nil), `{`, `{"kid":"b",`, 1)), 0, 0, "twice"},
		{"keys that are there twice", `{"keys":[` + jwk(nil) + `],"keys":[]}`, 0, 0, "twice"},

		{"a key for encryption", set(jwk(map[string]any{"use": "enc"})), 0, 0, "not for signatures"},
		{"a key for encryption beside another", set(jwk(map[string]any{"use": "enc"}), jwk(nil)), 1, 1, ""},
		{"a use nobody knows", set(jwk(map[string]any{"use": "SIG"})), 0, 0, "not for signatures"},
		{"key_ops without verify", set(jwk(map[string]any{"key_ops": []string{"encrypt"}})), 0, 0, "not for verifying"},
		{"empty key_ops", set(jwk(map[string]any{"key_ops": []string{}})), 0, 0, "not for verifying"},
		{"key_ops that are no list", set(jwk(map[string]any{"key_ops": "verify"})), 0, 0, "wrong type"},
		{"key_ops with a repetition", set(jwk(map[string]any{"key_ops": []string{"verify", "verify"}})), 0, 0, "there twice"},
		{"a kty nobody knows", set(jwk(map[string]any{"kty": "AKP"})), 0, 0, "kty"},
		{"no kty", set(jwk(map[string]any{"kty": nil})), 0, 0, "kty"},
		{"a kty that is a number", set(jwk(map[string]any{"kty": 1})), 0, 0, "wrong type"},
		{"a curve nobody knows", set(jwk(map[string]any{"crv": "secp256k1"})), 0, 0, "crv"},
		{"X25519", set(`{"kty":"OKP","crv":"X25519","x":"` + b64(make([]byte, 32)) + `"}`), 0, 0, "crv"},
		{"an algorithm nobody knows", set(jwk(map[string]any{"alg": "ES521"})), 0, 0, "algorithm"},
		{"the algorithm none", set(jwk(map[string]any{"alg": "none"})), 0, 0, "algorithm"},
		{"an algorithm of another curve", set(jwk(map[string]any{"alg": "ES384"})), 0, 0, "cannot use"},
		{"an algorithm of another kind", set(jwk(map[string]any{"alg": "HS256"})), 0, 0, "cannot use"},
		{"another curve than the point is on", set(jwk(map[string]any{"crv": "P-384", "alg": nil})), 0, 0, "wrong length"},
		{"a point off the curve", set(jwk(map[string]any{"y": b64(make([]byte, 32))})), 0, 0, "not a point"},
		{"a short coordinate", set(jwk(map[string]any{"x": b64(make([]byte, 31))})), 0, 0, "wrong length"},
		{"a coordinate that is not base64url", set(jwk(map[string]any{"x": strings.Repeat("+", 43)})), 0, 0, "not base64url"},
		{"no coordinate", set(jwk(map[string]any{"y": nil})), 0, 0, "wrong length"},
		{"a private key", set(jwk(map[string]any{"d": b64(make([]byte, 32))})), 0, 0, "private key"},
		{"half an Ed25519 key", set(`{"kty":"OKP","crv":"Ed25519","x":"` + b64(make([]byte, 16)) + `"}`), 0, 0, "Ed25519"},
		{"an RSA key of 1024 bits", set(rsaJWK(b64(rsaKey().N.Bytes()[:128]), "AQAB")), 0, 0, "shorter than 2048"},
		{"an RSA key that can be factored", set(rsaJWK(factorable, "AQAB")), 0, 0, "CVE-2017-15361"},
		{"an RSA key with the exponent 1", set(rsaJWK(n, "AQ")), 0, 0, "exponent"},
		{"an RSA key with an exponent beyond int64", set(rsaJWK(n, b64([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1}))), 0, 0, "exponent"},
		{"an RSA key with an exponent of a kilobyte", set(rsaJWK(n, b64(append(make([]byte, 1023), 3)))), 0, 0, "exponent"},
		{"an RSA key without exponent", set(rsaJWK(n, "")), 0, 0, "lacks"},
		{"an RSA key without modulus", set(rsaJWK("", "AQAB")), 0, 0, "lacks"},
		{"an RSA modulus with padding", set(rsaJWK(n+"==", "AQAB")), 0, 0, "not base64url"},
		{"an RSA key of 16 KiB", set(rsaJWK(strings.Repeat("A", 16<<10), "AQAB")), 0, 0, "longer than 8192"},
		{"a secret that is too short", set(oct("s", b64(long[:31]))), 0, 0, "shorter than the hash"},
		{"an empty secret", set(oct("s", "")), 0, 0, "shorter than the hash"},
		{"a secret that is a public key", set(oct("s", b64([]byte(" "+jwk(nil))))), 0, 0, "public key"},
	} {
		got, err := jose.ParseSet([]byte(tt.text))
		if tt.keys == 0 && (err == nil || !strings.Contains(err.Error(), tt.want)) || tt.keys > 0 && (err != nil || len(got.Keys()) != tt.keys) {
			t.Errorf("%s: %v, %v; want %d keys or %q", tt.name, got, err, tt.keys, tt.want)
		}
		got, _, err = jose.ParsePublished([]byte(tt.text))
		if tt.published == 0 && err == nil || tt.published > 0 && (err != nil || len(got.Keys()) != tt.published) {
			t.Errorf("%s, published: %v, %v; want %d keys", tt.name, got, err, tt.published)
		}
	}
}

// A bad key beside a good one costs nobody the good one, where others publish
// them.
func TestABadKeyIsPassedOver(t *testing.T) {
	text := set(rsaJWK(b64(rsaKey().N.Bytes()[:128]), "AQAB"), jwk(nil), oct("s", b64(long)))
	got, notes, err := jose.ParsePublished([]byte(text))
	if err != nil || len(got.Keys()) != 1 || len(notes) != 2 || !strings.Contains(fmt.Sprint(notes), "key 0 is an RSA key shorter") || !strings.Contains(fmt.Sprint(notes), "key 2 is a secret") {
		t.Errorf("%v, %v, %v", got, notes, err)
	}
	if _, err := jose.ParseSet([]byte(text)); err == nil {
		t.Error("in a set of one's own it is no mistake")
	}
}

func TestFind(t *testing.T) {
	secrets := func(ids ...string) *jose.Set {
		var keys []*jose.Key
		for i, id := range ids {
			keys = append(keys, must(jose.NewKey(id, "", []byte(strings.Repeat(string(rune('a'+i)), 64)))))
		}
		return must(jose.NewSet(keys...))
	}
	for _, tt := range []struct {
		name  string
		set   *jose.Set
		h     jose.Header
		keys  int
		known bool
	}{
		{"the key of the kid", secrets("a", "b"), jose.Header{Algorithm: "HS256", KeyID: "b"}, 1, true},
		{"a kid that is not there", secrets("a", "b"), jose.Header{Algorithm: "HS256", KeyID: "c"}, 0, false},
		{"a kid that is a path", secrets("a", "b"), jose.Header{Algorithm: "HS256", KeyID: "../a"}, 0, false},
		{"a kid that differs in case", secrets("a", "b"), jose.Header{Algorithm: "HS256", KeyID: "A"}, 0, false},
		{"a kid of a key for something else", secrets("a", "b"), jose.Header{Algorithm: "ES256", KeyID: "a"}, 0, true},
		{"no kid, and the keys that fit", secrets("a", "b"), jose.Header{Algorithm: "HS256"}, 2, true},
		{"no kid, and no key fits", secrets("a", "b"), jose.Header{Algorithm: "ES256"}, 0, false},
		{"no kid, and too many fit", secrets("a", "b", "c", "d", "e"), jose.Header{Algorithm: "HS256"}, 0, true},
		{"a kid where the keys have none", secrets("", ""), jose.Header{Algorithm: "HS256", KeyID: "a"}, 0, false},
	} {
		keys, known := tt.set.Find(&tt.h)
		if len(keys) != tt.keys || known != tt.known {
			t.Errorf("%s: %d keys, known %v", tt.name, len(keys), known)
		}
	}
}

func TestAKeyThatLeavesItsSetIsGone(t *testing.T) {
	old := must(jose.ParseSet([]byte(set(jwk(map[string]any{"kid": "stays"}), jwk(map[string]any{"kid": "leaves"}), jwk(map[string]any{"kid": "changes", "alg": "ES256"})))))
	kept := append([]*jose.Key(nil), old.Keys()...)
	next := must(jose.ParseSet([]byte(set(jwk(map[string]any{"kid": "new"}), jwk(map[string]any{"kid": "changes", "alg": nil}), jwk(map[string]any{"kid": "stays"})))))
	next.Succeed(nil)
	next.Succeed(old)
	if kept[0].Gone() || !kept[1].Gone() || !kept[2].Gone() {
		t.Errorf("gone: %v %v %v, want the last two", kept[0].Gone(), kept[1].Gone(), kept[2].Gone())
	}
	if next.Keys()[2] != kept[0] {
		t.Error("a key that stays is another one afterwards")
	}
	for _, k := range next.Keys() {
		if k.Gone() {
			t.Errorf("%v is in the set and gone", k)
		}
	}
}

// A set that holds one key twice must not hide one of the two from its end.
func TestAKeyThatIsThereTwiceIsGoneTwice(t *testing.T) {
	twice := set(jwk(map[string]any{"kid": nil}), jwk(map[string]any{"kid": nil}))
	one := set(jwk(map[string]any{"kid": nil}))
	for _, middle := range []string{twice, one} {
		first, second := must(jose.ParseSet([]byte(twice))), must(jose.ParseSet([]byte(middle)))
		seen := append([]*jose.Key(nil), first.Keys()...)
		second.Succeed(first)
		seen = append(seen, second.Keys()...)
		last := must(jose.ParseSet([]byte(set(jwk(map[string]any{"kid": "new", "alg": "ES256"})))))
		last.Succeed(second)
		for i, k := range seen {
			if !k.Gone() {
				t.Errorf("key %d was removed and is not gone", i)
			}
		}
	}
}

func TestPublishedKeysAreReadBack(t *testing.T) {
	keys := []*jose.Key{
		must(jose.NewKey("r", jose.RS256, &rsaKey().PublicKey)), must(jose.NewKey("e", jose.ES256, &ecKey().PublicKey)),
		must(jose.NewKey("d", "", edKey().Public())),
	}
	text := must(jose.Publish(append(keys, must(jose.NewKey("s", "", long)))...))
	got, notes, err := jose.ParsePublished(text)
	if err != nil || notes != nil || len(got.Keys()) != len(keys) {
		t.Fatalf("%s: %v, %v", text, notes, err)
	}
	for i, k := range keys {
		if !got.Keys()[i].Equal(k) {
			t.Errorf("%v is another key", k)
		}
	}
	if empty := string(must(jose.Publish())); empty != `{"keys":[]}` {
		t.Errorf("no keys are %s", empty)
	}
}

// Whatever is written as a set, reading it does not panic, and a key that comes
// out of it is a key.
func FuzzParseSet(f *testing.F) {
	for _, text := range []string{
		set(jwk(nil)), jwk(nil), set(oct("s", b64(long))), set(rsaJWK(b64(rsaKey().N.Bytes()), "AQAB")), set(), `{"keys":[{}]}`, `{"keys":null}`,
		`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		own, err := jose.ParseSet(text)
		published, _, publishedErr := jose.ParsePublished(text)
		for _, s := range []*jose.Set{own, published} {
			if s == nil {
				continue
			}
			for _, k := range s.Keys() {
				if k.Kind() == jose.KindUnknown {
					t.Fatalf("%q: a key that is none", text)
				}
				for _, a := range []jose.Algorithm{"RS256", "PS512", "ES256", "ES384", "ES512", "HS256", "HS512", "none"} {
					if k.Verify(a, "input", make([]byte, 64)) == nil {
						t.Fatalf("%q: %s verifies zeros", text, a)
					}
				}
			}
		}
		if publishedErr == nil {
			for _, k := range published.Keys() {
				if k.Kind() == jose.KindSecret {
					t.Fatalf("%q: a published secret counts", text)
				}
			}
		}
		if err == nil && len(own.Keys()) == 0 {
			t.Fatalf("%q: a set without keys", text)
		}
	})
}
