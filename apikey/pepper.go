package apikey

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"sync"

	"github.com/keystile/keystile"
)

// Pepper is a key that digests are made under and that is kept apart from the
// store: who has the store alone cannot find out whether a secret is in it.
//
// Of several peppers the first is current: new digests are made under it. A
// secret that comes in under a later one, or under none, is accepted and its
// digest rewritten soon after. To change peppers, put the new one behind the
// current one in every process first, then make it the first; take the old one
// away when no stored Secret names it any more.
type Pepper struct {
	Name string          // kept beside each digest made under it; never used again for another key
	Key  keystile.Secret // at least 32 random bytes
}

const minPepper = 32

func peppersErr(field string, peppers []Pepper) error {
	var errs []error
	seen := make(map[string]bool)
	for i, p := range peppers {
		at := fmt.Sprintf("%s[%d]", field, i)
		switch {
		case p.Name == "":
			errs = append(errs, &keystile.ConfigError{Field: at + ".Name", Reason: "is empty, which stands for no pepper; give it a name, such as 2026-01"})
		case seen[p.Name]:
			errs = append(errs, &keystile.ConfigError{Field: at + ".Name", Value: p.Name, Reason: "is there twice; give each pepper a name of its own"})
		}
		seen[p.Name] = true
		if len(p.Key) < minPepper {
			errs = append(errs, &keystile.ConfigError{Field: at + ".Key",
				Reason: fmt.Sprintf("has %d bytes; use at least %d random ones", len(p.Key), minPepper)})
		}
	}
	return errors.Join(errs...)
}

// digester makes digests. The zero value knows no pepper.
type digester struct{ peppers []*macs }

func newDigester(peppers []Pepper) digester {
	var d digester
	for _, p := range peppers {
		d.peppers = append(d.peppers, newMACs(p))
	}
	return d
}

// current returns the digest of secret as a new key would have it.
func (d *digester) current(secret string) Digest {
	if len(d.peppers) == 0 {
		return sha256.Sum256(bytesOf(secret))
	}
	return d.peppers[0].digest(secret)
}

// secret returns what is kept of a new secret.
func (d *digester) secret(secret string) Secret {
	s := Secret{Digest: d.current(secret)}
	if len(d.peppers) > 0 {
		s.Pepper = d.peppers[0].name
	}
	return s
}

// all returns every digest under which secret may be stored, that of current
// first, which the caller has made already.
func (d *digester) all(secret string, current Digest) []Digest {
	all := make([]Digest, 1, 1+len(d.peppers))
	all[0] = current
	if len(d.peppers) == 0 {
		return all
	}
	for _, p := range d.peppers[1:] {
		all = append(all, p.digest(secret))
	}
	return append(all, sha256.Sum256(bytesOf(secret)))
}

// macs makes HMACs under one key without allocating.
type macs struct {
	name string
	pool sync.Pool // of *macState
}

type macState struct {
	mac hash.Hash
	buf [MaxSecret]byte
	sum [sha256.Size]byte
}

func newMACs(p Pepper) *macs {
	key := []byte(p.Key)
	return &macs{name: p.Name, pool: sync.Pool{New: func() any { return &macState{mac: hmac.New(sha256.New, key)} }}}
}

// digest returns the HMAC of secret, of which at most MaxSecret bytes count: none
// longer comes this far.
func (m *macs) digest(secret string) Digest {
	s := m.pool.Get().(*macState)
	defer m.pool.Put(s)
	n := copy(s.buf[:], secret)
	s.mac.Reset()
	s.mac.Write(s.buf[:n])
	clear(s.buf[:n])
	d := Digest(s.mac.Sum(s.sum[:0]))
	s.mac.Reset()
	return d
}
