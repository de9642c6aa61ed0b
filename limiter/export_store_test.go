package limiter

import (
	"fmt"
	"time"
)

// RawState is a State laid open: what is live in it, in a fixed order.
type RawState struct {
	Seen    int64
	Windows []RawWindow
	Leases  []RawLease
}

type RawWindow struct {
	Cell        string
	Start, Used int64
}

type RawLease struct {
	Cell   string
	ID     LeaseID
	Expiry int64
}

func (s *State) raw(now int64) RawState {
	live := State{seen: s.seen, windows: append([]window(nil), s.windows...), leases: append([]slot(nil), s.leases...)}
	live.prune(max(instant(now), s.seen))
	live.sort()
	if live.empty() {
		return RawState{}
	}
	r := RawState{Seen: live.seen}
	for _, w := range live.windows {
		r.Windows = append(r.Windows, RawWindow{w.cell.ID(), w.start, w.used})
	}
	for _, l := range live.leases {
		r.Leases = append(r.Leases, RawLease{l.cell.ID(), l.id, l.expiry})
	}
	return r
}

// Raw shows the state of key as it counts at now.
func (m *MemoryStore) Raw(key []byte, now time.Time) RawState {
	s, _, e := m.enter(key)
	defer s.mu.Unlock()
	st := s.load(e)
	return st.raw(now.UnixMicro())
}

// RawBlob shows what is in a blob as it counts at now.
func RawBlob(blob []byte, now time.Time) (RawState, error) {
	if blob == nil {
		return RawState{}, nil
	}
	var s State
	if err := s.UnmarshalBinary(blob); err != nil {
		return RawState{}, err
	}
	return s.raw(now.UnixMicro()), nil
}

// Forget sweeps the whole store as of now.
func (m *MemoryStore) Forget(now time.Time) {
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		s.sweep(now.UnixMicro(), int(s.used))
		s.mu.Unlock()
	}
}

// CheckBooks returns what does not add up in the store's tables.
func (m *MemoryStore) CheckBooks() error {
	total := 0
	for n := range m.shards {
		s := &m.shards[n]
		s.mu.Lock()
		err := s.checkBooks()
		total += s.count
		s.mu.Unlock()
		if err != nil {
			return fmt.Errorf("shard %d: %w", n, err)
		}
	}
	if total != m.Len() {
		return fmt.Errorf("%d keys in the shards, Len is %d", total, m.Len())
	}
	return nil
}

func (s *memoryShard) checkBooks() error {
	chained, queued, guarded := 0, 0, 0
	for b, i := range s.buckets {
		for ; i != 0; i = s.at(i).chain {
			e := s.at(i)
			chained++
			if s.bucketOf(e.key) != &s.buckets[b] {
				return fmt.Errorf("key %q is in the wrong chain", e.key)
			}
			if e.death == 0 {
				return fmt.Errorf("key %q counts as unused", e.key)
			}
			on := e.guard != 0 && s.guards[e.guard-1].on
			if !on && e.next == i {
				return fmt.Errorf("key %q is plain and not in the queue", e.key)
			}
			if e.guard != 0 {
				guarded++
				if s.guards[e.guard-1].key != i {
					return fmt.Errorf("key %q has the guard of another", e.key)
				}
			}
			if e.next != i {
				queued++
			}
			if e.leases != nil && len(*e.leases) == 0 {
				return fmt.Errorf("key %q keeps an empty list of leases", e.key)
			}
		}
	}
	for i := range s.guards {
		if g := s.guards[i]; g.on && g.due > s.until(i) {
			return fmt.Errorf("guard %d is due at %d, after its end at %d", i, g.due, s.until(i))
		}
		if i > 0 && s.guards[(i-1)/2].due > s.guards[i].due {
			return fmt.Errorf("guard %d is out of order", i)
		}
	}
	inQueue := 0
	if s.used > 0 {
		for i := s.at(0).next; i != 0; i = s.at(i).next {
			if inQueue++; s.at(s.at(i).next).prev != i {
				return fmt.Errorf("the queue is broken at %d", i)
			}
		}
	}
	free := 0
	for i := s.free; i != 0; i = s.at(i).chain {
		free++
	}
	if chained != s.count || queued != inQueue || guarded != len(s.guards) || s.used > 0 && s.count+free+1 != int(s.used) {
		return fmt.Errorf("%d keys, %d of them found; %d in the queue, %d found; %d guards, %d found; %d unused of %d", s.count, chained, queued, inQueue, len(s.guards), guarded, free, s.used)
	}
	return nil
}

// Shards returns how many parts the store has.
func (m *MemoryStore) Shards() int { return len(m.shards) }

var (
	CheckLimits = checkLimits
	ParseCell   = parseCell
)
