package envelope

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/keystile/keystile"
)

// Option is something that Write says besides the data: Message, Member, As.
type Option struct {
	message string
	name    string
	value   any
	types   []string
}

// Message is the text of a success, for styles that have one.
func Message(text string) Option { return Option{message: text} }

// Member is a further member beside the data, such as the pages of a list, in
// the order of the options. In XML it is an element called name; several, where
// value is a slice.
func Member(name string, value any) Option { return Option{name: name, value: value} }

// As says which media types this answer can have, instead of those of the route
// or of Config.Types; the first is for clients that do not say.
func As(types ...string) Option { return Option{types: types} }

var (
	errNoEnvelope = errors.New("envelope: Write without an Envelope further out")
	errNoSuccess  = errors.New("envelope: Write is for a status of 200 to 299; answer errors with keystile.RespondError")
)

// Write answers a success with data, in the media type that the client wants
// most: JSON by encoding/json, XML by encoding/xml, where the types and tags of
// data choose names and namespaces. It is the only way to XML and to vendor
// media types; who needs neither may just write JSON.
//
// A client that accepts none of the types is refused with 406, unless
// Config.Lenient; where that must happen before the handler does anything,
// declare the types with Produces. Data that cannot be encoded, and a status
// that is no success, is a mistake of the handler: 500, logged, and nothing of
// it is sent. 204 and 205 have no body.
func Write(w http.ResponseWriter, r *http.Request, status int, data any, options ...Option) {
	env := envelopeOf(r)
	if env == nil {
		slog.ErrorContext(r.Context(), errNoEnvelope.Error())
		keystile.RespondError(w, r, &keystile.Error{Code: keystile.CodeInternal, Err: errNoEnvelope})
		return
	}
	a := &reply{env: env, offers: env.offersFor(r), success: Success{Status: status}}
	if err := a.make(r, data, options); err != nil {
		if !errors.Is(err, keystile.CodeNotAcceptable) {
			env.log().LogAttrs(r.Context(), slog.LevelError, "envelope: Write failed",
				slog.String("method", r.Method), slog.String("route", keystile.Route(r)), slog.String("cause", err.Error()))
		}
		keystile.RespondError(w, r, err)
		return
	}
	a.send(w, r)
}

// reply is a success in the making.
type reply struct {
	env           *Envelope
	offers        []offer
	offer         offer
	success       Success
	before, after string
	data          []byte
}

func (a *reply) bodiless() bool {
	return a.success.Status == http.StatusNoContent || a.success.Status == http.StatusResetContent
}

// make encodes everything, so that nothing can fail once something is sent.
func (a *reply) make(r *http.Request, data any, options []Option) (err error) {
	if a.success.Status < 200 || a.success.Status > 299 {
		return fmt.Errorf("%w, not %d", errNoSuccess, a.success.Status)
	}
	if a.bodiless() {
		return nil
	}
	for _, o := range options {
		if o.types != nil {
			if a.offers, err = newOffers("envelope.As", o.types, a.env.style); err != nil {
				return err
			}
		}
	}
	if a.offer, err = a.env.negotiate(r, a.offers); err != nil {
		return err
	}
	for _, o := range options {
		if err := a.add(o); err != nil {
			return err
		}
	}
	if a.offer.xml {
		a.before, a.after = a.env.style.(XMLStyle).SuccessXML(a.success)
		a.data, err = marshalXML(data)
		return err
	}
	a.before, a.after = a.env.style.Success(a.success)
	a.data, err = json.Marshal(data)
	return err
}

func (a *reply) add(o Option) error {
	if o.message != "" {
		a.success.Message = o.message
	}
	if o.name == "" {
		return nil
	}
	if a.offer.xml {
		element, err := memberXML(o.name, o.value)
		a.success.Members += element
		return err
	}
	value, err := json.Marshal(o.value)
	a.success.Members += "," + quote(o.name) + ":" + string(value)
	return err
}

func (a *reply) send(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if a.bodiless() {
		h[houseField] = houseValue
		w.WriteHeader(a.success.Status)
		return
	}
	dropBodyFields(h)
	delete(h, "Content-Encoding")
	if len(a.offers) > 1 {
		vary(h)
	}
	house(w, a.success.Status, a.offer.text, len(a.before)+len(a.data)+len(a.after), false)
	if r.Method == http.MethodHead {
		return
	}
	if _, err := io.WriteString(w, a.before); err != nil {
		return
	}
	if _, err := w.Write(a.data); err != nil {
		return
	}
	_, _ = io.WriteString(w, a.after)
}
