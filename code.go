package keystile

import "net/http"

// Code is the machine's half of an error: a short stable word, the same in
// every answer, log line and release. A Code is also the sentinel of its kind:
//
//	if errors.Is(err, keystile.CodeKeyExpired) { … }
type Code string

// The codes, each with the status it is answered with.
const (
	CodeUnauthorized            Code = "unauthorized"             // 401: missing, malformed or unknown credential
	CodeKeyRevoked              Code = "key_revoked"              // 401: told only to a holder of the real secret
	CodeKeyExpired              Code = "key_expired"              // 401: told only to a holder of the real secret
	CodeKeyDisabled             Code = "key_disabled"             // 401: told only to a holder of the real secret
	CodeInvalidRequest          Code = "invalid_request"          // 400: a credential sent twice, or broken grammar
	CodeInsufficientPermissions Code = "insufficient_permissions" // 403: a scope is missing; the answer says which
	CodeIPNotAllowed            Code = "ip_not_allowed"           // 403: outside the networks of the key
	CodeEndpointNotAllowed      Code = "endpoint_not_allowed"     // 403: outside the endpoints of the key
	CodeRateLimited             Code = "rate_limited"             // 429: a window is exhausted
	CodeConcurrencyLimited      Code = "concurrency_limited"      // 429: too many requests at once
	CodeCostExceedsLimit        Code = "cost_exceeds_limit"       // 400: this request can never fit
	CodeNotFound                Code = "not_found"                // 404
	CodeMethodNotAllowed        Code = "method_not_allowed"       // 405
	CodeNotAcceptable           Code = "not_acceptable"           // 406
	CodeContentTooLarge         Code = "content_too_large"        // 413
	CodeUnsupportedMediaType    Code = "unsupported_media_type"   // 415
	CodeInternal                Code = "internal"                 // 500: a wiring mistake or a recovered panic
	CodeOverloaded              Code = "overloaded"               // 503: a queue is full or timed out
	CodeUnavailable             Code = "unavailable"              // 503: a store is down
)

// Error makes a Code usable as a target of errors.Is.
func (c Code) Error() string { return string(c) }

// Status returns the HTTP status of c, and 500 for a code that is not one of
// this package's.
func (c Code) Status() int {
	status, _ := c.describe()
	return status
}

// Sentence returns the fixed public sentence of c: what a client is told
// whatever the cause was. It is the empty string for a code that is not one of
// this package's.
func (c Code) Sentence() string {
	_, sentence := c.describe()
	return sentence
}

// A switch and not a map: importing the package runs no init work.
func (c Code) describe() (status int, sentence string) {
	switch c {
	case CodeUnauthorized:
		return http.StatusUnauthorized, "Valid credentials are required."
	case CodeKeyRevoked:
		return http.StatusUnauthorized, "The key has been revoked."
	case CodeKeyExpired:
		return http.StatusUnauthorized, "The key has expired."
	case CodeKeyDisabled:
		return http.StatusUnauthorized, "The key is disabled."
	case CodeInvalidRequest:
		return http.StatusBadRequest, "The request is malformed."
	case CodeInsufficientPermissions:
		return http.StatusForbidden, "The credentials lack a required permission."
	case CodeIPNotAllowed:
		return http.StatusForbidden, "The key may not be used from this address."
	case CodeEndpointNotAllowed:
		return http.StatusForbidden, "The key may not be used for this endpoint."
	case CodeRateLimited:
		return http.StatusTooManyRequests, "Too many requests."
	case CodeConcurrencyLimited:
		return http.StatusTooManyRequests, "Too many requests at the same time."
	case CodeCostExceedsLimit:
		return http.StatusBadRequest, "The request costs more than the limit allows at all."
	case CodeNotFound:
		return http.StatusNotFound, "There is nothing at this address."
	case CodeMethodNotAllowed:
		return http.StatusMethodNotAllowed, "The method is not allowed at this address."
	case CodeNotAcceptable:
		return http.StatusNotAcceptable, "None of the accepted media types can be produced."
	case CodeContentTooLarge:
		return http.StatusRequestEntityTooLarge, "The request body is too large."
	case CodeUnsupportedMediaType:
		return http.StatusUnsupportedMediaType, "The media type of the request body is not supported."
	case CodeOverloaded:
		return http.StatusServiceUnavailable, "The service is overloaded. Try again later."
	case CodeUnavailable:
		return http.StatusServiceUnavailable, "The service is temporarily unavailable. Try again later."
	case CodeInternal:
		return http.StatusInternalServerError, "Something went wrong on the server."
	}
	return http.StatusInternalServerError, ""
}
