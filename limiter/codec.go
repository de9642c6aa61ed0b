package limiter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

// ErrCorruptState is what an error wraps that finds stored bytes to be no State,
// or that of a newer release. They are never taken for an absent one. Reset
// removes them.
var ErrCorruptState = errors.New("limiter: corrupt state")

// A stored State is a version, the instant of the last write, one record per
// cell in the order of their IDs, and a checksum (CRC-32C, big-endian) of all
// before it. A record is the ID of the cell, with its length before it, and
//
//	for a window      start, used
//	for a Concurrent  how many leases, and ID and expiry of each, by ID
//
// Numbers are uvarints in their shortest form. One State has one form. A kind
// that is added later is a record of its own, so that the version needs to change
// only if these do.
const codecVersion = 1

const checksumSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendBinary appends the stored form of s to b. It drops what was dead at the
// last write, and sorts the rest. It never fails.
func (s *State) AppendBinary(b []byte) ([]byte, error) {
	s.prune(s.seen)
	s.sort()
	from := len(b)
	b = append(b, codecVersion)
	b = binary.AppendUvarint(b, uint64(s.seen))
	for i := range s.windows {
		w := &s.windows[i]
		b = appendFrame(b, w.cell.ID())
		b = binary.AppendUvarint(b, uint64(w.start))
		b = binary.AppendUvarint(b, uint64(w.used))
	}
	for rest := s.leases; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].cell == rest[0].cell {
			n++
		}
		b = appendFrame(b, rest[0].cell.ID())
		b = binary.AppendUvarint(b, uint64(n))
		for i := range rest[:n] {
			b = append(b, rest[i].id[:]...)
			b = binary.AppendUvarint(b, uint64(rest[i].expiry))
		}
		rest = rest[n:]
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli)), nil
}

func appendFrame(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// UnmarshalBinary reads what AppendBinary wrote, and nothing else: what is cut
// short, altered, followed by something, or written by a newer release is an
// error that wraps ErrCorruptState. The bytes are not kept.
func (s *State) UnmarshalBinary(b []byte) error {
	if len(b) < 1+checksumSize {
		return corrupt("%d bytes are too few", len(b))
	}
	if b[0] != codecVersion {
		return corrupt("version %d is not one this release reads (%d)", b[0], codecVersion)
	}
	body, sum := b[:len(b)-checksumSize], b[len(b)-checksumSize:]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(sum) {
		return corrupt("the checksum of its %d bytes is wrong", len(b))
	}
	r := reader{rest: body[1:]}
	read := State{seen: r.number()}
	for last := ""; r.err == nil && len(r.rest) > 0; {
		c := r.cell()
		if r.err == nil && strings.Compare(last, c.ID()) >= 0 {
			r.fail("a cell is out of order")
		}
		if r.err != nil {
			break
		}
		last = c.ID()
		switch c.Kind() {
		case KindWindow:
			read.windows = append(read.windows, window{cell: c, start: r.number(), used: r.number()})
		case KindConcurrent:
			read.leases = r.leases(read.leases, c)
		}
	}
	if r.err == nil {
		read.check(&r)
	}
	if r.err != nil {
		return r.err
	}
	*s = read
	return nil
}

// check refuses what no writer leaves behind: the instants of a State fit
// together, for what was dead at its last write was dropped then.
func (s *State) check(r *reader) {
	if s.seen > lastInstant || (s.seen == 0) != s.empty() {
		r.fail("the instant of the last write is impossible")
	}
	for i := range s.windows {
		if w := &s.windows[i]; w.start == 0 || w.start > s.seen || !w.liveAt(s.seen) {
			r.fail("a window was not open at the last write")
		}
	}
	for i := range s.leases {
		if !s.leases[i].liveAt(s.seen) {
			r.fail("a lease was dead at the last write")
		}
	}
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrCorruptState}, args...)...)
}

// reader takes a blob apart. After a failure everything it returns is zero.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(reason string) {
	if r.err == nil {
		r.err = corrupt("%s", reason)
	}
	r.rest = nil
}

// number returns a number that an int64 can hold.
func (r *reader) number() int64 {
	n, rest, ok := cutUvarint(r.rest)
	if !ok || int64(n) < 0 {
		r.fail("a number is broken")
		return 0
	}
	r.rest = rest
	return int64(n)
}

func (r *reader) cell() Cell {
	id, rest, ok := cutFrame(r.rest)
	if !ok {
		r.fail("a cell is cut short")
		return Cell{}
	}
	c, err := parseCell(id)
	if err != nil {
		r.fail("a cell is none that this release knows")
		return Cell{}
	}
	r.rest = rest
	return c
}

// leases appends those of c.
func (r *reader) leases(all []slot, c Cell) []slot {
	count := r.number()
	if r.err == nil && count == 0 {
		r.fail("a cell has no leases")
	}
	for last := (LeaseID{}); r.err == nil && count > 0; count-- {
		l := slot{cell: c}
		if copy(l.id[:], r.rest) < len(l.id) {
			r.fail("a lease is cut short")
			break
		}
		r.rest = r.rest[len(l.id):]
		if l.id.compare(last) <= 0 {
			r.fail("a lease is out of order")
		}
		l.expiry, last = r.number(), l.id
		all = append(all, l)
	}
	return all
}
