package keystile_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/keystile/keystile"
)

// show prints what a client sees first of an answer.
func show(h http.Handler, method, target, name string) {
	r := httptest.NewRequest(method, target, nil)
	if name != "" {
		r.Header.Set("X-Name", name)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(strings.TrimSpace(fmt.Sprint(method, " ", target, " ", w.Code, " ", w.Header().Get("WWW-Authenticate"))))
}

// names accepts whoever gives a name, which no service should.
var names = authFunc(func(r *http.Request) (*keystile.Principal, error) {
	if name := r.Header.Get("X-Name"); name != "" {
		return &keystile.Principal{Subject: name, Account: name, Scheme: "name", Scopes: keystile.NewScopes("hello:say")}, nil
	}
	return nil, keystile.NoCredentials("name")
})

func ExampleRoutes() {
	guard, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: names, Realm: "example", Skip: []string{"GET /health"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{who}", func(_ http.ResponseWriter, r *http.Request) {
		p, _ := keystile.PrincipalFrom(r.Context())
		fmt.Println(p.Subject, "says hello to", r.PathValue("who"), "on", keystile.Route(r))
	})
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	handler := keystile.Routes(mux, guard.Wrap)

	show(handler, "GET", "/hello/grace", "ada")
	show(handler, "GET", "/hello/grace", "")
	show(handler, "GET", "/nowhere", "")
	show(handler, "GET", "/nowhere", "ada")
	show(handler, "GET", "/health", "")
	// Output:
	// ada says hello to grace on GET /hello/{who}
	// GET /hello/grace 200
	// GET /hello/grace 401 Test realm="example"
	// GET /nowhere 401 Test realm="example"
	// GET /nowhere 404
	// GET /health 200
}

func ExampleRequireScopes() {
	guard, _ := keystile.NewGuard(keystile.GuardConfig{Authenticator: names, Realm: "example"})
	say, err := keystile.RequireScopes("hello:say")
	if err != nil {
		fmt.Println(err)
		return
	}
	shout, _ := keystile.RequireScopes("hello:shout")
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	show(guard.Wrap(say(ok)), "GET", "/say", "ada")
	show(guard.Wrap(shout(ok)), "GET", "/shout", "ada")

	_, err = keystile.RequireScopes("hello:*")
	fmt.Println(err)
	// Output:
	// GET /say 200
	// GET /shout 403
	// keystile.RequireScopes ("hello:*"): is a wildcard, which only a credential may hold; require the scope itself, such as contacts:read
}

// A guard on one route leaves the others open, and nothing tells.
func ExampleGuard_Wrap_incorrect() {
	guard, _ := keystile.NewGuard(keystile.GuardConfig{Authenticator: names, Realm: "example"})
	mux := http.NewServeMux()
	mux.Handle("GET /orders", guard.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	mux.HandleFunc("GET /orders/{id}", func(http.ResponseWriter, *http.Request) { fmt.Println("the order, for anybody") })

	show(mux, "GET", "/orders", "")
	show(mux, "GET", "/orders/7", "")                              // somebody forgot
	show(keystile.Routes(mux, guard.Wrap), "GET", "/orders/7", "") // nobody can
	// Output:
	// GET /orders 401 Test realm="example"
	// the order, for anybody
	// GET /orders/7 200
	// GET /orders/7 401 Test realm="example"
}

func ExampleTrack() {
	guard, _ := keystile.NewGuard(keystile.GuardConfig{Authenticator: names, Realm: "example"})
	inner := guard.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	logged := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = keystile.Track(r)
		inner.ServeHTTP(w, r)
		p, known := keystile.PrincipalFrom(r.Context())
		fmt.Println("log:", p, known, keystile.OutcomeFrom(r.Context()) != nil)
	})
	show(logged, "GET", "/", "ada")
	show(logged, "GET", "/", "")
	// Output:
	// log: name ada true false
	// GET / 200
	// log: anonymous false true
	// GET / 401 Test realm="example"
}
