package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"math/big"
	"slices"
)

// jwk is a JSON Web Key as it is written (RFC 7517 section 4, RFC 7518 section 6,
// RFC 8037 section 2).
type jwk struct {
	kty, kid, alg, use, crv string
	n, e, x, y, k           string
	operations              []string
	restricted              bool // operations is set
	private                 bool
}

const (
	errMember     Flaw = "has a member of the wrong type"
	errOperations Flaw = "has key_ops that are there twice"
	errIncomplete Flaw = "lacks a member that its kty needs, or has one that is not base64url"
	errCoordinate Flaw = "has a coordinate of the wrong length (RFC 7518 section 6.2.1.2)"
	errLeaked     Flaw = "holds a private key; publish and configure its public half only"

	// Reasons to pass over a key: it is none of ours (RFC 7517 section 5).
	noteKty        Flaw = "has a kty that is not supported"
	noteCurve      Flaw = "has a crv that is not supported"
	noteUse        Flaw = "is not for signatures, says its use (RFC 7517 section 4.2)"
	noteOperations Flaw = "is not for verifying, say its key_ops (RFC 7517 section 4.3)"
	noteAlgorithm  Flaw = "is for an algorithm that is not supported"
)

// parseJWK returns the key that text describes. Where it is for something else,
// other says what, and there is neither a key nor an error.
func parseJWK(text []byte) (key *Key, other, err error) {
	j, err := readJWK(text)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case j.kty != "RSA" && j.kty != "EC" && j.kty != "OKP" && j.kty != "oct":
		return nil, noteKty, nil
	case j.use != "" && j.use != "sig":
		return nil, noteUse, nil
	case j.restricted && !slices.Contains(j.operations, "verify"):
		return nil, noteOperations, nil
	case j.kty == "OKP" && j.crv != "Ed25519":
		return nil, noteCurve, nil
	case j.kty == "EC" && curveOf(j.crv) == nil:
		return nil, noteCurve, nil
	case j.alg != "" && Algorithm(j.alg).Kind() == KindUnknown:
		return nil, noteAlgorithm, nil
	case j.private:
		return nil, nil, errLeaked
	}
	material, err := j.material()
	if err != nil {
		return nil, nil, err
	}
	key, err = NewKey(j.kid, Algorithm(j.alg), material)
	return key, nil, err
}

func readJWK(text []byte) (j jwk, err error) {
	fields := map[string]*string{
		"kty": &j.kty, "kid": &j.kid, "alg": &j.alg, "use": &j.use, "crv": &j.crv,
		"n": &j.n, "e": &j.e, "x": &j.x, "y": &j.y, "k": &j.k,
	}
	err = Object(text, func(name, value []byte) error {
		ok := true
		switch string(name) {
		case "key_ops":
			j.restricted = true
			j.operations, ok = Texts(value)
		case "d", "p", "q", "dp", "dq", "qi", "oth", "priv":
			j.private = true
		default:
			if field := fields[string(name)]; field != nil {
				*field, ok = Text(value)
			}
		}
		if !ok {
			return errMember
		}
		return nil
	})
	if err != nil {
		return jwk{}, err
	}
	for i, op := range j.operations {
		if slices.Contains(j.operations[:i], op) {
			return jwk{}, errOperations
		}
	}
	return j, nil
}

func (j *jwk) material() (any, error) {
	switch j.kty {
	case "RSA":
		return j.rsa()
	case "EC":
		return j.ec()
	case "OKP":
		x, err := decode(j.x)
		if err != nil || len(x) != ed25519.PublicKeySize {
			return nil, errEd25519
		}
		return ed25519.PublicKey(x), nil
	}
	secret, err := decode(j.k)
	if err != nil {
		return nil, errIncomplete
	}
	return secret, nil
}

func (j *jwk) rsa() (any, error) {
	// Looked at before anything is computed: what is longer is no key of ours. It
	// leaves room for leading zeros, which some write although RFC 7518 section 2
	// says that they must not.
	if len(j.n) > maxRSA/4 {
		return nil, errLongRSA
	}
	n, err := decode(j.n)
	if err != nil || len(n) == 0 {
		return nil, errIncomplete
	}
	e, err := decode(j.e)
	if err != nil || len(e) == 0 {
		return nil, errIncomplete
	}
	exponent := new(big.Int).SetBytes(e[:min(len(e), 16)])
	if len(e) > 16 || !exponent.IsInt64() || exponent.Int64() > 1<<31-1 {
		return nil, errExponent
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
}

func (j *jwk) ec() (any, error) {
	curve := curveOf(j.crv)
	size := (curve.Params().BitSize + 7) / 8
	x, err := decode(j.x)
	if err != nil {
		return nil, errIncomplete
	}
	y, err := decode(j.y)
	if err != nil {
		return nil, errIncomplete
	}
	if len(x) != size || len(y) != size {
		return nil, errCoordinate
	}
	const uncompressed = 4 // SEC 1 section 2.3.3
	key, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{uncompressed}, x, y))
	if err != nil {
		return nil, errCurve
	}
	return key, nil
}

func curveOf(name string) elliptic.Curve {
	switch name {
	case "P-256":
		return elliptic.P256()
	case "P-384":
		return elliptic.P384()
	case "P-521":
		return elliptic.P521()
	}
	return nil
}
