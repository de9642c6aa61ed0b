package apikey

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// logSize is how many changes a MemoryStore remembers: a reader that is further
// behind starts anew.
const logSize = 1 << 14

// changeLog numbers the changes of a store from 1 and keeps the last of them.
type changeLog struct {
	epoch string
	head  int64 // the number of the last change
	ring  []Change
}

// record takes c, whose slices are the log's from now on, and returns its number.
func (l *changeLog) record(c Change) int64 {
	if len(l.ring) < logSize {
		l.ring = append(l.ring, c)
	} else {
		l.ring[l.head%logSize] = c
	}
	l.head++
	return l.head
}

func (l *changeLog) cursor(number int64) Cursor {
	return Cursor(l.epoch + "." + strconv.FormatInt(number, 10))
}

// number returns what cursor made c from.
func (l *changeLog) number(c Cursor) (int64, error) {
	epoch, digits, found := strings.Cut(string(c), ".")
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case !found || err != nil || epoch != l.epoch || l.cursor(n) != c: // one spelling
		return 0, ErrCursorLost
	case n < l.head-int64(len(l.ring)) || n > l.head:
		return 0, ErrCursorLost
	}
	return n, nil
}

// Head implements Feed.
func (m *MemoryStore) Head(ctx context.Context) (Cursor, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.log.cursor(m.log.head), nil
}

// Changes implements Feed.
func (m *MemoryStore) Changes(ctx context.Context, after Cursor, limit int) ([]Change, Cursor, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	if limit < 1 {
		return nil, "", ErrInvalidQuery
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.log.number(after)
	if err != nil {
		return nil, "", err
	}
	var changes []Change
	for ; n < m.log.head && len(changes) < limit; n++ {
		c := m.log.ring[n%logSize]
		c.Digests = slices.Clone(c.Digests)
		changes = append(changes, c)
	}
	return changes, m.log.cursor(n), nil
}
