package basicauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/basicauth"
	"github.com/keystile/keystile/internal/evidence"
)

// 300 bad logins a second must leave another route's p99 within twice of what it
// is without them. Quiet and flooded seconds take turns, so that what else the
// machine does weighs on both alike; the clients are a process of their own. It
// runs under KEYSTILE_EVIDENCE=1 only, for about 10 s each, prints both and asserts
// nothing: it is a measurement, and worth something on a machine with an idle
// processor or two.
//
// The floods are such as the throttles would not stop, from ever new networks under
// ever new names: what is measured is the gate. The last is what one client gets by
// with.
func TestAFloodOfBadLoginsLeavesOtherRoutesAlone(t *testing.T) {
	if os.Getenv("KEYSTILE_EVIDENCE") != "1" {
		t.Skip("measures for 30 s: set KEYSTILE_EVIDENCE=1")
	}
	for _, tt := range []struct {
		name   string
		kind   basicauth.Kind
		rotate string
	}{
		{"bcrypt 10", basicauth.BcryptKind(10), "yes"},
		{"argon2id m=19456,t=2,p=1", basicauth.Argon2idKind(19456, 2, 1), "yes"},
		{"bcrypt 10, from one address", basicauth.BcryptKind(10), "no"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			basic := newBasic(t, basicauth.Config{Users: newUsers(t, basicauth.User{Name: "alice", Hash: basicauth.NewDummy(tt.kind)})})
			compared := count(basic)
			clients, err := keystile.NewClientIP(keystile.ClientIPConfig{TrustedProxies: prefixes("127.0.0.0/8")})
			if err != nil {
				t.Fatal(err)
			}
			mux := http.NewServeMux()
			mux.Handle("GET /login", newGuard(t, basic).Wrap(ok))
			mux.Handle("GET /other", ok)
			base := serveLoopback(t, clients.Wrap(mux))

			client := exec.Command(os.Args[0], "-test.run", "^TestFloodClient$", "-test.count", "1", "-test.v")
			client.Env = append(os.Environ(), "KEYSTILE_FLOOD="+base, "KEYSTILE_FLOOD_ROTATE="+tt.rotate, "KEYSTILE_EVIDENCE=")
			out, err := client.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var f floodResult
			_, line, _ := strings.Cut(string(out), floodMark)
			if err := json.NewDecoder(strings.NewReader(line)).Decode(&f); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Logf("p99 %v quiet, %v flooded", f.Quiet99, f.Flooded99)
			evidence.Report(t, "basicauth", "300 bad logins a second: "+tt.name, [][2]string{
				{"p50 of another route, quiet", f.Quiet50.String()}, {"p50 of another route, flooded", f.Flooded50.String()},
				{"p99 of another route, quiet", f.Quiet99.String()}, {"p99 of another route, flooded", f.Flooded99.String()},
				{"p99 flooded / quiet", fmt.Sprintf("%.2f", float64(f.Flooded99)/float64(f.Quiet99))},
				{"requests to that route, quiet and flooded", fmt.Sprint(f.Requests)}, {"bad logins", fmt.Sprint(f.Bad)},
				{"of them compared", fmt.Sprint(len(compared.take()))}, {"answers to them", fmt.Sprint(f.Statuses)},
				{"compares at once", fmt.Sprint(max(1, runtime.GOMAXPROCS(0)/2))},
			})
		})
	}
}

// floodResult is what the process of the clients reports behind floodMark.
type floodResult struct {
	Quiet50, Quiet99, Flooded50, Flooded99 time.Duration
	Requests, Bad                          int
	Statuses                               map[int]int // 0: hung up at the end of a second
}

const floodMark = "flood result: "

// TestFloodClient is the process of the clients.
func TestFloodClient(t *testing.T) {
	base := os.Getenv("KEYSTILE_FLOOD")
	if base == "" {
		t.Skip("is run by TestAFloodOfBadLoginsLeavesOtherRoutesAlone")
	}
	const seconds, badPerSecond, okPerSecond = 10, 300, 500
	f := flood{base: base, rotate: os.Getenv("KEYSTILE_FLOOD_ROTATE") == "yes", statuses: map[int]int{}}
	f.client.Transport = &http.Transport{MaxIdleConnsPerHost: 1024}
	f.measure(t, okPerSecond) // connections, caches
	var took [2][]time.Duration
	for second := range seconds {
		flooded := second % 2
		ctx, hangUp := context.WithCancel(t.Context())
		var bad sync.WaitGroup
		if flooded == 1 {
			bad.Go(func() { pace(time.Second, badPerSecond, func() { bad.Go(func() { f.guess(ctx) }) }) })
		}
		took[flooded] = append(took[flooded], f.measure(t, okPerSecond)...)
		hangUp()
		bad.Wait()
	}
	result, err := json.Marshal(floodResult{
		Quiet50: percentile(took[0], 0.5), Quiet99: percentile(took[0], 0.99), Flooded50: percentile(took[1], 0.5), Flooded99: percentile(took[1], 0.99),
		Requests: len(took[0]) + len(took[1]), Bad: f.bad, Statuses: f.statuses,
	})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(floodMark + string(result))
}

type flood struct {
	base   string
	rotate bool
	client http.Client

	mu       sync.Mutex
	bad      int
	statuses map[int]int
}

// guess sends a bad login, from a network and under a name of its own where f
// rotates.
func (f *flood) guess(ctx context.Context) {
	f.mu.Lock()
	f.bad++
	i := f.bad
	f.mu.Unlock()
	addr, name := "203.0.113.9", "alice"
	if f.rotate {
		addr, name = netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}).String(), fmt.Sprint("user", i)
	}
	status := f.send(ctx, "/login", func(r *http.Request) {
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set("X-Forwarded-For", addr)
		r.SetBasicAuth(name, fmt.Sprint("guess", i))
	})
	f.mu.Lock()
	f.statuses[status]++
	f.mu.Unlock()
}

func (f *flood) send(ctx context.Context, path string, edit func(*http.Request)) (status int) {
	r, err := http.NewRequestWithContext(ctx, "GET", f.base+path, nil)
	if err != nil {
		return 0
	}
	edit(r)
	resp, err := f.client.Do(r)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}

// measure returns how long requests took that were sent at an even pace for a
// second.
func (f *flood) measure(t *testing.T, perSecond int) []time.Duration {
	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	pace(time.Second, perSecond, func() {
		all.Go(func() {
			began := time.Now()
			if got := f.send(t.Context(), "/other", func(*http.Request) {}); got != http.StatusOK {
				t.Errorf("status %d", got)
			}
			d := time.Since(began)
			mu.Lock()
			took = append(took, d)
			mu.Unlock()
		})
	})
	all.Wait()
	return took
}

// pace calls f so often in a second, for so long, whether the last call was quick
// or not.
func pace(d time.Duration, perSecond int, f func()) {
	ticker := time.NewTicker(time.Second / time.Duration(perSecond))
	defer ticker.Stop()
	for end := time.After(d); ; {
		select {
		case <-end:
			return
		case <-ticker.C:
			f()
		}
	}
}

func percentile(all []time.Duration, p float64) time.Duration {
	slices.Sort(all)
	if len(all) == 0 {
		return 0
	}
	return all[min(len(all)-1, int(p*float64(len(all))))]
}

// serveLoopback serves h on this machine alone.
func serveLoopback(t *testing.T, h http.Handler) (base string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // ends with Shutdown
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		<-done
	})
	return "http://" + l.Addr().String()
}
