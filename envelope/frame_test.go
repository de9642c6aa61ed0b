package envelope_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/keystile/keystile/envelope"
)

const (
	isJSON   = "application/json"
	nullData = `{"status":"success","data":null}`
)

func TestWhatHandlersWriteIsFramed(t *testing.T) {
	tests := []struct {
		name    string
		handler handler
		status  int
		want    fields
		body    string
	}{
		{"an object", writing(isJSON, `{"a":1}`), 200, fields{"Content-Type": isJSON}, `{"status":"success","data":{"a":1}}`},
		{"white space around the value is left out, that within it is kept", writing(isJSON, " \r\n\t{\"a\" :\n1}\n\n"), 200, fields{}, "{\"status\":\"success\",\"data\":{\"a\" :\n1}}"},
		{"a charset goes, since JSON has none", writing("application/json; charset=utf-8", `[]`), 200, fields{"Content-Type": isJSON}, `{"status":"success","data":[]}`},
		{"a charset in other words goes as well", writing(`Application/JSON;x=1; Charset="UTF-8"`, `[]`), 200, fields{"Content-Type": isJSON}, `{"status":"success","data":[]}`},
		{"a type that promises another shape becomes plain JSON", writing("application/geo+json", `{"type":"Point"}`), 200, fields{"Content-Type": isJSON}, `{"status":"success","data":{"type":"Point"}}`},
		{"a vendor type stays", writing("application/vnd.acme.v1+json", `1`), 200, fields{"Content-Type": "application/vnd.acme.v1+json"}, `{"status":"success","data":1}`},
		{"an object without a Content-Type", writing("", ` {"a":[1,2]}`), 200, fields{"Content-Type": isJSON}, `{"status":"success","data":{"a":[1,2]}}`},
		{"an array without a Content-Type", writing("", `[]`), 200, fields{"Content-Type": isJSON}, `{"status":"success","data":[]}`},
		{"a whole number without a Content-Type", writing("", "42\n"), 200, fields{"Content-Type": isJSON}, `{"status":"success","data":42}`},
		{"a whole string without a Content-Type", writing("", `"x"`), 200, fields{"Content-Type": isJSON}, `{"status":"success","data":"x"}`},
		{"nothing at all", func(http.ResponseWriter, *http.Request) {}, 200, fields{"Content-Type": isJSON}, nullData},
		{"only a status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) }, 201, fields{"Content-Type": isJSON}, nullData},
		{"only a status and a type", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", isJSON)
			w.WriteHeader(202)
		}, 202, fields{"Content-Type": isJSON}, nullData},
		{"only an empty Write", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(nil) }, 200, fields{"Content-Type": isJSON}, nullData},
		{"only white space of JSON", writing(isJSON, "\n \n"), 200, fields{"Content-Type": isJSON}, nullData},
		{"a status after a whole value", func(w http.ResponseWriter, r *http.Request) {
			writing(isJSON, "{}")(w, r)
			w.WriteHeader(500)
		}, 200, fields{}, `{"status":"success","data":{}}`},
		{"twice a status: the first counts", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(201)
			w.WriteHeader(404)
			_, _ = io.WriteString(w, `{}`)
			w.WriteHeader(500)
		}, 201, fields{}, `{"status":"success","data":{}}`},
		{"a Content-Length is that of the bare body and goes", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "7")
			w.Header().Set("Content-Digest", "sha-256=:x:")
			w.Header().Set("ETag", `"v1"`)
			w.Header().Set("X-Own", "kept")
			writing(isJSON, `{"a":1}`)(w, r)
		}, 200, fields{"Content-Length": "35", "Content-Digest": "", "ETag": `"v1"`, "X-Own": "kept"}, `{"status":"success","data":{"a":1}}`},
		{"many small writes, of bytes and strings", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", isJSON)
			for i, c := range `{"k" : "v\u0041\"}", "n": [-1.5e+3, true, {}], "z": null } ` {
				if i%2 == 0 {
					_, _ = io.WriteString(w, string(c))
				} else if n, err := w.Write([]byte(string(c))); n != 1 || err != nil {
					t.Errorf("Write: %d, %v", n, err)
				}
			}
		}, 200, fields{}, `{"status":"success","data":{"k" : "v\u0041\"}", "n": [-1.5e+3, true, {}], "z": null }}`},
		{"a flush in the middle", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", isJSON)
			rc := http.NewResponseController(w)
			for _, part := range []string{"", `[1`, `,2`, `,3]`, ""} {
				_, _ = io.WriteString(w, part)
				if err := rc.Flush(); err != nil {
					t.Error(err)
				}
			}
		}, 200, fields{"Content-Type": isJSON}, `{"status":"success","data":[1,2,3]}`},
		{"a flush before anything, and nothing else", func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }, 200, fields{}, nullData},
		{"a body that is copied", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", isJSON)
			if n, err := io.Copy(w, strings.NewReader(" [1, 2] ")); n != 8 || err != nil {
				t.Errorf("Copy: %d, %v", n, err)
			}
		}, 200, fields{}, `{"status":"success","data":[1, 2]}`},
		{"a body that is read from", func(w http.ResponseWriter, _ *http.Request) {
			if n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("[1, 2]")); n != 6 || err != nil {
				t.Errorf("ReadFrom: %d, %v", n, err)
			}
		}, 200, fields{"Content-Type": isJSON}, `{"status":"success","data":[1, 2]}`},
		{"a number at the top that ends with the body", writing(isJSON, "12"), 200, fields{}, `{"status":"success","data":12}`},
		{"a number at the top that ends with white space", writing(isJSON, "0 \n"), 200, fields{}, `{"status":"success","data":0}`},
	}
	env := newEnvelope(t, envelope.Config{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check(t, both(t, env.Wrap(tt.handler), get("/")), tt.status, tt.want, tt.body)
		})
	}
}

func TestWhatIsNoJSONOfASuccessPassesUntouched(t *testing.T) {
	status := func(status int, header ...string) handler {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
		}
	}
	tests := []struct {
		name    string
		handler handler
		status  int
		want    fields
		body    string
	}{
		{"plain text", writing("text/plain", "hello"), 200, fields{"Content-Type": "text/plain"}, "hello"},
		{"text without a Content-Type", writing("", "hello"), 200, fields{"Content-Type": "text/plain; charset=utf-8"}, "hello"},
		{"text that begins as JSON does", writing("", "[INFO] started"), 200, fields{"Content-Type": "text/plain; charset=utf-8"}, "[INFO] started"},
		{"text that begins with a word of JSON", writing("", "true story"), 200, fields{}, "true story"},
		{"white space in front of text", func(w http.ResponseWriter, _ *http.Request) {
			for _, part := range []string{" ", "\n", "hello"} {
				_, _ = io.WriteString(w, part)
			}
		}, 200, fields{"Content-Type": "text/plain; charset=utf-8"}, " \nhello"},
		{"only white space", writing("", " \n"), 200, fields{"Content-Type": "text/plain; charset=utf-8"}, " \n"},
		{"more white space than net/http looks at", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat(" ", 600))
			_, _ = io.WriteString(w, "{}")
		}, 200, fields{}, strings.Repeat(" ", 600) + "{}"},
		{"a page", writing("text/html; charset=utf-8", "<p>"), 200, fields{"Content-Type": "text/html; charset=utf-8"}, "<p>"},
		{"an empty page", writing("text/html", ""), 200, fields{"Content-Type": "text/html", "Content-Length": "0"}, ""},
		{"bytes", writing("application/octet-stream", "{}"), 200, fields{}, "{}"},
		{"newline-delimited JSON", writing("application/x-ndjson", "{}\n{}\n"), 200, fields{"Content-Type": "application/x-ndjson"}, "{}\n{}\n"},
		{"JSON in another charset", writing("application/json; charset=utf-16", "\x00{\x00}"), 200, fields{"Content-Type": "application/json; charset=utf-16"}, "\x00{\x00}"},
		{"XML", writing("application/xml", "<a/>"), 200, fields{"Content-Type": "application/xml"}, "<a/>"},
		{"events", writing("text/event-stream", "data: {}\n\n"), 200, fields{"Content-Type": "text/event-stream"}, "data: {}\n\n"},
		{"no Content-Type on purpose", func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, "{}")
		}, 200, fields{"Content-Type": ""}, "{}"},
		{"JSON that is encoded", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			w.Header().Set("Content-Length", "3")
			writing(isJSON, "\x01\x02\x03")(w, r)
		}, 200, fields{"Content-Encoding": "br", "Content-Length": "3", "Content-Type": isJSON}, "\x01\x02\x03"},
		{"an error that is encoded", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			w.WriteHeader(400)
			_, _ = io.WriteString(w, "\x01")
		}, 400, fields{"Content-Encoding": "br"}, "\x01"},
		{"204", status(204, "X-Own", "1"), 204, fields{"X-Own": "1", "Content-Type": ""}, ""},
		{"205", status(205), 205, fields{"Content-Type": ""}, ""},
		{"304", status(304, "ETag", `"x"`, "Content-Type", isJSON), 304, fields{"ETag": `"x"`}, ""},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/there", http.StatusSeeOther) }, 303,
			fields{"Location": "/there", "Content-Type": "text/html; charset=utf-8"}, "<a href=\"/there\">See Other</a>.\n\n"},
		{"a redirect with JSON", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/there")
			w.Header().Set("Content-Type", isJSON)
			w.WriteHeader(307)
			_, _ = io.WriteString(w, "{}")
		}, 307, fields{"Location": "/there"}, "{}"},
		{"a part of JSON", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 2-4/9")
			w.Header().Set("Content-Type", isJSON)
			w.WriteHeader(206)
			_, _ = io.WriteString(w, "}{]")
		}, 206, fields{"Content-Range": "bytes 2-4/9"}, "}{]"},
	}
	env := newEnvelope(t, envelope.Config{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := env.Wrap(tt.handler)
			recorded, g := record(h, get("/")), over(t, h, get("/"))
			check(t, g, tt.status, tt.want, tt.body)
			if recorded.status != tt.status || recorded.body != tt.body {
				t.Errorf("recorded %v", recorded)
			}
			bare := over(t, tt.handler, get("/"))
			bare.header.Del("Date")
			g.header.Del("Date")
			if g.String() != bare.String() {
				t.Errorf("%v\nwithout the envelope\n%v", g, bare)
			}
		})
	}
}

// What a client must never see is a body that parses and says what the handler
// did not.
func TestABodyThatIsNotOneJSONValueIsNoAnswer(t *testing.T) {
	const refused = `{"status":"error","message":"Something went wrong on the server.","data":null}`
	parts := func(parts ...string) handler {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", isJSON)
			for _, part := range parts {
				if _, err := io.WriteString(w, part); err != nil {
					return
				}
			}
		}
	}
	stubborn := func(parts ...string) handler { // looks at no error
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", isJSON)
			for _, part := range parts {
				_, _ = w.Write([]byte(part))
			}
		}
	}
	tests := []struct {
		name    string
		handler handler
		body    string // "": the connection is aborted
	}{
		{"text that says it is JSON", parts("hello"), refused},
		{"a second value in one write", parts(`{"a":1},"status":"success","data":{"b":2}`), refused},
		{"an end that is not the value's", parts(`1},{"x":2`), refused},
		{"two documents in one write", parts("{}\n{}\n"), refused},
		{"two documents in two writes", parts("{}\n", "{}\n"), ""},
		{"the same, and nobody looks at the error", stubborn("{}\n", "{}\n", "[", "]"), ""},
		{"a member smuggled in later", parts(`"x"`, `,"admin":true`), ""},
		{"a wrong end", parts(`[1`, `}`), ""},
		{"a body that stops", parts(`{"a":[1,2`), ""},
		{"a string that stops", parts(`"abc`), ""},
		{"a number that stops", parts("1", "e"), ""},
		{"a word that stops", parts("tru"), ""},
		{"a control character in a string", parts("[\"a", "\n\"]"), ""},
		{"a bad escape", parts(`["\`, `x"]`), ""},
		{"a bad number", parts("[0", "1]"), ""},
		{"a comma without a value", parts("[1,", "]"), ""},
		{"a comma without a name", parts(`{"a":1,`, "}"), ""},
		{"too deep", parts(strings.Repeat("[", 10_001)), refused},
		{"too deep in many writes", parts(strings.Repeat("[", 9_999), "[[", "]"), ""},
		{"an error after the answer has begun", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", isJSON)
			_, _ = io.WriteString(w, `{"rows":[1`)
			http.Error(w, `]}`, 500)
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var j journal
			h := newEnvelope(t, envelope.Config{Logger: j.logger()}).Wrap(tt.handler)
			g := record(h, get("/"))
			if tt.body == "" {
				if !g.aborted {
					t.Errorf("not aborted: %v", g)
				}
				if !strings.HasPrefix(g.body, `{"status":"success","data":`) || strings.HasSuffix(g.body, "}}") {
					t.Errorf("sent %q", g.body)
				}
				if g := over(t, h, get("/")); !g.aborted {
					t.Errorf("not aborted over the network: %v", g)
				}
			} else {
				check(t, both(t, h, get("/")), 500, fields{"Content-Type": isJSON, "Cache-Control": "no-store"}, tt.body)
			}
			if !strings.Contains(j.String(), "envelope: the handler's") {
				t.Errorf("logged %q", j.String())
			}
		})
	}
}

func TestTheDepthOfEncodingJSONIsAllowed(t *testing.T) {
	env := newEnvelope(t, envelope.Config{})
	for _, depth := range []int{1, 64, 65, 255, 256, 257, 1000, 10_000} {
		for _, pair := range []string{"[]", "{}"} {
			begin, end, inner := strings.Repeat("[", depth-1), strings.Repeat("]", depth-1), pair
			if pair == "{}" {
				begin, end = strings.Repeat(`{"":`, depth-1), strings.Repeat("}", depth-1)
			}
			body := begin + inner + end
			if g := record(env.Wrap(writing(isJSON, body)), get("/")); g.body != `{"status":"success","data":`+body+"}" {
				t.Errorf("depth %d of %s: %d %.60s", depth, pair, g.status, g.body)
			}
		}
	}
	mixed := strings.Repeat(`[{"a":`, 300) + "1" + strings.Repeat("}]", 300)
	if g := record(env.Wrap(writing(isJSON, mixed)), get("/")); g.status != 200 {
		t.Error("arrays and objects in turn are refused")
	}
	wrong := strings.Repeat(`[{"a":`, 300) + "1" + strings.Repeat("}]", 140) + "]}"
	if g := record(env.Wrap(writing(isJSON, wrong)), get("/")); g.status != 500 {
		t.Error("a wrong end far out is not seen")
	}
}

// The body is never buffered: what is flushed reaches the client while the
// handler is still at work.
func TestTheBodyStreams(t *testing.T) {
	proceed := make(chan struct{})
	env := newEnvelope(t, envelope.Config{})
	s := newServer(t, env.Wrap(handler(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", isJSON)
		_, _ = io.WriteString(w, `[1`)
		w.(http.Flusher).Flush()
		<-proceed
		_, _ = io.WriteString(w, `,2]`)
	})))
	resp, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	first := make([]byte, len(`{"status":"success","data":[1`))
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != `{"status":"success","data":[1` {
		t.Errorf("first %q, %v", first, err)
	}
	close(proceed)
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != ",2]}" {
		t.Errorf("rest %q, %v", rest, err)
	}
}

func TestABodyOfEightMiBIsWholeAndExact(t *testing.T) {
	chunk := strings.Repeat(`{"name":"Ada","n":-12.5e3},`, 4096)
	env := newEnvelope(t, envelope.Config{})
	var size int
	g := over(t, env.Wrap(handler(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", isJSON)
		n, _ := io.WriteString(w, "[")
		for n < 8<<20 {
			m, err := io.WriteString(w, chunk)
			if err != nil {
				t.Error(err)
				return
			}
			n += m
		}
		m, _ := io.WriteString(w, "0]")
		size = n + m
	})), get("/"))
	const before, after = `{"status":"success","data":`, "}"
	if g.aborted || len(g.body) != size+len(before)+len(after) || !strings.HasPrefix(g.body, before+"[{") || !strings.HasSuffix(g.body, "0]"+after) {
		t.Errorf("%d bytes of %d, aborted %v", len(g.body), size, g.aborted)
	}
}

func TestAClientThatLeavesEndsTheRequest(t *testing.T) {
	var j journal
	env := newEnvelope(t, envelope.Config{Logger: j.logger()})
	ended := make(chan error, 1)
	s := newServer(t, env.Wrap(handler(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", isJSON)
		_, _ = io.WriteString(w, `[1`)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		for range 1000 { // until the kernel says so
			if _, err := io.WriteString(w, strings.Repeat(",1", 32<<10)); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	})))
	resp, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if err := <-ended; err == nil {
		t.Error("the handler is told of no error")
	}
	s.Close() // waits for the handler
	if text := j.String(); text != "" {
		t.Errorf("the operator is told %q of a client that left", text)
	}
}
