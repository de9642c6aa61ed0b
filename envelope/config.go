package envelope

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/keystile/keystile"
)

// DefaultErrorLimit is the default of Config.ErrorLimit.
const DefaultErrorLimit = 64 << 10

// Config configures an Envelope.
type Config struct {
	// Style is the shape of the answers. Required.
	Style Style

	// Map changes an error before it is rendered: its status, its text (the
	// Detail, see Text), its Details, its header fields. It sees every error:
	// those of this module, those of handlers as ForeignError read them, and 500
	// for a panic. e.Header and e.Details are e's own and never nil. A field set
	// in e.Header replaces that of the answer, one without values removes it: so
	//
	//	e.Header["Www-Authenticate"] = nil
	//
	// withholds the challenges. Default: errors stay as they are.
	Map func(r *http.Request, e keystile.Error) keystile.Error

	// Types are the media types that Write chooses from by the Accept field
	// (RFC 9110 section 12.5.1), and that errors are written in; the first is for
	// clients that do not say. Each is JSON or XML. A route has others by
	// Produces, a single answer by As. Default: application/json.
	Types []string
	// Vendor is how the media types of the house begin, such as
	// "application/vnd.acme.". An error has the type that the client accepts, if
	// it begins so and ends in +json or +xml, whatever the route. Default: errors
	// have a type of Types.
	Vendor string
	// Lenient answers a client that accepts none of the types with the first of
	// them. Default: it is refused with 406 and CodeNotAcceptable.
	Lenient bool

	// ErrorLimit is how much of a handler's own error is read, in bytes. Default:
	// DefaultErrorLimit.
	ErrorLimit int
	// KeepAcceptEncoding lets the handlers below see what encodings the client
	// accepts. What they encode passes untouched: it is in no envelope. Compress
	// outside. Default: the field is withheld from them.
	KeepAcceptEncoding bool
	// Logger gets the panics of handlers, with their stacks, and the answers that
	// could not be finished. Default: slog.Default(), since a panic must not
	// vanish.
	Logger *slog.Logger
}

// New returns the Envelope that c describes, or all mistakes of c as
// *keystile.ConfigError values joined.
func New(c Config) (*Envelope, error) {
	var errs []error
	fail := func(field string, value any, reason string) {
		errs = append(errs, &keystile.ConfigError{Field: "envelope.Config." + field, Value: value, Reason: reason})
	}
	if c.Style == nil {
		fail("Style", nil, "is nil; pass StatusData{}, SuccessMessageData{}, SuccessError{}, Problem{} or a style of your own")
	}
	if len(c.Types) == 0 {
		c.Types = []string{typeJSON}
	}
	offers, err := newOffers("envelope.Config.Types", c.Types, c.Style)
	if err != nil {
		errs = append(errs, err)
	}
	if v, ok := splitMedia(c.Vendor); c.Vendor != "" && (!ok || v.params != "" || !strings.HasPrefix(c.Vendor, "application/vnd.") || !strings.HasSuffix(c.Vendor, ".")) {
		fail("Vendor", c.Vendor, `is not how vendor types begin; write "application/vnd.", the name of the house and a dot`)
	}
	if c.ErrorLimit < 0 {
		fail("ErrorLimit", c.ErrorLimit, "is negative; give the most bytes of an error to read, or 0 for the default")
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if c.ErrorLimit == 0 {
		c.ErrorLimit = DefaultErrorLimit
	}
	return &Envelope{
		style: c.Style, mapError: c.Map, offers: offers, vendor: c.Vendor, lenient: c.Lenient,
		errorLimit: c.ErrorLimit, keepEncoding: c.KeepAcceptEncoding, logger: c.Logger,
	}, nil
}
