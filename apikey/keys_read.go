package apikey

import (
	"context"
	"time"

	"github.com/keystile/keystile"
)

// Get returns the key with this ID, whatever its state, or ErrNotFound.
// LastUsedAt counts the uses that this process has not written down yet.
func (k *Keys) Get(ctx context.Context, id string) (*Key, error) {
	if err := k.ready(); err != nil {
		return nil, err
	}
	found, err := k.store.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return k.withUse(found), nil
}

// List returns a page of the keys that match q, those created last first.
// LastUsedAt counts the uses that this process has not written down yet.
func (k *Keys) List(ctx context.Context, q Query) (Page, error) {
	if err := k.ready(); err != nil {
		return Page{}, err
	}
	if q.At.IsZero() {
		q.At = k.clock.now()
	}
	p, err := k.store.List(ctx, q)
	if err != nil {
		return Page{}, err
	}
	for _, found := range p.Keys {
		k.withUse(found)
	}
	return p, nil
}

// Expiring returns the active keys that expire within the given time from now,
// those created last first, to remind their owners. For those of one account, use
// List with State and ExpiresBefore.
func (k *Keys) Expiring(ctx context.Context, within time.Duration) ([]*Key, error) {
	if err := k.ready(); err != nil {
		return nil, err
	}
	now := k.clock.now()
	// ExpiresBefore is exclusive, this is not.
	q := Query{State: StateActive, At: now, ExpiresBefore: now.Add(within).Add(1), Limit: MaxLimit}
	var all []*Key
	err := k.each(ctx, q, func(found *Key) error {
		all = append(all, found)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// each calls do for the keys that match q, page after page.
func (k *Keys) each(ctx context.Context, q Query, do func(*Key) error) error {
	for {
		p, err := k.List(ctx, q)
		if err != nil {
			return err
		}
		for _, found := range p.Keys {
			if err := do(found); err != nil {
				return err
			}
		}
		if p.Next == "" {
			return nil
		}
		q.Cursor = p.Next
	}
}

// withUse adds the last use that is still to be written.
func (k *Keys) withUse(found *Key) *Key {
	if k.touches != nil {
		if last := k.touches.last(found.ID); last.After(found.LastUsedAt) {
			found.LastUsedAt = last
		}
	}
	return found
}

var _ keystile.TokenVerifier = (*Keys)(nil)
