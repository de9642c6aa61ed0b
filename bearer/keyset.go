package bearer

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/jose"
)

// KeySet is where the keys of one issuer are. Its constructors never fail; a
// mistake in their arguments is reported by New.
type KeySet struct {
	make func(o opening) (source, error)
}

// Key is one key of an issuer.
type Key struct {
	// ID is the kid of the tokens that are signed with this key. Default: for
	// tokens that have no kid.
	ID string
	// Algorithm is the only one that this key is for. Default: any of the issuer's
	// that fits.
	Algorithm Algorithm
	// Public is an *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey. Required,
	// unless Secret is set.
	Public crypto.PublicKey
	// Secret is what issuer and service share, for HS256 and its kin: at least as
	// many random bytes as the hash has.
	Secret keystile.Secret
}

// opening is what a key set is told when New opens it.
type opening struct {
	field      string // its place in the configuration
	issuer     string
	algorithms []jose.Algorithm
	now        func() time.Time
	logger     *slog.Logger
	life       *lifetime
}

// source is a key set in use.
type source interface {
	// find returns the keys that a token with h may be signed with. It may wait for
	// a fetch. The error is errUnknownKey, or a *keystile.Error where it cannot be
	// told.
	find(ctx context.Context, now time.Time, h *jose.Header) ([]*jose.Key, error)
	// serves reports whether what k has verified may still be relied on. It does
	// not wait.
	serves(k *jose.Key, now time.Time) bool
}

func (s KeySet) open(o opening) (source, error) {
	if s.make == nil {
		return nil, &keystile.ConfigError{Field: o.field, Reason: "is the zero value; use StaticKeys, StaticJWKS, KeyFile, RemoteKeys or that of a Signer"}
	}
	return s.make(o)
}

// StaticKeys are keys that do not change.
func StaticKeys(keys ...Key) KeySet {
	keys = slices.Clone(keys)
	return KeySet{func(o opening) (source, error) {
		var m mistakes
		made := make([]*jose.Key, 0, len(keys))
		for i, k := range keys {
			at := fmt.Sprintf("%s: bearer.StaticKeys[%d]", o.field, i)
			key, err := k.compile()
			switch {
			case err != nil:
				m.add(at, k.ID, err.Error())
			case tooShort(key, o.algorithms) != "":
				m.add(at, k.ID, tooShort(key, o.algorithms))
			case !fits(key, o.algorithms) && len(o.algorithms) > 0:
				m.add(at, k.ID, "fits none of the Algorithms of the issuer; list the one that the key is for")
			default:
				made = append(made, key)
			}
		}
		if len(m) > 0 {
			return nil, m.err()
		}
		set, err := jose.NewSet(made...)
		if err != nil {
			m.add(o.field+": bearer.StaticKeys", nil, err.Error())
			return nil, m.err()
		}
		return fixedKeys{set}, nil
	}}
}

func (k *Key) compile() (*jose.Key, error) {
	switch {
	case k.Public != nil && k.Secret != "":
		return nil, jose.Flaw("has both Public and Secret; it can be one of them only")
	case k.Public == nil && k.Secret == "":
		return nil, jose.Flaw("has neither Public nor Secret; set the one that the issuer's algorithms need")
	case k.Secret != "":
		return jose.NewKey(k.ID, jose.Algorithm(k.Algorithm), []byte(k.Secret))
	}
	if _, bytes := k.Public.([]byte); bytes {
		return nil, jose.Flaw("is bytes, which are no public key; pass what crypto/x509 parses them into, or set Secret")
	}
	return jose.NewKey(k.ID, jose.Algorithm(k.Algorithm), k.Public)
}

// StaticJWKS is a JWK Set, or a single JWK, as JSON text (RFC 7517). Keys in it
// that are for something else, such as encryption, are passed over.
func StaticJWKS(text []byte) KeySet {
	text = slices.Clone(text)
	return KeySet{func(o opening) (source, error) {
		set, err := parseSet(text, o.algorithms)
		if err != nil {
			return nil, &keystile.ConfigError{Field: o.field + ": bearer.StaticJWKS", Reason: "cannot be used: " + err.Error()}
		}
		return fixedKeys{set}, nil
	}}
}

// parseSet reads a set of one's own, which must have a key that is of use and no
// secret that is too short.
func parseSet(text []byte, algorithms []jose.Algorithm) (*jose.Set, error) {
	set, err := jose.ParseSet(text)
	if err != nil {
		return nil, err
	}
	for _, k := range set.Keys() {
		if reason := tooShort(k, algorithms); reason != "" {
			return nil, fmt.Errorf("the key %.60q %s", k.ID(), reason)
		}
	}
	if len(algorithms) > 0 && !useful(set, algorithms) {
		return nil, errNoUse
	}
	return set, nil
}

var errNoUse = errors.New("no key in it fits the Algorithms of the issuer")

// useful reports whether some key of set fits the algorithms.
func useful(set *jose.Set, algorithms []jose.Algorithm) bool {
	return slices.ContainsFunc(set.Keys(), func(k *jose.Key) bool { return fits(k, algorithms) })
}

func fits(k *jose.Key, algorithms []jose.Algorithm) bool {
	return slices.ContainsFunc(algorithms, k.Fits)
}

// tooShort returns what is wrong with a secret that one of the algorithms could
// use if it were longer, or "".
func tooShort(k *jose.Key, algorithms []jose.Algorithm) string {
	for _, a := range algorithms {
		if k.TooShort(a) {
			return fmt.Sprintf("is a secret shorter than the hash of %s (RFC 7518 section 3.2); use %d random bytes or more", a, a.MinSecret())
		}
	}
	return ""
}

// fixedKeys is the source of a set that does not change.
type fixedKeys struct{ set *jose.Set }

func (f fixedKeys) find(_ context.Context, _ time.Time, h *jose.Header) ([]*jose.Key, error) {
	return found(f.set, h)
}

func (fixedKeys) serves(*jose.Key, time.Time) bool { return true }

func found(set *jose.Set, h *jose.Header) ([]*jose.Key, error) {
	keys, _ := set.Find(h)
	if len(keys) == 0 {
		return nil, errUnknownKey
	}
	return keys, nil
}
