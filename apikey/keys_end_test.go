package apikey_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
)

func TestRotate(t *testing.T) {
	clock := newHand()
	keys := newKeys(t, apikey.Config{Now: clock.Now})
	k, first := issue(t, keys, apikey.Draft{Name: "CI"})
	rotate := func(overlap time.Duration) (*apikey.Key, keystile.Secret) {
		t.Helper()
		next, secret, err := keys.Rotate(t.Context(), k.ID, overlap)
		if err != nil {
			t.Fatal(err)
		}
		if next.ID != k.ID || next.Name != "CI" || next.Hint != string(secret)[:13] || !next.Secrets[0].NotAfter.IsZero() {
			t.Errorf("%+v", next)
		}
		return next, secret
	}
	_, second := rotate(time.Hour)
	for range 2 {
		wantVerdict(t, keys, first, "")
		wantVerdict(t, keys, second, "")
	}
	p := must[*keystile.Principal](t)(keys.Verify(t.Context(), presented(first)))
	if p.Subject != k.ID || !p.Expires.Equal(noon.Add(time.Hour)) {
		t.Errorf("%+v: the principal of an old secret ends with it", p)
	}
	// A longer overlap extends none that is shorter already.
	next, third := rotate(3 * time.Hour)
	if len(next.Secrets) != 3 || !next.Secrets[1].NotAfter.Equal(noon.Add(3*time.Hour)) || !next.Secrets[2].NotAfter.Equal(noon.Add(time.Hour)) {
		t.Errorf("secrets %+v", next.Secrets)
	}
	clock.set(noon.Add(time.Hour - 1))
	wantVerdict(t, keys, first, "")
	clock.set(noon.Add(time.Hour))
	wantVerdict(t, keys, first, keystile.CodeKeyExpired)
	wantVerdict(t, keys, second, "")
	wantVerdict(t, keys, third, "")
	// Without overlap all that came before is dead now, and what was dead goes.
	next, fourth := rotate(0)
	if len(next.Secrets) != 3 {
		t.Errorf("secrets %+v", next.Secrets)
	}
	wantVerdict(t, keys, first, keystile.CodeUnauthorized)
	wantVerdict(t, keys, second, keystile.CodeKeyExpired)
	wantVerdict(t, keys, third, keystile.CodeKeyExpired)
	wantVerdict(t, keys, fourth, "")

	_, _, err := keys.Rotate(t.Context(), k.ID, -1)
	wantErr(t, "a negative overlap", err, apikey.ErrInvalid)
	_, _, err = keys.Rotate(t.Context(), "nobody", 0)
	wantErr(t, "a key that is not there", err, apikey.ErrNotFound)
	for range 15 {
		rotate(time.Hour)
	}
	_, _, err = keys.Rotate(t.Context(), k.ID, time.Hour)
	wantErr(t, "too many at the same time", err, apikey.ErrInvalid)
	if err := keys.Revoke(t.Context(), k.ID, ""); err != nil {
		t.Fatal(err)
	}
	_, secret, err := keys.Rotate(t.Context(), k.ID, 0)
	wantErr(t, "a revoked key", err, apikey.ErrRevoked)
	if secret != "" {
		t.Error("a secret is handed out all the same")
	}
}

func TestDisableAndEnable(t *testing.T) {
	clock := newHand()
	keys := newKeys(t, apikey.Config{Now: clock.Now})
	k, secret := issue(t, keys, apikey.Draft{})
	do := func(name string, err error, want keystile.Code, since time.Time) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantVerdict(t, keys, secret, want)
		if got := must[*apikey.Key](t)(keys.Get(t.Context(), k.ID)); !got.DisabledAt.Equal(since) {
			t.Errorf("%s: disabled at %v, want %v", name, got.DisabledAt, since)
		}
	}
	wantVerdict(t, keys, secret, "")
	do("enable", keys.Enable(t.Context(), k.ID), "", time.Time{})
	do("disable", keys.Disable(t.Context(), k.ID), keystile.CodeKeyDisabled, noon)
	clock.forward(time.Hour)
	do("disable again", keys.Disable(t.Context(), k.ID), keystile.CodeKeyDisabled, noon)
	do("enable", keys.Enable(t.Context(), k.ID), "", time.Time{})
	do("disable", keys.Disable(t.Context(), k.ID), keystile.CodeKeyDisabled, noon.Add(time.Hour))
	wantErr(t, "disable nobody", keys.Disable(t.Context(), "nobody"), apikey.ErrNotFound)
	wantErr(t, "enable nobody", keys.Enable(t.Context(), "nobody"), apikey.ErrNotFound)
	if err := keys.Revoke(t.Context(), k.ID, ""); err != nil {
		t.Fatal(err)
	}
	do("enable a revoked key", keys.Enable(t.Context(), k.ID), keystile.CodeKeyRevoked, time.Time{})
}

func TestRevokeIsForEver(t *testing.T) {
	clock := newHand()
	store := spyOn(apikey.NewMemoryStore())
	keys := newKeys(t, apikey.Config{Store: store, Now: clock.Now})
	k, secret := issue(t, keys, apikey.Draft{})
	other, otherSecret := issue(t, keys, apikey.Draft{})
	wantVerdict(t, keys, secret, "")
	if err := keys.Revoke(t.Context(), k.ID, "leaked", apikey.By("alice"), nil); err != nil {
		t.Fatal(err)
	}
	clock.forward(time.Hour)
	writes := store.updates.Load()
	if err := keys.Revoke(t.Context(), k.ID, "again", apikey.By("bob")); err != nil {
		t.Errorf("revoking twice: %v", err)
	}
	if store.updates.Load() != writes {
		t.Error("revoking twice writes twice")
	}
	if _, err := keys.Edit(t.Context(), k.ID, func(k *apikey.Key) error { k.Name = "edited"; k.ExpiresAt = time.Time{}; return nil }); err != nil {
		t.Errorf("editing a revoked key: %v", err)
	}
	got := must[*apikey.Key](t)(keys.Get(t.Context(), k.ID))
	if !got.RevokedAt.Equal(noon) || got.RevokedReason != "leaked" || got.RevokedBy != "alice" || got.Name != "edited" || got.State(noon) != apikey.StateRevoked {
		t.Errorf("%+v", got)
	}
	if listed := must[apikey.Page](t)(keys.List(t.Context(), apikey.Query{State: apikey.StateRevoked})); len(listed.Keys) != 1 || listed.Keys[0].RevokedReason != "leaked" {
		t.Errorf("listed %v", listed.Keys)
	}
	wantVerdict(t, keys, secret, keystile.CodeKeyRevoked)
	wantVerdict(t, keys, otherSecret, "")
	if got := must[*apikey.Key](t)(keys.Get(t.Context(), other.ID)); !got.RevokedAt.IsZero() {
		t.Error("another key was revoked as well")
	}
	wantErr(t, "revoking nobody", keys.Revoke(t.Context(), "nobody", ""), apikey.ErrNotFound)
	wantErr(t, "a reason that is no text", keys.Revoke(t.Context(), other.ID, "\xff"), apikey.ErrInvalid)
	_, err := keys.Import(t.Context(), secret, apikey.Key{ID: "new life"})
	wantErr(t, "importing a revoked secret under another ID", err, apikey.ErrExists)
}

// A revocation wins against others who write all the time.
func TestARevocationWins(t *testing.T) {
	store := apikey.NewMemoryStore()
	keys := newKeys(t, apikey.Config{Store: store})
	for range 50 {
		k, secret := issue(t, keys, apikey.Draft{})
		var stop atomic.Bool
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for !stop.Load() {
					_, err := keys.Edit(t.Context(), k.ID, func(k *apikey.Key) error { k.Plan = "x"; return nil })
					if err != nil && !errors.Is(err, apikey.ErrConflict) {
						t.Error(err)
					}
				}
			})
		}
		if err := keys.Revoke(t.Context(), k.ID, "leaked"); err != nil {
			t.Error(err)
		}
		wantVerdict(t, keys, secret, keystile.CodeKeyRevoked)
		stop.Store(true)
		all.Wait()
		wantVerdict(t, keys, secret, keystile.CodeKeyRevoked)
	}
}

func TestRevokeAll(t *testing.T) {
	store := apikey.NewMemoryStore()
	keys := newKeys(t, apikey.Config{Store: store})
	const before = 1500 // more than a page
	secrets := map[string]keystile.Secret{}
	for range before {
		k, secret := issue(t, keys, apikey.Draft{Account: "acct"})
		secrets[k.ID] = secret
	}
	_, other := issue(t, keys, apikey.Draft{Account: "acct2"})
	first := must[apikey.Page](t)(keys.List(t.Context(), apikey.Query{Account: "acct", Limit: 1})).Keys[0]
	if err := keys.Revoke(t.Context(), first.ID, "earlier"); err != nil {
		t.Fatal(err)
	}

	// Somebody goes on issuing for a while.
	var all sync.WaitGroup
	var mu sync.Mutex
	started := make(chan struct{})
	all.Go(func() {
		for i := range 300 {
			k, secret := issue(t, keys, apikey.Draft{Account: "acct"})
			mu.Lock()
			secrets[k.ID] = secret
			mu.Unlock()
			if i == 0 {
				close(started)
			}
		}
	})
	<-started
	n, err := keys.RevokeAll(t.Context(), "acct", "closed", apikey.By("billing"))
	if err != nil {
		t.Fatal(err)
	}
	all.Wait()
	m, err := keys.RevokeAll(t.Context(), "acct", "closed again")
	if err != nil {
		t.Fatal(err)
	}
	if n < before-1 || n+m+1 != len(secrets) {
		t.Errorf("%d, %d and 1 of %d keys were revoked", n, m, len(secrets))
	}
	for id, secret := range secrets {
		wantVerdict(t, keys, secret, keystile.CodeKeyRevoked)
		k := must[*apikey.Key](t)(keys.Get(t.Context(), id))
		if want := map[bool]string{true: "earlier", false: "closed"}[id == first.ID]; !strings.HasPrefix(k.RevokedReason, want) {
			t.Errorf("reason %q, want %q", k.RevokedReason, want)
		}
	}
	wantVerdict(t, keys, other, "")
	if n, err := keys.RevokeAll(t.Context(), "nobody", ""); n != 0 || err != nil {
		t.Errorf("an account without keys: %d, %v", n, err)
	}
	n, err = keys.RevokeAll(t.Context(), "", "")
	wantErr(t, "no account", err, apikey.ErrInvalid)
	if n != 0 {
		t.Errorf("%d keys were revoked for no account", n)
	}
}

// Keys that are issued while RevokeAll is at work, before the pages that it has
// read already, are revoked as well.
func TestRevokeAllFindsWhatIsIssuedMeanwhile(t *testing.T) {
	store := spyOn(apikey.NewMemoryStore())
	keys := newKeys(t, apikey.Config{Store: store})
	for range 3 {
		issue(t, keys, apikey.Draft{Account: "acct"})
	}
	var late keystile.Secret
	var once sync.Once
	store.set(func() {
		store.update = func(*apikey.Key) error {
			once.Do(func() { _, late = issue(t, keys, apikey.Draft{Account: "acct"}) })
			return nil
		}
	})
	if n, err := keys.RevokeAll(t.Context(), "acct", ""); n != 4 || err != nil {
		t.Errorf("%d, %v, want 4", n, err)
	}
	wantVerdict(t, keys, late, keystile.CodeKeyRevoked)
}

func TestDelete(t *testing.T) {
	keys := newKeys(t, apikey.Config{})
	k, secret := issue(t, keys, apikey.Draft{})
	wantVerdict(t, keys, secret, "")
	if err := keys.Delete(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, keys, secret, keystile.CodeUnauthorized)
	wantErr(t, "deleting twice", keys.Delete(t.Context(), k.ID), apikey.ErrNotFound)
	if _, err := keys.Import(t.Context(), secret, apikey.Key{ID: k.ID}); err != nil {
		t.Errorf("importing it anew: %v", err)
	}
	wantVerdict(t, keys, secret, "")
}

func TestExpiring(t *testing.T) {
	clock := newHand()
	keys := newKeys(t, apikey.Config{Now: clock.Now})
	want := []string{}
	for i, in := range []time.Duration{time.Hour, 2 * time.Hour, 2*time.Hour + 1, 0, 30 * time.Minute, 10 * time.Minute, 10 * time.Minute} {
		d := apikey.Draft{ID: fmt.Sprint("k", i)}
		if in > 0 {
			d.ExpiresAt = noon.Add(in)
		}
		issue(t, keys, d)
		if in == 30*time.Minute {
			if err := keys.Revoke(t.Context(), d.ID, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := keys.Disable(t.Context(), "k5"); err != nil {
		t.Fatal(err)
	}
	want = append(want, "k0", "k1", "k6")
	found, err := keys.Expiring(t.Context(), 2*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, k := range found {
		got = append(got, k.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v expire within two hours, want %v", got, want)
	}
	clock.forward(10 * time.Minute)
	if found := must[[]*apikey.Key](t)(keys.Expiring(t.Context(), time.Hour)); len(found) != 1 || found[0].ID != "k0" {
		t.Errorf("%v: what has expired is expiring no more", found)
	}
	if found := must[[]*apikey.Key](t)(keys.Expiring(t.Context(), 0)); len(found) != 0 {
		t.Errorf("%v", found)
	}
}

func TestExpiringGoesThroughAllPages(t *testing.T) {
	keys := newKeys(t, apikey.Config{DefaultTTL: time.Hour})
	for range 2100 {
		issue(t, keys, apikey.Draft{})
	}
	if found := must[[]*apikey.Key](t)(keys.Expiring(t.Context(), 2*time.Hour)); len(found) != 2100 {
		t.Errorf("%d keys, want 2100", len(found))
	}
}

func TestListIsJudgedByTheClockOfKeys(t *testing.T) {
	clock := newHand()
	keys := newKeys(t, apikey.Config{Now: clock.Now})
	issue(t, keys, apikey.Draft{ExpiresAt: noon.Add(time.Hour)})
	for _, want := range []int{0, 1} {
		if got := must[apikey.Page](t)(keys.List(t.Context(), apikey.Query{State: apikey.StateExpired})); len(got.Keys) != want {
			t.Errorf("%d expired keys, want %d", len(got.Keys), want)
		}
		clock.forward(time.Hour)
	}
	_, err := keys.List(t.Context(), apikey.Query{Cursor: "garbage"})
	wantErr(t, "a garbage cursor", err, apikey.ErrInvalidQuery)
}
