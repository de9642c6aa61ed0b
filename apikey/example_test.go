package apikey_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
)

// A service in front of which stands a Guard.
func Example() {
	ctx := context.Background()
	store := apikey.NewMemoryStore()
	keys, err := apikey.New(apikey.Config{Store: store, Feed: store, Format: apikey.Format{Prefix: "acme_"}})
	if err != nil {
		panic(err)
	}
	defer keys.Close(ctx)
	guard, err := keystile.NewGuard(keystile.GuardConfig{
		Authenticator: keys.From(apikey.Header("X-API-Key"), apikey.Bearer()),
		Realm:         "acme",
	})
	if err != nil {
		panic(err)
	}
	handler := guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := keystile.PrincipalFrom(r.Context())
		key, _ := apikey.From(p)
		fmt.Fprintf(w, "hello %s, your key is %q", p.Account, key.Name)
	}))

	key, secret, err := keys.Issue(ctx, apikey.Draft{Account: "acct_1", Name: "CI"})
	if err != nil {
		panic(err)
	}
	call := func() {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+string(secret))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code == http.StatusOK {
			fmt.Println(w.Code, w.Body)
		} else {
			fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
		}
	}
	call()
	if err := keys.Revoke(ctx, key.ID, "lost laptop", apikey.By("alice")); err != nil {
		panic(err)
	}
	call()
	// Output:
	// 200 hello acct_1, your key is "CI"
	// 401 ApiKey realm="acme"
}

// A secret is shown once. Printing it by accident shows nothing.
func ExampleKeys_Issue() {
	keys, err := apikey.New(apikey.Config{Store: apikey.NewMemoryStore(), Format: apikey.Format{Prefix: "acme_"}})
	if err != nil {
		panic(err)
	}
	defer keys.Close(context.Background())
	key, secret, err := keys.Issue(context.Background(), apikey.Draft{
		Account: "acct_1", Name: "CI", Scopes: []string{"contacts:read"}, Endpoints: []string{"GET /v1/contacts/{id}"},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println("in a log:", secret, key.Secrets[0].Digest)
	fmt.Println("for the customer:", len(string(secret)), "characters")
	fmt.Println("to recognise it later:", len(key.Hint), "characters")
	// Output:
	// in a log: REDACTED REDACTED
	// for the customer: 41 characters
	// to recognise it later: 13 characters
}

// During the overlap of a rotation both secrets work.
func ExampleKeys_Rotate() {
	ctx := context.Background()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	keys, err := apikey.New(apikey.Config{
		Store: apikey.NewMemoryStore(), Format: apikey.Format{Prefix: "acme_"}, Now: func() time.Time { return now },
	})
	if err != nil {
		panic(err)
	}
	defer keys.Close(ctx)
	key, old, err := keys.Issue(ctx, apikey.Draft{ID: "key_1", Account: "acct_1"})
	if err != nil {
		panic(err)
	}
	_, fresh, err := keys.Rotate(ctx, key.ID, 24*time.Hour)
	if err != nil {
		panic(err)
	}
	try := func(when string) {
		_, oldErr := keys.Verify(ctx, keystile.Presented{Secret: old})
		_, freshErr := keys.Verify(ctx, keystile.Presented{Secret: fresh})
		fmt.Println(when, "old:", oldErr, "fresh:", freshErr == nil)
	}
	try("today,")
	now = now.Add(24 * time.Hour)
	try("tomorrow,")
	// Output:
	// today, old: <nil> fresh: true
	// tomorrow, old: keystile: key_expired: apikey: key key_1 fresh: true
}

// Keys of an older shape are accepted beside those that are issued now.
func ExampleKeys_Import() {
	ctx := context.Background()
	keys, err := apikey.New(apikey.Config{
		Store:  apikey.NewMemoryStore(),
		Format: apikey.Format{Prefix: "acme_"},
		Accept: []apikey.Format{apikey.LaxFormat("whm_", 36, 36)},
	})
	if err != nil {
		panic(err)
	}
	defer keys.Close(ctx)
	for range 2 { // a second import changes nothing
		key, err := keys.Import(ctx, "whm_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6", apikey.Key{ID: "demo", Account: "acct_1"})
		fmt.Println(key.ID, key.Hint, err)
	}
	p, err := keys.Verify(ctx, keystile.Presented{Secret: "whm_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6"})
	fmt.Println(p.Account, err)
	// Output:
	// demo whm_a1b2 <nil>
	// demo whm_a1b2 <nil>
	// acct_1 <nil>
}
