// Package keystile is the vocabulary of a turnstile for web services: who is
// calling, what they may do, and how they are told no.
//
// It holds what every other package of the module speaks in: [Principal],
// [Authenticator], [Guard], [Error], [Route], [ClientAddr]. It imports the
// standard library only.
package keystile
