package apikey

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keystile/keystile"
)

const (
	editTries   = 64   // for changes that may lose against others
	revokeTries = 1000 // for those that must not
)

// Edit changes a key: change gets it as it is stored and sets what is to be
// different. It may be called again with a newer state where somebody else was
// quicker, and must do nothing else than change the key. Its error ends the edit
// and is returned.
//
// ID, Account, CreatedAt, Secrets, Revision, LastUsedAt and what was revoked
// never change here: ErrImmutable. A new ExpiresAt keeps to MaxTTL from now on.
func (k *Keys) Edit(ctx context.Context, id string, change func(*Key) error) (*Key, error) {
	if change == nil {
		return nil, fmt.Errorf("%w: Edit got no function", ErrInvalid)
	}
	return k.update(ctx, id, editTries, func(next *Key) (bool, error) {
		old := next.Clone()
		if err := change(next); err != nil {
			return false, err
		}
		if !sameForEver(old, next) {
			return false, ErrImmutable
		}
		var c checker
		if !next.ExpiresAt.Equal(old.ExpiresAt) {
			k.checkMaxTTL(&c, next, k.clock.now())
		}
		if err := errors.Join(checkKey(next), c.err()); err != nil {
			return false, err
		}
		tidyKey(next)
		return true, nil
	})
}

// Disable suspends a key until Enable. A key that is disabled already keeps its
// DisabledAt.
func (k *Keys) Disable(ctx context.Context, id string) error {
	_, err := k.update(ctx, id, revokeTries, func(next *Key) (bool, error) {
		if !next.DisabledAt.IsZero() {
			return false, nil
		}
		next.DisabledAt = k.clock.now().UTC().Round(0)
		return true, nil
	})
	return err
}

// Enable ends what Disable began. It does not bring back an expired or revoked
// key.
func (k *Keys) Enable(ctx context.Context, id string) error {
	_, err := k.update(ctx, id, editTries, func(next *Key) (bool, error) {
		if next.DisabledAt.IsZero() {
			return false, nil
		}
		next.DisabledAt = time.Time{}
		return true, nil
	})
	return err
}

// ErrRevoked is returned for what cannot be done to a revoked key.
var ErrRevoked = errors.New("apikey: the key is revoked")

// Rotate gives a key a new secret, which is returned here and never again. The
// secrets before it live on for overlap, or until their own NotAfter where that
// is earlier; with an overlap of 0 they are dead at once, as after a leak. Those
// that were dead before are removed.
//
// ErrInvalid: overlap is negative, or too many secrets would live at the same
// time. ErrRevoked: there is nothing to be rotated any more.
func (k *Keys) Rotate(ctx context.Context, id string, overlap time.Duration) (*Key, keystile.Secret, error) {
	if overlap < 0 {
		return nil, "", fmt.Errorf("%w: an overlap of %v is negative; use 0 to end the old secret now", ErrInvalid, overlap)
	}
	if err := k.ready(); err != nil {
		return nil, "", err
	}
	secret := k.format.generate()
	next, err := k.update(ctx, id, revokeTries, func(next *Key) (bool, error) {
		if !next.RevokedAt.IsZero() {
			return false, ErrRevoked
		}
		now := k.clock.now().UTC().Round(0)
		end := now.Add(overlap)
		secrets := []Secret{k.digester.secret(string(secret))}
		for _, s := range next.Secrets {
			if isOver(s.NotAfter, now) {
				continue
			}
			s.NotAfter = earlier(s.NotAfter, end)
			secrets = append(secrets, s)
		}
		next.Secrets = secrets
		next.Hint = k.format.hint(string(secret))
		return true, checkKey(next)
	})
	if err != nil {
		return nil, "", err
	}
	return next, secret, nil
}

// Delete removes a key for good, and frees its ID. Mostly Revoke is what is
// wanted: it leaves a trace, and the secret can never be imported again.
func (k *Keys) Delete(ctx context.Context, id string) error {
	if err := k.ready(); err != nil {
		return err
	}
	// Its digests are not known for sure: a rotation may have come between.
	defer k.Forget(Change{ID: id})
	return k.store.Delete(ctx, id)
}

// update reads a key, changes it and writes it back, again and again while
// others are quicker. Where change reports false there is nothing to be written.
func (k *Keys) update(ctx context.Context, id string, tries int, change func(*Key) (bool, error)) (*Key, error) {
	if err := k.ready(); err != nil {
		return nil, err
	}
	for {
		old, err := k.store.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		next := old.Clone()
		changed, err := change(next)
		if err != nil {
			return nil, err
		}
		if !changed {
			return k.withUse(old), nil
		}
		revision, err := k.write(ctx, old, next)
		if err == nil {
			next.Revision = revision
			return k.withUse(next), nil
		}
		if tries--; !errors.Is(err, ErrConflict) || tries <= 0 {
			return nil, err
		}
	}
}

// write replaces old by next. Whatever comes of it, what is remembered of them is
// forgotten: after an error, or a panic, nobody knows whether it was written.
func (k *Keys) write(ctx context.Context, old, next *Key) (revision int64, err error) {
	defer k.Forget(Change{ID: old.ID, Digests: digests(old, next)})
	return k.store.Update(ctx, next.Clone())
}

// rehashKey is update for the rehasher, which gives way to everybody else.
func (k *Keys) rehashKey(ctx context.Context, id string, change func(*Key) (bool, error)) error {
	_, err := k.update(ctx, id, 1, change)
	return err
}

var _ keystile.TokenVerifier = (*Verifier)(nil)
