package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystile/keystile/apikey"
)

// touched collects what a store is told about uses.
type touched struct {
	mu    sync.Mutex
	calls [][]apikey.Use
}

func (t *touched) touch(err *error) func(context.Context, []apikey.Use) error {
	return func(_ context.Context, uses []apikey.Use) error {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.calls = append(t.calls, uses)
		return *err
	}
}

func (t *touched) take() (uses []apikey.Use, calls int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.calls {
		uses = append(uses, c...)
	}
	calls, t.calls = len(t.calls), nil
	return uses, calls
}

func TestUsesAreWrittenInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told touched
		var err error
		store := spyOn(apikey.NewMemoryStore())
		store.touch = told.touch(&err)
		keys := newKeys(t, apikey.Config{Store: store})
		k, secret := issue(t, keys, apikey.Draft{})
		other, _ := issue(t, keys, apikey.Draft{})
		dead, deadSecret := issue(t, keys, apikey.Draft{})
		if err := keys.Disable(t.Context(), dead.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		for range 100 {
			wantVerdict(t, keys, secret, "")
			wantVerdict(t, keys, deadSecret, "key_disabled")
			time.Sleep(20 * time.Millisecond)
		}
		// What is not written yet is seen here all the same.
		used := must[*apikey.Key](t)(keys.Get(t.Context(), k.ID)).LastUsedAt
		if ago := time.Since(used); ago < 0 || ago > 1100*time.Millisecond {
			t.Errorf("used %v ago, want a second at most", ago)
		}
		for _, listed := range must[apikey.Page](t)(keys.List(t.Context(), apikey.Query{})).Keys {
			if want := map[string]time.Time{k.ID: used}[listed.ID]; !listed.LastUsedAt.Equal(want) {
				t.Errorf("%s is listed as used at %v, want %v", listed.ID, listed.LastUsedAt, want)
			}
		}
		if uses, _ := told.take(); len(uses) != 0 {
			t.Errorf("written before its time: %v", uses)
		}
		time.Sleep(2500 * time.Millisecond)
		if uses, calls := told.take(); calls != 1 || len(uses) != 1 || uses[0].ID != k.ID || !uses[0].At.Equal(used) {
			t.Errorf("%d calls with %v, want one of %s at %v", calls, uses, k.ID, used)
		}
		time.Sleep(time.Minute)
		if uses, calls := told.take(); calls != 0 {
			t.Errorf("%v is written without having been used", uses)
		}
		wantVerdict(t, keys, secret, "") // the entry is read anew by now
		wantVerdict(t, keys, secret, "")
		time.Sleep(10 * time.Second)
		wantVerdict(t, keys, secret, "") // and now it is the same one
		again := time.Now()
		time.Sleep(10 * time.Second)
		if uses, _ := told.take(); len(uses) != 2 || !uses[1].At.Equal(again) {
			t.Errorf("later uses are written as %v, want two, the last at %v", uses, again)
		}
		if got := must[*apikey.Key](t)(keys.Get(t.Context(), other.ID)).LastUsedAt; !got.IsZero() {
			t.Errorf("a key that was not used was used at %v", got)
		}
	})
}

func TestCloseWritesDownWhatIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := apikey.NewMemoryStore()
		keys := newKeys(t, apikey.Config{Store: store, Sync: apikey.Sync{TouchInterval: time.Hour}})
		var ids []string
		for range 2500 { // more than one batch
			k, secret := issue(t, keys, apikey.Draft{})
			wantVerdict(t, keys, secret, "")
			ids = append(ids, k.ID)
		}
		now := time.Now()
		time.Sleep(time.Second)
		if err := keys.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		lost := 0
		for _, id := range ids {
			if !must[*apikey.Key](t)(store.Get(t.Context(), id)).LastUsedAt.Equal(now) {
				lost++
			}
		}
		if lost != 0 {
			t.Errorf("%d of %d uses are lost", lost, len(ids))
		}
	})
}

func TestUsesThatCannotBeWrittenAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told touched
		err := errors.New("disk full")
		var log strings.Builder
		store := spyOn(apikey.NewMemoryStore())
		store.touch = told.touch(&err)
		keys := newKeys(t, apikey.Config{Store: store, Logger: textLogger(&log)})
		a, secretA := issue(t, keys, apikey.Draft{})
		b, secretB := issue(t, keys, apikey.Draft{})
		time.Sleep(time.Second)
		wantVerdict(t, keys, secretA, "")
		first := time.Now()
		time.Sleep(20 * time.Second)
		wantVerdict(t, keys, secretB, "")
		second := time.Now()
		if _, calls := told.take(); calls < 3 {
			t.Errorf("%d attempts in 20 s, want one every 5 s", calls)
		}
		if got := must[*apikey.Key](t)(keys.Get(t.Context(), a.ID)).LastUsedAt; !got.Equal(first) {
			t.Errorf("used at %v, want %v", got, first)
		}
		time.Sleep(10 * time.Second)
		told.take()
		if n := strings.Count(log.String(), "uses cannot be written"); n != 1 {
			t.Errorf("the log tells %d times, want once: %s", n, log.String())
		}
		told.mu.Lock()
		err = nil
		told.mu.Unlock()
		time.Sleep(5 * time.Second)
		uses, _ := told.take()
		got := map[string]time.Time{}
		for _, u := range uses {
			got[u.ID] = u.At
		}
		if len(uses) != 2 || !got[a.ID].Equal(first) || !got[b.ID].Equal(second) {
			t.Errorf("written in the end: %v", uses)
		}
		time.Sleep(time.Minute)
		if uses, _ := told.take(); len(uses) != 0 {
			t.Errorf("written again: %v", uses)
		}
	})
}

func TestCloseTellsOfUsesThatCannotBeWrittenAndMayBeTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("disk full")
		err := down
		var told touched
		store := spyOn(apikey.NewMemoryStore())
		store.touch = told.touch(&err)
		keys := newKeys(t, apikey.Config{Store: store})
		_, secret := issue(t, keys, apikey.Draft{})
		wantVerdict(t, keys, secret, "")
		wantErr(t, "closing", keys.Close(t.Context()), down)
		err = nil
		told.take()
		if err := keys.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if uses, _ := told.take(); len(uses) != 1 {
			t.Errorf("the second Close writes %v", uses)
		}
	})
}

func TestAStoreThatKnowsNoUsesIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told touched
		err := fmt.Errorf("touch: %w", errors.ErrUnsupported)
		store := spyOn(apikey.NewMemoryStore())
		store.touch = told.touch(&err)
		keys := newKeys(t, apikey.Config{Store: store})
		_, secret := issue(t, keys, apikey.Draft{})
		for range 20 {
			wantVerdict(t, keys, secret, "")
			time.Sleep(5 * time.Second)
		}
		if _, calls := told.take(); calls != 1 {
			t.Errorf("%d calls, want 1", calls)
		}
	})
}

func TestNoTouch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := apikey.NewMemoryStore()
		keys := newKeys(t, apikey.Config{Store: store, Sync: apikey.Sync{NoTouch: true}})
		k, secret := issue(t, keys, apikey.Draft{})
		wantVerdict(t, keys, secret, "")
		time.Sleep(time.Minute)
		if got := must[*apikey.Key](t)(keys.Get(t.Context(), k.ID)).LastUsedAt; !got.IsZero() {
			t.Errorf("used at %v", got)
		}
	})
}

// A store that takes its time to write keeps no request waiting.
func TestASlowTouchBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := spyOn(apikey.NewMemoryStore())
		store.touch = func(ctx context.Context, _ []apikey.Use) error { <-ctx.Done(); return ctx.Err() }
		keys := newKeys(t, apikey.Config{Store: store})
		_, secret := issue(t, keys, apikey.Draft{})
		for range 30 {
			began := time.Now()
			wantVerdict(t, keys, secret, "")
			if took := time.Since(began); took != 0 {
				t.Fatalf("a verification took %v", took)
			}
			time.Sleep(time.Second)
		}
		store.set(func() { store.touch = nil })
	})
}

func TestAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := apikey.NewMemoryStore()
		keys := newKeys(t, apikey.Config{Store: store, Feed: store})
		k, secret := issue(t, keys, apikey.Draft{})
		wantVerdict(t, keys, secret, "")
		var all sync.WaitGroup
		for range 3 { // at once, and once more by the end of the test
			all.Go(func() {
				if err := keys.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		_, err := keys.Verify(t.Context(), presented(secret))
		if codeOf(err) != "unavailable" || !errors.Is(err, apikey.ErrClosed) {
			t.Errorf("Verify: %v", err)
		}
		for name, err := range callEverything(keys, k.ID) {
			if !errors.Is(err, apikey.ErrClosed) {
				t.Errorf("%s: %v, want ErrClosed", name, err)
			}
		}
	})
}

// Close ends reads of the store that are on their way, and does not wait longer
// than it is told to.
func TestCloseWithAReadOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := spyOn(apikey.NewMemoryStore())
		keys := newKeys(t, apikey.Config{Store: store, Cache: apikey.Cache{ReadTimeout: time.Hour}})
		_, secret := issue(t, keys, apikey.Draft{})
		deaf := false
		store.before = func(ctx context.Context) error {
			if deaf {
				time.Sleep(time.Minute)
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		var all sync.WaitGroup
		all.Go(func() { wantVerdict(t, keys, secret, "unavailable") })
		synctest.Wait()
		if err := keys.Close(t.Context()); err != nil {
			t.Error(err)
		}
		all.Wait()

		deaf = true
		keys = newKeys(t, apikey.Config{Store: store})
		all.Go(func() { _ = verdict(keys, secret) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantErr(t, "closing in a hurry", keys.Close(ctx), context.DeadlineExceeded)
		all.Wait()
	})
}

// A Verifier without a Store writes uses down where it is told to.
func TestAVerifierWritesDownUses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told touched
		var err error
		store := apikey.NewMemoryStore()
		k, secret := issue(t, newKeys(t, apikey.Config{Store: store}), apikey.Draft{})
		v := must[*apikey.Verifier](t)(apikey.NewVerifier(apikey.VerifierConfig{Finder: store, Feed: store, Formats: []apikey.Format{acme}, Touch: told.touch(&err)}))
		time.Sleep(time.Second)
		wantVerdict(t, v, secret, "")
		if err := v.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if uses, _ := told.take(); len(uses) != 1 || uses[0].ID != k.ID || !uses[0].At.Equal(time.Now()) {
			t.Errorf("written: %v", uses)
		}
	})
}
