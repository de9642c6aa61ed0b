package envelope_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/envelope"
)

// BenchmarkWrap measures an envelope beside the bare handler. Compare within one
// run: go test -run '^$' -bench . -count 6 ./envelope
func BenchmarkWrap(b *testing.B) {
	small := handler(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = jsonType
		_, _ = w.Write(payload)
	})
	large := bytes.Repeat([]byte(`{"name":"Ada Lovelace","email":"ada@example.com","n":12345,"ok":true},`), 15_000)
	large = append(append([]byte("["), large...), '0', ']')
	rows := handler(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = jsonType
		_, _ = w.Write(large)
	})
	env := newEnvelope(b, envelope.Config{})
	bare := get("/")
	for _, c := range []struct {
		name  string
		h     http.Handler
		r     *http.Request
		bytes int
	}{
		{"bare", small, bare, 0},
		{"framed", env.Wrap(small), bare, 0},
		{"refused", env.Wrap(failing(&keystile.Error{Code: keystile.CodeUnauthorized})), bare, 0},
		{"framed 1 MB", env.Wrap(rows), bare, len(large)},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := httptest.NewRecorder()
			w.Body = nil
			header := w.Header()
			b.ReportAllocs()
			b.SetBytes(int64(c.bytes))
			for b.Loop() {
				clear(header)
				c.h.ServeHTTP(w, c.r)
			}
		})
	}
	b.Run("json.Valid 1 MB", func(b *testing.B) {
		b.SetBytes(int64(len(large)))
		for b.Loop() {
			if !json.Valid(large) {
				b.Fatal("not valid")
			}
		}
	})
}
