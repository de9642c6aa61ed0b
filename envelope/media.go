package envelope

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/keystile/keystile"
)

const (
	typeJSON = "application/json"
	typeXML  = "application/xml"
)

// offer is a media type that an answer can have.
type offer struct {
	text     string // as it is sent
	typ, sub string
	params   string // from the first semicolon on
	xml      bool
}

var errNotMedia = errors.New("is neither a JSON nor an XML media type; write one such as application/json, application/xml or application/vnd.acme.contact-v1+json")

// newOffer reads a media type (RFC 9110 section 8.3.1).
func newOffer(text string) (offer, error) {
	o, ok := splitMedia(text)
	if !ok || strings.Contains(o.typ+o.sub, "*") {
		return o, errNotMedia
	}
	switch suffix := strings.ToLower(o.sub[strings.LastIndexByte(o.sub, '+')+1:]); suffix {
	case "json":
	case "xml":
		o.xml = true
	default:
		return o, errNotMedia
	}
	return o, nil
}

// newOffers reads what field lists.
func newOffers(field string, types []string, style Style) ([]offer, error) {
	var errs []error
	offers := make([]offer, 0, len(types))
	for i, text := range types {
		o, err := newOffer(text)
		_, speaksXML := style.(XMLStyle)
		switch {
		case err != nil:
		case o.xml && style != nil && !speaksXML:
			err = errNoXML
		}
		if err != nil {
			errs = append(errs, &keystile.ConfigError{Field: fmt.Sprintf("%s[%d]", field, i), Value: text, Reason: err.Error()})
		}
		offers = append(offers, o)
	}
	return offers, errors.Join(errs...)
}

var errNoXML = errors.New("is XML, which the style cannot say; give the style the methods of XMLStyle, or leave the type out")

// splitMedia cuts a media type or range into its parts.
func splitMedia(text string) (o offer, ok bool) {
	o.text = strings.Trim(text, " \t")
	essence := o.text
	if i := strings.IndexByte(essence, ';'); i >= 0 {
		essence, o.params = strings.TrimRight(essence[:i], " \t"), essence[i:]
	}
	o.typ, o.sub, ok = strings.Cut(essence, "/")
	return o, ok && isToken(o.typ) && isToken(o.sub)
}

// isToken is RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// jsonType reports whether a body of this Content-Type is JSON that a frame can
// hold, and under which type the framed body is sent: a house's own vendor type
// stays; any other +json, such as application/geo+json, would promise what the
// framed body no longer is. RFC 8259 section 11 defines no charset, so the usual
// one goes; JSON in another is no JSON.
func jsonType(contentType string) (framed string, ok bool) {
	switch contentType {
	case typeJSON, typeJSON + "; charset=utf-8", typeJSON + "; charset=UTF-8":
		return typeJSON, true
	}
	o, ok := splitMedia(contentType)
	if !ok || !strings.EqualFold(o.typ, "application") {
		return "", false
	}
	for name, value := range parameters(o.params) {
		if strings.EqualFold(name, "charset") && !strings.EqualFold(value, "utf-8") {
			return "", false
		}
	}
	switch sub := strings.ToLower(o.sub); {
	case sub == "json":
		return typeJSON, true
	case !strings.HasSuffix(sub, "+json"):
		return "", false
	case strings.HasPrefix(sub, "vnd."):
		return contentType, true
	}
	return typeJSON, true
}

// vary says in the answer that it depends on Accept (RFC 9110 section 12.5.5).
func vary(h http.Header) {
	const field = "Vary"
	for _, v := range h[field] {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part == "*" || strings.EqualFold(part, "Accept") {
				return
			}
		}
	}
	h[field] = append(h[field], "Accept")
}
