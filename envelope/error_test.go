package envelope_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/envelope"
)

func failing(e *keystile.Error) handler {
	return func(w http.ResponseWriter, r *http.Request) { keystile.RespondError(w, r, e) }
}

// answering writes an error of its own.
func answering(status int, contentType, body string) handler {
	return func(w http.ResponseWriter, _ *http.Request) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestErrorsOfHandlersComeOutInTheShapeOfTheHouse(t *testing.T) {
	said := func(code, message, details string) string {
		return `{"success":false,"error":{"code":"` + code + `","message":"` + message + `","details":` + details + `}}`
	}
	tests := []struct {
		name    string
		handler handler
		status  int
		want    fields
		body    string
	}{
		{"http.Error", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `no "such" <id>`, http.StatusUnprocessableEntity)
		}, 422,
			fields{"Content-Type": isJSON, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
			said("unprocessable_entity", `no \"such\" \u003cid\u003e`, "{}")},
		{"http.NotFound is as a route that does not exist", http.NotFound, 404, fields{}, said("not_found", "There is nothing at this address.", "{}")},
		{"a text that only names the status", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "Bad Request", 400) }, 400, fields{}, said("invalid_request", "The request is malformed.", "{}")},
		{"only a status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(409) }, 409, fields{"Content-Type": isJSON}, said("conflict", "Conflict", "{}")},
		{"a status that has no name", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(499) }, 499, fields{}, said("error", "error", "{}")},
		{"a teapot", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(418) }, 418, fields{}, said("im_a_teapot", "I'm a teapot", "{}")},
		{"gin's way", answering(400, "application/json; charset=utf-8", `{"error":"name is required","field":"name"}`), 400, fields{"Content-Type": isJSON}, said("invalid_request", "name is required", `{"field":"name"}`)},
		{"echo's way", answering(405, isJSON, `{"message":"Method Not Allowed"}`), 405, fields{}, said("method_not_allowed", "The method is not allowed at this address.", "{}")},
		{"a problem document", answering(402, "application/problem+json", `{"type":"https://example.com/credit","title":"No credit","status":402,"detail":"Buy more.","code":"no_credit","balance":12.50}`), 402, fields{"Content-Type": isJSON},
			said("no_credit", "Buy more.", `{"balance":12.50}`)},
		{"an error in this shape already", answering(403, isJSON, said("mine", "No.", `{"hint":[1]}`)), 403, fields{}, said("mine", "No.", `{"hint":[1]}`)},
		{"JSON without a Content-Type", answering(400, "", `{"message":"x"}`), 400, fields{}, said("invalid_request", "x", "{}")},
		{"a code that is no word", answering(400, isJSON, `{"message":"x","code":"a sentence"}`), 400, fields{}, said("invalid_request", "x", "{}")},
		{"a number for a code", answering(400, isJSON, `{"message":7,"code":1234,"title":"T"}`), 400, fields{}, said("invalid_request", "T", "{}")},
		{"JSON that is none", answering(400, isJSON, `{"message":`), 400, fields{}, said("invalid_request", "The request is malformed.", "{}")},
		{"JSON that is no object", answering(400, isJSON, `["x"]`), 400, fields{}, said("invalid_request", "The request is malformed.", "{}")},
		{"null for an error", answering(400, isJSON, `{"error":null,"details":null}`), 400, fields{}, said("invalid_request", "The request is malformed.", `{"details":null}`)},
		{"a page", answering(502, "text/html", "<h1>Bad gateway</h1>"), 502, fields{"Content-Type": isJSON}, said("bad_gateway", "Bad Gateway", "{}")},
		{"a page without a Content-Type", answering(503, "", "<html><p>"), 503, fields{}, said("unavailable", "The service is temporarily unavailable. Try again later.", "{}")},
		{"bytes", answering(400, "application/octet-stream", "\x00\x01"), 400, fields{}, said("invalid_request", "The request is malformed.", "{}")},
		{"text with a control character", answering(400, "text/plain", "a\x1bb"), 400, fields{}, said("invalid_request", "The request is malformed.", "{}")},
		{"text that is no UTF-8", answering(400, "text/plain", "a\xff"), 400, fields{}, said("invalid_request", "The request is malformed.", "{}")},
		{"text of several lines", answering(409, "text/plain; charset=utf-8", "a\nb\n"), 409, fields{}, said("conflict", `a\nb`, "{}")},
		{"a 503 says when", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			http.Error(w, "Maintenance.", http.StatusServiceUnavailable)
		}, 503, fields{"Retry-After": "7"}, said("unavailable", "Maintenance.", "{}")},
		{"the text of a 500 stays on the server", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "pq: duplicate key", 500) }, 500, fields{}, said("internal", "Something went wrong on the server.", "{}")},
		{"and so does its JSON", answering(500, isJSON, `{"error":{"code":"sql","message":"pq"}}`), 500, fields{}, said("internal", "Something went wrong on the server.", "{}")},
		{"what the body said of itself goes", func(w http.ResponseWriter, r *http.Request) {
			for _, field := range []string{"ETag", "Last-Modified", "Content-Disposition", "Content-Digest"} {
				w.Header().Set(field, "x")
			}
			w.Header().Set("Content-Length", "3")
			w.Header().Set("X-Request-Id", "7")
			answering(400, "text/plain", "abc")(w, r)
		}, 400, fields{"ETag": "", "Last-Modified": "", "Content-Disposition": "", "Content-Digest": "", "X-Request-Id": "7"}, said("invalid_request", "abc", "{}")},
		{"an error in many writes and flushes", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			for _, part := range []string{"a", "", "b"} {
				_, _ = io.WriteString(w, part)
				w.(http.Flusher).Flush()
			}
		}, 400, fields{}, said("invalid_request", "ab", "{}")},
	}
	env := newEnvelope(t, envelope.Config{Style: envelope.SuccessError{}})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check(t, both(t, env.Wrap(tt.handler), get("/")), tt.status, tt.want, tt.body)
		})
	}
}

func TestAnErrorIsReadUpToTheLimit(t *testing.T) {
	const limit = 16
	var reads []int
	reading := func(answer *keystile.Error) *envelope.Envelope {
		return newEnvelope(t, envelope.Config{ErrorLimit: limit, Style: spy{foreign: func(status int, contentType string, body []byte) *keystile.Error {
			reads = append(reads, len(body))
			return answer
		}}})
	}
	long := strings.Repeat("x", 40)
	inParts := handler(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(400)
		for i := 0; i < len(long); i += 5 {
			if n, err := io.WriteString(w, long[i:i+5]); n != 5 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}
	})
	house := &keystile.Error{Code: keystile.CodeInvalidRequest}
	for _, tt := range []struct {
		name    string
		handler handler
		answer  *keystile.Error
		read    int
		body    string
	}{
		{"a longer error is cut", answering(400, "text/plain", long), house, limit, nullError},
		{"in parts, too", inParts, house, limit, nullError},
		{"one that fits is not", answering(400, "text/plain", long[:limit]), house, limit, nullError},
		{"a style lets it pass whole", answering(400, "text/plain", long), nil, limit, long},
		{"in parts, too, and whole", inParts, nil, limit, long},
		{"a short one passes", answering(400, "text/plain", "abc"), nil, 3, "abc"},
		{"an empty one passes", answering(400, "text/plain", ""), nil, 0, ""},
	} {
		reads = nil
		g := record(reading(tt.answer).Wrap(tt.handler), get("/"))
		if g.status != 400 || g.body != tt.body || len(reads) != 1 || reads[0] != tt.read {
			t.Errorf("%s: %v read %d", tt.name, g, reads)
		}
		if tt.answer == nil && g.header.Get("Content-Type") != "text/plain" {
			t.Errorf("%s: %v", tt.name, g.header)
		}
	}
}

const nullError = `{"status":"error","message":"The request is malformed.","data":null}`

// spy is StatusData with another way to read errors.
type spy struct {
	envelope.StatusData
	foreign func(status int, contentType string, body []byte) *keystile.Error
}

func (s spy) ForeignError(status int, contentType string, body []byte) *keystile.Error {
	return s.foreign(status, contentType, body)
}

func TestAForeignErrorMayGetAnotherStatus(t *testing.T) {
	for status, want := range map[int]int{0: 404, 410: 410} {
		env := newEnvelope(t, envelope.Config{Style: spy{foreign: func(int, string, []byte) *keystile.Error {
			return &keystile.Error{Code: keystile.CodeInvalidRequest, Status: status}
		}}})
		if g := record(env.Wrap(handler(http.NotFound)), get("/")); g.status != want {
			t.Errorf("%d: %v", status, g)
		}
	}
}

func TestTheOutcomeOfAForeignErrorIsKnownOutside(t *testing.T) {
	r := keystile.Track(get("/"))
	record(newEnvelope(t, envelope.Config{}).Wrap(handler(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "pq: no", 500) })), r)
	e := keystile.OutcomeFrom(r.Context())
	if e == nil || e.Code != keystile.CodeInternal || !strings.Contains(e.Error(), "pq: no") {
		t.Errorf("outcome %v", e)
	}
}

func TestErrorsOfThisModule(t *testing.T) {
	env := newEnvelope(t, envelope.Config{Style: envelope.SuccessError{}})
	tests := []struct {
		name   string
		err    *keystile.Error
		status int
		want   fields
		body   string
	}{
		{"a limit", &keystile.Error{Code: keystile.CodeRateLimited, RetryAfter: 1500 * time.Millisecond, Details: map[string]any{"limit": "hour", "bad": func() {}}}, 429,
			fields{"Retry-After": "2", "Cache-Control": "no-store", "Content-Type": isJSON, "Content-Length": "113"},
			`{"success":false,"error":{"code":"rate_limited","message":"Too many requests.","details":{"retry_after":2,"limit":"hour"}}}`},
		{"a detail wins over the sentence", &keystile.Error{Code: keystile.CodeNotFound, Detail: "No contact 7."}, 404, fields{},
			`{"success":false,"error":{"code":"not_found","message":"No contact 7.","details":{}}}`},
		{"a header field", &keystile.Error{Code: keystile.CodeMethodNotAllowed, Header: http.Header{"Allow": {"GET"}}}, 405, fields{"Allow": "GET"},
			`{"success":false,"error":{"code":"method_not_allowed","message":"The method is not allowed at this address.","details":{}}}`},
		{"a status that no answer can have", &keystile.Error{Code: "odd", Status: 42}, 500, fields{}, `{"success":false,"error":{"code":"odd","message":"odd","details":{}}}`},
		{"the cause is not told", &keystile.Error{Code: keystile.CodeUnavailable, Err: errors.New("redis: secret")}, 503, fields{},
			`{"success":false,"error":{"code":"unavailable","message":"The service is temporarily unavailable. Try again later.","details":{}}}`},
	}
	for _, tt := range tests {
		g := both(t, env.Wrap(failing(tt.err)), get("/"))
		if tt.want["Content-Length"] != "" {
			tt.want["Content-Length"] = fmt.Sprint(len(tt.body))
		}
		t.Run(tt.name, func(t *testing.T) { check(t, g, tt.status, tt.want, tt.body) })
	}
}

// RFC 9110 section 9.3.2.
func TestHeadIsAnsweredAsGetIsWithoutTheBody(t *testing.T) {
	env := newEnvelope(t, envelope.Config{})
	for _, tt := range []struct {
		name    string
		handler handler
	}{
		{"framed", writing(isJSON, `{"a":1}`)},
		{"framed without a Content-Type", writing("", `[1]`)},
		{"an error of the house", failing(&keystile.Error{Code: keystile.CodeKeyExpired})},
		{"an error of the handler", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "x", 400) }},
		{"Write", func(w http.ResponseWriter, r *http.Request) { envelope.Write(w, r, 201, []int{1}) }},
		{"a panic", func(http.ResponseWriter, *http.Request) { panic("x") }},
		{"text", writing("", "hello")},
	} {
		s := newServer(t, env.Wrap(tt.handler))
		full, head := send(t, s, get("/")), send(t, s, httptest.NewRequest("HEAD", "/", nil))
		full.header.Del("Date")
		head.header.Del("Date")
		if full.status != head.status || fmt.Sprint(full.header) != fmt.Sprint(head.header) || head.body != "" || head.aborted {
			t.Errorf("%s: GET %v\nHEAD %v", tt.name, full, head)
		}
	}
	// A handler that writes no body to HEAD must not get the length of null.
	g := over(t, env.Wrap(handler(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", isJSON)
		w.Header().Set("Content-Length", "700")
	})), httptest.NewRequest("HEAD", "/", nil))
	check(t, g, 200, fields{"Content-Type": isJSON, "Content-Length": ""}, "")
}
