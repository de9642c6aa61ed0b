package basicauth_test

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/basicauth"
	"github.com/keystile/keystile/internal/evidence"
)

// The floor is what a login that is remembered cannot do without: decode the
// credentials, look up the user, make an HMAC, look it up in an LRU cache, put who
// it is into the context. Beside it stands the whole path: Guard, grammar, the
// connection and its network, the user, memory. `make bench` runs both in one
// process; only their ratio means anything.

const floorUsers = 10_000

type floorKey struct{}

// floor is a middleware that does no more than the floor.
func floor(users map[string]*basicauth.User, cache *lru.Cache[[32]byte, *keystile.Principal], next http.Handler) http.Handler {
	macs := sync.Pool{New: func() any { return hmac.New(sha256.New, make([]byte, 32)) }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		encoded, ok := strings.CutPrefix(r.Header["Authorization"][0], "Basic ")
		text, err := base64.StdEncoding.AppendDecode(make([]byte, 0, 128), []byte(encoded))
		name, _, found := strings.Cut(string(text), ":")
		u := users[name]
		if !ok || err != nil || !found || u == nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mac := macs.Get().(interface {
			Write([]byte) (int, error)
			Sum([]byte) []byte
			Reset()
		})
		mac.Reset()
		_, _ = mac.Write(text)
		_, _ = mac.Write([]byte(u.Hash))
		var sum [32]byte
		mac.Sum(sum[:0])
		macs.Put(mac)
		p, ok := cache.Get(sum)
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), floorKey{}, p)))
	})
}

type benchPath struct {
	name    string
	handler http.Handler
}

// besideFloor makes the floor and the whole path over the same users, all of them
// remembered, who come in no order.
func besideFloor(tb testing.TB) (paths []benchPath, fields []string) {
	tb.Helper()
	table := make(map[string]*basicauth.User, floorUsers)
	var users []basicauth.User
	fields = make([]string, floorUsers)
	for i := range fields {
		u := basicauth.User{Name: fmt.Sprintf("user%05d", i), Hash: basicauth.NewDummy(basicauth.BcryptKind(12)), Account: fmt.Sprint("account", i%100), Plan: "pro", Scopes: []string{"read"}}
		users, table[u.Name] = append(users, u), &u
		fields[i] = "Basic " + encode(u.Name+":correct horse")
	}
	basic := newBasic(tb, basicauth.Config{Users: newUsers(tb, users...), RememberSize: 2 * floorUsers})
	basic.SetCompare(func(basicauth.Kind, basicauth.PasswordHash, string, func() bool) bool { return true })
	cache, err := lru.New[[32]byte, *keystile.Principal](floorUsers)
	if err != nil {
		tb.Fatal(err)
	}
	for _, u := range users {
		mac := hmac.New(sha256.New, make([]byte, 32))
		_, _ = mac.Write([]byte(u.Name + ":correct horse" + string(u.Hash)))
		cache.Add([32]byte(mac.Sum(nil)), &keystile.Principal{Subject: u.Name})
	}
	rand.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	served := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	paths = []benchPath{{"floor", floor(table, cache, served)}, {"keystile", newGuard(tb, basic).Wrap(served)}}
	for _, p := range paths {
		c := newCaller()
		for _, field := range fields {
			if c.call(p.handler, field); c.w.status != 0 {
				tb.Fatalf("%s answers %d", p.name, c.w.status)
			}
		}
	}
	return paths, fields
}

// caller puts one request to a handler again and again, with other credentials
// each time.
type caller struct {
	w      discard
	r      *http.Request
	values []string
}

func newCaller() *caller {
	c := &caller{values: make([]string, 1), r: as("", "")}
	c.r.Header = http.Header{"Authorization": c.values}
	return c
}

func (c *caller) call(h http.Handler, field string) {
	c.values[0] = field
	clear(c.w.header)
	h.ServeHTTP(&c.w, c.r)
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

// The record and the request with it: as many as an API key takes.
func TestARememberedLoginTakesTwoAllocations(t *testing.T) {
	if underRace {
		t.Skip("the race detector allocates")
	}
	paths, fields := besideFloor(t)
	c, i := newCaller(), 0
	if n := testing.AllocsPerRun(1000, func() { i++; c.call(paths[1].handler, fields[i%floorUsers]) }); n > 2 {
		t.Errorf("%v allocations, want 2", n)
	}
}

func BenchmarkRemembered(b *testing.B) {
	paths, fields := besideFloor(b)
	for _, p := range paths {
		b.Run(p.name+"/serial", func(b *testing.B) {
			b.ReportAllocs()
			c := newCaller()
			for i := 0; b.Loop(); i++ {
				c.call(p.handler, fields[i%floorUsers])
			}
		})
		b.Run(p.name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				c := newCaller()
				for i := rand.IntN(floorUsers); pb.Next(); i++ {
					c.call(p.handler, fields[i%floorUsers])
				}
			})
		})
	}
}

// TestCostBesideTheFloor measures the ratio in short passes that take turns, so
// that what else the machine does weighs on both alike. It asserts nothing about
// time.
func TestCostBesideTheFloor(t *testing.T) {
	if underRace {
		t.Skip("the race detector takes its own time")
	}
	paths, fields := besideFloor(t)
	passes := evidence.Count(3, 400)
	for _, workers := range []int{1, runtime.GOMAXPROCS(0)} {
		var ratios []float64
		times := make([][]time.Duration, len(paths))
		for pass := range passes {
			for turn := range paths {
				i := (turn + pass) % len(paths)
				times[i] = append(times[i], onePass(paths[i].handler, fields, workers))
			}
			ratios = append(ratios, float64(times[1][pass])/float64(times[0][pass]))
		}
		rows := [][2]string{{"passes", fmt.Sprint(passes)}}
		for i, p := range paths {
			perOp := median(times[i]) / time.Duration(len(fields))
			rows = append(rows, [2]string{p.name + ", median per request", perOp.String()})
		}
		rows = append(rows, [2]string{"keystile / floor, median of passes", fmt.Sprintf("%.2f", median(ratios))})
		evidence.Report(t, "basicauth", fmt.Sprintf("A remembered login beside the floor, %d at once", workers), rows)
	}
}

// onePass has each worker call h with all credentials.
func onePass(h http.Handler, fields []string, workers int) time.Duration {
	began := time.Now()
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			c := newCaller()
			for i := range fields {
				c.call(h, fields[(i+worker*len(fields)/workers)%len(fields)])
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
