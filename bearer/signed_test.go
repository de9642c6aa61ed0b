package bearer_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/bearer"
)

// The tokens in this file are signed as they should be, by the right key, but for
// those that are about keys: what is wrong with them is what they say.

const ordinary = `{"alg":"HS256","typ":"JWT"}`

func TestSignedTokensWithTricksInTheHeader(t *testing.T) {
	var hits atomic.Int64
	evil := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer evil.Close()
	body := claims(nil)
	for _, tt := range []struct{ name, header, why string }{
		{"R21: alg none", `{"alg":"none"}`, "no algorithm"},
		{"R21: alg None", `{"alg":"None"}`, "no algorithm"},
		{"R21: alg NONE", `{"alg":"NONE"}`, "no algorithm"},
		{"R21: alg that the issuer does not use, with a key that fits", `{"alg":"HS512"}`, "does not sign with"},
		{"R21: no alg", `{"typ":"JWT"}`, "no algorithm"},
		{"R21: alg null", `{"alg":null}`, "no algorithm"},
		{"R21: alg in a list", `{"alg":["HS256"]}`, "no algorithm"},
		{"R24: crit names an extension", `{"alg":"HS256","crit":["x"],"x":1}`, "crit"},
		{"R24: crit is empty", `{"alg":"HS256","crit":[]}`, "crit"},
		{"R24: crit names exp", `{"alg":"HS256","crit":["exp"],"exp":99}`, "crit"},
		{"R24: crit is a string", `{"alg":"HS256","crit":"exp"}`, "crit"},
		{"R24: b64 false", `{"alg":"HS256","b64":false,"crit":["b64"]}`, "b64"},
		{"R24: b64 false and no crit", `{"alg":"HS256","b64":false}`, "b64"},
		{"R25: a kid that nobody has", `{"alg":"HS256","kid":"key-2"}`, "no key"},
		{"R25: a kid that is a file", `{"alg":"HS256","kid":"../../../../dev/null"}`, "no key"},
		{"R25: a kid that is SQL", `{"alg":"HS256","kid":"x' UNION SELECT 'secret"}`, "no key"},
		{"R25: a kid that is an address", `{"alg":"HS256","kid":"` + evil.URL + `"}`, "no key"},
		{"R25: a kid of 4 KiB", `{"alg":"HS256","kid":"` + strings.Repeat("k", 4096) + `"}`, "no key"},
		{"R25: a kid that is a number", `{"alg":"HS256","kid":0}`, "kid"},
		{"R25: a kid that is a list", `{"alg":"HS256","kid":["a"]}`, "kid"},
		{"R29: the type of an event", `{"alg":"HS256","typ":"secevent+jwt"}`, "another type"},
		{"R29: the type of a logout", `{"alg":"HS256","typ":"logout+jwt"}`, "another type"},
		{"R29: the type of a DPoP proof", `{"alg":"HS256","typ":"dpop+jwt"}`, "another type"},
		{"R29: a type that is a number", `{"alg":"HS256","typ":1}`, "typ"},
		{"R31: alg twice", `{"alg":"HS256","alg":"HS256"}`, "twice"},
		{"R31: alg twice, once escaped", `{"alg":"HS256","\u0061lg":"HS256"}`, "twice"},
		{"R31: a name twice within a member", `{"alg":"HS256","x":{"y":{"z":1,"z":1}}}`, "twice"},
		{"R31: a name twice in a list", `{"alg":"HS256","x":[[{"z":1,"z":1}]]}`, "twice"},
		{"R32: a JWT in it", `{"alg":"HS256","cty":"JWT"}`, "JWT in a JWT"},
		{"R32: a JWT in it, in other letters", `{"alg":"HS256","cty":"application/jwt"}`, "JWT in a JWT"},
		{"R32: compressed", `{"alg":"HS256","zip":"DEF"}`, "zip"},
		{"R32: compressed by a name nobody knows", `{"alg":"HS256","zip":"GZ"}`, "zip"},
	} {
		_, err := present(newAuthenticator(t, bearer.Config{}), sign(bearer.HS256, []byte(secret), tt.header, body))
		if err == nil {
			t.Errorf("%s is accepted", tt.name)
			continue
		}
		wantRefused(t, err, keystile.CodeUnauthorized, tt.why)
	}
	if hits.Load() != 0 {
		t.Errorf("%d network calls", hits.Load())
	}
}

// R23: keys and addresses that a token brings along are not even looked at.
func TestKeysInTokensAreIgnored(t *testing.T) {
	var hits atomic.Int64
	own := newEC() // the attacker's
	point := must(own.PublicKey.Bytes())
	jwk := fmt.Sprintf(`{"kty":"EC","crv":"P-256","kid":"a","use":"sig","alg":"ES256","x":%q,"y":%q}`, b64(string(point[1:33])), b64(string(point[33:])))
	evil := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		_, _ = w.Write([]byte(`{"keys":[` + jwk + `]}`))
	}))
	defer evil.Close()
	a := newAuthenticator(t, withIssuer(func(is *bearer.Issuer) {
		is.Algorithms = []bearer.Algorithm{bearer.ES256}
		is.KeySet = bearer.StaticKeys(bearer.Key{ID: "a", Public: &ecKey().PublicKey})
	}))
	for _, member := range []string{
		`"jwk":` + jwk, `"jku":"` + evil.URL + `"`, `"x5u":"` + evil.URL + `"`, `"x5c":["MIIB"]`, `"x5t":"AAAA"`, `"x5t#S256":"AAAA"`,
		`"jwk":` + jwk + `,"jku":"` + evil.URL + `","x5u":"` + evil.URL + `"`, `"jwk":null`, `"jku":1`, `"iss":"` + evil.URL + `"`,
	} {
		header := `{"alg":"ES256","kid":"a",` + member + `}`
		_, err := present(a, sign(bearer.ES256, own, header, claims(nil)))
		wantRefused(t, err, keystile.CodeUnauthorized, "no key verifies")
		wantAccepted(t, a, sign(bearer.ES256, ecKey(), header, claims(nil)))
	}
	if hits.Load() != 0 {
		t.Errorf("%d network calls", hits.Load())
	}
}

func TestSignedTokensWithTricksInTheClaims(t *testing.T) {
	later := fmt.Sprint(noon.Add(time.Hour).Unix())
	with := func(name, value string) string {
		all := map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(claims(nil)), &all); err != nil {
			t.Fatal(err)
		}
		delete(all, name)
		text := string(must(json.Marshal(all)))
		return strings.TrimSuffix(text, "}") + `,"` + name + `":` + value + "}"
	}
	for _, tt := range []struct {
		name, claims string
		code         keystile.Code
		why          string
	}{
		{"R26: no exp", claims(m{"exp": nil}), keystile.CodeUnauthorized, "no exp"},
		{"R26: expired", claims(m{"exp": noon.Add(-time.Second).Unix()}), keystile.CodeKeyExpired, "expired"},
		{"R26: expired at this very second", claims(m{"exp": noon.Unix()}), keystile.CodeKeyExpired, "expired"},
		{"R26: expired before 1970", claims(m{"exp": -1}), keystile.CodeKeyExpired, "expired"},
		{"R26: exp 0", claims(m{"exp": 0}), keystile.CodeKeyExpired, "expired"},
		{"R26: expired by a fraction", claims(m{"exp": float64(noon.Unix()) - 0.5}), keystile.CodeKeyExpired, "expired"},
		{"R26: exp beyond int64", with("exp", "9223372036854775808"), keystile.CodeUnauthorized, "exp"},
		{"R26: exp at the end of int64", with("exp", "9223372036854775807"), keystile.CodeUnauthorized, "exp"},
		{"R26: exp beyond every number", with("exp", "1e400"), keystile.CodeUnauthorized, "exp"},
		{"R26: exp beyond every number, with digits", with("exp", strings.Repeat("9", 400)), keystile.CodeUnauthorized, "exp"},
		{"R26: exp in milliseconds", with("exp", later+"000"), keystile.CodeUnauthorized, "exp"},
		{"R26: exp NaN", with("exp", "NaN"), keystile.CodeUnauthorized, "wrong place"},
		{"R26: exp Infinity", with("exp", "Infinity"), keystile.CodeUnauthorized, "wrong place"},
		{"R26: exp as a string", with("exp", `"`+later+`"`), keystile.CodeUnauthorized, "exp"},
		{"R26: exp as a date", with("exp", `"2999-01-01T00:00:00Z"`), keystile.CodeUnauthorized, "exp"},
		{"R26: exp null", with("exp", "null"), keystile.CodeUnauthorized, "exp"},
		{"R26: exp true", with("exp", "true"), keystile.CodeUnauthorized, "exp"},
		{"R26: exp in a list", with("exp", "["+later+"]"), keystile.CodeUnauthorized, "exp"},
		{"R26: exp in an object", with("exp", `{"exp":`+later+"}"), keystile.CodeUnauthorized, "exp"},
		{"R26: EXP", strings.Replace(claims(nil), `"exp"`, `"EXP"`, 1), keystile.CodeUnauthorized, "no exp"},
		{"R26: not valid yet", claims(m{"nbf": noon.Add(time.Second).Unix()}), keystile.CodeUnauthorized, "not valid yet"},
		{"R26: nbf as a string", with("nbf", `"0"`), keystile.CodeUnauthorized, "nbf"},
		{"R26: nbf beyond int64", with("nbf", "-9223372036854775809"), keystile.CodeUnauthorized, "nbf"},
		{"R26: nbf 1e400", with("nbf", "1e400"), keystile.CodeUnauthorized, "nbf"},
		{"R26: issued in two minutes", claims(m{"iat": noon.Add(2 * time.Minute).Unix()}), keystile.CodeUnauthorized, "in the future"},
		{"R26: iat as a string", with("iat", `"0"`), keystile.CodeUnauthorized, "iat"},
		{"R26: iat -1e400", with("iat", "-1e400"), keystile.CodeUnauthorized, "iat"},
		{"R27: another issuer", claims(m{"iss": "https://evil.example"}), keystile.CodeUnauthorized, "no issuer"},
		{"R27: the issuer with a slash more", claims(m{"iss": issuerName + "/"}), keystile.CodeUnauthorized, "no issuer"},
		{"R27: the issuer in capitals", claims(m{"iss": strings.ToUpper(issuerName)}), keystile.CodeUnauthorized, "no issuer"},
		{"R27: no issuer", claims(m{"iss": nil}), keystile.CodeUnauthorized, "no issuer"},
		{"R27: an empty issuer", claims(m{"iss": ""}), keystile.CodeUnauthorized, "no issuer"},
		{"R27: issuers in a list", claims(m{"iss": []string{issuerName}}), keystile.CodeUnauthorized, "iss"},
		{"R27: the issuer null", with("iss", "null"), keystile.CodeUnauthorized, "iss"},
		{"R28: another audience", claims(m{"aud": "https://other.example"}), keystile.CodeUnauthorized, "another service"},
		{"R28: no audience", claims(m{"aud": nil}), keystile.CodeUnauthorized, "another service"},
		{"R28: an empty audience", claims(m{"aud": ""}), keystile.CodeUnauthorized, "another service"},
		{"R28: an empty list of audiences", claims(m{"aud": []string{}}), keystile.CodeUnauthorized, "another service"},
		{"R28: an audience that begins alike", claims(m{"aud": service + ".evil.example"}), keystile.CodeUnauthorized, "another service"},
		{"R28: the audience among others in one string", claims(m{"aud": service + " other"}), keystile.CodeUnauthorized, "another service"},
		{"R28: an audience in a list in a list", claims(m{"aud": [][]string{{service}}}), keystile.CodeUnauthorized, "aud"},
		{"R28: an audience beside a number", claims(m{"aud": []any{service, 1}}), keystile.CodeUnauthorized, "aud"},
		{"R28: an audience that is an object", claims(m{"aud": m{"0": service}}), keystile.CodeUnauthorized, "aud"},
		{"R31: exp twice", strings.Replace(claims(nil), `{`, `{"exp":1,`, 1), keystile.CodeUnauthorized, "twice"},
		{"R31: sub twice, once escaped", strings.Replace(claims(nil), `{`, `{"s\u0075b":"bob",`, 1), keystile.CodeUnauthorized, "twice"},
		{"R31: iss twice", strings.Replace(claims(nil), `{`, `{"iss":"`+issuerName+`",`, 1), keystile.CodeUnauthorized, "twice"},
		{"R31: a name twice in an object", with("x", `{"a":{"b":[{"c":1,"c":2}]}}`), keystile.CodeUnauthorized, "twice"},
		{"R31: an empty name twice", with("x", `{"":1,"":2}`), keystile.CodeUnauthorized, "twice"},
		{"R35: no subject", claims(m{"sub": nil}), keystile.CodeUnauthorized, "no subject"},
		{"R35: an empty subject", claims(m{"sub": ""}), keystile.CodeUnauthorized, "no subject"},
		{"R35: a subject that is a number", claims(m{"sub": 1}), keystile.CodeUnauthorized, "sub"},
		{"R35: a subject that is null", with("sub", "null"), keystile.CodeUnauthorized, "sub"},
		{"a jti that is a number", claims(m{"jti": 1}), keystile.CodeUnauthorized, "jti"},
		{"scopes that are a number", claims(m{"scope": 1}), keystile.CodeUnauthorized, "scope"},
		{"scopes that are objects", claims(m{"scp": []any{m{"a": "b"}}}), keystile.CodeUnauthorized, "scp"},
		{"no claims", "{}", keystile.CodeUnauthorized, "no issuer"},
		{"no text at all", "", keystile.CodeUnauthorized, "not a JSON object"},
		{"a JWT in the JWT", hs(claims(nil)), keystile.CodeUnauthorized, "not a JSON object"},
		{"nested too deeply", with("x", strings.Repeat("[", 40)+strings.Repeat("]", 40)), keystile.CodeUnauthorized, "deeply"},
	} {
		_, err := present(newAuthenticator(t, bearer.Config{}), hs(tt.claims))
		if err == nil {
			t.Errorf("%s is accepted", tt.name)
			continue
		}
		wantRefused(t, err, tt.code, tt.why)
	}
}

func TestSignedTokensThatAreUnusualAndGood(t *testing.T) {
	for _, tt := range []struct{ name, header, claims string }{
		{"no typ", `{"alg":"HS256"}`, claims(nil)},
		{"typ in other letters", `{"alg":"HS256","typ":"application/JWT"}`, claims(nil)},
		{"an access token where any JWT will do", `{"alg":"HS256","typ":"at+jwt"}`, claims(nil)},
		{"cty of something else", `{"alg":"HS256","cty":"application/json"}`, claims(nil)},
		{"space in the header", " {\n\t\"alg\" : \"HS256\"\r\n} ", claims(nil)},
		{"space in the claims", ordinary, " " + strings.ReplaceAll(claims(nil), ",", " ,\n ") + "\n"},
		{"an audience in a list", ordinary, claims(m{"aud": []string{"https://other.example", service}})},
		{"exp with a fraction", ordinary, claims(m{"exp": float64(noon.Unix()) + 0.5})},
		{"exp with an exponent", ordinary, strings.Replace(claims(m{"exp": 4}), `"exp":4`, `"exp":4e9`, 1)},
		{"exp at the end of 9999", ordinary, claims(m{"exp": 253402300799})},
		{"nbf before 1970", ordinary, claims(m{"nbf": -1.5})},
		{"nbf now", ordinary, claims(m{"nbf": noon.Unix()})},
		{"issued in half a minute, by a clock that is fast", ordinary, claims(m{"iat": noon.Add(30 * time.Second).Unix()})},
		{"no iat and no jti", ordinary, claims(m{"iat": nil, "jti": nil})},
		{"a subject of another script", ordinary, claims(m{"sub": "Алиса 😀"})},
		{"names that differ in case", ordinary, claims(m{"SUB": "bob", "Exp": 1})},
		{"a hundred claims", ordinary, claims(m{"x": strings.Split(strings.Repeat("x,", 100), ",")})},
	} {
		if _, err := present(newAuthenticator(t, bearer.Config{}), sign(bearer.HS256, []byte(secret), tt.header, tt.claims)); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// R22: whatever the text of a public key is worth to others, here it is no secret:
// neither as an issuer that is configured so, nor as a token that hopes for it.
func TestAlgorithmConfusion(t *testing.T) {
	public := &rsaKey().PublicKey
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(public))}))
	jwk := fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AQAB"}`, b64(string(public.N.Bytes())))
	sets := map[string]bearer.KeySet{
		"static keys": bearer.StaticKeys(bearer.Key{Public: public}), "a JWK without alg": bearer.StaticJWKS([]byte(jwk)),
	}
	for name, set := range sets {
		a := newAuthenticator(t, withIssuer(func(is *bearer.Issuer) { is.Algorithms, is.KeySet = []bearer.Algorithm{bearer.RS256}, set }))
		wantAccepted(t, a, sign(bearer.RS256, rsaKey(), `{"alg":"RS256"}`, claims(nil)))
		for _, forged := range []string{text, " " + text, strings.TrimSpace(text), jwk, string(public.N.Bytes()), string(x509.MarshalPKCS1PublicKey(public))} {
			_, err := present(a, sign(bearer.HS256, []byte(forged), `{"alg":"HS256"}`, claims(nil)))
			wantRefused(t, err, keystile.CodeUnauthorized, "does not sign with")
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
	for name, secret := range map[string]string{"PEM": text, "PEM behind a space": " " + text, "a JWK": jwk} {
		_, err := bearer.New(withIssuer(func(is *bearer.Issuer) { is.KeySet = bearer.StaticKeys(bearer.Key{Secret: keystile.Secret(secret)}) }))
		wantMistakes(t, name, err, "is a public key where a secret is needed")
	}
}

// A key of one algorithm does not verify with its neighbour.
func TestNeighbouringAlgorithms(t *testing.T) {
	a := newAuthenticator(t, withIssuer(func(is *bearer.Issuer) {
		is.Algorithms = []bearer.Algorithm{bearer.RS256, bearer.PS256, bearer.ES256, bearer.ES384}
		is.KeySet = bearer.StaticKeys(bearer.Key{ID: "ps", Algorithm: bearer.PS256, Public: &rsaKey().PublicKey}, bearer.Key{ID: "ec", Public: &ecKey().PublicKey})
	}))
	wantAccepted(t, a, sign(bearer.PS256, rsaKey(), `{"alg":"PS256","kid":"ps"}`, claims(nil)))
	for _, token := range []string{
		sign(bearer.RS256, rsaKey(), `{"alg":"RS256","kid":"ps"}`, claims(nil)),
		sign(bearer.ES384, ec384(), `{"alg":"ES384","kid":"ec"}`, claims(nil)),
		sign(bearer.ES256, ecKey(), `{"alg":"ES256","kid":"ps"}`, claims(nil)),
	} {
		_, err := present(a, token)
		wantRefused(t, err, keystile.CodeUnauthorized, "no key that the token could be signed with")
	}
}

// The salt of PSS is as long as the hash (RFC 7518 section 3.5), which golang-jwt
// leaves open.
func TestPSSSaltsOfOtherLengths(t *testing.T) {
	a := newAuthenticator(t, withIssuer(func(is *bearer.Issuer) {
		is.Algorithms, is.KeySet = []bearer.Algorithm{bearer.PS256}, bearer.StaticKeys(bearer.Key{Public: &rsaKey().PublicKey})
	}))
	input := b64(`{"alg":"PS256"}`) + "." + b64(claims(nil))
	hashed := sha256.Sum256([]byte(input))
	for _, salt := range []int{32, 1, 20, 31, 33, 64, rsa.PSSSaltLengthAuto} {
		signature := must(rsa.SignPSS(rand.Reader, rsaKey(), crypto.SHA256, hashed[:], &rsa.PSSOptions{SaltLength: salt}))
		if _, err := present(a, input+"."+b64(string(signature))); (err == nil) != (salt == 32) {
			t.Errorf("a salt of %d bytes: %v", salt, err)
		}
	}
}

// An ECDSA signature has one form, r and s of full length (RFC 7518 section 3.4).
func TestECDSASignaturesInOtherForms(t *testing.T) {
	a := newAuthenticator(t, withIssuer(func(is *bearer.Issuer) {
		is.Algorithms, is.KeySet = []bearer.Algorithm{bearer.ES256}, bearer.StaticKeys(bearer.Key{Public: &ecKey().PublicKey})
	}))
	input := b64(`{"alg":"ES256"}`) + "." + b64(claims(nil))
	raw := mac(bearer.ES256, ecKey(), input)
	r, s := new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])
	wantAccepted(t, a, input+"."+b64(string(raw)))
	zeros := string(make([]byte, 64))
	for name, signature := range map[string]string{
		"ASN.1": string(must(asn1.Marshal(struct{ R, S *big.Int }{r, s}))), "zeros": zeros, "nothing": "", "a zero in front": "\x00" + string(raw),
		"r and s swapped": string(raw[32:]) + string(raw[:32]), "s twice as long": string(raw[:32]) + string(make([]byte, 32)) + string(raw[32:]),
		"r beyond the order": string(new(big.Int).Add(r, ecKey().Params().N).FillBytes(make([]byte, 33))[1:]) + string(s.FillBytes(make([]byte, 32))),
	} {
		if _, err := present(a, input+"."+b64(signature)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
