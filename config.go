package keystile

import (
	"errors"
	"fmt"
)

// ConfigError is one mistake in a configuration. New functions join all
// mistakes they find, so one start shows them all.
type ConfigError struct {
	Field  string // such as "keystile.GuardConfig.Realm"
	Value  any    // what was found there; nil where nothing was
	Reason string // the rule that is broken, and the remedy
}

// Error names the field, the value and the remedy. A value of type Secret is
// not printed.
func (e *ConfigError) Error() string {
	if e.Value == nil {
		return e.Field + ": " + e.Reason
	}
	return fmt.Sprintf("%s (%s): %s", e.Field, quoteValue(e.Value), e.Reason)
}

func quoteValue(v any) string {
	if s, ok := v.(string); ok {
		return fmt.Sprintf("%.100q", s)
	}
	return fmt.Sprintf("%.100s", fmt.Sprint(v))
}

// configErr returns the mistake that v carries from its construction, if any.
func configErr(v any) error {
	if c, ok := v.(interface{ ConfigErr() error }); ok {
		return c.ConfigErr()
	}
	return nil
}

// nilAuthenticator returns the mistake of a nil member at field.
func nilAuthenticator(field string) error {
	return &ConfigError{Field: field, Reason: "is nil; pass an Authenticator, such as keys.From(apikey.Header(\"X-API-Key\"))"}
}

func joinConfigErrs(field string, members []Authenticator) error {
	var errs []error
	for i, m := range members {
		at := fmt.Sprintf("%s[%d]", field, i)
		if m == nil {
			errs = append(errs, nilAuthenticator(at))
		} else if err := configErr(m); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
