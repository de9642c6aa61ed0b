package keystile

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a credential in clear. It prints as REDACTED through fmt, log/slog
// and encoding/json; string(s) is the only way to its content, so that every
// use can be found by searching for it.
type Secret string

const redacted = "REDACTED"

// Format prints REDACTED for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns REDACTED.
func (Secret) String() string { return redacted }

// LogValue returns REDACTED.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns REDACTED.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
