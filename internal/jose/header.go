package jose

import "strings"

// Header is what a JWS header says, as far as anything depends on it. All else
// in a header is ignored: keys and addresses that a token brings along (jwk, jku,
// x5u, x5c; RFC 8725 sections 3.10) prove nothing about it.
type Header struct {
	Algorithm   Algorithm
	KeyID       string // "" where there is none: an opaque name and nothing else
	Type        string // the media type in typ, lower case and without "application/"
	ContentType string // that in cty
}

const (
	errAlgorithm Flaw = "the header has no algorithm that is supported"
	errKeyID     Flaw = "the header has a kid that is not a string"
	errType      Flaw = "the header has a typ that is not a string"
	errContent   Flaw = "the header has a cty that is not a string"
	errCritical  Flaw = "the header has crit, and no extension is supported"
	errDetached  Flaw = "the header has b64, which is not supported"
	errZip       Flaw = "the header has zip, which is not for signed tokens"
)

func parseHeader(text []byte) (Header, error) {
	var h Header
	err := Object(text, func(name, value []byte) error {
		var ok bool
		switch string(name) {
		case "alg":
			if len(value) > 2 && value[0] == '"' {
				h.Algorithm = algorithmOf(value[1 : len(value)-1])
			}
		case "kid":
			if h.KeyID, ok = Text(value); !ok {
				return errKeyID
			}
		case "typ":
			if h.Type, ok = mediaType(value); !ok {
				return errType
			}
		case "cty":
			if h.ContentType, ok = mediaType(value); !ok {
				return errContent
			}
		case "crit":
			// RFC 7515 section 4.1.11: an empty list is refused as well as one that
			// names an extension that is not understood, and none is.
			return errCritical
		case "b64":
			// RFC 7797 section 6: it counts only where crit names it.
			return errDetached
		case "zip":
			return errZip // RFC 7516 section 4.1.3 knows it, RFC 7515 does not
		}
		return nil
	})
	if err != nil {
		return Header{}, err
	}
	if h.Algorithm == "" {
		return Header{}, errAlgorithm
	}
	return h, nil
}

// mediaType returns a media type as RFC 7515 section 4.1.9 wants it compared.
func mediaType(value []byte) (string, bool) {
	switch string(value) { // as nearly all write it: nothing to allocate
	case `"JWT"`, `"jwt"`:
		return "jwt", true
	case `"at+jwt"`:
		return "at+jwt", true
	}
	t, ok := Text(value)
	t = strings.ToLower(t)
	if rest, found := strings.CutPrefix(t, "application/"); found && !strings.Contains(rest, "/") {
		t = rest
	}
	return t, ok
}
