package keystile

import (
	"context"
	"net/http"
	"net/netip"
)

// Authenticator finds out who is calling. Implementations are safe for
// concurrent use and do not change the request.
//
// There are four outcomes and they are never mixed up: no credential, refused,
// accepted, unavailable.
type Authenticator interface {
	// Present reports whether r carries a credential for this authenticator,
	// good or bad. It does no I/O. An empty credential field counts as absent.
	Present(r *http.Request) bool

	// Authenticate judges the credential. It returns a principal; or an *Error
	// that refuses it; or an *Error that wraps ErrNoCredentials, with the Scheme
	// of this authenticator, where Present is false. Any other error means that
	// the decision could not be taken, and is answered with 503.
	Authenticate(r *http.Request) (*Principal, error)

	// Challenges returns the WWW-Authenticate values (RFC 9110 section 11.6.1)
	// that an answer with err should carry: at least one where err is a 401, and
	// for another status only what the scheme's own RFC asks for. The Guard adds
	// its realm to each that has none. The result must not be changed.
	Challenges(r *http.Request, err error) []string
}

// Presented is a credential as a client sent it, with what a restricted
// credential is judged by.
type Presented struct {
	Secret Secret     // the credential in clear
	Scheme Scheme     // how it was presented
	Addr   netip.Addr // where from, as ClientAddr gives it; zero: not known
	Route  string     // what for, as Route gives it; "": not known
}

// TokenVerifier judges an opaque token: *apikey.Keys is one, and so may be a
// client of an introspection endpoint. Errors are those of
// Authenticator.Authenticate. Implementations are safe for concurrent use.
type TokenVerifier interface {
	VerifyToken(ctx context.Context, p Presented) (*Principal, error)
}
