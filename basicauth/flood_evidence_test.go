package basicauth_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/basicauth"
	"github.com/keystile/keystile/internal/evidence"
)

// 300 bad logins a second must leave another route's p99 within twice of what it
// is without them. Quiet and flooded seconds take turns, so that what else the
// machine does weighs on both alike. It runs under KEYSTILE_EVIDENCE=1 only, prints
// both and asserts nothing: it is a measurement.
//
// Each flood is one that the throttles would not stop, from ever new networks under
// ever new names: what is measured is the gate. The last one is what a single
// client gets by with.
func TestAFloodOfBadLoginsLeavesOtherRoutesAlone(t *testing.T) {
	if os.Getenv("KEYSTILE_EVIDENCE") != "1" {
		t.Skip("measures for 30 s: set KEYSTILE_EVIDENCE=1")
	}
	const seconds, badPerSecond, okPerSecond = 10, 300, 500
	for _, tt := range []struct {
		name   string
		kind   basicauth.Kind
		rotate bool
	}{
		{"bcrypt 10", basicauth.BcryptKind(10), true},
		{"argon2id m=19456,t=2,p=1", basicauth.Argon2idKind(19456, 2, 1), true},
		{"bcrypt 10, from one address", basicauth.BcryptKind(10), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			users := newUsers(t, basicauth.User{Name: "alice", Hash: basicauth.NewDummy(tt.kind)})
			basic := newBasic(t, basicauth.Config{Users: users})
			compared := count(basic)
			clients, err := keystile.NewClientIP(keystile.ClientIPConfig{TrustedProxies: prefixes("127.0.0.0/8", "::1/128")})
			if err != nil {
				t.Fatal(err)
			}
			mux := http.NewServeMux()
			mux.Handle("GET /login", newGuard(t, basic).Wrap(ok))
			mux.Handle("GET /other", ok)
			base := serveLoopback(t, clients.Wrap(mux))

			var quiet, flooded []time.Duration
			var statuses [600]atomic.Int64
			guess := func(i int) {
				r, err := http.NewRequest("GET", base+"/login", nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("X-Forwarded-Proto", "https")
				r.Header.Set("X-Forwarded-For", "203.0.113.9")
				name := "alice"
				if tt.rotate {
					r.Header.Set("X-Forwarded-For", netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}).String())
					name = fmt.Sprint("user", i)
				}
				r.SetBasicAuth(name, "wrong")
				statuses[send(t, r)].Add(1)
			}
			bad := 0
			for second := range seconds {
				var flood sync.WaitGroup
				if second%2 == 1 {
					flood.Go(func() { pace(time.Second, badPerSecond, func(int) { bad++; n := bad; flood.Go(func() { guess(n) }) }) })
					flooded = append(flooded, measure(t, base+"/other", okPerSecond)...)
				} else {
					quiet = append(quiet, measure(t, base+"/other", okPerSecond)...)
				}
				flood.Wait()
			}
			q, f := percentile(quiet, 0.99), percentile(flooded, 0.99)
			t.Logf("p99 %v quiet, %v flooded", q, f)
			evidence.Report(t, "basicauth", "300 bad logins a second: "+tt.name, [][2]string{
				{"p50 of another route, quiet", percentile(quiet, 0.5).String()}, {"p50 of another route, flooded", percentile(flooded, 0.5).String()},
				{"p99 of another route, quiet", q.String()}, {"p99 of another route, flooded", f.String()},
				{"p99 flooded / quiet", fmt.Sprintf("%.2f", float64(f)/float64(q))},
				{"requests to that route", fmt.Sprint(len(quiet) + len(flooded))}, {"bad logins", fmt.Sprint(bad)},
				{"of them compared", fmt.Sprint(len(compared.take()))},
				{"answered 401, 429, 503", fmt.Sprint(statuses[401].Load(), ", ", statuses[429].Load(), ", ", statuses[503].Load())},
				{"compares at once", fmt.Sprint(max(1, runtime.GOMAXPROCS(0)/2))},
			})
		})
	}
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

var evidenceClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 512}}

func send(t *testing.T, r *http.Request) int {
	resp, err := evidenceClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}

// pace calls f so often in a second, for so long, whether the last call was quick
// or not.
func pace(d time.Duration, perSecond int, f func(i int)) {
	ticker := time.NewTicker(time.Second / time.Duration(perSecond))
	defer ticker.Stop()
	end := time.After(d)
	for i := 0; ; i++ {
		select {
		case <-end:
			return
		case <-ticker.C:
			f(i)
		}
	}
}

// measure returns how long requests took that were sent at an even pace for a
// second.
func measure(t *testing.T, url string, perSecond int) []time.Duration {
	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	pace(time.Second, perSecond, func(int) {
		all.Go(func() {
			r, err := http.NewRequest("GET", url, nil)
			if err != nil {
				t.Error(err)
				return
			}
			began := time.Now()
			if got := send(t, r); got != http.StatusOK {
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

func percentile(all []time.Duration, p float64) time.Duration {
	slices.Sort(all)
	if len(all) == 0 {
		return 0
	}
	return all[min(len(all)-1, int(p*float64(len(all))))]
}
