package bearer

import (
	"net/http"
	"net/url"
	"strings"
)

// finding is what stands in the Authorization field.
type finding uint8

const (
	nothing finding = iota
	token
	twice     // the field is there more than once
	malformed // not the grammar of RFC 6750 section 2.1
)

// fieldToken reads the credentials of RFC 6750 section 2.1 from the fields of
// that name, as far as the token; whoever looks at the token reads its grammar.
// Credentials of another scheme are nothing. Empty fields alone count as absent;
// an empty one beside another is one too many.
func fieldToken(fields []string) (string, finding) {
	if len(fields) != 1 {
		for _, f := range fields {
			if f != "" {
				return "", twice
			}
		}
		return "", nothing
	}
	const scheme = "bearer"
	field := fields[0]
	// The scheme is a token (RFC 9110 section 11.4): in "BearerX" it is another.
	if len(field) < len(scheme) || field[:len(scheme)] != "Bearer" && !strings.EqualFold(field[:len(scheme)], scheme) ||
		len(field) > len(scheme) && isTokenByte(field[len(scheme)]) {
		return "", nothing
	}
	rest := strings.TrimLeft(field[len(scheme):], " ")
	if rest == "" || len(rest)+len(scheme) == len(field) { // no token, or no space before it
		return "", malformed
	}
	return rest, token
}

// isTokenByte is tchar of RFC 9110 section 5.6.2.
func isTokenByte(c byte) bool {
	return b64Token[c] && c != '/' || strings.IndexByte("!#$%&'*^`|", c) >= 0
}

// isB64Token is b64token of RFC 6750 section 2.1.
func isB64Token(s string) bool {
	body := strings.TrimRight(s, "=")
	for i := range len(body) {
		if !b64Token[body[i]] {
			return false
		}
	}
	return body != ""
}

var b64Token = [256]bool{
	'A': true, 'B': true, 'C': true, 'D': true, 'E': true, 'F': true, 'G': true, 'H': true, 'I': true,
	'J': true, 'K': true, 'L': true, 'M': true, 'N': true, 'O': true, 'P': true, 'Q': true, 'R': true,
	'S': true, 'T': true, 'U': true, 'V': true, 'W': true, 'X': true, 'Y': true, 'Z': true,
	'a': true, 'b': true, 'c': true, 'd': true, 'e': true, 'f': true, 'g': true, 'h': true, 'i': true,
	'j': true, 'k': true, 'l': true, 'm': true, 'n': true, 'o': true, 'p': true, 'q': true, 'r': true,
	's': true, 't': true, 'u': true, 'v': true, 'w': true, 'x': true, 'y': true, 'z': true,
	'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true, '8': true, '9': true,
	'-': true, '.': true, '_': true, '~': true, '+': true, '/': true,
}

// inQuery reports whether r carries a token in its URL as well (RFC 6750 section
// 2.3). It is never read from there; beside the field it is one too many.
func inQuery(r *http.Request) bool {
	const name = "access_token"
	if r.URL == nil || r.URL.RawQuery == "" || !strings.Contains(r.URL.RawQuery, name) {
		return false
	}
	values, _ := url.ParseQuery(r.URL.RawQuery) // what is malformed is not there
	return len(values[name]) > 0
}
