package wycheproof

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/bearer"
	"github.com/keystile/keystile/internal/jose"
)

// ours verifies with the package that bearer verifies with.
var ours = library{
	name: "keystile",
	compact: func(keys json.RawMessage, token string) bool {
		set, err := jose.ParseSet(keys)
		if err != nil {
			return false
		}
		t, err := jose.Parse(token)
		if err != nil {
			return false
		}
		found, _ := set.Find(&t.Header)
		_, _, err = t.Verify(found)
		return err == nil
	},
	primitive: func(alg string, key any, msg, sig []byte) bool {
		k, err := jose.NewKey("", jose.Algorithm(alg), key)
		return err == nil && k.Verify(jose.Algorithm(alg), string(msg), sig) == nil
	},
}

// throughBearer verifies with a whole Authenticator. The payloads of the corpora
// are no claims, so a token is refused in any case: what counts is whether that is
// all there is against it.
func throughBearer(keys json.RawMessage, token string) bool {
	const noClaims = "bearer: the claims:"
	for _, algorithms := range [][]bearer.Algorithm{
		{bearer.HS256, bearer.HS384, bearer.HS512},
		{
			bearer.RS256, bearer.RS384, bearer.RS512, bearer.PS256, bearer.PS384, bearer.PS512,
			bearer.ES256, bearer.ES384, bearer.ES512, bearer.EdDSA,
		},
	} {
		a, err := bearer.New(bearer.Config{Issuers: []bearer.Issuer{{
			Name: "https://issuer.example", Audience: []string{"api"}, Algorithms: algorithms, KeySet: bearer.StaticJWKS(keys),
		}}})
		if err != nil {
			continue
		}
		var e *keystile.Error
		_, err = a.Verify(context.Background(), keystile.Presented{Secret: keystile.Secret(token)})
		if errors.As(err, &e) && e.Err != nil && strings.HasPrefix(e.Err.Error(), noClaims) {
			return true
		}
	}
	return false
}

// publicKey reads the key of a group of a file about a primitive.
func publicKey(t *testing.T, g *group) any {
	t.Helper()
	block, _ := pem.Decode([]byte(g.PEM))
	if block == nil {
		t.Fatal("no PEM")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
