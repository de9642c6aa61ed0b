package apikey

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/record"
)

// Two digests whose first 64 bits are alike cannot be made for a test, so the
// cache is asked directly. They are two keys all the same.
func TestTheWholeDigestCounts(t *testing.T) {
	c := newCache(Cache{Size: 10, MissSize: 10, TTL: 1 << 40, MissTTL: 1 << 40}, true)
	c.open.Store(true)
	var one, other Digest
	one[0], other[0] = 1, 1
	one[31], other[31] = 1, 2
	for _, d := range []Digest{one, other} {
		f := &flight{asked: []Digest{d}, gens: []uint64{0}}
		e := &entry{key: &Key{ID: d.Hex()}, head: d.head(), rest: d.rest(), until: 1 << 40}
		f.entry = e
		c.store(f)
		if got, _ := c.get(d, 1); got != e {
			t.Errorf("%s finds %v", d.Hex(), got)
		}
	}
	if got, known := c.get(one, 1); got != nil || known {
		t.Errorf("a digest that begins alike finds the key of another: %v", got.key)
	}
	c.forget(Change{ID: one.Hex(), Digests: []Digest{one}})
	if got, _ := c.get(other, 1); got == nil {
		t.Error("what is left is not found")
	}
	c.forget(Change{ID: other.Hex(), Digests: []Digest{other}})
	s := c.shard(one)
	if n := len(s.index) + len(s.ids) + s.keys.Len(); n != 0 {
		t.Errorf("%d traces are left of what was forgotten", n)
	}
}

// The index, the IDs and the LRU tell the same, whatever comes and goes.
func TestTheIndexesOfTheCacheAgree(t *testing.T) {
	c := newCache(Cache{Size: 5, MissSize: 5, TTL: 1 << 40, MissTTL: 1 << 40}, true)
	c.open.Store(true)
	for i := range 200 {
		var d Digest
		d[0], d[31] = byte(i%23), byte(i%23)
		f := &flight{asked: []Digest{d}, gens: []uint64{c.shard(d).gen.Load()}}
		f.entry = &entry{key: &Key{ID: string(rune('a' + i%3))}, head: d.head(), rest: d.rest(), until: 1 << 40}
		c.store(f)
		if i%17 == 0 {
			c.forget(Change{ID: "a", Digests: []Digest{d}})
		}
		s := c.shard(d)
		linked := 0
		for id, e := range s.ids {
			for ; e != nil; e = e.sibling {
				linked++
				if e.key.ID != id || s.index[e.head] != e {
					t.Fatalf("step %d: %s is linked under %s or not indexed", i, e.key.ID, id)
				}
			}
		}
		if linked != s.keys.Len() || len(s.index) != linked || linked > 5 {
			t.Fatalf("step %d: %d linked, %d indexed, %d in the LRU", i, linked, len(s.index), s.keys.Len())
		}
	}
}

// A caller who saw neither the flight nor what it found, because it landed in
// between, does not read again.
func TestAFlightThatLandedJustBefore(t *testing.T) {
	finder := &countingFinder{}
	v, err := NewVerifier(VerifierConfig{Finder: finder, Formats: []Format{LaxFormat("", 16, 512)}})
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.Repeat("a", 16)
	for range 2 {
		e, _, err := v.load(context.Background(), secret, v.digester.current(secret), v.clock.stamp())
		if e != nil || err != nil {
			t.Fatalf("%v, %v", e, err)
		}
	}
	if got := finder.asked.Load(); got != 1 {
		t.Errorf("%d reads, want 1", got)
	}
	if n := len(v.cache.shard(v.digester.current(secret)).flights); n != 0 {
		t.Errorf("%d flights are left in the air", n)
	}
}

type countingFinder struct{ asked atomic.Int64 }

func (f *countingFinder) FindByDigest(context.Context, ...Digest) (*Key, error) {
	f.asked.Add(1)
	return nil, ErrNotFound
}

// What every request reads of an entry is in its first cache line.
func TestTheHotPartOfAnEntryIsOneCacheLine(t *testing.T) {
	var e entry
	if end := unsafe.Offsetof(e.principals) + unsafe.Sizeof(e.principals[0]); end > 64 {
		t.Errorf("it takes %d bytes, want 64", end)
	}
}

// Memory comes in sizes, and what is of one size lies side by side: what stays
// must not lie among what each request throws away.
func TestEntriesLieApartFromRequestRecords(t *testing.T) {
	const classes = "16 24 32 48 64 80 96 112 128 144 160 176 192 208 224 240 256 288 320 352 384"
	class := func(size uintptr) (c uintptr) {
		for _, s := range strings.Fields(classes) {
			if n, _ := strconv.Atoi(s); c < size {
				c = uintptr(n)
			}
		}
		return c
	}
	entry, record, request := class(unsafe.Sizeof(entry{})), class(unsafe.Sizeof(record.Record{})), class(unsafe.Sizeof(http.Request{}))
	if entry == record || entry == request {
		t.Errorf("entries take %d bytes, request records %d and requests %d: change the padding", entry, record, request)
	}
}

func TestShards(t *testing.T) {
	for _, size := range []int{1, 2, 100, 512, 1 << 14, 1 << 20} {
		c := newCache(Cache{Size: size, MissSize: 1}, true)
		n := len(c.shards)
		if n&(n-1) != 0 || n > maxShards || n > 1 && size/n < minShard {
			t.Errorf("%d shards for %d keys", n, size)
		}
	}
}

// A principal is made once for each scheme that is known.
func TestPrincipalsAreMadeOnce(t *testing.T) {
	e := &entry{key: &Key{ID: "k"}}
	for _, scheme := range schemes {
		first := e.principal(scheme)
		if again := e.principal(scheme); again != first || first.Scheme != scheme {
			t.Errorf("%s: two principals", scheme)
		}
	}
	if e.principal(keystile.Scheme("other")).Scheme != "other" {
		t.Error("another scheme")
	}
}
