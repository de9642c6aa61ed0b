package keystile_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/keystile/keystile"
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

func newClientIP(t testing.TB, header string) *keystile.ClientIP {
	t.Helper()
	c, err := keystile.NewClientIP(keystile.ClientIPConfig{
		TrustedProxies: prefixes("10.0.0.0/8", "::ffff:172.16.0.0/108", "2001:db8:aaaa::/48"), Header: header, TrustUnixPeer: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClientIP(t *testing.T) {
	const none = "invalid IP"
	tests := []struct {
		name   string
		header string
		peer   string
		fields []string // "Name: value"
		want   string
		https  bool
	}{
		{"a direct client is its peer", "", "192.0.2.1:5", nil, "192.0.2.1", false},
		{"a direct client chooses no address", "", "192.0.2.1:5", []string{"X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https"}, "192.0.2.1", false},
		{"a mapped peer is folded", "", "[::ffff:192.0.2.1]:5", nil, "192.0.2.1", false},
		{"a peer with a zone is no address", "", "[fe80::1%eth0]:5", nil, none, false},
		{"a peer that cannot be read is no address", "", "garbage", []string{"X-Forwarded-For: 1.1.1.1"}, none, false},
		{"one trusted hop", "", "10.1.1.1:5", []string{"X-Forwarded-For: 192.0.2.9"}, "192.0.2.9", false},
		{"a trusted hop without the field is the client", "", "10.1.1.1:5", nil, "10.1.1.1", false},
		{"the rightmost untrusted wins over what the client wrote", "", "10.1.1.1:5", []string{"X-Forwarded-For: 6.6.6.6, 192.0.2.9, 10.2.2.2"}, "192.0.2.9", false},
		{"several fields are one list", "", "10.1.1.1:5", []string{"X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 192.0.2.9", "X-Forwarded-For: 10.2.2.2"}, "192.0.2.9", false},
		{"all hops trusted: the furthest is the client", "", "10.1.1.1:5", []string{"X-Forwarded-For: 10.3.3.3, 10.2.2.2"}, "10.3.3.3", false},
		{"garbage beyond the client does not matter", "", "10.1.1.1:5", []string{"X-Forwarded-For: <script>, 192.0.2.9"}, "192.0.2.9", false},
		{"garbage before the client is no address", "", "10.1.1.1:5", []string{"X-Forwarded-For: 192.0.2.9, <script>"}, none, false},
		{"a zone is no address", "", "10.1.1.1:5", []string{"X-Forwarded-For: fe80::1%eth0"}, none, false},
		{"empty elements do not count", "", "10.1.1.1:5", []string{"X-Forwarded-For: 192.0.2.9, ,\t,"}, "192.0.2.9", false},
		{"a mapped element is folded", "", "10.1.1.1:5", []string{"X-Forwarded-For: ::ffff:192.0.2.9"}, "192.0.2.9", false},
		{"a mapped proxy is trusted like the IPv4 one", "", "[::ffff:10.1.1.1]:5", []string{"X-Forwarded-For: 192.0.2.9, 172.16.5.5"}, "192.0.2.9", false},
		{"ports and brackets are read", "", "10.1.1.1:5", []string{"X-Forwarded-For: [2001:db8::1]:443, 10.0.0.7:80, [2001:db8:aaaa::1]"}, "2001:db8::1", false},
		{"IPv4 in brackets is no address", "", "10.1.1.1:5", []string{"X-Forwarded-For: [192.0.2.9]"}, none, false},
		{"leading zeros are no address", "", "10.1.1.1:5", []string{"X-Forwarded-For: 192.0.2.010"}, none, false},
		{"https from a trusted hop", "", "10.1.1.1:5", []string{"X-Forwarded-For: 192.0.2.9", "X-Forwarded-Proto: HTTPS"}, "192.0.2.9", true},
		{"one plain hop is plain", "", "10.1.1.1:5", []string{"X-Forwarded-For: 192.0.2.9", "X-Forwarded-Proto: https, http"}, "192.0.2.9", false},
		{"a smuggled https does not help", "", "10.1.1.1:5", []string{"X-Forwarded-For: 192.0.2.9", "X-Forwarded-Proto: https", "X-Forwarded-Proto: http"}, "192.0.2.9", false},
		{"a proxy on a Unix socket", "", "@", []string{"X-Forwarded-For: 192.0.2.9"}, "192.0.2.9", false},
		{"a proxy on a Unix socket that says nothing", "", "@", nil, none, false},

		{"Forwarded with one hop", "Forwarded", "10.1.1.1:5", []string{"Forwarded: for=192.0.2.9;proto=https;by=10.1.1.1"}, "192.0.2.9", true},
		{"Forwarded, quoted IPv6 with a port", "Forwarded", "10.1.1.1:5", []string{`Forwarded: For="[2001:db8:cafe::17]:4711"`}, "2001:db8:cafe::17", false},
		{"Forwarded, bare IPv6 breaks the grammar", "Forwarded", "10.1.1.1:5", []string{`Forwarded: for="2001:db8:cafe::17"`}, none, false},
		{"Forwarded, the rightmost untrusted", "Forwarded", "10.1.1.1:5", []string{"Forwarded: for=6.6.6.6;proto=https, for=192.0.2.9;proto=http", "Forwarded: for=10.2.2.2;proto=https"}, "192.0.2.9", false},
		{"Forwarded, the client's own hop says nothing of https", "Forwarded", "10.1.1.1:5", []string{"Forwarded: for=192.0.2.9, for=10.0.0.2;proto=https"}, "192.0.2.9", false},
		{"Forwarded, unknown on the way is no address", "Forwarded", "10.1.1.1:5", []string{"Forwarded: for=192.0.2.9, for=unknown"}, none, false},
		{"Forwarded, an obfuscated name is no address", "Forwarded", "10.1.1.1:5", []string{"Forwarded: for=_hidden"}, none, false},
		{"Forwarded, a hop without for is no address", "Forwarded", "10.1.1.1:5", []string{"Forwarded: for=192.0.2.9, proto=https"}, none, false},
		{"Forwarded, for twice in one element", "Forwarded", "10.1.1.1:5", []string{"Forwarded: for=192.0.2.9;for=6.6.6.6"}, none, false},
		{"Forwarded, an unclosed quote swallows nothing", "Forwarded", "10.1.1.1:5", []string{`Forwarded: for="6.6.6.6, for=192.0.2.9`}, none, false},
		{"Forwarded, an escaped quote", "Forwarded", "10.1.1.1:5", []string{`Forwarded: x="a\", for=6.6.6.6", for=192.0.2.9`}, "192.0.2.9", false},
		{"Forwarded, X-Forwarded-For is not read", "Forwarded", "10.1.1.1:5", []string{"X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https"}, "10.1.1.1", false},
		{"Forwarded from a direct client", "Forwarded", "192.0.2.1:5", []string{"Forwarded: for=6.6.6.6;proto=https"}, "192.0.2.1", false},

		{"a field with one address", "X-Real-IP", "10.1.1.1:5", []string{"X-Real-IP: 192.0.2.9", "X-Forwarded-For: 6.6.6.6"}, "192.0.2.9", false},
		{"a field with one address sent twice", "X-Real-IP", "10.1.1.1:5", []string{"X-Real-IP: 6.6.6.6", "X-Real-IP: 192.0.2.9"}, none, false},
		{"a field with one address that holds two", "X-Real-IP", "10.1.1.1:5", []string{"X-Real-IP: 6.6.6.6, 192.0.2.9"}, none, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.peer
			for _, f := range tt.fields {
				name, value, _ := strings.Cut(f, ": ")
				r.Header.Add(name, value)
			}
			var addr netip.Addr
			var https bool
			serve(newClientIP(t, tt.header).Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				addr, https = keystile.ClientAddr(r), keystile.ClientTLS(r)
			})), r)
			if addr.String() != tt.want || https != tt.https {
				t.Errorf("%v, https %v; want %s, %v", addr, https, tt.want, tt.https)
			}
		})
	}
}

func TestClientAddrWithoutClientIP(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "[::ffff:192.0.2.1]:5"
	r.Header.Set("X-Forwarded-For", "6.6.6.6")
	r.Header.Set("X-Forwarded-Proto", "https")
	if got := keystile.ClientAddr(r).String(); got != "192.0.2.1" || keystile.ClientTLS(r) {
		t.Errorf("%s, TLS %v", got, keystile.ClientTLS(r))
	}
	r.TLS = new(tls.ConnectionState)
	if !keystile.ClientTLS(r) {
		t.Error("a TLS connection is not seen")
	}
	r = r.WithContext(keystile.WithClient(r.Context(), netip.MustParseAddr("::ffff:198.51.100.1"), false))
	if got := keystile.ClientAddr(r).String(); got != "198.51.100.1" || keystile.ClientTLS(r) {
		t.Errorf("put there by a test: %s", got)
	}
}

func TestClientIPConfigMistakes(t *testing.T) {
	_, err := keystile.NewClientIP(keystile.ClientIPConfig{
		TrustedProxies: append(prefixes("0.0.0.0/0", "::/0", "::ffff:0.0.0.0/90"), netip.Prefix{}),
		Header:         "X Bad", ProtoHeader: "Bad:",
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"TrustedProxies[0] (0.0.0.0/0): trusts the whole world", "TrustedProxies[1] (::/0)", "TrustedProxies[2]", "TrustedProxies[3] (invalid Prefix): is not a network", `Header ("X Bad")`, `ProtoHeader ("Bad:")`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if _, err := keystile.NewClientIP(keystile.ClientIPConfig{}); err == nil || !strings.Contains(err.Error(), "list the networks") {
		t.Errorf("no proxies: %v", err)
	}
	var ce *keystile.ConfigError
	if !errors.As(err, &ce) || ce.Field == "" {
		t.Errorf("%T", err)
	}
	var zero keystile.ClientIP
	if got := get(zero.Wrap(whoami)).StatusCode; got != 500 {
		t.Errorf("the zero value answers %d, want 500", got)
	}
}

// Whatever the fields hold, the result is the peer, an address written in one
// of the fields, or none; and a direct client is never anything but its peer.
func FuzzClientIP(f *testing.F) {
	for _, seed := range []string{
		"192.0.2.9", "6.6.6.6, 192.0.2.9, 10.2.2.2", "[2001:db8::1]:443", "::ffff:192.0.2.9", "fe80::1%eth0", ", ,",
		`for=192.0.2.9;proto=https;by=10.1.1.1`, `For="[2001:db8:cafe::17]:4711"`, `for="6.6.6.6, for=1.1.1.1`, `x="a\", for=6.6.6.6", for=192.0.2.9`,
	} {
		f.Add(seed, "https")
	}
	f.Fuzz(func(t *testing.T, value, proto string) {
		for _, header := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip"} {
			c := newClientIP(t, header)
			r := &http.Request{RemoteAddr: "10.1.1.1:5", Header: http.Header{header: {value}, "X-Forwarded-Proto": {proto}}}
			addr, _ := c.Find(r)
			if addr.Is4In6() || addr.Zone() != "" {
				t.Errorf("%s: %q: %v is not folded", header, value, addr)
			}
			if addr.IsValid() && addr.String() != "10.1.1.1" && !written(value, addr) {
				t.Errorf("%s: %q: %v comes from nowhere", header, value, addr)
			}
			r.RemoteAddr = "192.0.2.1:5"
			if addr, https := c.Find(r); addr.String() != "192.0.2.1" || https {
				t.Errorf("%s: %q: a direct client became %v, https %v", header, value, addr, https)
			}
		}
	})
}

// written reports whether value spells addr somewhere.
func written(value string, addr netip.Addr) bool {
	value = strings.ReplaceAll(value, `\`, "")
	for i := range len(value) {
		for j := i + 1; j <= len(value) && j-i <= 64; j++ {
			if a, err := netip.ParseAddr(value[i:j]); err == nil && a.WithZone("").Unmap() == addr {
				return true
			}
		}
	}
	return false
}
