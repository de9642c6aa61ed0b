package jose

import "encoding/base64"

// strict refuses what has bits set that no byte needs: two texts for the same
// bytes would be two tokens that verify alike (RFC 4648 section 3.5).
var strict = base64.RawURLEncoding.Strict()

const errBase64 Flaw = "a part is not base64url without padding"

// IsBase64URL reports whether s has characters of base64url only (RFC 4648
// section 5). It is asked before decoding, because encoding/base64 skips line
// breaks.
func IsBase64URL(s string) bool {
	for i := range len(s) {
		if !base64URL[s[i]] {
			return false
		}
	}
	return true
}

func decode(s string) ([]byte, error) {
	if !IsBase64URL(s) {
		return nil, errBase64
	}
	return decodeChecked(s)
}

// decodeChecked is decode for what IsBase64URL has been asked about.
func decodeChecked(s string) ([]byte, error) {
	b, err := strict.DecodeString(s)
	if err != nil {
		return nil, errBase64
	}
	return b, nil
}

var base64URL = [256]bool{
	'A': true, 'B': true, 'C': true, 'D': true, 'E': true, 'F': true, 'G': true, 'H': true, 'I': true,
	'J': true, 'K': true, 'L': true, 'M': true, 'N': true, 'O': true, 'P': true, 'Q': true, 'R': true,
	'S': true, 'T': true, 'U': true, 'V': true, 'W': true, 'X': true, 'Y': true, 'Z': true,
	'a': true, 'b': true, 'c': true, 'd': true, 'e': true, 'f': true, 'g': true, 'h': true, 'i': true,
	'j': true, 'k': true, 'l': true, 'm': true, 'n': true, 'o': true, 'p': true, 'q': true, 'r': true,
	's': true, 't': true, 'u': true, 'v': true, 'w': true, 'x': true, 'y': true, 'z': true,
	'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true, '8': true, '9': true,
	'-': true, '_': true,
}
