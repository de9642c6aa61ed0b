package apikey

import (
	"context"
	"errors"
	"fmt"
)

// RevokeOption says more about a revocation.
type RevokeOption func(*revocation)

type revocation struct{ by string }

// By names who revokes, for Key.RevokedBy.
func By(who string) RevokeOption { return func(r *revocation) { r.by = who } }

// Revoke ends a key for ever. It stays in the store, for Get and List, and its
// holder is told that it is revoked. A key that is revoked already keeps its
// RevokedAt, RevokedReason and RevokedBy. ErrNotFound: there is no such key.
//
// When Revoke has returned nil, no verification that begins later, in this
// process, accepts the key.
func (k *Keys) Revoke(ctx context.Context, id, reason string, options ...RevokeOption) error {
	_, err := k.revoke(ctx, id, reason, options)
	return err
}

// revoke reports whether this call was the one that revoked the key.
func (k *Keys) revoke(ctx context.Context, id, reason string, options []RevokeOption) (first bool, err error) {
	var r revocation
	for _, o := range options {
		if o != nil {
			o(&r)
		}
	}
	var c checker
	c.text("RevokedReason", reason, maxReason)
	c.text("RevokedBy", r.by, maxText)
	if err := c.err(); err != nil {
		return false, err
	}
	_, err = k.update(ctx, id, revokeTries, func(next *Key) (bool, error) {
		if first = next.RevokedAt.IsZero(); first {
			next.RevokedAt, next.RevokedReason, next.RevokedBy = k.clock.now().UTC().Round(0), reason, r.by
		}
		return first, nil
	})
	return first && err == nil, err
}

// RevokeAll revokes every key of an account and returns how many it revoked. It
// walks through the account again and again until it finds none left, so keys
// that are issued meanwhile are revoked too: when it returns nil, every key that
// existed when its last walk began is revoked. Stop issuing first, such as by
// closing the account; no walk can revoke what is issued after it.
//
// The account must not be empty. After an error some keys are revoked and others
// are not: call it again.
func (k *Keys) RevokeAll(ctx context.Context, account, reason string, options ...RevokeOption) (int, error) {
	if account == "" {
		return 0, fmt.Errorf("%w: RevokeAll without an account would revoke every key; name the account", ErrInvalid)
	}
	total := 0
	for {
		revoked := 0
		err := k.each(ctx, Query{Account: account, Limit: MaxLimit}, func(found *Key) error {
			if !found.RevokedAt.IsZero() {
				return nil
			}
			first, err := k.revoke(ctx, found.ID, reason, options)
			if errors.Is(err, ErrNotFound) { // deleted meanwhile
				return nil
			}
			if first {
				revoked++
			}
			return err
		})
		total += revoked
		if err != nil || revoked == 0 {
			return total, err
		}
	}
}
