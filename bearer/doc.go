// Package bearer judges "Authorization: Bearer": JSON Web Tokens of the issuers
// that you name, and opaque keys beside them under the same header field.
//
// # Quick start
//
//	tokens, err := bearer.New(bearer.Config{
//		Issuers: []bearer.Issuer{{
//			Name:       "https://login.example.com/",
//			Audience:   []string{"https://api.example.com"},
//			Algorithms: []bearer.Algorithm{bearer.RS256},
//			KeySet:     bearer.RemoteKeys(bearer.RemoteConfig{Discovery: bearer.DiscoverOpenID}),
//			Principal:  bearer.Mapping{Account: "org_id"},
//		}},
//	})
//	guard, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: tokens, Realm: "example"})
//	http.Handle("/", guard.Wrap(api))
//
// In a handler, keystile.PrincipalFrom says who is calling, and From what else the
// token says.
//
// # JWT beside keys
//
// With Config.Opaque, API keys and JWTs share the field. *apikey.Keys is such a
// verifier:
//
//	tokens, err := bearer.New(bearer.Config{Issuers: issuers, Opaque: keys, OpaquePrefixes: []string{"acme_"}})
//
// A token that begins with a declared prefix is opaque. Else one of three parts of
// base64url with dots between them is a JWT, and judged only as one. Anything else
// is opaque. What is refused as the one is never tried as the other, so nobody
// gets in through the laxer of two doors. A principal's Scheme says which it was:
// keystile.SchemeJWT or keystile.SchemeBearer.
//
// # Rules of coexistence
//
//   - Put keys that come in a field of their own and this Authenticator under
//     keystile.AnyOf, or keystile.AllOf where both are wanted. List only one
//     authenticator that reads Bearer: pass keys here as Opaque, and do not use
//     apikey.Bearer besides.
//   - Declare the prefix of your keys if they have two dots in them.
//   - Every service has an audience of its own. Two that share one accept each
//     other's tokens.
//   - Several issuers may sit side by side; their keys never mix, even where their
//     names are equal. Their accounts do: see Mapping.
//   - Put the limiter that counts strangers outside the Guard: a bad JWT costs a
//     signature check.
//   - Signer.JWKS needs no Guard in front.
//
// # Threats
//
// The algorithm, the key, the issuer and the audience come from the configuration;
// a token only chooses among them. What RFC 8725 warns of is refused: none,
// public keys as secrets, kid and jku as addresses, critical extensions, a name
// that is there twice, compressed, nested and encrypted tokens, types that mean
// something else. Claims are read after the signature has been verified. A token
// over 8 KiB is refused by its length.
//
// A stolen token opens the door until it expires: nothing here binds it to its
// owner. Keep tokens short-lived, and give Config.Revoked a list of those that end
// early. A key that an issuer removes is refused within twice
// RemoteConfig.RefreshAfter while the issuer answers, and within MaxAge in any
// case. Verified tokens are remembered, under their digest and only for the
// configuration that verified them; expiry, key and revocation are asked for every
// request. The signature itself is checked by golang-jwt.
//
// # A trap
//
// Whoever can verify an HS256 token can make one. Share a secret between two
// services only if each may speak for the other; else use ES256 or EdDSA, and
// publish the public half. See also the example of the wrong use: reading the
// claims of a token is not verifying it.
package bearer
