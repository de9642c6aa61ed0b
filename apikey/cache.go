package apikey

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// cache remembers which digest is whose, and, apart, which is nobody's. It is cut
// into shards by digest, each under a lock of its own.
//
// What keeps it true: a read of the store that began before an invalidation
// leaves nothing behind that was not gone already. Every invalidation of a
// digest moves the generation of its shard on; a flight notes the generations of
// all the digests it asks for before it reads, and what it found is stored only
// while they stand. Only then is the key forgotten by its ID in all shards, so
// that what a flight stored just before is found there.
type cache struct {
	shards  []shard
	mask    uint64
	ttl     stamp
	missTTL stamp
	// single says that a secret is stored under one digest only, so that a miss of
	// that one is a miss.
	single bool
	// open says that news of changes will reach what is stored from now on.
	open atomic.Bool
}

type shard struct {
	mu      sync.Mutex
	gen     atomic.Uint64     // changed under mu
	index   map[uint64]*entry // of keys, by the head of the digest: what a request looks into
	keys    *simplelru.LRU[Digest, *entry]
	misses  *simplelru.LRU[Digest, miss]
	ids     map[string]*entry // of keys, by the ID, those of one key linked
	flights map[Digest]*flight
	_       [64]byte // no two locks in one cache line
}

// clockSlack forgives a clock that was read just before another one.
const clockSlack = stamp(time.Second)

// shortened returns when what was read at began has to be read again: ttl later
// or up to a tenth of it sooner, so that what was read together is not read
// again together.
func shortened(began, ttl stamp) stamp { return began + ttl - rand.N(ttl/10+1) }

// miss is the memory of a digest that is nobody's.
type miss struct{ since, until stamp }

func (m miss) good(now stamp) bool { return now < m.until && now > m.since-clockSlack }

// promoteEvery is how long an entry rests where it is among those last used:
// moving it for every request would touch four others each time.
const promoteEvery = stamp(time.Second)

const (
	shardsPerCPU = 4
	minShards    = 16
	maxShards    = 256
	minShard     = 256 // entries; fewer in a shard push each other out by chance
)

func newCache(c Cache, single bool) *cache {
	n := 1
	for n < min(maxShards, max(minShards, shardsPerCPU*runtime.GOMAXPROCS(0))) && c.Size/(2*n) >= minShard {
		n *= 2
	}
	all := &cache{shards: make([]shard, n), mask: uint64(n - 1), ttl: stamp(c.TTL), missTTL: stamp(c.MissTTL), single: single}
	for i := range all.shards {
		s := &all.shards[i]
		s.keys, _ = simplelru.NewLRU((c.Size+n-1)/n, s.unlink) // fails for no other size than 0
		s.misses, _ = simplelru.NewLRU[Digest, miss]((c.MissSize+n-1)/n, nil)
		s.index = make(map[uint64]*entry)
		s.ids = make(map[string]*entry)
		s.flights = make(map[Digest]*flight)
	}
	return all
}

func (c *cache) shard(d Digest) *shard {
	return &c.shards[d.tail()&c.mask]
}

// get returns the entry of d, or nil with known where the secret of d is
// remembered as nobody's.
func (c *cache) get(d Digest, now stamp) (e *entry, known bool) {
	s := c.shard(d)
	s.mu.Lock()
	e = s.key(d, now)
	known = e != nil || c.single && s.missed(d, now)
	s.mu.Unlock()
	return e, known
}

func (s *shard) missed(d Digest, now stamp) bool {
	m, ok := s.misses.Get(d)
	return ok && m.good(now)
}

// key returns the entry of d, or nil. The index is small, so that a request finds
// its key without going through the list and the map of the LRU.
func (s *shard) key(d Digest, now stamp) *entry {
	e := s.index[d.head()]
	if e == nil || e.rest != d.rest() || !e.good(now) {
		return nil
	}
	if now-e.front > promoteEvery {
		e.front = now
		s.keys.Get(d)
	}
	return e
}

// missed reports whether every one of the digests is remembered as nobody's:
// where a secret may be stored under several, a miss of one says nothing.
func (c *cache) missed(asked []Digest, now stamp) bool {
	for _, d := range asked {
		s := c.shard(d)
		s.mu.Lock()
		known := s.missed(d, now)
		s.mu.Unlock()
		if !known {
			return false
		}
	}
	return true
}

// store keeps what a flight found, unless something was invalidated since it
// took off.
func (c *cache) store(f *flight) {
	if f.err != nil || !c.open.Load() {
		return
	}
	if f.entry == nil {
		for i, d := range f.asked {
			s := c.shard(d)
			s.mu.Lock()
			if s.gen.Load() == f.gens[i] {
				s.misses.Add(d, miss{f.began, shortened(f.began, c.missTTL)})
			}
			s.mu.Unlock()
		}
		return
	}
	d := f.asked[0]
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.current(f) {
		return
	}
	s.keys.Remove(d)
	s.link(f.entry)
	s.keys.Add(d, f.entry)
	s.misses.Remove(d)
}

// forget drops all that is remembered of a key.
func (c *cache) forget(ch Change) {
	if len(ch.Digests) == 0 {
		c.forgetID(ch.ID)
		return
	}
	for _, d := range ch.Digests {
		s := c.shard(d)
		s.mu.Lock()
		s.gen.Add(1)
		s.keys.Remove(d)
		s.misses.Remove(d)
		s.mu.Unlock()
	}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.removeID(ch.ID)
		s.mu.Unlock()
	}
}

// forgetID drops all that may be remembered of a key whose digests are not
// known: every read in flight, every miss.
func (c *cache) forgetID(id string) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.gen.Add(1)
		s.misses.Purge()
		s.removeID(id)
		s.mu.Unlock()
	}
}

// flush drops everything.
func (c *cache) flush() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.gen.Add(1)
		s.misses.Purge()
		s.keys.Purge()
		s.mu.Unlock()
	}
}

// link makes e findable by its digest and by the ID of its key. The caller holds the lock.
func (s *shard) link(e *entry) {
	s.index[e.head] = e
	e.sibling = s.ids[e.key.ID]
	s.ids[e.key.ID] = e
}

// unlink undoes link. The LRU calls it, under the lock, for what leaves it.
func (s *shard) unlink(_ Digest, e *entry) {
	if s.index[e.head] == e {
		delete(s.index, e.head)
	}
	id := e.key.ID
	if s.ids[id] == e {
		if e.sibling == nil {
			delete(s.ids, id)
		} else {
			s.ids[id] = e.sibling
		}
		return
	}
	for other := s.ids[id]; other != nil; other = other.sibling {
		if other.sibling == e {
			other.sibling = e.sibling
			return
		}
	}
}

func (s *shard) removeID(id string) {
	for e := s.ids[id]; e != nil; {
		next := e.sibling
		s.keys.Remove(e.digest())
		e = next
	}
}
