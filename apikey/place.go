package apikey

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/keystile/keystile"
)

// Place is where in a request a key may stand. Its constructors never fail; a
// mistake in their arguments is reported by NewGuard.
type Place struct {
	kind placeKind
	name string // as it is looked up
	err  error
}

type placeKind uint8

const (
	placeNowhere placeKind = iota
	placeHeader
	placeBearer
	placeQuery
	placeCookie
)

// Header is a header field of the key's own, such as X-API-Key, whose whole value
// is the key.
func Header(name string) Place {
	p := Place{kind: placeHeader, name: http.CanonicalHeaderKey(name)}
	switch {
	case !isToken(name):
		p.err = placeErr("Header", name, "is not the name of a header field; use one such as X-API-Key")
	case p.name == "Authorization" || p.name == "Proxy-Authorization":
		p.err = placeErr("Header", name, "holds a scheme and not a key alone; use Bearer() for keys in Authorization")
	case p.name == "Cookie" || p.name == "Set-Cookie":
		p.err = placeErr("Header", name, "holds all cookies; use InsecureCookie for a key in a cookie")
	case p.name == "Host":
		p.err = placeErr("Header", name, "is not kept with the other header fields by net/http; use one such as X-API-Key")
	}
	return p
}

// Bearer is "Authorization: Bearer KEY" (RFC 6750 section 2.1).
func Bearer() Place { return Place{kind: placeBearer} }

// InsecureQuery is a parameter of the URL. It is insecure because URLs end up in
// logs, histories and Referer fields (RFC 6750 section 5.3).
func InsecureQuery(name string) Place {
	p := Place{kind: placeQuery, name: name}
	if name == "" {
		p.err = placeErr("InsecureQuery", name, "is empty; name the parameter, such as api_key")
	}
	return p
}

// InsecureCookie is a cookie. It is insecure because a browser sends it on behalf
// of every site: put protection against cross-site request forgery in front,
// such as http.CrossOriginProtection.
func InsecureCookie(name string) Place {
	p := Place{kind: placeCookie, name: name}
	if !isToken(name) { // RFC 6265 section 4.1.1
		p.err = placeErr("InsecureCookie", name, "is not the name of a cookie; use one such as api_key")
	}
	return p
}

func placeErr(constructor, name, reason string) error {
	return &keystile.ConfigError{Field: "apikey." + constructor, Value: name, Reason: reason}
}

// ConfigErr returns the mistake in the arguments of the constructor, or nil.
func (p Place) ConfigErr() error {
	if p.kind == placeNowhere {
		return &keystile.ConfigError{Field: "apikey.Place", Reason: `is the zero value; use Header("X-API-Key") or Bearer()`}
	}
	return p.err
}

// isToken is token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(c byte) bool {
	return classes[c]&(1<<Base62) != 0 || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// finding is what stands at a place.
type finding uint8

const (
	nothing finding = iota
	key
	twice     // the field is there more than once
	malformed // not the grammar of the place
)

// find looks what stands at p, without copying anything of a header field.
func (p *Place) find(r *http.Request) (string, finding) {
	switch p.kind {
	case placeHeader:
		return single(r.Header[p.name])
	case placeBearer:
		return bearerToken(r.Header["Authorization"])
	case placeQuery:
		if r.URL == nil || r.URL.RawQuery == "" {
			return "", nothing
		}
		values, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil && values.Has(p.name) {
			return "", malformed // what could not be read may have been another key
		}
		return single(values[p.name])
	case placeCookie:
		cookies := r.CookiesNamed(p.name)
		values := make([]string, len(cookies))
		for i, c := range cookies {
			values[i] = c.Value
		}
		return single(values)
	}
	return "", nothing
}

// single returns the only value. Empty fields alone count as absent; an empty
// one beside another is one too many.
func single(values []string) (string, finding) {
	if len(values) == 1 {
		if values[0] == "" {
			return "", nothing
		}
		return values[0], key
	}
	for _, value := range values {
		if value != "" {
			return "", twice
		}
	}
	return "", nothing
}

// bearerToken reads the credentials of RFC 6750 section 2.1 from the fields of
// that name. Those of another scheme are nothing.
func bearerToken(fields []string) (string, finding) {
	field, found := single(fields)
	if found != key {
		return "", found
	}
	const scheme = "bearer"
	// The scheme is a token (RFC 9110 section 11.4): in "BearerX" it is another.
	if len(field) < len(scheme) || !strings.EqualFold(field[:len(scheme)], scheme) ||
		(len(field) > len(scheme) && isTokenByte(field[len(scheme)])) {
		return "", nothing
	}
	token := strings.TrimLeft(field[len(scheme):], " ")
	if len(token)+len(scheme) == len(field) { // no space: nothing, or something else in its place
		return "", malformed
	}
	if len(token) <= MaxSecret && !isB64Token(token) { // what is longer is no key, and not worth reading
		return "", malformed
	}
	return token, key
}

// isB64Token is b64token of RFC 6750 section 2.1.
func isB64Token(s string) bool {
	body := strings.TrimRight(s, "=")
	for i := range len(body) {
		if c := body[i]; classes[c]&(1<<Base64URL) == 0 && c != '.' && c != '~' && c != '+' && c != '/' {
			return false
		}
	}
	return body != ""
}
