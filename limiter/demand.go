package limiter

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// ErrInvalidDemand is what an error wraps that a Store returns for a demand
// which contradicts itself. That is a mistake of the program and no outage.
var ErrInvalidDemand = errors.New("limiter: invalid demand")

// DefaultLeaseTTL is how long a lease lives that is not renewed.
const DefaultLeaseTTL = time.Minute

// LeaseID names the slot that one request holds. It is random, so that none can
// free another's. The zero LeaseID is none.
type LeaseID [16]byte

func (id LeaseID) compare(other LeaseID) int { return bytes.Compare(id[:], other[:]) }

// Demand is one decision: all that is asked, and, after Take or Inspect, what
// came of it. The caller owns it and may use it again; a Store keeps no part of
// it. Instants are microseconds since the Unix epoch.
type Demand struct {
	// Key is the key of the caller, framed so that no two callers share one. Any
	// bytes will do.
	Key []byte
	// Cost is charged to every window. A cost of 0 only looks: it charges
	// nothing, takes no lease and writes nothing. A negative cost is an error.
	Cost int64
	// Asks are all limits of the decision, in any order, each cell once. All fit
	// and all are charged, or nothing is.
	Asks []Ask
	// Lease is the lease to take where one of Asks is Concurrent. Taking one
	// again that is still held takes no second slot, and extends it.
	Lease LeaseID
	// TTL is how long the lease lives, unless renewed. Default: DefaultLeaseTTL.
	TTL time.Duration
	// Now takes the place of the store's own clock, in tests. Default: 0, which
	// does not.
	Now int64

	// Filled by the store:

	// At is what the clock said at the decision. Waits are counted from it.
	At int64
	// Admitted reports that every ask fits and was charged.
	Admitted bool
}

// Ask is what a demand asks of one limit, and the state of the limit's cell
// after the decision. Outlook puts that into the terms of a client.
type Ask struct {
	Cell Cell  // which counter
	N    int64 // what the limit allows

	// Filled by the store:

	Verdict Verdict

	// Of a window: when it opened, and the units charged since, which may exceed
	// N after a plan was lowered. Both are 0 where no window is open.
	Start, Used int64

	// Of a Concurrent: the live leases, and when the first of them will die if
	// it is not renewed; both are 0 where there is none.
	Live, Expiry int64
}

// Verdict is what one limit says to a demand.
type Verdict uint8

// The verdicts. A demand is admitted if all its asks fit.
const (
	Undecided Verdict = iota // the store has not been asked
	Fits
	Full      // not now
	NeverFits // not ever: the cost is above the limit
)

// String returns the verdict in words, for messages and logs.
func (v Verdict) String() string {
	switch v {
	case Fits:
		return "fits"
	case Full:
		return "full"
	case NeverFits:
		return "never fits"
	}
	return "undecided"
}

// Check returns what is wrong with the demand, or nil. Stores call it first. The
// error wraps ErrInvalidDemand.
func (d *Demand) Check() error {
	if d.Cost < 0 {
		return fmt.Errorf("%w: cost %d is negative", ErrInvalidDemand, d.Cost)
	}
	if err := checkTTL(d.TTL); err != nil {
		return err
	}
	leaseless := d.Cost > 0 && d.Lease == (LeaseID{})
	for i := range d.Asks {
		a := &d.Asks[i]
		if a.Cell == (Cell{}) {
			return fmt.Errorf("%w: ask %d has no cell; use Limit.Ask", ErrInvalidDemand, i)
		}
		if a.N < 0 {
			return fmt.Errorf("%w: ask %d allows %d", ErrInvalidDemand, i, a.N)
		}
		if leaseless && a.Cell.Kind() == KindConcurrent {
			return fmt.Errorf("%w: ask %d is of kind %v and there is no lease", ErrInvalidDemand, i, KindConcurrent)
		}
		for j := range i {
			if d.Asks[j].Cell == a.Cell {
				return fmt.Errorf("%w: asks %d and %d are for the same cell", ErrInvalidDemand, j, i)
			}
		}
	}
	return nil
}

func checkTTL(ttl time.Duration) error {
	if ttl < 0 {
		return fmt.Errorf("%w: TTL %v is negative", ErrInvalidDemand, ttl)
	}
	return nil
}

// spend reports whether d is a receipt, and makes it none.
func (d *Demand) spend() bool {
	receipt := d.Admitted && d.Cost > 0
	d.Admitted = false
	return receipt
}

// leaseTTL returns the TTL in microseconds, at least one.
func leaseTTL(d time.Duration) int64 {
	if d == 0 {
		d = DefaultLeaseTTL
	}
	return max(d.Microseconds(), 1)
}
