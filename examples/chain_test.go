package examples_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
	"github.com/keystile/keystile/limiter"
)

var nothing = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// newChain returns a Guard with API keys, the same with a limiter of three
// windows and a lease inside, and a key that is cached among many.
func newChain(t testing.TB) (guarded, chain http.Handler, secret keystile.Secret) {
	t.Helper()
	store := apikey.NewMemoryStore()
	keys, err := apikey.New(apikey.Config{Store: store, Feed: store, Format: apikey.Format{Prefix: "demo_"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := keys.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	guard, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: keys.From(apikey.Header("X-API-Key")), Realm: "test"})
	if err != nil {
		t.Fatal(err)
	}
	counters, err := limiter.NewMemoryStore(limiter.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	const many = 1 << 30
	limits, err := limiter.New(limiter.Config{
		Name: "api", Store: counters, By: limiter.ByAccount, OnStoreError: limiter.Deny,
		Limits: []limiter.Limit{limiter.PerMinute(many), limiter.PerHour(many), limiter.PerDay(many), limiter.Concurrent(1000)},
	})
	if err != nil {
		t.Fatal(err)
	}
	guarded, chain = guard.Wrap(nothing), guard.Wrap(limits.Wrap(nothing))
	for i := range 1000 {
		if _, secret, err = keys.Issue(t.Context(), apikey.Draft{Account: fmt.Sprint("acct-", i)}); err != nil {
			t.Fatal(err)
		}
		guarded.ServeHTTP(httptest.NewRecorder(), withKey(string(secret)))
	}
	return guarded, chain, secret
}

func withKey(key string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-API-Key", key)
	return r
}

// The counts of a whole chain: the record and the copy of the request for the
// Guard; the decision and one string of numbers for the limiter.
func TestAllocationsOfTheChain(t *testing.T) {
	guarded, chain, secret := newChain(t)
	broken := string(secret[:len(secret)-1]) + map[bool]string{true: "1", false: "0"}[secret[len(secret)-1] == '0']
	for _, tt := range []struct {
		name   string
		h      http.Handler
		key    string
		status int
		most   float64
	}{
		{"a Guard with a cached key", guarded, string(secret), 200, 2},
		{"a limiter inside", chain, string(secret), 200, 4},
		{"a key with a bad checksum", chain, broken, 401, 4},
	} {
		w, r := httptest.NewRecorder(), withKey(tt.key)
		w.Body = nil
		header := w.Header()
		if n := testing.AllocsPerRun(500, func() { clear(header); tt.h.ServeHTTP(w, r) }); n > tt.most {
			t.Errorf("%s: %v allocations, want at most %v", tt.name, n, tt.most)
		}
		if w.Code != tt.status {
			t.Errorf("%s: %d, want %d", tt.name, w.Code, tt.status)
		}
	}
}

// BenchmarkChain measures the chain beside the least that any such check must
// do: hash the key, look it up in an LRU, put a value into the context. Compare
// within one run: go test -run '^$' -bench Chain -count 6 ./examples
func BenchmarkChain(b *testing.B) {
	guarded, chain, secret := newChain(b)
	broken := string(secret[:len(secret)-1]) + "!"
	for _, c := range []struct {
		name string
		h    http.Handler
		key  string
	}{
		{"floor", newFloor(b, string(secret)), string(secret)},
		{"guard", guarded, string(secret)},
		{"guard+limiter", chain, string(secret)},
		{"refused", chain, broken},
	} {
		b.Run(c.name+"/serial", func(b *testing.B) {
			b.ReportAllocs()
			serveMany(c.h, c.key, b.Loop)
		})
		b.Run(c.name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) { serveMany(c.h, c.key, pb.Next) })
		})
	}
}

func serveMany(h http.Handler, key string, next func() bool) {
	w, r := httptest.NewRecorder(), withKey(key)
	w.Body = nil
	header := w.Header()
	for next() {
		clear(header)
		h.ServeHTTP(w, r)
	}
}

type floorKey struct{}

func newFloor(b *testing.B, secret string) http.Handler {
	cache, err := lru.New[[sha256.Size]byte, *keystile.Principal](16384)
	if err != nil {
		b.Fatal(err)
	}
	for i := range 1000 {
		cache.Add(sha256.Sum256(fmt.Append(nil, i)), &keystile.Principal{})
	}
	cache.Add(sha256.Sum256([]byte(secret)), &keystile.Principal{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := cache.Get(sha256.Sum256([]byte(r.Header["X-Api-Key"][0])))
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		nothing(w, r.WithContext(context.WithValue(r.Context(), floorKey{}, p)))
	})
}
