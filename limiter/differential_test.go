package limiter_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
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

func (w *world) term(l limiter.Limit, sub string) term {
	ask := l.Ask()
	if sub != "" {
		ask = l.AskWithin([]byte(sub))
	}
	name := fmt.Sprintf("%v of %q over %v in %q", l.Kind(), l.Name(), l.Period(), sub)
	if known, there := w.cells[ask.Cell.ID()]; there && known != name {
		w.fatalf("%s and %s share a cell", known, name)
	}
	w.cells[ask.Cell.ID()] = name
	return term{ask, question{cell: name, concurrent: l.Kind() == limiter.KindConcurrent, n: l.N(), period: l.Period().Microseconds()}}
}

// plan returns the plan of key, a random one at first.
func (w *world) plan(key string) []term {
	if w.plans[key] == nil {
		w.changePlan(key)
	}
	return w.plans[key]
}

func (w *world) n() int64 {
	if w.chance(12) {
		return pick[int64](w, 0, 1<<52, math.MaxInt64-1, math.MaxInt64)
	}
	return pick[int64](w, 1, 2, 3, 5, 8, 30)
}

func (w *world) limit() limiter.Limit {
	var l limiter.Limit
	switch w.rng.IntN(10) {
	case 0:
		l = limiter.Per(w.n(), pick(w, time.Microsecond, 90*time.Second, 1500*time.Millisecond, years))
	case 1:
		l = limiter.PerSecond(w.n())
	case 2, 3:
		l = limiter.PerMinute(w.n())
	case 4:
		l = limiter.PerHour(w.n())
	case 5:
		l = limiter.PerDay(w.n())
	default:
		l = limiter.Concurrent(pick[int64](w, 0, 1, 1, 2, 2, 3, 5, math.MaxInt64))
	}
	if w.chance(4) {
		l = l.Named(pick(w, "a", "b"))
	}
	return l
}

// changePlan raises, lowers, adds, removes or renames.
func (w *world) changePlan(key string) {
	w.counts["plan changed"]++
	plan := slices.Clone(w.plans[key])
	if len(plan) > 0 && w.chance(2) {
		t := &plan[w.rng.IntN(len(plan))]
		t.ask.N = w.n()
		t.q.n = t.ask.N
	} else {
		plan = plan[:0]
		for range w.rng.IntN(4) + 1 {
			t := w.term(w.limit(), pick(w, "", "", "", "route/x", "route/y"))
			if !slices.ContainsFunc(plan, func(o term) bool { return o.ask.Cell == t.ask.Cell }) {
				plan = append(plan, t)
			}
		}
	}
	w.plans[key] = plan
	w.logf("plan of %q: %d limits", key, len(plan))
}

func (w *world) cost(key string, plan []term) int64 {
	of := plan[w.rng.IntN(len(plan))].q
	switch n := w.rng.IntN(100); {
	case n < 55:
		return 1
	case n < 62:
		return 0
	case n < 70:
		return of.n
	case n < 75:
		return of.n + min(1, math.MaxInt64-of.n)
	case n < 78:
		return pick[int64](w, 1<<52, 1<<52-1, 1<<53+1, math.MaxInt64-1, math.MaxInt64)
	case n < 88 && !of.concurrent: // to the last unit
		left := w.model.inspect(key, w.now(), 0, limiter.LeaseID{}, []question{of}).answers[0].Remaining
		return left + pick[int64](w, 0, 0, min(1, math.MaxInt64-left))
	}
	return w.rng.Int64N(5)
}

func (w *world) lease() limiter.LeaseID {
	if w.chance(12) && len(w.leases) > 0 {
		return pick(w, w.leases...).id // somebody's, perhaps of another key
	}
	w.nextID++
	var id limiter.LeaseID
	binary.BigEndian.PutUint64(id[:], w.rng.Uint64())
	binary.BigEndian.PutUint64(id[8:], w.nextID)
	return id
}

// years is long, and not so long that a TTL, a time.Duration, could not say when
// a key dies whose clock was wrong once.
const years = 30 * 365 * 24 * time.Hour

func (w *world) ttl() time.Duration {
	return pick(w, 0, 0, time.Microsecond, 300*time.Millisecond, 300*time.Millisecond, 5*time.Second, 20*time.Second, 20*time.Second, time.Hour, years)
}

// micros is the TTL that a store makes of one, said in other words.
func micros(ttl time.Duration) int64 {
	if ttl == 0 {
		return 60_000_000
	}
	return int64(ttl) / 1000
}

// demand returns the same demand twice, its asks in two orders that have nothing
// to do with that of the questions, and where each ask is.
func (w *world) demand(key string, cost int64) (memory, cas limiter.Demand, questions []question, at [2][]int) {
	plan := w.plan(key)
	d := limiter.Demand{Key: []byte(key), Cost: cost, Lease: w.lease(), TTL: w.ttl()}
	for _, t := range plan {
		questions = append(questions, t.q)
	}
	all := [2]limiter.Demand{d, d}
	for i := range all {
		at[i] = make([]int, len(plan))
		for place, n := range w.rng.Perm(len(plan)) {
			all[i].Asks = append(all[i].Asks, plan[n].ask)
			at[i][n] = place
		}
	}
	return all[0], all[1], questions, at
}

func (w *world) take(key string) {
	cost := w.cost(key, w.plan(key))
	memory, cas, questions, at := w.demand(key, cost)
	w.logf("take %d from %q of %+v, lease %x for %v", cost, key, questions, memory.Lease, memory.TTL)
	w.must(w.memory.Take(context.Background(), &memory))
	w.must(w.fromCAS.Take(context.Background(), &cas))
	want := w.model.take(key, w.now(), cost, memory.Lease, micros(memory.TTL), questions)
	w.compareDecision("MemoryStore", &memory, at[0], want)
	w.compareDecision("FromCAS", &cas, at[1], want)
	w.count(cost, questions, want)
	if want.admitted && cost > 0 {
		w.remember(&receipt{key: key, memory: memory, cas: cas, questions: questions, cost: cost, decided: want})
		known := slices.ContainsFunc(w.leases, func(l leased) bool { return l.id == memory.Lease })
		leasing := slices.ContainsFunc(questions, func(q question) bool { return q.concurrent })
		if known {
			w.counts["other demand by the same lease"]++
		} else if leasing {
			w.leases = append(w.leases, leased{key, memory.Lease})
			w.leases = w.leases[max(0, len(w.leases)-60):]
		}
	}
}

func (w *world) remember(r *receipt) {
	w.receipts = append(w.receipts, r)
	w.receipts = w.receipts[max(0, len(w.receipts)-20):]
}

func (w *world) count(cost int64, questions []question, d decision) {
	switch {
	case d.admitted && cost > 0:
		w.counts[charged]++
	case cost == 0:
		w.counts["looked only"]++
	}
	for what, met := range map[string]bool{atEnd: d.atEnd, atExpiry: d.atExpiry, lastUnit: d.lastUnit} {
		if met {
			w.counts[what]++
		}
	}
	seen := map[string]bool{}
	for i, a := range d.answers {
		switch {
		case a.Verdict == limiter.NeverFits:
			seen["cost above the limit"] = true
		case a.Verdict == limiter.Full && questions[i].concurrent:
			seen[fullSlots] = true
		case a.Verdict == limiter.Full:
			seen[fullWindow] = true
		}
	}
	for what := range seen {
		w.counts[what]++
	}
}

func (w *world) inspect(key string) {
	cost := w.cost(key, w.plan(key))
	memory, cas, questions, at := w.demand(key, cost)
	w.logf("inspect %q for %d", key, cost)
	w.must(w.memory.Inspect(context.Background(), &memory))
	w.must(w.fromCAS.Inspect(context.Background(), &cas))
	want := w.model.inspect(key, w.now(), cost, memory.Lease, questions)
	w.compareDecision("MemoryStore", &memory, at[0], want)
	w.compareDecision("FromCAS", &cas, at[1], want)
}

// someLease returns a lease and the key it is said to be of, which is sometimes
// not the truth.
func (w *world) someLease() leased {
	if len(w.leases) == 0 || w.chance(20) {
		return leased{w.key(), w.lease()}
	}
	if key := w.key(); w.chance(2) {
		if held := w.model.held(key); len(held) > 0 {
			return leased{key, pick(w, held...)}
		}
	}
	l := pick(w, w.leases[max(0, len(w.leases)-pick(w, 10, 60)):]...)
	if w.chance(15) {
		l.key = w.key()
	}
	return l
}

func (w *world) release() {
	l := w.someLease()
	w.logf("release %x of %q", l.id, l.key)
	before := w.model.raw(l.key, w.now())
	w.must(w.memory.Release(context.Background(), []byte(l.key), l.id))
	w.must(w.fromCAS.Release(context.Background(), []byte(l.key), l.id))
	w.model.release(l.key, w.now(), l.id)
	if len(before.Leases) > len(w.model.raw(l.key, w.now()).Leases) {
		w.counts["lease released"]++
	} else {
		w.counts["lease released in vain"]++
	}
	w.compareState(l.key)
}

func (w *world) renew() {
	l, ttl := w.someLease(), w.ttl()
	w.logf("renew %x of %q for %v", l.id, l.key, ttl)
	memory, err := w.memory.Renew(context.Background(), []byte(l.key), l.id, ttl)
	w.must(err)
	cas, err := w.fromCAS.Renew(context.Background(), []byte(l.key), l.id, ttl)
	w.must(err)
	want := w.model.renew(l.key, w.now(), l.id, micros(ttl))
	if memory != want || cas != want {
		w.fatalf("the lease is held: MemoryStore says %v, FromCAS %v, want %v", memory, cas, want)
	}
	if want {
		w.counts["lease renewed"]++
	} else {
		w.counts["lease renewed too late"]++
	}
	w.compareState(l.key)
}

func (w *world) refund() {
	if len(w.receipts) == 0 {
		return
	}
	r := pick(w, w.receipts...)
	w.logf("refund %d to %q of %+v", r.cost, r.key, r.decided)
	before := w.model.raw(r.key, w.now())
	w.must(w.memory.Refund(context.Background(), &r.memory))
	w.must(w.fromCAS.Refund(context.Background(), &r.cas))
	if !r.spent {
		w.model.refund(r.key, w.now(), r.cost, r.questions, r.decided)
	}
	r.spent = true
	if reflect.DeepEqual(before.Windows, w.model.raw(r.key, w.now()).Windows) {
		w.counts["refund too late or for the second time"]++
	} else {
		w.counts["refund of a window that is open"]++
	}
	w.compareState(r.key)
}

func (w *world) reset(key string) {
	w.counts["key reset"]++
	w.logf("reset %q", key)
	w.must(w.memory.Reset(context.Background(), []byte(key)))
	w.must(w.fromCAS.Reset(context.Background(), []byte(key)))
	w.model.reset(key)
}

// compareDecision compares all that d says. At[i] is the place of the ask that
// is for the i-th answer.
func (w *world) compareDecision(store string, d *limiter.Demand, at []int, want decision) {
	w.t.Helper()
	if d.Admitted != want.admitted || d.At != want.at || d.Wait() != want.wait {
		w.fatalf("%s: admitted %v at %d, wait %d; want %v, %d, %d", store, d.Admitted, d.At, d.Wait(), want.admitted, want.at, want.wait)
	}
	for i, place := range at {
		a, o := d.Asks[place], d.Outlook(place)
		got := answer{a.Verdict, a.Start, a.Used, a.Live, a.Expiry, o.Remaining, o.Reset, o.Wait}
		if got != want.answers[i] {
			w.fatalf("%s: %s: got %+v, want %+v", store, w.cells[a.Cell.ID()], got, want.answers[i])
		}
	}
}

// compareState compares the raw state of one key.
func (w *world) compareState(key string) {
	w.t.Helper()
	want := w.named(w.model.raw(key, w.now()))
	memory := w.named(w.memory.Raw([]byte(key), w.clock.Now()))
	if !reflect.DeepEqual(memory, want) {
		w.fatalf("MemoryStore: %q is %+v, want %+v", key, memory, want)
	}
	blob, err := limiter.RawBlob(w.cas.blob(key), w.clock.Now())
	w.must(err)
	if cas := w.named(blob); !reflect.DeepEqual(cas, want) {
		w.fatalf("FromCAS: %q is %+v, want %+v", key, cas, want)
	}
}

// named gives the cells the model's names, and everything one order.
func (w *world) named(r limiter.RawState) limiter.RawState {
	for i := range r.Windows {
		if name, known := w.cells[r.Windows[i].Cell]; known {
			r.Windows[i].Cell = name
		}
	}
	for i := range r.Leases {
		if name, known := w.cells[r.Leases[i].Cell]; known {
			r.Leases[i].Cell = name
		}
	}
	slices.SortFunc(r.Windows, func(a, b limiter.RawWindow) int { return cmp.Compare(a.Cell, b.Cell) })
	slices.SortFunc(r.Leases, func(a, b limiter.RawLease) int {
		return cmp.Or(cmp.Compare(a.Cell, b.Cell), slices.Compare(a.ID[:], b.ID[:]))
	})
	return r
}
