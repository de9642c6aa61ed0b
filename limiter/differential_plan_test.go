package limiter_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/keystile/keystile/limiter"
)

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
