package examples_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// programs are the service of quickstart behind three routers.
var programs = []string{"quickstart", "gin", "echo"}

// eachProgram runs a test against each of them.
func eachProgram(t *testing.T, end os.Signal, test func(t *testing.T, p *program)) {
	for _, name := range programs {
		t.Run(name, func(t *testing.T) { test(t, start(t, name, end)) })
	}
}

type problem struct {
	Title         string   `json:"title"`
	Status        int      `json:"status"`
	Code          string   `json:"code"`
	Detail        string   `json:"detail"`
	RetryAfter    int      `json:"retry_after"`
	Limit         string   `json:"limit"`
	Quota         int      `json:"quota"`
	Reset         int64    `json:"reset"`
	MissingScopes []string `json:"missing_scopes"`
	Violated      []string `json:"violated-policies"`
}

func wantProblem(t *testing.T, what string, resp *http.Response, status int, code string) problem {
	t.Helper()
	if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("%s: Content-Type %q", what, got)
	}
	if got := resp.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("%s: Cache-Control %q", what, got)
	}
	p := decode[problem](t, resp)
	if resp.StatusCode != status || p.Status != status || p.Code != code {
		t.Errorf("%s: %d %+v, want %d %s", what, resp.StatusCode, p, status, code)
	}
	challenges := resp.Header.Values("WWW-Authenticate")
	if status == 401 && (len(challenges) != 3 || challenges[0] != `ApiKey realm="quickstart"` || !strings.HasPrefix(challenges[1], `Bearer realm="quickstart"`) || challenges[2] != `Basic realm="quickstart", charset="UTF-8"`) {
		t.Errorf("%s: challenges %q", what, challenges)
	}
	return p
}

func TestEachCredentialAnswersAsItsNameSays(t *testing.T) {
	eachProgram(t, syscall.SIGTERM, eachCredentialAnswersAsItsNameSays)
}

func eachCredentialAnswersAsItsNameSays(t *testing.T, p *program) {
	type greeting struct {
		Status string
		Data   struct{ Message, Account, Plan, Scheme string }
	}
	for _, tt := range []struct{ name, plan, scheme string }{
		{"free", "free", "apikey"}, {"pro", "pro", "apikey"}, {"noscope", "pro", "apikey"}, {"bearer", "pro", "bearer"}, {"jwt", "pro", "jwt"}, {"basic", "pro", "basic"},
	} {
		resp := p.do("GET", "/hello", tt.name, "")
		g := decode[greeting](t, resp)
		if resp.StatusCode != 200 || g.Status != "success" || g.Data.Message == "" || g.Data.Account != tt.name || g.Data.Plan != tt.plan || g.Data.Scheme != tt.scheme {
			t.Errorf("%s: %d %+v", tt.name, resp.StatusCode, g)
		}
	}
	wantProblem(t, "expired", p.do("GET", "/hello", "expired", ""), 401, "key_expired")
	wantProblem(t, "revoked", p.do("GET", "/hello", "revoked", ""), 401, "key_revoked")
	if got := wantProblem(t, "noscope", p.do("GET", "/contacts", "noscope", ""), 403, "insufficient_permissions"); fmt.Sprint(got.MissingScopes) != "[contacts:read]" || !strings.Contains(got.Detail, "contacts:read") {
		t.Errorf("noscope: %+v", got)
	}
	for _, name := range []string{"pro", "bearer", "jwt", "basic"} {
		if got := p.do("GET", "/contacts", name, "").StatusCode; got != 200 {
			t.Errorf("%s on /contacts: %d", name, got)
		}
	}

	good := p.demo["pro"][1]
	wrong := good[:len(good)-1] + map[bool]string{true: "1", false: "0"}[strings.HasSuffix(good, "0")]
	for what, fields := range map[string]http.Header{
		"no key":              {},
		"an empty key":        {"X-Api-Key": {""}},
		"a wrong key":         {"X-Api-Key": {wrong}},
		"a garbage key":       {"X-Api-Key": {"garbage \xff\xfe"}},
		"a long key":          {"X-Api-Key": {strings.Repeat("demo_", 2000)}},
		"a wrong password":    {"Authorization": {"Basic YWRhOndyb25n"}},
		"an unknown user":     {"Authorization": {"Basic dXNlcjpwYXNz"}},
		"another scheme":      {"Authorization": {"Digest x=y"}},
		"a key as parameter":  {"X-Other": {good}},
		"another letter case": {"X-Api-Key": {strings.ToUpper(good)}},
	} {
		got := wantProblem(t, what, p.send("GET", "/hello", fields, ""), 401, "unauthorized")
		if strings.Contains(fmt.Sprint(got), "demo_") {
			t.Errorf("%s: the answer repeats the key: %+v", what, got)
		}
	}
	wantProblem(t, "the header twice", p.send("GET", "/hello", http.Header{"X-Api-Key": {good, good}}, ""), 400, "invalid_request")
	wantProblem(t, "two different keys", p.send("GET", "/hello", http.Header{"X-Api-Key": {good}, "Authorization": {p.demo["bearer"][1]}}, ""), 400, "invalid_request")
	if got := p.send("GET", "/hello", http.Header{"Authorization": {"bearer   " + p.demo["bearer"][1][len("Bearer "):]}}, "").StatusCode; got != 200 {
		t.Errorf("another spelling of Bearer: %d", got)
	}
	if resp := p.send("GET", "/hello", http.Header{"Authorization": {"Bearer " + wrong}}, ""); resp.Header.Values("WWW-Authenticate")[1] != `Bearer realm="quickstart", error="invalid_token", error_description="Valid credentials are required."` {
		t.Errorf("a wrong Bearer key: %q", resp.Header.Values("WWW-Authenticate"))
	}
	wantProblem(t, "no such route", p.do("GET", "/nowhere", "pro", ""), 404, "not_found")
	wantProblem(t, "no such route, no key", p.do("GET", "/nowhere", "", ""), 401, "unauthorized")
	if resp := p.do("PUT", "/hello", "pro", ""); resp.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("PUT: %d, Allow %q", resp.StatusCode, resp.Header.Get("Allow"))
	}
}

func TestTheFreePlan(t *testing.T) { eachProgram(t, syscall.SIGINT, theFreePlan) }

func theFreePlan(t *testing.T, p *program) {
	sent, slow := p.slowly(t.Context(), "/hello?sleep=3s", "free")
	<-sent
	var refused *http.Response
	charged := 1 // the slow one
	for refused == nil {
		resp := p.do("GET", "/hello", "free", "")
		if resp.StatusCode == 429 {
			refused = resp
		} else if charged++; charged > 5 {
			t.Fatal("the slow request never held the slot")
		} else {
			<-time.After(100 * time.Millisecond) // sent, but not there yet
		}
	}
	if got := wantProblem(t, "a second at once", refused, 429, "concurrency_limited"); got.RetryAfter != 1 || refused.Header.Get("Retry-After") != "1" || got.Limit != "concurrent" {
		t.Errorf("a second at once: %+v", got)
	}
	if got := <-slow; got.status != 200 {
		t.Fatalf("the slow request: %+v", got)
	}

	quotas := regexp.MustCompile(`^"hour";r=(\d+);t=(\d+), "day";r=(\d+);t=(\d+)$`)
	number := func(s string) int { n, _ := strconv.Atoi(s); return n }
	for ; charged < 10; charged++ {
		resp := p.do("GET", "/hello", "free", "")
		m := quotas.FindStringSubmatch(resp.Header.Get("RateLimit"))
		if resp.StatusCode != 200 || m == nil || number(m[1]) != 9-charged || number(m[3]) != 99-charged || resp.Header.Get("X-RateLimit-Remaining") != m[1] {
			t.Fatalf("request %d: %d %v", charged+1, resp.StatusCode, resp.Header)
		}
	}
	for range 3 {
		resp := p.do("GET", "/hello", "free", "")
		got := wantProblem(t, "the 11th", resp, 429, "rate_limited")
		m := quotas.FindStringSubmatch(resp.Header.Get("RateLimit"))
		wait := number(resp.Header.Get("Retry-After"))
		if m == nil || m[1] != "0" || m[3] != "90" || number(m[2]) != wait || wait < 1 || wait > 3600 || got.RetryAfter != wait {
			t.Errorf("RateLimit %q, Retry-After %d, body %+v", resp.Header.Get("RateLimit"), wait, got)
		}
		if resp.Header.Get("RateLimit-Policy") != `"hour";q=10;w=3600, "day";q=100;w=86400, "concurrent";q=1;qu="concurrent-requests"` {
			t.Errorf("RateLimit-Policy %q", resp.Header.Get("RateLimit-Policy"))
		}
		reset, _ := strconv.ParseInt(resp.Header.Get("X-RateLimit-Reset"), 10, 64)
		if resp.Header.Get("X-RateLimit-Limit") != "10" || resp.Header.Get("X-RateLimit-Remaining") != "0" || got.Quota != 10 || got.Limit != "hour" ||
			got.Reset != reset || time.Until(time.Unix(reset, 0)) > time.Hour+time.Second || fmt.Sprint(got.Violated) != "[hour]" {
			t.Errorf("fields %v, body %+v", resp.Header, got)
		}
	}
	if got := p.do("GET", "/hello", "pro", "").StatusCode; got != 200 {
		t.Errorf("another account: %d", got)
	}
}

func TestKeysAreManagedByTheirAccount(t *testing.T) {
	eachProgram(t, syscall.SIGTERM, keysAreManagedByTheirAccount)
}

func keysAreManagedByTheirAccount(t *testing.T, p *program) {
	type key struct {
		ID, Name, Key, Hint string
		CreatedAt           time.Time `json:"created_at"`
	}
	type one struct{ Data key }
	type many struct{ Data []key }

	resp := p.do("POST", "/api-keys", "pro", `{"name":"from the test"}`)
	made := decode[one](t, resp).Data
	if resp.StatusCode != 201 || made.ID == "" || made.Name != "from the test" || !strings.HasPrefix(made.Key, "demo_") || made.Hint == "" ||
		!strings.HasPrefix(made.Key, made.Hint) || made.CreatedAt.IsZero() || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %+v", resp.StatusCode, made)
	}
	with := http.Header{"X-Api-Key": {made.Key}}
	if got := p.send("GET", "/contacts", with, "").StatusCode; got != 200 {
		t.Errorf("the new key, at once: %d", got)
	}
	resp = p.do("GET", "/api-keys", "pro", "")
	body, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(body), made.ID) || !strings.Contains(string(body), made.Hint) || strings.Contains(string(body), made.Key) {
		t.Errorf("the list: %s, %v", body, err)
	}
	if got := decode[many](t, p.do("GET", "/api-keys", "noscope", "")).Data; len(got) != 1 {
		t.Errorf("another account lists %+v", got)
	}
	if got := wantProblem(t, "another account's key", p.do("DELETE", "/api-keys/"+made.ID, "noscope", ""), 404, "not_found"); got.Detail != "" {
		t.Errorf("%+v", got)
	}
	wantProblem(t, "no such key", p.do("DELETE", "/api-keys/key_none", "noscope", ""), 404, "not_found")
	if got := p.do("DELETE", "/api-keys/"+made.ID, "pro", "").StatusCode; got != 204 {
		t.Errorf("DELETE: %d", got)
	}
	wantProblem(t, "the very next request", p.send("GET", "/hello", with, ""), 401, "unauthorized")
	wantProblem(t, "deleted twice", p.do("DELETE", "/api-keys/"+made.ID, "pro", ""), 404, "not_found")

	// A key never mints one that can do more than itself.
	made = decode[one](t, p.do("POST", "/api-keys", "noscope", `{"name":"x"}`)).Data
	wantProblem(t, "a key of noscope", p.send("GET", "/contacts", http.Header{"X-Api-Key": {made.Key}}, ""), 403, "insufficient_permissions")

	for what, body := range map[string]string{
		"no body": "", "no object": "7", "no name": "{}", "a blank name": `{"name":" "}`, "another's account": `{"name":"x","account":"pro"}`,
		"a name that is none": `{"name":7}`, "a long name": `{"name":"` + strings.Repeat("x", 101) + `"}`,
	} {
		wantProblem(t, what, p.do("POST", "/api-keys", "noscope", body), 400, "invalid_request")
	}
	wantProblem(t, "a huge body", p.do("POST", "/api-keys", "noscope", `{"name":"`+strings.Repeat("x", 1<<20)+`"}`), 413, "content_too_large")
}
