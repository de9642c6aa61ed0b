// Package apikey issues, verifies and revokes API keys.
//
// # Quick start
//
//	store := apikey.NewMemoryStore()
//	keys, err := apikey.New(apikey.Config{
//		Store:  store,
//		Feed:   store,
//		Format: apikey.Format{Prefix: "acme_"},
//	})
//	…
//	defer keys.Close(ctx)
//
//	key, secret, err := keys.Issue(ctx, apikey.Draft{Account: "acct_1", Name: "CI", Plan: "free"})
//	// Show string(secret) to the customer: nobody can show it again.
//
//	guard, err := keystile.NewGuard(keystile.GuardConfig{
//		Authenticator: keys.From(apikey.Header("X-API-Key"), apikey.Bearer()),
//		Realm:         "acme",
//	})
//	http.ListenAndServe(addr, guard.Wrap(handler))
//
// In the handler, [keystile.PrincipalFrom] says who is calling, and [From] gives
// the key itself.
//
// Those who keep keys in a table of their own implement [Finder], one method, and
// use [NewVerifier].
//
// # How soon a change is in force
//
// Verified keys are remembered, so that a key in use costs no read of the store.
// What is changed through a [Keys] is in force in that process when the method
// returns. In other processes it is in force within [Verifier.Bound]: one second
// with a [Feed], thirty without one, both configurable. Give a Feed.
// [Config.Sync] can wake it, and then it is a matter of milliseconds.
//
// A store that is down is 503, never 401. Keys that are remembered are served on
// while it is, but not longer than they could have been in its presence.
//
// # Living together
//
//   - One [Keys] for each process and store. Two over one store behave like two
//     machines: they learn of each other's changes through the Feed.
//   - Nobody else writes to the store behind the back of its Feed. Who must,
//     calls [Verifier.Forget] in every process.
//   - The Feed of a store is not that of its replica: where reads go to a replica
//     that lags, a revoked key is accepted for as long as it lags.
//   - A Guard outside, limits and scopes inside; keys in X-API-Key and JSON Web
//     Tokens as Bearer beside each other are keystile.AnyOf(keys.From(…), tokens).
//   - Formats change: put the old one in Accept, and keep both as long as old keys
//     live. The same goes for peppers.
//
// # Threats
//
// A secret has at least 128 bits from crypto/rand, so that a fast hash is enough
// and guessing is hopeless; its checksum refuses made-up keys without asking the
// store. The store keeps digests only, and a leaked one opens nothing; under a
// pepper that is kept elsewhere it does not even tell whether a secret from
// another leak is the one. Lookup goes by digest: what its timing tells is about
// the digest, not about the key. Secrets and digests print as REDACTED.
//
// Who can write to the store can plant a key. That is so under a pepper as well,
// because secrets without one stay valid until they are used.
//
// What a caller learns of a key's state, revoked, expired, disabled, is told to
// the holder of its secret alone. A flood of unknown keys is remembered apart
// from those that are known, and pushes none of them out.
//
// Not covered: a secret in the URL ends up in logs, which is why [InsecureQuery]
// is called so; and a [LaxFormat] has no checksum, so that every new guess reads
// the store.
//
// # A trap
//
// [From] gives the key as it was when it was last read. It is good for showing
// and for deciding; writing it back is not: use [Keys.Edit], which reads again.
// And do not look at Key.State of it to find out whether a key is still good,
// which has been decided when the request came in.
package apikey
