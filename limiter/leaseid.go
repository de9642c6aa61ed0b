package limiter

import (
	"crypto/rand"
	"encoding/binary"
	"sync/atomic"
)

// leaseIDs makes lease IDs: 64 random bits for the limiter, 64 that count. No
// two processes make the same, and none costs a system call.
type leaseIDs struct {
	process [8]byte
	next    atomic.Uint64
}

func (l *leaseIDs) init() {
	_, _ = rand.Read(l.process[:]) // never fails: crypto/rand ends the process instead
}

func (l *leaseIDs) new() (id LeaseID) {
	copy(id[:8], l.process[:])
	binary.BigEndian.PutUint64(id[8:], l.next.Add(1))
	return id
}
