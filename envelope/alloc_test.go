package envelope_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/envelope"
)

var (
	jsonType = []string{"application/json"}
	utf8Type = []string{"application/json; charset=utf-8"}
	payload  = []byte(`{"name":"Ada Lovelace","ids":[1,2,3]}`)
)

// anybody accepts everybody, without an allocation of its own.
type anybody struct{ p *keystile.Principal }

func (anybody) Present(*http.Request) bool                                { return true }
func (a anybody) Authenticate(*http.Request) (*keystile.Principal, error) { return a.p, nil }
func (anybody) Challenges(*http.Request, error) []string                  { return nil }

// An envelope adds its writer: one allocation. Without somebody who needs it
// anyway, the record is started here: that and the copy of the request.
func TestAnEnvelopeAddsOneAllocation(t *testing.T) {
	guard, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: anybody{&keystile.Principal{Account: "a"}}, Realm: "test"})
	if err != nil {
		t.Fatal(err)
	}
	answer := func(write func(w http.ResponseWriter)) handler {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = jsonType
			write(w)
		}
	}
	bytes := answer(func(w http.ResponseWriter) { _, _ = w.Write(payload) })
	bare, tracked := get("/"), get("/")
	encoding := get("/")
	encoding.Header.Set("Accept-Encoding", "gzip")
	for _, tt := range []struct {
		name    string
		r       *http.Request
		handler http.Handler
		most    float64
	}{
		{"around a Guard", bare, guard.Wrap(bytes), 1},
		{"where a record is there", tracked, bytes, 1},
		{"strings", tracked, answer(func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"a":1}`) }), 1},
		{"many writes", tracked, answer(func(w http.ResponseWriter) {
			for i := range payload {
				_, _ = w.Write(payload[i : i+1])
			}
		}), 1},
		{"a charset", tracked, handler(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = utf8Type
			_, _ = w.Write(payload)
		}), 1},
		{"no Content-Type", tracked, handler(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(payload) }), 1},
		{"nothing written", tracked, handler(func(http.ResponseWriter, *http.Request) {}), 1},
		{"only a status", tracked, handler(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }), 1},
		{"no type on purpose", tracked, handler(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = jsonType[:0]
			_, _ = w.Write(payload)
		}), 1},
		{"without a record: it, and the copy of the request", bare, bytes, 3},
		{"withholding Accept-Encoding: a copy of the fields", encoding, bytes, 5},
	} {
		allocs := func(h http.Handler) float64 {
			w := httptest.NewRecorder()
			w.Body = nil
			header := w.Header()
			return testing.AllocsPerRun(500, func() { clear(header); h.ServeHTTP(w, tt.r) })
		}
		for name, style := range styles {
			outside := func(h http.Handler) http.Handler { return h }
			if tt.r == tracked {
				outside = func(h http.Handler) http.Handler {
					return handler(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, keystile.Track(r)) })
				}
			}
			without, with := allocs(outside(tt.handler)), allocs(outside(newEnvelope(t, envelope.Config{Style: style}).Wrap(tt.handler)))
			if with-without > tt.most {
				t.Errorf("%s, %s: %v allocations more, want at most %v", tt.name, name, with-without, tt.most)
			}
		}
	}
}

// A refusal costs the client more than us: at most four allocations above the
// four of the root's own answer.
func TestRefusalsInAnEnvelopeAreCheap(t *testing.T) {
	refuse := failing(&keystile.Error{Code: keystile.CodeUnauthorized})
	for name, style := range styles {
		h := newEnvelope(t, envelope.Config{Style: style}).Wrap(refuse)
		w := httptest.NewRecorder()
		w.Body = nil
		header, r := w.Header(), get("/")
		if n := testing.AllocsPerRun(500, func() { clear(header); h.ServeHTTP(w, r) }); n > 8 {
			t.Errorf("%s: %v allocations, want at most 8", name, n)
		}
	}
}
