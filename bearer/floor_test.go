package bearer_test

import (
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/bearer"
	"github.com/keystile/keystile/internal/evidence"
)

// The floor is what a remembered token cannot do without: hash it, look it up in
// an LRU cache, put who it is into the context. Beside it stands the whole path:
// Guard, grammar, memory, times, key. At first sight the whole path stands beside
// golang-jwt's own Parse into MapClaims, which is only a part of the job. `make
// bench` runs all in one process; only ratios mean anything.

const floorTokens = 4_000

type floorKey struct{}

// floor is a middleware that does no more than the floor.
func floor(cache *lru.Cache[[32]byte, *keystile.Principal], next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		values := r.Header["Authorization"]
		if len(values) != 1 || !strings.HasPrefix(values[0], "Bearer ") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var buf [1024]byte
		n := copy(buf[:], values[0][len("Bearer "):])
		p, ok := cache.Get(sha256.Sum256(buf[:n]))
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), floorKey{}, p)))
	})
}

var served = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// signing is an algorithm with keys of it.
type signing struct {
	alg     bearer.Algorithm
	private any
	key     bearer.Key
}

func signings() []signing {
	return []signing{
		{bearer.ES256, ecKey(), bearer.Key{Public: &ecKey().PublicKey}},
		{bearer.RS256, rsaKey(), bearer.Key{Public: &rsaKey().PublicKey}},
		{bearer.HS256, []byte(secret), bearer.Key{Secret: secret}},
	}
}

func (s signing) issuer() bearer.Issuer {
	is := hmacIssuer()
	is.Algorithms, is.KeySet = []bearer.Algorithm{s.alg}, bearer.StaticKeys(s.key)
	return is
}

// tokens are those of n callers.
func (s signing) tokens(n int) []string {
	all := make([]string, n)
	for i := range all {
		text := claims(m{"sub": fmt.Sprint("user-", i), "jti": fmt.Sprint("token-", i), "scope": "contacts:read contacts:write", "email": "someone@example.com"})
		all[i] = "Bearer " + sign(s.alg, s.private, `{"alg":"`+string(s.alg)+`","typ":"JWT"}`, text)
	}
	rand.Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// remembered makes the floor and the whole path over the same tokens, all known.
func remembered(tb testing.TB) (paths []benchPath, fields []string) {
	tb.Helper()
	s := signings()[2]
	a := newAuthenticator(tb, bearer.Config{Issuers: []bearer.Issuer{s.issuer()}, Now: startClock()})
	guard := newGuard(tb, a)
	cache, err := lru.New[[32]byte, *keystile.Principal](2 * floorTokens)
	if err != nil {
		tb.Fatal(err)
	}
	fields = s.tokens(floorTokens)
	for i, f := range fields {
		cache.Add(sha256.Sum256([]byte(f[len("Bearer "):])), &keystile.Principal{Subject: fmt.Sprint(i)})
	}
	paths = []benchPath{{"floor", floor(cache, served)}, {"keystile", guard.Wrap(served)}}
	for _, p := range paths {
		c := newCaller()
		for _, f := range fields {
			if c.call(p.handler, f); c.w.status != 0 {
				tb.Fatalf("%s answers %d", p.name, c.w.status)
			}
		}
	}
	return paths, fields
}

// startClock is a clock that runs, from noon on: as dear as time.Now.
func startClock() func() time.Time {
	began := time.Now()
	return func() time.Time { return noon.Add(time.Since(began)) }
}

// firstSight makes golang-jwt and the whole path, which remembers nothing.
func firstSight(tb testing.TB, s signing) []benchPath {
	tb.Helper()
	a := newAuthenticator(tb, bearer.Config{Issuers: []bearer.Issuer{s.issuer()}, Now: startClock(), Remember: -1})
	var key any = []byte(secret)
	switch private := s.private.(type) {
	case *rsa.PrivateKey:
		key = &private.PublicKey
	case interface{ Public() any }:
		key = private.Public()
	}
	if s.alg == bearer.ES256 {
		key = &ecKey().PublicKey
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{string(s.alg)}), jwt.WithIssuer(issuerName), jwt.WithAudience(service),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(startClock()))
	return []benchPath{
		{"golang-jwt", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			t, err := parser.ParseWithClaims(r.Header["Authorization"][0][len("Bearer "):], jwt.MapClaims{}, func(*jwt.Token) (any, error) { return key, nil })
			if err != nil {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			served.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), floorKey{}, t)))
		})},
		{"keystile", newGuard(tb, a).Wrap(served)},
	}
}

// caller puts one request to a handler again and again, with another token each
// time.
type caller struct {
	w      discard
	r      *http.Request
	values []string
}

func newCaller() *caller {
	c := &caller{values: make([]string, 1)}
	c.r = &http.Request{Method: "GET", Header: http.Header{"Authorization": c.values}, RemoteAddr: "192.0.2.1:1234"}
	return c
}

func (c *caller) call(h http.Handler, field string) {
	c.values[0] = field
	clear(c.w.header)
	h.ServeHTTP(&c.w, c.r)
}

type benchPath struct {
	name    string
	handler http.Handler
}

func BenchmarkRemembered(b *testing.B) {
	paths, fields := remembered(b)
	for _, p := range paths {
		b.Run(p.name+"/serial", func(b *testing.B) {
			b.ReportAllocs()
			c := newCaller()
			for i := 0; b.Loop(); i++ {
				c.call(p.handler, fields[i%len(fields)])
			}
		})
		b.Run(p.name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				c := newCaller()
				for i := rand.IntN(len(fields)); pb.Next(); i++ {
					c.call(p.handler, fields[i%len(fields)])
				}
			})
		})
	}
}

func BenchmarkFirstSight(b *testing.B) {
	for _, s := range signings() {
		fields := s.tokens(100)
		for _, p := range firstSight(b, s) {
			b.Run(string(s.alg)+"/"+p.name, func(b *testing.B) {
				b.ReportAllocs()
				c := newCaller()
				for i := 0; b.Loop(); i++ {
					c.call(p.handler, fields[i%len(fields)])
				}
				if c.w.status != 0 {
					b.Fatal(c.w.status)
				}
			})
		}
	}
}

// The costs are measured in short passes that take turns, so that what else the
// machine does weighs on both alike. Nothing is asserted about time.
func TestCosts(t *testing.T) {
	paths, fields := remembered(t)
	for _, workers := range []int{1, runtime.GOMAXPROCS(0)} {
		compare(t, fmt.Sprintf("A remembered token beside the floor, %d at once", workers), paths, fields, workers, evidence.Count(3, 400))
	}
	for _, s := range signings() {
		compare(t, fmt.Sprintf("%s at first sight beside golang-jwt", s.alg), firstSight(t, s), s.tokens(evidence.Count(50, 200)), 1, evidence.Count(3, 100))
	}
}

func compare(t *testing.T, title string, paths []benchPath, fields []string, workers, passes int) {
	var ratios []float64
	times := make([][]time.Duration, len(paths))
	for pass := range passes {
		for turn := range paths {
			i := (turn + pass) % len(paths)
			times[i] = append(times[i], onePass(t, paths[i], fields, workers))
		}
		ratios = append(ratios, float64(times[1][pass])/float64(times[0][pass]))
	}
	rows := [][2]string{{"passes", fmt.Sprint(passes)}, {"bytes of a token", fmt.Sprint(len(fields[0]) - len("Bearer "))}}
	for i, p := range paths {
		rows = append(rows, [2]string{p.name + ", median per request", (median(times[i]) / time.Duration(len(fields))).String()})
	}
	evidence.Report(t, "bearer", title, append(rows, [2]string{paths[1].name + " / " + paths[0].name + ", median of passes", fmt.Sprintf("%.2f", median(ratios))}))
}

// onePass has each worker call with all tokens.
func onePass(t *testing.T, p benchPath, fields []string, workers int) time.Duration {
	began := time.Now()
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			c := newCaller()
			for i := range fields {
				c.call(p.handler, fields[(i+worker*len(fields)/workers)%len(fields)])
			}
			if c.w.status != 0 {
				t.Errorf("%s answers %d", p.name, c.w.status)
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
