package basicauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/basicauth"
)

// Wrong: behind a proxy that ends TLS, without ClientIP. The Guard sees a request
// that is not encrypted and refuses it with 400; and every client would be the one
// network of the proxy, so that one guesser locks out all. Do not reach for
// InsecureAllowPlaintext: put ClientIP outermost, which reads what the proxy says
// of the client.
func Example_wrongBehindAProxy() {
	users, err := basicauth.NewMemoryUsers(basicauth.User{Name: "alice", Hash: "$2y$05$bxzuvbUHzXXbKItVgM2/leZ3GCJFQg0lGHNOfsqvKkaNd1CwBkToa"})
	if err != nil {
		fmt.Println(err)
		return
	}
	basic, err := basicauth.New(basicauth.Config{Users: users})
	if err != nil {
		fmt.Println(err)
		return
	}
	guard, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: basic, Realm: "acme"})
	if err != nil {
		fmt.Println(err)
		return
	}
	clients, err := keystile.NewClientIP(keystile.ClientIPConfig{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	if err != nil {
		fmt.Println(err)
		return
	}
	served := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "served ", keystile.ClientAddr(r)) })

	for _, h := range []http.Handler{guard.Wrap(served), clients.Wrap(guard.Wrap(served))} { // wrong, right
		r := httptest.NewRequest("GET", "http://api.example/", nil)
		r.RemoteAddr = "10.0.0.1:4711" // the proxy
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		r.Header.Set("X-Forwarded-Proto", "https")
		r.SetBasicAuth("alice", "correct horse:battery é")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 400 {"type":"https://github.com/keystile/keystile/blob/main/docs/problems.md#invalid_request","title":"The request is malformed.","status":400,"detail":"Send HTTP Basic credentials over HTTPS only.","code":"invalid_request"}
	//
	// 200 served 192.0.2.1
}
