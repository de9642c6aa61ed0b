package apikey_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
	"github.com/keystile/keystile/internal/evidence"
)

const alphabet62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// guess is a made-up key of the format acme, with the right checksum or with
// one that is not right.
func guess(random *rand.Rand, right bool) keystile.Secret {
	b := []byte("acme_")
	for range 30 {
		b = append(b, alphabet62[random.IntN(62)])
	}
	sum := checksum(string(b))
	if right {
		return keystile.Secret(string(b) + sum)
	}
	for {
		b = b[:35]
		for range 6 {
			b = append(b, alphabet62[random.IntN(62)])
		}
		if string(b[35:]) != sum {
			return keystile.Secret(b)
		}
	}
}

// A flood of made-up keys reads the store not at all where the checksum is
// wrong, once for each key where it is right, and leaves those that are good in
// memory.
func TestAFlood(t *testing.T) {
	store := spyOn(apikey.NewMemoryStore())
	clock := newHand()
	keys := newKeys(t, apikey.Config{Store: store, Now: clock.Now, Cache: apikey.Cache{TTL: time.Hour}})
	random := rand.New(rand.NewPCG(1, 2))
	var good []keystile.Secret
	for range 1000 {
		_, secret := issue(t, keys, apikey.Draft{})
		good = append(good, secret)
		wantVerdict(t, keys, secret, "")
	}
	store.finds.Store(0)

	n := evidence.Count(10_000, 1_000_000)
	refused := func(secret keystile.Secret) {
		if code := verdict(keys, secret); code != keystile.CodeUnauthorized {
			t.Fatalf("a made-up key: %q", code)
		}
	}
	for range n {
		refused(guess(random, false))
	}
	withoutChecksum := store.finds.Swap(0)
	if withoutChecksum != 0 {
		t.Errorf("%d reads for %d keys with a wrong checksum, want 0", withoutChecksum, n)
	}

	// Each is tried twice in a row, and beside every hundredth a good key.
	hits, misses := 0, 0
	var forGuesses int64
	for i := range n {
		secret := guess(random, true)
		refused(secret)
		refused(secret)
		forGuesses += store.finds.Swap(0)
		if i%100 == 0 {
			wantVerdict(t, keys, good[random.IntN(len(good))], "")
			if store.finds.Swap(0) == 0 {
				hits++
			} else {
				misses++
			}
		}
		clock.forward(time.Millisecond)
	}
	if forGuesses != int64(n) {
		t.Errorf("%d reads for %d distinct keys with a right checksum, want one each", forGuesses, n)
	}
	// An hour of TTL is not over in the everyday run; in the full one, of a
	// thousand seconds, neither. So every good key was in memory before.
	if rate := float64(hits) / float64(hits+misses); rate < 0.99 {
		t.Errorf("the hit rate of good keys fell to %.3f", rate)
	}
	evidence.Report(t, "apikey", "A flood of made-up keys", [][2]string{
		{"keys with a wrong checksum", fmt.Sprint(n)}, {"store reads for them", fmt.Sprint(withoutChecksum)},
		{"distinct keys with a right checksum, each tried twice", fmt.Sprint(n)}, {"store reads for them", fmt.Sprint(forGuesses)},
		{"good keys in between that were in memory", fmt.Sprintf("%d of %d", hits, hits+misses)},
	})
}

// What is long, empty or strange is refused before anything is done with it.
func TestBadInput(t *testing.T) {
	store := spyOn(apikey.NewMemoryStore())
	keys := newKeys(t, apikey.Config{Store: store, Accept: []apikey.Format{apikey.LaxFormat("", 16, 512)}})
	for name, secret := range map[string]string{
		"empty": "", "one byte": "a", "a megabyte": strings.Repeat("a", 1<<20), "one byte too long": strings.Repeat("a", 513),
		"control characters": strings.Repeat("\x01\x1f\x7f", 10), "a NUL": "acme_\x00" + strings.Repeat("a", 30),
		"no UTF-8": strings.Repeat("\xff\xfe", 10), "other scripts": strings.Repeat("ключ", 10), "spaces": strings.Repeat(" ", 40),
	} {
		wantVerdict(t, keys, keystile.Secret(secret), keystile.CodeUnauthorized)
		if got := store.finds.Swap(0); got != 0 {
			t.Errorf("%s: %d reads of the store", name, got)
		}
	}
	wantVerdict(t, keys, keystile.Secret(strings.Repeat("a", 512)), keystile.CodeUnauthorized)
	if got := store.finds.Swap(0); got != 1 {
		t.Errorf("the longest key: %d reads of the store, want 1", got)
	}
}
