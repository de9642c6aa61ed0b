package wycheproof

import (
	"encoding/json"
	"os"
	"strings"

	"github.com/MicahParks/jwkset"
	josev4 "github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jws/jwsbb"
)

// library is what is scored. Each is used as its documentation shows, with the
// algorithm of the key pinned where the key says one.
type library struct {
	name    string
	compact func(keys json.RawMessage, token string) bool
	// primitive verifies a signature or MAC of any bytes. nil: the library has no
	// door for that.
	primitive func(alg string, key any, msg, sig []byte) bool
}

// version returns that of a module in go.mod. A test binary does not know it.
func version(module string) string {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == module {
			return words[1]
		}
	}
	return "of unknown version"
}

var rivals = []library{golangJWT, goJOSE, jwx}

var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"}

// golang-jwt reads no JWKs, so jwkset, which its documentation names, reads them.
// Its Parse wants claims; this is Parse without them.
var golangJWT = library{
	name: "golang-jwt " + version("github.com/golang-jwt/jwt/v5") + " with jwkset " + version("github.com/MicahParks/jwkset"),
	compact: func(keys json.RawMessage, token string) bool {
		var set jwkset.JWKSMarshal
		if json.Unmarshal(keys, &set) != nil || set.Keys == nil {
			var one jwkset.JWKMarshal
			if json.Unmarshal(keys, &one) != nil {
				return false
			}
			set.Keys = []jwkset.JWKMarshal{one}
		}
		parser := jwt.NewParser()
		parts := strings.Split(token, ".")
		if len(parts) != 3 {
			return false
		}
		header, err := parser.DecodeSegment(parts[0])
		if err != nil {
			return false
		}
		var h struct{ Alg, Kid string }
		if json.Unmarshal(header, &h) != nil {
			return false
		}
		if _, err := parser.DecodeSegment(parts[1]); err != nil {
			return false
		}
		sig, err := parser.DecodeSegment(parts[2])
		if err != nil {
			return false
		}
		method := jwt.GetSigningMethod(h.Alg)
		if method == nil {
			return false
		}
		for _, m := range set.Keys {
			key, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
			if err != nil || m.KID != h.Kid || m.ALG != "" && string(m.ALG) != h.Alg {
				continue
			}
			return method.Verify(parts[0]+"."+parts[1], sig, key.Key()) == nil
		}
		return false
	},
	primitive: func(alg string, key any, msg, sig []byte) bool {
		return jwt.GetSigningMethod(alg).Verify(string(msg), sig, key) == nil
	},
}

var goJOSE = library{
	name: "go-jose " + version("github.com/go-jose/go-jose/v4"),
	compact: func(keys json.RawMessage, token string) bool {
		var set josev4.JSONWebKeySet
		if json.Unmarshal(keys, &set) != nil || set.Keys == nil {
			var one josev4.JSONWebKey
			if one.UnmarshalJSON(keys) != nil {
				return false
			}
			set.Keys = []josev4.JSONWebKey{one}
		}
		var allowed []josev4.SignatureAlgorithm
		for _, a := range algorithms {
			allowed = append(allowed, josev4.SignatureAlgorithm(a))
		}
		t, err := josev4.ParseSignedCompact(token, allowed)
		if err != nil || len(t.Signatures) != 1 {
			return false
		}
		found := set.Key(t.Signatures[0].Header.KeyID)
		if len(found) == 0 || found[0].Algorithm != "" && found[0].Algorithm != t.Signatures[0].Header.Algorithm {
			return false
		}
		_, err = t.Verify(found[0])
		return err == nil
	},
}

var jwx = library{
	name: "jwx " + version("github.com/lestrrat-go/jwx/v3"),
	compact: func(keys json.RawMessage, token string) bool {
		set, err := jwk.Parse(keys)
		if err != nil {
			return false
		}
		_, err = jws.Verify([]byte(token), jws.WithKeySet(set))
		return err == nil
	},
	primitive: func(alg string, key any, msg, sig []byte) bool {
		if _, known := jwa.LookupSignatureAlgorithm(alg); !known {
			return false
		}
		return jwsbb.Verify(key, alg, msg, sig) == nil
	},
}
