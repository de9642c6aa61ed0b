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
	"github.com/keystile/keystile/envelope"
	"github.com/keystile/keystile/limiter"
)

var nothing = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// stack is a Guard with API keys; the same with a limiter of three windows and a
// lease inside; both in an envelope, around a handler that writes JSON; and a key
// that is cached among many.
type stack struct {
	guarded, limited, enveloped http.Handler
	secret                      keystile.Secret
}

var object = []byte(`{"hello":"world"}`)

// smallJSON sets its Content-Type without allocating.
var smallJSON = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = contentType
	_, _ = w.Write(object)
})

var contentType = []string{"application/json"}

func newStack(t testing.TB) stack {
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
	env, err := envelope.New(envelope.Config{Style: envelope.StatusData{}})
	if err != nil {
		t.Fatal(err)
	}
	s := stack{
		guarded: guard.Wrap(nothing), limited: guard.Wrap(limits.Wrap(nothing)),
		enveloped: keystile.Chain(env.Wrap, guard.Wrap, limits.Wrap)(smallJSON),
	}
	for i := range 1000 {
		if _, s.secret, err = keys.Issue(t.Context(), apikey.Draft{Account: fmt.Sprint("acct-", i)}); err != nil {
			t.Fatal(err)
		}
		s.guarded.ServeHTTP(httptest.NewRecorder(), withKey(string(s.secret)))
	}
	return s
}

func withKey(key string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-API-Key", key)
	return r
}

// The counts of a whole chain: the record and the copy of the request for the
// Guard; the decision and one string of numbers for the limiter; the writer of
// the envelope.
func TestAllocationsOfTheChain(t *testing.T) {
	s := newStack(t)
	good := string(s.secret)
	broken := good[:len(good)-1] + map[bool]string{true: "1", false: "0"}[good[len(good)-1] == '0']
	for _, tt := range []struct {
		name   string
		h      http.Handler
		key    string
		status int
		most   float64
	}{
		{"a Guard with a cached key", s.guarded, good, 200, 2},
		{"a limiter inside", s.limited, good, 200, 4},
		{"an envelope around both", s.enveloped, good, 200, 5},
		{"a key with a bad checksum", s.limited, broken, 401, 4},
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
	s := newStack(b)
	good := string(s.secret)
	broken := good[:len(good)-1] + "!"
	for _, c := range []struct {
		name string
		h    http.Handler
		key  string
	}{
		{"floor", newFloor(b, good), good},
		{"guard", s.guarded, good},
		{"guard+limiter", s.limited, good},
		{"envelope+guard+limiter", s.enveloped, good},
		{"refused", s.limited, broken},
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
