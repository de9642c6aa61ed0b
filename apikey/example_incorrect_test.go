package apikey_test

import (
	"context"
	"fmt"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
)

// This is wrong: two processes share a store, and nobody gave them its Feed. A
// key that is revoked in one of them goes on working in the other for as long as
// it is remembered there. Set Config.Feed; Bound says what is promised.
func Example_incorrectWithoutFeed() {
	ctx := context.Background()
	store := apikey.NewMemoryStore() // stands for a database
	process := func(feed apikey.Feed) *apikey.Keys {
		keys, err := apikey.New(apikey.Config{Store: store, Feed: feed, Format: apikey.Format{Prefix: "acme_"}})
		if err != nil {
			panic(err)
		}
		return keys
	}
	a, b := process(nil), process(nil)
	defer a.Close(ctx)
	defer b.Close(ctx)

	key, secret, err := a.Issue(ctx, apikey.Draft{Account: "acct_1"})
	if err != nil {
		panic(err)
	}
	if _, err := b.Verify(ctx, keystile.Presented{Secret: secret}); err != nil {
		panic(err)
	}
	if err := a.Revoke(ctx, key.ID, "stolen"); err != nil {
		panic(err)
	}
	_, errA := a.Verify(ctx, keystile.Presented{Secret: secret})
	_, errB := b.Verify(ctx, keystile.Presented{Secret: secret})
	fmt.Println("refused in A:", errA != nil)
	fmt.Println("refused in B:", errB != nil, "for up to", b.Bound())

	good := process(store)
	defer good.Close(ctx)
	fmt.Println("with the feed: for up to", good.Bound())
	// Output:
	// refused in A: true
	// refused in B: false for up to 30s
	// with the feed: for up to 1s
}

// This is wrong: Authorization holds a scheme and a token, not a key alone. The
// mistake comes back from NewGuard, and with it the remedy.
func Example_incorrectAuthorizationHeader() {
	keys, err := apikey.New(apikey.Config{Store: apikey.NewMemoryStore(), Format: apikey.Format{Prefix: "acme_"}})
	if err != nil {
		panic(err)
	}
	defer keys.Close(context.Background())
	_, err = keystile.NewGuard(keystile.GuardConfig{
		Authenticator: keys.From(apikey.Header("Authorization")),
		Realm:         "acme",
	})
	fmt.Println(err)
	// Output:
	// apikey.Header ("Authorization"): holds a scheme and not a key alone; use Bearer() for keys in Authorization
}
