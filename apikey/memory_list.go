package apikey

import (
	"context"
	"slices"
	"strings"
	"time"
)

// ordered holds rows the oldest first, the opposite of how they are listed, so
// that a new key is appended.
type ordered struct{ rows []*row }

// position is where a key stands among others.
type position struct {
	created time.Time
	id      string
}

func positionOf(k *Key) position { return position{k.CreatedAt, k.ID} }

// compare is negative where p is listed after q.
func (p position) compare(q position) int {
	if c := p.created.Compare(q.created); c != 0 {
		return c
	}
	return strings.Compare(q.id, p.id)
}

// search returns the index of the first row that is listed at p or before it.
func (o *ordered) search(p position) int {
	i, _ := slices.BinarySearchFunc(o.rows, p, func(r *row, p position) int { return positionOf(r.key).compare(p) })
	return i
}

func (o *ordered) insert(r *row) {
	o.rows = slices.Insert(o.rows, o.search(positionOf(r.key)), r)
}

func (o *ordered) remove(r *row) {
	i := o.search(positionOf(r.key))
	o.rows = slices.Delete(o.rows, i, i+1)
}

// List implements Store.
func (m *MemoryStore) List(ctx context.Context, q Query) (Page, error) {
	if err := ctx.Err(); err != nil {
		return Page{}, err
	}
	limit, err := q.limit()
	if err != nil {
		return Page{}, err
	}
	if q.At.IsZero() {
		q.At = time.Now()
	}
	var after *position
	if q.Cursor != "" {
		if after, err = m.hidden.sealer.open(q); err != nil {
			return Page{}, err
		}
	}
	found := m.scan(q, after, limit+1)
	if err := ctx.Err(); err != nil {
		return Page{}, err
	}
	var p Page
	if len(found) > limit {
		found = found[:limit]
		p.Next = m.hidden.sealer.seal(q, positionOf(found[limit-1]))
	}
	for _, k := range found {
		p.Keys = append(p.Keys, k.Clone())
	}
	return p, nil
}

// scan returns at most limit keys that match q and are listed after the position.
func (m *MemoryStore) scan(q Query, after *position, limit int) []*Key {
	m.mu.RLock()
	defer m.mu.RUnlock()
	o := &m.all
	if q.Account != "" {
		if o = m.accounts[q.Account]; o == nil {
			return nil
		}
	}
	end := len(o.rows)
	if after != nil {
		end = o.search(*after)
	}
	var found []*Key
	for i := end - 1; i >= 0 && len(found) < limit; i-- {
		if k := o.rows[i].key; q.matches(k) {
			found = append(found, k)
		}
	}
	return found
}

func (q Query) matches(k *Key) bool {
	return (q.Account == "" || k.Account == q.Account) &&
		(q.Owner == "" || k.Owner == q.Owner) &&
		(q.ExpiresBefore.IsZero() || (!k.ExpiresAt.IsZero() && k.ExpiresAt.Before(q.ExpiresBefore))) &&
		(q.State == "" || k.State(q.At) == q.State)
}

// limit returns the limit in force, having looked at what a query can get wrong
// besides its cursor.
func (q Query) limit() (int, error) {
	switch q.State {
	case "", StateActive, StateDisabled, StateExpired, StateRevoked:
	default:
		return 0, ErrInvalidQuery
	}
	switch {
	case q.Limit == 0:
		return DefaultLimit, nil
	case q.Limit < 1 || q.Limit > MaxLimit:
		return 0, ErrInvalidQuery
	}
	return q.Limit, nil
}
