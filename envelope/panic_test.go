package envelope_test

import (
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/envelope"
)

func TestPanics(t *testing.T) {
	const answered = `{"status":"error","message":"Something went wrong on the server.","data":null}`
	boom := errors.New("boom")
	tests := []struct {
		name    string
		handler handler
		body    string // "": the connection is aborted
		logged  string
	}{
		{"before anything", func(http.ResponseWriter, *http.Request) { panic("boom") }, answered, "boom"},
		{"with an error", func(http.ResponseWriter, *http.Request) { panic(boom) }, answered, "boom"},
		{"with nil", func(http.ResponseWriter, *http.Request) { panic(nil) }, answered, "nil"},
		{"after a status without a body", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", isJSON)
			w.Header().Set("Content-Length", "2")
			w.Header().Set("ETag", "x")
			w.WriteHeader(201)
			panic("boom")
		}, answered, "boom"},
		{"while its own error is being read", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "halfway", 400)
			panic("boom")
		}, answered, "boom"},
		{"after white space", func(w http.ResponseWriter, r *http.Request) {
			writing(isJSON, " \n")(w, r)
			panic("boom")
		}, answered, "boom"},
		{"in the middle of the data", func(w http.ResponseWriter, r *http.Request) {
			writing(isJSON, "[1")(w, r)
			panic("boom")
		}, "", "boom"},
		{"after the data", func(w http.ResponseWriter, r *http.Request) {
			writing(isJSON, "{}")(w, r)
			panic("boom")
		}, "", "boom"},
		{"after a flush", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", isJSON)
			w.(http.Flusher).Flush()
			panic("boom")
		}, "", "boom"},
		{"in the middle of text", func(w http.ResponseWriter, r *http.Request) {
			writing("", "hello")(w, r)
			panic("boom")
		}, "", "boom"},
		{"http.ErrAbortHandler before anything", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "", ""},
		{"http.ErrAbortHandler in the middle", func(w http.ResponseWriter, r *http.Request) {
			writing(isJSON, "[1")(w, r)
			panic(http.ErrAbortHandler)
		}, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var j journal
			h := newEnvelope(t, envelope.Config{Logger: j.logger()}).Wrap(tt.handler)
			g := record(h, get("/"))
			if tt.body == "" {
				if !g.aborted || strings.HasSuffix(g.body, "}}") || !over(t, h, get("/")).aborted {
					t.Errorf("not aborted: %v", g)
				}
			} else {
				check(t, both(t, h, get("/")), 500, fields{"Content-Type": isJSON, "Cache-Control": "no-store", "ETag": ""}, tt.body)
			}
			if tt.logged == "" && j.String() != "" {
				t.Errorf("logged %s", j.String())
			}
			if tt.logged != "" && (!strings.Contains(j.String(), tt.logged) || !strings.Contains(j.String(), "panic_test.go")) {
				t.Errorf("the log has not %q and a stack: %s", tt.logged, j.String())
			}
		})
	}
}

func TestThePanicIsTheOutcome(t *testing.T) {
	r := keystile.Track(get("/"))
	record(newEnvelope(t, envelope.Config{}).Wrap(handler(func(http.ResponseWriter, *http.Request) { panic("boom") })), r)
	if e := keystile.OutcomeFrom(r.Context()); e == nil || !errors.Is(e, keystile.CodeInternal) || !strings.Contains(e.Error(), "boom") {
		t.Errorf("outcome %v", e)
	}
}

// A goroutine that ends by runtime.Goexit, as t.FailNow does, has not finished
// its answer.
func TestGoexitClosesNoFrame(t *testing.T) {
	env := newEnvelope(t, envelope.Config{})
	var written strings.Builder
	done := make(chan struct{})
	go func() {
		defer close(done)
		env.Wrap(handler(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", isJSON)
			_, _ = io.WriteString(w, "{}")
			runtime.Goexit()
		})).ServeHTTP(&plainWriter{header: http.Header{}, body: &written}, get("/"))
	}()
	<-done
	if got := written.String(); got != `{"status":"success","data":{}` {
		t.Errorf("written %q", got)
	}
}

// plainWriter is a ResponseWriter and nothing else.
type plainWriter struct {
	header http.Header
	status int
	body   io.Writer
}

func (w *plainWriter) Header() http.Header         { return w.header }
func (w *plainWriter) Write(p []byte) (int, error) { return w.body.Write(p) }
func (w *plainWriter) WriteHeader(status int)      { w.status = status }

// An inner middleware's defer runs before the frame is closed, so a lease is
// back when the client reads the end of the answer.
func TestMiddlewaresInsideEndBeforeTheAnswer(t *testing.T) {
	var order []string
	env := newEnvelope(t, envelope.Config{})
	h := env.Wrap(handler(func(w http.ResponseWriter, r *http.Request) {
		defer func() { order = append(order, "released") }()
		writing(isJSON, "{}")(w, r)
	}))
	h.ServeHTTP(&plainWriter{header: http.Header{}, body: writerFunc(func(p []byte) { order = append(order, string(p)) })}, get("/"))
	if got := strings.Join(order, " "); got != `{"status":"success","data": {} released }` {
		t.Errorf("%s", got)
	}
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }
