package examples_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
	"github.com/keystile/keystile/limiter"
)

// README begins.

func newHandler(mux *http.ServeMux) (http.Handler, *apikey.Keys, error) {
	store := apikey.NewMemoryStore()
	keys, err := apikey.New(apikey.Config{Store: store, Feed: store, Format: apikey.Format{Prefix: "acme_"}})
	if err != nil {
		return nil, nil, err
	}
	guard, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: keys.From(apikey.Header("X-API-Key")), Realm: "acme"})
	if err != nil {
		return nil, nil, err
	}
	counters, err := limiter.NewMemoryStore(limiter.MemoryConfig{})
	if err != nil {
		return nil, nil, err
	}
	limits, err := limiter.New(limiter.Config{
		Name: "api", Store: counters, By: limiter.ByAccount, OnStoreError: limiter.Deny,
		Limits: []limiter.Limit{limiter.PerHour(2), limiter.PerDay(100), limiter.Concurrent(1)},
	})
	return keystile.Routes(mux, guard.Wrap, limits.Wrap), keys, err
}

// README ends.

func Example() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		p, _ := keystile.PrincipalFrom(r.Context())
		_, _ = fmt.Fprintf(w, "Hello, %s!", p.Account)
	})
	handler, keys, err := newHandler(mux)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = keys.Close(context.Background()) }()
	_, secret, err := keys.Issue(context.Background(), apikey.Draft{Account: "ada", Name: "first key"})
	if err != nil {
		fmt.Println(err)
		return
	}

	for _, key := range []string{"", string(secret), string(secret), string(secret)} {
		r := httptest.NewRequest("GET", "/hello", nil)
		r.Header.Set("X-API-Key", key)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("WWW-Authenticate")+w.Header().Get("RateLimit"))
	}
	// Output:
	// 401 ApiKey realm="acme"
	// 200 "hour";r=1;t=3600, "day";r=99;t=86400
	// 200 "hour";r=0;t=3600, "day";r=98;t=86400
	// 429 "hour";r=0;t=3600, "day";r=98;t=86400
}
