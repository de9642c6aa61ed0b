package bearer_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/keystile/keystile/bearer"
)

func TestDiscovery(t *testing.T) {
	const openid, oauth = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
	for _, tt := range []struct {
		name      string
		discovery bearer.Discovery
		path      string // of the issuer
		at        string // where the document is
		document  string // %[1]s is the server, %[2]s the issuer
		good      bool
	}{
		{"OpenID Connect", bearer.DiscoverOpenID, "", openid, `{"issuer":"%[2]s","jwks_uri":"%[1]s/jwks"}`, true},
		{"OpenID Connect with a path", bearer.DiscoverOpenID, "/realms/a", "/realms/a" + openid, `{"issuer":"%[2]s","jwks_uri":"%[1]s/jwks","x":{"y":[1]}}`, true},
		{"OpenID Connect with a slash at the end", bearer.DiscoverOpenID, "/", openid, `{"issuer":"%[2]s","jwks_uri":"%[1]s/jwks"}`, true},
		{"RFC 8414", bearer.DiscoverOAuth, "", oauth, `{"issuer":"%[2]s","jwks_uri":"%[1]s/jwks"}`, true},
		{"RFC 8414 with a path, which goes behind", bearer.DiscoverOAuth, "/realms/a", oauth + "/realms/a", `{"issuer":"%[2]s","jwks_uri":"%[1]s/jwks"}`, true},

		{"the document of another issuer", bearer.DiscoverOpenID, "", openid, `{"issuer":"https://evil.example","jwks_uri":"%[1]s/jwks"}`, false},
		{"an issuer with a slash more", bearer.DiscoverOpenID, "", openid, `{"issuer":"%[2]s/","jwks_uri":"%[1]s/jwks"}`, false},
		{"no issuer", bearer.DiscoverOpenID, "", openid, `{"jwks_uri":"%[1]s/jwks"}`, false},
		{"the issuer twice", bearer.DiscoverOpenID, "", openid, `{"issuer":"%[2]s","issuer":"%[2]s","jwks_uri":"%[1]s/jwks"}`, false},
		{"no address of keys", bearer.DiscoverOpenID, "", openid, `{"issuer":"%[2]s"}`, false},
		{"keys over http", bearer.DiscoverOpenID, "", openid, `{"issuer":"%[2]s","jwks_uri":"http://127.0.0.1/jwks"}`, false},
		{"keys in a file", bearer.DiscoverOpenID, "", openid, `{"issuer":"%[2]s","jwks_uri":"file:///etc/passwd"}`, false},
		{"an address that is a number", bearer.DiscoverOpenID, "", openid, `{"issuer":"%[2]s","jwks_uri":1}`, false},
		{"HTML", bearer.DiscoverOpenID, "", openid, `<html>`, false},
		{"a megabyte", bearer.DiscoverOpenID, "", openid, `{"issuer":"%[2]s","jwks_uri":"%[1]s/jwks"}` + strings.Repeat(" ", 1<<20), false},
		{"no document", bearer.DiscoverOpenID, "", "/elsewhere", `{"issuer":"%[2]s","jwks_uri":"%[1]s/jwks"}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newIDP(t, newFakeClock())
			p.publish(ecSet("a", ecKey()))
			name := p.URL + tt.path
			p.Config.Handler.(*http.ServeMux).HandleFunc(tt.at, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, strings.NewReplacer("%[1]s", p.URL, "%[2]s", name).Replace(tt.document))
			})
			p.config.URL, p.config.Discovery = "", tt.discovery
			a := newAuthenticator(t, bearer.Config{Issuers: []bearer.Issuer{p.issuer(name)}, Now: p.clock.Now})
			_, err := present(a, ecToken("a", ecKey(), m{"iss": name}))
			if tt.good && err != nil {
				t.Error(err)
			} else if !tt.good {
				wantUnavailable(t, fmt.Sprint(err), err)
				if p.hits.Load() != 0 {
					t.Error("keys were fetched nevertheless")
				}
			}
		})
	}
}
