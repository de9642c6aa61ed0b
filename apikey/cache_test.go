package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
)

func TestAKeyIsReadOncePerTTL(t *testing.T) {
	clock := newHand()
	store := spyOn(apikey.NewMemoryStore())
	keys := newKeys(t, apikey.Config{Store: store, Now: clock.Now, Cache: apikey.Cache{TTL: 10 * time.Second, MissTTL: 5 * time.Second}})
	_, good := issue(t, keys, apikey.Draft{})
	unknown := generate(t, acme)
	for _, tt := range []struct {
		name   string
		secret keystile.Secret
		want   keystile.Code
		ttl    time.Duration
	}{{"a key", good, "", 10 * time.Second}, {"a miss", unknown, keystile.CodeUnauthorized, 5 * time.Second}} {
		reads := func(want int64) {
			t.Helper()
			wantVerdict(t, keys, tt.secret, tt.want)
			if got := store.finds.Swap(0); got != want {
				t.Errorf("%s: %d reads, want %d", tt.name, got, want)
			}
		}
		reads(1)
		clock.forward(tt.ttl * 9 / 10) // jitter shortens by up to a tenth
		clock.forward(-1)
		reads(0)
		clock.forward(tt.ttl/10 + 1)
		reads(1)
		clock.forward(-time.Hour) // a clock that is put back makes nothing younger
		reads(1)
		reads(0)
	}
}

// Keys that were read together are not read again together, and none later than
// its TTL.
func TestJitterSpreadsAndOnlyShortens(t *testing.T) {
	clock := newHand()
	store := spyOn(apikey.NewMemoryStore())
	keys := newKeys(t, apikey.Config{Store: store, Now: clock.Now})
	var secrets []keystile.Secret
	const n = 600
	for range n {
		_, secret := issue(t, keys, apikey.Draft{})
		secrets = append(secrets, secret)
		wantVerdict(t, keys, secret, "")
	}
	store.finds.Store(0)
	var reads []int64
	for clock.Now().Before(noon.Add(30 * time.Second)) {
		clock.forward(300 * time.Millisecond)
		for _, secret := range secrets {
			wantVerdict(t, keys, secret, "")
		}
		reads = append(reads, store.finds.Swap(0))
	}
	var total, peak int64
	for i, n := range reads {
		total += n
		peak = max(peak, n)
		if at := time.Duration(i+1) * 300 * time.Millisecond; at < 27*time.Second && n > 0 {
			t.Errorf("%d keys are read again after %v, more than a tenth early", n, at)
		}
	}
	if total != n {
		t.Errorf("%d of %d keys are read again within their TTL", total, n)
	}
	if mean := total / 10; peak > 2*mean { // the last 3 s hold 10 steps
		t.Errorf("%d reads at once, the mean is %d", peak, mean)
	}
}

func TestAColdKeyInAStampedeIsReadOnce(t *testing.T) {
	for _, tt := range []struct {
		name string
		good bool
	}{{"a key", true}, {"a secret that is nobody's", false}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := spyOn(apikey.NewMemoryStore())
				keys := newKeys(t, apikey.Config{Store: store})
				_, secret := issue(t, keys, apikey.Draft{})
				want := keystile.Code("")
				if !tt.good {
					secret, want = generate(t, acme), keystile.CodeUnauthorized
				}
				store.set(func() { store.before = func(context.Context) error { time.Sleep(time.Second); return nil } })
				var all sync.WaitGroup
				for range 10_000 {
					all.Go(func() { wantVerdict(t, keys, secret, want) })
				}
				all.Wait()
				wantVerdict(t, keys, secret, want)
				if got := store.finds.Load(); got != 1 {
					t.Errorf("%d reads for 10000 callers, want 1", got)
				}
			})
		})
	}
}

func TestEveryCallerWaitsForAsLongAsItLikes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := spyOn(apikey.NewMemoryStore())
		keys := newKeys(t, apikey.Config{Store: store})
		_, secret := issue(t, keys, apikey.Draft{})
		type traceKey struct{}
		store.set(func() {
			store.before = func(ctx context.Context) error {
				if ctx.Value(traceKey{}) != "leader" {
					t.Error("the values of the first caller's context are gone")
				}
				select {
				case <-time.After(time.Second):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		})
		verify := func(ctx context.Context) (time.Duration, error) {
			began := time.Now()
			_, err := keys.Verify(ctx, keystile.Presented{Secret: secret})
			return time.Since(began), err
		}
		var all sync.WaitGroup
		all.Go(func() { // the leader is cancelled
			ctx, cancel := context.WithCancel(context.WithValue(t.Context(), traceKey{}, "leader"))
			time.AfterFunc(100*time.Millisecond, cancel)
			if took, err := verify(ctx); took != 100*time.Millisecond || codeOf(err) != keystile.CodeUnavailable || !errors.Is(err, context.Canceled) {
				t.Errorf("the leader: %v after %v, want 503 after 100ms", err, took)
			}
		})
		synctest.Wait()
		all.Go(func() { // a follower has a deadline
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if took, err := verify(ctx); took != 200*time.Millisecond || codeOf(err) != keystile.CodeUnavailable || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the hasty follower: %v after %v, want 503 after 200ms", err, took)
			}
		})
		all.Go(func() { // another has none
			if took, err := verify(t.Context()); took != time.Second || err != nil {
				t.Errorf("the patient follower: %v after %v, want a principal after 1s", err, took)
			}
		})
		all.Wait()
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := verify(canceled); err != nil {
			t.Errorf("what is in memory takes no time: %v", err)
		}
		if got := store.finds.Load(); got != 1 {
			t.Errorf("%d reads, want 1", got)
		}
	})
}

func TestAReadThatHangsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := spyOn(apikey.NewMemoryStore())
		keys := newKeys(t, apikey.Config{Store: store})
		_, secret := issue(t, keys, apikey.Draft{})
		store.set(func() { store.before = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() } })
		began := time.Now()
		wantVerdict(t, keys, secret, keystile.CodeUnavailable)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("took %v, want the ReadTimeout of 2s", took)
		}
	})
}

func TestAnOutageIsNeverRemembered(t *testing.T) {
	down := errors.New("connection refused")
	for _, tt := range []struct {
		name   string
		good   bool
		change func(s *spyStore)
		is     error
	}{
		{"the store is down", true, func(s *spyStore) { s.before = func(context.Context) error { return down } }, down},
		{"the store is down for an unknown secret", false, func(s *spyStore) { s.before = func(context.Context) error { return down } }, down},
		{"the store has forgotten its context", true, func(s *spyStore) { s.before = func(context.Context) error { return context.Canceled } }, context.Canceled},
		{"the store refuses like a guard", true, func(s *spyStore) {
			s.before = func(context.Context) error { return &keystile.Error{Code: keystile.CodeUnauthorized} }
		}, nil},
		{"the record cannot be read", true, func(s *spyStore) {
			s.before = func(context.Context) error { return fmt.Errorf("row 7: %w", apikey.ErrCorrupt) }
		}, apikey.ErrCorrupt},
		{"the record is missing", true, func(s *spyStore) {
			s.after = func(context.Context, *apikey.Key) (*apikey.Key, error) { return nil, nil }
		}, apikey.ErrCorrupt},
		{"the record is another key's", true, changed(func(k *apikey.Key) { k.Secrets[0].Digest = digest(1) }), apikey.ErrCorrupt},
		{"the record has no secrets", true, changed(func(k *apikey.Key) { k.Secrets = nil }), apikey.ErrCorrupt},
		{"one bit of the digest is wrong", true, changed(func(k *apikey.Key) { k.Secrets[0].Digest[31] ^= 1 }), apikey.ErrCorrupt},
		{"the record has no ID", true, changed(func(k *apikey.Key) { k.ID = "" }), apikey.ErrCorrupt},
		{"a network is broken", true, changed(func(k *apikey.Key) { k.Networks = []netip.Prefix{{}} }), apikey.ErrCorrupt},
		{"an endpoint is broken", true, changed(func(k *apikey.Key) { k.Endpoints = []string{"anything"} }), apikey.ErrCorrupt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store := spyOn(apikey.NewMemoryStore())
			var log strings.Builder
			keys := newKeys(t, apikey.Config{Store: store, Logger: textLogger(&log)})
			_, secret := issue(t, keys, apikey.Draft{})
			want := keystile.Code("")
			if !tt.good {
				secret, want = generate(t, acme), keystile.CodeUnauthorized
			}
			store.set(func() { tt.change(store) })
			for range 2 {
				_, err := keys.Verify(t.Context(), keystile.Presented{Secret: secret})
				var e *keystile.Error
				if !errors.As(err, &e) || e.Code != keystile.CodeUnavailable || e.StatusCode() != 503 || e.RetryAfter < time.Second || e.RetryAfter > 5*time.Second {
					t.Errorf("%v, want 503 with Retry-After of 1 to 5 s", err)
				}
				if tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("%v does not tell the operator of %v", err, tt.is)
				}
			}
			if got := store.finds.Load(); got != 2 {
				t.Errorf("%d reads for 2 calls: an error is remembered", got)
			}
			if got, wanted := strings.Count(log.String(), "corrupt record"), map[bool]int{true: 2}[errors.Is(tt.is, apikey.ErrCorrupt)]; got != wanted {
				t.Errorf("the log tells of %d corrupt records, want %d", got, wanted)
			}
			store.set(func() { store.before, store.after = nil, nil })
			wantVerdict(t, keys, secret, want)
		})
	}
}

// changed makes a store answer with records that were changed.
func changed(change func(*apikey.Key)) func(s *spyStore) {
	return func(s *spyStore) {
		s.after = func(_ context.Context, k *apikey.Key) (*apikey.Key, error) { change(k); return k, nil }
	}
}

func TestAPanicInAStoreIsNoCrash(t *testing.T) {
	store := spyOn(apikey.NewMemoryStore())
	var log strings.Builder
	keys := newKeys(t, apikey.Config{Store: store, Logger: textLogger(&log)})
	_, secret := issue(t, keys, apikey.Draft{})
	store.set(func() { store.before = func(context.Context) error { panic("boom") } })
	_, err := keys.Verify(t.Context(), keystile.Presented{Secret: secret})
	if codeOf(err) != keystile.CodeInternal || !strings.Contains(err.Error(), "boom") {
		t.Errorf("%v, want an internal error that names the panic", err)
	}
	if !strings.Contains(log.String(), "boom") || !strings.Contains(log.String(), "cache_test.go") {
		t.Errorf("the log does not say where: %s", log.String())
	}
	store.set(func() { store.before = nil })
	wantVerdict(t, keys, secret, "")
}

// A change made through the same Keys is in force when the method returns,
// whatever was in memory or on its way.
func TestWhatIsChangedHereIsInForceAtOnce(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Hour) // so that the year 2000 of the bubble has seen something expire
				store := apikey.NewMemoryStore()
				keys := newKeys(t, apikey.Config{Store: store, Feed: store})
				time.Sleep(time.Second)
				kind.draft.Plan = "free"
				if !kind.draft.ExpiresAt.IsZero() {
					kind.draft.ExpiresAt = time.Now().Add(1)
				}
				k, secret := issue(t, keys, kind.draft)
				time.Sleep(time.Nanosecond)
				for range 2 {
					if got := seen(keys, secret); got != kind.before {
						t.Errorf("before: %q, want %q", got, kind.before)
					}
				}
				if err := kind.change(t.Context(), keys, k.ID); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if got := seen(keys, secret); got != kind.after {
						t.Errorf("after: %q, want %q", got, kind.after)
					}
				}
			})
		})
	}
}

// A read of the store that was on its way when the key was revoked tells those
// who waited for it what it read, but it is neither kept nor joined by those who
// come later.
func TestAReadOnItsWayDoesNotOutliveARevocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := spyOn(apikey.NewMemoryStore())
		keys := newKeys(t, apikey.Config{Store: store})
		k, secret := issue(t, keys, apikey.Draft{})
		var first atomic.Bool
		first.Store(true)
		store.set(func() {
			store.after = func(_ context.Context, k *apikey.Key) (*apikey.Key, error) {
				if first.Swap(false) {
					time.Sleep(time.Second) // the answer has been given, and is on its way
				}
				return k, nil
			}
		})
		var all sync.WaitGroup
		all.Go(func() { wantVerdict(t, keys, secret, "") })
		synctest.Wait()
		if err := keys.Revoke(t.Context(), k.ID, ""); err != nil {
			t.Fatal(err)
		}
		wantVerdict(t, keys, secret, keystile.CodeKeyRevoked) // does not join
		all.Wait()                                            // now the old answer has come
		wantVerdict(t, keys, secret, keystile.CodeKeyRevoked)
	})
}

// The same for a secret that was nobody's when it was read.
func TestAMissOnItsWayDoesNotHideANewKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := spyOn(apikey.NewMemoryStore())
		keys := newKeys(t, apikey.Config{Store: slowMiss{store}})
		secret := generate(t, acme)
		var all sync.WaitGroup
		all.Go(func() { wantVerdict(t, keys, secret, keystile.CodeUnauthorized) })
		synctest.Wait()
		if _, err := keys.Import(t.Context(), secret, apikey.Key{ID: "k"}); err != nil {
			t.Fatal(err)
		}
		wantVerdict(t, keys, secret, "")
		all.Wait()
		wantVerdict(t, keys, secret, "")
	})
}

// slowMiss is a store whose misses take a second to come.
type slowMiss struct{ apikey.Store }

func (s slowMiss) FindByDigest(ctx context.Context, d ...apikey.Digest) (*apikey.Key, error) {
	k, err := s.Store.FindByDigest(ctx, d...)
	if err != nil {
		time.Sleep(time.Second)
	}
	return k, err
}

// Only what is used least is pushed out, and a flood of guesses pushes out no
// key.
func TestTheCacheIsBounded(t *testing.T) {
	store := spyOn(apikey.NewMemoryStore())
	clock := newHand()
	keys := newKeys(t, apikey.Config{Store: store, Now: clock.Now, Cache: apikey.Cache{Size: 10, MissSize: 3, TTL: time.Hour}})
	var secrets []keystile.Secret
	for range 20 {
		_, secret := issue(t, keys, apikey.Draft{})
		secrets = append(secrets, secret)
	}
	read := func(secret keystile.Secret, want keystile.Code, reads int64) {
		t.Helper()
		store.finds.Store(0)
		wantVerdict(t, keys, secret, want)
		if got := store.finds.Load(); got != reads {
			t.Errorf("%d reads, want %d", got, reads)
		}
		clock.forward(2 * time.Second) // the order of use is kept to the second
	}
	for _, secret := range secrets[:10] {
		read(secret, "", 1)
	}
	for range 100 {
		read(generate(t, acme), keystile.CodeUnauthorized, 1)
	}
	for i := range 10 { // the first is used last
		read(secrets[9-i], "", 0)
	}
	for _, secret := range secrets[10:15] { // push out the five that were used longest ago
		read(secret, "", 1)
	}
	for _, secret := range secrets[:5] {
		read(secret, "", 0)
	}
	read(secrets[9], "", 1)
}

// Two secrets of one key are two entries, and both go when the key changes.
func TestBothSecretsOfAKeyAreForgotten(t *testing.T) {
	store := apikey.NewMemoryStore()
	keys := newKeys(t, apikey.Config{Store: store})
	k, old := issue(t, keys, apikey.Draft{})
	_, fresh, err := keys.Rotate(t.Context(), k.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		wantVerdict(t, keys, old, "")
		wantVerdict(t, keys, fresh, "")
	}
	if err := keys.Revoke(t.Context(), k.ID, ""); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, keys, old, keystile.CodeKeyRevoked)
	wantVerdict(t, keys, fresh, keystile.CodeKeyRevoked)
}

func TestWhatComesFromMemoryIsSaidToBeCached(t *testing.T) {
	keys := newKeys(t, apikey.Config{})
	_, good := issue(t, keys, apikey.Draft{})
	var events []keystile.Event
	guard, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: keys.From(apikey.Header("X-API-Key")), Realm: "acme",
		Observer: observerFunc(func(e keystile.Event) { events = append(events, e) })})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []keystile.Secret{good, good, generate(t, acme), "garbage"} {
		_, _ = guard.Authenticate(requestWith("X-API-Key", string(secret)))
	}
	for i, want := range []bool{false, true, false, false} {
		if events[i].Cached != want {
			t.Errorf("event %d: cached %v, want %v", i, events[i].Cached, want)
		}
	}
}

type observerFunc func(keystile.Event)

func (f observerFunc) Observe(_ context.Context, e keystile.Event) { f(e) }
