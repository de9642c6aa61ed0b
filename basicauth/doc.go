// Package basicauth knows callers by HTTP Basic (RFC 7617): user names and
// passwords, from an Apache password file, from memory, or from a table of one's
// own.
//
// # Quick start
//
//	users, err := basicauth.Htpasswd("/etc/acme/users.htpasswd", basicauth.HtpasswdConfig{
//		Fill: func(u *basicauth.User) { u.Account = "acme" },
//	})
//	basic, err := basicauth.New(basicauth.Config{Users: users})
//	guard, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: basic, Realm: "acme"})
//	handler := guard.Wrap(mux)
//
// Write the file with `htpasswd -B -C 12`. Passwords that the service itself
// stores are hashed with [Hash] (argon2id). Users in a table of one's own need one
// method, [Users].
//
// # What a login costs, and whom
//
// Password hashes are slow on purpose, so a password that was right is remembered
// for up to a minute: as an HMAC of the credentials under a key that only this
// process has, beside the stored hash for which it was right. The user is read for
// every request, so that a changed password, a disabled user and another plan count
// from the next one.
//
// What is compared is compared at equal cost: whoever asks pays one compare of
// each kind of hash that there is, known or unknown, disabled or not. Few compares
// run at once and few callers wait; further ones get 503 before anything is
// hashed, so that a flood of logins leaves the rest of the service its processors.
//
// Failures make the next attempts wait, longer each time: see [Throttles] for who
// waits for what, and why the owner of a user is not locked out by a guesser
// elsewhere. Who has to wait is told so with 429, before anything is hashed.
//
// # Passwords
//
// A password is what the client sent, byte for byte. Nothing is trimmed, and
// nothing is normalised: the NFC and the NFD form of a text are two passwords (RFC
// 7617 section 2.1 asks clients for NFC). Both name and password must be UTF-8
// without control characters and not empty; the first colon ends the name. Bcrypt
// looks at 72 bytes: a password of 72 or more never matches it.
//
// Malformed credentials are 401 with a challenge: bad base64 (it must be padded
// and canonical), no colon, parameters. Two Authorization fields are 400.
//
// # Rules of coexistence
//
//   - Passwords travel in clear, so a request that is not encrypted is refused with
//     400, unless it comes from this machine. Behind a proxy that ends TLS put
//     keystile.ClientIP outermost: it records what the proxy says of the client's
//     connection. InsecureAllowPlaintext gives up the protection.
//   - Behind any proxy ClientIP is needed for the throttles as well: without it all
//     clients are one network, and a guesser locks out everybody he guesses at.
//   - Beside API keys or tokens use keystile.AnyOf; where both are wanted
//     keystile.AllOf, for which users need an Account.
//   - Browsers answer the challenge with a dialogue of their own. For routes that a
//     page calls, GuardConfig.Silence withholds it.
//   - Several machines share throttles by sharing a keystile.Throttle, one that
//     writes to a store; what is remembered stays in each.
//
// # Threats
//
// Guessing is slowed down, not stopped: see [Throttles] for what the defaults let
// through. Timing does not tell whether a user exists as far as this package can
// help it; it cannot help a Users that takes longer for one than for the other.
// A kind of hash that a table returns and neither Config.Kinds nor a [KindLister]
// has named shows itself once, to whoever meets it first.
//
// # A trap
//
// Make one Authenticator for the life of the process. One that is made for each
// request remembers nothing, throttles nobody and bounds nothing, and looks as if
// it worked.
package basicauth
