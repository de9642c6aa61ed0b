package basicauth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// storedHash is a PasswordHash that has been read.
type storedHash struct {
	kind Kind
	text string // bcrypt: the hash as it stands
	salt []byte // argon2id
	sum  []byte // argon2id
}

// hashFlaw says why a hash is not taken. It holds nothing of the hash but its
// scheme.
type hashFlaw struct{ scheme, reason string }

func (f *hashFlaw) Error() string { return "basicauth: a hash in " + f.scheme + " " + f.reason }

const (
	maxHash = 256

	defaultSalt = 16
	defaultSum  = 32

	minSalt, maxSalt = 8, 64
	minSum, maxSum   = 16, 64

	bcryptLength = 60
	// bcryptBlind is the length from which on bcrypt does not see all of a
	// password: it looks at 72 bytes, of which the last is the terminating NUL in
	// implementations that count it.
	bcryptBlind = 72
)

// parseHash reads h. It accepts one way to write a hash only.
func parseHash(h PasswordHash) (*storedHash, *hashFlaw) {
	text := string(h)
	switch {
	case len(text) > maxHash:
		return nil, &hashFlaw{schemeOf(text[:maxHash]), "is longer than any that is taken"}
	case strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2y$"):
		return parseBcrypt(text)
	case strings.HasPrefix(text, "$argon2id$"):
		return parsePHC(text)
	}
	return nil, &hashFlaw{schemeOf(text), "is not taken; hash the password anew with htpasswd -B -C 12 or basicauth.Hash"}
}

// schemeOf names the scheme of a hash that is not taken.
func schemeOf(text string) string {
	for _, known := range [...]struct{ prefix, name string }{
		{"$argon2id$", "argon2id"}, {"$argon2i$", "argon2i"}, {"$argon2d$", "argon2d"},
		{"$2a$", "bcrypt"}, {"$2b$", "bcrypt"}, {"$2y$", "bcrypt"},
		{"$2x$", "bcrypt with the sign bug (2x)"}, {"$2$", "the first bcrypt (2)"},
		{"$apr1$", "apr1 (MD5)"}, {"$1$", "md5-crypt (MD5)"},
		{"$5$", "sha256-crypt"}, {"$6$", "sha512-crypt"},
		{"{SHA}", "{SHA} (SHA-1 without salt)"}, {"{SSHA}", "{SSHA} (salted SHA-1)"},
		{"$7$", "scrypt"}, {"$scrypt$", "scrypt"}, {"$y$", "yescrypt"}, {"$gy$", "gost-yescrypt"},
		{"$pbkdf2", "PBKDF2"}, {"$", "an unknown scheme"}, {"{", "an unknown scheme"},
	} {
		if strings.HasPrefix(text, known.prefix) {
			return known.name
		}
	}
	switch {
	case text == "":
		return "no scheme (it is empty)"
	case len(text) == 13 && strings.Trim(text, bcryptAlphabet) == "":
		return "crypt (DES, 8 characters) or plaintext"
	}
	return "plaintext or an unknown scheme"
}

const bcryptAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// parseBcrypt reads $2b$NN$ and 53 characters: 22 of salt, 31 of hash.
func parseBcrypt(text string) (*storedHash, *hashFlaw) {
	const name = "bcrypt"
	if len(text) != bcryptLength || text[6] != '$' || !isDigit(text[4]) || !isDigit(text[5]) || strings.Trim(text[7:], bcryptAlphabet) != "" {
		return nil, &hashFlaw{name, "is malformed: it has the form $2b$NN$ and 53 characters"}
	}
	kind := Kind{scheme: schemeBcrypt, cost: uint32(text[4]-'0')*10 + uint32(text[5]-'0')}
	if reason := kind.flaw(); reason != "" {
		return nil, &hashFlaw{fmt.Sprintf("%s cost %d", name, kind.cost), reason}
	}
	return &storedHash{kind: kind, text: text}, nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// parsePHC reads $argon2id$v=19$m=M,t=T,p=P$SALT$SUM, as the PHC string format
// specification writes it: parameters in this order and once, decimals without
// leading zeros, base64 without padding and without stray bits.
func parsePHC(text string) (*storedHash, *hashFlaw) {
	malformed := &hashFlaw{"argon2id", "is malformed: it has the form $argon2id$v=19$m=M,t=T,p=P$SALT$HASH"}
	rest, ok := strings.CutPrefix(text, "$argon2id$v=19$")
	if !ok {
		return nil, malformed
	}
	params, rest, _ := strings.Cut(rest, "$")
	salt, sum, _ := strings.Cut(rest, "$")
	var values [3]uint32
	for i, name := range [...]string{"m=", "t=", "p="} {
		var value string
		value, params, _ = strings.Cut(params, ",")
		if value, ok = strings.CutPrefix(value, name); !ok {
			return nil, malformed
		}
		if values[i], ok = decimal(value); !ok {
			return nil, malformed
		}
	}
	if params != "" {
		return nil, malformed
	}
	h := &storedHash{kind: Kind{schemeArgon2id, values[1], values[0], uint8(min(values[2], 255))}}
	if h.salt, ok = unpadded(salt, minSalt, maxSalt); !ok {
		return nil, malformed
	}
	if h.sum, ok = unpadded(sum, minSum, maxSum); !ok || h.phc() != text && values[2] <= 255 {
		return nil, malformed
	}
	if reason := h.kind.flaw(); reason != "" {
		return nil, &hashFlaw{fmt.Sprintf("argon2id m=%d,t=%d,p=%d", values[0], values[1], values[2]), reason}
	}
	return h, nil
}

// decimal reads a number without sign and leading zeros.
func decimal(s string) (uint32, bool) {
	if s == "" || len(s) > 10 || s[0] == '0' || !isDigit(s[0]) {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil
}

// unpadded reads base64 of an allowed length. That it is written in the one
// canonical way is seen when it is written again.
func unpadded(s string, least, most int) ([]byte, bool) {
	b, err := base64.RawStdEncoding.DecodeString(s)
	return b, err == nil && len(b) >= least && len(b) <= most
}

// phc writes an argon2id hash in PHC form.
func (h *storedHash) phc() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.kind.memory, h.kind.cost, h.kind.lanes,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.sum))
}

// newDummy returns a hash of kind that no known password matches: salt and sum
// are random. It is a hash like any other, so that comparing with it takes what
// comparing with a real one takes; a malformed one would be turned down in
// microseconds.
func newDummy(kind Kind) *storedHash {
	random := func(n int) []byte {
		b := make([]byte, n)
		_, _ = rand.Read(b)
		return b
	}
	if kind.scheme == schemeBcrypt {
		text := base64.NewEncoding(bcryptAlphabet).WithPadding(base64.NoPadding)
		return &storedHash{kind: kind, text: fmt.Sprintf("$2b$%02d$%s%s", kind.cost, text.EncodeToString(random(16)), text.EncodeToString(random(23)))}
	}
	return &storedHash{kind: kind, salt: random(defaultSalt), sum: random(defaultSum)}
}

// hash returns h in the form in which it is stored.
func (h *storedHash) hash() PasswordHash {
	if h.kind.scheme == schemeBcrypt {
		return PasswordHash(h.text)
	}
	return PasswordHash(h.phc())
}

// overlong reports whether h cannot see all of a password of n bytes.
func (h *storedHash) overlong(n int) bool { return h.kind.scheme == schemeBcrypt && n >= bcryptBlind }

// matches compares password with h, in time that depends on neither.
func (h *storedHash) matches(password []byte) bool {
	if h.kind.scheme == schemeBcrypt {
		return bcrypt.CompareHashAndPassword([]byte(h.text), password) == nil
	}
	return subtle.ConstantTimeCompare(h.argon2id(password, len(h.sum)), h.sum) == 1
}

func (h *storedHash) argon2id(password []byte, length int) []byte {
	return argon2.IDKey(password, h.salt, h.kind.cost, h.kind.memory, h.kind.lanes, uint32(length))
}
