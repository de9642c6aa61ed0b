package limiter

import (
	"hash/maphash"
	"sync"
)

// memoryShard is a part of a MemoryStore under a lock of its own: a hash table
// with chains, whose entries lie in chunks and refer to each other by number.
// That halves the links, and makes an entry 80 bytes.
type memoryShard struct {
	mu      sync.Mutex
	takes   uint8
	count   int      // entries in use
	buckets []uint32 // the first entry of each chain
	chunks  []*[chunkSize]memoryEntry
	touched []uint64 // a bit for each entry, set by use and cleared by the queue
	guards  []guard
	scratch []slot // memory for the leases of an entry that has none
	spare   []*[]slot
	store   *MemoryStore
	used    uint32   // numbers below it have been given out; 0 is none, and the head of the queue
	free    uint32   // the first entry that is not in use; the others follow by chain
	hand    uint32   // the entry that was swept last
	_       [64]byte // keeps the locks of two shards out of one cache line
}

// chunkSize fills a size class of the allocator well.
const chunkSize = 32

type memoryEntry struct {
	key        string
	seen       int64 // this, windows and leases are a State
	windows    []window
	leases     *[]slot // nil where there are none, as is usual
	death      int64   // an instant from which on all is dead; 0: the entry is not in use
	chain      uint32
	prev, next uint32 // in the queue; the entry's own number where it is not in there
	guard      uint32 // where in guards, plus 1; 0: nowhere
}

func (s *memoryShard) at(i uint32) *memoryEntry { return &s.chunks[i/chunkSize][i%chunkSize] }

// find returns the entry of key and its number, or 0 and nil.
func (s *memoryShard) find(hash uint64, key []byte) (uint32, *memoryEntry) {
	if s.count == 0 {
		return 0, nil
	}
	for i := s.buckets[hash&uint64(len(s.buckets)-1)]; i != 0; {
		e := s.at(i)
		if e.key == string(key) {
			return i, e
		}
		i = e.chain
	}
	return 0, nil
}

// chores are what a take finds to be done when it has unlocked its shard.
type chores struct {
	crowded bool // there is a key too many in the store, and none here to displace
	sweep   bool // it is time to sweep again
}

// take decides on d.
func (s *memoryShard) take(hash uint64, d *Demand, now int64) (c chores) {
	if len(s.guards) > 0 && s.guards[0].due <= now {
		s.settle(now, 2)
	}
	s.takes++
	c.sweep = s.takes%sweepEvery == 0
	i, e := s.find(hash, d.Key)
	if e != nil && d.Cost > 0 {
		s.touch(i)
	}
	st := s.load(e)
	if e == nil && d.Cost > 0 {
		st.windows = roomFor(d.Asks)
	}
	blank := st.empty()
	changed := Decide(&st, d, now)
	if e == nil && changed {
		i, c.crowded = s.insert(hash, string(d.Key), now)
		e = s.at(i)
	}
	if e == nil || d.Cost == 0 {
		return c
	}
	death, exhausted, known := horizon(d, st.seen)
	if changed {
		s.save(e, &st)
		if !blank {
			death = max(death, e.death)
		}
		e.death = death
	}
	if known < len(st.windows) {
		exhausted = max(exhausted, s.exhausted(e)) // what d did not ask for
	}
	s.rank(i, e, exhausted, now)
	return c
}

// horizon returns when the last ends of what d charged; when the last ends of the
// windows that it found full or used up, 0 where there is none; and how many
// windows that were open it asked for.
func horizon(d *Demand, seen int64) (death, exhausted int64, known int) {
	for i := range d.Asks {
		a := &d.Asks[i]
		if a.Start == 0 {
			if a.Live > 0 {
				death = max(death, after(seen, leaseTTL(d.TTL)))
			}
			continue
		}
		known++
		end := after(a.Start, a.Cell.period())
		death = max(death, end)
		if a.Verdict == Full || a.Used >= a.N {
			exhausted = max(exhausted, end)
		}
	}
	return death, exhausted, known
}

// roomFor returns room for the windows of a new key and not for one more: most
// keys are used with the same limits for ever, and there are many.
func roomFor(asks []Ask) []window {
	n := 0
	for i := range asks {
		if asks[i].Cell.Kind() == KindWindow {
			n++
		}
	}
	return make([]window, 0, n)
}

// load puts together the state of an entry; that of nil is empty. Leases that are
// added go into the scratch memory.
func (s *memoryShard) load(e *memoryEntry) State {
	switch {
	case e == nil:
		return State{leases: s.scratch}
	case e.leases == nil:
		return State{seen: e.seen, windows: e.windows, leases: s.scratch}
	}
	return State{seen: e.seen, windows: e.windows, leases: *e.leases}
}

// save takes apart what load put together.
func (s *memoryShard) save(e *memoryEntry, st *State) {
	e.seen, e.windows = st.seen, st.windows
	switch {
	case len(st.leases) == 0:
		s.dropLeases(e)
	case e.leases != nil:
		*e.leases = st.leases
	default:
		// The scratch memory is the entry's now, and spare memory takes its place.
		e.leases = s.spareLeases()
		s.scratch, *e.leases = (*e.leases)[:0], st.leases
	}
}

// edited saves what was changed other than by a demand. An entry that is empty now
// stays for a while, since its key may come back soon.
func (s *memoryShard) edited(i uint32, e *memoryEntry, st *State, now int64) {
	s.save(e, st)
	if st.empty() {
		e.death = min(e.death, after(instant(now), emptyStay))
	} else {
		e.death = st.death()
	}
	s.rank(i, e, s.exhausted(e), now)
}

// emptyStay is a minute.
const emptyStay = 60_000_000

// How many lists of leases are kept for the next that need one, and how long.
const (
	maxSpare     = 256
	maxSpareSize = 64
)

func (s *memoryShard) spareLeases() *[]slot {
	if len(s.spare) == 0 {
		return new([]slot)
	}
	last := len(s.spare) - 1
	list := s.spare[last]
	s.spare[last] = nil
	s.spare = s.spare[:last]
	return list
}

func (s *memoryShard) dropLeases(e *memoryEntry) {
	if e.leases == nil {
		return
	}
	if len(s.spare) < maxSpare && cap(*e.leases) <= maxSpareSize {
		*e.leases = (*e.leases)[:0]
		s.spare = append(s.spare, e.leases)
	}
	e.leases = nil
}

// insert adds an entry for key, which is not there.
func (s *memoryShard) insert(hash uint64, key string, now int64) (i uint32, crowded bool) {
	if s.store.keys.Add(1) > s.store.maxKeys {
		crowded = !s.displaceDead(now) && !s.displacePlain(now) &&
			!(len(s.store.shards) == 1 && s.displaceGuarded(now))
	}
	if s.used == 0 {
		s.alloc() // entry 0
	}
	if s.count >= len(s.buckets) {
		s.grow()
	}
	i = s.alloc()
	e := s.at(i)
	e.key = key
	s.count++
	bucket := &s.buckets[hash&uint64(len(s.buckets)-1)]
	e.chain, *bucket = *bucket, i
	s.enqueue(i)
	return i, crowded
}

func (s *memoryShard) alloc() uint32 {
	if i := s.free; i != 0 {
		s.free = s.at(i).chain
		s.at(i).chain = 0
		return i
	}
	i := s.used
	if i%chunkSize == 0 {
		s.chunks = append(s.chunks, new([chunkSize]memoryEntry))
	}
	if i%64 == 0 {
		s.touched = append(s.touched, 0)
	}
	s.used++
	e := s.at(i)
	e.prev, e.next = i, i
	return i
}

func (s *memoryShard) grow() {
	old := s.buckets
	s.buckets = make([]uint32, max(2*len(old), 8))
	for _, i := range old {
		for i != 0 {
			e := s.at(i)
			next := e.chain
			bucket := s.bucketOf(e.key)
			e.chain, *bucket = *bucket, i
			i = next
		}
	}
}

func (s *memoryShard) bucketOf(key string) *uint32 {
	return &s.buckets[maphash.String(s.store.seed, key)&uint64(len(s.buckets)-1)]
}

// remove forgets an entry.
func (s *memoryShard) remove(i uint32) {
	e := s.at(i)
	link := s.bucketOf(e.key)
	for *link != i {
		link = &s.at(*link).chain
	}
	*link = e.chain
	s.dequeue(i)
	if e.guard != 0 {
		s.unguard(e.guard - 1)
	}
	s.dropLeases(e)
	s.untouch(i)
	*e = memoryEntry{chain: s.free, prev: i, next: i}
	s.free = i
	s.count--
	s.store.keys.Add(-1)
}

// Every sweepEvery-th take looks at sweepSteps entries of some shard. So the
// sweep is faster than keys can arrive, and what it looks at lies side by side in
// memory.
const (
	sweepEvery = 16
	sweepSteps = 32
)

// sweep looks at the next entries and forgets those that are dead. It goes by
// what the clock says now, so that nothing is forgotten early if the clock has
// stepped back.
func (s *memoryShard) sweep(now int64, steps int) (forgotten int) {
	for range min(steps, int(s.used)) {
		s.hand++
		if s.hand >= s.used {
			s.hand = 0
		}
		if e := s.at(s.hand); e.death != 0 && e.death <= now {
			s.remove(s.hand)
			forgotten++
		}
	}
	return forgotten
}
