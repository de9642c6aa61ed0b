package echoadapter

import (
	"bufio"
	"net"
	"net/http"

	"github.com/labstack/echo/v4"
)

// baseWriter is the ResponseWriter that a middleware gets. It keeps echo's
// Response in step, passes informational answers on, which Response takes for
// the answer itself, and offers Flush and Hijack only through
// http.ResponseController, which learns what the server below can do.
type baseWriter struct{ echo *echo.Response }

func (b *baseWriter) Header() http.Header         { return b.echo.Header() }
func (b *baseWriter) Unwrap() http.ResponseWriter { return b.echo.Writer }

func (b *baseWriter) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		b.echo.Writer.WriteHeader(status)
		return
	}
	b.echo.WriteHeader(status)
}

func (b *baseWriter) Write(p []byte) (int, error) { return b.echo.Write(p) }

// FlushError is for http.ResponseController. Echo sends its header first, where
// the server can flush at all.
func (b *baseWriter) FlushError() error {
	if !canFlush(b.echo.Writer) {
		return http.ErrNotSupported
	}
	if !b.echo.Committed {
		b.echo.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(b.echo.Writer).Flush()
}

func canFlush(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case *baseWriter:
			w = t.echo.Writer
		case *echo.Response: // has Flush, and panics where it cannot
			w = t.Writer
		case http.Flusher, interface{ FlushError() error }:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

// Hijack is for http.ResponseController. Echo must not answer afterwards.
func (b *baseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(b.echo.Writer).Hijack()
	if err == nil {
		b.echo.Committed = true
	}
	return conn, rw, err
}
