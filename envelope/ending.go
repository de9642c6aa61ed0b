package envelope

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/keystile/keystile"
)

// end is deferred around the handler.
func (f *frame) end() {
	v := recover()
	switch {
	case v != nil:
		f.panicked(v)
	case f.returned:
		f.finish()
	default: // runtime.Goexit: nobody says that the answer is whole
	}
	f.close()
}

// close is for goroutines that outlive their request.
func (f *frame) close() { f.mode, f.err = discarding, errEnded }

// finish closes the frame of a handler that has returned.
func (f *frame) finish() {
	if f.hijacked {
		return
	}
	f.begin()
	if f.mode == undecided { // an empty body, or white space, without a Content-Type
		if f.body == nil {
			f.mode, f.contentType[0] = framing, typeJSON
		} else {
			f.pass()
			_, _ = f.w.Write(f.body)
		}
	}
	switch f.mode {
	case framing:
		f.closeFrame()
	case collecting:
		f.foreign()
	case broken:
		panic(http.ErrAbortHandler)
	}
}

// closeFrame ends the frame, but only around a complete value: whatever else
// the client got must not parse.
func (f *frame) closeFrame() {
	if f.scan.untouched() {
		if f.start(); f.r.Method == http.MethodHead {
			return // most handlers write no body to HEAD; what GET has is not known
		}
		if f.open() == nil {
			_, _ = io.WriteString(f.w, "null")
			_, _ = io.WriteString(f.w, f.after)
		}
		return
	}
	if f.err != nil || f.r.Context().Err() != nil && !f.scan.valid() {
		panic(http.ErrAbortHandler) // the client has gone; nothing to report
	}
	if !f.scan.valid() {
		f.complain(errTruncated)
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(f.w, f.after)
}

// breakOff ends an answer whose body is not what it promised to be: with 500
// while nothing is out, else by aborting the connection.
func (f *frame) breakOff(why error) error {
	f.complain(why)
	if !f.committed {
		f.answer(&keystile.Error{Code: keystile.CodeInternal, Err: why})
		f.err = why
		return why
	}
	f.mode, f.err = broken, why
	return why
}

// answer puts e in the place of what the handler has begun and not sent.
func (f *frame) answer(e *keystile.Error) {
	f.status, f.mode, f.body, f.err = 0, undecided, nil, nil
	keystile.RespondError(f, f.r, e)
	f.mode = discarding
}

// foreign answers with the handler's own error in the shape of the house, or
// lets it pass where the style does.
func (f *frame) foreign() {
	e := f.env.style.ForeignError(f.status, f.contentTypeOf(), f.body)
	if e == nil {
		held := f.body
		f.body = nil
		f.pass()
		if len(held) > 0 {
			_, f.err = f.w.Write(held)
		}
		return
	}
	foreign := *e
	if foreign.Status == 0 {
		foreign.Status = f.status
	}
	h := f.w.Header()
	if r := h["Content-Range"]; f.status == http.StatusRequestedRangeNotSatisfiable && len(r) > 0 && foreign.Header == nil {
		foreign.Header = http.Header{"Content-Range": r} // RFC 9110 section 15.5.17 wants it
	}
	for _, field := range [...]string{"Content-Disposition", "Content-Language", "Content-Location", "Content-Digest", "Repr-Digest"} {
		delete(h, field)
	}
	f.answer(&foreign)
}

// panicked answers a panic in the shape of the house while nothing is out; else
// the client must see that the answer is cut short.
func (f *frame) panicked(v any) {
	if v == http.ErrAbortHandler {
		panic(v)
	}
	f.env.log().LogAttrs(f.r.Context(), slog.LevelError, "envelope: a handler panicked",
		slog.String("method", f.r.Method), slog.String("route", keystile.Route(f.r)),
		slog.String("panic", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())))
	if f.committed || f.hijacked {
		panic(http.ErrAbortHandler)
	}
	f.answer(&keystile.Error{Code: keystile.CodeInternal, Err: fmt.Errorf("envelope: a handler panicked: %v", v)})
}

// complain tells the operator of a handler that breaks its word.
func (f *frame) complain(why error) {
	f.env.log().LogAttrs(f.r.Context(), slog.LevelError, why.Error(),
		slog.String("method", f.r.Method), slog.String("route", keystile.Route(f.r)), slog.Bool("aborted", f.committed))
}
