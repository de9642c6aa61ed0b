package limiter_test

import (
	"cmp"
	"context"
	"reflect"
	"slices"

	"github.com/keystile/keystile/limiter"
)

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
