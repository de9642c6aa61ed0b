package envelope_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/keystile/keystile/envelope"
)

// newEnvelope fills in what a test does not care about.
func newEnvelope(t testing.TB, c envelope.Config) *envelope.Envelope {
	t.Helper()
	if c.Style == nil {
		c.Style = envelope.StatusData{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	env, err := envelope.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

type handler = http.HandlerFunc

// writing is a handler that writes body with a Content-Type, unless that is "".
func writing(contentType, body string) handler {
	return func(w http.ResponseWriter, _ *http.Request) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		_, _ = io.WriteString(w, body)
	}
}

// got is an answer as a client sees it.
type got struct {
	status  int
	header  http.Header
	body    string
	aborted bool // the answer ended before it was complete
}

func (g got) String() string {
	return fmt.Sprintf("%d aborted=%v %v\n%s", g.status, g.aborted, g.header, g.body)
}

func get(target string) *http.Request { return httptest.NewRequest("GET", target, nil) }

// record serves r without a network.
func record(h http.Handler, r *http.Request) (g got) {
	w := httptest.NewRecorder()
	func() {
		defer func() {
			if v := recover(); v != nil {
				if v != http.ErrAbortHandler {
					panic(v)
				}
				g.aborted = true
			}
		}()
		h.ServeHTTP(w, r)
	}()
	resp := w.Result()
	body, _ := io.ReadAll(resp.Body)
	g.status, g.header, g.body = resp.StatusCode, resp.Header, string(body)
	return g
}

// newServer serves h over loopback and keeps quiet.
func newServer(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// over sends r to a server of h and reads the whole answer.
func over(t testing.TB, h http.Handler, r *http.Request) got {
	t.Helper()
	s := newServer(t, h)
	return send(t, s, r)
}

func send(t testing.TB, s *httptest.Server, r *http.Request) (g got) {
	t.Helper()
	out, err := http.NewRequestWithContext(t.Context(), r.Method, s.URL+r.URL.RequestURI(), r.Body)
	if err != nil {
		t.Fatal(err)
	}
	out.Header = r.Header.Clone()
	if out.Header.Get("Accept-Encoding") == "" {
		out.Header.Set("Accept-Encoding", "identity") // else Go's client adds gzip and hides it
	}
	client := *s.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(out)
	if err != nil {
		if errors.Is(err, io.EOF) || strings.Contains(err.Error(), "EOF") || strings.Contains(err.Error(), "reset") {
			return got{aborted: true}
		}
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if closeErr := resp.Body.Close(); err == nil {
		err = closeErr
	}
	return got{resp.StatusCode, resp.Header, string(body), err != nil}
}

// both serves r with a recorder and over loopback and expects one answer.
func both(t *testing.T, h http.Handler, r *http.Request) got {
	t.Helper()
	g, overNet := record(h, r), over(t, h, r)
	if g.aborted && overNet.aborted {
		return overNet
	}
	if g.status != overNet.status || g.body != overNet.body || g.aborted != overNet.aborted {
		t.Errorf("recorded and over the network differ:\n%v\n%v", g, overNet)
	}
	return overNet
}

// fields are the expected values of header fields; "" is an absent one.
type fields map[string]string

func check(t *testing.T, g got, status int, want fields, body string) {
	t.Helper()
	if g.aborted {
		t.Errorf("aborted: %v", g)
		return
	}
	if g.status != status || g.body != body {
		t.Errorf("got %d\n%s\nwant %d\n%s", g.status, g.body, status, body)
	}
	for name, value := range want {
		if all := g.header.Values(name); len(all) > 1 || g.header.Get(name) != value {
			t.Errorf("%s: %q, want %q", name, all, value)
		}
	}
	for name := range g.header {
		if strings.ContainsAny(name, " /") {
			t.Errorf("the mark %q is in the answer", name)
		}
	}
}

// journal is a Logger's output.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }
