package apikey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/keystile/keystile"
)

// Keys issues, verifies, lists, edits, rotates and revokes keys. It is safe for
// concurrent use. What it changes is in force at once for those who verify
// through it, and within Bound for other processes.
//
// IDs are not checked against an account here: a handler that manages keys on
// behalf of a caller gets the key first and compares Key.Account with the account
// of the caller's principal.
//
// Its errors are those of the Store, ErrInvalid and ErrClosed. After an error
// that is an outage the write may have happened or not.
type Keys struct {
	*Verifier
	store      Store
	format     shape
	defaultTTL time.Duration
	maxTTL     time.Duration
}

// New returns the Keys that c describes, or all mistakes of c as
// *keystile.ConfigError values joined. It works in the background until Close.
func New(c Config) (*Keys, error) {
	const field = "apikey.Config"
	var m mistakes
	if c.Store == nil {
		m.add(field+".Store", nil, "is nil; pass a Store, such as apikey.NewMemoryStore()")
	}
	m.join(c.Format.configErr(field+".Format", true))
	m.formats(field+".Accept", c.Accept)
	m.join(peppersErr(field+".Peppers", c.Peppers))
	m.lifetimes(c)
	m.cache(field+".Cache", c.Cache)
	m.sync(field+".Sync", c.Sync, c.Cache, c.Feed)
	if len(m) > 0 {
		return nil, m.err()
	}
	k := &Keys{
		store: c.Store, format: c.Format.compile(), maxTTL: c.MaxTTL, defaultTTL: orElse(c.DefaultTTL, c.MaxTTL),
		Verifier: newVerifier(VerifierConfig{
			Finder: c.Store, Feed: c.Feed, Formats: append([]Format{c.Format}, c.Accept...), Peppers: c.Peppers, Resolve: c.Resolve,
			Touch: c.Store.Touch, Cache: c.Cache, Sync: c.Sync, Now: c.Now, Logger: c.Logger,
		}),
	}
	if c.Legacy != nil {
		k.adopt = newLegacy(k, c.Legacy).adopt
	}
	if len(c.Peppers) > 0 {
		k.rehash = &rehasher{update: k.rehashKey, pepper: c.Peppers[0].Name, logger: k.logger}
	}
	k.start()
	return k, nil
}

// Format prints the type only: Keys in a log line must not spill digests.
func (Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "apikey.Keys") }

var errZeroKeys = errors.New("apikey: these Keys were not made by New")

// ready returns why nothing can be done, or nil.
func (k *Keys) ready() error {
	switch {
	case k == nil || k.Verifier == nil || k.store == nil:
		return errZeroKeys
	case k.life.isOver():
		return ErrClosed
	}
	return nil
}

// Issue makes a key and its secret. The secret is returned here and never again.
func (k *Keys) Issue(ctx context.Context, d Draft) (*Key, keystile.Secret, error) {
	if err := k.ready(); err != nil {
		return nil, "", err
	}
	next := d.key()
	next.CreatedAt = k.clock.now().UTC().Round(0)
	if next.ID == "" {
		next.ID = newID()
	}
	secret := k.setSecret(next)
	lifeErr := k.setExpiry(next, d.NeverExpires)
	if err := errors.Join(checkKey(next), lifeErr); err != nil {
		return nil, "", err
	}
	tidyKey(next)
	if err := k.create(ctx, next); err != nil {
		return nil, "", err
	}
	return next, secret, nil
}

// setSecret gives k a new secret, as its only one.
func (k *Keys) setSecret(next *Key) keystile.Secret {
	secret := k.format.generate()
	next.Secrets = []Secret{k.digester.secret(string(secret))}
	next.Hint = k.format.hint(string(secret))
	return secret
}

// setExpiry fills in and checks when a new key expires.
func (k *Keys) setExpiry(next *Key, never bool) error {
	var c checker
	switch {
	case never && !next.ExpiresAt.IsZero():
		c.add("ExpiresAt", next.ExpiresAt, "contradicts NeverExpires; leave out one of them")
	case never || !next.ExpiresAt.IsZero():
	case k.defaultTTL > 0:
		next.ExpiresAt = next.CreatedAt.Add(k.defaultTTL)
	}
	if isOver(next.ExpiresAt, next.CreatedAt) {
		c.add("ExpiresAt", next.ExpiresAt, "is over already; choose an instant in the future")
	}
	k.checkMaxTTL(&c, next, next.CreatedAt)
	return c.err()
}

func (k *Keys) checkMaxTTL(c *checker, next *Key, now time.Time) {
	if k.maxTTL == 0 {
		return
	}
	if latest := now.Add(k.maxTTL); next.ExpiresAt.IsZero() || next.ExpiresAt.After(latest) {
		c.add("ExpiresAt", next.ExpiresAt, fmt.Sprintf("is further away than MaxTTL, %v; choose an instant before %s", k.maxTTL, latest.UTC().Format(time.RFC3339)))
	}
}

// create stores next and takes over its revision.
func (k *Keys) create(ctx context.Context, next *Key) error {
	// Whatever comes of it: that somebody has asked for this secret before, in
	// vain, must not be remembered.
	defer k.Forget(Change{ID: next.ID, Digests: digests(next)})
	revision, err := k.store.Create(ctx, next.Clone())
	if err != nil {
		return err
	}
	next.Revision = revision
	return nil
}

// Import adopts a secret that was made elsewhere and is of one of the accepted
// formats. Of record, Secrets, Revision and LastUsedAt do not count, Hint and
// CreatedAt are filled in where they are empty, and so is ID, which is best given
// so that every run of a program imports the same key. A key that is expired,
// disabled or revoked already is imported as it is; DefaultTTL and MaxTTL do not
// apply.
//
// Where a key with this ID is there already, or no ID is given and a key with
// this secret is, it is left as it is and returned: a restart imports nothing
// twice and undoes nothing that has happened to the key. The same secret under
// another ID is ErrExists.
func (k *Keys) Import(ctx context.Context, secret keystile.Secret, record Key) (*Key, error) {
	if err := k.ready(); err != nil {
		return nil, err
	}
	if f := checkAll(k.shapes, string(secret)); f != flawNone {
		return nil, fmt.Errorf("%w: the secret could never be verified, because it has none of the accepted formats (%w); add its format to Config.Accept, such as apikey.LaxFormat", ErrInvalid, f.err())
	}
	next := record.Clone()
	next.Secrets = []Secret{k.digester.secret(string(secret))}
	next.Revision, next.LastUsedAt = 0, time.Time{}
	if next.Hint == "" {
		next.Hint = k.hint(string(secret))
	}
	if next.CreatedAt.IsZero() {
		next.CreatedAt = k.clock.now().UTC().Round(0)
	}
	if next.ID == "" {
		next.ID = newID()
	}
	if err := checkKey(next); err != nil {
		return nil, err
	}
	tidyKey(next)
	if old, err := k.present(ctx, record.ID, string(secret)); err != nil || old != nil {
		return old, err
	}
	err := k.create(ctx, next)
	if errors.Is(err, ErrExists) { // somebody imported it just now
		if old, findErr := k.present(ctx, record.ID, string(secret)); findErr != nil || old != nil {
			return old, findErr
		}
	}
	if err != nil {
		return nil, err
	}
	return next, nil
}

// present returns the key that makes an import unnecessary, or nil; or ErrExists
// where the secret is another key's.
func (k *Keys) present(ctx context.Context, id, secret string) (*Key, error) {
	if id != "" {
		if old, err := k.Get(ctx, id); !errors.Is(err, ErrNotFound) {
			return old, err
		}
	}
	old, err := k.store.FindByDigest(ctx, k.digester.all(secret, k.digester.current(secret))...)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case id != "" && old.ID != id:
		return nil, ErrExists
	}
	return k.withUse(old), nil
}

// hint returns what may be shown of a secret of one of the accepted formats.
func (k *Keys) hint(secret string) string {
	for i := range k.shapes {
		if k.shapes[i].check(secret) == flawNone {
			return k.shapes[i].hint(secret)
		}
	}
	return ""
}
