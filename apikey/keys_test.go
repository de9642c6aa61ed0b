package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
)

func presented(secret keystile.Secret) keystile.Presented { return keystile.Presented{Secret: secret} }

// callEverything calls every method that may fail.
func callEverything(keys *apikey.Keys, id string) map[string]error {
	ctx := context.Background()
	_, _, issueErr := keys.Issue(ctx, apikey.Draft{})
	_, importErr := keys.Import(ctx, "acme_", apikey.Key{})
	_, getErr := keys.Get(ctx, id)
	_, listErr := keys.List(ctx, apikey.Query{})
	_, expiringErr := keys.Expiring(ctx, time.Hour)
	_, editErr := keys.Edit(ctx, id, func(*apikey.Key) error { return nil })
	_, _, rotateErr := keys.Rotate(ctx, id, 0)
	_, revokeAllErr := keys.RevokeAll(ctx, "a", "")
	return map[string]error{
		"Issue": issueErr, "Import": importErr, "Get": getErr, "List": listErr, "Expiring": expiringErr, "Edit": editErr, "Rotate": rotateErr,
		"Disable": keys.Disable(ctx, id), "Enable": keys.Enable(ctx, id), "Revoke": keys.Revoke(ctx, id, ""), "RevokeAll": revokeAllErr, "Delete": keys.Delete(ctx, id),
	}
}

func TestIssue(t *testing.T) {
	clock := newHand()
	store := apikey.NewMemoryStore()
	keys := newKeys(t, apikey.Config{Store: store, Now: clock.Now})
	d := apikey.Draft{Account: "acct", Owner: "alice", Name: "CI", Plan: "pro", Scopes: []string{"a", "b"},
		Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.9/24"), netip.MustParsePrefix("::ffff:198.51.100.1/120")}, Endpoints: []string{"GET /"},
		Metadata: map[string]string{"a": "b"}, ExpiresAt: noon.Add(time.Hour)}
	k, secret, err := keys.Issue(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	wantNetworks := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24")}
	if !strings.HasPrefix(k.ID, "key_") || len(k.ID) != 24 || k.Account != "acct" || k.Owner != "alice" || k.Name != "CI" || k.Plan != "pro" ||
		!slices.Equal(k.Scopes, d.Scopes) || !slices.Equal(k.Networks, wantNetworks) || !slices.Equal(k.Endpoints, d.Endpoints) || k.Metadata["a"] != "b" ||
		!k.CreatedAt.Equal(noon) || !k.ExpiresAt.Equal(noon.Add(time.Hour)) || k.Hint != string(secret)[:13] || k.Revision == 0 ||
		len(k.Secrets) != 1 || k.Secrets[0].Pepper != "" || k.Secrets[0].Digest.Hex() != sha256Hex(string(secret)) {
		t.Errorf("%+v", k)
	}
	wantKey(t, "what is stored", must[*apikey.Key](t)(store.Get(t.Context(), k.ID)), k)
	d.Scopes[0], d.Metadata["a"], d.Networks[0] = "scribbled", "scribbled", netip.Prefix{}
	k.Scopes[1] = "scribbled"
	p := must[*keystile.Principal](t)(keys.Verify(t.Context(), keystile.Presented{Secret: secret, Route: "GET /", Addr: netip.MustParseAddr("192.0.2.1")}))
	if !slices.Equal(p.Scopes.All(), []string{"a", "b"}) {
		t.Errorf("scopes %v", p.Scopes)
	}
	if k, _ := issue(t, keys, apikey.Draft{ID: "0191b0c8-0000-7000-8000-000000000000"}); k.ID != "0191b0c8-0000-7000-8000-000000000000" {
		t.Errorf("ID %s", k.ID)
	}
	_, _, err = keys.Issue(t.Context(), apikey.Draft{ID: k.ID})
	wantErr(t, "an ID in use", err, apikey.ErrExists)
}

func TestLifetimes(t *testing.T) {
	for _, tt := range []struct {
		name             string
		byDefault, most  time.Duration
		draft            apikey.Draft
		expires, refused string
	}{
		{"for ever by default", 0, 0, apikey.Draft{}, "never", ""},
		{"for DefaultTTL", time.Hour, 0, apikey.Draft{}, "1h0m0s", ""},
		{"for MaxTTL", 0, 2 * time.Hour, apikey.Draft{}, "2h0m0s", ""},
		{"for DefaultTTL before MaxTTL", time.Hour, 2 * time.Hour, apikey.Draft{}, "1h0m0s", ""},
		{"as long as is wanted", time.Hour, 0, apikey.Draft{ExpiresAt: noon.Add(9 * time.Hour)}, "9h0m0s", ""},
		{"as long as MaxTTL", time.Hour, 2 * time.Hour, apikey.Draft{ExpiresAt: noon.Add(2 * time.Hour)}, "2h0m0s", ""},
		{"longer than MaxTTL", time.Hour, 2 * time.Hour, apikey.Draft{ExpiresAt: noon.Add(2*time.Hour + 1)}, "", "MaxTTL"},
		{"for ever in spite of DefaultTTL", time.Hour, 0, apikey.Draft{NeverExpires: true}, "never", ""},
		{"for ever in spite of MaxTTL", 0, time.Hour, apikey.Draft{NeverExpires: true}, "", "MaxTTL"},
		{"for ever and not", 0, 0, apikey.Draft{NeverExpires: true, ExpiresAt: noon.Add(1)}, "", "contradicts"},
		{"over already", 0, 0, apikey.Draft{ExpiresAt: noon}, "", "over already"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := newHand()
			keys := newKeys(t, apikey.Config{Now: clock.Now, DefaultTTL: tt.byDefault, MaxTTL: tt.most})
			k, secret, err := keys.Issue(t.Context(), tt.draft)
			if tt.refused != "" {
				if !errors.Is(err, apikey.ErrInvalid) || !strings.Contains(err.Error(), tt.refused) || k != nil || secret != "" {
					t.Errorf("%v, want a refusal that says %q", err, tt.refused)
				}
				return
			}
			got := "never"
			if err == nil && !k.ExpiresAt.IsZero() {
				got = k.ExpiresAt.Sub(noon).String()
			}
			if err != nil || got != tt.expires {
				t.Errorf("expires %s, %v, want %s", got, err, tt.expires)
			}
		})
	}
}

func TestWhatMayNotBeStored(t *testing.T) {
	long := strings.Repeat("x", 513)
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprint("s", i)
	}
	for _, tt := range []struct {
		name  string
		draft apikey.Draft
		want  []string
	}{
		{"a broken network", apikey.Draft{Networks: []netip.Prefix{{}}}, []string{"Networks[0]"}},
		{"a mapped network wider than IPv4", apikey.Draft{Networks: []netip.Prefix{netip.MustParsePrefix("::ffff:0.0.0.0/80")}}, []string{"Networks[0]"}},
		{"an endpoint without a method", apikey.Draft{Endpoints: []string{"GET /", "/contacts"}}, []string{"Endpoints[1]"}},
		{"an endpoint for HEAD", apikey.Draft{Endpoints: []string{"HEAD /"}}, []string{"Endpoints[0]"}},
		{"an empty scope", apikey.Draft{Scopes: []string{""}}, []string{"Scopes[0]"}},
		{"texts that are too long", apikey.Draft{ID: long, Account: long, Owner: long, Name: long, Plan: long}, []string{"ID", "Account", "Owner", "Name", "Plan"}},
		{"text that is none", apikey.Draft{Name: "\xff", Plan: "a\x00b"}, []string{"Name", "Plan"}},
		{"too many scopes", apikey.Draft{Scopes: many}, []string{"Scopes"}},
		{"too much metadata", apikey.Draft{Metadata: map[string]string{"a": strings.Repeat("x", 64<<10)}}, []string{"Metadata"}},
		{"metadata that is no text", apikey.Draft{Metadata: map[string]string{"a": "\xff"}}, []string{`Metadata["a"]`}},
		{"all at once", apikey.Draft{Networks: []netip.Prefix{{}}, Endpoints: []string{"x"}, Scopes: []string{""}, ExpiresAt: noon}, []string{"Scopes[0]", "Networks[0]", "Endpoints[0]", "ExpiresAt"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store := spyOn(apikey.NewMemoryStore())
			keys := newKeys(t, apikey.Config{Store: store})
			_, _, err := keys.Issue(t.Context(), tt.draft)
			if !errors.Is(err, apikey.ErrInvalid) || store.creates.Load() != 0 {
				t.Fatalf("%v, %d creates", err, store.creates.Load())
			}
			for _, field := range tt.want {
				if !strings.Contains(err.Error(), "apikey.Key."+field) {
					t.Errorf("%v does not name %s", err, field)
				}
			}
			var config *keystile.ConfigError
			if !errors.As(err, &config) {
				t.Errorf("%v holds no *keystile.ConfigError", err)
			}
		})
	}
}

func TestImport(t *testing.T) {
	clock := newHand()
	store := spyOn(apikey.NewMemoryStore())
	keys := newKeys(t, apikey.Config{Store: store, Now: clock.Now, Accept: []apikey.Format{apikey.LaxFormat("whm_", 36, 36)}, MaxTTL: time.Hour})
	const secret, other = keystile.Secret("whm_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6"), keystile.Secret("whm_b1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6")
	k, err := keys.Import(t.Context(), secret, apikey.Key{ID: "k1", Account: "acct", Secrets: []apikey.Secret{{Digest: digest(1)}}, Revision: 77, LastUsedAt: noon})
	if err != nil {
		t.Fatal(err)
	}
	if k.ID != "k1" || k.Hint != "whm_a1b2" || !k.CreatedAt.Equal(noon) || !k.ExpiresAt.IsZero() || len(k.Secrets) != 1 || k.Secrets[0].Digest.Hex() != sha256Hex(string(secret)) || !k.LastUsedAt.IsZero() || k.Revision == 77 {
		t.Errorf("imported %+v", k)
	}
	wantVerdict(t, keys, secret, "")

	// What has happened to the key since stays.
	if err := keys.Revoke(t.Context(), "k1", "leaked"); err != nil {
		t.Fatal(err)
	}
	clock.forward(time.Hour)
	writes := store.updates.Load() + store.creates.Load()
	for name, record := range map[string]apikey.Key{
		"the same again": {ID: "k1", Account: "acct"}, "with other fields": {ID: "k1", Account: "other", Name: "new", Plan: "pro"}, "without an ID": {Account: "acct"},
	} {
		again, err := keys.Import(t.Context(), secret, record)
		if err != nil || again.ID != "k1" || again.RevokedReason != "leaked" || again.Account != "acct" || again.Name != "" {
			t.Errorf("%s: %+v, %v", name, again, err)
		}
	}
	if got := store.updates.Load() + store.creates.Load(); got != writes {
		t.Errorf("%d writes", got-writes)
	}
	wantVerdict(t, keys, secret, keystile.CodeKeyRevoked)

	_, err = keys.Import(t.Context(), secret, apikey.Key{ID: "k2"})
	wantErr(t, "the same secret under another ID", err, apikey.ErrExists)
	_, err = keys.Get(t.Context(), "k2")
	wantErr(t, "which is not stored", err, apikey.ErrNotFound)
	if again, err := keys.Import(t.Context(), other, apikey.Key{ID: "k1"}); err != nil || again.RevokedReason != "leaked" {
		t.Errorf("another secret under the ID: %+v, %v, want the key as it is", again, err)
	}
	wantVerdict(t, keys, other, keystile.CodeUnauthorized)

	for i, record := range []apikey.Key{
		{ID: "e", ExpiresAt: noon}, {ID: "d", DisabledAt: noon}, {ID: "r", RevokedAt: noon, RevokedReason: "x"}, {ID: "h", Hint: "mine", CreatedAt: noon.Add(-time.Hour)}, {},
	} {
		s := keystile.Secret(fmt.Sprintf("whm_%032d", i))
		k, err := keys.Import(t.Context(), s, record)
		if err != nil || !k.ExpiresAt.Equal(record.ExpiresAt) || !k.DisabledAt.Equal(record.DisabledAt) || !k.RevokedAt.Equal(record.RevokedAt) || k.RevokedReason != record.RevokedReason {
			t.Errorf("%+v, %v", k, err)
		}
		if record.Hint != "" && (k.Hint != record.Hint || !k.CreatedAt.Equal(record.CreatedAt)) {
			t.Errorf("%+v", k)
		}
		if k.ID == "" {
			t.Error("no ID was made")
		}
	}
}

func TestImportAtOnceOnManyMachines(t *testing.T) {
	for range 20 {
		store := apikey.NewMemoryStore()
		secret := generate(t, acme)
		var all sync.WaitGroup
		start := make(chan struct{})
		for range 8 {
			keys := newKeys(t, apikey.Config{Store: store})
			all.Go(func() {
				<-start
				if k, err := keys.Import(t.Context(), secret, apikey.Key{ID: "k"}); err != nil || k.ID != "k" {
					t.Errorf("%v, %v", k, err)
				}
				wantVerdict(t, keys, secret, "")
			})
		}
		close(start)
		all.Wait()
	}
}

func TestEdit(t *testing.T) {
	clock := newHand()
	store := apikey.NewMemoryStore()
	keys := newKeys(t, apikey.Config{Store: store, Now: clock.Now, MaxTTL: 24 * time.Hour})
	k, secret := issue(t, keys, apikey.Draft{Name: "old", Plan: "free", Metadata: map[string]string{"a": "b"}})
	wantVerdict(t, keys, secret, "")
	clock.forward(time.Hour)
	next, err := keys.Edit(t.Context(), k.ID, func(k *apikey.Key) error {
		k.Name, k.Scopes, k.Metadata["c"] = "new", []string{"x"}, "d"
		k.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.9/24")}
		k.ExpiresAt = noon.Add(25 * time.Hour)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := k.Clone()
	want.Name, want.Scopes, want.Metadata, want.Revision = "new", []string{"x"}, map[string]string{"a": "b", "c": "d"}, next.Revision
	want.Networks, want.ExpiresAt, want.LastUsedAt = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, noon.Add(25*time.Hour), noon
	wantKey(t, "returned", next, want)
	want.LastUsedAt = time.Time{}
	wantKey(t, "stored", must[*apikey.Key](t)(store.Get(t.Context(), k.ID)), want)

	boom := errors.New("boom")
	for _, tt := range []struct {
		name   string
		change func(k *apikey.Key) error
		want   error
	}{
		{"an error of one's own", func(k *apikey.Key) error { k.Name = "x"; return boom }, boom},
		{"another ID", func(k *apikey.Key) error { k.ID = "x"; return nil }, apikey.ErrImmutable},
		{"another account", func(k *apikey.Key) error { k.Account = "x"; return nil }, apikey.ErrImmutable},
		{"another CreatedAt", func(k *apikey.Key) error { k.CreatedAt = noon.Add(1); return nil }, apikey.ErrImmutable},
		{"another LastUsedAt", func(k *apikey.Key) error { k.LastUsedAt = noon.Add(1); return nil }, apikey.ErrImmutable},
		{"another revision", func(k *apikey.Key) error { k.Revision++; return nil }, apikey.ErrImmutable},
		{"other secrets", func(k *apikey.Key) error { k.Secrets = nil; return nil }, apikey.ErrImmutable},
		{"a planted secret", func(k *apikey.Key) error { k.Secrets[0].Digest = digest(1); return nil }, apikey.ErrImmutable},
		{"a revocation", func(k *apikey.Key) error { k.RevokedAt = noon; return nil }, apikey.ErrImmutable},
		{"a broken network", func(k *apikey.Key) error { k.Networks = []netip.Prefix{{}}; return nil }, apikey.ErrInvalid},
		{"an expiry beyond MaxTTL from now", func(k *apikey.Key) error { k.ExpiresAt = noon.Add(25*time.Hour + 1); return nil }, apikey.ErrInvalid},
		{"no expiry in spite of MaxTTL", func(k *apikey.Key) error { k.ExpiresAt = time.Time{}; return nil }, apikey.ErrInvalid},
	} {
		before := must[*apikey.Key](t)(store.Get(t.Context(), k.ID))
		_, err := keys.Edit(t.Context(), k.ID, tt.change)
		wantErr(t, tt.name, err, tt.want)
		wantKey(t, tt.name+": stored", must[*apikey.Key](t)(store.Get(t.Context(), k.ID)), before)
	}
	_, err = keys.Edit(t.Context(), "nobody", func(*apikey.Key) error { t.Error("called for nobody"); return nil })
	wantErr(t, "a key that is not there", err, apikey.ErrNotFound)
}

func TestEditGivesWayAndGivesUp(t *testing.T) {
	store := spyOn(apikey.NewMemoryStore())
	keys := newKeys(t, apikey.Config{Store: store})
	k, _ := issue(t, keys, apikey.Draft{})
	losses := 5
	store.set(func() {
		store.update = func(*apikey.Key) error {
			if losses--; losses >= 0 {
				return apikey.ErrConflict
			}
			return nil
		}
	})
	calls := 0
	if _, err := keys.Edit(t.Context(), k.ID, func(k *apikey.Key) error { calls++; k.Name = "new"; return nil }); err != nil || calls != 6 {
		t.Errorf("%v after %d calls, want success after 6", err, calls)
	}
	store.set(func() { store.update = func(*apikey.Key) error { return apikey.ErrConflict } })
	store.updates.Store(0)
	_, err := keys.Edit(t.Context(), k.ID, func(k *apikey.Key) error { k.Name = "newer"; return nil })
	wantErr(t, "for ever too late", err, apikey.ErrConflict)
	if n := store.updates.Load(); n < 10 || n > 100 {
		t.Errorf("%d attempts", n)
	}
	down := errors.New("down")
	store.set(func() { store.update = func(*apikey.Key) error { return down } })
	store.updates.Store(0)
	wantErr(t, "an outage", keys.Revoke(t.Context(), k.ID, ""), down)
	if n := store.updates.Load(); n != 1 {
		t.Errorf("%d attempts at a store that is down, want 1: a write is never repeated blindly", n)
	}
}
