package apikey_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
)

func pepper(name string) apikey.Pepper {
	return apikey.Pepper{Name: name, Key: keystile.Secret(strings.Repeat(name, 32)[:32])}
}

func hmacHex(p apikey.Pepper, secret keystile.Secret) string {
	h := hmac.New(sha256.New, []byte(p.Key))
	h.Write([]byte(secret))
	return hex.EncodeToString(h.Sum(nil))
}

func TestADigestUnderAPepperIsAnHMAC(t *testing.T) {
	store := apikey.NewMemoryStore()
	p := pepper("2026")
	keys := newKeys(t, apikey.Config{Store: store, Peppers: []apikey.Pepper{p}})
	for range 20 { // more than one, since they share what makes them
		k, secret := issue(t, keys, apikey.Draft{})
		if k.Secrets[0].Pepper != "2026" || k.Secrets[0].Digest.Hex() != hmacHex(p, secret) {
			t.Errorf("%s under %q, want %s", k.Secrets[0].Digest.Hex(), k.Secrets[0].Pepper, hmacHex(p, secret))
		}
		wantVerdict(t, keys, secret, "")
	}
	_, secret := issue(t, keys, apikey.Draft{})
	wantVerdict(t, newKeys(t, apikey.Config{Store: store}), secret, keystile.CodeUnauthorized)
	wantVerdict(t, newKeys(t, apikey.Config{Store: store, Peppers: []apikey.Pepper{pepper("other")}}), secret, keystile.CodeUnauthorized)
}

// Whatever a secret came in under, it is accepted, and brought under the current
// pepper afterwards.
func TestAUseUnderAnOldPepperIsHashedAnew(t *testing.T) {
	a, b, c := pepper("a"), pepper("b"), pepper("c")
	for _, tt := range []struct {
		name        string
		before, now []apikey.Pepper
		rewritten   bool
	}{
		{"the same pepper", []apikey.Pepper{a}, []apikey.Pepper{a, b}, false},
		{"an older one", []apikey.Pepper{b}, []apikey.Pepper{a, b}, true},
		{"the oldest of three", []apikey.Pepper{c}, []apikey.Pepper{a, b, c}, true},
		{"none", nil, []apikey.Pepper{a, b}, true},
		{"none before and none now", nil, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := spyOn(apikey.NewMemoryStore())
				old := newKeys(t, apikey.Config{Store: store, Peppers: tt.before})
				k, first := issue(t, old, apikey.Draft{})
				_, second, err := old.Rotate(t.Context(), k.ID, time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				if err := old.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				keys := newKeys(t, apikey.Config{Store: store, Peppers: tt.now})
				store.finds.Store(0)
				writes := store.updates.Load()
				for range 3 {
					wantVerdict(t, keys, first, "")
				}
				if got := store.finds.Load(); got != 1 {
					t.Errorf("%d reads, want 1 for all peppers together", got)
				}
				if got := store.updates.Load(); got != writes {
					t.Error("the request waited for a write")
				}
				time.Sleep(time.Minute)
				if got := store.updates.Load() - writes; got != map[bool]int64{true: 1}[tt.rewritten] {
					t.Errorf("%d writes", got)
				}
				secrets := must[*apikey.Key](t)(store.Get(t.Context(), k.ID)).Secrets
				if len(secrets) != 2 || !secrets[1].NotAfter.Equal(noonOfBubble.Add(time.Hour)) {
					t.Fatalf("secrets %+v", secrets)
				}
				if tt.rewritten {
					if got := secrets[1]; got.Pepper != tt.now[0].Name || got.Digest.Hex() != hmacHex(tt.now[0], first) {
						t.Errorf("the secret that was used is under %q", got.Pepper)
					}
				}
				before := ""
				if tt.before != nil {
					before = tt.before[0].Name
				}
				if secrets[0].Pepper != before {
					t.Error("the secret that was not used was rewritten")
				}
				for range 2 {
					wantVerdict(t, keys, first, "")
					wantVerdict(t, keys, second, "")
				}
			})
		})
	}
}

// noonOfBubble is when the time of a synctest bubble begins.
var noonOfBubble = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func TestAHashThatCannotBeRewrittenHarmsNobody(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		logged int
	}{{"somebody else was quicker", apikey.ErrConflict, 0}, {"the store is down", errors.New("down"), 1}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := spyOn(apikey.NewMemoryStore())
				old := newKeys(t, apikey.Config{Store: store})
				k, secret := issue(t, old, apikey.Draft{})
				var log strings.Builder
				keys := newKeys(t, apikey.Config{Store: store, Peppers: []apikey.Pepper{pepper("a")}, Logger: textLogger(&log)})
				store.set(func() { store.update = func(*apikey.Key) error { return tt.err } })
				wantVerdict(t, keys, secret, "")
				time.Sleep(10 * time.Second)
				if got := store.updates.Load(); got != 1 {
					t.Errorf("%d attempts, want 1", got)
				}
				wantVerdict(t, keys, secret, "")
				store.set(func() { store.update = nil })
				time.Sleep(time.Minute) // it is read and used anew, and so it happens then
				wantVerdict(t, keys, secret, "")
				time.Sleep(time.Minute)
				if got := must[*apikey.Key](t)(store.Get(t.Context(), k.ID)).Secrets[0].Pepper; got != "a" {
					t.Errorf("in the end it is under %q", got)
				}
				if got := strings.Count(log.String(), "current pepper"); got != tt.logged {
					t.Errorf("%d lines in the log: %s", got, log.String())
				}
			})
		})
	}
}

// A digest that was removed in the meantime does not come back.
func TestHashingAnewBringsNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := apikey.NewMemoryStore()
		plain := newKeys(t, apikey.Config{Store: store})
		k, secret := issue(t, plain, apikey.Draft{})
		keys := newKeys(t, apikey.Config{Store: store, Peppers: []apikey.Pepper{pepper("a")}})
		wantVerdict(t, keys, secret, "")
		for range 2 {
			if _, _, err := plain.Rotate(t.Context(), k.ID, 0); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		for _, s := range must[*apikey.Key](t)(store.Get(t.Context(), k.ID)).Secrets {
			if s.Digest.Hex() == hmacHex(pepper("a"), secret) {
				t.Error("it is back")
			}
		}
		wantVerdict(t, keys, secret, keystile.CodeUnauthorized)
	})
}

// With several peppers a miss is remembered only as long as none of the digests
// it stands for has come into use.
func TestAMissUnderSeveralPeppers(t *testing.T) {
	store := spyOn(apikey.NewMemoryStore())
	peppers := []apikey.Pepper{pepper("b"), pepper("a")}
	keys := newKeys(t, apikey.Config{Store: store, Peppers: peppers})
	for _, other := range [][]apikey.Pepper{peppers, peppers[1:], nil} {
		secret := generate(t, acme)
		store.finds.Store(0)
		for range 3 {
			wantVerdict(t, keys, secret, keystile.CodeUnauthorized)
		}
		if got := store.finds.Load(); got != 1 {
			t.Errorf("%d reads for 3 misses, want 1", got)
		}
		// Another machine, with other peppers, imports it; the feed tells its digest.
		elsewhere := newKeys(t, apikey.Config{Store: store, Peppers: other})
		k := must[*apikey.Key](t)(elsewhere.Import(t.Context(), secret, apikey.Key{}))
		keys.Forget(apikey.Change{ID: k.ID, Digests: []apikey.Digest{k.Secrets[0].Digest}})
		wantVerdict(t, keys, secret, "")
		// And what it changes is forgotten too.
		if err := elsewhere.Disable(t.Context(), k.ID); err != nil {
			t.Fatal(err)
		}
		keys.Forget(apikey.Change{ID: k.ID, Digests: []apikey.Digest{k.Secrets[0].Digest}})
		wantVerdict(t, keys, secret, keystile.CodeKeyDisabled)
	}
}

// The digests of all peppers are asked for at once, the current one first.
func TestAllPeppersAreAskedForAtOnce(t *testing.T) {
	var asked []string
	finder := finderFunc(func(digests ...apikey.Digest) {
		for _, d := range digests {
			asked = append(asked, d.Hex())
		}
	})
	peppers := []apikey.Pepper{pepper("c"), pepper("b"), pepper("a")}
	v := must[*apikey.Verifier](t)(apikey.NewVerifier(apikey.VerifierConfig{Finder: finder, Formats: []apikey.Format{acme}, Peppers: peppers}))
	secret := generate(t, acme)
	wantVerdict(t, v, secret, keystile.CodeUnauthorized)
	want := []string{hmacHex(peppers[0], secret), hmacHex(peppers[1], secret), hmacHex(peppers[2], secret), sha256Hex(string(secret))}
	if !slices.Equal(asked, want) {
		t.Errorf("asked for %v, want %v", asked, want)
	}
}

// What waits to be hashed anew is bounded, and what does not fit comes later.
func TestManyOldSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := apikey.NewMemoryStore()
		plain := newKeys(t, apikey.Config{Store: store})
		keys := newKeys(t, apikey.Config{Store: store, Peppers: []apikey.Pepper{pepper("a")}})
		var secrets []keystile.Secret
		for range 1000 {
			_, secret := issue(t, plain, apikey.Draft{})
			secrets = append(secrets, secret)
		}
		for range 6 {
			for _, secret := range secrets {
				wantVerdict(t, keys, secret, "")
			}
			time.Sleep(10 * time.Second)
		}
		left := 0
		for _, k := range must[apikey.Page](t)(store.List(t.Context(), apikey.Query{Limit: apikey.MaxLimit})).Keys {
			if k.Secrets[0].Pepper == "" {
				left++
			}
		}
		if left != 0 {
			t.Errorf("%d of 1000 are still without a pepper", left)
		}
	})
}
