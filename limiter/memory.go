package limiter

import (
	"context"
	"errors"
	"hash/maphash"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/keystile/keystile"
)

// MemoryConfig configures a MemoryStore.
type MemoryConfig struct {
	// MaxKeys is how many keys are remembered at most. Default: 1,000,000, which
	// take about 200 MB with three windows each.
	MaxKeys int
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// MemoryStore is the Store of a single process. It has no goroutine and needs no
// Close: whoever takes sweeps away a little of what is dead.
//
// At MaxKeys each new key displaces another: one that is neither exhausted (a
// window refused its last demand, or has nothing left) nor holds a lease, and
// that has not been used for long. So a flood of invented keys never sets a
// blocked caller free, as long as there is any other key. If there is none, the
// key goes that would have become free soonest in its shard. Refusing the
// newcomer instead would let whoever exhausts MaxKeys keys lock everybody else
// out; not remembering it would let everybody else pass unlimited. And who can
// exhaust MaxKeys keys gains little from the return of one of them. Choose
// MaxKeys well above the number of keys that are in use at a time: a key that is
// displaced starts anew.
//
// The zero value fails every call.
type MemoryStore struct {
	now     func() time.Time
	seed    maphash.Seed
	shift   int // what is left of a hash is the number of its shard
	shards  []memoryShard
	maxKeys int64
	keys    atomic.Int64
	broom   atomic.Uint32 // the shard that was swept last
}

const (
	defaultMaxKeys = 1_000_000
	// mostKeys is where the numbers of the entries of a shard would run out.
	mostKeys  = 1 << 32
	maxShards = 64
	// shardKeys is how many keys a shard is worth. Within a shard the choice of
	// the key to displace is best, so that small stores are better with one.
	shardKeys = 1024
)

// NewMemoryStore returns an empty MemoryStore, or all mistakes of c.
func NewMemoryStore(c MemoryConfig) (*MemoryStore, error) {
	switch {
	case c.MaxKeys < 0:
		return nil, &keystile.ConfigError{Field: "limiter.MemoryConfig.MaxKeys", Value: c.MaxKeys, Reason: "is negative; give the number of keys to remember, or 0 for the default of 1,000,000"}
	case int64(c.MaxKeys) > mostKeys:
		return nil, &keystile.ConfigError{Field: "limiter.MemoryConfig.MaxKeys", Value: c.MaxKeys, Reason: "is more than 4,294,967,296; give what the memory has room for, at about 200 bytes a key"}
	case c.MaxKeys == 0:
		c.MaxKeys = defaultMaxKeys
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	shards := 1
	for shards < maxShards && c.MaxKeys/(2*shards) >= shardKeys {
		shards *= 2
	}
	m := &MemoryStore{
		now: c.Now, seed: maphash.MakeSeed(), maxKeys: int64(c.MaxKeys),
		shards: make([]memoryShard, shards), shift: 64 - bits.TrailingZeros(uint(shards)),
	}
	for i := range m.shards {
		m.shards[i].store = m
	}
	return m, nil
}

var errZeroMemoryStore = errors.New("limiter: this MemoryStore was not made by NewMemoryStore")

func (m *MemoryStore) ready(ctx context.Context) error {
	if m == nil || len(m.shards) == 0 {
		return errZeroMemoryStore
	}
	return ctx.Err()
}

func (m *MemoryStore) clock() int64 { return m.now().UnixMicro() }

// locate returns the hash of key and the number of its shard.
func (m *MemoryStore) locate(key []byte) (hash uint64, shard int) {
	hash = maphash.Bytes(m.seed, key)
	return hash, int(hash >> m.shift)
}

// Len returns how many keys are remembered, with those that are dead and not yet
// swept away.
func (m *MemoryStore) Len() int { return int(m.keys.Load()) }

// Take is Store.Take. It allocates nothing for a key that is known, unless the
// key comes with limits that are new to it.
func (m *MemoryStore) Take(ctx context.Context, d *Demand) error {
	now, err := m.begin(ctx, d)
	if err != nil {
		return err
	}
	hash, n := m.locate(d.Key)
	s := &m.shards[n]
	s.mu.Lock()
	todo := s.take(hash, d, now)
	s.mu.Unlock()
	if todo.crowded {
		m.makeRoom(n, now)
	}
	if todo.sweep {
		m.sweep(now)
	}
	return nil
}

// Inspect is Store.Inspect.
func (m *MemoryStore) Inspect(ctx context.Context, d *Demand) error {
	now, err := m.begin(ctx, d)
	if err != nil {
		return err
	}
	s, _, e := m.enter(d.Key)
	defer s.mu.Unlock()
	st := s.load(e)
	examine(&st, d, now)
	return nil
}

// begin checks what a decision needs, and returns its instant. Results that an
// earlier use of d left are no longer to be read.
func (m *MemoryStore) begin(ctx context.Context, d *Demand) (now int64, err error) {
	d.Admitted = false
	if err := m.ready(ctx); err != nil {
		return 0, err
	}
	if err := d.Check(); err != nil {
		return 0, err
	}
	return m.instant(d), nil
}

func (m *MemoryStore) instant(d *Demand) int64 {
	if d.Now != 0 {
		return d.Now
	}
	return m.clock()
}

// Release is Store.Release. It allocates nothing.
func (m *MemoryStore) Release(ctx context.Context, key []byte, lease LeaseID) error {
	if err := m.ready(ctx); err != nil {
		return err
	}
	now := m.clock()
	s, i, e := m.enter(key)
	defer s.mu.Unlock()
	if st := s.load(e); st.release(lease, now) {
		s.edited(i, e, &st, now)
	}
	return nil
}

// Renew is Store.Renew. It allocates nothing.
func (m *MemoryStore) Renew(ctx context.Context, key []byte, lease LeaseID, ttl time.Duration) (held bool, err error) {
	if err := m.ready(ctx); err != nil {
		return false, err
	}
	if err := checkTTL(ttl); err != nil {
		return false, err
	}
	now := m.clock()
	s, i, e := m.enter(key)
	defer s.mu.Unlock()
	st := s.load(e)
	if held = st.renew(lease, leaseTTL(ttl), now); held {
		s.edited(i, e, &st, now)
	}
	return held, nil
}

// Refund is Store.Refund. It allocates nothing.
func (m *MemoryStore) Refund(ctx context.Context, d *Demand) error {
	if err := m.ready(ctx); err != nil {
		return err
	}
	if err := d.Check(); err != nil {
		return err
	}
	if !d.spend() {
		return nil
	}
	now := m.instant(d)
	s, i, e := m.enter(d.Key)
	defer s.mu.Unlock()
	if st := s.load(e); st.refund(d, now) {
		s.edited(i, e, &st, now)
	}
	return nil
}

// Reset is Store.Reset.
func (m *MemoryStore) Reset(ctx context.Context, key []byte) error {
	if err := m.ready(ctx); err != nil {
		return err
	}
	s, i, e := m.enter(key)
	defer s.mu.Unlock()
	if e != nil {
		s.remove(i)
	}
	return nil
}

// enter locks the shard of key and finds its entry.
func (m *MemoryStore) enter(key []byte) (s *memoryShard, i uint32, e *memoryEntry) {
	hash, n := m.locate(key)
	s = &m.shards[n]
	s.mu.Lock()
	i, e = s.find(hash, key)
	return s, i, e
}

// sweep sweeps a little of the next shard, unless somebody is in it: dead keys do
// not wait for one of their own shard to be taken from.
func (m *MemoryStore) sweep(now int64) {
	s := &m.shards[int(m.broom.Add(1))&(len(m.shards)-1)]
	if s.mu.TryLock() {
		s.sweep(now, sweepSteps)
		s.mu.Unlock()
	}
}

// makeRoom displaces a key of another shard than n, in which a new key found
// nothing to displace.
func (m *MemoryStore) makeRoom(n int, now int64) {
	for _, displace := range [...]func(*memoryShard, int64) bool{(*memoryShard).displacePlain, (*memoryShard).displaceGuarded} {
		for k := 1; k < len(m.shards); k++ {
			s := &m.shards[(n+k)%len(m.shards)]
			s.mu.Lock()
			done := m.keys.Load() <= m.maxKeys || displace(s, now)
			s.mu.Unlock()
			if done {
				return
			}
		}
	}
}
