package limiter

import (
	"cmp"
	"slices"
	"strings"
)

// State is what a store remembers of one key: its open windows and the leases
// that are held. The zero State is that of a key nobody has used. What is dead in
// a State, a window that is over or a lease that expired, counts as absent, so
// that dropping it changes nothing.
//
// Decide is the way to use one; AppendBinary and UnmarshalBinary are for storage.
type State struct {
	seen    int64 // the instant of the last write; 0 where nothing is kept
	windows []window
	leases  []slot
}

type window struct {
	cell        Cell
	start, used int64
}

// slot is one place of a Concurrent, taken by a lease.
type slot struct {
	cell   Cell
	id     LeaseID
	expiry int64
}

// liveAt holds for the half-open [start, start+period).
func (w *window) liveAt(at int64) bool { return at < w.end() }

func (w *window) end() int64 { return after(w.start, w.cell.period()) }

// liveAt is false at the instant of expiry.
func (l *slot) liveAt(at int64) bool { return at < l.expiry }

// find returns the window of c, live or dead, or nil.
func (s *State) find(c Cell) *window {
	for i := range s.windows {
		if s.windows[i].cell == c {
			return &s.windows[i]
		}
	}
	return nil
}

// open returns a new window of c, in the place of one that is dead.
func (s *State) open(c Cell, at int64) *window {
	s.pruneWindows(at)
	s.windows = append(s.windows, window{cell: c, start: at})
	return &s.windows[len(s.windows)-1]
}

// hold adds the lease, or extends it where it is held already.
func (s *State) hold(c Cell, id LeaseID, at, expiry int64) {
	for i := range s.leases {
		if l := &s.leases[i]; l.id == id && l.cell == c {
			l.expiry = max(l.expiry, expiry)
			return
		}
	}
	s.pruneLeases(at)
	s.leases = append(s.leases, slot{c, id, expiry})
}

// release frees what id holds.
func (s *State) release(id LeaseID, now int64) (changed bool) {
	at := max(instant(now), s.seen)
	for i := range s.leases {
		if s.leases[i].id == id && s.leases[i].liveAt(at) {
			changed = true
		}
	}
	if !changed {
		return false
	}
	s.leases = slices.DeleteFunc(s.leases, func(l slot) bool { return l.id == id })
	s.wrote(at)
	return true
}

// renew lets what id still holds live for ttl from now.
func (s *State) renew(id LeaseID, ttl, now int64) (held bool) {
	at := max(instant(now), s.seen)
	for i := range s.leases {
		if l := &s.leases[i]; l.id == id && l.liveAt(at) {
			l.expiry = max(l.expiry, after(at, ttl))
			held = true
		}
	}
	if held {
		s.wrote(at)
	}
	return held
}

// refund gives back what Decide charged for d, to the windows that are still the
// same: their starts are the receipt.
func (s *State) refund(d *Demand, now int64) (changed bool) {
	at := max(instant(now), s.seen)
	for i := range d.Asks {
		a := &d.Asks[i]
		if w := s.find(a.Cell); w != nil && w.liveAt(at) && w.start == a.Start {
			w.used = max(w.used-d.Cost, 0)
			changed = true
		}
	}
	if changed {
		s.wrote(at)
	}
	return changed
}

// sort puts s into the one order in which it is stored: by the IDs of cells, and
// of leases.
func (s *State) sort() {
	slices.SortFunc(s.windows, func(a, b window) int { return strings.Compare(a.cell.ID(), b.cell.ID()) })
	slices.SortFunc(s.leases, func(a, b slot) int {
		return cmp.Or(strings.Compare(a.cell.ID(), b.cell.ID()), a.id.compare(b.id))
	})
}

// prune drops what is dead. That is done when something is added, and before a
// state is stored, so that none grows without bound.
func (s *State) prune(at int64) {
	s.pruneWindows(at)
	s.pruneLeases(at)
}

func (s *State) pruneWindows(at int64) {
	s.windows = slices.DeleteFunc(s.windows, func(w window) bool { return !w.liveAt(at) })
}

func (s *State) pruneLeases(at int64) {
	s.leases = slices.DeleteFunc(s.leases, func(l slot) bool { return !l.liveAt(at) })
}

// wrote ends a write other than Decide's, after which there may be nothing left.
func (s *State) wrote(at int64) {
	s.prune(at)
	s.seen = at
	if s.empty() {
		s.seen = 0
	}
}

func (s *State) empty() bool { return len(s.windows) == 0 && len(s.leases) == 0 }

// death returns the instant from which on everything in s is dead; 0 where there
// is nothing.
func (s *State) death() (at int64) {
	for i := range s.windows {
		at = max(at, s.windows[i].end())
	}
	return max(at, s.lastExpiry())
}

// lastExpiry returns when the last of the leases dies; 0 where there is none.
func (s *State) lastExpiry() (at int64) {
	for i := range s.leases {
		at = max(at, s.leases[i].expiry)
	}
	return at
}
