package apikey_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/keystile/keystile/apikey"
)

// changesAfter reads the feed to its end, in pages of the given size.
func changesAfter(t testing.TB, f apikey.Feed, after apikey.Cursor, limit int) []apikey.Change {
	t.Helper()
	var all []apikey.Change
	for {
		changes, next, err := f.Changes(t.Context(), after, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(changes) > limit {
			t.Fatalf("%d changes, asked for %d", len(changes), limit)
		}
		all = append(all, changes...)
		if len(changes) < limit {
			return all
		}
		after = next
	}
}

func TestTheFeedTellsEveryChangeInOrder(t *testing.T) {
	s := apikey.NewMemoryStore()
	create(t, s, full("k0", digest(9)))
	head := must[apikey.Cursor](t)(s.Head(t.Context()))

	k := create(t, s, full("k1", digest(1), digest(2)))
	next := k.Clone()
	next.Secrets = []apikey.Secret{{Digest: digest(3)}, {Digest: digest(2)}}
	next.Revision = must[int64](t)(s.Update(t.Context(), next))
	create(t, s, full("k2", digest(4)))
	next.Secrets = next.Secrets[:1]
	must[int64](t)(s.Update(t.Context(), next))
	if err := s.Delete(t.Context(), "k1"); err != nil {
		t.Fatal(err)
	}
	want := []apikey.Change{
		{ID: "k1", Digests: []apikey.Digest{digest(1), digest(2)}},
		{ID: "k1", Digests: []apikey.Digest{digest(1), digest(2), digest(3)}}, // one was removed
		{ID: "k2", Digests: []apikey.Digest{digest(4)}},
		{ID: "k1", Digests: []apikey.Digest{digest(3), digest(2)}},
		{ID: "k1", Digests: []apikey.Digest{digest(3)}, Deleted: true},
	}
	for limit := 1; limit < 8; limit++ {
		got := changesAfter(t, s, head, limit)
		if !slices.EqualFunc(got, want, func(a, b apikey.Change) bool {
			return a.ID == b.ID && a.Deleted == b.Deleted && slices.Equal(a.Digests, b.Digests)
		}) {
			t.Errorf("in pages of %d: %v, want %v", limit, got, want)
		}
	}
	now := must[apikey.Cursor](t)(s.Head(t.Context()))
	if changes, next, err := s.Changes(t.Context(), now, 1); err != nil || len(changes) != 0 || next != now {
		t.Errorf("at the head: %v, %q, %v, want %q", changes, next, err, now)
	}
	for _, limit := range []int{0, -1} {
		_, _, err := s.Changes(t.Context(), now, limit)
		wantErr(t, fmt.Sprint("limit ", limit), err, apikey.ErrInvalidQuery)
	}
}

func TestARefusedWriteIsNoChange(t *testing.T) {
	s := apikey.NewMemoryStore()
	k := create(t, s, full("k1", digest(1)))
	head := must[apikey.Cursor](t)(s.Head(t.Context()))
	_, err := s.Create(t.Context(), full("k1", digest(2)))
	wantErr(t, "create", err, apikey.ErrExists)
	k.Revision++
	_, err = s.Update(t.Context(), k)
	wantErr(t, "update", err, apikey.ErrConflict)
	wantErr(t, "delete", s.Delete(t.Context(), "k9"), apikey.ErrNotFound)
	if got := changesAfter(t, s, head, 10); len(got) != 0 {
		t.Errorf("the feed tells %v", got)
	}
}

func TestTheFeedSkipsNothingUnderConcurrentWriters(t *testing.T) {
	s := apikey.NewMemoryStore()
	head := must[apikey.Cursor](t)(s.Head(t.Context()))
	const writers, each = 8, 100
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				if _, err := s.Create(t.Context(), listed(fmt.Sprintf("%d-%d", w, i), "a", 0)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	last := map[byte]int{}
	read := 0
	for writing := true; writing; {
		select {
		case <-done:
			writing = false // and once more
		default:
		}
		for {
			changes, next, err := s.Changes(t.Context(), head, 7)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range changes {
				var w byte
				var i int
				if _, err := fmt.Sscanf(c.ID, "%d-%d", &w, &i); err != nil {
					t.Fatal(err)
				}
				if i != last[w] {
					t.Fatalf("writer %d: change %d comes where %d was expected", w, i, last[w])
				}
				last[w]++
				read++
			}
			head = next
			if len(changes) < 7 {
				break
			}
		}
	}
	if read != writers*each {
		t.Errorf("%d changes were told, want %d", read, writers*each)
	}
}

func TestACursorIsLost(t *testing.T) {
	s := apikey.NewMemoryStore()
	old := must[apikey.Cursor](t)(s.Head(t.Context()))
	k := create(t, s, full("k1", digest(1)))
	for range 1<<14 - 1 {
		k.Revision = must[int64](t)(s.Update(t.Context(), k))
	}
	if got := len(changesAfter(t, s, old, 1000)); got != 1<<14 {
		t.Errorf("%d changes are remembered, want %d", got, 1<<14)
	}
	second := must[apikey.Cursor](t)(s.Head(t.Context()))
	k.Revision = must[int64](t)(s.Update(t.Context(), k))
	_, _, err := s.Changes(t.Context(), old, 1)
	wantErr(t, "a cursor that is too old", err, apikey.ErrCursorLost)
	if got := len(changesAfter(t, s, second, 1000)); got != 1 {
		t.Errorf("one that is not: %d changes, want 1", got)
	}

	restored := apikey.NewMemoryStore()
	_, _, err = restored.Changes(t.Context(), old, 1)
	wantErr(t, "a cursor of another epoch", err, apikey.ErrCursorLost)
	_, _, err = restored.Changes(t.Context(), "", 1)
	wantErr(t, "no cursor", err, apikey.ErrCursorLost)
	head := must[apikey.Cursor](t)(restored.Head(t.Context()))
	_, _, err = restored.Changes(t.Context(), head[:len(head)-1]+"1", 1)
	wantErr(t, "a cursor ahead of the head", err, apikey.ErrCursorLost)
	create(t, restored, full("k1", digest(1)))
	if got := len(changesAfter(t, restored, head, 10)); got != 1 {
		t.Errorf("%d changes, want 1", got)
	}
}
