package examples_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// row is a request, and the answer that all three programs give to it.
type row struct {
	name    string
	method  string // GET where it is empty
	path    string
	as      string // a demo credential; "" is none
	fields  http.Header
	body    string
	status  int
	want    string            // the body, after normalising
	headers map[string]string // some fields, after normalising; "" is absent
}

const (
	challenges = `ApiKey realm="quickstart", Bearer realm="quickstart", Basic realm="quickstart", charset="UTF-8"`
	policyFree = `"hour";q=10;w=3600, "day";q=100;w=86400, "concurrent";q=1;qu="concurrent-requests"`
	policyPro  = `"hour";q=200;w=3600, "day";q=2000;w=86400, "concurrent";q=10;qu="concurrent-requests"`
	docs       = "https://github.com/keystile/keystile/blob/main/docs/problems.md#"
)

func refusal(status int, code, title string, more string) string {
	return fmt.Sprintf(`{"type":"%s%s","title":"%s","status":%d,%s"code":"%s"}`, docs, code, title, status, more, code) + "\n"
}

var (
	unauthorized = refusal(401, "unauthorized", "Valid credentials are required.", "")
	notFound     = refusal(404, "not_found", "There is nothing at this address.", "")
	notAllowed   = refusal(405, "method_not_allowed", "The method is not allowed at this address.", "")
	contacts     = `{"status":"success","data":[{"name":"Ada Lovelace","email":"ada@example.com"},{"name":"Grace Hopper","email":"grace@example.com"}]}`
)

func hello(account, plan, scheme string) string {
	return fmt.Sprintf(`{"status":"success","data":{"message":"Hello, %s!","account":"%s","plan":"%s","scheme":"%s"}}`, account, account, plan, scheme)
}

func rows() []row {
	refused := map[string]string{"WWW-Authenticate": challenges, "Cache-Control": "no-store", "Content-Type": "application/problem+json", "RateLimit": "", "X-RateLimit-Limit": ""}
	all := []row{
		{name: "a key", path: "/hello", as: "pro", status: 200, want: hello("pro", "pro", "apikey"), headers: map[string]string{
			"Content-Type": "application/json", "RateLimit-Policy": policyPro, "RateLimit": `"hour";r=199;t=WAIT, "day";r=1999;t=WAIT`,
			"X-RateLimit-Limit": "200", "X-RateLimit-Remaining": "199", "X-RateLimit-Reset": "RESET", "Cache-Control": "", "WWW-Authenticate": ""}},
		{name: "a key as Bearer", path: "/hello", as: "bearer", status: 200, want: hello("bearer", "pro", "bearer")},
		{name: "a JWT", path: "/hello", as: "jwt", status: 200, want: hello("jwt", "pro", "jwt")},
		{name: "a password", path: "/hello", as: "basic", status: 200, want: hello("basic", "pro", "basic")},
		{name: "HEAD", method: "HEAD", path: "/hello", as: "pro", status: 200, headers: map[string]string{"X-RateLimit-Remaining": "198", "Content-Type": "application/json"}},
		{name: "HEAD without a credential", method: "HEAD", path: "/hello", status: 401, headers: refused},
		{name: "an expired key", path: "/hello", as: "expired", status: 401, want: refusal(401, "key_expired", "The key has expired.", ""), headers: refused},
		{name: "a revoked key", path: "/hello", as: "revoked", status: 401, want: refusal(401, "key_revoked", "The key has been revoked.", ""), headers: refused},
		{name: "no credential", path: "/hello", status: 401, want: unauthorized, headers: refused},
		{name: "a garbage key", path: "/hello", fields: http.Header{"X-Api-Key": {"garbage"}}, status: 401, want: unauthorized, headers: refused},
		{name: "an empty key", path: "/hello", fields: http.Header{"X-Api-Key": {""}}, status: 401, want: unauthorized, headers: refused},
		{name: "a garbage token", path: "/hello", fields: http.Header{"Authorization": {"Bearer a.b.c"}}, status: 401, want: unauthorized, headers: map[string]string{
			"WWW-Authenticate": `ApiKey realm="quickstart", Bearer realm="quickstart", error="invalid_token", error_description="Valid credentials are required.", Basic realm="quickstart", charset="UTF-8"`}},
		{name: "broken Bearer grammar", path: "/hello", fields: http.Header{"Authorization": {"Bearer ???"}}, status: 400, want: refusal(400, "invalid_request", "The request is malformed.", `"detail":"The Authorization field is malformed.",`), headers: map[string]string{
			"WWW-Authenticate": `Bearer realm="quickstart", error="invalid_request", error_description="The request is malformed."`, "Cache-Control": "no-store"}},
		{name: "a wrong password", path: "/hello", fields: http.Header{"Authorization": {"Basic YWRhOndyb25n"}}, status: 401, want: unauthorized, headers: refused},
		{name: "the key twice", path: "/hello", fields: http.Header{"X-Api-Key": {"a", "b"}}, status: 400, want: refusal(400, "invalid_request", "The request is malformed.", `"detail":"Send the key once, not several times.",`)},
		{name: "two kinds of credential", path: "/hello", as: "pro", fields: http.Header{"Authorization": {"Basic YWRhOndyb25n"}}, status: 400,
			want: refusal(400, "invalid_request", "The request is malformed.", `"detail":"Send one kind of credential, not several.",`)},
		{name: "a missing permission", path: "/contacts", as: "noscope", status: 403,
			want:    `{"type":"` + docs + `insufficient_permissions","title":"The credentials lack a required permission.","status":403,"detail":"Missing scopes: contacts:read.","code":"insufficient_permissions","missing_scopes":["contacts:read"],"required_scopes":["contacts:read"]}` + "\n",
			headers: map[string]string{"Cache-Control": "no-store", "WWW-Authenticate": "", "X-RateLimit-Remaining": "199"}},
		{name: "a permission by wildcard", path: "/contacts", as: "pro", status: 200, want: contacts},
		{name: "a permission in a JWT", path: "/contacts", as: "jwt", status: 200, want: contacts},
		{name: "no such route", path: "/nowhere", as: "pro", status: 404, want: notFound, headers: map[string]string{"Cache-Control": "no-store", "X-RateLimit-Remaining": "196"}},
		{name: "no such route, no credential", path: "/nowhere", status: 401, want: unauthorized, headers: refused},
		{name: "no such route, HEAD", method: "HEAD", path: "/nowhere", as: "pro", status: 404, headers: map[string]string{"Content-Type": "application/problem+json"}},
		{name: "another method", method: "PUT", path: "/hello", as: "pro", status: 405, want: notAllowed, headers: map[string]string{"Allow": "GET, HEAD"}},
		{name: "another method, no credential", method: "PUT", path: "/hello", status: 401, want: unauthorized, headers: refused},
		{name: "another method, several allowed", method: "PATCH", path: "/api-keys", as: "pro", status: 405, want: notAllowed, headers: map[string]string{"Allow": "GET, HEAD, POST"}},
		{name: "a handler that panics", path: "/panic", as: "pro", status: 500, want: refusal(500, "internal", "Something went wrong on the server.", ""), headers: map[string]string{"Cache-Control": "no-store"}},
		{name: "a handler that panics, HEAD", method: "HEAD", path: "/panic", as: "pro", status: 500},
		{name: "a streaming handler", path: "/stream", as: "pro", status: 200, want: `{"status":"success","data":[0,1,2,3,4,5,6,7,8,9]}`, headers: map[string]string{"Content-Type": "application/json", "Content-Length": ""}},
		{name: "a streaming handler, HEAD", method: "HEAD", path: "/stream", as: "pro", status: 200, headers: map[string]string{"Content-Type": "application/json"}},
		{name: "a body of 8 MiB", method: "POST", path: "/count", as: "pro", body: strings.Repeat("x", 8<<20), status: 200, want: `{"status":"success","data":{"bytes":8388608}}`},
		{name: "a body that is too large", method: "POST", path: "/api-keys", as: "pro", body: `{"name":"` + strings.Repeat("x", 8<<20) + `"}`, status: 413, want: refusal(413, "content_too_large", "The request body is too large.", "")},
		{name: "an Accept that nothing fits", path: "/hello", as: "bearer", fields: http.Header{"Accept": {"text/html"}}, status: 406, want: refusal(406, "not_acceptable", "None of the accepted media types can be produced.", `"detail":"Available: application/json.",`)},
		{name: "an Accept that refuses JSON, refused anyway", path: "/hello", fields: http.Header{"Accept": {"application/json;q=0"}}, status: 401, want: unauthorized},
		{name: "a key is made", method: "POST", path: "/api-keys", as: "pro", body: `{"name":"new"}`, status: 201,
			want: `{"status":"success","data":{"id":"ID","name":"new","key":"KEY","hint":"HINT","created_at":"TIME"}}`, headers: map[string]string{"Cache-Control": "no-store"}},
		{name: "a bad body", method: "POST", path: "/api-keys", as: "pro", body: `{"nam":"new"}`, status: 400,
			want: refusal(400, "invalid_request", "The request is malformed.", `"detail":"Send a JSON object such as {\"name\":\"my key\"}.",`)},
		{name: "keys are listed", path: "/api-keys", as: "noscope", status: 200, want: `{"status":"success","data":[{"id":"ID","name":"noscope","hint":"HINT","created_at":"TIME","last_used_at":"TIME"}]}`},
		{name: "a key that is not there", method: "DELETE", path: "/api-keys/key_none", as: "pro", status: 404, want: notFound},
		{name: "OPTIONS", method: "OPTIONS", path: "/hello", as: "pro", status: 405, want: notAllowed, headers: map[string]string{"Allow": "GET, HEAD"}},
		{name: "OPTIONS without a credential", method: "OPTIONS", path: "/hello", status: 401, want: unauthorized, headers: refused},
		{name: "a made-up method", method: "BREW", path: "/hello", as: "pro", status: 405, want: notAllowed},
		{name: "a trailing slash", path: "/hello/", as: "pro", status: 404, want: notFound},
		{name: "a trailing slash without a credential", path: "/hello/", status: 401, want: unauthorized},
		{name: "a handler's own error", path: "/odd?how=error", as: "jwt", status: 418, want: `{"type":"about:blank","title":"I'm a teapot","status":418,"detail":"no tea today","code":"im_a_teapot"}` + "\n", headers: map[string]string{"Content-Type": "application/problem+json", "Cache-Control": "no-store"}},
		{name: "a status and no body", path: "/odd?how=status", as: "jwt", status: 202, want: `{"status":"success","data":null}`},
		{name: "nothing at all", path: "/odd", as: "jwt", status: 200, want: `{"status":"success","data":null}`},
		{name: "a panic after a status", path: "/odd?how=late", as: "jwt", status: 500, want: refusal(500, "internal", "Something went wrong on the server.", "")},
		{name: "a malformed Basic", path: "/hello", fields: http.Header{"Authorization": {"Basic !!!"}}, status: 401, want: unauthorized, headers: refused},
		{name: "two Authorization fields", path: "/hello", fields: http.Header{"Authorization": {"Basic a", "Bearer b"}}, status: 400, want: refusal(400, "invalid_request", "The request is malformed.", `"detail":"Send one kind of credential, not several.",`)},
		{name: "a JWT with another signature", path: "/hello", fields: http.Header{"Authorization": {"Bearer eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.e30.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}, status: 401, want: unauthorized},
		{name: "a token mints a key that ends with it", method: "POST", path: "/api-keys", as: "jwt", body: `{"name":"short"}`, status: 201,
			want: `{"status":"success","data":{"id":"ID","name":"short","key":"KEY","hint":"HINT","created_at":"TIME","expires_at":"TIME"}}`},
	}
	for i := range 10 {
		all = append(all, row{name: fmt.Sprintf("free, request %d", i+1), path: "/hello", as: "free", status: 200, want: hello("free", "free", "apikey"), headers: map[string]string{
			"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": fmt.Sprint(9 - i), "RateLimit-Policy": policyFree, "RateLimit": fmt.Sprintf(`"hour";r=%d;t=WAIT, "day";r=%d;t=WAIT`, 9-i, 99-i)}})
	}
	return append(all, row{name: "free, request 11", path: "/hello", as: "free", status: 429,
		want:    `{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Too many requests.","status":429,"detail":"The quota of hour is used up.","code":"rate_limited","retry_after":WAIT,"limit":"hour","limiter":"api","quota":10,"reset":RESET,"violated-policies":["hour"]}` + "\n",
		headers: map[string]string{"Retry-After": "WAIT", "X-RateLimit-Remaining": "0", "Cache-Control": "no-store", "RateLimit": `"hour";r=0;t=WAIT, "day";r=90;t=WAIT`, "RateLimit-Policy": policyFree}})
}

// volatile are the parts of an answer that differ between runs, each with its
// grammar; nothing else is changed before comparing.
var (
	volatileHeaders = map[string]struct {
		grammar *regexp.Regexp
		name    string
	}{
		"X-Ratelimit-Reset": {regexp.MustCompile(`^1[0-9]{9}$|^[2-9][0-9]{9}$`), "RESET"},
		"Retry-After":       {regexp.MustCompile(`^[1-9][0-9]{0,3}$`), "WAIT"},
	}
	waits          = regexp.MustCompile(`;t=([1-9][0-9]{0,4})(,|$)`)
	volatileBodies = []struct{ pattern, name string }{
		{`"id":"key_[0-9A-Za-z]{20}"`, `"id":"ID"`},
		{`"key":"demo_[0-9A-Za-z]{36}"`, `"key":"KEY"`},
		{`"hint":"demo_[0-9A-Za-z]{8}"`, `"hint":"HINT"`},
		{`"(created_at|last_used_at|expires_at)":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"`, `"$1":"TIME"`},
		{`"retry_after":[1-9][0-9]{0,3},`, `"retry_after":WAIT,`},
		{`"reset":[12][0-9]{9},`, `"reset":RESET,`},
	}
)

// capture is an answer after normalising.
type capture struct {
	status int
	header http.Header
	body   string
	length int64 // -1: not said
	coding []string
	err    error
}

func normalise(t *testing.T, resp *http.Response) capture {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	c := capture{status: resp.StatusCode, header: maps.Clone(resp.Header), body: string(body), length: resp.ContentLength, coding: resp.TransferEncoding, err: err}
	if _, err := http.ParseTime(c.header.Get("Date")); err != nil {
		t.Errorf("Date: %v", err)
	}
	delete(c.header, "Date")
	for field, v := range volatileHeaders {
		if values := c.header[field]; values != nil {
			if len(values) != 1 || !v.grammar.MatchString(values[0]) {
				t.Errorf("%s: %q", field, values)
			}
			c.header[field] = []string{v.name}
		}
	}
	if quota := c.header["Ratelimit"]; quota != nil {
		c.header["Ratelimit"] = []string{waits.ReplaceAllString(quota[0], ";t=WAIT$2")}
	}
	for _, v := range volatileBodies {
		c.body = regexp.MustCompile(v.pattern).ReplaceAllString(c.body, v.name)
	}
	return c
}

func (p *program) capture(t *testing.T, tt row) capture {
	t.Helper()
	fields := http.Header{}
	if tt.as != "" {
		fields.Set(p.demo[tt.as][0], p.demo[tt.as][1])
	}
	maps.Copy(fields, tt.fields)
	method := tt.method
	if method == "" {
		method = http.MethodGet
	}
	return normalise(t, p.send(method, tt.path, fields, tt.body))
}

// The same request has the same answer behind net/http, gin and echo, to the
// byte, and it is the answer that stands here.
func TestThreeRoutersGiveOneAnswer(t *testing.T) {
	var running []*program
	for _, name := range programs {
		running = append(running, start(t, name, syscall.SIGTERM))
	}
	for _, tt := range rows() {
		t.Run(tt.name, func(t *testing.T) {
			var first capture
			for i, p := range running {
				got := p.capture(t, tt)
				if got.status != tt.status || (tt.method != http.MethodHead && got.body != tt.want) || (tt.method == http.MethodHead && got.body != "") {
					t.Errorf("%s: %d\n%s\nwant %d\n%s", programs[i], got.status, got.body, tt.status, tt.want)
				}
				for field, want := range tt.headers {
					if have := strings.Join(got.header.Values(field), ", "); have != want {
						t.Errorf("%s: %s: %q, want %q", programs[i], field, have, want)
					}
				}
				if got.err != nil {
					t.Errorf("%s: %v", programs[i], got.err)
				}
				if i == 0 {
					first = got
					continue
				}
				compare(t, programs[i], got, first)
			}
		})
	}
}

// compare reports every difference to the answer of the reference.
func compare(t *testing.T, name string, got, want capture) {
	t.Helper()
	if got.status != want.status || got.body != want.body || got.length != want.length || !slices.Equal(got.coding, want.coding) {
		t.Errorf("%s answers %d, length %d, %v\n%s\nand %s %d, length %d, %v\n%s", name, got.status, got.length, got.coding, got.body,
			programs[0], want.status, want.length, want.coding, want.body)
	}
	for _, field := range slices.Sorted(maps.Keys(merged(got.header, want.header))) {
		if !slices.Equal(got.header[field], want.header[field]) {
			t.Errorf("%s: %s: %q, and %q of %s", name, field, got.header[field], want.header[field], programs[0])
		}
	}
}

func merged(a, b http.Header) http.Header {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// A client that goes away while its request runs keeps its slot taken until the
// handler has ended, and then leaves nothing behind.
func TestAClientThatDisconnects(t *testing.T) {
	eachProgram(t, syscall.SIGTERM, func(t *testing.T, p *program) {
		ctx, cancel := context.WithCancel(t.Context())
		sent, slow := p.slowly(ctx, "/hello?sleep=9s", "free")
		<-sent
		until := time.Now().Add(8 * time.Second)
		for {
			resp := p.do("GET", "/hello", "free", "")
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode == 429 && bytes.Contains(body, []byte("concurrency_limited")) {
				break
			}
			if resp.StatusCode != 200 || time.Now().After(until) {
				t.Fatalf("the slow request never held the slot: %d %s", resp.StatusCode, body)
			}
			<-time.After(200 * time.Millisecond)
		}
		cancel()
		if got := <-slow; !errors.Is(got.err, context.Canceled) {
			t.Errorf("the client saw %+v", got)
		}
		for {
			resp := p.do("GET", "/hello", "free", "")
			if resp.StatusCode == 200 {
				return
			}
			var problem struct{ Code string }
			if err := json.NewDecoder(resp.Body).Decode(&problem); err != nil || problem.Code != "concurrency_limited" || time.Now().After(until) {
				t.Fatalf("after the disconnect: %d %+v, %v", resp.StatusCode, problem, err)
			}
			wait, err := strconv.Atoi(resp.Header.Get("Retry-After"))
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Duration(wait) * 200 * time.Millisecond)
		}
	})
}
