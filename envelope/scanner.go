package envelope

// scanner follows one JSON text (RFC 8259) byte by byte, in as many pieces as
// it comes, and knows at each byte whether the text can still become valid and
// whether it is complete. A handler's bytes reach a frame only past it: what
// would end the value early, or add a second one, could forge the members of
// the frame. It keeps a bit for each open array or object and no bytes.
type scanner struct {
	state state
	name  bool   // the string being read is the name of a member
	array bool   // the innermost level is an array
	hex   uint8  // digits that a \u still needs
	word  string // what a true, false or null still needs
	depth int
	near  [2]uint64 // the outer levels: a set bit is an array
	deep  []uint64  // the levels inside those
}

type state uint8

const (
	wantValue   state = iota // at depth 0: nothing but white space so far
	wantElement              // behind [
	wantMember               // behind {
	wantName                 // behind a comma in an object
	wantColon
	wantComma // or the end of the array or object
	inString
	inEscape
	inHex
	inWord
	afterMinus
	afterZero
	inInteger
	afterPoint
	inFraction
	afterE
	afterSign
	inExponent
	complete
)

// maxDepth is where encoding/json gives up as well.
const maxDepth = 10_000

// untouched reports whether nothing but white space has come.
func (s *scanner) untouched() bool { return s.state == wantValue && s.depth == 0 }

// valid reports whether the text would be valid if it ended here.
func (s *scanner) valid() bool {
	return s.state == complete || s.depth == 0 && s.endsNumber()
}

// endsNumber reports whether a number can end here.
func (s *scanner) endsNumber() bool {
	switch s.state {
	case afterZero, inInteger, inFraction, inExponent:
		return true
	}
	return false
}

// scan follows p. The value is p[from:to]: white space in front of it and
// behind it is none of it. ok is false when p holds a byte that cannot stand
// where it stands; then the scanner is of no further use.
func scan[T string | []byte](s *scanner, p T) (from, to int, ok bool) {
	if s.untouched() {
		for from < len(p) && isSpace(p[from]) {
			from++
		}
	}
	to = from
	for i := from; i < len(p); i++ {
		switch s.state {
		case inString: // where nearly all bytes of a long text are
			for i < len(p) && !endsRun[p[i]] {
				i++
			}
		case inInteger:
			for i < len(p) && '0' <= p[i] && p[i] <= '9' {
				i++
			}
			to = i
		case complete:
			if !isSpace(p[i]) {
				return from, to, false
			}
			continue
		}
		if i == len(p) {
			return from, i, true
		}
		if !s.step(p[i]) {
			return from, to, false
		}
		if s.state != complete || !isSpace(p[i]) {
			to = i + 1 // else white space has just ended a number at the top
		}
	}
	return from, to, true
}

// endsRun are the bytes of a string that are more than themselves: RFC 8259
// section 7 wants control characters escaped.
var endsRun = [256]bool{
	0x00: true, 0x01: true, 0x02: true, 0x03: true, 0x04: true, 0x05: true, 0x06: true, 0x07: true,
	0x08: true, 0x09: true, 0x0a: true, 0x0b: true, 0x0c: true, 0x0d: true, 0x0e: true, 0x0f: true,
	0x10: true, 0x11: true, 0x12: true, 0x13: true, 0x14: true, 0x15: true, 0x16: true, 0x17: true,
	0x18: true, 0x19: true, 0x1a: true, 0x1b: true, 0x1c: true, 0x1d: true, 0x1e: true, 0x1f: true,
	'"': true, '\\': true,
}

// step follows one byte of an incomplete value; in a string and an integer only
// one that scan has not passed over.
func (s *scanner) step(c byte) bool {
	switch s.state {
	case inString:
		switch c {
		case '"':
			if s.name {
				s.state = wantColon
			} else {
				s.valueEnded()
			}
			return true
		case '\\':
			s.state = inEscape
			return true
		}
		return false
	case wantComma:
		return s.betweenValues(c)
	case wantColon:
		if c == ':' {
			s.state = wantValue
			return true
		}
		return isSpace(c)
	case wantMember, wantName:
		switch {
		case c == '"':
			s.state, s.name = inString, true
			return true
		case c == '}' && s.state == wantMember:
			return s.close(c)
		}
		return isSpace(c)
	case wantElement:
		if c == ']' {
			return s.close(c)
		}
		return s.begin(c)
	case wantValue:
		return s.begin(c)
	case inWord:
		if c != s.word[0] {
			return false
		}
		if s.word = s.word[1:]; s.word == "" {
			s.valueEnded()
		}
		return true
	case inEscape, inHex:
		return s.escapeByte(c)
	}
	if s.numberByte(c) {
		return true
	}
	if !s.endsNumber() {
		return false
	}
	s.valueEnded()
	if s.state == complete {
		return isSpace(c)
	}
	return s.betweenValues(c)
}

// betweenValues follows a byte behind a member or element.
func (s *scanner) betweenValues(c byte) bool {
	switch {
	case c == ',' && s.array:
		s.state = wantValue
		return true
	case c == ',':
		s.state = wantName
		return true
	case c == ']' || c == '}':
		return s.close(c)
	}
	return isSpace(c)
}

// begin follows the first byte of a value.
func (s *scanner) begin(c byte) bool {
	switch c {
	case '"':
		s.state, s.name = inString, false
	case '{':
		s.state = wantMember
		return s.open(false)
	case '[':
		s.state = wantElement
		return s.open(true)
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		s.state = inInteger
	case '0':
		s.state = afterZero
	case '-':
		s.state = afterMinus
	case 't':
		s.state, s.word = inWord, "rue"
	case 'f':
		s.state, s.word = inWord, "alse"
	case 'n':
		s.state, s.word = inWord, "ull"
	default:
		return isSpace(c)
	}
	return true
}

func (s *scanner) escapeByte(c byte) bool {
	if s.state == inHex {
		if s.hex--; s.hex == 0 {
			s.state = inString
		}
		return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
	}
	s.state = inString
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		s.state, s.hex = inHex, 4
		return true
	}
	return false
}

// numberByte reports whether c goes on with the number (RFC 8259 section 6).
func (s *scanner) numberByte(c byte) bool {
	digit := '0' <= c && c <= '9'
	switch s.state {
	case afterMinus:
		switch {
		case c == '0':
			s.state = afterZero
		case digit:
			s.state = inInteger
		}
		return digit
	case afterZero, inInteger:
		switch c {
		case '.':
			s.state = afterPoint
			return true
		case 'e', 'E':
			s.state = afterE
			return true
		}
		return false
	case afterPoint, inFraction:
		if s.state == inFraction && (c == 'e' || c == 'E') {
			s.state = afterE
			return true
		}
		if digit {
			s.state = inFraction
		}
		return digit
	case afterE:
		if c == '+' || c == '-' {
			s.state = afterSign
			return true
		}
	}
	if digit {
		s.state = inExponent
	}
	return digit
}

// open goes a level down, into an array or an object.
func (s *scanner) open(array bool) bool {
	if s.depth == maxDepth {
		return false
	}
	word, bit := s.level(s.depth)
	*word &^= bit
	if array {
		*word |= bit
	}
	s.array = array
	s.depth++
	return true
}

// close goes a level up, when c closes what is open.
func (s *scanner) close(c byte) bool {
	if (c == ']') != s.array {
		return false
	}
	if s.depth--; s.depth > 0 {
		word, bit := s.level(s.depth - 1)
		s.array = *word&bit != 0
	}
	s.valueEnded()
	return true
}

func (s *scanner) valueEnded() {
	s.state = wantComma
	if s.depth == 0 {
		s.state = complete
	}
}

// level returns where the bit of level i is.
func (s *scanner) level(i int) (word *uint64, bit uint64) {
	at, bit := i/64, uint64(1)<<(i%64)
	if at < len(s.near) {
		return &s.near[at], bit
	}
	at -= len(s.near)
	for len(s.deep) <= at {
		s.deep = append(s.deep, 0)
	}
	return &s.deep[at], bit
}

// isSpace is white space of RFC 8259 section 2.
func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }
