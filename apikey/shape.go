package apikey

import (
	"crypto/rand"
	"errors"
	"hash/crc32"
	"strings"
	"unsafe"

	"github.com/keystile/keystile"
)

// flaw is why a candidate is no key. All flaws are unauthorized; they differ in
// the log only. A later one means that more was right.
type flaw uint8

const (
	flawNone flaw = iota
	flawLength
	flawPrefix
	flawChecksum
	flawAlphabet
)

var (
	errSecretLength   = errors.New("apikey: the candidate has the wrong length")
	errSecretPrefix   = errors.New("apikey: the candidate has the wrong prefix")
	errSecretAlphabet = errors.New("apikey: the candidate has a character that is not in the alphabet")
	errSecretChecksum = errors.New("apikey: the candidate has the wrong checksum")
)

func (f flaw) err() error {
	switch f {
	case flawLength:
		return errSecretLength
	case flawPrefix:
		return errSecretPrefix
	case flawAlphabet:
		return errSecretAlphabet
	case flawChecksum:
		return errSecretChecksum
	}
	return nil
}

const (
	base62  = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	crcSize = 6 // 62^6 > 2^32

	classVisible = 1 << 7
)

// classes tells for each byte which alphabets it is in: bit 1<<Alphabet, and
// classVisible for visible ASCII. It is a literal expression and not filled in
// by code: importing the package runs no init work.
var classes = [256]uint8{
	'!': cVis, '"': cVis, '#': cVis, '$': cVis, '%': cVis, '&': cVis, '\'': cVis, '(': cVis, ')': cVis, '*': cVis, '+': cVis, ',': cVis, '-': cURL, '.': cVis, '/': cVis,
	'0': cHex, '1': cHex, '2': cHex, '3': cHex, '4': cHex, '5': cHex, '6': cHex, '7': cHex, '8': cHex, '9': cHex,
	':': cVis, ';': cVis, '<': cVis, '=': cVis, '>': cVis, '?': cVis, '@': cVis,
	'A': c62, 'B': c62, 'C': c62, 'D': c62, 'E': c62, 'F': c62, 'G': c62, 'H': c62, 'I': c62, 'J': c62, 'K': c62, 'L': c62, 'M': c62,
	'N': c62, 'O': c62, 'P': c62, 'Q': c62, 'R': c62, 'S': c62, 'T': c62, 'U': c62, 'V': c62, 'W': c62, 'X': c62, 'Y': c62, 'Z': c62,
	'[': cVis, '\\': cVis, ']': cVis, '^': cVis, '_': cURL, '`': cVis,
	'a': cHex, 'b': cHex, 'c': cHex, 'd': cHex, 'e': cHex, 'f': cHex, 'g': c62, 'h': c62, 'i': c62, 'j': c62, 'k': c62, 'l': c62, 'm': c62,
	'n': c62, 'o': c62, 'p': c62, 'q': c62, 'r': c62, 's': c62, 't': c62, 'u': c62, 'v': c62, 'w': c62, 'x': c62, 'y': c62, 'z': c62,
	'{': cVis, '|': cVis, '}': cVis, '~': cVis,
}

// The kinds of visible bytes: all of them, those of Base64URL, of Base62, of Hex.
const (
	cVis = classVisible
	cURL = cVis | 1<<Base64URL
	c62  = cURL | 1<<Base62
	cHex = c62 | 1<<Hex
)

// shape is a Format with its defaults filled in, as it is checked.
type shape struct {
	prefix      string
	least, most int   // length of the whole
	body        int   // where the random part ends
	class       uint8 // what the random part is made of
	checksum    bool
	shown       int
	alphabet    Alphabet
}

func (f Format) compile() shape {
	s := shape{prefix: f.Prefix, shown: f.shown(), alphabet: f.Alphabet}
	if f.lax != nil {
		s.least, s.most, s.class = f.lax.least, min(f.lax.most, MaxSecret), classVisible
		return s
	}
	s.body = len(f.Prefix) + f.length()
	s.least, s.class = s.body, 1<<min(f.Alphabet, Base64URL)
	if f.Checksum != NoChecksum {
		s.checksum = true
		s.least += crcSize
	}
	s.most = s.least
	return s
}

// check goes from what is cheap to what is dear.
func (s *shape) check(secret string) flaw {
	if f := s.glance(secret); f != flawNone {
		return f
	}
	end := len(secret)
	if s.checksum {
		end = s.body
	}
	for i := len(s.prefix); i < end; i++ {
		if classes[secret[i]]&s.class == 0 {
			return flawAlphabet
		}
	}
	return flawNone
}

// glance looks at the length first, which no shape allows to be above MaxSecret,
// so that what is longer is not read at all. It is check without the alphabet:
// enough where the digest is about to be looked up in memory, as a right
// checksum of wrong characters is no accident.
func (s *shape) glance(secret string) flaw {
	switch {
	case len(secret) < s.least || len(secret) > s.most:
		return flawLength
	case !strings.HasPrefix(secret, s.prefix):
		return flawPrefix
	case s.checksum && !hasCRC(secret, s.body):
		return flawChecksum
	}
	return flawNone
}

// glanceAll returns the flaw that a candidate has at a glance in all of the
// shapes: that by which it came closest.
func glanceAll(shapes []shape, secret string) flaw {
	closest := flawLength
	for i := range shapes {
		f := shapes[i].glance(secret)
		if f == flawNone {
			return flawNone
		}
		closest = max(closest, f)
	}
	return closest
}

// checkAll is glanceAll that looks closely.
func checkAll(shapes []shape, secret string) flaw {
	closest := flawLength
	for i := range shapes {
		f := shapes[i].check(secret)
		if f == flawNone {
			return flawNone
		}
		closest = max(closest, f)
	}
	return closest
}

// hint shows the prefix and the first characters behind it.
func (s *shape) hint(secret string) string {
	return secret[:min(len(secret), len(s.prefix)+s.shown)]
}

// generate returns a new secret.
func (s *shape) generate() keystile.Secret {
	b := make([]byte, 0, s.most)
	b = append(b, s.prefix...)
	b = appendRandom(b, s.alphabet.letters(), s.body-len(s.prefix))
	if s.checksum {
		b = appendCRC(b)
	}
	return keystile.Secret(b)
}

// appendRandom appends n letters, each as likely as any other: a random byte
// beyond the last full round of the alphabet is thrown away.
func appendRandom(b []byte, letters string, n int) []byte {
	usable := 256 - 256%len(letters)
	var random [64]byte
	for n > 0 {
		_, _ = rand.Read(random[:]) // never fails, crypto/rand
		for _, r := range random {
			if n > 0 && int(r) < usable {
				b = append(b, letters[int(r)%len(letters)])
				n--
			}
		}
	}
	return b
}

func appendCRC(b []byte) []byte {
	sum := crc32.ChecksumIEEE(b)
	at := len(b)
	b = append(b, "000000"...)
	for i := at + crcSize - 1; i >= at; i-- {
		b[i] = base62[sum%62]
		sum /= 62
	}
	return b
}

// hasCRC reports whether the crcSize bytes of s from end on are the checksum of
// those before.
func hasCRC(s string, end int) bool {
	sum := crc32.ChecksumIEEE(bytesOf(s[:end]))
	for i := end + crcSize - 1; i >= end; i-- {
		if s[i] != base62[sum%62] {
			return false
		}
		sum /= 62
	}
	return true
}

// bytesOf returns the bytes of s without copying them, for functions that only
// read: a conversion would cost each request an allocation.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
