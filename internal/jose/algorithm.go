package jose

import (
	"crypto"
	"crypto/rsa"

	"github.com/golang-jwt/jwt/v5"
)

// Algorithm is a signature algorithm by its name in the alg header (RFC 7518
// section 3.1, RFC 8037 section 3.1).
type Algorithm string

// The algorithms. There is none for unsigned tokens: "none", in any case, is no
// algorithm.
const (
	RS256 Algorithm = "RS256"
	RS384 Algorithm = "RS384"
	RS512 Algorithm = "RS512"
	PS256 Algorithm = "PS256"
	PS384 Algorithm = "PS384"
	PS512 Algorithm = "PS512"
	ES256 Algorithm = "ES256"
	ES384 Algorithm = "ES384"
	ES512 Algorithm = "ES512"
	EdDSA Algorithm = "EdDSA"
	HS256 Algorithm = "HS256"
	HS384 Algorithm = "HS384"
	HS512 Algorithm = "HS512"
)

// Kind is what a key is made of, and with it which algorithms it can serve.
type Kind uint8

// The kinds. An algorithm has exactly one.
const (
	KindUnknown Kind = iota
	KindRSA
	KindEC
	KindEd25519
	KindSecret
)

// traits are what an algorithm demands of its key.
type traits struct {
	kind   Kind
	method jwt.SigningMethod
	curve  int // KindEC: the size of the curve in bits (RFC 7518 section 3.4)
	hash   int // KindSecret: bytes of the hash, which the key must have (RFC 7518 section 3.2)
}

// The PSS methods of golang-jwt verify a salt of any length. RFC 7518 section 3.5
// wants that of the hash.
var (
	pss256 = jwt.SigningMethodRSAPSS{SigningMethodRSA: &jwt.SigningMethodRSA{Name: string(PS256), Hash: crypto.SHA256}, Options: &pssOptions}
	pss384 = jwt.SigningMethodRSAPSS{SigningMethodRSA: &jwt.SigningMethodRSA{Name: string(PS384), Hash: crypto.SHA384}, Options: &pssOptions}
	pss512 = jwt.SigningMethodRSAPSS{SigningMethodRSA: &jwt.SigningMethodRSA{Name: string(PS512), Hash: crypto.SHA512}, Options: &pssOptions}

	pssOptions = rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
)

// A switch and not a map: the names are compared byte for byte, and importing the
// package runs no init work.
func (a Algorithm) traits() traits {
	switch a {
	case RS256:
		return traits{kind: KindRSA, method: jwt.SigningMethodRS256}
	case RS384:
		return traits{kind: KindRSA, method: jwt.SigningMethodRS384}
	case RS512:
		return traits{kind: KindRSA, method: jwt.SigningMethodRS512}
	case PS256:
		return traits{kind: KindRSA, method: &pss256}
	case PS384:
		return traits{kind: KindRSA, method: &pss384}
	case PS512:
		return traits{kind: KindRSA, method: &pss512}
	case ES256:
		return traits{kind: KindEC, method: jwt.SigningMethodES256, curve: 256}
	case ES384:
		return traits{kind: KindEC, method: jwt.SigningMethodES384, curve: 384}
	case ES512:
		return traits{kind: KindEC, method: jwt.SigningMethodES512, curve: 521}
	case EdDSA:
		return traits{kind: KindEd25519, method: jwt.SigningMethodEdDSA}
	case HS256:
		return traits{kind: KindSecret, method: jwt.SigningMethodHS256, hash: 32}
	case HS384:
		return traits{kind: KindSecret, method: jwt.SigningMethodHS384, hash: 48}
	case HS512:
		return traits{kind: KindSecret, method: jwt.SigningMethodHS512, hash: 64}
	}
	return traits{}
}

// Kind returns the kind of key that a wants, KindUnknown where a is none of this
// package's algorithms.
func (a Algorithm) Kind() Kind { return a.traits().kind }

// MinSecret returns how many bytes a secret must have at least for a, and 0 where
// a uses none.
func (a Algorithm) MinSecret() int { return a.traits().hash }

// Sign signs input with a private key of the type that golang-jwt wants for a.
func (a Algorithm) Sign(input string, key any) ([]byte, error) {
	t := a.traits()
	if t.kind == KindUnknown {
		return nil, errAlgorithm
	}
	return t.method.Sign(input, key)
}

// algorithmOf returns the algorithm of that name without keeping name alive.
func algorithmOf(name []byte) Algorithm {
	switch string(name) {
	case "RS256":
		return RS256
	case "RS384":
		return RS384
	case "RS512":
		return RS512
	case "PS256":
		return PS256
	case "PS384":
		return PS384
	case "PS512":
		return PS512
	case "ES256":
		return ES256
	case "ES384":
		return ES384
	case "ES512":
		return ES512
	case "EdDSA":
		return EdDSA
	case "HS256":
		return HS256
	case "HS384":
		return HS384
	case "HS512":
		return HS512
	}
	return ""
}
