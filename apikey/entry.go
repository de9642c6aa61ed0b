package apikey

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/keystile/keystile"
)

// entry is a key as the cache holds it, for one of its secrets, with all that can
// be worked out beforehand. What every request reads fills the first cache line.
type entry struct {
	rest       [24]byte     // of digest, behind its head
	until      stamp        // when the store has to be asked again
	front      stamp        // when the entry was last moved to the front of the LRU, under the shard's lock
	marked     atomic.Int64 // when used was last set, a stamp
	refused    verdict
	restricted bool // to networks or endpoints
	mortal     bool // ends is set
	outdated   bool // the stored digest is not the current one
	principals [len(schemes)]atomic.Pointer[keystile.Principal]

	key       *Key         // without Secrets
	ends      time.Time    // when the key or this secret of it is dead, whichever comes first
	head      uint64       // of digest
	stored    Digest       // as the store has it, which may be another than digest
	used      atomic.Int64 // the last use, an instant
	queued    atomic.Bool  // it is to be written down
	rehashing atomic.Bool

	sibling     *entry // the next entry of the same key in the shard, under its lock
	nextUsed    *entry // the next whose use is to be written down, under the lock of touches
	siblingUsed *entry // and the next of those of the same key

	// Without it an entry would have the size of a request record, and lie
	// scattered among those that are garbage already: a third slower to find.
	_ [24]byte
}

// digest is that of the secret as a new key would have it: under this one the
// entry is cached.
func (e *entry) digest() Digest {
	var d Digest
	binary.LittleEndian.PutUint64(d[:], e.head)
	copy(d[len(d)-len(e.rest):], e.rest[:])
	return d
}

// verdict is a state that no clock can change.
type verdict uint8

const (
	notRefused verdict = iota
	revoked
	disabled
)

// schemes are those whose principals an entry keeps.
var schemes = [...]keystile.Scheme{keystile.SchemeAPIKey, keystile.SchemeBearer}

// newEntry makes an entry of a record that was read, having looked whether it can
// be believed.
func (v *Verifier) newEntry(k *Key, f *flight) (*entry, error) {
	if k == nil {
		return nil, fmt.Errorf("%w: the store returned neither a key nor an error", ErrCorrupt)
	}
	secret, rank, ok := heldSecret(k, f.asked)
	switch {
	case !ok:
		// A reply that belongs to another question, such as a connection answers
		// after a timeout (go-redis, CVE-2025-29923).
		return nil, fmt.Errorf("%w: the record does not hold the digest that was asked for", ErrCorrupt)
	case k.ID == "":
		return nil, fmt.Errorf("%w: the record has no ID", ErrCorrupt)
	}
	key := k.withoutSecrets()
	for i, p := range key.Networks {
		if !p.IsValid() {
			return nil, fmt.Errorf("%w: Networks[%d] is not a network", ErrCorrupt, i)
		}
		key.Networks[i] = cleanPrefix(p)
	}
	for i, rule := range key.Endpoints {
		if err := keystile.CheckEndpoint(rule); err != nil {
			return nil, fmt.Errorf("%w: Endpoints[%d]: %v", ErrCorrupt, i, err)
		}
	}
	e := &entry{
		rest:       f.asked[0].rest(),
		until:      shortened(f.began, v.cache.ttl),
		front:      f.began,
		key:        key,
		head:       f.asked[0].head(),
		stored:     secret.Digest,
		outdated:   rank > 0 && v.rehash != nil,
		ends:       earlier(key.ExpiresAt, secret.NotAfter),
		restricted: len(key.Networks) > 0 || len(key.Endpoints) > 0,
	}
	e.mortal = !e.ends.IsZero()
	e.marked.Store(neverMarked)
	switch {
	case !key.RevokedAt.IsZero():
		e.refused = revoked
	case !key.DisabledAt.IsZero():
		e.refused = disabled
	}
	return e, nil
}

// good reports whether e may still be served. A clock that was put back ends it.
func (e *entry) good(now stamp) bool { return now < e.until && now > e.front-clockSlack }

// principal returns the principal of a key that stands for itself. Those of the
// known schemes are made once.
func (e *entry) principal(scheme keystile.Scheme) *keystile.Principal {
	slot := &e.principals[0]
	switch scheme {
	case schemes[0]:
	case schemes[1]:
		slot = &e.principals[1]
	default:
		return e.newPrincipal(scheme)
	}
	if p := slot.Load(); p != nil {
		return p
	}
	slot.CompareAndSwap(nil, e.newPrincipal(scheme))
	return slot.Load()
}

func (e *entry) newPrincipal(scheme keystile.Scheme) *keystile.Principal {
	p := e.key.Principal(scheme)
	p.Expires = e.ends
	return p.WithCredential(e.key)
}

// heldSecret returns the secret of k whose digest was asked for, and the rank of
// that digest: 0 is the one that a new key would have.
func heldSecret(k *Key, asked []Digest) (s Secret, rank int, ok bool) {
	for rank, d := range asked {
		i := slices.IndexFunc(k.Secrets, func(s Secret) bool { return s.Digest.Equal(d) && !d.IsZero() })
		if i >= 0 {
			return k.Secrets[i], rank, true
		}
	}
	return Secret{}, 0, false
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// cleanPrefix returns p as addresses are compared with it: IPv4 as IPv4, which
// is how keystile.ClientAddr gives it.
func cleanPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}
