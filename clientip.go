package keystile

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/keystile/keystile/internal/record"
)

// ClientAddr returns the address that r came from: what ClientIP or WithClient
// recorded, else the peer of the connection. IPv4-mapped addresses are folded
// to IPv4. The zero Addr means that the address could not be found out; callers
// fail closed.
func ClientAddr(r *http.Request) netip.Addr {
	if c, ok := record.From(r.Context()).FindClient(); ok {
		return c.Addr
	}
	return peerAddr(r.RemoteAddr)
}

// ClientTLS reports whether the client's own connection was encrypted: this
// one, or, behind a trusted proxy that says so, the one to that proxy.
func ClientTLS(r *http.Request) bool {
	if c, ok := record.From(r.Context()).FindClient(); ok {
		return c.TLS
	}
	return r.TLS != nil
}

// cleanAddr folds an IPv4-mapped address and refuses one with a zone, which
// means something on one host only.
func cleanAddr(a netip.Addr) netip.Addr {
	if a.Zone() != "" {
		return netip.Addr{}
	}
	return a.Unmap()
}

func peerAddr(remote string) netip.Addr {
	if ap, err := netip.ParseAddrPort(remote); err == nil {
		return cleanAddr(ap.Addr())
	}
	return netip.Addr{}
}

// ClientIPConfig configures ClientIP.
type ClientIPConfig struct {
	// TrustedProxies are the networks of the proxies that may say where a
	// request came from. Required.
	TrustedProxies []netip.Prefix
	// TrustUnixPeer trusts a peer that has no address at all, such as a proxy on
	// a Unix socket. Default: false.
	TrustUnixPeer bool
	// Header is the field that the proxies write: "X-Forwarded-For", "Forwarded"
	// (RFC 7239), or one that holds a single address, such as "X-Real-Ip".
	// Default: X-Forwarded-For.
	Header string
	// ProtoHeader is the field in which the proxies say http or https; it is not
	// read where Header is Forwarded. Default: X-Forwarded-Proto.
	ProtoHeader string
}

// ClientIP finds out the address of the client behind trusted proxies. Put it
// outermost, once; everything further in reads ClientAddr and ClientTLS. The
// zero value refuses every request with 500.
type ClientIP struct {
	trusted     []netip.Prefix
	trustUnix   bool
	header      string
	protoHeader string
	ready       bool
}

// NewClientIP returns the ClientIP that c describes, or all mistakes of c.
func NewClientIP(c ClientIPConfig) (*ClientIP, error) {
	var errs []error
	if len(c.TrustedProxies) == 0 && !c.TrustUnixPeer {
		errs = append(errs, &ConfigError{Field: "keystile.ClientIPConfig.TrustedProxies",
			Reason: "is empty; list the networks of your proxies, or leave ClientIP out where clients connect directly"})
	}
	trusted := make([]netip.Prefix, 0, len(c.TrustedProxies))
	for i, p := range c.TrustedProxies {
		field := fmt.Sprintf("keystile.ClientIPConfig.TrustedProxies[%d]", i)
		switch {
		case !p.IsValid():
			errs = append(errs, &ConfigError{Field: field, Value: p, Reason: "is not a network; use netip.ParsePrefix, such as 10.0.0.0/8"})
		case p.Bits() == 0:
			errs = append(errs, &ConfigError{Field: field, Value: p, Reason: "trusts the whole world, so that any client could choose its address; list the networks of your proxies"})
		case p.Addr().Is4In6() && p.Bits() < 96:
			errs = append(errs, &ConfigError{Field: field, Value: p, Reason: "is an IPv4-mapped network wider than IPv4; write it as an IPv4 or IPv6 network"})
		case p.Addr().Is4In6():
			trusted = append(trusted, netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked())
		default:
			trusted = append(trusted, p.Masked())
		}
	}
	for _, f := range [...]struct{ field, value string }{
		{"keystile.ClientIPConfig.Header", c.Header}, {"keystile.ClientIPConfig.ProtoHeader", c.ProtoHeader},
	} {
		if !isToken(f.value) && f.value != "" {
			errs = append(errs, &ConfigError{Field: f.field, Value: f.value, Reason: "is not the name of a header field; use one such as X-Forwarded-For"})
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &ClientIP{
		trusted: trusted, trustUnix: c.TrustUnixPeer, ready: true,
		header:      http.CanonicalHeaderKey(orDefault(c.Header, "X-Forwarded-For")),
		protoHeader: http.CanonicalHeaderKey(orDefault(c.ProtoHeader, "X-Forwarded-Proto")),
	}, nil
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// Wrap records where each request came from before next sees it.
func (c *ClientIP) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !c.ready {
			RespondError(w, r, wiring(r, errZeroClientIP))
			return
		}
		addr, tls := c.Find(r)
		client := record.Client{Addr: addr, TLS: tls}
		if rec := record.From(r.Context()); rec == nil || !rec.Client.Put(client) {
			rec = record.Begin(r.Context())
			rec.Client.Put(client)
			r = r.WithContext(rec)
		}
		next.ServeHTTP(w, r)
	})
}

var errZeroClientIP = errors.New("keystile: this ClientIP was not made by NewClientIP")

// Find returns the address of the client and whether its connection was
// encrypted. It walks from the peer outwards and stops at the first address
// that is no trusted proxy; what a client wrote itself lies beyond that. An
// entry that cannot be read on the way there yields the zero Addr.
func (c *ClientIP) Find(r *http.Request) (addr netip.Addr, tls bool) {
	addr = peerAddr(r.RemoteAddr)
	tls = r.TLS != nil
	if !c.trusts(addr) && !(c.trustUnix && !addr.IsValid() && isUnixPeer(r.RemoteAddr)) {
		return addr, tls
	}
	switch c.header {
	case "X-Forwarded-For":
		addr = c.walk(addr, r.Header[c.header], forwardedFor)
	case "Forwarded":
		hops, ok := parseForwarded(r.Header[c.header])
		if !ok {
			return netip.Addr{}, false
		}
		return c.walkForwarded(addr, tls, hops)
	default:
		addr = singleAddr(addr, r.Header[c.header])
	}
	if protos := r.Header[c.protoHeader]; len(protos) > 0 {
		tls = allHTTPS(protos)
	}
	return addr, tls
}

// isUnixPeer reports whether remote is what net/http gives for a Unix socket.
func isUnixPeer(remote string) bool { return remote == "@" || remote == "" }

func (c *ClientIP) trusts(a netip.Addr) bool {
	for _, p := range c.trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// walk goes through comma-separated lists from their end.
func (c *ClientIP) walk(addr netip.Addr, fields []string, parse func(string) (netip.Addr, bool)) netip.Addr {
	for i := len(fields) - 1; i >= 0; i-- {
		rest := fields[i]
		for more := true; more; {
			var item string
			if at := strings.LastIndexByte(rest, ','); at >= 0 {
				rest, item = rest[:at], rest[at+1:]
			} else {
				item, more = rest, false
			}
			item = strings.Trim(item, " \t")
			if item == "" {
				continue // RFC 9110 section 5.6.1.2: empty elements do not count
			}
			next, ok := parse(item)
			if !ok {
				return netip.Addr{}
			}
			if addr = next; !c.trusts(addr) {
				return addr
			}
		}
	}
	return addr
}

// forwardedFor reads an address, with or without a port and brackets.
func forwardedFor(s string) (netip.Addr, bool) {
	var a netip.Addr
	var err error
	switch {
	case strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]"):
		if a, err = netip.ParseAddr(s[1 : len(s)-1]); err == nil && !a.Is6() {
			return netip.Addr{}, false
		}
	case strings.HasPrefix(s, "[") || strings.Count(s, ":") == 1:
		var ap netip.AddrPort
		ap, err = netip.ParseAddrPort(s)
		a = ap.Addr()
	default:
		a, err = netip.ParseAddr(s)
	}
	if err != nil {
		return netip.Addr{}, false
	}
	a = cleanAddr(a)
	return a, a.IsValid()
}

// singleAddr reads a field that holds one address. Absent, the proxy itself is
// the client; twice or broken, nobody knows.
func singleAddr(peer netip.Addr, fields []string) netip.Addr {
	switch len(fields) {
	case 0:
		return peer
	case 1:
		a, _ := forwardedFor(strings.Trim(fields[0], " \t"))
		return a
	}
	return netip.Addr{}
}

// allHTTPS reports whether every hop that is named was encrypted. A value that
// a client smuggled in can make the result false, never true.
func allHTTPS(fields []string) bool {
	for _, field := range fields {
		for proto := range strings.SplitSeq(field, ",") {
			if !strings.EqualFold(strings.Trim(proto, " \t"), "https") {
				return false
			}
		}
	}
	return true
}

func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

// isTokenByte is tchar of RFC 9110 section 5.6.2.
func isTokenByte(c byte) bool {
	switch {
	case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
