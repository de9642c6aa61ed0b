package limiter

import "time"

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
	s, i := m.enter(key)
	defer s.mu.Unlock()
	st := s.load(i)
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

// Shards returns how many parts the store has.
func (m *MemoryStore) Shards() int { return len(m.shards) }

var (
	CheckLimits = checkLimits
	ParseCell   = parseCell
)
