package envelope

import (
	"bufio"
	"net"
	"net/http"
)

// The writers offer what the one below them offers, and nothing else: handlers
// ask by type assertion what they may do. "Below" is as http.ResponseController
// sees it, through Unwrap: it would otherwise go past the frame to a Flush that
// sends the header before the frame has seen it.
type (
	flushing         struct{ frame }
	hijacking        struct{ frame }
	flushingHijacker struct{ frame }
)

func (f *flushing) Flush()                    { _ = f.flush() }
func (f *flushing) FlushError() error         { return f.flush() }
func (f *flushingHijacker) Flush()            { _ = f.flush() }
func (f *flushingHijacker) FlushError() error { return f.flush() }

func (f *hijacking) Hijack() (net.Conn, *bufio.ReadWriter, error)        { return f.hijack() }
func (f *flushingHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) { return f.hijack() }

// newFrame makes the ResponseWriter in one allocation.
func newFrame(env *Envelope, w http.ResponseWriter, r *http.Request, nested bool) (http.ResponseWriter, *frame) {
	flushes := reaches[http.Flusher](w) || reaches[interface{ FlushError() error }](w)
	hijacks := reaches[http.Hijacker](w)
	fill := func(f *frame) *frame {
		f.env, f.w, f.r, f.nested = env, w, r, nested
		f.encodings = w.Header()["Content-Encoding"]
		return f
	}
	switch {
	case flushes && hijacks:
		f := new(flushingHijacker)
		return f, fill(&f.frame)
	case flushes:
		f := new(flushing)
		return f, fill(&f.frame)
	case hijacks:
		f := new(hijacking)
		return f, fill(&f.frame)
	}
	f := new(frame)
	return f, fill(f)
}

// reaches reports whether http.ResponseController finds a T in w.
func reaches[T any](w http.ResponseWriter) bool {
	for {
		if _, ok := w.(T); ok {
			return true
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = u.Unwrap()
	}
}

// flush sends what there is. While it is not known what the answer will be,
// there is nothing that may be sent: an error is still being read, or there is
// neither a Content-Type nor a byte.
func (f *frame) flush() error {
	f.begin()
	switch f.mode {
	case undecided, collecting:
		return nil
	case framing:
		f.start()
	}
	return http.NewResponseController(f.w).Flush()
}

// hijack hands the connection over; then nothing is ours any more.
func (f *frame) hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(f.w).Hijack()
	if err == nil {
		f.hijacked = true
		f.mode = passing
		if f.status == 0 {
			f.status = http.StatusSwitchingProtocols
		}
	}
	return conn, rw, err
}
