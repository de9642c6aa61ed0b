package apikey

import (
	"context"
	"errors"
	"time"
)

// Errors of stores, and of the methods of Keys that pass them on. Test for them
// with errors.Is. What a store cannot do at all it answers with
// errors.ErrUnsupported; every other error is taken as an outage.
var (
	ErrNotFound     = errors.New("apikey: no such key")
	ErrExists       = errors.New("apikey: the ID or the digest is in use")
	ErrConflict     = errors.New("apikey: the key has changed since it was read")
	ErrImmutable    = errors.New("apikey: this part of a key never changes")
	ErrCorrupt      = errors.New("apikey: the stored record cannot be read")
	ErrInvalidQuery = errors.New("apikey: invalid query")
	ErrCursorLost   = errors.New("apikey: the feed no longer knows this cursor")
)

// Finder is all that verification needs.
//
// FindByDigest returns the key that holds one of the given digests: of several
// that are held, the one that comes first among the arguments. No such key, no
// digest given, or only the all-zero one: ErrNotFound. A key is returned whatever
// its state; telling that it is revoked or expired is not the finder's business.
//
// This holds for every method of Finder, Store and Feed: it is safe for
// concurrent use; it returns promptly, with an error that wraps ctx.Err(), once
// ctx has ended, and has then written nothing or says nothing about it; it
// neither keeps nor changes what it was given, and the caller owns what it
// returns; an outage is never ErrNotFound, and a record that cannot be read is
// ErrCorrupt, never a key and never ErrNotFound.
type Finder interface {
	FindByDigest(ctx context.Context, digests ...Digest) (*Key, error)
}

// Store keeps keys. It is small on purpose: what is hard is in [Keys], once.
//
// IDs, accounts and owners are compared byte by byte: mind the collation.
// Times come back as they were given or rounded down, to a precision that the
// store documents, and zero stays zero. A List or Get that follows a write on
// the same store sees it.
type Store interface {
	Finder

	// Get returns the key with this ID, whatever its state, or ErrNotFound.
	Get(ctx context.Context, id string) (*Key, error)

	// List returns a page of the keys that match q, those created last first,
	// and among those created at the same instant the smaller ID first.
	List(ctx context.Context, q Query) (Page, error)

	// Create stores k as it is but for Revision, and returns the revision it got,
	// which is above zero. ErrExists: its ID is in use, or one of its digests is,
	// be it by a revoked key; what was there is untouched.
	Create(ctx context.Context, k *Key) (revision int64, err error)

	// Update replaces the key with the ID of k by k, Secrets too, and returns the
	// new revision, which is above the old one. LastUsedAt is left as it is
	// stored. In this order, and with nothing written:
	// ErrNotFound: no key has this ID. ErrConflict: k.Revision is not the stored
	// one. ErrImmutable: Account or CreatedAt differs, or one of RevokedAt,
	// RevokedReason, RevokedBy was set and differs. ErrExists: another key holds
	// one of the digests.
	Update(ctx context.Context, k *Key) (revision int64, err error)

	// Delete removes the key and frees its ID and digests, or returns ErrNotFound.
	Delete(ctx context.Context, id string) error

	// Touch moves LastUsedAt of each key forward to the given instant, never
	// back. Unknown IDs are skipped. Neither Revision nor the Feed notices.
	Touch(ctx context.Context, uses []Use) error
}

// Use says when a key was last used.
type Use struct {
	ID string
	At time.Time
}

// Limits of a page.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// Query selects keys. Zero fields select everything.
//
// A limit out of range, a state that does not exist, and a cursor that this
// store did not make for the same Account, Owner, State and ExpiresBefore are
// ErrInvalidQuery. The limit may change from page to page.
type Query struct {
	Account string // exactly this account
	Owner   string // exactly this owner
	State   State  // the state at At
	// At is the instant that State is judged at. Default: the store's own clock;
	// Keys.List puts its own there.
	At time.Time
	// ExpiresBefore selects the keys with an ExpiresAt before it.
	ExpiresBefore time.Time
	Limit         int    // 1 to MaxLimit. Default: DefaultLimit.
	Cursor        Cursor // Page.Next of the page before. Default: the first page.
}

// Page is a part of a list. Next is "" on the last page. Walking the pages shows
// every key that exists all the while exactly once, whatever is created and
// deleted meanwhile, be it the last key of a page.
type Page struct {
	Keys []*Key
	Next Cursor
}

// Cursor is a position in a list or in a feed: opaque, and good only for whoever
// made it.
type Cursor string
