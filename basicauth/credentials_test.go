package basicauth_test

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/basicauth"
)

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// R3, R4, R7, R8, R9, R10 and R11.
func TestTheAuthorizationField(t *testing.T) {
	const nfc, nfd = "caf\u00e9", "cafe\u0301"
	basic := newBasic(t, basicauth.Config{Throttles: unthrottled, Users: newUsers(t,
		user("alice", "s3cret:with:colons"), user("bob", " spaced out "), user("ren\u00e9", nfc), user("url", "xx???>>>"),
		basicauth.User{Name: "ghost"}, user("carol", "")), // neither opens a door
	})
	guard := newGuard(t, basic)
	good := encode("alice:s3cret:with:colons")
	long := func(n int) string { // credentials of n bytes in base64
		return "Basic " + encode("alice:"+strings.Repeat("x", n/4*3-len("alice:")))
	}
	for _, tt := range []struct {
		name   string
		fields []string
		status int
		code   string
	}{
		{"the password has colons after the first", []string{"Basic " + good}, 200, ""},
		{"the scheme is in lower case", []string{"basic " + good}, 200, ""},
		{"the scheme is in mixed case", []string{"bAsIC " + good}, 200, ""},
		{"several spaces part scheme and credentials", []string{"Basic    " + good}, 200, ""},
		{"a password of spaces is not trimmed", []string{"Basic " + encode("bob: spaced out ")}, 200, ""},
		{"a trimmed password is another one", []string{"Basic " + encode("bob:spaced out")}, 401, "unauthorized"},
		{"name and password are in NFC as they were set", []string{"Basic " + encode("ren\u00e9:"+nfc)}, 200, ""},
		{"the NFD form of a password is another password", []string{"Basic " + encode("ren\u00e9:"+nfd)}, 401, "unauthorized"},
		{"the NFD form of a name is another name", []string{"Basic " + encode("rene\u0301:"+nfc)}, 401, "unauthorized"},
		{"a name in another case is another name", []string{"Basic " + encode("Alice:s3cret:with:colons")}, 401, "unauthorized"},
		{"a name with a space behind it is another name", []string{"Basic " + encode("alice :s3cret:with:colons")}, 401, "unauthorized"},
		{"the name in Latin-1 is not UTF-8", []string{"Basic " + encode("ren\xe9:"+nfc)}, 401, "unauthorized"},
		{"the password in Latin-1 is not UTF-8", []string{"Basic " + encode("ren\u00e9:caf\xe9")}, 401, "unauthorized"},

		{"no field", nil, 401, "unauthorized"},
		{"an empty field", []string{""}, 401, "unauthorized"},
		{"another scheme", []string{"Bearer abc"}, 401, "unauthorized"},
		{"a letter glued to the scheme", []string{"BasicX " + good}, 401, "unauthorized"},
		{"credentials glued to the scheme", []string{"Basic" + good}, 401, "unauthorized"},
		{"a tab behind the scheme", []string{"Basic\t" + good}, 401, "unauthorized"},
		{"the scheme alone", []string{"Basic"}, 401, "unauthorized"},
		{"the scheme and spaces", []string{"Basic   "}, 401, "unauthorized"},
		{"two fields", []string{"Basic " + good, "Basic " + good}, 400, "invalid_request"},
		{"two fields of different schemes", []string{"Basic " + good, "Bearer abc"}, 400, "invalid_request"},
		{"an empty field beside a good one", []string{"Basic " + good, ""}, 400, "invalid_request"},

		{"a parameter", []string{`Basic realm="x"`}, 401, "unauthorized"},
		{"a parameter behind the credentials", []string{"Basic " + good + ", charset=UTF-8"}, 401, "unauthorized"},
		{"two credentials", []string{"Basic " + good + " " + good}, 401, "unauthorized"},
		{"a space behind the credentials", []string{"Basic " + good + " "}, 401, "unauthorized"},
		{"no base64", []string{"Basic !!!!"}, 401, "unauthorized"},
		{"base64 without its padding", []string{"Basic " + strings.TrimRight(encode("bob: spaced out "), "=")}, 401, "unauthorized"},
		{"base64 with too much padding", []string{"Basic " + good + "===="}, 401, "unauthorized"},
		{"base64 in the URL alphabet", []string{"Basic " + base64.URLEncoding.EncodeToString([]byte("url:xx???>>>"))}, 401, "unauthorized"},
		{"base64 with stray bits at its end", []string{"Basic " + strings.Replace(encode("bob: spaced out "), "A==", "B==", 1)}, 401, "unauthorized"},
		{"base64 with plus and slash", []string{"Basic " + encode("url:xx???>>>")}, 200, ""},
		{"base64 in two lines", []string{"Basic " + good[:8] + "\r\n" + good[8:]}, 401, "unauthorized"},
		{"no colon", []string{"Basic " + encode("alice")}, 401, "unauthorized"},
		{"nothing but a colon", []string{"Basic " + encode(":")}, 401, "unauthorized"},
		{"an empty name", []string{"Basic " + encode(":s3cret")}, 401, "unauthorized"},
		{"an empty password", []string{"Basic " + encode("alice:")}, 401, "unauthorized"},
		{"an empty password where the empty one was hashed", []string{"Basic " + encode("carol:")}, 401, "unauthorized"},
		{"an empty password for a user without hash", []string{"Basic " + encode("ghost:")}, 401, "unauthorized"},
		{"any password for a user without hash", []string{"Basic " + encode("ghost:x")}, 401, "unauthorized"},
		{"a NUL in the password", []string{"Basic " + encode("alice:s3cret:with:colons\x00")}, 401, "unauthorized"},
		{"a line feed in the name", []string{"Basic " + encode("ali\nce:s3cret:with:colons")}, 401, "unauthorized"},
		{"a DEL in the password", []string{"Basic " + encode("alice:\x7f")}, 401, "unauthorized"},
		{"credentials of 1 KiB are judged", []string{long(1024)}, 401, "unauthorized"},
		{"credentials of more than 1 KiB", []string{long(1028)}, 401, "unauthorized"},
		{"credentials of a megabyte", []string{long(1 << 20)}, 401, "unauthorized"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp := serve(guard.Wrap(ok), with(tt.fields...))
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if tt.status == 200 {
				return
			}
			if got := codeOf(t, resp); got != tt.code {
				t.Errorf("code %q, want %q", got, tt.code)
			}
			var challenges []string
			if tt.status == 401 {
				challenges = []string{`Basic realm="test", charset="UTF-8"`}
			}
			if got := resp.Header["Www-Authenticate"]; !slices.Equal(got, challenges) {
				t.Errorf("challenges %q, want %q", got, challenges)
			}
			if got := resp.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q", got)
			}
		})
	}
}

func TestWhatIsPresent(t *testing.T) {
	basic := newBasic(t, basicauth.Config{Users: newUsers(t)})
	for _, tt := range []struct {
		name   string
		fields []string
		want   bool
	}{
		{"no field", nil, false},
		{"an empty field", []string{""}, false},
		{"two empty fields", []string{"", ""}, false},
		{"another scheme", []string{"Bearer abc"}, false},
		{"another scheme that begins alike", []string{"BasicX abc"}, false},
		{"a shorter scheme", []string{"Bas abc"}, false},
		{"good grammar", []string{"Basic abc="}, true},
		{"bad grammar", []string{"Basic"}, true},
		{"a tab", []string{"Basic\tabc="}, true},
		{"two fields", []string{"Bearer x", "Basic y"}, true},
	} {
		if got := basic.Present(with(tt.fields...)); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// What cannot be right costs nothing: no user is looked up and nothing is hashed,
// whatever its size.
func TestMalformedCredentialsCostNothing(t *testing.T) {
	users := usersFunc(nil) // panics when it is asked
	basic := newBasic(t, basicauth.Config{Users: users})
	compared := count(basic)
	for _, r := range []*http.Request{
		with("Basic " + strings.Repeat("A", 1<<20)), with("Basic " + encode(":x")), with("Basic x"), with("a", "b"), plain(as("alice", "x")),
	} {
		if n := testing.AllocsPerRun(100, func() { _, _ = basic.Authenticate(r) }); n > 0 && !underRace {
			t.Errorf("%.40q: %v allocations, want none", r.Header["Authorization"], n)
		}
	}
	if got := compared.take(); got != nil {
		t.Errorf("compared %q", got)
	}
}

// R12.
func TestPasswordsWantAnEncryptedConnection(t *testing.T) {
	trusting := func(t *testing.T) *keystile.ClientIP {
		c, err := keystile.NewClientIP(keystile.ClientIPConfig{TrustedProxies: prefixes("10.0.0.0/8", "127.0.0.0/8")})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, tt := range []struct {
		name      string
		peer      string
		tls       bool
		proxied   bool // ClientIP is there
		forwarded string
		proto     string
		insecure  bool
		status    int
	}{
		{"TLS", "192.0.2.1", true, false, "", "", false, 200},
		{"no TLS", "192.0.2.1", false, false, "", "", false, 400},
		{"no TLS, and nobody trusts the field", "192.0.2.1", false, false, "127.0.0.1", "https", false, 400},
		{"no TLS from this machine", "127.0.0.1", false, false, "", "", false, 200},
		{"no TLS from this machine over IPv6", "::1", false, false, "", "", false, 200},
		{"no TLS from this machine as IPv4 in IPv6", "::ffff:127.0.0.1", false, false, "", "", false, 200},
		{"a trusted proxy says https", "10.1.1.1", false, true, "192.0.2.1", "https", false, 200},
		{"a trusted proxy says http", "10.1.1.1", false, true, "192.0.2.1", "http", false, 400},
		{"a trusted proxy says http over TLS of its own", "10.1.1.1", true, true, "192.0.2.1", "http", false, 400},
		{"a trusted proxy says nothing of the connection", "10.1.1.1", false, true, "192.0.2.1", "", false, 400},
		{"a trusted proxy on this machine says http for a stranger", "127.0.0.1", false, true, "192.0.2.1", "http", false, 400},
		{"a stranger says https", "192.0.2.1", false, true, "127.0.0.1", "https", false, 400},
		{"no TLS where it is allowed", "192.0.2.1", false, false, "", "", true, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			basic := newBasic(t, basicauth.Config{Users: newUsers(t, user("alice", "s3cret")), InsecureAllowPlaintext: tt.insecure})
			compared := count(basic)
			r := from(tt.peer, "alice", "s3cret")
			if !tt.tls {
				r = plain(r)
			}
			if tt.forwarded != "" {
				r.Header.Set("X-Forwarded-For", tt.forwarded)
			}
			if tt.proto != "" {
				r.Header.Set("X-Forwarded-Proto", tt.proto)
			}
			h := newGuard(t, basic).Wrap(ok)
			if tt.proxied {
				h = trusting(t).Wrap(h)
			}
			resp := serve(h, r)
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if tt.status == 400 {
				if code := codeOf(t, resp); code != "invalid_request" {
					t.Errorf("code %q", code)
				}
				if got := resp.Header["Www-Authenticate"]; got != nil {
					t.Errorf("challenges %q, want none: they would invite the password again", got)
				}
				if got := compared.take(); got != nil {
					t.Errorf("compared %q before refusing", got)
				}
			}
		})
	}
	r := plain(as("alice", "s3cret"))
	r.RemoteAddr = "@"
	want(t, newBasic(t, basicauth.Config{Users: newUsers(t, user("alice", "s3cret"))}), r, 400)
}
