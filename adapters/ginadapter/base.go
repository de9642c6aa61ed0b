package ginadapter

import (
	"bufio"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"
)

// baseWriter is the ResponseWriter that a middleware gets. Unlike gin's own it
// sends a status when it is given one, so that the first one counts and HEAD has
// one; it passes informational answers on, and offers Flush and Hijack only
// through http.ResponseController, which learns what the server below can do.
type baseWriter struct {
	gin    gin.ResponseWriter
	below  http.ResponseWriter // what gin writes to
	status int                 // what gin began with: 404 where no route matched
}

func newBase(w gin.ResponseWriter) *baseWriter {
	return &baseWriter{gin: w, below: below(w), status: w.Status()}
}

// below returns what gin's writer writes to.
func below(w gin.ResponseWriter) http.ResponseWriter {
	if u, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		return u.Unwrap()
	}
	return w
}

func (b *baseWriter) Header() http.Header         { return b.gin.Header() }
func (b *baseWriter) Unwrap() http.ResponseWriter { return b.below }

func (b *baseWriter) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		b.below.WriteHeader(status)
		return
	}
	b.gin.WriteHeader(status)
	b.gin.WriteHeaderNow()
}

func (b *baseWriter) Write(p []byte) (int, error)       { return b.gin.Write(p) }
func (b *baseWriter) WriteString(s string) (int, error) { return b.gin.WriteString(s) }

// FlushError is for http.ResponseController. Gin sends its header first, where
// the server can flush at all.
func (b *baseWriter) FlushError() error {
	if !canFlush(b.below) {
		return http.ErrNotSupported
	}
	b.gin.WriteHeaderNow()
	return http.NewResponseController(b.below).Flush()
}

func canFlush(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case *baseWriter:
			w = t.below
		case *writer:
			w = t.ResponseWriter
		case http.Flusher, interface{ FlushError() error }:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

// Hijack is for http.ResponseController. Gin must know of it, and panics where
// the server cannot.
func (b *baseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if _, direct := b.below.(http.Hijacker); direct {
		return b.gin.Hijack()
	}
	return http.NewResponseController(b.below).Hijack()
}
