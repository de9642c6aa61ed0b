package limiter

import (
	"encoding/binary"
	"errors"
	"time"
	"unique"
)

// Kind is the way in which a limit counts.
type Kind uint8

// The kinds. Their numbers are part of what stores keep and never change.
const (
	// KindWindow counts units in a window that opens with the first charge.
	KindWindow Kind = 1
	// KindConcurrent counts requests in flight, each by its lease.
	KindConcurrent Kind = 2
)

// String returns the kind's name, for messages and logs.
func (k Kind) String() string {
	switch k {
	case KindWindow:
		return "window"
	case KindConcurrent:
		return "concurrent"
	}
	return "no kind"
}

// Cell is the identity of one counter below a key: the kind, period and name of
// its limit, and the sub-key where the limit has Within. Cells are equal exactly
// if they mean the same counter, in every process, and comparing them compares
// two words. The number that a limit allows is no part of it: a plan that is
// raised or lowered finds what was used before.
//
// A cell has one period for ever. So its state alone says when it is dead, and a
// store may drop what is dead without changing an answer.
type Cell struct {
	is unique.Handle[identity]
}

// identity is what a cell is: an ID that says it all, and what is read from it
// over and over.
type identity struct {
	id     string
	period int64 // µs
	kind   Kind
}

// The ID of a cell is its kind in one byte, its period in 8 bytes, the name with
// its length before it, and so the sub-key, if any. No ID can be read in two ways.
const cellHead = 1 + 8

func newCell(kind Kind, period int64, name string) Cell {
	b := append(make([]byte, 0, cellHead+1+len(name)), byte(kind))
	b = binary.BigEndian.AppendUint64(b, uint64(period))
	b = binary.AppendUvarint(b, uint64(len(name)))
	return makeCell(append(b, name...), kind, period)
}

func makeCell(id []byte, kind Kind, period int64) Cell {
	return Cell{unique.Make(identity{string(id), period, kind})}
}

// within returns the cell of sub below c. An empty sub-key is one like any other.
func (c Cell) within(sub []byte) Cell {
	var scratch [128]byte
	b := append(scratch[:0], c.ID()...)
	b = binary.AppendUvarint(b, uint64(len(sub)))
	return makeCell(append(b, sub...), c.Kind(), c.period())
}

var errCell = errors.New("limiter: not the ID of a cell")

// parseCell is the inverse of ID. It takes nothing that ID does not return.
func parseCell(id []byte) (Cell, error) {
	if len(id) < cellHead {
		return Cell{}, errCell
	}
	kind, period := Kind(id[0]), int64(binary.BigEndian.Uint64(id[1:]))
	switch {
	case kind == KindWindow && period >= 1:
	case kind == KindConcurrent && period == 0:
	default:
		return Cell{}, errCell
	}
	name, rest, ok := cutFrame(id[cellHead:])
	if !ok || len(name) == 0 {
		return Cell{}, errCell
	}
	if len(rest) > 0 {
		if _, rest, ok = cutFrame(rest); !ok || len(rest) > 0 {
			return Cell{}, errCell
		}
	}
	return makeCell(id, kind, period), nil
}

// cutFrame splits b behind the bytes whose length it begins with.
func cutFrame(b []byte) (frame, rest []byte, ok bool) {
	length, b, ok := cutUvarint(b)
	if !ok || length > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:length], b[length:], true
}

// cutUvarint splits b behind the number it begins with. It refuses a number
// that could be written shorter: one value has one form.
func cutUvarint(b []byte) (value uint64, rest []byte, ok bool) {
	value, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, nil, false
	}
	return value, b[n:], true
}

// ID returns the bytes that stand for the cell wherever a store keeps it.
func (c Cell) ID() string {
	if c == (Cell{}) {
		return ""
	}
	return c.is.Value().id
}

// Kind returns the kind of the cell's limit; 0 for the zero Cell.
func (c Cell) Kind() Kind {
	if c == (Cell{}) {
		return 0
	}
	return c.is.Value().kind
}

// Period returns the period of the cell's limit; 0 where its kind has none.
func (c Cell) Period() time.Duration {
	if c == (Cell{}) {
		return 0
	}
	return time.Duration(c.period()) * time.Microsecond
}

// period is Period in microseconds, of a cell that is not zero.
func (c Cell) period() int64 { return c.is.Value().period }
