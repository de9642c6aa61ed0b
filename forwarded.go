package keystile

import (
	"net/netip"
	"strings"
)

// hop is one element of a Forwarded field (RFC 7239 section 4).
type hop struct {
	node  string // the for parameter; "" where there is none
	proto string
}

// parseForwarded reads all elements of all Forwarded fields, in their order. It
// returns false where the grammar is broken: half a list proves nothing.
func parseForwarded(fields []string) ([]hop, bool) {
	var hops []hop
	for _, field := range fields {
		s := scanner{rest: field}
		for {
			h, named, ok := s.element()
			if !ok {
				return nil, false
			}
			if named {
				hops = append(hops, h)
			}
			if s.rest == "" {
				break
			}
			if !s.take(',') {
				return nil, false
			}
		}
	}
	return hops, true
}

// walkForwarded is walk over parsed hops, with the proto that each gave.
func (c *ClientIP) walkForwarded(addr netip.Addr, tls bool, hops []hop) (netip.Addr, bool) {
	for i := len(hops) - 1; i >= 0; i-- {
		next, ok := forwardedNode(hops[i].node)
		if !ok {
			return netip.Addr{}, false
		}
		// Each hop says how it was reached. One that does not say is not believed
		// to be encrypted, whatever those nearer say.
		tls = strings.EqualFold(hops[i].proto, "https")
		if addr = next; !c.trusts(addr) {
			return addr, tls
		}
	}
	return addr, tls
}

// forwardedNode reads an address as RFC 7239 section 6 writes it: IPv6 in
// brackets, a port allowed. "unknown" and obfuscated names are no address.
func forwardedNode(node string) (netip.Addr, bool) {
	if !strings.HasPrefix(node, "[") && strings.Count(node, ":") > 1 {
		return netip.Addr{}, false
	}
	return forwardedFor(node)
}

// scanner reads the grammar of RFC 9110 section 5.6 from the front.
type scanner struct{ rest string }

func (s *scanner) space() { s.rest = strings.TrimLeft(s.rest, " \t") }

// take drops c, and white space around it, if it comes next.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	s.space()
	return true
}

// element reads name=value pairs up to a comma or the end. A parameter that is
// named twice breaks the grammar (RFC 7239 section 4).
func (s *scanner) element() (h hop, named, ok bool) {
	var sawFor, sawProto bool
	s.space()
	for {
		if s.rest == "" || s.rest[0] == ',' {
			return h, named, true
		}
		if s.rest[0] != ';' {
			name, ok := s.token()
			if !ok || s.rest == "" || s.rest[0] != '=' {
				return h, named, false
			}
			s.rest = s.rest[1:]
			value, ok := s.value()
			if !ok {
				return h, named, false
			}
			named = true
			switch {
			case strings.EqualFold(name, "for"):
				if sawFor {
					return h, named, false
				}
				h.node, sawFor = value, true
			case strings.EqualFold(name, "proto"):
				if sawProto {
					return h, named, false
				}
				h.proto, sawProto = value, true
			}
			s.space()
			if s.rest == "" || s.rest[0] == ',' {
				return h, named, true
			}
		}
		if !s.take(';') {
			return h, named, false
		}
	}
}

func (s *scanner) token() (string, bool) {
	n := 0
	for n < len(s.rest) && isTokenByte(s.rest[n]) {
		n++
	}
	token := s.rest[:n]
	s.rest = s.rest[n:]
	return token, n > 0
}

// value reads a token or a quoted-string.
func (s *scanner) value() (string, bool) {
	if !strings.HasPrefix(s.rest, `"`) {
		return s.token()
	}
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			s.rest = s.rest[i+1:]
			return b.String(), true
		case c == '\\' && i+1 < len(s.rest):
			i++
			b.WriteByte(s.rest[i])
		case c < ' ' && c != '\t', c == 0x7f, c == '\\':
			return "", false
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}
