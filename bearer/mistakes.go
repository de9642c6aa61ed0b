package bearer

import (
	"errors"

	"github.com/keystile/keystile"
)

// mistakes collects what is wrong with a configuration.
type mistakes []error

func (m *mistakes) add(field string, value any, reason string) {
	*m = append(*m, &keystile.ConfigError{Field: field, Value: value, Reason: reason})
}

// join adds the mistakes that err holds, one by one.
func (m *mistakes) join(err error) {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range all.Unwrap() {
			m.join(e)
		}
	} else if err != nil {
		*m = append(*m, err)
	}
}

func (m mistakes) err() error { return errors.Join(m...) }

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
