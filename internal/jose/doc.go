// Package jose is what package bearer needs of JOSE: the compact form of a JWS
// (RFC 7515), keys and key sets (RFC 7517), the signature algorithms (RFC 7518,
// RFC 8037), and a strict reader of JSON (RFC 8259).
//
// The cryptography is golang-jwt's and the standard library's. What golang-jwt
// lets through is closed here: salts of another length (RFC 7518 section 3.5),
// base64 that is not canonical (RFC 7515 section 2), keys that are meant for
// something else (RFC 7517 sections 4.2 to 4.4), keys that are too weak (RFC 7518
// sections 3.2 and 3.3), names that are there twice (RFC 7515 section 4).
//
// It knows nothing of claims. It stands apart from bearer so that the corpora in
// internal/wycheproof reach the very code that bearer runs.
package jose
