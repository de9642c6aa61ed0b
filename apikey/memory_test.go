package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystile/keystile/apikey"
)

// digest is a digest that differs for every n.
func digest(n byte) apikey.Digest {
	var d apikey.Digest
	d[0], d[31] = 1, n
	return d
}

// full is a key in which nothing is empty.
func full(id string, digests ...apikey.Digest) *apikey.Key {
	k := &apikey.Key{
		ID: id, Account: "acct", Owner: "owner", Name: "name", Hint: "acme_1234", Plan: "pro",
		Scopes:    []string{"a:read", "b,c"},
		Networks:  []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")},
		Endpoints: []string{"GET /v1/contacts"},
		Metadata:  map[string]string{"a.b": "$"},
		CreatedAt: noon, ExpiresAt: noon.Add(time.Hour), DisabledAt: noon.Add(time.Minute), LastUsedAt: noon.Add(time.Second),
	}
	for i, d := range digests {
		k.Secrets = append(k.Secrets, apikey.Secret{Digest: d, Pepper: "p", NotAfter: noon.Add(time.Duration(i) * time.Hour)})
	}
	return k
}

func create(t testing.TB, s apikey.Store, k *apikey.Key) *apikey.Key {
	t.Helper()
	revision, err := s.Create(t.Context(), k)
	if err != nil {
		t.Fatalf("creating %s: %v", k.ID, err)
	}
	if revision <= 0 {
		t.Fatalf("creating %s: revision %d, want one above zero", k.ID, revision)
	}
	k = k.Clone()
	k.Revision = revision
	return k
}

func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

func wantKey(t testing.TB, what string, got, want *apikey.Key) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func TestWhatIsStoredComesBack(t *testing.T) {
	s := apikey.NewMemoryStore()
	k := create(t, s, full("k1", digest(1), digest(2)))
	wantKey(t, "Get", must[*apikey.Key](t)(s.Get(t.Context(), "k1")), k)
	wantKey(t, "FindByDigest", must[*apikey.Key](t)(s.FindByDigest(t.Context(), digest(2))), k)
	p := must[apikey.Page](t)(s.List(t.Context(), apikey.Query{}))
	if len(p.Keys) != 1 || p.Next != "" {
		t.Fatalf("List: %d keys, next %q", len(p.Keys), p.Next)
	}
	wantKey(t, "List", p.Keys[0], k)
}

func TestStrangeTextComesBack(t *testing.T) {
	s := apikey.NewMemoryStore()
	for i, text := range []string{"", "😀", "e\u0301", "é", "שלום", "a\nb", `"%_*\`, strings.Repeat("ü", 100), " a", "a ", "A", "a", "a\x00"} {
		k := full(fmt.Sprint("id-", i, text), digest(byte(i)))
		k.Name, k.Account, k.Owner, k.Plan, k.Metadata = text, text, text, text, map[string]string{text: text}
		k = create(t, s, k)
		wantKey(t, fmt.Sprintf("%q", text), must[*apikey.Key](t)(s.Get(t.Context(), k.ID)), k)
	}
}

func TestTimesAreKeptInUTCAndWithoutMonotonicReading(t *testing.T) {
	s := apikey.NewMemoryStore()
	berlin := time.FixedZone("CET", 3600)
	now := time.Now() // has a monotonic reading
	for i, at := range []time.Time{now, noon.In(berlin), noon.Add(1), {}, time.Unix(0, 0), time.Date(9999, 1, 1, 0, 0, 0, 0, berlin), time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC)} {
		k := full(fmt.Sprint(i), digest(byte(i)))
		k.CreatedAt, k.ExpiresAt, k.DisabledAt, k.RevokedAt, k.LastUsedAt, k.Secrets[0].NotAfter = at, at, at, at, at, at
		create(t, s, k)
		got := must[*apikey.Key](t)(s.Get(t.Context(), k.ID))
		for _, back := range []time.Time{got.CreatedAt, got.ExpiresAt, got.DisabledAt, got.RevokedAt, got.LastUsedAt, got.Secrets[0].NotAfter} {
			if back != at.UTC().Round(0) {
				t.Errorf("%v came back as %v", at, back)
			}
			if back.IsZero() != at.IsZero() {
				t.Errorf("%v came back zero or not", at)
			}
		}
	}
}

func TestNothingIsShared(t *testing.T) {
	s := apikey.NewMemoryStore()
	given := full("k1", digest(1), digest(2))
	want := create(t, s, given)
	scribble := func(k *apikey.Key) {
		k.Scopes[0], k.Endpoints[0], k.Metadata["a.b"], k.Metadata["new"] = "x", "x", "x", "x"
		k.Networks[0] = netip.Prefix{}
		k.Secrets[0] = apikey.Secret{}
		k.ID = "x"
	}
	scribble(given)
	got := must[*apikey.Key](t)(s.Get(t.Context(), "k1"))
	wantKey(t, "after the input was scribbled over", got, want)
	scribble(got)
	got = must[*apikey.Key](t)(s.FindByDigest(t.Context(), digest(1)))
	wantKey(t, "after the output of Get was", got, want)
	scribble(got)
	got = must[apikey.Page](t)(s.List(t.Context(), apikey.Query{})).Keys[0]
	wantKey(t, "after that of FindByDigest was", got, want)
	next := got.Clone()
	want.Revision = must[int64](t)(s.Update(t.Context(), next))
	scribble(next)
	wantKey(t, "after the input of Update was", must[*apikey.Key](t)(s.Get(t.Context(), "k1")), want)

	cursor := must[apikey.Cursor](t)(s.Head(t.Context()))
	if err := s.Delete(t.Context(), "k1"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		changes, _, err := s.Changes(t.Context(), cursor, 10)
		if err != nil || len(changes) != 1 || !slices.Equal(changes[0].Digests, []apikey.Digest{digest(1), digest(2)}) {
			t.Fatalf("the change of the deletion: %v, %v", changes, err)
		}
		changes[0].Digests[0] = digest(99)
	}
}

func TestFindByDigest(t *testing.T) {
	s := apikey.NewMemoryStore()
	create(t, s, full("k1", digest(1), digest(2)))
	create(t, s, full("k2", digest(3)))
	revoked := full("k3", digest(4))
	revoked.RevokedAt = noon
	create(t, s, revoked)
	zero := full("k4", apikey.Digest{})
	create(t, s, zero)
	flipped := func(bit int) apikey.Digest {
		d := digest(1)
		d[bit/8] ^= 1 << (bit % 8)
		return d
	}
	for _, tt := range []struct {
		name  string
		asked []apikey.Digest
		want  string
	}{
		{"a digest that is held finds its key", []apikey.Digest{digest(1)}, "k1"},
		{"so does the second secret of a key", []apikey.Digest{digest(2)}, "k1"},
		{"of several the first that is held counts", []apikey.Digest{digest(9), digest(3), digest(1)}, "k2"},
		{"in the order of the arguments", []apikey.Digest{digest(1), digest(3)}, "k1"},
		{"a revoked key is found as well", []apikey.Digest{digest(4)}, "k3"},
		{"no digest finds nothing", nil, ""},
		{"the zero digest finds nothing, even where it is stored", []apikey.Digest{{}}, ""},
		{"and does not hide the next", []apikey.Digest{{}, digest(3)}, "k2"},
		{"a digest that differs in its first bit finds nothing", []apikey.Digest{flipped(7)}, ""},
		{"nor in its last", []apikey.Digest{flipped(255)}, ""},
		{"nor in the middle", []apikey.Digest{flipped(100)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := s.FindByDigest(t.Context(), tt.asked...)
			if tt.want == "" {
				wantErr(t, "find", err, apikey.ErrNotFound)
				return
			}
			if err != nil || k.ID != tt.want {
				t.Errorf("got %v, %v, want %s", k, err, tt.want)
			}
		})
	}
}

func TestIDsAreComparedByteByByte(t *testing.T) {
	s := apikey.NewMemoryStore()
	ids := []string{"a", "A", "a ", " a", "a\x00", "é", "e\u0301", "ａ"}
	for i, id := range ids {
		create(t, s, full(id, digest(byte(i))))
	}
	for _, id := range ids {
		if k, err := s.Get(t.Context(), id); err != nil || k.ID != id {
			t.Errorf("Get(%q) = %v, %v", id, k, err)
		}
	}
	_, err := s.Get(t.Context(), "")
	wantErr(t, "the empty ID", err, apikey.ErrNotFound)
}

func TestCreateRefusesWhatIsInUse(t *testing.T) {
	for _, tt := range []struct {
		name string
		key  *apikey.Key
	}{
		{"the ID", full("k1", digest(9))},
		{"the digest", full("k9", digest(1))},
		{"one digest of several", full("k9", digest(9), digest(1))},
		{"the digest of a revoked key", full("k9", digest(2))},
		{"the ID of a revoked key", full("k2", digest(9))},
		{"one digest twice", full("k9", digest(9), digest(9))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := apikey.NewMemoryStore()
			k1 := create(t, s, full("k1", digest(1)))
			revoked := full("k2", digest(2))
			revoked.RevokedAt = noon
			create(t, s, revoked)
			before := must[apikey.Cursor](t)(s.Head(t.Context()))
			_, err := s.Create(t.Context(), tt.key)
			wantErr(t, "create", err, apikey.ErrExists)
			wantKey(t, "the first row", must[*apikey.Key](t)(s.Get(t.Context(), "k1")), k1)
			_, err = s.FindByDigest(t.Context(), digest(9))
			wantErr(t, "a digest of the one that was refused", err, apikey.ErrNotFound)
			if n := len(must[apikey.Page](t)(s.List(t.Context(), apikey.Query{})).Keys); n != 2 {
				t.Errorf("%d keys are listed, want 2", n)
			}
			if after := must[apikey.Cursor](t)(s.Head(t.Context())); after != before {
				t.Errorf("the feed moved from %s to %s", before, after)
			}
		})
	}
}

func TestOfSixteenCreatesWithOneDigestOneWins(t *testing.T) {
	for round := range 50 {
		s := apikey.NewMemoryStore()
		var won atomic.Int64
		start := make(chan struct{})
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				<-start
				switch _, err := s.Create(t.Context(), full(fmt.Sprint("k", i), digest(1))); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, apikey.ErrExists):
					t.Errorf("a loser got %v", err)
				}
			})
		}
		close(start)
		all.Wait()
		if won.Load() != 1 {
			t.Fatalf("round %d: %d winners, want 1", round, won.Load())
		}
		if n := len(must[apikey.Page](t)(s.List(t.Context(), apikey.Query{})).Keys); n != 1 {
			t.Fatalf("round %d: %d keys, want 1", round, n)
		}
	}
}

func TestUpdateRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*apikey.Key)
		want   error
	}{
		{"an ID that is not there", func(k *apikey.Key) { k.ID = "k9" }, apikey.ErrNotFound},
		{"an older revision", func(k *apikey.Key) { k.Revision-- }, apikey.ErrConflict},
		{"a newer revision", func(k *apikey.Key) { k.Revision++ }, apikey.ErrConflict},
		{"an older revision before all that is immutable", func(k *apikey.Key) { k.Revision--; k.Account = "x" }, apikey.ErrConflict},
		{"another account", func(k *apikey.Key) { k.Account = "x" }, apikey.ErrImmutable},
		{"another CreatedAt", func(k *apikey.Key) { k.CreatedAt = k.CreatedAt.Add(1) }, apikey.ErrImmutable},
		{"a cleared RevokedAt", func(k *apikey.Key) { k.RevokedAt = time.Time{} }, apikey.ErrImmutable},
		{"a later RevokedAt", func(k *apikey.Key) { k.RevokedAt = k.RevokedAt.Add(1) }, apikey.ErrImmutable},
		{"another RevokedReason", func(k *apikey.Key) { k.RevokedReason = "x" }, apikey.ErrImmutable},
		{"a cleared RevokedBy", func(k *apikey.Key) { k.RevokedBy = "" }, apikey.ErrImmutable},
		{"what is immutable before a digest in use", func(k *apikey.Key) { k.RevokedBy = ""; k.Secrets[0].Digest = digest(3) }, apikey.ErrImmutable},
		{"a digest in use elsewhere", func(k *apikey.Key) { k.Secrets[0].Digest = digest(3) }, apikey.ErrExists},
		{"one digest twice", func(k *apikey.Key) { k.Secrets[0].Digest = digest(2) }, apikey.ErrExists},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := apikey.NewMemoryStore()
			k := full("k1", digest(1), digest(2))
			k.RevokedAt, k.RevokedReason, k.RevokedBy = noon, "leaked", "alice"
			k = create(t, s, k)
			create(t, s, full("k3", digest(3)))
			before := must[apikey.Cursor](t)(s.Head(t.Context()))
			next := k.Clone()
			next.Name = "changed"
			tt.change(next)
			_, err := s.Update(t.Context(), next)
			wantErr(t, "update", err, tt.want)
			wantKey(t, "what is stored", must[*apikey.Key](t)(s.Get(t.Context(), "k1")), k)
			for _, d := range k.Secrets {
				if found, err := s.FindByDigest(t.Context(), d.Digest); err != nil || found.ID != "k1" {
					t.Errorf("a digest of k1 finds %v, %v", found, err)
				}
			}
			if found := must[*apikey.Key](t)(s.FindByDigest(t.Context(), digest(3))); found.ID != "k3" {
				t.Errorf("the digest of k3 finds %s", found.ID)
			}
			_, err = s.Get(t.Context(), "k9")
			wantErr(t, "an update of what is not there", err, apikey.ErrNotFound)
			if after := must[apikey.Cursor](t)(s.Head(t.Context())); after != before {
				t.Errorf("the feed moved from %s to %s", before, after)
			}
		})
	}
}

func TestUpdateReplaces(t *testing.T) {
	s := apikey.NewMemoryStore()
	k := create(t, s, full("k1", digest(1), digest(2)))
	next := &apikey.Key{ID: "k1", Account: k.Account, CreatedAt: k.CreatedAt.In(time.FixedZone("", 3600)), Revision: k.Revision,
		Name: "new", Secrets: []apikey.Secret{{Digest: digest(2)}, {Digest: digest(3)}}, LastUsedAt: noon.Add(time.Hour),
		RevokedAt: noon, RevokedReason: "r", RevokedBy: "b"}
	revision := must[int64](t)(s.Update(t.Context(), next))
	if revision <= k.Revision {
		t.Errorf("revision %d after %d", revision, k.Revision)
	}
	want := next.Clone()
	want.Revision, want.CreatedAt, want.LastUsedAt = revision, k.CreatedAt, k.LastUsedAt // LastUsedAt is Touch's business
	wantKey(t, "after the update", must[*apikey.Key](t)(s.Get(t.Context(), "k1")), want)
	_, err := s.FindByDigest(t.Context(), digest(1))
	wantErr(t, "the digest that was removed", err, apikey.ErrNotFound)
	for _, n := range []byte{2, 3} {
		wantKey(t, "a digest that is held now", must[*apikey.Key](t)(s.FindByDigest(t.Context(), digest(n))), want)
	}
	create(t, s, full("k2", digest(1))) // it is free
}

func TestNoUpdateIsLost(t *testing.T) {
	s := apikey.NewMemoryStore()
	k := full("k1", digest(1))
	k.Metadata = map[string]string{}
	create(t, s, k)
	var done atomic.Int64
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 50 {
				for {
					next := must[*apikey.Key](t)(s.Get(t.Context(), "k1"))
					if next.Metadata == nil {
						next.Metadata = map[string]string{}
					}
					next.Metadata[fmt.Sprint(worker, "-", i)] = ""
					if _, err := s.Update(t.Context(), next); err == nil {
						done.Add(1)
						break
					} else if !errors.Is(err, apikey.ErrConflict) {
						t.Errorf("update: %v", err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	if got := len(must[*apikey.Key](t)(s.Get(t.Context(), "k1")).Metadata); int64(got) != done.Load() || got != 400 {
		t.Errorf("%d updates acknowledged, %d stored, want 400", done.Load(), got)
	}
}

func TestDeleteFreesTheIDAndTheDigests(t *testing.T) {
	s := apikey.NewMemoryStore()
	create(t, s, full("k1", digest(1), digest(2)))
	create(t, s, full("k2", digest(3)))
	if err := s.Delete(t.Context(), "k1"); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "deleting twice", s.Delete(t.Context(), "k1"), apikey.ErrNotFound)
	_, err := s.Get(t.Context(), "k1")
	wantErr(t, "Get", err, apikey.ErrNotFound)
	_, err = s.FindByDigest(t.Context(), digest(1), digest(2))
	wantErr(t, "FindByDigest", err, apikey.ErrNotFound)
	if p := must[apikey.Page](t)(s.List(t.Context(), apikey.Query{Account: "acct"})); len(p.Keys) != 1 || p.Keys[0].ID != "k2" {
		t.Errorf("List: %v", p.Keys)
	}
	create(t, s, full("k1", digest(2)))
}

func TestTouchOnlyMovesForward(t *testing.T) {
	s := apikey.NewMemoryStore()
	k := create(t, s, full("k1", digest(1)))
	other := create(t, s, full("k2", digest(2)))
	before := must[apikey.Cursor](t)(s.Head(t.Context()))
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	for _, tt := range []struct {
		name string
		uses []apikey.Use
		want time.Time
	}{
		{"a later use counts", []apikey.Use{{ID: "k1", At: at(time.Minute)}}, at(time.Minute)},
		{"an earlier one does not", []apikey.Use{{ID: "k1", At: at(time.Second)}}, at(time.Minute)},
		{"of several the latest counts", []apikey.Use{{ID: "k1", At: at(3 * time.Minute)}, {ID: "k1", At: at(2 * time.Minute)}}, at(3 * time.Minute)},
		{"unknown IDs are skipped", []apikey.Use{{ID: "k9", At: at(time.Hour)}, {ID: "k1", At: at(4 * time.Minute)}}, at(4 * time.Minute)},
		{"nothing is nothing", nil, at(4 * time.Minute)},
	} {
		if err := s.Touch(t.Context(), tt.uses); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		k.LastUsedAt = tt.want
		wantKey(t, tt.name, must[*apikey.Key](t)(s.Get(t.Context(), "k1")), k)
		wantKey(t, tt.name+", by digest", must[*apikey.Key](t)(s.FindByDigest(t.Context(), digest(1))), k)
	}
	wantKey(t, "the other key", must[*apikey.Key](t)(s.Get(t.Context(), "k2")), other)
	if after := must[apikey.Cursor](t)(s.Head(t.Context())); after != before {
		t.Errorf("Touch moved the feed from %s to %s", before, after)
	}
	_, err := s.Get(t.Context(), "k9")
	wantErr(t, "touching does not create", err, apikey.ErrNotFound)
}

func TestEveryMethodHeedsItsContext(t *testing.T) {
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	expired, stop := context.WithDeadline(context.Background(), noon)
	defer stop()
	for name, call := range storeCalls() {
		for _, ctx := range []context.Context{canceled, expired} {
			t.Run(name+" with "+ctx.Err().Error(), func(t *testing.T) {
				s := apikey.NewMemoryStore()
				k := create(t, s, full("k1", digest(1)))
				head := must[apikey.Cursor](t)(s.Head(t.Context()))
				wantErr(t, name, call(ctx, s, k.Clone()), ctx.Err())
				wantKey(t, "what is stored", must[*apikey.Key](t)(s.Get(t.Context(), "k1")), k)
				if after := must[apikey.Cursor](t)(s.Head(t.Context())); after != head {
					t.Error("something was written")
				}
			})
		}
	}
}

// storeCalls calls every method of Store and Feed with what works otherwise.
func storeCalls() map[string]func(context.Context, *apikey.MemoryStore, *apikey.Key) error {
	return map[string]func(context.Context, *apikey.MemoryStore, *apikey.Key) error{
		"FindByDigest": func(ctx context.Context, s *apikey.MemoryStore, _ *apikey.Key) error {
			_, err := s.FindByDigest(ctx, digest(1))
			return err
		},
		"Get": func(ctx context.Context, s *apikey.MemoryStore, _ *apikey.Key) error {
			_, err := s.Get(ctx, "k1")
			return err
		},
		"List": func(ctx context.Context, s *apikey.MemoryStore, _ *apikey.Key) error {
			_, err := s.List(ctx, apikey.Query{})
			return err
		},
		"Create": func(ctx context.Context, s *apikey.MemoryStore, _ *apikey.Key) error {
			_, err := s.Create(ctx, full("k2", digest(2)))
			return err
		},
		"Update": func(ctx context.Context, s *apikey.MemoryStore, k *apikey.Key) error {
			k.Name = "changed"
			_, err := s.Update(ctx, k)
			return err
		},
		"Delete": func(ctx context.Context, s *apikey.MemoryStore, _ *apikey.Key) error { return s.Delete(ctx, "k1") },
		"Touch": func(ctx context.Context, s *apikey.MemoryStore, _ *apikey.Key) error {
			return s.Touch(ctx, []apikey.Use{{ID: "k1", At: noon.Add(time.Hour)}})
		},
		"Head": func(ctx context.Context, s *apikey.MemoryStore, _ *apikey.Key) error {
			_, err := s.Head(ctx)
			return err
		},
		"Changes": func(ctx context.Context, s *apikey.MemoryStore, _ *apikey.Key) error {
			_, _, err := s.Changes(ctx, "", 1)
			return err
		},
	}
}

func TestEveryMethodWorksWithoutACancelledContext(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(storeCalls())) {
		s := apikey.NewMemoryStore()
		k := create(t, s, full("k1", digest(1)))
		err := storeCalls()[name](t.Context(), s, k)
		if name == "Changes" {
			wantErr(t, name, err, apikey.ErrCursorLost)
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
