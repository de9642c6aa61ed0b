package apikey

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Digest is what a store keeps in place of a secret: SHA-256 of it, or
// HMAC-SHA-256 of it under a pepper. Stores keep it as 32 bytes, or as the 64
// lower-case hexadecimal digits of [Digest.Hex].
//
// A Digest opens nothing, but it can be used to test a guess and to recognise a
// key elsewhere, so it prints as REDACTED through fmt, log/slog and
// encoding/json. Hex and the 32 bytes themselves are the ways to its content.
type Digest [sha256.Size]byte

const redacted = "REDACTED"

var errBadDigest = errors.New("apikey: a digest is 64 lower-case hexadecimal digits")

// ParseDigest reads what Hex wrote. The error does not repeat s.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != hex.EncodedLen(len(d)) {
		return Digest{}, errBadDigest
	}
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'F' { // one spelling, so that stores may compare text
			return Digest{}, errBadDigest
		}
	}
	if _, err := hex.Decode(d[:], []byte(s)); err != nil {
		return Digest{}, errBadDigest
	}
	return d, nil
}

// Hex returns d as 64 lower-case hexadecimal digits, for stores.
func (d Digest) Hex() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d is all zero: the digest of nothing, which no store
// ever finds.
func (d Digest) IsZero() bool { return d == Digest{} }

// head and tail are numbers to spread digests by; rest is what is not in head.
func (d *Digest) head() uint64   { return binary.LittleEndian.Uint64(d[:8]) }
func (d *Digest) tail() uint64   { return binary.LittleEndian.Uint64(d[len(d)-8:]) }
func (d *Digest) rest() [24]byte { return [24]byte(d[8:]) }

// Equal compares in constant time.
func (d Digest) Equal(other Digest) bool {
	return subtle.ConstantTimeCompare(d[:], other[:]) == 1
}

// Format prints REDACTED for every verb.
func (Digest) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns REDACTED.
func (Digest) String() string { return redacted }

// LogValue returns REDACTED.
func (Digest) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns REDACTED.
func (Digest) MarshalText() ([]byte, error) { return []byte(redacted), nil }
