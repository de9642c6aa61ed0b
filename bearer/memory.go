package bearer

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
	"unsafe"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/jose"
)

// digest is SHA-256 of a token. A token is remembered under it, so that what is
// in memory opens nothing.
type digest [sha256.Size]byte

// digestOf hashes without copying the token: a byte slice of its bytes is only
// read.
func digestOf(token string) digest {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(token), len(token)))
}

func (d *digest) head() uint64   { return binary.LittleEndian.Uint64(d[:8]) }
func (d *digest) tail() uint64   { return binary.LittleEndian.Uint64(d[len(d)-8:]) }
func (d *digest) rest() [24]byte { return [24]byte(d[8:]) }

// verified is a token whose signature and claims were found good. What can change
// since is looked at again every time: the time, the key, whether it is revoked.
type verified struct {
	rest      [24]byte // of its digest
	head      uint64
	begins    stamp // nbf, earlier by the leeway
	ends      stamp // exp, later by the leeway
	front     stamp // when it was last moved to the front of the LRU, under the shard's lock
	issuer    *issuer
	key       *jose.Key
	principal *keystile.Principal
	claims    *Claims
}

// memory remembers verified tokens, and no others: a flood of bad ones pushes out
// nothing. It is cut into shards by digest, each under a lock of its own.
type memory struct {
	shards []shard
	mask   uint64
	epoch  time.Time
}

type shard struct {
	mu     sync.Mutex
	index  map[uint64]*verified // by the head of the digest: what a request looks into
	tokens *simplelru.LRU[digest, *verified]
	_      [64]byte // no two locks in one cache line
}

// stamp is an instant in nanoseconds since the memory was made: what is compared
// for each request is a number. Those of a token are by the wall clock, as its
// claims are; time.Time compares with them likewise.
type stamp int64

const (
	maxShards = 32
	minShard  = 256 // fewer in a shard push each other out by chance

	// promoteEvery is how long a token rests where it is among those last used.
	promoteEvery = stamp(time.Second)
)

func newMemory(size int, epoch time.Time) *memory {
	n := 1
	for n < maxShards && size/(2*n) >= minShard {
		n *= 2
	}
	// Without its monotonic reading: the claims know the wall clock only.
	m := &memory{shards: make([]shard, n), mask: uint64(n - 1), epoch: epoch.Round(0)}
	for i := range m.shards {
		s := &m.shards[i]
		s.index = make(map[uint64]*verified)
		s.tokens, _ = simplelru.NewLRU((size+n-1)/n, s.unlink) // fails for no other size than 0
	}
	return m
}

// stamp returns t as a stamp. What is further away than 292 years, it puts there.
func (m *memory) stamp(t time.Time) stamp { return stamp(t.Sub(m.epoch)) }

func (m *memory) get(d *digest, now stamp) *verified {
	s := &m.shards[d.tail()&m.mask]
	s.mu.Lock()
	v := s.index[d.head()]
	if v == nil || v.rest != d.rest() {
		s.mu.Unlock()
		return nil
	}
	if now-v.front > promoteEvery || now < v.front {
		v.front = now
		s.tokens.Get(*d)
	}
	s.mu.Unlock()
	return v
}

func (m *memory) put(d *digest, v *verified) {
	v.head, v.rest = d.head(), d.rest()
	s := &m.shards[d.tail()&m.mask]
	s.mu.Lock()
	s.tokens.Remove(*d)
	if other := s.index[v.head]; other != nil { // of another token, whose digest begins alike
		s.tokens.Remove(other.digest())
	}
	s.index[v.head] = v
	s.tokens.Add(*d, v)
	s.mu.Unlock()
}

func (m *memory) forget(v *verified) {
	d := v.digest()
	s := &m.shards[d.tail()&m.mask]
	s.mu.Lock()
	if s.index[v.head] == v {
		s.tokens.Remove(d)
	}
	s.mu.Unlock()
}

// unlink is called by the LRU, under the lock, for what leaves it.
func (s *shard) unlink(_ digest, v *verified) {
	if s.index[v.head] == v {
		delete(s.index, v.head)
	}
}

func (v *verified) digest() (d digest) {
	binary.LittleEndian.PutUint64(d[:], v.head)
	copy(d[8:], v.rest[:])
	return d
}
