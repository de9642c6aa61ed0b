package limiter

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// statusWriter notes the status of an answer, for RefundIf. It is used only
// where RefundIf is set: a ResponseWriter is best left alone.
type statusWriter struct {
	http.ResponseWriter
	status   int
	hijacked bool
}

// watchStatus wraps w so that it offers what w offers and nothing else.
func watchStatus(w http.ResponseWriter) (http.ResponseWriter, *statusWriter) {
	s := &statusWriter{ResponseWriter: w}
	_, flushes := w.(http.Flusher)
	_, hijacks := w.(http.Hijacker)
	switch {
	case flushes && hijacks:
		return struct {
			*statusWriter
			flusher
			hijacker
		}{s, flusher{s}, hijacker{s}}, s
	case flushes:
		return struct {
			*statusWriter
			flusher
		}{s, flusher{s}}, s
	case hijacks:
		return struct {
			*statusWriter
			hijacker
		}{s, hijacker{s}}, s
	}
	return s, s
}

// Unwrap lets http.ResponseController reach the rest.
func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *statusWriter) WriteHeader(status int) {
	// An informational status is not the answer, a second status neither.
	if s.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusWriter) Write(b []byte) (int, error) {
	s.began()
	return s.ResponseWriter.Write(b)
}

// ReadFrom keeps sendfile working where the writer below can do it.
func (s *statusWriter) ReadFrom(src io.Reader) (int64, error) {
	s.began()
	return io.Copy(s.ResponseWriter, src)
}

func (s *statusWriter) began() {
	if s.status == 0 {
		s.status = http.StatusOK
	}
}

// final returns the status of the whole answer, once the handler has ended.
func (s *statusWriter) final(panicked bool) int {
	switch {
	case s.status != 0:
		return s.status
	case s.hijacked:
		return http.StatusSwitchingProtocols
	case panicked:
		return http.StatusInternalServerError
	}
	return http.StatusOK
}

type flusher struct{ s *statusWriter }

func (f flusher) Flush() {
	f.s.began()
	f.s.ResponseWriter.(http.Flusher).Flush()
}

// FlushError is what http.ResponseController prefers.
func (f flusher) FlushError() error {
	f.s.began()
	return http.NewResponseController(f.s.ResponseWriter).Flush()
}

type hijacker struct{ s *statusWriter }

func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := h.s.ResponseWriter.(http.Hijacker).Hijack()
	if err == nil {
		h.s.hijacked = true
	}
	return conn, rw, err
}
