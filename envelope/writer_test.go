package envelope_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/envelope"
)

type (
	justFlusher  struct{ *plainWriter }
	justHijacker struct{ *plainWriter }
	flushError   struct{ *plainWriter }
	everything   struct {
		*plainWriter
		hijacked *bool
	}
	// unwrapping is how a modern middleware wraps: it embeds the interface, which
	// hides the rest, and leaves that to http.ResponseController.
	unwrapping struct{ http.ResponseWriter }
)

func (justFlusher) Flush()           {}
func (flushError) FlushError() error { return errors.New("no") }
func (everything) Flush()            {}

func (justHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errors.New("no") }

func (e everything) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	*e.hijacked = true
	return nil, nil, nil
}

func (u unwrapping) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func TestTheWriterOffersWhatTheOneBelowOffers(t *testing.T) {
	plain := &plainWriter{header: http.Header{}, body: io.Discard}
	for _, tt := range []struct {
		name             string
		w                http.ResponseWriter
		flushes, hijacks bool
	}{
		{"nothing", plain, false, false},
		{"Flush", justFlusher{plain}, true, false},
		{"FlushError", flushError{plain}, true, false},
		{"Hijack", justHijacker{plain}, false, true},
		{"both", everything{plain, new(bool)}, true, true},
		{"nothing behind Unwrap", unwrapping{plain}, false, false},
		{"both behind Unwrap", unwrapping{unwrapping{everything{plain, new(bool)}}}, true, true},
	} {
		newEnvelope(t, envelope.Config{}).Wrap(handler(func(w http.ResponseWriter, _ *http.Request) {
			_, flushes := w.(http.Flusher)
			_, hijacks := w.(http.Hijacker)
			_, pushes := w.(http.Pusher)
			if flushes != tt.flushes || hijacks != tt.hijacks || pushes {
				t.Errorf("%s: flushes %v, hijacks %v, pushes %v", tt.name, flushes, hijacks, pushes)
			}
			u, ok := w.(interface{ Unwrap() http.ResponseWriter })
			if !ok || u.Unwrap() != tt.w {
				t.Errorf("%s: Unwrap does not return the writer below", tt.name)
			}
			rc := http.NewResponseController(w)
			if err := rc.SetReadDeadline(time.Time{}); !errors.Is(err, http.ErrNotSupported) {
				t.Errorf("%s: SetReadDeadline: %v", tt.name, err)
			}
			w.Header().Set("Content-Type", "text/plain")
			if err := rc.Flush(); errors.Is(err, http.ErrNotSupported) == tt.flushes {
				t.Errorf("%s: Flush: %v", tt.name, err)
			}
		})).ServeHTTP(tt.w, get("/"))
	}
}

// Flush through http.ResponseController must not go past the frame to a writer
// that sends the header before its fields are right.
func TestAFlushBehindUnwrapMeetsTheFrame(t *testing.T) {
	env := newEnvelope(t, envelope.Config{})
	h := env.Wrap(handler(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Content-Length", "5")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, "[1,2]")
	}))
	outside := handler(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(unwrapping{w}, r) })
	check(t, over(t, outside, get("/")), 200, fields{"Content-Type": isJSON, "Content-Length": ""}, `{"status":"success","data":[1,2]}`)
}

func TestTheResponseControllerWorksThroughTheWriter(t *testing.T) {
	env := newEnvelope(t, envelope.Config{})
	s := newServer(t, env.Wrap(handler(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		far := time.Now().Add(time.Hour)
		for name, err := range map[string]error{
			"SetReadDeadline": rc.SetReadDeadline(far), "SetWriteDeadline": rc.SetWriteDeadline(far), "EnableFullDuplex": rc.EnableFullDuplex(),
		} {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		// Full duplex: answer each number before the next one is there.
		w.Header().Set("Content-Type", isJSON)
		lines := bufio.NewScanner(r.Body)
		sep := "["
		for lines.Scan() {
			_, _ = io.WriteString(w, sep+lines.Text())
			sep = ","
			if err := rc.Flush(); err != nil {
				t.Error(err)
			}
		}
		_, _ = io.WriteString(w, "]")
	})))
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n1\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, len(`{"status":"success","data":[1`))
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != `{"status":"success","data":[1` {
		t.Errorf("%q, %v", first, err)
	}
	_, _ = io.WriteString(conn, "2\r\n2\n\r\n0\r\n\r\n")
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != ",2]}" {
		t.Errorf("%q, %v", rest, err)
	}
}

// A websocket upgrade, made by hand: 101 and the connection.
func TestAnUpgradePassesUntouched(t *testing.T) {
	for name, upgrade := range map[string]func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error){
		"by type assertion": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) { return w.(http.Hijacker).Hijack() },
		"by ResponseController": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
			return http.NewResponseController(w).Hijack()
		},
	} {
		for _, hidden := range []bool{false, true} {
			var j journal
			h := newEnvelope(t, envelope.Config{Logger: j.logger()}).Wrap(handler(func(w http.ResponseWriter, _ *http.Request) {
				conn, rw, err := upgrade(w)
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = conn.Close() }()
				_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
				_ = rw.Flush()
				line, _ := rw.ReadString('\n')
				_, _ = rw.WriteString("you said " + line)
				_ = rw.Flush()
			}))
			outside := h
			if hidden {
				outside = handler(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(unwrapping{w}, r) })
			}
			s := newServer(t, outside)
			var complaints journal
			s.Config.ErrorLog.SetOutput(&complaints)
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello\n")
			all, _ := io.ReadAll(conn)
			_ = conn.Close()
			if want := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nyou said hello\n"; string(all) != want {
				t.Errorf("%s, hidden %v: %q", name, hidden, all)
			}
			s.Close()
			if text := j.String() + complaints.String(); text != "" {
				t.Errorf("%s, hidden %v: logged %s", name, hidden, text)
			}
		}
	}
}

func TestAPanicAfterAHijackIsLeftToTheServer(t *testing.T) {
	hijacked := false
	w := everything{&plainWriter{header: http.Header{}, body: io.Discard}, &hijacked}
	defer func() {
		if v := recover(); v != http.ErrAbortHandler || !hijacked || w.status != 0 {
			t.Errorf("recovered %v, hijacked %v, status %d", v, hijacked, w.status)
		}
	}()
	newEnvelope(t, envelope.Config{}).Wrap(handler(func(w http.ResponseWriter, _ *http.Request) {
		_, _, _ = w.(http.Hijacker).Hijack()
		panic("boom")
	})).ServeHTTP(w, get("/"))
}

func TestAFailedHijackLeavesTheAnswerToTheHandler(t *testing.T) {
	var body strings.Builder
	w := justHijacker{&plainWriter{header: http.Header{}, body: &body}}
	newEnvelope(t, envelope.Config{}).Wrap(handler(func(w http.ResponseWriter, _ *http.Request) {
		if _, _, err := w.(http.Hijacker).Hijack(); err == nil {
			t.Error("no error")
		}
		http.Error(w, "no upgrade", http.StatusUpgradeRequired)
	})).ServeHTTP(w, get("/"))
	if w.status != 426 || body.String() != `{"status":"error","message":"no upgrade","data":null}` {
		t.Errorf("%d %s", w.status, body.String())
	}
}

// RFC 9110 section 15.2: as many informational answers as a handler likes.
func TestInformationalAnswersPass(t *testing.T) {
	env := newEnvelope(t, envelope.Config{})
	s := newServer(t, env.Wrap(handler(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusProcessing)
		w.Header().Del("Link")
		writing(isJSON, "{}")(w, r)
		w.WriteHeader(http.StatusEarlyHints)
	})))
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	all, _ := io.ReadAll(conn)
	_ = conn.Close()
	text := string(all)
	if !strings.HasPrefix(text, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n") ||
		!strings.HasSuffix(text, "\r\n\r\n"+`{"status":"success","data":{}}`) {
		t.Errorf("%q", text)
	}
}

func TestAnInvalidStatusIsLeftToNetHTTP(t *testing.T) {
	for _, status := range []int{-1, 0, 99, 1000} {
		var said any
		g := record(newEnvelope(t, envelope.Config{}).Wrap(handler(func(w http.ResponseWriter, _ *http.Request) {
			defer func() { said = recover() }()
			w.WriteHeader(status)
		})), get("/"))
		if !strings.Contains(fmt.Sprint(said), "invalid WriteHeader code") {
			t.Errorf("%d: %v, then %v", status, said, g)
		}
	}
}

func TestServerSentEventsAreFlushedOneByOne(t *testing.T) {
	proceed := make(chan struct{})
	env := newEnvelope(t, envelope.Config{})
	s := newServer(t, env.Wrap(handler(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush() // the header alone
		for i := range 3 {
			select {
			case <-proceed:
			case <-r.Context().Done():
				return
			}
			_, _ = fmt.Fprintf(w, "data: {\"n\":%d}\n\n", i)
			w.(http.Flusher).Flush()
		}
	})))
	resp, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	for i := range 3 {
		proceed <- struct{}{}
		event := make([]byte, len("data: {\"n\":0}\n\n"))
		if _, err := io.ReadFull(resp.Body, event); err != nil || string(event) != fmt.Sprintf("data: {\"n\":%d}\n\n", i) {
			t.Errorf("%q, %v", event, err)
		}
	}
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 0 {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestTrailersPass(t *testing.T) {
	env := newEnvelope(t, envelope.Config{})
	s := newServer(t, env.Wrap(handler(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		writing(isJSON, "[1]")(w, r)
		w.Header().Set("X-Sum", "1")
		w.Header().Set(http.TrailerPrefix+"X-More", "2")
	})))
	resp, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || string(body) != `{"status":"success","data":[1]}` || resp.Trailer.Get("X-Sum") != "1" || resp.Trailer.Get("X-More") != "2" {
		t.Errorf("%s %v, %v", body, resp.Trailer, err)
	}
}

// readerFrom counts what takes the fast way.
type readerFrom struct {
	*plainWriter
	read int64
}

func (r *readerFrom) ReadFrom(src io.Reader) (int64, error) {
	n, err := io.Copy(io.Discard, struct{ io.Reader }{src})
	r.read += n
	return n, err
}

func TestFilesTakeTheFastWay(t *testing.T) {
	w := &readerFrom{plainWriter: &plainWriter{header: http.Header{}, body: io.Discard}}
	newEnvelope(t, envelope.Config{}).Wrap(handler(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "x.bin", time.Time{}, strings.NewReader(strings.Repeat("x", 1000)))
	})).ServeHTTP(w, get("/"))
	if w.read != 1000 {
		t.Errorf("%d bytes through ReadFrom, want 1000", w.read)
	}
}

// What is written after the request has ended goes nowhere.
func TestAWriteAfterTheEndIsRefused(t *testing.T) {
	var kept http.ResponseWriter
	g := record(newEnvelope(t, envelope.Config{}).Wrap(handler(func(w http.ResponseWriter, _ *http.Request) { kept = w })), get("/"))
	if n, err := io.WriteString(kept, "x"); n != 0 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
	check(t, g, 200, fields{}, nullData)
}

func TestAFailingWriterIsReportedAndNeverPatched(t *testing.T) {
	full := errors.New("disk full")
	for after := range 3 {
		var body strings.Builder
		writes := 0
		w := &plainWriter{header: http.Header{}, body: writerErr(func(p []byte) (int, error) {
			if writes++; writes > after {
				return 0, full
			}
			return body.Write(p)
		})}
		func() {
			defer func() {
				if v := recover(); v != http.ErrAbortHandler {
					t.Errorf("after %d writes: recovered %v", after, v)
				}
			}()
			newEnvelope(t, envelope.Config{}).Wrap(handler(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", isJSON)
				_, err := io.WriteString(w, "[1,")
				if err == nil {
					_, err = w.Write([]byte("2]"))
				}
				if !errors.Is(err, full) && after < 3 {
					t.Errorf("after %d writes: %v", after, err)
				}
				if _, err := io.WriteString(w, "]"); err == nil {
					t.Errorf("after %d writes: a later Write has no error", after)
				}
			})).ServeHTTP(w, get("/"))
		}()
		if strings.HasSuffix(body.String(), "}") {
			t.Errorf("after %d writes: %q", after, body.String())
		}
	}
	short := &plainWriter{header: http.Header{}, body: writerErr(func(p []byte) (int, error) { return 0, nil })}
	newEnvelope(t, envelope.Config{}).Wrap(handler(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		if n, err := w.Write([]byte("abc")); n != 0 || err != io.ErrShortWrite {
			t.Errorf("short: %d, %v", n, err)
		}
	})).ServeHTTP(short, get("/"))
}

type writerErr func(p []byte) (int, error)

func (f writerErr) Write(p []byte) (int, error) { return f(p) }

var _ keystile.Responder = (*envelope.Envelope)(nil)
