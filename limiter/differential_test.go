package limiter_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile/internal/evidence"
	"github.com/keystile/keystile/limiter"
)

// TestStoresAgreeWithTheLedger makes one random history of everything that can be
// done to a store, and holds MemoryStore and FromCAS over a map against the model,
// decision by decision and state by state. KEYSTILE_SEED replays a history.
func TestStoresAgreeWithTheLedger(t *testing.T) {
	seed := rand.Uint64()
	if s := os.Getenv("KEYSTILE_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("KEYSTILE_SEED: %v", err)
		}
	}
	count := evidence.Count(15_000, 1_000_000)
	w := newWorld(t, seed)
	for w.step = 1; w.step <= count; w.step++ {
		w.one()
	}
	for _, c := range w.cas.complaints {
		t.Error(c)
	}
	w.report(seed, count)
}

func (w *world) report(seed uint64, count int) {
	w.t.Helper()
	share := func(n int) string {
		return fmt.Sprintf("%d (%.1f %%)", n, 100*float64(n)/float64(count))
	}
	rows := [][2]string{
		{"operations, each compared with the model in MemoryStore and in FromCAS", strconv.Itoa(count)},
		{"seed", strconv.FormatUint(seed, 10)},
	}
	for _, c := range []struct {
		what  string
		least float64 // percent of all operations
	}{
		{charged, 10}, {fullWindow, 5}, {fullSlots, 5},
		{atEnd, 1}, {atExpiry, 1}, {lastUnit, 1},
		{"looked only", 0}, {"cost above the limit", 0}, {"other demand by the same lease", 0},
		{"lease released", 0}, {"lease released in vain", 0}, {"lease renewed", 0}, {"lease renewed too late", 0},
		{"refund of a window that is open", 0}, {"refund too late or for the second time", 0},
		{"plan changed", 0}, {"key reset", 0}, {"clock stepped back", 0}, {"state evicted", 0},
	} {
		rows = append(rows, [2]string{c.what, share(w.counts[c.what])})
		if n := w.counts[c.what]; n == 0 || 100*float64(n) < c.least*float64(count) {
			w.t.Errorf("seed %d: %s: %s, want %v %% at least and one in any case", seed, c.what, share(n), c.least)
		}
	}
	evidence.Report(w.t, "limits", "Stores against the ledger", rows)
}

// What the run must have met often enough to mean something.
const (
	charged    = "admitted and charged"
	fullWindow = "refused by a window"
	fullSlots  = "refused by a Concurrent"
	atEnd      = "at the instant a window ends (now == start+P)"
	atExpiry   = "at the instant a lease expires (now == expiry)"
	lastUnit   = "for exactly what is left (cost == N-used)"
)

// world is one history.
type world struct {
	t      *testing.T
	rng    *rand.Rand
	step   int
	counts map[string]int
	trace  []string

	clock    *storeClock
	model    *model
	memory   *limiter.MemoryStore
	cas      *mapCAS
	fromCAS  limiter.Store
	cells    map[string]string // the model's name of a cell, by its ID
	plans    map[string][]term
	leases   []leased
	receipts []*receipt
	nextID   uint64
}

// term is a limit of a plan, for the stores and for the model.
type term struct {
	ask limiter.Ask
	q   question
}

type leased struct {
	key string
	id  limiter.LeaseID
}

// receipt is an admitted demand, once per store.
type receipt struct {
	key         string
	memory, cas limiter.Demand
	questions   []question
	cost        int64
	decided     decision
	spent       bool
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), counts: map[string]int{},
		clock: newStoreClock(), model: newModel(), cells: map[string]string{}, plans: map[string][]term{},
	}
	memory, err := limiter.NewMemoryStore(limiter.MemoryConfig{Now: w.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	w.memory = memory
	w.cas = newMapCAS(w.clock.Now)
	w.cas.lost = func() bool { return w.chance(30) }
	w.fromCAS = newCAS(t, w.cas, nil)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("replay with KEYSTILE_SEED=%d; the last operations were\n%s", seed, strings.Join(w.trace, "\n"))
		}
	})
	return w
}

func (w *world) chance(oneIn int) bool { return w.rng.IntN(oneIn) == 0 }

func pick[T any](w *world, of ...T) T { return of[w.rng.IntN(len(of))] }

func (w *world) now() int64 { return w.clock.us.Load() }

func (w *world) logf(format string, args ...any) {
	if len(w.trace) == 12 {
		w.trace = slices.Delete(w.trace, 0, 1)
	}
	w.trace = append(w.trace, fmt.Sprintf("%d at %d: ", w.step, w.now())+fmt.Sprintf(format, args...))
}

func (w *world) fatalf(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("operation %d: "+format, append([]any{w.step}, args...)...)
}

// must ends the test where a store failed, which none of ours may.
func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.fatalf("%v", err)
	}
}

var differentialKeys = []string{"alice", "bob", "carol", "dave", "", "a\x00b", "alice ", strings.Repeat("k", 300)}

func (w *world) key() string { return pick(w, differentialKeys...) }

// one does one operation.
func (w *world) one() {
	key := w.tick()
	switch n := w.rng.IntN(100); {
	case n < 66:
		w.take(key)
	case n < 70:
		w.inspect(key)
	case n < 77:
		w.release()
	case n < 81:
		w.renew()
	case n < 90:
		w.refund()
	case n < 92:
		w.reset(key)
	case n < 96:
		w.changePlan(key)
	default:
		w.evict()
	}
	w.compareState(key)
}

// tick moves the clock: not at all, a little, far, back, or to the very instant
// at which something ends. It returns the key to use next.
func (w *world) tick() (key string) {
	key = w.key()
	to := w.now()
	switch n := w.rng.IntN(1000); {
	case n < 360:
	case n < 540:
		to += w.rng.Int64N(1000)
	case n < 690:
		to += w.rng.Int64N(int64(2 * time.Second / time.Microsecond))
	case n < 720:
		to += w.rng.Int64N(int64(2 * time.Minute / time.Microsecond))
	case n < 724:
		to += w.rng.Int64N(int64(36 * time.Hour / time.Microsecond))
	case n < 745:
		to -= w.rng.Int64N(3_000_000)
	case n < 748:
		to -= pick(w, int64(time.Hour/time.Microsecond), 3_600_000_001)
	case n < 749 && w.chance(10):
		to += pick[int64](w, -1, 1) * 10 * 365 * 24 * int64(time.Hour/time.Microsecond)
	default:
		key, to = w.boundary(key)
	}
	if to < w.now() {
		w.counts["clock stepped back"]++
		w.forgetAll()
	}
	w.clock.us.Store(to)
	return key
}

// boundary returns a key and the instant at which something of it ends, soon if
// there is such a thing, or an instant beside it.
func (w *world) boundary(key string) (string, int64) {
	type end struct {
		key string
		at  int64
	}
	var choice []end
	from, to := w.now(), w.now()+int64(time.Minute/time.Microsecond)
	switch {
	case w.chance(20):
		to = math.MaxInt64
	case w.chance(20):
		from = 0
	}
	leases := w.chance(2)
	for _, key := range differentialKeys {
		ends, expiries := w.model.boundaries(key)
		if leases {
			ends = expiries
		}
		for _, at := range ends {
			if from <= at && at <= to {
				choice = append(choice, end{key, at})
			}
		}
	}
	if len(choice) == 0 {
		return key, w.now()
	}
	slices.SortFunc(choice, func(a, b end) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.key, b.key)) })
	c := choice[w.rng.IntN(min(len(choice), 3))]
	return c.key, c.at + pick[int64](w, -1, 0, 0, 0, 0, 1)
}

// forgetAll drops all that is dead, everywhere. A state that is dead may be
// dropped or not, and nobody can tell, unless the clock steps back to when it was
// alive. So before that it goes for certain.
func (w *world) forgetAll() {
	for _, key := range w.model.forget(w.now()) {
		w.cas.drop(key)
	}
	w.memory.Forget(w.clock.Now())
}

// evict drops dead state here and there, as stores may at any time.
func (w *world) evict() {
	w.counts["state evicted"]++
	w.logf("evict")
	w.cas.expire(func() bool { return w.chance(2) })
	if w.chance(2) {
		w.memory.Forget(w.clock.Now())
	}
}
