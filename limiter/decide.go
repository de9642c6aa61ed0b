package limiter

import "math"

// Instants lie in [1, lastInstant]. So a start of 0 can mean that no window is
// open, and what ends at the last int64 never ends.
const lastInstant = math.MaxInt64 - 1

// Decide judges d by the state of its key, fills in d's results, and, where every
// ask fits, charges them in s. It reports whether s changed; a refused demand
// changes nothing. The caller must see to it that nobody else uses s at the same
// time, that d passed its Check, and that now is what one clock says that all
// who write s share, in microseconds since the epoch.
//
// Decide is pure: the same state, demand and now give the same result, in
// whatever order the asks come. All arithmetic of limits is here and in the other
// methods of State; every store decides as this function does.
func Decide(s *State, d *Demand, now int64) (changed bool) {
	at := examine(s, d, now)
	if !d.Admitted || d.Cost == 0 || len(d.Asks) == 0 {
		return false
	}
	for i := range d.Asks {
		a := &d.Asks[i]
		switch a.Cell.Kind() {
		case KindWindow:
			w := s.find(a.Cell)
			if a.Start == 0 {
				w = s.open(a.Cell, at)
			}
			w.used += d.Cost
			a.Start, a.Used = w.start, w.used
		case KindConcurrent:
			s.hold(a.Cell, d.Lease, at, after(at, leaseTTL(d.TTL)))
			examineLeases(s, d, a, at)
		}
	}
	s.seen = at
	return true
}

// examine is the first phase: it fills in all results and writes nothing to s.
// It returns the instant that counts: a clock that stepped back since s was
// written stands still.
func examine(s *State, d *Demand, now int64) (at int64) {
	d.At = instant(now)
	at = max(d.At, s.seen)
	d.Admitted = true
	for i := range d.Asks {
		a := &d.Asks[i]
		switch a.Cell.Kind() {
		case KindWindow:
			examineWindow(s, d, a, at)
		case KindConcurrent:
			examineLeases(s, d, a, at)
		}
		if a.Verdict != Fits {
			d.Admitted = false
		}
	}
	return at
}

func examineWindow(s *State, d *Demand, a *Ask, at int64) {
	a.Start, a.Used = 0, 0
	if w := s.find(a.Cell); w != nil && w.liveAt(at) {
		a.Start, a.Used = w.start, w.used
	}
	a.Verdict = judge(d.Cost, a.N, a.Used)
}

// examineLeases counts. A demand that charges needs one slot more, unless its
// lease already holds one.
func examineLeases(s *State, d *Demand, a *Ask, at int64) {
	a.Live, a.Expiry = 0, 0
	first, held := int64(math.MaxInt64), false
	for i := range s.leases {
		l := &s.leases[i]
		if l.cell != a.Cell || !l.liveAt(at) {
			continue
		}
		a.Live++
		first = min(first, l.expiry)
		held = held || l.id == d.Lease
	}
	if a.Live > 0 {
		a.Expiry = first
	}
	need := int64(0)
	if d.Cost > 0 && !held {
		need = 1
	}
	a.Verdict = judge(need, a.N, a.Live)
}

// judge compares need with what is left and not a sum with n: cost and used may
// be as large as numbers get.
func judge(need, n, used int64) Verdict {
	switch {
	case need > n:
		return NeverFits
	case need <= n-used:
		return Fits
	}
	return Full
}

// instant brings what a clock said into the range of instants.
func instant(now int64) int64 { return min(max(now, 1), lastInstant) }

// after returns t+d, or the last number where that is too much for an int64.
// Neither is negative.
func after(t, d int64) int64 { return min(t, math.MaxInt64-d) + d }
