package limiter

// Which key a full MemoryStore forgets.
//
// Keys that are neither exhausted nor leasing are plain. A queue has all plain
// keys; the one at its end goes first, unless it was used since it was put in:
// then it gets another round. So taking from a known key moves nothing, and pays
// for one step of the queue at most.
//
// Keys that are exhausted or leasing have a guard, in a heap by the instant at
// which the guard is due to be looked at. That instant is no later than when the
// key becomes plain by the passing of time. Taking and releasing a lease again
// and again, as busy keys do, leaves guard and queue where they are.

// guard protects a key.
type guard struct {
	due  int64 // when to look at it again
	full int64 // when the last of the exhausted windows ends; 0: none is
	key  uint32
	on   bool // false: the key is plain
}

// rank notes whether an entry is guarded. Full is when the last of its exhausted
// windows ends.
func (s *memoryShard) rank(i uint32, e *memoryEntry, full, now int64) {
	until := max(full, e.lastExpiry())
	switch {
	case until > now && e.guard == 0:
		s.guards = append(s.guards, guard{due: until, full: full, key: i, on: true})
		e.guard = uint32(len(s.guards))
		s.up(len(s.guards) - 1)
	case until > now:
		g := &s.guards[e.guard-1]
		g.full, g.on = full, true
		if until < g.due {
			g.due = until
			s.up(int(e.guard - 1))
		}
	default:
		if e.guard != 0 {
			s.guards[e.guard-1].on = false
		}
		if e.next == i {
			s.enqueue(i)
		}
	}
}

func (e *memoryEntry) lastExpiry() int64 {
	if e.leases == nil {
		return 0
	}
	st := State{leases: *e.leases}
	return st.lastExpiry()
}

// exhausted returns what the guard of an entry knows of its windows.
func (s *memoryShard) exhausted(e *memoryEntry) int64 {
	if e.guard != 0 && s.guards[e.guard-1].on {
		return s.guards[e.guard-1].full
	}
	return 0
}

// settle looks at up to steps of the guards that are due.
func (s *memoryShard) settle(now int64, steps int) {
	for ; steps > 0 && len(s.guards) > 0 && s.guards[0].due <= now; steps-- {
		if until := s.until(0); until > now {
			s.guards[0].due = until
			s.down(0)
			continue
		}
		i := s.guards[0].key
		s.unguard(0)
		if s.at(i).next == i {
			s.enqueue(i)
		}
	}
}

// until returns when the key of a guard becomes plain by the passing of time.
func (s *memoryShard) until(at int) int64 {
	g := &s.guards[at]
	if !g.on {
		return 0
	}
	return max(g.full, s.at(g.key).lastExpiry())
}

// displaceDead forgets a few keys that are dead, if it comes across some.
func (s *memoryShard) displaceDead(now int64) bool { return s.sweep(now, sweepSteps) > 0 }

// displacePlain forgets a plain key, if there is one.
func (s *memoryShard) displacePlain(now int64) bool {
	if s.count == 0 {
		return false
	}
	s.settle(now, len(s.guards))
	for {
		i := s.at(0).prev
		if i == 0 {
			return false
		}
		e := s.at(i)
		switch {
		case e.guard != 0 && s.guards[e.guard-1].on:
			s.dequeue(i) // it comes back when it is plain
		case s.wasTouched(i):
			s.untouch(i)
			s.dequeue(i)
			s.enqueue(i)
		default:
			s.remove(i)
			return true
		}
	}
}

// displaceGuarded forgets the key that becomes free soonest. It is for when
// there is no plain key.
func (s *memoryShard) displaceGuarded(now int64) bool {
	if s.displacePlain(now) {
		return true
	}
	for len(s.guards) > 0 {
		if until := s.until(0); until > s.guards[0].due {
			s.guards[0].due = until
			s.down(0)
			continue
		}
		s.remove(s.guards[0].key)
		return true
	}
	return false
}

// The queue is a ring with entry 0 as its head: behind it is what was put in
// last, before it what goes next.

func (s *memoryShard) enqueue(i uint32) {
	head, e := s.at(0), s.at(i)
	e.prev, e.next = 0, head.next
	s.at(head.next).prev = i
	head.next = i
}

func (s *memoryShard) dequeue(i uint32) {
	e := s.at(i)
	s.at(e.prev).next, s.at(e.next).prev = e.next, e.prev
	e.prev, e.next = i, i
}

func (s *memoryShard) touch(i uint32)           { s.touched[i/64] |= 1 << (i % 64) }
func (s *memoryShard) untouch(i uint32)         { s.touched[i/64] &^= 1 << (i % 64) }
func (s *memoryShard) wasTouched(i uint32) bool { return s.touched[i/64]&(1<<(i%64)) != 0 }

// The heap of guards. container/heap would box every one of them.

func (s *memoryShard) up(at int) {
	for at > 0 {
		parent := (at - 1) / 2
		if s.guards[parent].due <= s.guards[at].due {
			break
		}
		s.swap(at, parent)
		at = parent
	}
}

func (s *memoryShard) down(at int) {
	for {
		least := 2*at + 1
		if least >= len(s.guards) {
			return
		}
		if right := least + 1; right < len(s.guards) && s.guards[right].due < s.guards[least].due {
			least = right
		}
		if s.guards[at].due <= s.guards[least].due {
			return
		}
		s.swap(at, least)
		at = least
	}
}

func (s *memoryShard) swap(a, b int) {
	g := s.guards
	g[a], g[b] = g[b], g[a]
	s.at(g[a].key).guard, s.at(g[b].key).guard = uint32(a+1), uint32(b+1)
}

func (s *memoryShard) unguard(at uint32) {
	last := len(s.guards) - 1
	s.swap(int(at), last)
	s.at(s.guards[last].key).guard = 0
	s.guards = s.guards[:last]
	if int(at) < last {
		s.down(int(at))
		s.up(int(at))
	}
}
