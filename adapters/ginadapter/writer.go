package ginadapter

import (
	"bufio"
	"io"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"
)

// writer is a complete gin.ResponseWriter over the ResponseWriter that a
// middleware passed on.
type writer struct {
	http.ResponseWriter
	outer  gin.ResponseWriter
	status int
	size   int // -1: nothing is written
}

func newWriter(w http.ResponseWriter, outer gin.ResponseWriter, status int) *writer {
	return &writer{ResponseWriter: w, outer: outer, status: status, size: -1}
}

// Unwrap lets http.ResponseController reach the rest.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader only notes the status, as gin's own does: it is sent with the
// first byte. Informational answers are sent at once.
func (w *writer) WriteHeader(status int) {
	switch {
	case status >= 100 && status < 200 && status != http.StatusSwitchingProtocols:
		w.ResponseWriter.WriteHeader(status)
	case status > 0 && !w.Written():
		w.status = status
	}
}

func (w *writer) WriteHeaderNow() {
	if !w.Written() {
		w.size = 0
		w.ResponseWriter.WriteHeader(w.status)
	}
}

// finish sends a status that was noted and never followed by a byte.
func (w *writer) finish() {
	if w.status != http.StatusOK {
		w.WriteHeaderNow()
	}
}

func (w *writer) Write(b []byte) (int, error) {
	w.WriteHeaderNow()
	n, err := w.ResponseWriter.Write(b)
	w.size += n
	return n, err
}

func (w *writer) WriteString(s string) (int, error) {
	w.WriteHeaderNow()
	n, err := io.WriteString(w.ResponseWriter, s)
	w.size += n
	return n, err
}

func (w *writer) Status() int   { return w.status }
func (w *writer) Size() int     { return w.size }
func (w *writer) Written() bool { return w.size >= 0 }

func (w *writer) Flush() {
	w.WriteHeaderNow()
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.size = max(w.size, 0)
	}
	return conn, rw, err
}

// CloseNotify and Pusher have no counterpart in http.ResponseController.

func (w *writer) CloseNotify() <-chan bool { return w.outer.CloseNotify() }
func (w *writer) Pusher() http.Pusher      { return w.outer.Pusher() }
