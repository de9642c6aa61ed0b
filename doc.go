// Package keystile is the vocabulary of a turnstile for web services: who is
// calling, what they may do, and how they are told no. The packages below it
// speak in its terms; it imports the standard library only.
//
// # Quick start
//
//	guard, err := keystile.NewGuard(keystile.GuardConfig{
//		Authenticator: keys.From(apikey.Header("X-API-Key")), // package apikey
//		Realm:         "acme",
//	})
//	contacts, err := keystile.RequireScopes("contacts:read")
//	mux.Handle("GET /contacts", contacts(handler))
//	http.ListenAndServe(addr, keystile.Routes(mux, guard.Wrap))
//
// In a handler:
//
//	p, ok := keystile.PrincipalFrom(r.Context())
//
// # The way of a request
//
// [ClientIP] finds out where a request came from, a [Guard] who is calling, and
// [RequireScopes] whether they may do this; limits and envelopes are in packages
// of their own. An [Authenticator] has four outcomes that are never mixed up: no
// credential (401), refused (401), accepted, and unavailable (503): an outage is
// never a 401. [AnyOf], [OneOf] and [AllOf] combine several.
//
// Every refusal is an [*Error] with a [Code], which [RespondError] writes: as
// problem details (RFC 9457), or in the shape of an envelope further out. The
// client gets the code and a fixed sentence, the operator the cause.
//
// # Rules of coexistence
//
//   - Routes runs the whole chain with the route already known, so that 401 comes
//     before 404, and rules about routes match the pattern and never the path.
//     Rewrite paths outside of it.
//   - Behind a proxy put ClientIP outermost. Nothing else reads X-Forwarded-For.
//   - A log further out calls [Track] first, to name the caller afterwards.
//   - A handler that dispatches sub-requests may hand its context on: each Guard
//     decides anew, and a sub-request inherits no route. What no Guard judges runs
//     with the identity of the outer request.
//   - A batch or a test makes its own context with WithPrincipal, WithRoute or
//     WithClient.
//
// # A trap
//
// A Guard that is made and never mounted protects nothing, and nothing tells:
// mount it once, in Routes, and let single routes be excepted by Skip, rather
// than wrapping the routes that someone thought of.
package keystile
