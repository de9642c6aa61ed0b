package envelope

import (
	"iter"
	"net/http"
	"strings"
)

// mediaRange is one element of an Accept field.
type mediaRange struct {
	offer
	quality  int // thousandths
	specific int // how precise it is, RFC 9110 section 12.5.1
}

// maxRanges bounds what an Accept field costs: what is listed behind them is
// not looked at.
const maxRanges = 64

// ranges returns the media ranges that r accepts, in the order of the field. An
// element that breaks the grammar is none; a request without a single good one
// accepts everything, as one without the field does.
func ranges(r *http.Request) []mediaRange {
	var all []mediaRange
	for _, field := range r.Header["Accept"] {
		for text := range elements(field, ',') {
			if m, ok := newRange(text); ok {
				all = append(all, m)
			}
			if len(all) == maxRanges {
				return all
			}
		}
	}
	return all
}

func newRange(text string) (m mediaRange, ok bool) {
	m.quality = 1000
	if m.offer, ok = splitMedia(text); !ok {
		// Java's HttpURLConnection says * for */*.
		if strings.TrimRight(strings.TrimSuffix(m.text, m.params), " \t") != "*" {
			return m, false
		}
		m.typ, m.sub = "*", "*"
	}
	switch {
	case m.typ == "*" && m.sub != "*":
		return m, false
	case m.typ == "*":
	case m.sub == "*":
		m.specific = 1
	default:
		m.specific = 2
	}
	for name, value := range parameters(m.params) {
		if strings.EqualFold(name, "q") { // what is behind it is not about the type
			m.quality, ok = parseQuality(value)
			return m, ok
		}
		if !isToken(name) {
			return m, false
		}
		if !isUTF8(name, value) {
			m.specific++
		}
	}
	return m, true
}

// isUTF8 is a parameter that asks for what is sent in any case.
func isUTF8(name, value string) bool {
	return strings.EqualFold(name, "charset") && strings.EqualFold(value, "utf-8")
}

// parseQuality reads a weight (RFC 9110 section 12.4.2). It takes .5 as well,
// which old clients of Java send, and ignores what is behind three digits.
func parseQuality(s string) (thousandths int, ok bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	switch {
	case whole == "1":
		thousandths = 1000
	case whole != "0" && (whole != "" || fraction == ""):
		return 0, false
	}
	for i, unit := 0, 100; i < len(fraction); i, unit = i+1, unit/10 {
		digit := int(fraction[i] - '0')
		if digit < 0 || digit > 9 {
			return 0, false
		}
		thousandths += digit * unit
	}
	return thousandths, thousandths <= 1000
}

// quality returns how much the client wants o: the weight of the most specific
// range that matches it, 0 where none does.
func quality(accepted []mediaRange, o offer) int {
	best, specific := 0, -1
	for i := range accepted {
		m := &accepted[i]
		if m.specific > specific && m.matches(o) {
			best, specific = m.quality, m.specific
		} else if m.specific == specific && m.quality > best && m.matches(o) {
			best = m.quality
		}
	}
	return best
}

func (m *mediaRange) matches(o offer) bool {
	if m.typ != "*" && !strings.EqualFold(m.typ, o.typ) || m.sub != "*" && !strings.EqualFold(m.sub, o.sub) {
		return false
	}
	for name, value := range parameters(m.params) {
		if strings.EqualFold(name, "q") {
			break
		}
		if !isUTF8(name, value) && !o.has(name, value) {
			return false
		}
	}
	return true
}

func (o offer) has(name, value string) bool {
	for n, v := range parameters(o.params) {
		if strings.EqualFold(n, name) && strings.EqualFold(v, value) {
			return true
		}
	}
	return false
}

// choose returns the offer that the client wants most, the earlier one of
// equals; false where it wants none. Without an Accept field it is the first.
func choose(accepted []mediaRange, offers []offer) (o offer, weight int, ok bool) {
	if len(accepted) == 0 {
		return offers[0], 0, true
	}
	for i := range offers {
		if q := quality(accepted, offers[i]); q > weight {
			o, weight, ok = offers[i], q, true
		}
	}
	return o, weight, ok
}

// chooseForError is choose for an error, which is answered whatever the client
// accepts. Besides the offers it may have a vendor type of the house that the
// client names, since nothing can be known of the route while a Guard refuses.
func (env *Envelope) chooseForError(r *http.Request, offers []offer) offer {
	if len(offers) == 1 && env.vendor == "" {
		return offers[0]
	}
	accepted := ranges(r)
	best, weight, ok := choose(accepted, offers)
	if !ok {
		best = offers[0]
	}
	if env.vendor == "" {
		return best
	}
	found := false
	for i := range accepted {
		m := &accepted[i]
		if m.quality == 0 || m.quality < weight || found && m.quality == weight {
			continue
		}
		o, err := newOffer(m.typ + "/" + m.sub)
		if err != nil || !env.isVendor(o) {
			continue
		}
		best, weight, found = o, m.quality, true
	}
	return best
}

func (env *Envelope) isVendor(o offer) bool {
	_, speaksXML := env.style.(XMLStyle)
	return len(o.text) > len(env.vendor) && strings.EqualFold(o.text[:len(env.vendor)], env.vendor) && (speaksXML || !o.xml)
}

// elements yields the non-empty parts of a list, without the white space around
// them. A separator within a quoted string is none (RFC 9110 section 5.6).
func elements(list string, separator byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		quoted, start := false, 0
		for i := 0; i <= len(list); i++ {
			switch {
			case i == len(list) || !quoted && list[i] == separator:
				if part := strings.Trim(list[start:i], " \t"); part != "" && !yield(part) {
					return
				}
				start = i + 1
			case quoted && list[i] == '\\':
				i = min(i+1, len(list)-1)
			case list[i] == '"':
				quoted = !quoted
			}
		}
	}
}

// parameters yields the names and values of the parameters of a media type.
func parameters(params string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if params == "" {
			return
		}
		for p := range elements(params, ';') {
			name, value, _ := strings.Cut(p, "=")
			name, value = strings.Trim(name, " \t"), strings.Trim(value, " \t")
			if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
				value = value[1 : len(value)-1]
			}
			if !yield(name, value) {
				return
			}
		}
	}
}
