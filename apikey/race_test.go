package apikey_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
	"github.com/keystile/keystile/internal/evidence"
)

// yieldingStore lets others run between what it read and its answer, which is
// where a revocation must come to hurt.
type yieldingStore struct {
	apikey.Store
	overtaken atomic.Int64 // answers that were old when they were given
}

func (s *yieldingStore) FindByDigest(ctx context.Context, d ...apikey.Digest) (*apikey.Key, error) {
	k, err := s.Store.FindByDigest(ctx, d...)
	for range rand.IntN(20) {
		runtime.Gosched()
	}
	if now, _ := s.Store.FindByDigest(ctx, d...); k != nil && now != nil && now.Revision != k.Revision {
		s.overtaken.Add(1)
	}
	return k, err
}

// Revocations race with reads that fill the cache. When Revoke, or in another
// process the reading of the feed, has returned, nobody accepts the key any
// more, however late what was read before comes in.
func TestNoRevokedKeyIsResurrected(t *testing.T) {
	pepper := func(name string) apikey.Pepper {
		return apikey.Pepper{Name: name, Key: keystile.Secret(strings.Repeat(name, 32))}
	}
	for _, tt := range []struct {
		name    string
		peppers []apikey.Pepper
		remote  bool
	}{
		{"revoked here", nil, false},
		{"revoked elsewhere", nil, true},
		{"revoked elsewhere, with several peppers", []apikey.Pepper{pepper("b"), pepper("a")}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			store := apikey.NewMemoryStore()
			yielding := &yieldingStore{Store: store}
			// The machine that revokes knows the older pepper only.
			a := newKeys(t, apikey.Config{Store: store, Peppers: tt.peppers[min(1, len(tt.peppers)):]})
			b := newKeys(t, apikey.Config{Store: yielding, Peppers: tt.peppers, Sync: apikey.Sync{NoTouch: true}})
			revocations := evidence.Count(1000, 100_000)
			var accepted, resurrected int64
			for range revocations {
				k, secret := issue(t, a, apikey.Draft{})
				var all sync.WaitGroup
				var before atomic.Int64
				for range 3 {
					all.Go(func() {
						switch code := verdict(b, secret); code {
						case "":
							before.Add(1)
						case keystile.CodeKeyRevoked:
						default:
							t.Errorf("during the race: %q", code)
						}
					})
				}
				for range rand.IntN(10) {
					runtime.Gosched()
				}
				if tt.remote {
					if err := a.Revoke(t.Context(), k.ID, "race"); err != nil {
						t.Fatal(err)
					}
					b.Forget(apikey.Change{ID: k.ID, Digests: []apikey.Digest{k.Secrets[0].Digest}}) // as b's reader of the feed does
				} else if err := b.Revoke(t.Context(), k.ID, "race"); err != nil {
					t.Fatal(err)
				}
				if verdict(b, secret) != keystile.CodeKeyRevoked {
					resurrected++
				}
				all.Wait()
				accepted += before.Load()
				if verdict(b, secret) != keystile.CodeKeyRevoked {
					resurrected++
				}
			}
			if resurrected != 0 {
				t.Errorf("%d of %d revoked keys were accepted afterwards", resurrected, revocations)
			}
			if got := yielding.overtaken.Load(); got < int64(revocations)/100 {
				t.Errorf("only %d of %d reads were overtaken by their revocation: the race did not take place", got, revocations)
			}
			evidence.Report(t, "apikey", "Revocations that race with reads, "+tt.name, [][2]string{
				{"revocations", fmt.Sprint(revocations)},
				{"reads that were overtaken on their way", fmt.Sprint(yielding.overtaken.Load())},
				{"accepted while the race was on", fmt.Sprint(accepted)},
				{"accepted afterwards", fmt.Sprint(resurrected)},
			})
		})
	}
}

// Many do everything at once with few keys. Nothing but the outcomes that fit is
// seen, nothing is lost, and the race detector has something to look at.
func TestEverythingAtOnce(t *testing.T) {
	store := apikey.NewMemoryStore()
	keys := newKeys(t, apikey.Config{Store: store, Feed: store, Cache: apikey.Cache{Size: 4, MissSize: 2}})
	type held struct {
		id     string
		secret keystile.Secret
	}
	var all []held
	for range 8 {
		k, secret := issue(t, keys, apikey.Draft{})
		all = append(all, held{k.ID, secret})
	}
	var workers sync.WaitGroup
	var edits atomic.Int64
	for w := range 8 {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for range 300 {
				k := all[random.IntN(len(all))]
				var err error
				switch random.IntN(8) {
				case 0:
					_, err = keys.Edit(t.Context(), k.id, func(k *apikey.Key) error { k.Plan += "x"; return nil })
					if err == nil {
						edits.Add(1)
					}
				case 1:
					err = keys.Disable(t.Context(), k.id)
				case 2:
					err = keys.Enable(t.Context(), k.id)
				case 3:
					_, err = keys.List(t.Context(), apikey.Query{Account: "a", Limit: 3})
				case 4:
					_, err = keys.Get(t.Context(), k.id)
				default:
					if code := verdict(keys, k.secret); code != "" && code != keystile.CodeKeyDisabled {
						t.Errorf("verdict %q", code)
					}
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	stored := 0
	for _, k := range all {
		stored += len(must[*apikey.Key](t)(keys.Get(t.Context(), k.id)).Plan)
	}
	if int64(stored) != edits.Load() {
		t.Errorf("%d edits were acknowledged, %d are stored", edits.Load(), stored)
	}
}
