package keystile

import (
	"errors"
	"net/http"
	"strings"
)

// BearerChallenge returns the Bearer challenge that an answer with err should
// carry (RFC 6750 section 3), without a realm, which the Guard adds; "" where
// there should be none. Authenticators that take Bearer tokens call it.
//
// It has no error attribute where no credential was sent or the refused one was
// not a Bearer token; else it is invalid_request (400), invalid_token (401) or
// insufficient_scope (403).
func BearerChallenge(err error) string {
	e := findError(err)
	if e == nil {
		return "Bearer"
	}
	ours := e.Scheme == SchemeBearer || e.Scheme == SchemeJWT
	switch e.StatusCode() {
	case http.StatusUnauthorized:
		if !ours || errors.Is(e, ErrNoCredentials) {
			return "Bearer"
		}
		return bearerError("invalid_token", e)
	case http.StatusBadRequest:
		if ours && e.Code == CodeInvalidRequest {
			return bearerError("invalid_request", e)
		}
	case http.StatusForbidden:
		if ours && e.Code == CodeInsufficientPermissions {
			return bearerError("insufficient_scope", e) + scopeAttribute(e)
		}
	}
	return ""
}

// bearerError uses the fixed sentences only: they keep to the character set of
// RFC 6750 section 3.1, which a test checks.
func bearerError(name string, e *Error) string {
	return `Bearer error="` + name + `", error_description="` + e.Code.Sentence() + `"`
}

// scopeAttribute names all required scopes, or nothing where one of them cannot
// be said in the grammar of RFC 6749 section 3.3 ("Read Bots" is two scopes
// there).
func scopeAttribute(e *Error) string {
	required, _ := e.Details[detailRequiredScopes].([]string)
	if len(required) == 0 {
		return ""
	}
	for _, s := range required {
		if !isScopeToken(s) {
			return ""
		}
	}
	return `, scope="` + strings.Join(required, " ") + `"`
}

func isScopeToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// withRealm puts realm, already quoted and with its name, behind the scheme of
// a challenge that has none.
func withRealm(challenge, realm string) string {
	scheme, params, found := strings.Cut(challenge, " ")
	if !found {
		return scheme + " " + realm
	}
	if hasRealm(params) {
		return challenge
	}
	return scheme + " " + realm + ", " + params
}

func hasRealm(params string) bool {
	const name = "realm="
	quoted := false
	for i := 0; i < len(params); i++ {
		switch {
		case quoted && params[i] == '\\':
			i++
		case params[i] == '"':
			quoted = !quoted
		case !quoted && (i == 0 || params[i-1] == ' ' || params[i-1] == ',') &&
			len(params)-i >= len(name) && strings.EqualFold(params[i:i+len(name)], name):
			return true
		}
	}
	return false
}
