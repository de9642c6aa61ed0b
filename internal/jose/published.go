package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"math/big"
)

// published is a JWK as everybody may see it. It has no member for anything
// secret or private.
type published struct {
	Kty string    `json:"kty"`
	Use string    `json:"use"`
	Alg Algorithm `json:"alg,omitempty"`
	Kid string    `json:"kid,omitempty"`
	Crv string    `json:"crv,omitempty"`
	X   string    `json:"x,omitempty"`
	Y   string    `json:"y,omitempty"`
	N   string    `json:"n,omitempty"`
	E   string    `json:"e,omitempty"`
}

// Publish returns the keys as a JWK Set (RFC 7517 section 5). Secrets are left
// out.
func Publish(keys ...*Key) ([]byte, error) {
	set := struct {
		Keys []published `json:"keys"`
	}{Keys: []published{}}
	for _, k := range keys {
		p := published{Use: "sig", Alg: k.algorithm, Kid: k.id}
		switch m := k.material.(type) {
		case *rsa.PublicKey:
			p.Kty, p.N, p.E = "RSA", strict.EncodeToString(m.N.Bytes()), strict.EncodeToString(big.NewInt(int64(m.E)).Bytes())
		case *ecdsa.PublicKey:
			point, err := m.Bytes()
			if err != nil {
				return nil, err
			}
			point = point[1:] // behind the byte that says uncompressed
			half := len(point) / 2
			p.Kty, p.Crv, p.X, p.Y = "EC", m.Params().Name, strict.EncodeToString(point[:half]), strict.EncodeToString(point[half:])
		case ed25519.PublicKey:
			p.Kty, p.Crv, p.X = "OKP", "Ed25519", strict.EncodeToString(m)
		default:
			continue
		}
		set.Keys = append(set.Keys, p)
	}
	return json.Marshal(set)
}
