package keystile

import (
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
)

// Scopes is an immutable set of permissions. A scope is any non-empty string:
// "contacts:read" and "Read Bots" are scopes alike. A granted "contacts:*"
// covers every scope that begins with "contacts:", a granted "*" covers all.
// The zero value grants nothing.
type Scopes struct {
	granted []string
}

// NewScopes returns the set of the given scopes, in their order. Empty strings
// and repetitions are left out.
func NewScopes(scopes ...string) Scopes {
	granted := make([]string, 0, len(scopes))
	for _, s := range scopes {
		if s != "" && !slices.Contains(granted, s) {
			granted = append(granted, s)
		}
	}
	return Scopes{granted}
}

// Has reports whether required is covered. The empty string never is.
func (s Scopes) Has(required string) bool {
	if required == "" {
		return false
	}
	for _, g := range s.granted {
		if g == required || covers(g, required) {
			return true
		}
	}
	return false
}

// Covers reports whether everything that other grants is granted by s too: a
// key with the scopes s may mint one with the scopes other.
func (s Scopes) Covers(other Scopes) bool {
	for _, required := range other.granted {
		if !s.Has(required) {
			return false
		}
	}
	return true
}

// All returns a copy of the granted scopes, in the order they were given.
func (s Scopes) All() []string { return slices.Clone(s.granted) }

// String returns the scopes separated by a comma and a space, for logs.
func (s Scopes) String() string { return strings.Join(s.granted, ", ") }

// LogValue returns the scopes as a list.
func (s Scopes) LogValue() slog.Value { return slog.AnyValue(s.All()) }

// MarshalJSON returns the scopes as an array, an empty one where there are none.
func (s Scopes) MarshalJSON() ([]byte, error) {
	if s.granted == nil {
		return []byte("[]"), nil
	}
	return json.Marshal(s.granted)
}

func isWildcard(scope string) bool { return scope == "*" || strings.HasSuffix(scope, ":*") }

func covers(granted, required string) bool {
	if !isWildcard(granted) {
		return false
	}
	return strings.HasPrefix(required, granted[:len(granted)-1])
}

// checkRequired returns what is wrong with a list of required scopes.
func checkRequired(field string, required []string) error {
	var errs []error
	if len(required) == 0 {
		errs = append(errs, &ConfigError{Field: field, Reason: "names no scope; name at least one, or leave the middleware out"})
	}
	for _, s := range required {
		switch {
		case s == "":
			errs = append(errs, &ConfigError{Field: field, Value: s, Reason: "is empty; name the scope, such as contacts:read"})
		case isWildcard(s):
			errs = append(errs, &ConfigError{Field: field, Value: s, Reason: "is a wildcard, which only a credential may hold; require the scope itself, such as contacts:read"})
		}
	}
	return errors.Join(errs...)
}
