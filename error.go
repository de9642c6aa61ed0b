package keystile

import (
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// ErrNoCredentials is wrapped by the error of a request that carries no
// credential at all. Such an error has the code CodeUnauthorized; RFC 6750
// section 3.1 wants it told apart from a refused credential.
var ErrNoCredentials = errors.New("keystile: no credentials")

// Error is a refusal, or the reason why no decision could be taken. It says
// three things to three readers: Code to the machine, the fixed sentence of
// the code (and Detail) to the client, and Err to the operator. Err never
// reaches a response.
//
// An Error is read-only once it has been returned; several requests may share
// one.
type Error struct {
	Code       Code           // Required.
	Status     int            // Default: the status of Code.
	Type       string         // Problem type URI (RFC 9457 section 3.1.1). Default: that of Code.
	Detail     string         // What the client is told besides the sentence of Code. Default: nothing.
	Scheme     Scheme         // The scheme whose credential was judged. Default: none was.
	RetryAfter time.Duration  // How long the client should wait; sent as whole seconds, rounded up. Default: not said.
	Details    map[string]any // Further members of the answer.
	Header     http.Header    // Further header fields of the answer.
	Err        error          // The cause, for the log only.
}

// Error returns the code and the cause, for logs. It is not for clients.
func (e *Error) Error() string {
	switch {
	case e.Err != nil:
		return "keystile: " + string(e.Code) + ": " + e.Err.Error()
	case e.Detail != "":
		return "keystile: " + string(e.Code) + ": " + e.Detail
	}
	return "keystile: " + string(e.Code)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the code of e.
func (e *Error) Is(target error) bool {
	c, ok := target.(Code)
	return ok && c == e.Code
}

// StatusCode returns the HTTP status that e is answered with.
func (e *Error) StatusCode() int {
	if e.Status != 0 {
		return e.Status
	}
	return e.Code.Status()
}

// Sentence returns the public sentence of e: the fixed one of its code, or the
// name of its status for a code of the service's own.
func (e *Error) Sentence() string {
	if s := e.Code.Sentence(); s != "" {
		return s
	}
	return http.StatusText(e.StatusCode())
}

// NoCredentials returns the error of a request without a credential of scheme.
func NoCredentials(scheme Scheme) *Error {
	return &Error{Code: CodeUnauthorized, Scheme: scheme, Err: ErrNoCredentials}
}

// retryUnavailable is what a client is told to wait when a store is down.
const retryUnavailable = time.Second

// Unavailable returns the error of a decision that could not be taken because
// of cause: 503 with a Retry-After of one second. An outage is never a 401.
func Unavailable(cause error) *Error {
	return &Error{Code: CodeUnavailable, RetryAfter: retryUnavailable, Err: cause}
}

// wiring returns the error of a program that was put together wrongly. Nobody may
// be observing, so it is logged where it is found.
func wiring(r *http.Request, mistake error) *Error {
	slog.ErrorContext(r.Context(), mistake.Error(), "route", Route(r))
	return &Error{Code: CodeInternal, Err: mistake}
}

// asError returns the *Error in err's tree, or an internal error that hides err.
func asError(err error) *Error {
	if e := findError(err); e != nil {
		return e
	}
	return &Error{Code: CodeInternal, Err: err}
}

// findError returns the *Error that err wraps, or nil. Where errors are joined,
// all of them must be or wrap one, and the first that is a 5xx counts, else the
// first: an outage that is joined to a refusal is no refusal.
func findError(err error) *Error {
	for err != nil {
		switch e := err.(type) {
		case *Error:
			return e
		case interface{ Unwrap() []error }:
			return findJoined(e.Unwrap())
		}
		err = errors.Unwrap(err)
	}
	return nil
}

func findJoined(errs []error) *Error {
	var first *Error
	for _, err := range errs {
		e := findError(err)
		switch {
		case e == nil:
			return nil
		case first == nil, first.StatusCode() < 500 && e.StatusCode() >= 500:
			first = e
		}
	}
	return first
}
