package limiter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/limiter"
)

// countingStore counts the calls that end a lease.
type countingStore struct {
	limiter.Store
	released, renewed, refunded atomic.Int64
}

func (s *countingStore) Release(ctx context.Context, key []byte, id limiter.LeaseID) error {
	s.released.Add(1)
	return s.Store.Release(ctx, key, id)
}

func (s *countingStore) Renew(ctx context.Context, key []byte, id limiter.LeaseID, ttl time.Duration) (bool, error) {
	s.renewed.Add(1)
	return s.Store.Renew(ctx, key, id, ttl)
}

func (s *countingStore) Refund(ctx context.Context, d *limiter.Demand) error {
	s.refunded.Add(1)
	return s.Store.Refund(ctx, d)
}

func TestASecondRequestAtOnceIsRefused(t *testing.T) {
	l := newLimiter(t, limiter.Config{Limits: limits(limiter.PerHour(10), limiter.Concurrent(1))})
	var inner *http.Response
	h := l.Wrap(ok)
	serve(l.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { inner = serve(h, of("a")) })), of("a"))
	wantStatus(t, "the second at once", inner, 429)
	wantFields(t, "the second at once", inner, map[string]string{
		"Retry-After": "1", "Cache-Control": "no-store",
		"X-RateLimit-Limit": "1", "X-RateLimit-Remaining": "0",
		"RateLimit":        `"hour";r=9;t=3600, "concurrent";r=0`,
		"RateLimit-Policy": `"hour";q=10;w=3600, "concurrent";q=1;qu="concurrent-requests"`,
	})
	body := decode(t, inner)
	if body["code"] != "concurrency_limited" || body["limit"] != "concurrent" || body["retry_after"] != 1.0 {
		t.Errorf("body %v", body)
	}
	resp := serve(h, of("a"))
	wantStatus(t, "after the first", resp, 200)
	wantFields(t, "after the first", resp, map[string]string{"X-RateLimit-Remaining": "8"}) // the refusal was free
}

// However a handler ends, its slot is freed exactly once.
func TestTheSlotIsFreedOnceHoweverTheHandlerEnds(t *testing.T) {
	ends := []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"it returns", func(http.ResponseWriter, *http.Request) {}},
		{"it writes", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }},
		{"it panics", func(http.ResponseWriter, *http.Request) { panic("oh") }},
		{"it aborts", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{"its goroutine exits", func(http.ResponseWriter, *http.Request) { runtime.Goexit() }},
		{"it hijacks and returns", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		}},
		{"it hijacks and panics", func(w http.ResponseWriter, _ *http.Request) {
			if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
				_ = conn.Close()
			}
			panic(http.ErrAbortHandler)
		}},
	}
	for _, end := range ends {
		for _, watched := range []bool{false, true} {
			t.Run(end.name, func(t *testing.T) {
				store := &countingStore{Store: newMemory(t, nil)}
				c := limiter.Config{Store: store, By: limiter.ByIP, Limits: limits(limiter.PerHour(100), limiter.Concurrent(1))}
				if watched {
					c.RefundIf = func(int) bool { return false }
				}
				l := newLimiter(t, c)
				done := make(chan struct{}, 1)
				server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer func() { done <- struct{}{} }()
					l.Wrap(end.handler).ServeHTTP(w, r)
				}))
				server.Config.ErrorLog = discardLog()
				server.Start()
				defer server.Close()
				for i := range 3 {
					resp, err := server.Client().Get(server.URL)
					if err == nil {
						_ = resp.Body.Close()
						if resp.StatusCode == 429 {
							t.Fatalf("request %d found its own shadow", i+1)
						}
					}
					<-done
					if got := store.released.Load(); got != int64(i+1) {
						t.Errorf("after %d requests the slot was freed %d times", i+1, got)
					}
				}
			})
		}
	}
}

// A client that goes away does not free the slot of the handler it started:
// else opening and resetting requests would be a way around the limit.
func TestADisconnectAloneFreesNothing(t *testing.T) {
	store := &countingStore{Store: newMemory(t, nil)}
	l := newLimiter(t, limiter.Config{Store: store, Limits: limits(limiter.Concurrent(1))})
	ctx, cancel := context.WithCancel(t.Context())
	r := of("a").WithContext(keystile.WithPrincipal(ctx, &keystile.Principal{Account: "a"}))
	serve(l.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
		if store.released.Load() != 0 {
			t.Error("the slot was freed by the disconnect")
		}
		wantStatus(t, "while the handler of a gone client runs", serve(l.Wrap(ok), of("a")), 429)
	})), r)
	if got := store.released.Load(); got != 1 {
		t.Errorf("freed %d times at the end, although the context had ended", got)
	}
	wantStatus(t, "afterwards", serve(l.Wrap(ok), of("a")), 200)
}

func TestALongHandlerKeepsItsSlotAndACrashedOneLosesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &countingStore{Store: newMemory(t, nil)}
		l := newLimiter(t, limiter.Config{Store: store, Limits: limits(limiter.Concurrent(1))})
		h := l.Wrap(ok)
		long := l.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Minute) }))
		go serve(long, of("a"))
		for range 99 {
			time.Sleep(6 * time.Second)
			if got := serve(h, of("a")).StatusCode; got != 429 {
				t.Fatalf("%d after %v: the slot was lost", got, time.Since(noon))
			}
		}
		if got := store.renewed.Load(); got < 29 || got > 30 {
			t.Errorf("renewed %d times in 10 minutes, want every 20 s", got)
		}
		time.Sleep(7 * time.Second)
		wantStatus(t, "after the handler", serve(h, of("a")), 200)
		time.Sleep(time.Hour)
		if got := store.renewed.Load(); got > 30 {
			t.Errorf("renewed %d times, also when nothing was held", got)
		}

		// A process that crashes renews nothing.
		dead := newLimiter(t, limiter.Config{Store: crashedStore{store.Store}, Limits: limits(limiter.Concurrent(1))})
		if _, err := dead.Take(of("b")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(60*time.Second - time.Microsecond)
		wantStatus(t, "a microsecond before the lease ends", serve(h, of("b")), 429)
		time.Sleep(time.Microsecond)
		wantStatus(t, "when the lease ends", serve(h, of("b")), 200)
	})
}

// crashedStore takes, and then is not heard of again.
type crashedStore struct{ limiter.Store }

func (crashedStore) Renew(context.Context, []byte, limiter.LeaseID, time.Duration) (bool, error) {
	return false, errors.New("the process is dead")
}

func TestManyHandlersAreRenewedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &countingStore{Store: newMemory(t, nil)}
		l := newLimiter(t, limiter.Config{Store: store, Limits: limits(limiter.Concurrent(100)), LeaseTTL: 3 * time.Second})
		h := l.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { time.Sleep(5500 * time.Millisecond) }))
		for range 100 {
			go serve(h, of("a"))
		}
		time.Sleep(5 * time.Second)
		if got := serve(h, of("a")).StatusCode; got != 429 {
			t.Errorf("%d while 100 handlers hold 100 slots", got)
		}
		time.Sleep(time.Second)
		if got := store.renewed.Load(); got != 500 {
			t.Errorf("%d renewals, want one for each of 100 leases in each of 5 seconds", got)
		}
		if statuses, err := l.Inspect(of("a")); err != nil || statuses[0].Remaining != 100 {
			t.Errorf("afterwards %+v, %v", statuses, err)
		}
	})
}

func TestRefundIf(t *testing.T) {
	for _, tt := range []struct {
		name    string
		handler http.Handler
		charged bool
	}{
		{"200 is charged", answering(200), true},
		{"404 is charged", answering(404), true},
		{"500 is given back", answering(500), false},
		{"503 is given back", answering(503), false},
		{"nothing written is a 200", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), true},
		{"an early hint is not the answer", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(500) }), false},
		{"a second status is not the answer", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "x")
			w.WriteHeader(500)
		}), true},
		{"a flush is a 200", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush(); w.WriteHeader(500) }), true},
		{"a panic before anything was written is given back", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oh") }), false},
		{"a panic after a status was written is charged", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); panic("oh") }), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLimiter(t, limiter.Config{Limits: limits(limiter.PerHour(5), limiter.Concurrent(1)), RefundIf: func(status int) bool { return status >= 500 }})
			func() {
				defer func() { _ = recover() }()
				serve(l.Wrap(tt.handler), of("a"))
			}()
			statuses, err := l.Inspect(of("a"))
			if err != nil {
				t.Fatal(err)
			}
			if charged := statuses[0].Remaining == 4; charged != tt.charged || statuses[1].Remaining != 1 {
				t.Errorf("%+v", statuses)
			}
		})
	}
}

// Whatever of the service's own panics on the way, the slot is freed.
func TestPanicsAroundTheHandlerFreeTheSlot(t *testing.T) {
	boom := func() { panic("oh") }
	for name, c := range map[string]limiter.Config{
		"the Observer":     {Observer: panicking{}},
		"the HouseHeaders": {HouseHeaders: func(http.Header, []limiter.Status) { boom() }},
		"RefundIf":         {RefundIf: func(int) bool { boom(); return false }},
	} {
		c.Store, c.Limits = newMemory(t, nil), limits(limiter.Concurrent(1))
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s did not panic", name)
				}
			}()
			serve(newLimiter(t, c).Wrap(ok), of("a"))
		}()
		quiet := newLimiter(t, limiter.Config{Store: c.Store, Limits: c.Limits})
		wantStatus(t, "after a panic of "+name, serve(quiet.Wrap(ok), of("a")), 200)
	}
}

type panicking struct{}

func (panicking) Observe(context.Context, keystile.Event) { panic("oh") }

// sickStore hangs, or panics, when the lease of one account is renewed.
type sickStore struct {
	limiter.Store
	sick   []byte
	panics bool
}

func (s sickStore) Renew(ctx context.Context, key []byte, id limiter.LeaseID, ttl time.Duration) (bool, error) {
	if bytes.Contains(key, s.sick) {
		if s.panics {
			panic("oh")
		}
		<-ctx.Done()
		return false, ctx.Err()
	}
	return s.Store.Renew(ctx, key, id, ttl)
}

func TestARenewalThatHangsOrPanicsHarmsNoOther(t *testing.T) {
	for _, panics := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(t, limiter.Config{
				Store: sickStore{newMemory(t, nil), []byte("sick"), panics}, Limits: limits(limiter.Concurrent(1)), LeaseTTL: 3 * time.Second,
			})
			long := l.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(30 * time.Second) }))
			for i := range 64 {
				go serve(long, of(fmt.Sprintf("sick%d", i)))
				go serve(long, of(fmt.Sprintf("well%d", i)))
			}
			time.Sleep(20 * time.Second)
			for i := range 64 {
				if got := serve(l.Wrap(ok), of(fmt.Sprintf("well%d", i))).StatusCode; got != 429 {
					t.Errorf("panics %v: %d while another request of well%d runs", panics, got, i)
				}
			}
			time.Sleep(time.Minute)
		})
	}
}

func TestADecisionMayBeEndedFromSeveralGoroutines(t *testing.T) {
	l := newLimiter(t, limiter.Config{Limits: limits(limiter.PerHour(1000), limiter.Concurrent(1000))})
	for range 50 {
		d, err := l.Take(of("a"))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { d.Refund(t.Context()); d.Release(t.Context()) })
		}
		wg.Wait()
	}
	if s, err := l.Inspect(of("a")); err != nil || s[0].Remaining != 1000 || s[1].Remaining != 1000 {
		t.Errorf("%+v, %v", s, err)
	}
}
