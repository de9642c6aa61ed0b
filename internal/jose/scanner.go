package jose

import (
	"bytes"
	"unicode/utf8"
)

// MaxDepth is how deep objects and arrays may be nested. It also bounds the
// recursion.
const MaxDepth = 32

// Flaw is why something is refused. Its text says nothing of the content, so it
// may be logged. The caller puts the name of its package in front.
type Flaw string

// Error implements error.
func (f Flaw) Error() string { return string(f) }

const (
	errNoObject   Flaw = "the text is not a JSON object"
	errNoArray    Flaw = "the value is not a JSON array"
	errEnd        Flaw = "the JSON text ends too early"
	errUnexpected Flaw = "the JSON text has a character in the wrong place"
	errTrailing   Flaw = "something follows the JSON text"
	errControl    Flaw = "a JSON string holds a control character"
	errEscape     Flaw = "a JSON string holds a broken escape"
	errSurrogate  Flaw = "a JSON string holds half a surrogate pair"
	errUTF8       Flaw = "a JSON string is not UTF-8"
	errNumber     Flaw = "a JSON number is malformed"
	errDepth      Flaw = "the JSON text is nested too deeply"
	errTwice      Flaw = "a JSON object has a name twice"
)

// Object reads text as one JSON object (RFC 8259) and calls visit for each member
// of it, with the name unescaped and the value as it stands. Neither may be
// changed. The first error of visit ends it.
//
// It is stricter than encoding/json: a name that is there twice, at any depth and
// however it is escaped, is an error (RFC 7515 section 4, RFC 7519 section 4, RFC
// 7517 section 4: "must be unique"), and so is a string that is not Unicode (RFC
// 7493 section 2.1). What encoding/json refuses it refuses too. visit may see
// members before the text turns out to be malformed.
func Object(text []byte, visit func(name, value []byte) error) error {
	s := scanner{text: text}
	s.space()
	if s.peek() != '{' {
		return errNoObject
	}
	if err := s.object(visit); err != nil {
		return err
	}
	s.space()
	if s.at != len(text) {
		return errTrailing
	}
	return nil
}

// Array calls visit for each element of a value that Object gave.
func Array(value []byte, visit func(element []byte) error) error {
	s := scanner{text: value}
	if s.peek() != '[' {
		return errNoArray
	}
	return s.array(visit)
}

type scanner struct {
	text  []byte
	at    int
	depth int
}

// peek returns the next byte, 0 at the end: no value begins with one.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

func (s *scanner) space() {
	if s.peek() <= ' ' { // in most tokens there is none
		s.skip()
	}
}

func (s *scanner) skip() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// unexpected returns what is wrong where the next byte is none that may come.
func (s *scanner) unexpected() error {
	if s.at == len(s.text) {
		return errEnd
	}
	return errUnexpected
}

func (s *scanner) value() error {
	switch c := s.peek(); c {
	case '{':
		return s.object(nil)
	case '[':
		return s.array(nil)
	case '"':
		_, _, err := s.str()
		return err
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return s.number()
	}
	return s.unexpected()
}

func (s *scanner) literal(word string) error {
	if !bytes.HasPrefix(s.text[s.at:], []byte(word)) {
		return errUnexpected
	}
	s.at += len(word)
	return nil
}

func (s *scanner) enter() error {
	s.at++
	if s.depth++; s.depth > MaxDepth {
		return errDepth
	}
	s.space()
	return nil
}

func (s *scanner) object(visit func(name, value []byte) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	var known names
	for first := true; s.peek() != '}'; first = false {
		if !first {
			if s.peek() != ',' {
				return s.unexpected()
			}
			s.at++
			s.space()
		}
		if s.peek() != '"' {
			return s.unexpected()
		}
		name, escaped, err := s.str()
		if err != nil {
			return err
		}
		if escaped {
			name = unescape(name)
		}
		if !known.add(name) {
			return errTwice
		}
		s.space()
		if s.peek() != ':' {
			return s.unexpected()
		}
		s.at++
		s.space()
		start := s.at
		if err := s.value(); err != nil {
			return err
		}
		if visit != nil {
			if err := visit(name, s.text[start:s.at]); err != nil {
				return err
			}
		}
		s.space()
	}
	s.at++
	s.depth--
	return nil
}

func (s *scanner) array(visit func(element []byte) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	for first := true; s.peek() != ']'; first = false {
		if !first {
			if s.peek() != ',' {
				return s.unexpected()
			}
			s.at++
			s.space()
		}
		start := s.at
		if err := s.value(); err != nil {
			return err
		}
		if visit != nil {
			if err := visit(s.text[start:s.at]); err != nil {
				return err
			}
		}
		s.space()
	}
	s.at++
	s.depth--
	return nil
}

// str reads a string and returns what is between its quotation marks, and whether
// there are escapes in it.
func (s *scanner) str() (inner []byte, escaped bool, err error) {
	s.at++
	start, ascii := s.at, true
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			inner = s.text[start:s.at]
			s.at++
			if !ascii && !utf8.Valid(inner) {
				return nil, false, errUTF8
			}
			return inner, escaped, nil
		case c == '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return nil, false, err
			}
		case c < ' ':
			return nil, false, errControl
		default:
			ascii = ascii && c < utf8.RuneSelf
			s.at++
		}
	}
	return nil, false, errEnd
}

func (s *scanner) escape() error {
	s.at++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at++
		return nil
	case 'u':
	default:
		return errEscape
	}
	switch r, ok := s.hex(); {
	case !ok:
		return errEscape
	case r < 0xD800 || r > 0xDFFF:
		return nil
	case r > 0xDBFF || s.at+1 >= len(s.text) || s.text[s.at] != '\\' || s.text[s.at+1] != 'u':
		return errSurrogate
	}
	s.at++
	switch r, ok := s.hex(); {
	case !ok:
		return errEscape
	case r < 0xDC00 || r > 0xDFFF:
		return errSurrogate
	}
	return nil
}

// hex reads the u of an escape and the four digits behind it.
func (s *scanner) hex() (r rune, ok bool) {
	if len(s.text)-s.at < 5 {
		return 0, false
	}
	for _, c := range s.text[s.at+1 : s.at+5] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	s.at += 5
	return r, true
}

// number reads number of RFC 8259 section 6.
func (s *scanner) number() error {
	if s.peek() == '-' {
		s.at++
	}
	if s.peek() == '0' {
		s.at++
	} else if !s.digits() {
		return errNumber
	}
	if s.peek() == '.' {
		s.at++
		if !s.digits() {
			return errNumber
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		if !s.digits() {
			return errNumber
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	start := s.at
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.at++
	}
	return s.at > start
}
