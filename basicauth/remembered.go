package basicauth

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/keystile/keystile"
)

// memory remembers which passwords were right, by the digest of the credentials
// and with the stored hash that they were compared with: never which were wrong,
// and never longer than a minute. The digests are made under a key that only this
// process has, so that what lies in memory is no hash to guess at.
//
// The row of the user is read for every request all the same. What is remembered
// counts only while the row has the same hash, and is neither gone nor disabled;
// another plan, too, is seen in the row.
//
// It counts for the networks only where the password was right. From another, or
// while somebody guesses there, the Throttles come first: else memory would say at
// once, and to anybody as often as he likes, whether a guess is the password of a
// user who is active.
type memory struct {
	shards []memoryShard
	mask   uint64
	ttl    stamp
}

type memoryShard struct {
	mu    sync.Mutex
	index map[uint64]*remembered // what a request looks into: small, and by itself
	order *simplelru.LRU[digest, *remembered]
	_     [64]byte // no two locks in one cache line
}

type remembered struct {
	digest       digest
	since, until stamp
	front        stamp // when it was last moved to the front of order; under mu
	name         string
	hash         PasswordHash
	view         atomic.Pointer[view]
	latest       atomic.Pointer[acquaintance]    // where it was right last
	from         atomic.Pointer[[]*acquaintance] // where it was right, the latest last
	first        view                            // the first view, beside the rest in memory
}

// view is a user as it was last seen.
type view struct {
	row       *User // as Users returned it
	user      *User // a copy, without hash
	principal *keystile.Principal
}

const (
	maxShards = 64
	minShard  = 256 // entries; fewer in a shard push each other out by chance
	// promoteEvery is how long an entry rests where it is in the order: moving it
	// for every request would touch four others each time.
	promoteEvery = stamp(time.Second)
	// clockSlack forgives a clock that was read just before another one.
	clockSlack = stamp(time.Second)
	// maxFrom is how many networks of one login are remembered.
	maxFrom = 8
)

// newMemory returns one for size logins; ttl 0 remembers nothing.
func newMemory(size int, ttl stamp) *memory {
	if ttl <= 0 {
		return nil
	}
	n := 1
	for n < maxShards && size/(2*n) >= minShard {
		n *= 2
	}
	m := &memory{shards: make([]memoryShard, n), mask: uint64(n - 1), ttl: ttl}
	for i := range m.shards {
		s := &m.shards[i]
		s.index = make(map[uint64]*remembered)
		s.order, _ = simplelru.NewLRU((size+n-1)/n, s.unlink) // fails for no other size than 0
	}
	return m
}

// head is what entries are found by; tail is what shards are.
func (d *digest) head() uint64 { return binary.LittleEndian.Uint64(d[:]) }
func (d *digest) tail() uint64 { return binary.LittleEndian.Uint64(d[len(d)-8:]) }

func (m *memory) shard(d *digest) *memoryShard { return &m.shards[d.tail()&m.mask] }

// unlink takes e out of the index. The LRU calls it for what leaves it.
func (s *memoryShard) unlink(_ digest, e *remembered) {
	if s.index[e.digest.head()] == e {
		delete(s.index, e.digest.head())
	}
}

// get returns what is remembered of d, or nil.
func (m *memory) get(d *digest, now stamp) *remembered {
	if m == nil {
		return nil
	}
	s := m.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.index[d.head()]
	if e == nil || e.digest != *d {
		return nil
	}
	if now >= e.until || now < e.since-clockSlack { // the clock may have been set back
		s.order.Remove(*d)
		return nil
	}
	if now-e.front > promoteEvery {
		e.front = now
		s.order.Get(*d)
	}
	return e
}

// store remembers that the password of d, sent under name, is right for u, and
// returns the principal.
func (m *memory) store(d *digest, name string, u *User, from *acquaintance, now stamp) *keystile.Principal {
	v := newView(u)
	if m == nil {
		return v.principal
	}
	if name == u.Name {
		name = u.Name // the same bytes, at one place in memory
	}
	e := &remembered{digest: *d, since: now, until: now + m.ttl, front: now, name: name, hash: u.Hash}
	e.first = *v
	e.view.Store(&e.first)
	if known := m.get(d, now); known != nil && known.hash == u.Hash {
		e.from.Store(known.from.Load()) // several waited for the same comparison
	}
	e.meet(from)
	s := m.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order.Remove(*d)
	s.order.Add(*d, e)
	s.index[d.head()] = e
	return v.principal
}

func newView(u *User) *view {
	return &view{row: u, user: withoutHash(u), principal: u.principal()}
}

func withoutHash(u *User) *User {
	u = u.Clone()
	u.Hash = ""
	return u
}

// vouches reports whether the password that is remembered is right for u as it is
// now. Neither hash is of the client's making, so nothing is to be gained from how
// long the comparison takes.
func (e *remembered) vouches(u *User) bool {
	return e != nil && u != nil && !u.Disabled && u.Hash == e.hash
}

// principal returns that of u as it is now.
func (e *remembered) principal(u *User) *keystile.Principal {
	v := e.view.Load()
	if v.row != u { // rows are read-only: the same one says the same
		if v.user.same(u) {
			v = &view{row: u, user: v.user, principal: v.principal}
		} else {
			v = newView(u)
		}
		e.view.Store(v)
	}
	return v.principal
}

// open reports whether the user may be let in from there without asking the
// Throttles.
func (e *remembered) open(from origin, now stamp) bool {
	if q := e.latest.Load(); from.host != "" && from.host == q.host {
		return q.open(now)
	}
	network := from.network()
	for _, q := range *e.from.Load() {
		if q.network == network && q.open(now) {
			e.latest.Store(q)
			return true
		}
	}
	return false
}

// meet notes that the login may come from there, too.
func (e *remembered) meet(from *acquaintance) {
	for {
		old := e.from.Load()
		var all []*acquaintance
		if old != nil {
			all = slices.DeleteFunc(slices.Clone(*old), func(q *acquaintance) bool { return q.network == from.network })
		}
		if len(all) == maxFrom {
			all = all[1:]
		}
		all = append(all, from)
		if e.from.CompareAndSwap(old, &all) {
			e.latest.Store(from)
			return
		}
	}
}

func (m *memory) len() int {
	if m == nil {
		return 0
	}
	n := 0
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		n += s.order.Len()
		s.mu.Unlock()
	}
	return n
}
