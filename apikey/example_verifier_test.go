package apikey_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
)

// table is a table of keys that is there already, with the SHA-256 of each key in
// hex as so many have it.
type table map[string]struct{ customer, plan string }

func (t table) FindByDigest(_ context.Context, digests ...apikey.Digest) (*apikey.Key, error) {
	for _, d := range digests {
		if row, ok := t[d.Hex()]; ok {
			return &apikey.Key{
				ID: row.customer + "/1", Account: row.customer, Plan: row.plan,
				Secrets: []apikey.Secret{{Digest: d}},
			}, nil
		}
	}
	return nil, apikey.ErrNotFound
}

// Those who keep keys in a table of their own write one method.
func ExampleNewVerifier() {
	const secret = "sk-live-0123456789abcdef0123456789abcdef"
	sum := sha256.Sum256([]byte(secret))
	rows := table{hex.EncodeToString(sum[:]): {customer: "acct_1", plan: "pro"}}

	verifier, err := apikey.NewVerifier(apikey.VerifierConfig{
		Finder:  rows,
		Formats: []apikey.Format{apikey.LaxFormat("sk-live-", 40, 40)},
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	p, err := verifier.Verify(ctx, keystile.Presented{Secret: secret})
	fmt.Println(p.Account, p.Plan, err)

	// A row that is deleted is remembered, unless the verifier is told.
	clear(rows)
	_, err = verifier.Verify(ctx, keystile.Presented{Secret: secret})
	fmt.Println(err)
	verifier.Forget(apikey.Change{ID: "acct_1/1"})
	_, err = verifier.Verify(ctx, keystile.Presented{Secret: secret})
	fmt.Println(err)
	// Output:
	// acct_1 pro <nil>
	// <nil>
	// keystile: unauthorized: apikey: no key has this secret
}

// A key that has the rights of its owner asks for them each time.
func ExampleConfig_resolve() {
	ctx := context.Background()
	rights := map[string][]string{"alice": {"contacts:read", "contacts:write"}}
	keys, err := apikey.New(apikey.Config{
		Store:  apikey.NewMemoryStore(),
		Format: apikey.Format{Prefix: "acme_"},
		Resolve: func(_ context.Context, k *apikey.Key) (*keystile.Principal, error) {
			p := k.Principal("")
			p.Scopes = keystile.NewScopes(rights[k.Owner]...)
			return p, nil
		},
	})
	if err != nil {
		panic(err)
	}
	defer keys.Close(ctx)
	_, secret, err := keys.Issue(ctx, apikey.Draft{Account: "acct_1", Owner: "alice"})
	if err != nil {
		panic(err)
	}
	for range 2 {
		p, err := keys.Verify(ctx, keystile.Presented{Secret: secret})
		fmt.Println(p.Scopes, err)
		rights["alice"] = nil // alice loses them, and so does her key
	}
	// Output:
	// contacts:read, contacts:write <nil>
	//  <nil>
}
