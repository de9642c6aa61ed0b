package apikey

import "context"

// Feed tells what has changed in a store, so that every process can forget what
// it remembers. It is given to New by itself, so that a decorator around the
// store cannot make it vanish.
//
// Changes come in the order in which they were committed and none is skipped:
// in SQL, take the revision from one counter row that the same transaction
// updates. A change may come more than once. Touch is no change.
//
// A cursor carries the epoch of the store, which a restored backup must not
// share. The general rules of Finder hold.
type Feed interface {
	// Head returns the position behind the last change.
	Head(ctx context.Context) (Cursor, error)

	// Changes returns at most limit changes that follow after, and the cursor
	// behind the last of them; fewer than limit: there are no more now.
	// ErrCursorLost: after is of another epoch, too old, ahead of the head or no
	// cursor at all. A limit below one is ErrInvalidQuery.
	Changes(ctx context.Context, after Cursor, limit int) ([]Change, Cursor, error)
}

// Change says that a key was created, updated or deleted.
type Change struct {
	ID string
	// Digests are those of all secrets of the key before and after the change:
	// those removed are named too. Where they are not known the list is empty,
	// and more is forgotten than need be.
	Digests []Digest
	Deleted bool
}
