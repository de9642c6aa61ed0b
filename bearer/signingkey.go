package bearer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/jose"
)

// SigningKey is a key of a Signer. It prints without its private half.
type SigningKey struct {
	// ID is the kid of the tokens that it signs. Required, unique within the
	// Signer; never use one again for another key.
	ID string
	// Algorithm is ES256, EdDSA, RS256 or HS256. Required.
	Algorithm Algorithm
	// Private is an *ecdsa.PrivateKey, ed25519.PrivateKey or *rsa.PrivateKey.
	// Required, unless Algorithm is HS256.
	Private crypto.PrivateKey
	// Secret is the key for HS256: at least 32 random bytes. It is never published.
	Secret keystile.Secret
	// Until is when the last token that this key has signed ends, for a key that
	// signs no more. Then it vanishes. Default: never.
	Until time.Time
}

// Format prints ID and algorithm.
func (k SigningKey) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "%s key %q", k.Algorithm, k.ID)
}

// LogValue returns ID and algorithm.
func (k SigningKey) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", k.ID), slog.String("algorithm", string(k.Algorithm)))
}

// MarshalText returns the ID.
func (k SigningKey) MarshalText() ([]byte, error) { return []byte(k.ID), nil }

// signingKey is a SigningKey that has been checked.
type signingKey struct {
	algorithm jose.Algorithm
	private   any       // as golang-jwt wants it
	public    *jose.Key // for HS256 the secret
	until     time.Time
}

func (k *signingKey) isOver(now time.Time) bool { return !k.until.IsZero() && !now.Before(k.until) }

// Format prints the ID only.
func (k *signingKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "key "+k.public.ID()) }

func (m *mistakes) signingKey(at string, k SigningKey) *signingKey {
	if k.ID == "" {
		m.add(at+".ID", nil, "is empty; name the key, by its date for instance, so that it can be replaced")
	}
	made := &signingKey{algorithm: jose.Algorithm(k.Algorithm), until: k.Until}
	var public any
	switch k.Algorithm {
	case ES256:
		if private, ok := k.Private.(*ecdsa.PrivateKey); ok && private != nil {
			made.private, public = private, &private.PublicKey
		}
	case EdDSA:
		if private, ok := k.Private.(ed25519.PrivateKey); ok && len(private) == ed25519.PrivateKeySize {
			made.private, public = private, private.Public()
		}
	case RS256:
		if private, ok := k.Private.(*rsa.PrivateKey); ok && private != nil {
			made.private, public = private, &private.PublicKey
		}
	case HS256:
		if k.Secret != "" && k.Private == nil {
			made.private, public = []byte(k.Secret), []byte(k.Secret)
		}
	default:
		m.add(at+".Algorithm", string(k.Algorithm), "cannot be signed with; use ES256, EdDSA, RS256 or HS256")
		return nil
	}
	if public == nil || (k.Secret != "") != (k.Algorithm == HS256) {
		m.add(at, k.ID, fmt.Sprintf("is no key for %s; ES256 wants an *ecdsa.PrivateKey, EdDSA an ed25519.PrivateKey, RS256 an *rsa.PrivateKey in Private, HS256 a Secret", k.Algorithm))
		return nil
	}
	var err error
	if made.public, err = jose.NewKey(k.ID, made.algorithm, public); err != nil {
		m.add(at, k.ID, err.Error())
		return nil
	}
	return made
}
