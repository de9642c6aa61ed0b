package limiter_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystile/keystile/limiter"
)

// storeClock is a clock that tests set.
type storeClock struct{ us atomic.Int64 }

func newStoreClock() *storeClock {
	c := new(storeClock)
	c.us.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
	return c
}

func (c *storeClock) Now() time.Time          { return time.UnixMicro(c.us.Load()) }
func (c *storeClock) Advance(d time.Duration) { c.us.Add(d.Microseconds()) }

// mapCAS is a CASStore over a map: all that FromCAS needs, and what a test wants
// to know. Blobs go when the test says so.
type mapCAS struct {
	now func() time.Time // nil: it has no clock

	mu           sync.Mutex
	blobs        map[string]casBlob
	loads, swaps int
	lost         func() bool           // nil: no Swap is lost to another writer
	hook         func(op string) error // called before each operation; nil: not
	complaints   []string
}

type casBlob struct {
	bytes   []byte
	expires int64
}

func newMapCAS(now func() time.Time) *mapCAS {
	return &mapCAS{now: now, blobs: map[string]casBlob{}}
}

func (m *mapCAS) clock() time.Time {
	if m.now == nil {
		return time.Time{}
	}
	return m.now()
}

func (m *mapCAS) Load(ctx context.Context, key string) ([]byte, time.Time, error) {
	if m.hook != nil {
		if err := m.hook("load"); err != nil {
			return nil, time.Time{}, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loads++
	return bytes.Clone(m.blobs[key].bytes), m.clock(), ctx.Err()
}

func (m *mapCAS) Swap(ctx context.Context, key string, old, new []byte, ttl time.Duration) (bool, error) {
	if m.hook != nil {
		if err := m.hook("swap"); err != nil {
			return false, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.swaps++
	if m.lost != nil && m.lost() {
		return false, nil
	}
	blob, there := m.blobs[key]
	if there != (old != nil) || !bytes.Equal(blob.bytes, old) {
		return false, nil
	}
	if new == nil {
		delete(m.blobs, key)
		return true, nil
	}
	if ttl < time.Millisecond || ttl%time.Millisecond != 0 {
		m.complaints = append(m.complaints, fmt.Sprintf("Swap of %q with a TTL of %v", key, ttl))
	}
	expires := m.clock().UnixMicro() + ttl.Microseconds()
	if expires < 0 { // beyond what a number can hold
		expires = 1<<63 - 1
	}
	m.blobs[key] = casBlob{bytes.Clone(new), expires}
	return true, nil
}

// expire drops the blobs whose time is over by the storage's clock.
func (m *mapCAS) expire(ifSo func() bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock().UnixMicro()
	for _, key := range slices.Sorted(maps.Keys(m.blobs)) {
		if m.blobs[key].expires <= now && ifSo() {
			delete(m.blobs, key)
		}
	}
}

func (m *mapCAS) drop(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.blobs, key)
}

func (m *mapCAS) blob(key string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.blobs[key].bytes)
}

// newCAS returns FromCAS over c.
func newCAS(t interface {
	Helper()
	Fatal(...any)
}, c limiter.CASStore, now func() time.Time) limiter.Store {
	t.Helper()
	s, err := limiter.FromCAS(c, limiter.CASConfig{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
