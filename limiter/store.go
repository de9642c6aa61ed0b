package limiter

import (
	"context"
	"time"
)

// Store keeps the counters and decides. MemoryStore is one; FromCAS makes one
// of any storage that can compare and swap. Implementations are safe for
// concurrent use.
//
// Each method is one atomic step on one key. Each returns promptly when its
// context ends, with the context's error, and then wrote nothing unless the
// storage had already been asked to write. An error means that the store failed
// and the decision could not be taken; a refusal is no error. After an error it
// may be unknown whether a write happened; a store does not try again where that
// could charge twice.
//
// Stores judge by one clock of their own, and by Decide.
type Store interface {
	// Take decides on d and fills in its results. Where every ask fits, all
	// windows are charged and the lease is taken; else nothing is written. With an
	// error d is not admitted. It may have been charged all the same, and its lease
	// taken: release that.
	Take(ctx context.Context, d *Demand) error

	// Release frees the slots that lease holds under key, and no others. It is
	// fine to release twice, or what has expired, or what never was.
	Release(ctx context.Context, key []byte, lease LeaseID) error

	// Renew makes lease live for ttl from now (0: DefaultLeaseTTL), if it is
	// still held. One that died, or was released, stays so: held is false. It
	// never makes a life shorter.
	Renew(ctx context.Context, key []byte, lease LeaseID, ttl time.Duration) (held bool, err error)

	// Refund gives back what an admitted Take of d charged to windows, as far as
	// those windows are still open, and never below 0. It spends d: Admitted
	// becomes false, and a second Refund gives nothing, after an error too, for
	// then the first may have been done. Leases are not touched.
	Refund(ctx context.Context, d *Demand) error

	// Reset forgets everything under key, leases too.
	Reset(ctx context.Context, key []byte) error

	// Inspect fills in what Take would answer, and writes nothing. The asks show
	// the state as it is, with nothing of d added.
	Inspect(ctx context.Context, d *Demand) error
}

// CASStore is what a storage must offer to become a Store by FromCAS: two
// methods over small opaque blobs. Implementations are safe for concurrent use.
//
// Keys are arbitrary bytes in a string, not text, and differ where any byte does.
type CASStore interface {
	// Load returns the blob under key, nil where there is none, and what the
	// storage's clock says. Without a clock that all writers share it returns the
	// zero time, and FromCAS uses its own: right for a single process only. The
	// blob must be the last one swapped in, not that of a replica which lags.
	Load(ctx context.Context, key string) (blob []byte, now time.Time, err error)

	// Swap puts new in the place of old and reports whether it did: not if what
	// is there differs from old in any byte. A nil old means that there must be
	// none, a nil new that the blob is deleted. After ttl, counted from now, the
	// blob may vanish, and should, but it must not before. An error means that it
	// is unknown whether the swap was done.
	Swap(ctx context.Context, key string, old, new []byte, ttl time.Duration) (swapped bool, err error)
}
