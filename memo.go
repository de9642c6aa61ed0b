package keystile

import (
	"maps"
	"sync/atomic"
)

// memo remembers results that are few and never change, so that a flood of
// refusals is answered without building the same bytes again. Reading it takes
// no lock and allocates nothing. The zero value is empty.
type memo[K comparable, V any] struct {
	known atomic.Pointer[map[K]V]
}

// memoSize bounds a memo, should the few turn out to be many.
const memoSize = 64

// get returns what build makes of k, mostly without calling it.
func (m *memo[K, V]) get(k K, build func(K) V) V {
	known := m.known.Load()
	if known != nil {
		if v, ok := (*known)[k]; ok {
			return v
		}
		if len(*known) >= memoSize {
			return build(k)
		}
	}
	v := build(k)
	more := map[K]V{k: v}
	if known != nil {
		maps.Copy(more, *known)
	}
	m.known.CompareAndSwap(known, &more) // whoever loses builds again another time
	return v
}
