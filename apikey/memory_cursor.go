package apikey

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"
)

// sealer makes the list cursors of a MemoryStore. A cursor is the position of
// the last key of a page under a MAC over position and query: one that was made
// up, or made for another account, opens nothing.
type sealer struct{ key [32]byte }

func newSealer() sealer {
	var s sealer
	_, _ = rand.Read(s.key[:]) // never fails, crypto/rand
	return s
}

const (
	macSize      = 16
	positionSize = 8 + 4 // seconds and nanoseconds; the ID follows
)

func (s *sealer) seal(q Query, p position) Cursor {
	b := make([]byte, macSize, macSize+positionSize+len(p.id))
	b = appendTime(b, p.created)
	b = append(b, p.id...)
	copy(b, s.mac(q, b[macSize:]))
	return Cursor(base64.RawURLEncoding.EncodeToString(b))
}

func (s *sealer) open(q Query) (*position, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(string(q.Cursor))
	if err != nil || len(b) < macSize+positionSize || strings.ContainsAny(string(q.Cursor), "\r\n") { // the decoder skips line ends
		return nil, ErrInvalidQuery
	}
	if !hmac.Equal(b[:macSize], s.mac(q, b[macSize:])) {
		return nil, ErrInvalidQuery
	}
	b = b[macSize:]
	sec, nsec := int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint32(b[8:]))
	return &position{created: time.Unix(sec, nsec).UTC(), id: string(b[positionSize:])}, nil
}

// mac frames each part by its length, so that account "a" of owner "bc" is not
// account "ab" of owner "c".
func (s *sealer) mac(q Query, payload []byte) []byte {
	h := hmac.New(sha256.New, s.key[:])
	var framed []byte
	for _, part := range [...]string{q.Account, q.Owner, string(q.State)} {
		framed = binary.BigEndian.AppendUint64(framed, uint64(len(part)))
		framed = append(framed, part...)
	}
	h.Write(appendTime(framed, q.ExpiresBefore))
	h.Write(payload)
	return h.Sum(nil)[:macSize]
}

func appendTime(b []byte, t time.Time) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(t.Unix()))
	return binary.BigEndian.AppendUint32(b, uint32(t.Nanosecond()))
}
