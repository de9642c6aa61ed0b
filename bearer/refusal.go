package bearer

import (
	"errors"

	"github.com/keystile/keystile"
)

// reason is why a token is refused, for the log. It says nothing of the token's
// content.
type reason string

// Error implements error.
func (r reason) Error() string { return "bearer: " + string(r) }

const (
	errLong       reason = "the token is too long"
	errNoOpaque   reason = "the token is no JWT, and no verifier of other tokens is configured"
	errIssuer     reason = "the token is of no issuer that is configured"
	errAlgorithm  reason = "the issuer does not sign with the algorithm of the token"
	errUnknownKey reason = "the issuer has no key that the token could be signed with"
	errType       reason = "the token is a JWT of another type"
	errNested     reason = "the token is a JWT in a JWT"
	errAudience   reason = "the token is meant for another service"
	errNoExpiry   reason = "the token has no exp"
	errExpired    reason = "the token has expired"
	errEarly      reason = "the token is not valid yet"
	errAhead      reason = "the token was issued in the future"
	errRevoked    reason = "the token has been revoked"
	errNoSubject  reason = "the token names no subject"
	errRequired   reason = "the token lacks a claim that an access token must have (RFC 9068 section 2.2)"
)

// flawed is a reason that was found further down.
type flawed struct{ err error }

func (f flawed) Error() string { return "bearer: " + f.err.Error() }
func (f flawed) Unwrap() error { return f.err }

// refuse returns the refusal of a JWT.
func refuse(err error) *keystile.Error {
	if _, ours := err.(reason); !ours {
		err = flawed{err}
	}
	return &keystile.Error{Code: keystile.CodeUnauthorized, Scheme: keystile.SchemeJWT, Err: err}
}

var (
	absent = keystile.NoCredentials(keystile.SchemeBearer)

	refusedGrammar = badRequest("The Authorization field is malformed.")
	refusedTwice   = badRequest("Send one Authorization field, not several.")
	refusedMethods = badRequest("Send the token in the Authorization field alone.") // RFC 6750 section 3.1: more than one method

	refusedLong     = &keystile.Error{Code: keystile.CodeUnauthorized, Scheme: keystile.SchemeBearer, Err: errLong}
	refusedNoOpaque = &keystile.Error{Code: keystile.CodeUnauthorized, Scheme: keystile.SchemeBearer, Err: errNoOpaque}
	refusedExpired  = &keystile.Error{Code: keystile.CodeKeyExpired, Scheme: keystile.SchemeJWT, Err: errExpired}
	refusedRevoked  = &keystile.Error{Code: keystile.CodeKeyRevoked, Scheme: keystile.SchemeJWT, Err: errRevoked}

	errZeroAuthenticator = &keystile.Error{Code: keystile.CodeInternal, Err: reason("this Authenticator was not made by New")}
	errNilPrincipal      = &keystile.Error{Code: keystile.CodeInternal, Err: reason("there is neither a principal nor an error")}
)

func badRequest(detail string) *keystile.Error {
	return &keystile.Error{Code: keystile.CodeInvalidRequest, Scheme: keystile.SchemeBearer, Detail: detail}
}

// outcome makes what the user's code returned one of the outcomes that may be
// answered: a *keystile.Error passes, with scheme where it has none; any other
// error is an outage.
func outcome(err error, scheme keystile.Scheme) error {
	var e *keystile.Error
	if !errors.As(err, &e) || e == nil {
		return keystile.Unavailable(err)
	}
	if e.Scheme == "" {
		copied := *e
		copied.Scheme = scheme
		return &copied
	}
	return err
}
