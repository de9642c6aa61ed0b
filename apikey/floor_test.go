package apikey_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
	"github.com/keystile/keystile/internal/evidence"
)

// The floor is what a check of an API key cannot do without: hash the key, look
// it up in an LRU cache, put who it is into the context. Beside it stands the
// whole path: Guard, places, format, cache, expiry, last use. `make bench` runs
// both in one process; only their ratio means anything.

const floorKeys = 10_000

type floorKey struct{}

// floor is a middleware that does no more than the floor.
func floor(cache *lru.Cache[[32]byte, *keystile.Principal], next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		values := r.Header["X-Api-Key"]
		if len(values) != 1 {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var buf [64]byte
		n := copy(buf[:], values[0])
		p, ok := cache.Get(sha256.Sum256(buf[:n]))
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), floorKey{}, p)))
	})
}

// besideFloor makes the floor and the whole path over the same keys, all cached,
// which come in no order.
func besideFloor(tb testing.TB, n int) (paths []benchPath, secrets []string) {
	tb.Helper()
	store := apikey.NewMemoryStore()
	keys, err := apikey.New(apikey.Config{Store: store, Feed: store, Format: apikey.Format{Prefix: "acme_"}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = keys.Close(context.Background()) })
	guard, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: keys.From(apikey.Header("X-API-Key")), Realm: "acme"})
	if err != nil {
		tb.Fatal(err)
	}
	cache, err := lru.New[[32]byte, *keystile.Principal](n)
	if err != nil {
		tb.Fatal(err)
	}
	secrets = make([]string, n)
	for i := range secrets {
		_, secret, err := keys.Issue(tb.Context(), apikey.Draft{Account: fmt.Sprint("account-", i%100), Name: "bench"})
		if err != nil {
			tb.Fatal(err)
		}
		cache.Add(sha256.Sum256([]byte(secret)), &keystile.Principal{Subject: fmt.Sprint(i)})
		secrets[i] = string(secret)
	}
	rand.Shuffle(len(secrets), func(i, j int) { secrets[i], secrets[j] = secrets[j], secrets[i] })
	served := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	paths = []benchPath{{"floor", floor(cache, served)}, {"keystile", guard.Wrap(served)}}
	for _, p := range paths {
		c := newCaller()
		for _, secret := range secrets {
			if c.call(p.handler, secret); c.w.status != 0 {
				tb.Fatalf("%s answers %d", p.name, c.w.status)
			}
		}
	}
	return paths, secrets
}

// caller puts one request to a handler again and again, with another key each
// time: as in a server, the request is at hand and what is known of the key is
// not.
type caller struct {
	w      discard
	r      *http.Request
	values []string
}

func newCaller() *caller {
	c := &caller{values: make([]string, 1)}
	c.r = &http.Request{Method: "GET", Header: http.Header{"X-Api-Key": c.values}, RemoteAddr: "192.0.2.1:1234"}
	return c
}

func (c *caller) call(h http.Handler, secret string) {
	c.values[0] = secret
	clear(c.w.header)
	h.ServeHTTP(&c.w, c.r)
}

type benchPath struct {
	name    string
	handler http.Handler
}

func BenchmarkVerify(b *testing.B) {
	paths, secrets := besideFloor(b, floorKeys)
	for _, p := range paths {
		b.Run(p.name+"/serial", func(b *testing.B) {
			b.ReportAllocs()
			c := newCaller()
			for i := 0; b.Loop(); i++ {
				c.call(p.handler, secrets[i%floorKeys])
			}
		})
		b.Run(p.name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				c := newCaller()
				for i := rand.IntN(floorKeys); pb.Next(); i++ {
					c.call(p.handler, secrets[i%floorKeys])
				}
			})
		})
	}
}

// TestCostBesideTheFloor measures the ratio in short passes that take turns, so
// that what else the machine does weighs on both alike. It asserts nothing about
// time.
func TestCostBesideTheFloor(t *testing.T) {
	paths, secrets := besideFloor(t, evidence.Count(500, floorKeys))
	passes := evidence.Count(3, 400)
	for _, workers := range []int{1, runtime.GOMAXPROCS(0)} {
		var ratios []float64
		times := make([][]time.Duration, len(paths))
		for pass := range passes {
			for turn := range paths {
				i := (turn + pass) % len(paths)
				times[i] = append(times[i], onePass(paths[i].handler, secrets, workers))
			}
			ratios = append(ratios, float64(times[1][pass])/float64(times[0][pass]))
		}
		rows := [][2]string{{"passes", fmt.Sprint(passes)}}
		for i, p := range paths {
			perOp := median(times[i]) / time.Duration(len(secrets))
			rows = append(rows, [2]string{p.name + ", median per request", perOp.String()})
		}
		rows = append(rows, [2]string{"keystile / floor, median of passes", fmt.Sprintf("%.2f", median(ratios))})
		evidence.Report(t, "apikey", fmt.Sprintf("A cached key beside the floor, %d at once", workers), rows)
	}
}

// onePass has each worker call h with all keys.
func onePass(h http.Handler, secrets []string, workers int) time.Duration {
	began := time.Now()
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			c := newCaller()
			for i := range secrets {
				c.call(h, secrets[(i+worker*len(secrets)/workers)%len(secrets)])
			}
		})
	}
	all.Wait()
	return time.Since(began)
}

func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// discard is a ResponseWriter that can be used again and again.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header {
	if d.header == nil {
		d.header = make(http.Header)
	}
	return d.header
}
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }
