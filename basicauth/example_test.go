package basicauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/basicauth"
)

// Users in memory in front of a handler that greets them.
func Example() {
	hash, err := basicauth.Hash("correct horse")
	if err != nil {
		fmt.Println(err)
		return
	}
	users, err := basicauth.NewMemoryUsers(basicauth.User{Name: "alice", Hash: hash, Account: "acme", Plan: "pro"})
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
	greet := guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := keystile.PrincipalFrom(r.Context())
		u, _ := basicauth.From(p)
		fmt.Fprintf(w, "hello %s of %s, hash %q", u.Name, p.Account, string(u.Hash))
	}))

	for _, password := range []string{"correct horse", "wrong"} {
		r := httptest.NewRequest("GET", "https://api.example/", nil)
		r.SetBasicAuth("alice", password)
		w := httptest.NewRecorder()
		greet.ServeHTTP(w, r)
		if w.Code == http.StatusOK {
			fmt.Println(w.Code, w.Body)
		} else {
			fmt.Println(w.Code, w.Header().Get("Www-Authenticate"))
		}
	}
	// Output:
	// 200 hello alice of acme, hash ""
	// 401 Basic realm="acme", charset="UTF-8"
}

// A password file with weak hashes is refused with all its mistakes, and without
// the hashes.
func ExampleHtpasswd() {
	_, err := basicauth.Htpasswd("testdata/htpasswd/apr1.htpasswd", basicauth.HtpasswdConfig{
		Fill: func(u *basicauth.User) { u.Account = "acme" },
	})
	fmt.Println(err)
	// Output:
	// testdata/htpasswd/apr1.htpasswd:1: user "alice" has a hash in apr1 (MD5), which is not taken; hash the password anew with htpasswd -B -C 12 or basicauth.Hash
}

// Users in a table of one's own need one method. What cannot be asked is an
// outage; who is not there is ErrNotFound.
func ExampleUsers() {
	basic, err := basicauth.New(basicauth.Config{
		Users: table{"alice": "$2y$05$bxzuvbUHzXXbKItVgM2/leZ3GCJFQg0lGHNOfsqvKkaNd1CwBkToa"},
		Kinds: []basicauth.Kind{basicauth.BcryptKind(5)}, // so that unknown users cost the same from the start
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("GET", "https://api.example/", nil)
	r.SetBasicAuth("alice", "correct horse:battery é")
	p, err := basic.Authenticate(r)
	fmt.Println(p, err)
	// Output:
	// basic alice <nil>
}
