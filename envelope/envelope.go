package envelope

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/record"
)

// Envelope gives every answer below it the shape of a Style. Make it with New;
// the zero value refuses every request with 500. An Envelope is safe for
// concurrent use.
type Envelope struct {
	style        Style
	mapError     func(*http.Request, keystile.Error) keystile.Error
	offers       []offer
	vendor       string
	lenient      bool
	errorLimit   int
	keepEncoding bool
	logger       *slog.Logger
}

var errZeroEnvelope = errors.New("envelope: this Envelope was not made by New")

// Wrap gives the answers of next the shape of the house: JSON of a success is
// wrapped as it streams, errors are rendered by the style, and so is a panic.
// What is in no JSON passes as it is. See the package comment for the rules.
func (env *Envelope) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if env == nil || env.style == nil {
			slog.ErrorContext(r.Context(), errZeroEnvelope.Error())
			keystile.RespondError(w, r, &keystile.Error{Code: keystile.CodeInternal, Err: errZeroEnvelope})
			return
		}
		nested := envelopeOf(r) != nil
		r = env.enter(r)
		framed, f := newFrame(env, w, r, nested)
		defer f.end()
		next.ServeHTTP(framed, r)
		f.returned = true
	})
}

// enter returns r with env as the Responder of its record, and without the
// encodings that the client accepts.
func (env *Envelope) enter(r *http.Request) *http.Request {
	const field = "Accept-Encoding"
	_, encodes := r.Header[field]
	encodes = encodes && !env.keepEncoding
	rec := record.From(r.Context())
	if rec == nil || !rec.Responder.Put(env) {
		rec = record.Begin(r.Context())
		rec.Responder.Put(env)
		r = r.WithContext(rec)
	} else if encodes {
		r = r.WithContext(r.Context())
	}
	if encodes {
		// A copy, since others may be reading theirs: a middleware outside, while
		// http.TimeoutHandler runs this one on another goroutine.
		r.Header = maps.Clone(r.Header)
		delete(r.Header, field)
	}
	return r
}

// Produces returns a middleware for routes that answer in media types of their
// own instead of Config.Types; the first is for clients that do not say. A
// client that accepts none of them is refused before the handler does anything,
// unless Config.Lenient. Mistakes in types come back as *keystile.ConfigError.
func (env *Envelope) Produces(types ...string) (func(http.Handler) http.Handler, error) {
	const field = "envelope.Envelope.Produces"
	if env == nil || env.style == nil {
		return nil, &keystile.ConfigError{Field: field, Reason: "is called on an Envelope that New did not make; call New first"}
	}
	if len(types) == 0 {
		return nil, &keystile.ConfigError{Field: field, Reason: "has no types; name at least one, or leave the middleware out"}
	}
	offers, err := newOffers(field, types, env.style)
	if err != nil {
		return nil, err
	}
	made := &production{env, offers}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// Not a record: what is noted about the request inside would stay there.
			r = r.WithContext(context.WithValue(r.Context(), productionKey{}, made))
			if _, err := env.negotiate(r, offers); err != nil {
				keystile.RespondError(w, r, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}, nil
}

// production is what a route produces, for the answers of env.
type production struct {
	env    *Envelope
	offers []offer
}

type productionKey struct{}

// offersFor returns the media types of r's route, or those of the house.
func (env *Envelope) offersFor(r *http.Request) []offer {
	if made, ok := r.Context().Value(productionKey{}).(*production); ok && made.env == env {
		return made.offers
	}
	return env.offers
}

// negotiate returns the media type to answer r in.
func (env *Envelope) negotiate(r *http.Request, offers []offer) (offer, error) {
	o, _, ok := choose(ranges(r), offers)
	if ok {
		return o, nil
	}
	if env.lenient {
		return offers[0], nil
	}
	e := &keystile.Error{Code: keystile.CodeNotAcceptable, Detail: "Available: "}
	for i, o := range offers {
		if i > 0 {
			e.Detail += ", "
		}
		e.Detail += o.text
	}
	e.Detail += "."
	return o, e
}

// envelopeOf returns the innermost Responder of r where it is one of ours.
func envelopeOf(r *http.Request) *Envelope {
	v, _ := record.From(r.Context()).FindResponder()
	env, _ := v.(*Envelope)
	return env
}

// RespondError answers with e in the shape of the style. keystile.RespondError
// calls it; call that instead, which sets the header fields that belong to e.
func (env *Envelope) RespondError(w http.ResponseWriter, r *http.Request, e *keystile.Error) {
	h := w.Header()
	if env.mapError != nil {
		mapped := env.mapped(r, e)
		applyFields(h, e, mapped)
		e = mapped
	}
	offers := env.offersFor(r)
	o := env.chooseForError(r, offers)
	var contentType string
	var body []byte
	if style, ok := env.style.(XMLStyle); ok && o.xml {
		contentType, body = style.FailureXML(e)
	} else {
		contentType, body = env.style.Failure(e)
	}
	if contentType == "" {
		contentType = o.text
	}
	if len(offers) > 1 || env.vendor != "" {
		vary(h)
	}
	house(w, statusOf(e), contentType, len(body), true)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// statusOf trusts no Map with a status that net/http would panic at, or that has
// no body.
func statusOf(e *keystile.Error) int {
	s := e.StatusCode()
	switch {
	case s < 200, s > 599, s == http.StatusNoContent, s == http.StatusResetContent, s == http.StatusNotModified:
		return http.StatusInternalServerError
	}
	return s
}

// mapped returns what Map makes of a copy of e that is free to be changed.
func (env *Envelope) mapped(r *http.Request, e *keystile.Error) *keystile.Error {
	own := *e
	if own.Header = maps.Clone(e.Header); own.Header == nil {
		own.Header = http.Header{}
	}
	if own.Details = maps.Clone(e.Details); own.Details == nil {
		own.Details = map[string]any{}
	}
	own = env.mapError(r, own)
	return &own
}

// applyFields changes the header fields of the answer from those of e to those
// of mapped.
func applyFields(h http.Header, e, mapped *keystile.Error) {
	for field := range e.Header {
		if _, kept := mapped.Header[field]; !kept {
			delete(h, field)
		}
	}
	if mapped.RetryAfter != e.RetryAfter {
		delete(h, "Retry-After")
		if mapped.RetryAfter > 0 {
			h["Retry-After"] = []string{strconv.FormatInt(wholeSeconds(mapped.RetryAfter), 10)}
		}
	}
	for field, values := range mapped.Header {
		if field = http.CanonicalHeaderKey(field); len(values) == 0 {
			delete(h, field)
		} else {
			h[field] = slices.Clone(values)
		}
	}
}

// houseField marks an answer that is in the shape of a house already, so that
// the frame further out leaves it alone. It stands in the header map, because
// that is what travels with an answer through http.TimeoutHandler and other
// buffers; and it is no field name (RFC 9110 section 5.1), so that no server
// would ever send it.
const houseField = "keystile envelope"

var houseValue = []string{""}

// house writes the header of an answer in the shape of the house.
func house(w http.ResponseWriter, status int, contentType string, length int, noSniff bool) {
	values := &[3]string{contentType, strconv.Itoa(length), "nosniff"}
	h := w.Header()
	h["Content-Type"], h["Content-Length"] = values[0:1:1], values[1:2:2]
	if noSniff {
		h["X-Content-Type-Options"] = values[2:3:3]
	}
	h[houseField] = houseValue
	w.WriteHeader(status)
}

func (env *Envelope) log() *slog.Logger {
	if env.logger != nil {
		return env.logger
	}
	return slog.Default()
}
