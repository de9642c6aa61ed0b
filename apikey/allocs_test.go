package apikey_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
)

// The counts are exact: one request and one writer are used again and again, the
// header of the answer is cleared in between.
func TestAllocations(t *testing.T) {
	served := 0
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ })
	for _, tt := range []struct {
		name    string
		config  apikey.Config
		places  []apikey.Place
		fields  []string // with "good" in place of the key
		status  int      // 0: the handler
		most    float64
		expires bool
	}{
		{"a remembered key in its header", apikey.Config{}, []apikey.Place{apikey.Header("X-API-Key")}, []string{"X-API-Key", "good"}, 0, 2, false},
		{"as Bearer", apikey.Config{}, []apikey.Place{apikey.Header("X-API-Key"), apikey.Bearer()}, []string{"Authorization", "Bearer good"}, 0, 2, false},
		{"in both", apikey.Config{}, []apikey.Place{apikey.Header("X-API-Key"), apikey.Bearer()}, []string{"X-API-Key", "good", "Authorization", "Bearer good"}, 0, 2, false},
		{"one that expires", apikey.Config{}, []apikey.Place{apikey.Header("X-API-Key")}, []string{"X-API-Key", "good"}, 0, 2, true},
		{"a wrong checksum", apikey.Config{}, []apikey.Place{apikey.Header("X-API-Key")}, []string{"X-API-Key", "acme_0123456789012345678901234567890123456789"[:41]}, 401, 4, false},
		{"a wrong checksum as Bearer", apikey.Config{}, []apikey.Place{apikey.Bearer()}, []string{"Authorization", "Bearer acme_0123456789012345678901234567890123456789"[:48]}, 401, 4, false},
		{"no key", apikey.Config{}, []apikey.Place{apikey.Header("X-API-Key")}, nil, 401, 4, false},
		{"a megabyte", apikey.Config{}, []apikey.Place{apikey.Header("X-API-Key")}, []string{"X-API-Key", strings.Repeat("a", 1<<20)}, 401, 4, false},
		{"a remembered miss", apikey.Config{}, []apikey.Place{apikey.Header("X-API-Key")}, []string{"X-API-Key", "acme_" + strings.Repeat("0", 30) + checksum("acme_"+strings.Repeat("0", 30))}, 401, 4, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := spyOn(apikey.NewMemoryStore())
				tt.config.Store, tt.config.Feed = store, store.Store.(apikey.Feed)
				keys := newKeys(t, tt.config)
				synctest.Wait() // the feed has a place
				d := apikey.Draft{}
				if tt.expires {
					d.ExpiresAt = time.Now().Add(time.Hour)
				}
				_, secret := issue(t, keys, d)
				var fields []string
				for _, f := range tt.fields {
					fields = append(fields, strings.Replace(f, "good", string(secret), 1))
				}
				r, w := requestWith(fields...), new(discard)
				h := newGuard(t, keys.From(tt.places...)).Wrap(handler)
				h.ServeHTTP(w, r)
				if w.status != tt.status || tt.status == 0 && served == 0 {
					t.Fatalf("status %d", w.status)
				}
				store.finds.Store(0)
				got := testing.AllocsPerRun(100, func() {
					clear(w.header)
					h.ServeHTTP(w, r)
				})
				if got > tt.most {
					t.Errorf("%v allocations, want at most %v", got, tt.most)
				}
				if n := store.finds.Load(); n != 0 {
					t.Errorf("%d reads of the store", n)
				}
			})
		})
	}
}

// Verify by itself, without a request around it, allocates nothing.
func TestVerifyAllocatesNothing(t *testing.T) {
	keys := newKeys(t, apikey.Config{})
	_, good := issue(t, keys, apikey.Draft{})
	for _, p := range []keystile.Presented{
		{Secret: good}, {Secret: good, Scheme: keystile.SchemeBearer}, {Secret: "garbage"}, {Secret: good[:40] + "!"},
	} {
		ctx := context.Background()
		_, _ = keys.Verify(ctx, p)
		if got := testing.AllocsPerRun(100, func() { _, _ = keys.Verify(ctx, p) }); got != 0 {
			t.Errorf("%v allocations as %q", got, p.Scheme)
		}
	}
}
