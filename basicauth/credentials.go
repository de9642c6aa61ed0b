package basicauth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/keystile/keystile"
)

// MaxCredentials is the length in bytes of the longest credentials that are
// looked at, in base64.
const MaxCredentials = 1024

// finding is what stands in the Authorization field.
type finding uint8

const (
	nothing     finding = iota
	credentials         // of the scheme Basic, good or bad
	twice               // the field is there more than once
)

// find returns what follows the scheme Basic in the fields of that name, without
// copying anything. Credentials of another scheme are nothing.
//
// The scheme is a token, matched in any case, and one or more spaces part it from
// what follows (RFC 9110 section 11.4): "BasicX" is another scheme, and a tab or
// nothing at all behind "Basic" leaves credentials that decode refuses.
func find(fields []string) (encoded string, found finding) {
	if len(fields) != 1 {
		for _, field := range fields {
			if field != "" {
				return "", twice
			}
		}
		return "", nothing
	}
	const scheme = "basic"
	field := fields[0]
	if rest, usual := strings.CutPrefix(field, "Basic "); usual && rest != "" && rest[0] != ' ' {
		return rest, credentials
	}
	if len(field) < len(scheme) || !strings.EqualFold(field[:len(scheme)], scheme) {
		return "", nothing
	}
	rest := field[len(scheme):]
	if rest != "" && isTokenByte(rest[0]) {
		return "", nothing
	}
	encoded = strings.TrimLeft(rest, " ")
	if len(encoded) == len(rest) {
		return "", credentials
	}
	return encoded, credentials
}

// isTokenByte is tchar of RFC 9110 section 5.6.2.
func isTokenByte(c byte) bool {
	switch {
	case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// Why credentials cannot be read. They are 401 with a challenge: the client's
// next attempt may be better.
var (
	errLength   = unreadable("the credentials are missing or longer than 1 KiB")
	errBase64   = unreadable("the credentials are not canonical base64 with padding")
	errColon    = unreadable("the credentials have no colon")
	errNoName   = unreadable("the user name is empty")
	errNoSecret = unreadable("the password is empty")
	errControl  = unreadable("the credentials have a control character")
	errUTF8     = unreadable("the credentials are not UTF-8")
)

func unreadable(reason string) *keystile.Error {
	return refusal(keystile.CodeUnauthorized, "", errors.New("basicauth: "+reason))
}

// reader reads credentials and makes digests of them. Readers are used again and
// again, so that a request allocates none.
type reader struct {
	base64  *base64.Encoding
	mac     hash.Hash
	encoded [MaxCredentials]byte
	text    [MaxCredentials]byte // decoded
	used    int                  // of encoded, and so of text
	name    []byte               // in text
	secret  []byte               // in text
	sum     digest
}

// digest is the HMAC of credentials as they were sent, under a key that only this
// process has. There is one way to write a name and a password, and one way to
// read it: base64 is canonical, and the first colon ends the name. So logins that
// differ have digests that differ, wherever their colons are.
type digest [sha256.Size]byte

// readers hands out readers that share a key.
type readers struct{ pool sync.Pool }

func newReaders(key []byte) *readers {
	strict := base64.StdEncoding.Strict() // no stray bits in the last character
	return &readers{sync.Pool{New: func() any { return &reader{base64: strict, mac: hmac.New(sha256.New, key)} }}}
}

func (rs *readers) get() *reader { return rs.pool.Get().(*reader) }

// put takes r back, without what it has read.
func (rs *readers) put(r *reader) {
	clear(r.encoded[:r.used])
	if r.name != nil {
		clear(r.text[:r.used])
	}
	r.used, r.name, r.secret = 0, nil, nil
	rs.pool.Put(r)
}

// load takes the credentials, and returns their digest. It looks at their length
// only: what was never read is not remembered either.
func (r *reader) load(encoded string) (digest, *keystile.Error) {
	if encoded == "" || len(encoded) > MaxCredentials {
		return digest{}, errLength
	}
	r.used = copy(r.encoded[:], encoded)
	r.mac.Reset()
	_, _ = r.mac.Write(r.encoded[:r.used]) // never fails
	r.mac.Sum(r.sum[:0])
	return r.sum, nil
}

// read decodes name and password (RFC 7617 section 2). Both are what the client
// sent, byte for byte. The name ends at the first colon; the password may have
// more of them.
//
// Base64 must be the standard alphabet, padded and canonical (RFC 4648 sections
// 3.2 and 3.5), so that there is one way to write credentials.
func (r *reader) read() *keystile.Error {
	encoded := r.encoded[:r.used]
	if bytes.ContainsAny(encoded, "\r\n") {
		return errBase64 // the decoder would skip them
	}
	n, err := r.base64.Decode(r.text[:], encoded)
	if err != nil {
		clear(r.text[:r.used])
		return errBase64
	}
	text := r.text[:n]
	r.name, r.secret, _ = bytes.Cut(text, []byte(":"))
	for _, c := range text {
		if isControl(rune(c)) {
			return errControl
		}
	}
	switch {
	case !utf8.Valid(text):
		return errUTF8
	case len(r.name) == n:
		return errColon
	case len(r.name) == 0:
		return errNoName
	case len(r.secret) == 0:
		return errNoSecret
	}
	return nil
}
