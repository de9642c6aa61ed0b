package limiter_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/limiter"
)

// brokenStore fails while it is down.
type brokenStore struct {
	limiter.Store
	down bool
}

var errDown = errors.New("dial tcp: connection refused")

func (s *brokenStore) Take(ctx context.Context, d *limiter.Demand) error {
	if s.down {
		return errDown
	}
	return s.Store.Take(ctx, d)
}

func (s *brokenStore) Inspect(ctx context.Context, d *limiter.Demand) error {
	if s.down {
		return errDown
	}
	return s.Store.Inspect(ctx, d)
}

func TestOnStoreErrorDeny(t *testing.T) {
	var seen events
	store := &brokenStore{Store: newMemory(t, nil), down: true}
	l := newLimiter(t, limiter.Config{Store: store, Limits: limits(limiter.PerHour(1)), OnStoreError: limiter.Deny, Observer: &seen})
	resp := serve(l.Wrap(ok), of("a"))
	wantStatus(t, "while the store is down", resp, 503)
	wantFields(t, "while the store is down", resp, map[string]string{"Retry-After": "1", "Cache-Control": "no-store", "X-RateLimit-Limit": "", "RateLimit": ""})
	if body := decode(t, resp); body["type"] != keystile.ProblemCapacity || body["code"] != "unavailable" {
		t.Errorf("body %v", body)
	}
	if ev := seen.last(); !ev.Degraded || ev.Code != keystile.CodeUnavailable || !errors.Is(ev.Err, errDown) {
		t.Errorf("%+v", ev)
	}
	if _, err := l.Inspect(of("a")); !errors.Is(err, keystile.CodeUnavailable) {
		t.Errorf("Inspect: %v", err)
	}
	store.down = false
	wantStatus(t, "when it is back", serve(l.Wrap(ok), of("a")), 200)
}

func TestOnStoreErrorAllow(t *testing.T) {
	var seen events
	store := &brokenStore{Store: newMemory(t, nil), down: true}
	l := newLimiter(t, limiter.Config{Store: store, Limits: limits(limiter.PerHour(1), limiter.Concurrent(1)), OnStoreError: limiter.Allow, Observer: &seen})
	for range 5 {
		wantStatus(t, "while the store is down", serve(l.Wrap(ok), of("a")), 200)
		if ev := seen.last(); !ev.Degraded || ev.Code != "" || !errors.Is(ev.Err, errDown) {
			t.Errorf("%+v", ev)
		}
	}
	// A client that leaves makes the store fail too, and must gain nothing by it.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ran := false
	r := of("a").WithContext(keystile.WithPrincipal(ctx, &keystile.Principal{Account: "a"}))
	wantStatus(t, "a client that left", serve(l.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true })), r), 503)
	if ran {
		t.Error("the handler ran for a client that had left, uncounted")
	}
	store.down = false
	wantStatus(t, "when it is back", serve(l.Wrap(ok), of("a")), 200)
	wantStatus(t, "and counts again", serve(l.Wrap(ok), of("a")), 429)
}

func TestOnStoreErrorLocal(t *testing.T) {
	clock := newFakeClock()
	store := &brokenStore{Store: newMemory(t, clock.Now), down: true}
	l := newLimiter(t, limiter.Config{
		Store: store, Now: clock.Now, OnStoreError: limiter.Local{Nodes: 4},
		Limits: limits(limiter.PerSecond(9), limiter.PerHour(3).Named("small"), limiter.Concurrent(1)),
	})
	h := l.Wrap(ok)
	resp := serve(h, of("a"))
	wantStatus(t, "a share of 3 is 1", resp, 200)
	resp = serve(h, of("a"))
	wantStatus(t, "and no more", resp, 429)
	if body := decode(t, resp); body["limit"] != "small" {
		t.Errorf("refused by %v", body["limit"])
	}
	// Slots are counted, and freed in the memory that they were taken from.
	serve(l.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		store.down = false
		defer func() { store.down = true }()
	})), of("b"))
	for i := range 3 {
		clock.Advance(10 * time.Second)
		wantStatus(t, "still within a minute", serve(h, of(string(rune('c'+i)))), 200)
	}
	clock.Advance(30*time.Second - time.Microsecond)
	wantStatus(t, "a microsecond before the minute is over", serve(h, of("x")), 200)
	clock.Advance(time.Microsecond)
	wantStatus(t, "after a minute", serve(h, of("y")), 503)
	store.down = false
	wantStatus(t, "when it is back", serve(h, of("y")), 200)
	store.down = true
	clock.Advance(time.Hour)
	wantStatus(t, "a new outage has a minute of its own", serve(h, of("z")), 200)
}

func TestAStoreThatFailsOnReleaseHarmsNobody(t *testing.T) {
	l := newLimiter(t, limiter.Config{Store: stuckRelease{newMemory(t, nil)}, Limits: limits(limiter.PerHour(9), limiter.Concurrent(1)), RefundIf: func(int) bool { return true }})
	wantStatus(t, "the answer stands", serve(l.Wrap(ok), of("a")), 200)
	wantStatus(t, "the slot waits for its expiry", serve(l.Wrap(ok), of("a")), 429)
}

type stuckRelease struct{ limiter.Store }

func (stuckRelease) Release(ctx context.Context, _ []byte, _ limiter.LeaseID) error {
	if _, bounded := ctx.Deadline(); !bounded || ctx.Err() != nil {
		panic("a release that could hang for ever, or is cancelled before it began")
	}
	return errDown
}
func (stuckRelease) Refund(context.Context, *limiter.Demand) error { return errDown }

// A share that is smaller than the cost is no reason to tell the client that its
// request can never fit.
func TestLocalSharesAreNeverTooSmallForACostThatFits(t *testing.T) {
	clock := newFakeClock()
	l := newLimiter(t, limiter.Config{
		Store: &brokenStore{Store: newMemory(t, clock.Now), down: true}, Now: clock.Now, OnStoreError: limiter.Local{Nodes: 4},
		Limits: limits(limiter.PerHour(10)), Cost: func(*http.Request) int64 { return 5 },
	})
	wantFields(t, "the first", serve(l.Wrap(ok), of("a")), map[string]string{
		"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "0", "RateLimit-Policy": `"hour";q=5;w=3600`, "RateLimit": `"hour";r=0;t=3600`})
	resp := serve(l.Wrap(ok), of("a"))
	wantStatus(t, "the second", resp, 429)
	if body := decode(t, resp); body["quota"] != 5.0 {
		t.Errorf("%v", body)
	}
}

func TestAnInnerOutageIsNotChargedOutside(t *testing.T) {
	outer := newLimiter(t, limiter.Config{Name: "outer", Limits: limits(limiter.PerHour(5))})
	inner := newLimiter(t, limiter.Config{Name: "inner", Store: &brokenStore{Store: newMemory(t, nil), down: true}, Limits: limits(limiter.PerHour(5))})
	wantStatus(t, "the inner store is down", serve(outer.Wrap(inner.Wrap(ok)), of("a")), 503)
	if statuses, _ := outer.Inspect(of("a")); statuses[0].Remaining != 5 {
		t.Errorf("%+v", statuses)
	}
}

// lostReply takes, and says that it failed.
type lostReply struct{ limiter.Store }

func (s lostReply) Take(ctx context.Context, d *limiter.Demand) error {
	if err := s.Store.Take(ctx, d); err != nil {
		return err
	}
	d.Admitted = false
	return errDown
}

func TestALeaseOfUnknownOutcomeIsReleased(t *testing.T) {
	for _, policy := range []limiter.FailurePolicy{limiter.Deny, limiter.Allow, limiter.Local{Nodes: 1}} {
		synctest.Test(t, func(t *testing.T) {
			memory := newMemory(t, nil)
			config := limiter.Config{Store: lostReply{memory}, Limits: limits(limiter.Concurrent(1)), OnStoreError: policy}
			l := newLimiter(t, config)
			serve(l.Wrap(ok), of("a"))
			synctest.Wait()
			config.Store = memory
			wantStatus(t, "the slot of a lost reply", serve(newLimiter(t, config).Wrap(ok), of("a")), 200)
		})
	}
}

// slowStore answers only when its caller has given up.
type slowStore struct{ limiter.Store }

func (slowStore) Take(ctx context.Context, _ *limiter.Demand) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestAStoreThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, limiter.Config{Store: slowStore{newMemory(t, nil)}, Limits: limits(limiter.PerHour(1)), OnStoreError: limiter.Allow})
		before := time.Now()
		wantStatus(t, "a store that hangs", serve(l.Wrap(ok), of("a")), 200)
		if took := time.Since(before); took != 250*time.Millisecond {
			t.Errorf("after %v", took)
		}
	})
}

func TestOutagesAndMistakesAreLoggedQuietly(t *testing.T) {
	var b bytes.Buffer
	clock := newFakeClock()
	l := newLimiter(t, limiter.Config{
		Store: &brokenStore{Store: newMemory(t, nil), down: true}, Limits: limits(limiter.PerHour(1)), Now: clock.Now, Logger: slog.New(slog.NewTextHandler(&b, nil)),
	})
	for _, want := range []int{1, 1, 2} {
		for range 50 {
			serve(l.Wrap(ok), of("a"))
			serve(l.Wrap(ok), httptest.NewRequest("GET", "/", nil))
		}
		for _, line := range []string{"the store fails", "put a Guard further out"} {
			if got := strings.Count(b.String(), line); got != want {
				t.Errorf("%d lines say %q, want %d", got, line, want)
			}
		}
		clock.Advance(6 * time.Second)
	}
}
