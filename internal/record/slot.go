package record

import "sync/atomic"

const (
	slotEmpty uint32 = iota
	slotWriting
	slotWritten
)

// A Slot holds a value that is written at most once and may be read from any
// goroutine at any time. The zero value is empty.
type Slot[T any] struct {
	state atomic.Uint32
	value T
}

// Put writes v and reports whether this call was the one that filled s.
func (s *Slot[T]) Put(v T) bool {
	if !s.state.CompareAndSwap(slotEmpty, slotWriting) {
		return false
	}
	s.value = v
	s.state.Store(slotWritten)
	return true
}

// Get returns the value, and false while s is empty or being filled.
func (s *Slot[T]) Get() (v T, ok bool) {
	if s.state.Load() != slotWritten {
		return v, false
	}
	return s.value, true
}
