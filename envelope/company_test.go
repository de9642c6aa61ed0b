package envelope_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/envelope"
)

func TestServeContentWithRanges(t *testing.T) {
	stamp := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	serving := func(name, content string) handler {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"v1"`)
			http.ServeContent(w, r, name, stamp, strings.NewReader(content))
		}
	}
	text, data := serving("a.txt", "0123456789"), serving("a.json", `{"a":1}`)
	asking := func(pairs ...string) *http.Request {
		r := get("/")
		for i := 0; i < len(pairs); i += 2 {
			r.Header.Set(pairs[i], pairs[i+1])
		}
		return r
	}
	env := newEnvelope(t, envelope.Config{})
	for _, tt := range []struct {
		name    string
		handler handler
		r       *http.Request
		status  int
		want    fields
		body    string
	}{
		{"a whole text", text, asking(), 200, fields{"Accept-Ranges": "bytes", "Content-Length": "10", "Content-Type": "text/plain; charset=utf-8"}, "0123456789"},
		{"a part of it", text, asking("Range", "bytes=2-4"), 206, fields{"Content-Range": "bytes 2-4/10", "Content-Length": "3"}, "234"},
		{"a part that is not there", text, asking("Range", "bytes=20-"), 416, fields{"Content-Range": "bytes */10", "Content-Type": isJSON, "ETag": ""},
			`{"status":"error","message":"invalid range: failed to overlap","data":null}`},
		{"unchanged", text, asking("If-None-Match", `"v1"`), 304, fields{"ETag": `"v1"`, "Content-Type": ""}, ""},
		// The frame is the same each time, so the validator of the bare JSON is one of
		// the framed JSON; but its ranges would be others.
		{"JSON is framed and offers no ranges", data, asking(), 200, fields{"Accept-Ranges": "", "ETag": `"v1"`, "Last-Modified": "Sun, 01 Mar 2026 12:00:00 GMT", "Content-Type": isJSON},
			`{"status":"success","data":{"a":1}}`},
		{"JSON is unchanged", data, asking("If-None-Match", `"v1"`), 304, fields{"ETag": `"v1"`}, ""},
		{"a part of JSON passes as it is", data, asking("Range", "bytes=1-3"), 206, fields{"Content-Range": "bytes 1-3/7", "Content-Type": isJSON}, `"a"`},
		{"a changed precondition", data, asking("If-Match", `"v2"`), 412, fields{"Content-Type": isJSON}, `{"status":"error","message":"Precondition Failed","data":null}`},
	} {
		t.Run(tt.name, func(t *testing.T) { check(t, over(t, env.Wrap(tt.handler), tt.r), tt.status, tt.want, tt.body) })
	}
	// Several ranges: multipart, whose boundary is random.
	g := over(t, env.Wrap(text), asking("Range", "bytes=0-1,4-5"))
	if g.status != 206 || !strings.HasPrefix(g.header.Get("Content-Type"), "multipart/byteranges; boundary=") || !strings.Contains(g.body, "\r\n\r\n45\r\n") {
		t.Errorf("%v", g)
	}
}

func TestReverseProxy(t *testing.T) {
	upstream := newServer(t, handler(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/json":
			w.Header().Set("Trailer", "X-Sum")
			w.WriteHeader(http.StatusEarlyHints)
			writing(isJSON, `{"encoding":"`+r.Header.Get("Accept-Encoding")+"\"}\n")(w, r)
			w.Header().Set("X-Sum", "1")
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Type", isJSON)
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, "[1]")
			_ = z.Close()
		case "/text":
			writing("text/plain", "hello")(w, r)
		case "/none":
			http.Error(w, "no such thing", 404)
		case "/cut":
			w.Header().Set("Content-Type", isJSON)
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "[1,2]")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	}))
	target, _ := url.Parse(upstream.URL)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = upstream.Config.ErrorLog
	env := newEnvelope(t, envelope.Config{})
	for _, tt := range []struct {
		path   string
		status int
		want   fields
		body   string
	}{
		{"/json", 200, fields{"Content-Type": isJSON}, `{"status":"success","data":{"encoding":"gzip"}}`}, // Go's transport adds and undoes it
		{"/gzip", 200, fields{"Content-Type": isJSON, "Content-Encoding": ""}, `{"status":"success","data":[1]}`},
		{"/text", 200, fields{"Content-Length": "5"}, "hello"},
		{"/none", 404, fields{"Content-Type": isJSON}, `{"status":"error","message":"no such thing","data":null}`},
	} {
		t.Run(tt.path, func(t *testing.T) { check(t, over(t, env.Wrap(proxy), get(tt.path)), tt.status, tt.want, tt.body) })
	}
	if g := over(t, env.Wrap(proxy), get("/cut")); !g.aborted || strings.HasSuffix(g.body, "}") {
		t.Errorf("an answer that the upstream cut: %v", g)
	}
	upstream.Close()
	check(t, over(t, env.Wrap(proxy), get("/json")), 502, fields{"Content-Type": isJSON}, `{"status":"error","message":"Bad Gateway","data":null}`)
}

func TestReverseProxyOfAnUpgrade(t *testing.T) {
	upstream := newServer(t, handler(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
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
	target, _ := url.Parse(upstream.URL)
	s := newServer(t, newEnvelope(t, envelope.Config{}).Wrap(httputil.NewSingleHostReverseProxy(target)))
	r, _ := http.NewRequest("GET", s.URL, nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "echo")
	resp, err := s.Client().Transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	conn := resp.Body.(io.ReadWriteCloser)
	_, _ = io.WriteString(conn, "hello\n")
	reply, _ := io.ReadAll(conn)
	_ = conn.Close()
	if resp.StatusCode != 101 || string(reply) != "you said hello\n" {
		t.Errorf("%d %q", resp.StatusCode, reply)
	}
}

func TestTimeoutHandlerInside(t *testing.T) {
	env := newEnvelope(t, envelope.Config{})
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	within := func(d time.Duration, h http.Handler) http.Handler { return env.Wrap(http.TimeoutHandler(h, d, "")) }
	for _, tt := range []struct {
		name    string
		handler http.Handler
		status  int
		want    fields
		body    string
	}{
		{"data", within(time.Hour, writing(isJSON, "{}")), 200, fields{"Content-Type": isJSON}, `{"status":"success","data":{}}`},
		{"nothing", within(time.Hour, handler(func(http.ResponseWriter, *http.Request) {})), 200, fields{}, nullData},
		{"an error of the house is not shaped twice", within(time.Hour, failing(&keystile.Error{Code: keystile.CodeKeyExpired, Detail: "x"})), 401, fields{"Content-Type": isJSON}, `{"status":"error","message":"x","data":null}`},
		{"an error of the handler", within(time.Hour, answering(400, "text/plain", "no")), 400, fields{}, `{"status":"error","message":"no","data":null}`},
		{"Write is not framed twice", within(time.Hour, handler(func(w http.ResponseWriter, r *http.Request) {
			envelope.Write(w, r, 201, 1, envelope.Message("made"))
		})), 201, fields{}, `{"status":"success","data":1,"message":"made"}`},
		{"a panic", within(time.Hour, handler(func(http.ResponseWriter, *http.Request) { panic("x") })), 500, fields{}, `{"status":"error","message":"Something went wrong on the server.","data":null}`},
		{"a timeout comes in the shape of the house", within(time.Nanosecond, handler(func(w http.ResponseWriter, r *http.Request) {
			<-release // answers when nobody listens any more
			keystile.RespondError(w, r, &keystile.Error{Code: keystile.CodeInternal})
		})), 503, fields{"Content-Type": isJSON}, `{"status":"error","message":"The service is temporarily unavailable. Try again later.","data":null}`},
	} {
		t.Run(tt.name, func(t *testing.T) { check(t, over(t, tt.handler, get("/")), tt.status, tt.want, tt.body) })
	}
}

func TestTimeoutHandlerOutside(t *testing.T) {
	env := newEnvelope(t, envelope.Config{})
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	outside := func(d time.Duration, h http.Handler) http.Handler {
		return http.TimeoutHandler(env.Wrap(h), d, "too slow")
	}
	check(t, over(t, outside(time.Hour, writing(isJSON, "{}")), get("/")), 200, fields{"Content-Type": isJSON}, `{"status":"success","data":{}}`)
	check(t, over(t, outside(time.Hour, handler(http.NotFound)), get("/")), 404, fields{"Content-Type": isJSON}, `{"status":"error","message":"There is nothing at this address.","data":null}`)
	slow := handler(func(w http.ResponseWriter, r *http.Request) {
		<-release
		writing(isJSON, "{}")(w, r)
	})
	r := get("/")
	r.Header.Set("Accept-Encoding", "gzip") // withheld on another goroutine while this one reads it
	check(t, over(t, handler(func(w http.ResponseWriter, r *http.Request) {
		outside(time.Nanosecond, slow).ServeHTTP(w, r)
		if got := r.Header.Get("Accept-Encoding"); got != "gzip" {
			t.Errorf("outside, Accept-Encoding is %q", got)
		}
	}), r), 503, fields{}, "too slow")
	if g := over(t, outside(time.Hour, writing(isJSON, `[1`)), get("/")); !g.aborted {
		t.Errorf("invalid JSON: %v", g)
	}
}

func TestAcceptEncodingIsWithheld(t *testing.T) {
	showing := handler(func(w http.ResponseWriter, r *http.Request) {
		_, present := r.Header["Accept-Encoding"]
		writing(isJSON, fmt.Sprintf(`[%v,%q]`, present, r.Header.Get("X-Own")))(w, r)
	})
	for _, tt := range []struct {
		name    string
		keep    bool
		tracked bool
		want    string
	}{
		{"by default", false, false, `{"status":"success","data":[false,"1"]}`},
		{"where somebody started a record", false, true, `{"status":"success","data":[false,"1"]}`},
		{"unless it is kept", true, false, `{"status":"success","data":[true,"1"]}`},
		{"kept where somebody started a record", true, true, `{"status":"success","data":[true,"1"]}`},
	} {
		r := get("/")
		r.Header.Set("Accept-Encoding", "gzip")
		r.Header.Set("X-Own", "1")
		if tt.tracked {
			r = keystile.Track(r)
		}
		g := record(newEnvelope(t, envelope.Config{KeepAcceptEncoding: tt.keep}).Wrap(showing), r)
		if g.body != tt.want || r.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("%s: %s, outside %v", tt.name, g.body, r.Header)
		}
	}
}

// gzipping is a middleware that compresses where the client accepts it.
func gzipping(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		next.ServeHTTP(gzipWriter{w, z}, r)
		_ = z.Close()
	})
}

type gzipWriter struct {
	http.ResponseWriter
	z *gzip.Writer
}

func (w gzipWriter) Write(p []byte) (int, error) { return w.z.Write(p) }

func TestCompressionBelongsOutside(t *testing.T) {
	env := newEnvelope(t, envelope.Config{})
	r := get("/")
	r.Header.Set("Accept-Encoding", "gzip")
	g := over(t, gzipping(env.Wrap(writing(isJSON, "[1]"))), r)
	if g.header.Get("Content-Encoding") != "gzip" || unzip(strings.NewReader(g.body)) != `{"status":"success","data":[1]}` {
		t.Errorf("outside: %v", g)
	}
	for _, failing := range []http.Handler{failing(&keystile.Error{Code: keystile.CodeKeyExpired, Detail: "x"}), answering(401, "", "x")} {
		g = over(t, gzipping(env.Wrap(failing)), r)
		if g.status != 401 || g.aborted || g.header.Get("Content-Encoding") != "gzip" || unzip(strings.NewReader(g.body)) != `{"status":"error","message":"x","data":null}` {
			t.Errorf("an error, outside: %v", g)
		}
	}
	// Inside it sees no Accept-Encoding: nothing is compressed, nothing is broken.
	check(t, over(t, env.Wrap(gzipping(writing(isJSON, "[1]"))), r), 200, fields{"Content-Encoding": ""}, `{"status":"success","data":[1]}`)
	keeping := newEnvelope(t, envelope.Config{KeepAcceptEncoding: true})
	g = over(t, keeping.Wrap(gzipping(writing(isJSON, "[1]"))), r)
	if g.header.Get("Content-Encoding") != "gzip" || unzip(strings.NewReader(g.body)) != `[1]` {
		t.Errorf("inside, kept: %v", g)
	}
}

// unzip returns the text, or what went wrong in place of it.
func unzip(r io.Reader) string {
	z, err := gzip.NewReader(r)
	if err != nil {
		return err.Error()
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func TestNestedEnvelopes(t *testing.T) {
	outer := newEnvelope(t, envelope.Config{Style: envelope.StatusData{}})
	inner := newEnvelope(t, envelope.Config{Style: envelope.SuccessError{}})
	bare := newEnvelope(t, envelope.Config{Style: envelope.Problem{}})
	mount := func(env *envelope.Envelope) http.Handler {
		sub := http.NewServeMux()
		sub.HandleFunc("GET /sub/data", writing(isJSON, "{}"))
		sub.HandleFunc("GET /sub/empty", func(http.ResponseWriter, *http.Request) {})
		sub.HandleFunc("GET /sub/write", func(w http.ResponseWriter, r *http.Request) { envelope.Write(w, r, 200, 1) })
		sub.HandleFunc("GET /sub/text", writing("text/plain", "hello"))
		sub.HandleFunc("GET /sub/own", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "own", 400) })
		sub.HandleFunc("GET /sub/panic", func(http.ResponseWriter, *http.Request) { panic("x") })
		sub.HandleFunc("GET /sub/broken", writing(isJSON, "{}{}"))
		mux := http.NewServeMux()
		mux.Handle("/sub/", keystile.Routes(sub, env.Wrap))
		mux.HandleFunc("GET /data", writing(isJSON, "{}"))
		return keystile.Routes(mux, outer.Wrap)
	}
	const errorOf = `{"success":false,"error":{"code":"%s","message":"%s","details":{}}}`
	for _, tt := range []struct {
		path   string
		env    *envelope.Envelope
		status int
		body   string
	}{
		{"/data", inner, 200, `{"status":"success","data":{}}`},
		{"/none", inner, 404, `{"status":"error","message":"There is nothing at this address.","data":null}`},
		{"/sub/data", inner, 200, `{"success":true,"data":{}}`},
		{"/sub/empty", inner, 200, `{"success":true,"data":null}`},
		{"/sub/write", inner, 200, `{"success":true,"data":1}`},
		{"/sub/text", inner, 200, "hello"},
		{"/sub/own", inner, 400, fmt.Sprintf(errorOf, "invalid_request", "own")},
		{"/sub/none", inner, 404, fmt.Sprintf(errorOf, "not_found", "There is nothing at this address.")},
		{"/sub/panic", inner, 500, fmt.Sprintf(errorOf, "internal", "Something went wrong on the server.")},
		{"/sub/broken", inner, 500, fmt.Sprintf(errorOf, "internal", "Something went wrong on the server.")},
		{"/sub/data", bare, 200, `{}`},
		{"/sub/empty", bare, 200, ""},
		{"/sub/write", bare, 200, "1"},
		{"/sub/data", outer, 200, `{"status":"success","data":{}}`}, // the same one twice frames once
		{"/sub/own", outer, 400, `{"status":"error","message":"own","data":null}`},
	} {
		t.Run(tt.path, func(t *testing.T) { check(t, both(t, mount(tt.env), get(tt.path)), tt.status, fields{}, tt.body) })
	}
	r := httptest.NewRequest("POST", "/sub/data", nil)
	g := record(mount(inner), r)
	check(t, g, 405, fields{"Allow": "GET, HEAD"}, fmt.Sprintf(errorOf, "method_not_allowed", "The method is not allowed at this address."))
}

// A batch handler answers sub-requests to recorders of its own, within the
// context of the whole.
func TestSubRequestsOfABatch(t *testing.T) {
	env := newEnvelope(t, envelope.Config{})
	h := env.Wrap(handler(func(w http.ResponseWriter, r *http.Request) {
		sub := httptest.NewRecorder()
		keystile.RespondError(sub, r, &keystile.Error{Code: keystile.CodeNotFound, Detail: "x"})
		_, _ = fmt.Fprintf(w, `[%q]`, sub.Body.String())
	}))
	check(t, both(t, h, get("/")), 200, fields{}, `{"status":"success","data":["{\"status\":\"error\",\"message\":\"x\",\"data\":null}"]}`)
}

func TestTheGuardRefusesInTheShapeOfTheHouse(t *testing.T) {
	env := newEnvelope(t, envelope.Config{})
	guard, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: nobody{}, Realm: "test"})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /data", writing(isJSON, "{}"))
	h := keystile.Routes(mux, env.Wrap, guard.Wrap)
	for _, path := range []string{"/data", "/none"} {
		check(t, both(t, h, get(path)), 401, fields{"WWW-Authenticate": `Test realm="test"`, "Cache-Control": "no-store"},
			`{"status":"error","message":"Valid credentials are required.","data":null}`)
	}
	// A handler's own 401 has the challenge too, as SECURITY's R1 wants.
	open, _ := keystile.NewGuard(keystile.GuardConfig{Authenticator: nobody{}, Realm: "test", Optional: true})
	check(t, both(t, env.Wrap(open.Wrap(answering(401, "", ""))), get("/")), 401, fields{"WWW-Authenticate": `Test realm="test"`},
		`{"status":"error","message":"Valid credentials are required.","data":null}`)
}

// nobody refuses everybody.
type nobody struct{}

func (nobody) Present(*http.Request) bool { return false }
func (nobody) Authenticate(*http.Request) (*keystile.Principal, error) {
	return nil, keystile.NoCredentials("test")
}
func (nobody) Challenges(*http.Request, error) []string { return []string{"Test"} }

func TestHTTP2(t *testing.T) {
	env := newEnvelope(t, envelope.Config{})
	s := httptest.NewUnstartedServer(env.Wrap(handler(func(w http.ResponseWriter, r *http.Request) {
		_, hijacks := w.(http.Hijacker)
		switch r.URL.Path {
		case "/data":
			writing(isJSON, fmt.Sprintf("[%q,%v]", r.Proto, hijacks))(w, r)
		case "/cut":
			writing(isJSON, "[1")(w, r)
			w.(http.Flusher).Flush()
		case "/none":
			http.NotFound(w, r)
		}
	})))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	check(t, send(t, s, get("/data")), 200, fields{"Content-Type": isJSON}, `{"status":"success","data":["HTTP/2.0",false]}`)
	check(t, send(t, s, get("/none")), 404, fields{}, `{"status":"error","message":"There is nothing at this address.","data":null}`)
	if g := send(t, s, get("/cut")); !g.aborted || g.body != `{"status":"success","data":[1` {
		t.Errorf("%v", g)
	}
}
