package apikey

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"

	"github.com/keystile/keystile"
)

// MaxSecret is the length in bytes above which nothing is taken for a key. It is
// checked before anything else is done with what a client sent.
const MaxSecret = 512

// Alphabet is what the random part of a key is written in.
type Alphabet uint8

// The alphabets.
const (
	Base62    Alphabet = iota // 0-9 A-Z a-z: 5.95 bits a character
	Hex                       // 0-9 a-f: 4 bits a character
	Base64URL                 // A-Z a-z 0-9 - _: 6 bits a character
)

// Checksum is what a key carries so that a mistyped or made-up one is refused
// without asking the store.
type Checksum uint8

// The checksums.
const (
	CRC32      Checksum = iota // 6 characters: CRC-32/IEEE of all bytes before, in 0-9A-Za-z, the most significant first, padded with 0
	NoChecksum                 // none: every well-formed guess that is new costs a read of the store
)

// ShowNothing as Format.Shown makes the hint the prefix alone.
const ShowNothing = -1

// Format is the shape of a key:
//
//	acme_  Xh31…(30 random characters)  0Yb2Qp
//	prefix            random part       checksum
//
// The zero value of every field but Prefix is a good choice.
type Format struct {
	// Prefix begins every key, its separator included: letters, digits, "-" and
	// "_", with "-" or "_" at the end, such as "acme_". It tells people and
	// secret scanners whose key they found. Required.
	Prefix string
	// Alphabet of the random part. Default: Base62.
	Alphabet Alphabet
	// Length of the random part in characters, for at least 128 bits.
	// Default: 30 in Base62, 32 in Hex, 24 in Base64URL.
	Length int
	// Checksum at the end. Default: CRC32.
	Checksum Checksum
	// Shown is how many characters of the random part a hint shows behind the
	// prefix; ShowNothing: none. At least 96 bits stay hidden. Default: 8, or
	// fewer where the random part is short; 4 for LaxFormat.
	Shown int

	lax *laxShape
}

// laxShape is the length of a key, prefix included, of which no more is known.
type laxShape struct{ least, most int }

// LaxFormat is the shape of keys made elsewhere, of which only the prefix, ""
// where there is none, and the whole length, between least and most, can be
// relied on. Behind the prefix every visible ASCII character is taken. Such keys
// are accepted and imported, never issued. Every guess of the right length costs
// a read of the store, so it is for keys that exist already.
func LaxFormat(prefix string, least, most int) Format {
	return Format{Prefix: prefix, Shown: defaultShownLax, lax: &laxShape{least, most}}
}

const (
	minBits         = 128 // OWASP ASVS 5.0, 7.2.3: entropy of a reference token
	minHiddenBits   = 96  // what a hint must leave
	minLaxRest      = 16  // characters behind the prefix
	maxPrefix       = 64
	maxRandom       = 256
	defaultShown    = 8
	defaultShownLax = 4
)

func (a Alphabet) bits() float64 { return math.Log2(float64(len(a.letters()))) }

func (a Alphabet) letters() string {
	switch a {
	case Hex:
		return "0123456789abcdef"
	case Base64URL:
		return "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	}
	return base62
}

// characters returns how many hold the given number of bits.
func (a Alphabet) characters(bits float64) int { return int(math.Ceil(bits / a.bits())) }

func (a Alphabet) defaultLength() int {
	switch a {
	case Hex:
		return 32
	case Base64URL:
		return 24
	}
	return 30
}

// length returns the length of the random part in force.
func (f Format) length() int {
	if f.Length == 0 {
		return f.Alphabet.defaultLength()
	}
	return f.Length
}

// shown returns how much of the random part a hint shows.
func (f Format) shown() int {
	switch {
	case f.Shown == ShowNothing:
		return 0
	case f.Shown != 0:
		return f.Shown
	case f.lax != nil:
		return defaultShownLax
	}
	return max(0, min(defaultShown, f.length()-f.Alphabet.characters(minHiddenBits)))
}

// ConfigErr returns all mistakes of f, as *keystile.ConfigError values joined,
// or nil. New and NewVerifier report them.
func (f Format) ConfigErr() error { return f.configErr("apikey.Format", true) }

// configErr names the fields below field. A format that only accepts may be lax.
func (f Format) configErr(field string, issues bool) error {
	var errs []error
	wrong := func(name string, value any, reason string) {
		errs = append(errs, &keystile.ConfigError{Field: field + name, Value: value, Reason: reason})
	}
	if reason := f.badPrefix(); reason != "" {
		wrong(".Prefix", f.Prefix, reason)
	}
	if f.lax != nil {
		if issues {
			wrong("", nil, "is a LaxFormat, which says too little to make keys; list it in Accept, and set Format to the shape of new keys")
		}
		f.laxErr(wrong)
		return errors.Join(errs...)
	}
	if f.Alphabet > Base64URL {
		wrong(".Alphabet", int(f.Alphabet), "is not an alphabet; use Base62, Hex or Base64URL")
		return errors.Join(errs...)
	}
	if f.Checksum > NoChecksum {
		wrong(".Checksum", int(f.Checksum), "is not a checksum; use CRC32 or NoChecksum")
	}
	least := f.Alphabet.characters(minBits)
	if n := f.length(); n < least || n > maxRandom {
		wrong(".Length", f.Length, fmt.Sprintf("is out of range; use %d, which hold %d bits, to %d characters, or 0 for %d",
			least, minBits, maxRandom, f.Alphabet.defaultLength()))
	} else if most := n - f.Alphabet.characters(minHiddenBits); f.Shown < ShowNothing || f.Shown > most {
		wrong(".Shown", f.Shown, fmt.Sprintf("is out of range; show at most %d characters, so that %d bits stay hidden, or ShowNothing", most, minHiddenBits))
	}
	return errors.Join(errs...)
}

func (f Format) laxErr(wrong func(name string, value any, reason string)) {
	least := len(f.Prefix) + minLaxRest
	if f.lax.least < least || f.lax.most < f.lax.least || f.lax.most > MaxSecret {
		wrong(" of LaxFormat", fmt.Sprintf("%d to %d", f.lax.least, f.lax.most),
			fmt.Sprintf("is not a range of lengths; with this prefix use at least %d, and at most %d bytes", least, MaxSecret))
	}
	if most := minLaxRest / 2; f.Shown < ShowNothing || f.Shown > most {
		wrong(".Shown", f.Shown, fmt.Sprintf("is out of range; show at most %d characters, or ShowNothing", most))
	}
}

func (f Format) badPrefix() string {
	for i := range len(f.Prefix) {
		if !isWordByte(f.Prefix[i]) {
			if f.Prefix[i] == '.' {
				return `has a dot, which would make a key look like a JWT where both come as Bearer; use letters, digits, "-" and "_", such as "acme_"`
			}
			return `has a character that is not a letter, a digit, "-" or "_"; use a prefix such as "acme_"`
		}
	}
	switch {
	case len(f.Prefix) > maxPrefix:
		return fmt.Sprintf("is longer than %d bytes; use a short one such as \"acme_\"", maxPrefix)
	case f.lax != nil:
	case f.Prefix == "":
		return `is empty; name whose keys they are, such as "acme_", so that people and secret scanners recognise them`
	case !strings.HasSuffix(f.Prefix, "_") && !strings.HasSuffix(f.Prefix, "-"):
		return fmt.Sprintf(`does not end with "_" or "-", so that nobody could see where the random part begins; use %q`, f.Prefix+"_")
	}
	return ""
}

func isWordByte(c byte) bool {
	return classes[c]&(1<<Base64URL) != 0
}

// Regexp returns a regular expression, without anchors, that matches the keys of
// this format, for the registration with secret scanners.
func (f Format) Regexp() string {
	prefix := regexp.QuoteMeta(f.Prefix)
	if f.lax != nil {
		return fmt.Sprintf("%s[!-~]{%d,%d}", prefix, f.lax.least-len(f.Prefix), f.lax.most-len(f.Prefix))
	}
	class := [...]string{Base62: "[0-9A-Za-z]", Hex: "[0-9a-f]", Base64URL: "[0-9A-Za-z_-]"}[min(f.Alphabet, Base64URL)]
	if f.Checksum == NoChecksum {
		return fmt.Sprintf("%s%s{%d}", prefix, class, f.length())
	}
	if f.Alphabet == Base62 {
		return fmt.Sprintf("%s%s{%d}", prefix, class, f.length()+crcSize)
	}
	return fmt.Sprintf("%s%s{%d}[0-9A-Za-z]{%d}", prefix, class, f.length(), crcSize)
}

// Check returns why secret is not of this format, or nil. It looks at the length
// first, then at the prefix, then at the checksum and the alphabet. The error
// never repeats the secret. A mistake in f is an error too.
func (f Format) Check(secret keystile.Secret) error {
	if err := f.configErr("apikey.Format", false); err != nil {
		return err
	}
	s := f.compile()
	return s.check(string(secret)).err()
}

// Hint returns what may be shown of secret, and "" where it is not of this
// format.
func (f Format) Hint(secret keystile.Secret) string {
	if f.Check(secret) != nil {
		return ""
	}
	s := f.compile()
	return s.hint(string(secret))
}
