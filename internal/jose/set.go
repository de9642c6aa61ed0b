package jose

import (
	"errors"
	"fmt"
)

// MaxKeys is how many keys a set may have.
const MaxKeys = 64

// maxTries bounds the work for a token that does not say which key it is signed
// with.
const maxTries = 4

// Set holds the keys of one issuer. It does not change.
type Set struct {
	keys []*Key
	ids  map[string]int // the position of those that have an ID
}

const (
	errNoSet    Flaw = "the text is neither a JWK Set nor a JWK"
	errTooMany  Flaw = "the set has more than 64 keys"
	errNoKeys   Flaw = "the set has no key that can verify"
	errSameID   Flaw = "the set has two keys with the same kid"
	errMixed    Flaw = "the set mixes secrets and public keys"
	errSecretIn Flaw = "is a secret, which is no secret where everybody can fetch it"
)

// NewSet makes a set of keys. Two must not have the same ID, and secrets do not
// mix with public keys: that is how a public key comes to be taken for a secret.
func NewSet(keys ...*Key) (*Set, error) {
	switch {
	case len(keys) == 0:
		return nil, errNoKeys
	case len(keys) > MaxKeys:
		return nil, errTooMany
	}
	s := &Set{keys: keys, ids: make(map[string]int, len(keys))}
	for i, k := range keys {
		if (k.kind == KindSecret) != (keys[0].kind == KindSecret) {
			return nil, errMixed
		}
		if k.id == "" {
			continue
		}
		if _, twice := s.ids[k.id]; twice {
			return nil, errSameID
		}
		s.ids[k.id] = i
	}
	return s, nil
}

// ParseSet reads a JWK Set (RFC 7517 section 5), or a single JWK. Keys that are
// for something else are passed over; one that is ours and bad is an error. An
// error about one key says which, by its position.
func ParseSet(text []byte) (*Set, error) {
	set, _, err := parseSet(text, false)
	return set, err
}

// ParsePublished reads a JWK Set that everybody can fetch. It passes over bad keys
// too, and over secrets and private keys, which are none any more; why, say the
// notes.
func ParsePublished(text []byte) (set *Set, notes []error, err error) {
	return parseSet(text, true)
}

func parseSet(text []byte, published bool) (*Set, []error, error) {
	var keys []*Key
	var notes []error
	count := 0
	add := func(element []byte) error {
		if count++; count > MaxKeys {
			return errTooMany
		}
		k, other, err := parseJWK(element)
		if err == nil && k != nil && published && k.kind == KindSecret {
			err = errSecretIn
		}
		switch {
		case err != nil:
			err = fmt.Errorf("key %d %w", count-1, err)
			if !published {
				return err
			}
			notes = append(notes, err)
		case k == nil:
			notes = append(notes, fmt.Errorf("key %d %w", count-1, other))
		default:
			keys = append(keys, k)
		}
		return nil
	}

	var list []byte
	single := false
	err := Object(text, func(name, value []byte) error {
		switch string(name) {
		case "keys":
			list = value
		case "kty":
			single = true
		}
		return nil
	})
	switch {
	case err != nil:
	case list != nil:
		err = Array(list, add)
	case single && !published:
		err = add(text)
	default:
		err = errNoSet
	}
	if err != nil {
		return nil, notes, err
	}
	set, err := NewSet(keys...)
	if errors.Is(err, errNoKeys) {
		err = errors.Join(append([]error{err}, notes...)...)
	}
	return set, notes, err
}

// Find returns the keys that a token with h may be signed with: the one that has
// its kid, if it fits the algorithm; for a token without kid all that fit, if
// they are few. known reports whether there is a key of that kid at all. The
// result must not be changed.
func (s *Set) Find(h *Header) (keys []*Key, known bool) {
	if h.KeyID != "" {
		i, known := s.ids[h.KeyID]
		if !known || !s.keys[i].Fits(h.Algorithm) {
			return nil, known
		}
		return s.keys[i : i+1 : i+1], true
	}
	for _, k := range s.keys {
		if k.Fits(h.Algorithm) {
			keys = append(keys, k)
		}
	}
	if len(keys) > maxTries {
		return nil, true
	}
	return keys, len(keys) > 0
}

// Keys returns the keys, which must not be changed.
func (s *Set) Keys() []*Key { return s.keys }

// Succeed makes s the follower of old, which may be nil: a key that is in both
// stays the same *Key, and one that is in old only is Gone from now on. It is
// called once, before s is in use.
func (s *Set) Succeed(old *Set) {
	if old == nil {
		return
	}
	// A set may hold one key twice. Each *Key of the old one takes one place here
	// or is Gone: none may be left that is neither, and so trusted for ever.
	taken := make([]bool, len(s.keys))
	for _, k := range old.keys {
		stays := false
		for i, own := range s.keys {
			if !taken[i] && own.Equal(k) {
				s.keys[i], taken[i], stays = k, true, true
				break
			}
		}
		if !stays {
			k.gone.Store(true)
		}
	}
}
