package bearer_test

import (
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/bearer"
)

func TestEveryAlgorithmVerifies(t *testing.T) {
	for _, tt := range []struct {
		alg     bearer.Algorithm
		private any
		key     bearer.Key
	}{
		{bearer.RS256, rsaKey(), bearer.Key{Public: &rsaKey().PublicKey}},
		{bearer.RS384, rsaKey(), bearer.Key{Public: &rsaKey().PublicKey}},
		{bearer.RS512, rsaKey(), bearer.Key{Public: &rsaKey().PublicKey}},
		{bearer.PS256, rsaKey(), bearer.Key{Public: &rsaKey().PublicKey}},
		{bearer.PS384, rsaKey(), bearer.Key{Public: &rsaKey().PublicKey}},
		{bearer.PS512, rsaKey(), bearer.Key{Public: &rsaKey().PublicKey}},
		{bearer.ES256, ecKey(), bearer.Key{Public: &ecKey().PublicKey}},
		{bearer.ES384, ec384(), bearer.Key{Public: &ec384().PublicKey}},
		{bearer.ES512, ec521(), bearer.Key{Public: &ec521().PublicKey}},
		{bearer.EdDSA, edKey(), bearer.Key{Public: edKey().Public()}},
		{bearer.HS256, []byte(secret), bearer.Key{Secret: secret}},
		{bearer.HS384, []byte(secret), bearer.Key{Secret: secret}},
		{bearer.HS512, []byte(secret), bearer.Key{Secret: secret}},
	} {
		t.Run(string(tt.alg), func(t *testing.T) {
			a := newAuthenticator(t, withIssuer(func(is *bearer.Issuer) {
				is.Algorithms = []bearer.Algorithm{tt.alg}
				is.KeySet = bearer.StaticKeys(tt.key)
			}))
			token := sign(tt.alg, tt.private, `{"alg":"`+string(tt.alg)+`"}`, claims(nil))
			for range 2 { // at first sight and remembered
				p := wantAccepted(t, a, token)
				if p.Subject != issuerName+"#alice" || p.Scheme != keystile.SchemeJWT || p.CredentialID != "token-1" {
					t.Errorf("%+v", p)
				}
			}
			_, err := present(a, flipped(token))
			wantRefused(t, err, keystile.CodeUnauthorized, "signature")
		})
	}
}
