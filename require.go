package keystile

import (
	"errors"
	"net/http"
	"slices"
	"strings"
)

// Members of the answer to a missing permission.
const (
	detailRequiredScopes = "required_scopes"
	detailMissingScopes  = "missing_scopes"
)

var errNoGuard = errors.New("keystile: RequireScopes without a Guard further out")

// RequireScopes returns a middleware that lets a request pass only when its
// principal holds all the required scopes; else the answer is 403 and names the
// missing ones. An anonymous request is 401; a request that no Guard has seen is
// a wiring mistake and 500. Mistakes in required come back as *ConfigError.
func RequireScopes(required ...string) (func(http.Handler) http.Handler, error) {
	if err := checkRequired("keystile.RequireScopes", required); err != nil {
		return nil, err
	}
	required = slices.Clone(required)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := authorize(r, required); err != nil {
				RespondError(w, r, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}, nil
}

func authorize(r *http.Request, required []string) error {
	g, decided := guardFrom(r)
	if !decided {
		return wiring(r, errNoGuard)
	}
	p, _ := PrincipalFrom(r.Context())
	e := checkScopes(p, required)
	if g != nil && g.observer != nil {
		g.observer.Observe(r.Context(), event(r, KindAuthorize, p, e))
	}
	if e != nil {
		return e
	}
	return nil
}

func checkScopes(p *Principal, required []string) *Error {
	if p == nil {
		return NoCredentials("")
	}
	var missing []string
	for _, s := range required {
		if !p.Scopes.Has(s) {
			missing = append(missing, s)
		}
	}
	if missing == nil {
		return nil
	}
	return &Error{
		Code: CodeInsufficientPermissions, Scheme: p.Scheme,
		Detail:  "Missing scopes: " + strings.Join(missing, ", ") + ".",
		Details: map[string]any{detailMissingScopes: missing, detailRequiredScopes: required},
	}
}
