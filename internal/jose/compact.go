package jose

import "strings"

// JWS is a token in the compact form (RFC 7515 section 7.1), taken apart and not
// verified. Nothing in it may be believed but what Header was checked for.
type JWS struct {
	Header Header

	input     string // what is signed: the first two parts as they came
	payload   string // encoded
	text      []byte // payload decoded, once it is wanted
	signature []byte
}

const (
	errParts     Flaw = "the token has not three parts"
	errSignature Flaw = "no key verifies the signature"
)

// IsCompact reports whether token looks like a JWS in the compact form: three
// parts of base64url with dots between them. Parts may be empty, as in a token
// without a signature, which is a JWS and a bad one.
func IsCompact(token string) bool {
	_, _, _, ok := split(token)
	return ok
}

func split(token string) (header, payload, signature string, ok bool) {
	header, rest, ok := strings.Cut(token, ".")
	if !ok {
		return "", "", "", false
	}
	if payload, signature, ok = strings.Cut(rest, "."); !ok {
		return "", "", "", false
	}
	// A further dot is no character of the alphabet.
	ok = IsBase64URL(header) && IsBase64URL(payload) && IsBase64URL(signature)
	return header, payload, signature, ok
}

// Parse takes a token apart. The size of the token is the caller's to bound; the
// time is proportional to it. Only the header is read as JSON.
func Parse(token string) (JWS, error) {
	header, payload, signature, ok := split(token)
	if !ok {
		return JWS{}, errParts
	}
	text, err := decodeChecked(header)
	if err != nil {
		return JWS{}, err
	}
	t := JWS{input: token[:len(header)+1+len(payload)], payload: payload}
	if t.Header, err = parseHeader(text); err != nil {
		return JWS{}, err
	}
	if t.signature, err = decodeChecked(signature); err != nil {
		return JWS{}, err
	}
	return t, nil
}

// Unverified returns the payload as it is before a key has vouched for it.
func (t *JWS) Unverified() (_ []byte, err error) {
	if t.text == nil {
		t.text, err = decodeChecked(t.payload)
	}
	return t.text, err
}

// Verify returns the payload where one of the keys verifies the signature with
// the algorithm of the header, and which key that was.
func (t *JWS) Verify(keys []*Key) (payload []byte, by *Key, err error) {
	for _, k := range keys {
		if k.Verify(t.Header.Algorithm, t.input, t.signature) == nil {
			if payload, err = t.Unverified(); err != nil {
				return nil, nil, err
			}
			return payload, k, nil
		}
	}
	return nil, nil, errSignature
}
