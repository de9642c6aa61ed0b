package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"slices"
	"sync/atomic"
)

// Key verifies signatures. What it is made of decides which algorithms it can
// serve, so a public key is never a secret for HMAC (RFC 8725 section 3.1).
type Key struct {
	id        string
	algorithm Algorithm // "": any that fits
	kind      Kind
	size      int // bits of RSA and EC keys, bytes of a secret
	material  any // *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey or []byte
	gone      atomic.Bool
}

// Bounds of RSA keys in bits (RFC 7518 sections 3.3 and 3.5 want 2048; the upper
// one keeps a verification cheap).
const (
	minRSA = 2048
	maxRSA = 8192
)

const (
	errPrivate      Flaw = "is a private key; pass its public half"
	errMaterial     Flaw = "is no *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey or secret"
	errWeakRSA      Flaw = "is an RSA key shorter than 2048 bits (RFC 7518 section 3.3); make a longer one"
	errLongRSA      Flaw = "is an RSA key longer than 8192 bits; make a shorter one"
	errExponent     Flaw = "is an RSA key with a bad exponent; 65537 is the usual one"
	errROCA         Flaw = "is an RSA key of a generator whose keys can be factored (CVE-2017-15361); make a new one elsewhere"
	errCurve        Flaw = "is not a point on P-256, P-384 or P-521"
	errEd25519      Flaw = "is not an Ed25519 public key"
	errShortSecret  Flaw = "is a secret shorter than the hash of its algorithm (RFC 7518 section 3.2): 32 bytes for HS256, 48 for HS384, 64 for HS512; make one of random bytes"
	errPublicSecret Flaw = "is a public key where a secret is needed: whoever knows it could sign (RFC 8725 section 3.1); pass the key itself, not its text"
	errKeyAlgorithm Flaw = "is a key that its algorithm cannot use"
)

// NewKey makes a key from what the standard library parses keys into, or from the
// bytes of a secret. It copies the material.
func NewKey(id string, algorithm Algorithm, material any) (*Key, error) {
	k := &Key{id: id, algorithm: algorithm}
	var err error
	switch m := material.(type) {
	case *rsa.PublicKey:
		err = k.useRSA(m)
	case *ecdsa.PublicKey:
		err = k.useEC(m)
	case ed25519.PublicKey:
		err = k.useEd25519(m)
	case []byte:
		err = k.useSecret(m)
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		err = errPrivate
	default:
		err = errMaterial
	}
	if err != nil {
		return nil, err
	}
	if algorithm != "" && !k.Fits(algorithm) {
		return nil, errKeyAlgorithm
	}
	return k, nil
}

func (k *Key) useRSA(m *rsa.PublicKey) error {
	if m == nil || m.N == nil || m.N.Sign() <= 0 {
		return errMaterial
	}
	k.kind, k.size = KindRSA, m.N.BitLen()
	k.material = &rsa.PublicKey{N: new(big.Int).Set(m.N), E: m.E}
	switch {
	case k.size < minRSA:
		return errWeakRSA
	case k.size > maxRSA:
		return errLongRSA
	case m.E < 3 || m.E%2 == 0 || m.E > 1<<31-1:
		return errExponent
	case isROCA(m.N):
		return errROCA
	}
	return nil
}

func (k *Key) useEC(m *ecdsa.PublicKey) error {
	if m == nil || m.Curve == nil {
		return errCurve
	}
	switch m.Curve {
	case elliptic.P256(), elliptic.P384(), elliptic.P521():
	default:
		return errCurve
	}
	point, err := m.Bytes()
	if err != nil {
		return errCurve
	}
	own, err := ecdsa.ParseUncompressedPublicKey(m.Curve, point)
	if err != nil {
		return errCurve
	}
	k.kind, k.size, k.material = KindEC, m.Curve.Params().BitSize, own
	return nil
}

func (k *Key) useEd25519(m ed25519.PublicKey) error {
	if len(m) != ed25519.PublicKeySize {
		return errEd25519
	}
	k.kind, k.material = KindEd25519, slices.Clone(m)
	return nil
}

func (k *Key) useSecret(m []byte) error {
	k.kind, k.size, k.material = KindSecret, len(m), slices.Clone(m)
	least := HS256.MinSecret()
	if k.algorithm.Kind() == KindSecret {
		least = k.algorithm.MinSecret()
	}
	switch {
	case IsPublic(m):
		return errPublicSecret
	case len(m) < least:
		return errShortSecret
	}
	return nil
}

// ID returns the kid of the tokens that k is for, "" for those that have none.
func (k *Key) ID() string { return k.id }

// Kind returns what k is made of.
func (k *Key) Kind() Kind { return k.kind }

// Gone reports whether k has left the set that it was in. Set.Succeed says so.
func (k *Key) Gone() bool { return k.gone.Load() }

// Fits reports whether k may verify with a: the kind is right, the size too, and
// no other algorithm is prescribed (RFC 7517 section 4.4).
func (k *Key) Fits(a Algorithm) bool {
	t := a.traits()
	switch {
	case t.kind != k.kind || t.kind == KindUnknown:
		return false
	case k.algorithm != "" && k.algorithm != a:
		return false
	case t.kind == KindEC:
		return k.size == t.curve
	}
	return k.size >= t.hash
}

// Verify returns nil where signature is that of input by a. The comparison of a
// MAC takes constant time.
func (k *Key) Verify(a Algorithm, input string, signature []byte) error {
	if !k.Fits(a) {
		return errKeyAlgorithm
	}
	if err := a.traits().method.Verify(input, signature, k.material); err != nil {
		return errSignature
	}
	return nil
}

// Equal reports whether k and other are the same key for the same use.
func (k *Key) Equal(other *Key) bool {
	if k.id != other.id || k.algorithm != other.algorithm || k.kind != other.kind {
		return false
	}
	switch m := k.material.(type) {
	case *rsa.PublicKey:
		return m.Equal(other.material)
	case *ecdsa.PublicKey:
		return m.Equal(other.material)
	case ed25519.PublicKey:
		return m.Equal(other.material)
	case []byte:
		return subtle.ConstantTimeCompare(m, other.material.([]byte)) == 1
	}
	return false
}

// Format prints the name only: the material may be a secret.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "jose.Key "+k.id) }

// LogValue returns the name.
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.id) }

// TooShort reports whether k is a secret that a could use if it were longer.
func (k *Key) TooShort(a Algorithm) bool {
	t := a.traits()
	return k.kind == KindSecret && t.kind == KindSecret && (k.algorithm == "" || k.algorithm == a) && k.size < t.hash
}
