package limiter_test

import (
	"math"
	"math/big"
	"slices"

	"github.com/keystile/keystile/limiter"
)

// model is the reference that the stores are held against. It shares nothing with
// them: it keeps a ledger of everything that was ever charged and given back, and
// works out the windows from it anew each time, in big integers that cannot
// overflow; leases are a map.
type model struct {
	accounts map[string]*account
}

type account struct {
	lastWrite *big.Int
	ledger    []entry
	leases    map[holding]*big.Int // when they die
}

// entry is a charge, or what was given back to the window that is open then.
type entry struct {
	cell   string
	period *big.Int
	at     *big.Int
	amount *big.Int
	back   bool
}

type holding struct {
	cell string
	id   limiter.LeaseID
}

// question is what is asked of one limit; answer is what must come of it.
type question struct {
	cell       string
	concurrent bool
	n          int64
	period     int64
}

type answer struct {
	Verdict                limiter.Verdict
	Start, Used            int64
	Live, Expiry           int64
	Remaining, Reset, Wait int64
}

func newModel() *model { return &model{accounts: map[string]*account{}} }

func (m *model) account(key string) *account {
	if a := m.accounts[key]; a != nil {
		return a
	}
	return &account{lastWrite: new(big.Int), leases: map[holding]*big.Int{}}
}

var (
	first = big.NewInt(1)
	last  = big.NewInt(math.MaxInt64 - 1)
	most  = big.NewInt(math.MaxInt64)
)

func atLeast(a, b *big.Int) *big.Int {
	if a.Cmp(b) < 0 {
		return b
	}
	return a
}

func atMost(a, b *big.Int) *big.Int {
	if a.Cmp(b) > 0 {
		return b
	}
	return a
}

// clock returns what the clock said, as a number that counts, and the instant at
// which a key is judged then: time does not go back for it.
func (a *account) clock(now int64) (said, at *big.Int) {
	said = atMost(atLeast(big.NewInt(now), first), last)
	return said, atLeast(said, a.lastWrite)
}

// window works out when the window of cell that is open at at was opened, and
// what is charged to it. Start is nil where none is open.
func (a *account) window(cell string, at *big.Int) (start, end, used *big.Int) {
	for _, e := range a.ledger {
		if e.cell != cell {
			continue
		}
		if start == nil || e.at.Cmp(end) >= 0 {
			start, end, used = e.at, new(big.Int).Add(e.at, e.period), new(big.Int)
		}
		if e.back {
			used = atLeast(new(big.Int).Sub(used, e.amount), new(big.Int))
		} else {
			used = new(big.Int).Add(used, e.amount)
		}
	}
	if start == nil || at.Cmp(end) >= 0 {
		return nil, nil, new(big.Int)
	}
	return start, end, used
}

func (a *account) live(cell string, at *big.Int) (count int64, first *big.Int) {
	for h, expiry := range a.leases {
		if h.cell != cell || at.Cmp(expiry) >= 0 {
			continue
		}
		count++
		if first == nil || expiry.Cmp(first) < 0 {
			first = expiry
		}
	}
	return count, first
}

func (a *account) holds(cell string, id limiter.LeaseID, at *big.Int) bool {
	expiry := a.leases[holding{cell, id}]
	return expiry != nil && at.Cmp(expiry) < 0
}

func verdict(need, n, used *big.Int) limiter.Verdict {
	if need.Cmp(n) > 0 {
		return limiter.NeverFits
	}
	if new(big.Int).Add(used, need).Cmp(n) > 0 {
		return limiter.Full
	}
	return limiter.Fits
}

// decision is what must come of a demand.
type decision struct {
	at       int64
	admitted bool
	wait     int64
	answers  []answer

	// Which comparisons were between equals.
	atEnd, atExpiry, lastUnit bool
}

func (a *account) judge(now, cost int64, lease limiter.LeaseID, questions []question) decision {
	said, at := a.clock(now)
	d := decision{at: said.Int64(), admitted: true}
	never := false
	for _, q := range questions {
		n := big.NewInt(q.n)
		var w answer
		if q.concurrent {
			count, firstExpiry := a.live(q.cell, at)
			need := new(big.Int)
			if cost > 0 && !a.holds(q.cell, lease, at) {
				need.SetInt64(1)
			}
			w.Verdict = verdict(need, n, big.NewInt(count))
			w.Live = count
			if count > 0 {
				w.Expiry = atMost(firstExpiry, most).Int64()
			}
			w.Remaining = max(q.n-count, 0)
			for h, expiry := range a.leases {
				d.atExpiry = d.atExpiry || h.cell == q.cell && at.Cmp(expiry) == 0
			}
		} else {
			start, end, used := a.window(q.cell, at)
			w.Verdict = verdict(big.NewInt(cost), n, used)
			w.Used = used.Int64()
			w.Remaining = atLeast(new(big.Int).Sub(n, used), new(big.Int)).Int64()
			if start != nil {
				w.Start, w.Reset = start.Int64(), atMost(end, most).Int64()
			}
			if w.Verdict == limiter.Full {
				w.Wait = new(big.Int).Sub(atMost(end, most), said).Int64()
			}
			d.lastUnit = d.lastUnit || cost > 0 && new(big.Int).Add(used, big.NewInt(cost)).Cmp(n) == 0
			d.atEnd = d.atEnd || a.endsAt(q.cell, at)
		}
		never = never || w.Verdict == limiter.NeverFits
		d.admitted = d.admitted && w.Verdict == limiter.Fits
		d.wait = max(d.wait, w.Wait)
		d.answers = append(d.answers, w)
	}
	if never {
		d.wait = 0
	}
	return d
}

// endsAt reports whether a window of cell ends at that very instant.
func (a *account) endsAt(cell string, at *big.Int) bool {
	before := new(big.Int).Sub(at, first)
	_, end, _ := a.window(cell, before)
	return end != nil && end.Cmp(at) == 0
}

func (m *model) inspect(key string, now, cost int64, lease limiter.LeaseID, questions []question) decision {
	return m.account(key).judge(now, cost, lease, questions)
}

func (m *model) take(key string, now, cost int64, lease limiter.LeaseID, ttl int64, questions []question) decision {
	a := m.account(key)
	d := a.judge(now, cost, lease, questions)
	if !d.admitted || cost == 0 || len(questions) == 0 {
		return d
	}
	_, at := a.clock(now)
	for i, q := range questions {
		w := &d.answers[i]
		if q.concurrent {
			expiry := new(big.Int).Add(at, big.NewInt(ttl))
			if a.holds(q.cell, lease, at) {
				expiry = atLeast(expiry, a.leases[holding{q.cell, lease}])
			}
			a.leases[holding{q.cell, lease}] = expiry
			count, firstExpiry := a.live(q.cell, at)
			w.Live, w.Expiry, w.Remaining = count, atMost(firstExpiry, most).Int64(), q.n-count
			continue
		}
		a.ledger = append(a.ledger, entry{cell: q.cell, period: big.NewInt(q.period), at: at, amount: big.NewInt(cost)})
		start, end, used := a.window(q.cell, at)
		w.Start, w.Used, w.Remaining = start.Int64(), used.Int64(), q.n-used.Int64()
		w.Reset = atMost(end, most).Int64()
	}
	m.wrote(key, a, at)
	return d
}

func (m *model) release(key string, now int64, id limiter.LeaseID) {
	a := m.account(key)
	_, at := a.clock(now)
	freed := false
	for h, expiry := range a.leases {
		if h.id == id && at.Cmp(expiry) < 0 {
			delete(a.leases, h)
			freed = true
		}
	}
	if freed {
		m.wrote(key, a, at)
	}
}

func (m *model) renew(key string, now int64, id limiter.LeaseID, ttl int64) (held bool) {
	a := m.account(key)
	_, at := a.clock(now)
	for h, expiry := range a.leases {
		if h.id == id && at.Cmp(expiry) < 0 {
			a.leases[h] = atLeast(expiry, new(big.Int).Add(at, big.NewInt(ttl)))
			held = true
		}
	}
	if held {
		m.wrote(key, a, at)
	}
	return held
}

// refund gives back what d charged. Starts are those that its answers said.
func (m *model) refund(key string, now, cost int64, questions []question, d decision) {
	a := m.account(key)
	_, at := a.clock(now)
	given := false
	for i, q := range questions {
		if q.concurrent {
			continue
		}
		if start, _, _ := a.window(q.cell, at); start != nil && start.Int64() == d.answers[i].Start {
			a.ledger = append(a.ledger, entry{cell: q.cell, period: big.NewInt(q.period), at: at, amount: big.NewInt(cost), back: true})
			given = true
		}
	}
	if given {
		m.wrote(key, a, at)
	}
}

func (m *model) reset(key string) { delete(m.accounts, key) }

// wrote notes the write. To keep the ledger short it drops the pages that are
// about windows over at at, which this account will never be judged before again.
func (m *model) wrote(key string, a *account, at *big.Int) {
	a.lastWrite = at
	starts := map[string]*big.Int{}
	for _, e := range a.ledger {
		if _, done := starts[e.cell]; !done {
			starts[e.cell], _, _ = a.window(e.cell, at)
		}
	}
	kept := a.ledger[:0]
	for _, e := range a.ledger {
		if start := starts[e.cell]; start != nil && e.at.Cmp(start) >= 0 {
			kept = append(kept, e)
		}
	}
	a.ledger = kept
	for h, expiry := range a.leases {
		if at.Cmp(expiry) >= 0 {
			delete(a.leases, h)
		}
	}
	m.accounts[key] = a
	if len(a.ledger) == 0 && len(a.leases) == 0 {
		delete(m.accounts, key)
	}
}

// held returns the leases of a key, in a fixed order.
func (m *model) held(key string) (leases []limiter.LeaseID) {
	if a := m.accounts[key]; a != nil {
		for h := range a.leases {
			leases = append(leases, h.id)
		}
	}
	slices.SortFunc(leases, func(a, b limiter.LeaseID) int { return slices.Compare(a[:], b[:]) })
	return leases
}

// deadline returns when the last of a key dies; nil where there is nothing.
func (m *model) deadline(key string) (at *big.Int) {
	a := m.accounts[key]
	if a == nil {
		return nil
	}
	at = new(big.Int)
	for _, e := range a.ledger {
		if _, end, _ := a.window(e.cell, a.lastWrite); end != nil {
			at = atLeast(at, end)
		}
	}
	for _, expiry := range a.leases {
		at = atLeast(at, expiry)
	}
	return at
}

// forget drops the keys in which everything is dead by what the clock says now.
func (m *model) forget(now int64) (keys []string) {
	for key := range m.accounts {
		if m.deadline(key).Cmp(big.NewInt(now)) <= 0 {
			keys = append(keys, key)
			delete(m.accounts, key)
		}
	}
	return keys
}

// boundaries returns the instants at which windows end and leases expire.
func (m *model) boundaries(key string) (ends, expiries []int64) {
	a := m.accounts[key]
	if a == nil {
		return nil, nil
	}
	for _, e := range a.ledger {
		if _, end, _ := a.window(e.cell, a.lastWrite); end != nil && end.IsInt64() {
			ends = append(ends, end.Int64())
		}
	}
	for _, expiry := range a.leases {
		if expiry.IsInt64() {
			expiries = append(expiries, expiry.Int64())
		}
	}
	return ends, expiries
}

// raw is the state that a store must have for key, by the model's names of cells.
func (m *model) raw(key string, now int64) limiter.RawState {
	a := m.accounts[key]
	if a == nil {
		return limiter.RawState{}
	}
	_, at := a.clock(now)
	r := limiter.RawState{}
	seen := map[string]bool{}
	for _, e := range a.ledger {
		if seen[e.cell] {
			continue
		}
		seen[e.cell] = true
		if start, _, used := a.window(e.cell, at); start != nil {
			r.Windows = append(r.Windows, limiter.RawWindow{Cell: e.cell, Start: start.Int64(), Used: used.Int64()})
		}
	}
	for h, expiry := range a.leases {
		if at.Cmp(expiry) < 0 {
			r.Leases = append(r.Leases, limiter.RawLease{Cell: h.cell, ID: h.id, Expiry: atMost(expiry, most).Int64()})
		}
	}
	if len(r.Windows)+len(r.Leases) > 0 {
		r.Seen = a.lastWrite.Int64()
	}
	return r
}
