package basicauth

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode/utf8"

	"github.com/keystile/keystile"
)

// PasswordHash is a stored password hash: bcrypt, or argon2id in PHC form. It
// prints as REDACTED through fmt, log/slog and encoding/json; string(h) is the
// only way to its content.
type PasswordHash string

const redacted = "REDACTED"

// Format prints REDACTED for every verb.
func (PasswordHash) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns REDACTED.
func (PasswordHash) String() string { return redacted }

// LogValue returns REDACTED.
func (PasswordHash) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns REDACTED.
func (PasswordHash) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// ErrMismatch is returned by Verify for a wrong password.
var ErrMismatch = errors.New("basicauth: the password does not match")

// MaxPassword is the length in bytes of the longest password that Hash takes.
// With a name of MaxName it still fits into MaxCredentials.
const MaxPassword = 512

// Hash returns a new hash of password: argon2id with 19 MiB, two passes and one
// thread, as OWASP recommends, in PHC form. It refuses a password that HTTP Basic
// could not carry: an empty one, one with control characters, one that is not
// UTF-8, one that is longer than MaxPassword.
//
// The password is hashed as it is: nothing is trimmed, and nothing normalised.
func Hash(password keystile.Secret) (PasswordHash, error) {
	switch {
	case password == "":
		return "", errors.New("basicauth: an empty password is never accepted; choose another")
	case len(password) > MaxPassword:
		return "", fmt.Errorf("basicauth: the password is longer than %d bytes; choose a shorter one", MaxPassword)
	}
	if reason := textFlaw(string(password), 0); reason != "" {
		return "", fmt.Errorf("basicauth: the password %s, so that HTTP Basic cannot carry it; choose another", reason)
	}
	salt := make([]byte, defaultSalt)
	_, _ = rand.Read(salt) // never fails: it ends the program instead
	h := &storedHash{kind: defaultKind, salt: salt}
	h.sum = h.argon2id([]byte(password), defaultSum)
	return PasswordHash(h.phc()), nil
}

// Verify returns nil where password is the one that h was made of, ErrMismatch
// where it is not, and another error where h is no hash that this package takes:
// see KindOf. It costs what h costs, before anything is known of the password:
// an Authenticator, unlike Verify, bounds how much of that goes on at once.
//
// A password of 72 bytes or more never matches bcrypt, which would not look at
// what follows.
func Verify(h PasswordHash, password keystile.Secret) error {
	stored, flaw := parseHash(h)
	if flaw != nil {
		return flaw
	}
	if !stored.matches([]byte(password)) || stored.overlong(len(password)) {
		return ErrMismatch
	}
	return nil
}

// textFlaw returns why s cannot be a part of Basic credentials, or "".
func textFlaw(s string, banned byte) string {
	switch {
	case strings.IndexFunc(s, isControl) >= 0:
		return "has a control character"
	case !utf8.ValidString(s):
		return "is not UTF-8"
	case banned != 0 && strings.IndexByte(s, banned) >= 0:
		return "has a colon, which ends the name"
	}
	return ""
}

// isControl is CTL of RFC 5234 appendix B.1, which RFC 7617 section 2 bans.
func isControl(r rune) bool { return r < ' ' || r == 0x7f }
