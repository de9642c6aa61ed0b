package envelope

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
)

// frame is the ResponseWriter of one request. It decides by status and media
// type what becomes of the answer; nothing is sent before that is known.
type frame struct {
	w      http.ResponseWriter
	r      *http.Request
	env    *Envelope
	mode   mode
	status int // 0: not said yet

	committed bool // the header is out
	returned  bool // the handler has come back
	hijacked  bool
	nested    bool // there is a frame further out

	before, after string
	begun         bool // before is out
	scan          scanner
	contentType   [1]string // room for the field's value
	encodings     []string  // Content-Encoding, where a middleware outside has set it

	body []byte // of an error, or what came before the media type was known
	err  error  // what further writes are answered with
}

// mode is what becomes of the bytes of the body.
type mode uint8

const (
	undecided  mode = iota // wait for a byte: there is no Content-Type
	passing                // go through as they are
	framing                // are data, and get the frame around them
	collecting             // are an error for Style.ForeignError
	discarding             // are no longer wanted: something else has been answered
	broken                 // are no longer wanted: the connection will be aborted
)

var (
	errNotJSON   = errors.New("envelope: the handler's body is not a single JSON value, although its Content-Type says so")
	errMixed     = errors.New("envelope: the handler's answer turned into an error after it had begun")
	errEnded     = errors.New("envelope: the request has ended")
	errTruncated = errors.New("envelope: the handler's JSON ends too early")
)

// Header returns the header of the answer.
func (f *frame) Header() http.Header { return f.w.Header() }

// Unwrap lets http.ResponseController reach the rest.
func (f *frame) Unwrap() http.ResponseWriter { return f.w }

// WriteHeader decides by status and Content-Type what the answer is. The first
// final status counts; but an answer of the house takes the place of one that
// has been begun and not yet sent.
func (f *frame) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols || status > 999 {
		f.w.WriteHeader(status) // RFC 9110 section 15.2; or net/http panics
		return
	}
	h := f.w.Header()
	_, house := h[houseField]
	if house {
		delete(h, houseField)
	}
	switch {
	case f.status == 0:
	case !house && status >= 400 && f.mode == framing && f.begun && !f.scan.valid():
		// http.Error in the middle of the data, whose text might even end it.
		_ = f.breakOff(errMixed)
		return
	case !house || f.mode == passing || f.mode == discarding || f.mode == broken:
		return
	case f.committed:
		_ = f.breakOff(errMixed)
		return
	}
	f.status, f.body = status, nil
	if house && len(f.encodings) > 0 {
		// RespondError takes away what a handler says of its body. This says what
		// is done to ours, outside; so the length of ours is of no use either.
		h["Content-Encoding"] = f.encodings
		delete(h, "Content-Length")
	}
	f.decide(h, house)
}

func (f *frame) decide(h http.Header, house bool) {
	switch {
	case house, f.status < 200, f.isEncoded(h):
		f.pass()
	case f.status >= 400:
		f.mode = collecting
	case f.status >= 300, f.status == http.StatusNoContent, f.status == http.StatusResetContent,
		f.status == http.StatusPartialContent, len(h["Content-Range"]) > 0:
		f.pass()
	default:
		f.before, f.after = f.env.style.Success(Success{Status: f.status})
		if f.before == "" && f.after == "" {
			f.pass()
			return
		}
		f.mode = undecided
		if types, ok := h["Content-Type"]; ok {
			f.settle(types)
		}
	}
}

// isEncoded reports whether something below has encoded the body.
func (f *frame) isEncoded(h http.Header) bool {
	encodings := h["Content-Encoding"]
	return len(encodings) > 0 && !strings.EqualFold(encodings[0], "identity") && !slices.Equal(encodings, f.encodings)
}

// settle decides about a success by its Content-Type; none at all is how a
// handler tells net/http not to look at the bytes.
func (f *frame) settle(types []string) {
	if len(types) > 0 {
		if framed, ok := jsonType(types[0]); ok {
			f.mode, f.contentType[0] = framing, framed
			return
		}
	}
	f.pass()
}

// pass lets the answer go as it is.
func (f *frame) pass() {
	f.mode = passing
	f.commit()
}

func (f *frame) commit() {
	if f.nested {
		f.w.Header()[houseField] = houseValue // ours, whatever we did
	}
	f.committed = true
	f.w.WriteHeader(f.status)
}

// begin does what the first Write of a ResponseWriter does.
func (f *frame) begin() {
	if f.status == 0 {
		f.WriteHeader(http.StatusOK)
	}
}

// Write takes a piece of the body.
func (f *frame) Write(p []byte) (int, error) {
	from, to, err := take(f, p)
	if from == to {
		return ended(len(p), err)
	}
	n, err := f.w.Write(p[from:to])
	return f.wrote(n, from, to, len(p), err)
}

// WriteString keeps io.WriteString from copying.
func (f *frame) WriteString(s string) (int, error) {
	from, to, err := take(f, s)
	if from == to {
		return ended(len(s), err)
	}
	n, err := io.WriteString(f.w, s[from:to])
	return f.wrote(n, from, to, len(s), err)
}

// ReadFrom keeps sendfile working for what passes as it is.
func (f *frame) ReadFrom(src io.Reader) (int64, error) {
	f.begin()
	if f.mode == passing {
		return io.Copy(f.w, src)
	}
	return io.Copy(struct{ io.Writer }{f}, src)
}

func ended(n int, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	return n, nil
}

// wrote accounts for the white space that was left out.
func (f *frame) wrote(n, from, to, length int, err error) (int, error) {
	if err != nil {
		f.err = err
		return from + n, err
	}
	if n < to-from {
		f.err = io.ErrShortWrite
		return from + n, f.err
	}
	return length, nil
}

// take receives a piece of the body and returns the part of it that is to be
// written now.
func take[T string | []byte](f *frame, p T) (from, to int, err error) {
	f.begin()
	if f.mode == undecided {
		if len(p) == 0 || !sniff(f, p) {
			return 0, 0, nil
		}
		if held := f.body; held != nil {
			f.body = nil
			if f.mode == passing {
				if _, err := f.w.Write(held); err != nil {
					return 0, 0, err
				}
			}
		}
	}
	switch f.mode {
	case passing:
		return 0, len(p), nil
	case framing:
		return data(f, p)
	case collecting:
		return collect(f, p)
	}
	return 0, 0, f.err
}

// sniffLength is how far net/http looks for a media type.
const sniffLength = 512

// sniff decides about a success without a Content-Type by its first bytes: JSON
// is what begins as an object or array does and goes on so as far as it has
// come, and any other value that is complete. It returns false while there is
// only white space.
func sniff[T string | []byte](f *frame, p T) (decided bool) {
	var s scanner
	from, _, ok := scan(&s, p)
	if s.untouched() && ok && len(f.body)+len(p) <= sniffLength {
		f.body = append(f.body, p...)
		return false
	}
	if ok && !s.untouched() && (p[from] == '{' || p[from] == '[' || s.valid()) {
		f.mode, f.contentType[0] = framing, typeJSON
		return true
	}
	f.pass()
	return true
}

// data follows a piece of JSON, and opens the frame in front of the first.
func data[T string | []byte](f *frame, p T) (from, to int, err error) {
	if f.err != nil {
		return 0, 0, f.err
	}
	from, to, ok := scan(&f.scan, p)
	if !ok {
		return 0, 0, f.breakOff(errNotJSON)
	}
	if from < to {
		err = f.open()
	}
	return from, to, err
}

// bodyFields are those that speak of the handler's bytes and are wrong, or of
// no use, once those have a frame around them.
var bodyFields = [...]string{"Content-Length", "Accept-Ranges", "Content-Digest", "Repr-Digest"}

func dropBodyFields(h http.Header) {
	for _, field := range bodyFields {
		//lint:ignore S1033 looking is cheaper than deleting, and nearly always enough
		if _, ok := h[field]; ok {
			delete(h, field)
		}
	}
}

// start sends the header of a framed answer.
func (f *frame) start() {
	if f.committed {
		return
	}
	h := f.w.Header()
	dropBodyFields(h)
	if types := h["Content-Type"]; len(types) != 1 || types[0] != f.contentType[0] {
		h["Content-Type"] = f.contentType[:]
	}
	f.commit()
}

// open sends what stands in front of the data.
func (f *frame) open() error {
	f.start()
	if f.begun {
		return nil
	}
	f.begun = true
	_, f.err = io.WriteString(f.w, f.before)
	return f.err
}

// collect keeps a piece of an error, until there is enough of it.
func collect[T string | []byte](f *frame, p T) (from, to int, err error) {
	room := f.env.errorLimit - len(f.body)
	if len(p) <= room {
		f.body = append(f.body, p...)
		return 0, 0, nil
	}
	f.body = append(f.body, p[:room]...)
	if f.foreign(); f.mode == passing {
		return room, len(p), nil
	}
	return 0, 0, nil
}

// contentTypeOf returns the Content-Type of the handler's body.
func (f *frame) contentTypeOf() string {
	types, ok := f.w.Header()["Content-Type"]
	switch {
	case len(types) > 0:
		return strings.TrimSpace(types[0])
	case ok || len(f.body) == 0:
		return ""
	case sniffsJSON(f.body):
		return typeJSON
	}
	return http.DetectContentType(f.body)
}

func sniffsJSON(body []byte) bool {
	var s scanner
	from, _, ok := scan(&s, body)
	return ok && !s.untouched() && (body[from] == '{' || body[from] == '[')
}
