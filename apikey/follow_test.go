package apikey_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
	"github.com/keystile/keystile/internal/evidence"
)

// fakeFeed stands between a Feed and who reads it.
type fakeFeed struct {
	apikey.Feed
	mu    sync.Mutex
	slow  time.Duration // how long an answer is on its way
	err   error         // instead of an answer
	lost  bool          // ErrCursorLost, once
	heads atomic.Int64
}

func (f *fakeFeed) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeFeed) wait(ctx context.Context, err error) error {
	f.mu.Lock()
	slow := f.slow
	if f.err != nil {
		err = f.err
	}
	f.mu.Unlock()
	select {
	case <-time.After(slow):
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fakeFeed) Head(ctx context.Context) (apikey.Cursor, error) {
	f.heads.Add(1)
	if err := f.wait(ctx, nil); err != nil {
		return "", err
	}
	return f.Feed.Head(ctx) // at the last moment
}

func (f *fakeFeed) Changes(ctx context.Context, after apikey.Cursor, limit int) ([]apikey.Change, apikey.Cursor, error) {
	var lost bool
	f.set(func() { lost, f.lost = f.lost, false })
	if lost {
		return nil, "", apikey.ErrCursorLost
	}
	changes, next, err := f.Feed.Changes(ctx, after, limit) // at the first
	return changes, next, f.wait(ctx, err)
}

// machine is a process with Keys of its own over a store that others use too.
func machine(t testing.TB, s apikey.Store, f apikey.Feed, change func(*apikey.Config)) *apikey.Keys {
	c := apikey.Config{Store: s, Feed: f}
	if change != nil {
		change(&c)
	}
	return newKeys(t, c)
}

// kinds are the changes that another machine must learn of.
var kinds = []struct {
	name   string
	draft  apikey.Draft
	before string
	change func(ctx context.Context, a *apikey.Keys, id string) error
	after  string
}{
	{"revoke", apikey.Draft{}, "plan free", func(ctx context.Context, a *apikey.Keys, id string) error {
		return a.Revoke(ctx, id, "leaked")
	}, "key_revoked"},
	{"revoke all", apikey.Draft{Account: "all"}, "plan free", func(ctx context.Context, a *apikey.Keys, id string) error {
		n, err := a.RevokeAll(ctx, "all", "leaked")
		if n != 1 {
			return fmt.Errorf("%d keys revoked", n)
		}
		return err
	}, "key_revoked"},
	{"disable", apikey.Draft{}, "plan free", func(ctx context.Context, a *apikey.Keys, id string) error {
		return a.Disable(ctx, id)
	}, "key_disabled"},
	{"delete", apikey.Draft{}, "plan free", func(ctx context.Context, a *apikey.Keys, id string) error {
		return a.Delete(ctx, id)
	}, "unauthorized"},
	{"rotate without overlap", apikey.Draft{}, "plan free", func(ctx context.Context, a *apikey.Keys, id string) error {
		_, _, err := a.Rotate(ctx, id, 0)
		return err
	}, "key_expired"},
	{"rotate twice without overlap", apikey.Draft{}, "plan free", func(ctx context.Context, a *apikey.Keys, id string) error {
		_, _, err := a.Rotate(ctx, id, 0)
		if err == nil {
			_, _, err = a.Rotate(ctx, id, 0)
		}
		return err
	}, "unauthorized"},
	{"edit the plan", apikey.Draft{}, "plan free", edit(func(k *apikey.Key) { k.Plan = "pro" }), "plan pro"},
	{"edit the scopes", apikey.Draft{}, "plan free", edit(func(k *apikey.Key) { k.Scopes = []string{"x"} }), "plan free x"},
	{"edit the expiry", apikey.Draft{}, "plan free", edit(func(k *apikey.Key) { k.ExpiresAt = k.CreatedAt.Add(1) }), "key_expired"},
	{"extend the expiry", apikey.Draft{ExpiresAt: time.Date(2000, 1, 1, 0, 0, 0, 1, time.UTC)}, "key_expired", edit(func(k *apikey.Key) { k.ExpiresAt = time.Time{} }), "plan free"},
	{"edit the networks", apikey.Draft{}, "plan free", edit(func(k *apikey.Key) { k.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} }), "ip_not_allowed"},
	{"edit the endpoints", apikey.Draft{}, "plan free", edit(func(k *apikey.Key) { k.Endpoints = []string{"GET /"} }), "endpoint_not_allowed"},
}

func edit(change func(*apikey.Key)) func(context.Context, *apikey.Keys, string) error {
	return func(ctx context.Context, a *apikey.Keys, id string) error {
		_, err := a.Edit(ctx, id, func(k *apikey.Key) error { change(k); return nil })
		return err
	}
}

// seen is what a machine thinks of a secret.
func seen(v verifier, secret keystile.Secret) string {
	p, err := v.Verify(context.Background(), keystile.Presented{Secret: secret})
	if err != nil {
		return string(codeOf(err))
	}
	return strings.TrimSpace("plan " + p.Plan + " " + p.Scopes.String())
}

// untilSeen lets time pass until b sees what is wanted, and returns how much.
func untilSeen(t *testing.T, b interface {
	verifier
	Bound() time.Duration
}, secret keystile.Secret, before, after string) time.Duration {
	t.Helper()
	step := b.Bound() / 500
	began := time.Now()
	for {
		got := seen(b, secret)
		if got == after {
			return time.Since(began)
		}
		if got != before || time.Since(began) > time.Minute {
			t.Fatalf("after %v it is seen as %q, want %q and then %q", time.Since(began), got, before, after)
		}
		time.Sleep(step)
	}
}

// Every kind of change made in A is in force in B within Bound, wherever in the
// rhythm of its readings it falls and however slow they are.
func TestWhatOneMachineChangesIsInForceInAnother(t *testing.T) {
	for _, tt := range []struct {
		name  string
		feed  bool
		slow  time.Duration // of the feed
		bound time.Duration
	}{
		{"with a feed", true, 0, time.Second},
		{"with a feed just in time", true, 249 * time.Millisecond, time.Second},
		{"without a feed", false, 0, 30 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var longest time.Duration
			var name string
			changes, phases := 0, evidence.Count(5, 100)
			for _, kind := range kinds {
				for phase := range phases {
					synctest.Test(t, func(t *testing.T) {
						s := apikey.NewMemoryStore()
						a := machine(t, s, nil, nil)
						var feed apikey.Feed
						if tt.feed {
							feed = &fakeFeed{Feed: s, slow: tt.slow}
						}
						b := machine(t, s, feed, nil)
						if b.Bound() != tt.bound {
							t.Fatalf("Bound is %v, want %v", b.Bound(), tt.bound)
						}
						kind.draft.Plan = "free"
						k, secret := issue(t, a, kind.draft)
						time.Sleep(time.Second + time.Duration(phase)*500*time.Millisecond/time.Duration(phases))
						if got := seen(b, secret); got != kind.before {
							t.Fatalf("%s: before the change it is seen as %q", kind.name, got)
						}
						if err := kind.change(t.Context(), a, k.ID); err != nil {
							t.Fatalf("%s: %v", kind.name, err)
						}
						if got := seen(a, secret); got != kind.after {
							t.Errorf("%s: where it was made it is not in force at once, but seen as %q", kind.name, got)
						}
						took := untilSeen(t, b, secret, kind.before, kind.after)
						changes++
						if took > tt.bound {
							t.Errorf("%s: took %v, more than %v", kind.name, took, tt.bound)
						}
						if took > longest {
							longest, name = took, kind.name
						}
					})
				}
			}
			if longest < tt.bound/3 {
				t.Errorf("the longest took %v: nothing was remembered, so nothing was tested", longest)
			}
			evidence.Report(t, "apikey", "How soon a change is in force elsewhere, "+tt.name, [][2]string{
				{"kinds of change", fmt.Sprint(len(kinds))}, {"changes", fmt.Sprint(changes)}, {"bound", tt.bound.String()},
				{"longest (p100)", longest.String()}, {"which was", name},
			})
		})
	}
}

// A secret that B has refused as unknown is accepted within Bound once A has
// imported it.
func TestAnImportReachesThoseWhoMissedTheSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := apikey.NewMemoryStore()
		a, b := machine(t, s, s, nil), machine(t, s, s, nil)
		spare := machine(t, apikey.NewMemoryStore(), nil, nil)
		_, secret := issue(t, spare, apikey.Draft{})
		synctest.Wait()
		for _, m := range []*apikey.Keys{a, b} {
			wantVerdict(t, m, secret, keystile.CodeUnauthorized)
		}
		if _, err := a.Import(t.Context(), secret, apikey.Key{ID: "k"}); err != nil {
			t.Fatal(err)
		}
		wantVerdict(t, a, secret, "")
		if took := untilSeen(t, b, secret, "unauthorized", "plan"); took == 0 || took > b.Bound() {
			t.Errorf("took %v, want more than nothing and at most %v", took, b.Bound())
		}
	})
}

func TestKeysAreRefusedWhileTheFeedIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := apikey.NewMemoryStore()
		feed := &fakeFeed{Feed: s}
		var log bytes.Buffer
		a := machine(t, s, s, nil)
		b := machine(t, s, feed, func(c *apikey.Config) {
			c.Sync.StaleFor = 10 * time.Second
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		k, cached := issue(t, a, apikey.Draft{})
		_, cold := issue(t, a, apikey.Draft{})
		time.Sleep(time.Minute)
		wantVerdict(t, b, cached, "")

		feed.set(func() { feed.err = errors.New("connection refused") })
		began := time.Now()
		if err := a.Revoke(t.Context(), k.ID, ""); err != nil {
			t.Fatal(err)
		}
		for {
			if code := verdict(b, cached); code == keystile.CodeUnavailable {
				break
			} else if code != "" {
				t.Fatalf("%v into the outage: %q", time.Since(began), code)
			}
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(began); took > 10*time.Second || took < 9*time.Second {
			t.Errorf("a revoked key was served for %v, want about and at most 10s", took)
		}
		_, err := b.Verify(t.Context(), keystile.Presented{Secret: cold})
		var e *keystile.Error
		if !errors.As(err, &e) || e.StatusCode() != 503 || e.RetryAfter <= 0 {
			t.Errorf("a key that is not remembered: %v, want 503 with Retry-After", err)
		}
		wantVerdict(t, b, "acme_garbage", keystile.CodeUnauthorized) // that takes no store
		time.Sleep(time.Hour)
		wantVerdict(t, b, cached, keystile.CodeUnavailable)

		feed.set(func() { feed.err = nil })
		time.Sleep(b.Bound())
		wantVerdict(t, b, cached, keystile.CodeKeyRevoked)
		wantVerdict(t, b, cold, "")
		if down, up := strings.Count(log.String(), "cannot be read"), strings.Count(log.String(), "can be read again"); down != 1 || up != 1 {
			t.Errorf("the log tells %d times of the outage and %d times of its end, want once each:\n%s", down, up, log.String())
		}
	})
}

func TestAFeedThatHangsIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := apikey.NewMemoryStore()
		feed := &fakeFeed{Feed: s}
		b := machine(t, s, feed, nil)
		_, secret := issue(t, b, apikey.Draft{})
		time.Sleep(time.Minute)
		wantVerdict(t, b, secret, "")
		feed.set(func() { feed.slow = 251 * time.Millisecond }) // a quarter of the interval is allowed
		time.Sleep(29 * time.Second)
		wantVerdict(t, b, secret, "")
		time.Sleep(time.Second)
		wantVerdict(t, b, secret, keystile.CodeUnavailable)
	})
}

func TestAFeedThatNeverWorkedLosesItsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := apikey.NewMemoryStore()
		spy := spyOn(s)
		feed := &fakeFeed{Feed: s, err: errors.New("no such table")}
		b := machine(t, spy, feed, nil)
		_, secret := issue(t, b, apikey.Draft{})
		for want := range 3 {
			wantVerdict(t, b, secret, "")
			if got := spy.finds.Load(); got != int64(want)+1 {
				t.Errorf("%d reads after %d verifications: nothing may be remembered before the feed has a place", got, want+1)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(30 * time.Second)
		wantVerdict(t, b, secret, keystile.CodeUnavailable)
	})
}

// What is read before the head of the feed is known may be older than it.
func TestWhatWasReadBeforeTheHeadIsNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := apikey.NewMemoryStore()
		spy := spyOn(s)
		a := machine(t, s, s, nil)
		k, secret := issue(t, a, apikey.Draft{})
		feed := &fakeFeed{Feed: s, slow: 200 * time.Millisecond}
		// The answer of the store is on its way while the head is taken.
		spy.set(func() {
			spy.after = func(_ context.Context, k *apikey.Key) (*apikey.Key, error) {
				time.Sleep(500 * time.Millisecond)
				return k, nil
			}
		})
		b := machine(t, spy, feed, func(c *apikey.Config) { c.Sync.Interval = 10 * time.Second })
		var all sync.WaitGroup
		all.Go(func() { wantVerdict(t, b, secret, "") })
		synctest.Wait()
		if err := a.Revoke(t.Context(), k.ID, ""); err != nil { // before the head is taken, so the feed will not tell it
			t.Fatal(err)
		}
		all.Wait()
		wantVerdict(t, b, secret, keystile.CodeKeyRevoked)
	})
}

func TestALostCursorForgetsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := apikey.NewMemoryStore()
		spy := spyOn(s)
		feed := &fakeFeed{Feed: s}
		b := machine(t, spy, feed, nil)
		var secrets []keystile.Secret
		for range 100 {
			_, secret := issue(t, b, apikey.Draft{})
			secrets = append(secrets, secret)
		}
		all := func(want int64) {
			t.Helper()
			before := spy.finds.Load()
			for _, secret := range secrets {
				wantVerdict(t, b, secret, "")
			}
			if got := spy.finds.Load() - before; got != want {
				t.Errorf("%d reads, want %d", got, want)
			}
		}
		time.Sleep(time.Second)
		all(100)
		all(0)
		feed.heads.Store(0)
		feed.set(func() { feed.lost = true })
		time.Sleep(time.Second)
		if got := feed.heads.Load(); got != 1 {
			t.Errorf("the head was taken %d times, want once", got)
		}
		all(100)
		all(0)

		// While there is no new place nothing is remembered.
		feed.set(func() { feed.lost = true; feed.err = errors.New("down") })
		time.Sleep(time.Second)
		all(100)
		all(100)
		feed.set(func() { feed.err = nil })
		time.Sleep(time.Second)
		all(100)
		all(0)
	})
}

func TestABurstOfChangesIsReadAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := apikey.NewMemoryStore()
		a, b := machine(t, s, nil, nil), machine(t, s, s, nil)
		k, secret := issue(t, a, apikey.Draft{})
		time.Sleep(time.Second)
		wantVerdict(t, b, secret, "")
		time.Sleep(time.Millisecond)
		for i := range 3500 { // more than one page of the feed
			create(t, s, listed(fmt.Sprint(i), "x", 0))
		}
		if err := a.Revoke(t.Context(), k.ID, ""); err != nil {
			t.Fatal(err)
		}
		if took := untilSeen(t, b, secret, "plan", "key_revoked"); took > b.Bound() {
			t.Errorf("took %v", took)
		}
	})
}

func TestWakeReadsTheFeedNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := apikey.NewMemoryStore()
		wake := make(chan struct{}, 1)
		a, b := machine(t, s, nil, nil), machine(t, s, s, func(c *apikey.Config) {
			c.Sync.Wake, c.Sync.Interval = wake, time.Hour
			c.Cache.TTL = 24 * time.Hour
		})
		k, secret := issue(t, a, apikey.Draft{})
		time.Sleep(time.Second)
		wantVerdict(t, b, secret, "")
		if err := a.Revoke(t.Context(), k.ID, ""); err != nil {
			t.Fatal(err)
		}
		wantVerdict(t, b, secret, "")
		wake <- struct{}{}
		synctest.Wait()
		wantVerdict(t, b, secret, keystile.CodeKeyRevoked)
		close(wake) // ends it, and does not make it spin
		synctest.Wait()
	})
}

// The change need not name the digests for all that is known of the key to go.
func TestAFeedThatKnowsNoDigests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := apikey.NewMemoryStore()
		a, b := machine(t, s, nil, nil), machine(t, s, namelessFeed{s}, nil)
		k, secret := issue(t, a, apikey.Draft{})
		time.Sleep(time.Second)
		wantVerdict(t, b, secret, "")
		if err := a.Revoke(t.Context(), k.ID, ""); err != nil {
			t.Fatal(err)
		}
		if took := untilSeen(t, b, secret, "plan", "key_revoked"); took > b.Bound() {
			t.Errorf("took %v", took)
		}
	})
}

type namelessFeed struct{ apikey.Feed }

func (f namelessFeed) Changes(ctx context.Context, after apikey.Cursor, limit int) ([]apikey.Change, apikey.Cursor, error) {
	changes, next, err := f.Feed.Changes(ctx, after, limit)
	changes = slices.Clone(changes)
	for i := range changes {
		changes[i].Digests = nil
	}
	return changes, next, err
}

func TestAPanicInTheFeedIsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := apikey.NewMemoryStore()
		b := machine(t, s, panickyFeed{}, nil)
		_, secret := issue(t, b, apikey.Draft{})
		time.Sleep(29 * time.Second)
		wantVerdict(t, b, secret, "")
		time.Sleep(time.Second)
		wantVerdict(t, b, secret, keystile.CodeUnavailable)
	})
}

type panickyFeed struct{ apikey.Feed }

func (panickyFeed) Head(context.Context) (apikey.Cursor, error) { panic("boom") }
