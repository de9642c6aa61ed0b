package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
)

const legacySecret = keystile.Secret("old_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6")

var oldFormat = apikey.LaxFormat("old_", 36, 36)

// oldTable is a table of another making. It counts how often it is asked.
type oldTable struct {
	asked atomic.Int64
	rows  map[keystile.Secret]*apikey.Key
	err   error
}

func (o *oldTable) find(_ context.Context, secret keystile.Secret) (*apikey.Key, error) {
	o.asked.Add(1)
	if o.err != nil {
		return nil, o.err
	}
	if k, ok := o.rows[secret]; ok {
		return k, nil
	}
	return nil, apikey.ErrNotFound
}

func TestALegacyKeyMovesIntoTheStore(t *testing.T) {
	clock := newHand()
	store := spyOn(apikey.NewMemoryStore())
	table := &oldTable{rows: map[keystile.Secret]*apikey.Key{
		legacySecret: {ID: "17", Account: "acct", Plan: "pro", Secrets: []apikey.Secret{{Digest: digest(1)}}},
	}}
	keys := newKeys(t, apikey.Config{Store: store, Now: clock.Now, Accept: []apikey.Format{oldFormat}, Legacy: table.find, Peppers: []apikey.Pepper{pepper("a")}})
	for range 3 {
		p, err := keys.Verify(t.Context(), presented(legacySecret))
		if err != nil || p.Account != "acct" || p.Plan != "pro" || p.Subject != "17" {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	k := must[*apikey.Key](t)(store.Get(t.Context(), "17"))
	if len(k.Secrets) != 1 || k.Secrets[0].Digest.Hex() != hmacHex(pepper("a"), legacySecret) || k.Secrets[0].Pepper != "a" || k.Hint != "old_a1b2" || !k.CreatedAt.Equal(noon) {
		t.Errorf("%+v", k)
	}
	clock.forward(time.Hour)
	wantVerdict(t, keys, legacySecret, "")
	if got := table.asked.Load(); got != 1 {
		t.Errorf("the old table was asked %d times, want once", got)
	}
	if table.rows[legacySecret].Hint != "" || table.rows[legacySecret].Secrets[0].Digest != digest(1) {
		t.Error("what Legacy returned was changed")
	}
	// From now on the store counts, whatever the old table says.
	if err := keys.Revoke(t.Context(), "17", ""); err != nil {
		t.Fatal(err)
	}
	clock.forward(time.Hour)
	wantVerdict(t, keys, legacySecret, keystile.CodeKeyRevoked)
}

func TestALegacySecretThatWasRotatedAwayStaysAway(t *testing.T) {
	store := apikey.NewMemoryStore()
	table := &oldTable{rows: map[keystile.Secret]*apikey.Key{legacySecret: {ID: "17"}}}
	keys := newKeys(t, apikey.Config{Store: store, Accept: []apikey.Format{oldFormat}, Legacy: table.find})
	wantVerdict(t, keys, legacySecret, "")
	for range 2 {
		if _, _, err := keys.Rotate(t.Context(), "17", 0); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		wantVerdict(t, keys, legacySecret, keystile.CodeUnauthorized)
	}
}

func TestWhatLegacyMaySay(t *testing.T) {
	down := errors.New("down")
	for _, tt := range []struct {
		name  string
		key   *apikey.Key
		err   error
		want  keystile.Code
		asked int64 // for three verifications
	}{
		{"a key that is revoked there", &apikey.Key{ID: "1", RevokedAt: noon}, nil, keystile.CodeKeyRevoked, 1},
		{"a key that has expired", &apikey.Key{ID: "1", ExpiresAt: noon}, nil, keystile.CodeKeyExpired, 1},
		{"nobody", nil, apikey.ErrNotFound, keystile.CodeUnauthorized, 1},
		{"nobody, in other words", nil, fmt.Errorf("row: %w", apikey.ErrNotFound), keystile.CodeUnauthorized, 1},
		{"an outage", nil, down, keystile.CodeUnavailable, 3},
		{"neither a key nor an error", nil, nil, keystile.CodeUnavailable, 3},
		{"a key without an ID", &apikey.Key{}, nil, keystile.CodeUnavailable, 3},
		{"a key with a broken endpoint", &apikey.Key{ID: "1", Endpoints: []string{"x"}}, nil, keystile.CodeUnavailable, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked int64
			keys := newKeys(t, apikey.Config{Accept: []apikey.Format{oldFormat}, Legacy: func(context.Context, keystile.Secret) (*apikey.Key, error) {
				asked++
				return tt.key, tt.err
			}})
			for range 3 {
				wantVerdict(t, keys, legacySecret, tt.want)
			}
			if asked != tt.asked {
				t.Errorf("asked %d times for three verifications, want %d", asked, tt.asked)
			}
			wantVerdict(t, keys, "old_short", keystile.CodeUnauthorized)
			if asked != tt.asked {
				t.Error("asked for what is no key at all")
			}
		})
	}
}

// A key whose move fails is not accepted: it may be in the store already, and
// revoked there.
func TestALegacyKeyThatCannotBeMoved(t *testing.T) {
	down := errors.New("down")
	table := &oldTable{rows: map[keystile.Secret]*apikey.Key{legacySecret: {ID: "17"}}}
	store := &failingCreate{Store: apikey.NewMemoryStore(), err: down}
	keys := newKeys(t, apikey.Config{Store: store, Accept: []apikey.Format{oldFormat}, Legacy: table.find})
	_, err := keys.Verify(t.Context(), presented(legacySecret))
	if codeOf(err) != keystile.CodeUnavailable || !errors.Is(err, down) {
		t.Errorf("%v", err)
	}
	store.err = nil
	wantVerdict(t, keys, legacySecret, "")
}

type failingCreate struct {
	apikey.Store
	err error
}

func (f *failingCreate) Create(ctx context.Context, k *apikey.Key) (int64, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.Store.Create(ctx, k)
}

func TestTwoMachinesAdoptOneKey(t *testing.T) {
	for range 50 {
		store := apikey.NewMemoryStore()
		table := &oldTable{rows: map[keystile.Secret]*apikey.Key{legacySecret: {ID: "17"}}}
		var all sync.WaitGroup
		for range 4 {
			keys := newKeys(t, apikey.Config{Store: store, Accept: []apikey.Format{oldFormat}, Legacy: table.find})
			all.Go(func() { wantVerdict(t, keys, legacySecret, "") })
		}
		all.Wait()
		if n := len(must[apikey.Page](t)(store.List(t.Context(), apikey.Query{})).Keys); n != 1 {
			t.Fatalf("%d keys in the store", n)
		}
	}
}

// Slow hashes do not pile up: few run, some wait, the rest is told to come back.
func TestAFloodBeforeASlowTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int64
		var log strings.Builder
		keys := newKeys(t, apikey.Config{Accept: []apikey.Format{oldFormat}, Cache: apikey.Cache{ReadTimeout: time.Hour}, Logger: textLogger(&log),
			Legacy: func(context.Context, keystile.Secret) (*apikey.Key, error) {
				most.Store(max(most.Load(), running.Add(1)))
				time.Sleep(100 * time.Millisecond)
				running.Add(-1)
				return nil, apikey.ErrNotFound
			}})
		codes := map[keystile.Code]int{}
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range 500 {
			all.Go(func() {
				code := verdict(keys, keystile.Secret(fmt.Sprintf("old_%032d", i)))
				mu.Lock()
				defer mu.Unlock()
				codes[code]++
			})
		}
		all.Wait()
		if most.Load() > 64 || codes[keystile.CodeUnauthorized] < 33 || codes[keystile.CodeOverloaded] < 300 ||
			codes[keystile.CodeUnauthorized]+codes[keystile.CodeOverloaded] != 500 {
			t.Errorf("%d at once, outcomes %v", most.Load(), codes)
		}
		_, err := keys.Verify(t.Context(), presented(keystile.Secret(fmt.Sprintf("old_%032d", 0))))
		if codeOf(err) != keystile.CodeUnauthorized {
			t.Errorf("after the flood: %v", err)
		}
	})
}
