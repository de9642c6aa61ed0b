package basicauth

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/record"
)

// origin is where a request comes from. Its address is read only where somebody
// asks: for a client that was seen before, its spelling is enough.
type origin struct {
	r *http.Request
	// host is the address of the peer as net/http writes it, where that is the
	// client; "" behind a ClientIP.
	host string
}

func originOf(r *http.Request) origin {
	o := origin{r: r}
	if _, elsewhere := record.From(r.Context()).FindClient(); !elsewhere {
		if at := strings.LastIndexByte(r.RemoteAddr, ':'); at > 0 {
			o.host = r.RemoteAddr[:at]
		}
	}
	return o
}

// encrypted reports whether a password may come that way (RFC 7617 section 4): over
// TLS, or without leaving this machine.
func (o origin) encrypted() bool {
	return keystile.ClientTLS(o.r) || keystile.ClientAddr(o.r).IsLoopback()
}

// network returns what stands for the client's network: an IPv4 address, or the
// first of a /64. The zero Addr, of clients whose address is not known, is a
// network of its own.
func (o origin) network() netip.Addr {
	addr := keystile.ClientAddr(o.r)
	if addr.Is6() {
		p, _ := addr.Prefix(64)
		return p.Addr()
	}
	return addr
}
