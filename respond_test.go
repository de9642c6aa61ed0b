package keystile_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile"
)

var codes = []struct {
	code   keystile.Code
	status int
}{
	{keystile.CodeUnauthorized, 401}, {keystile.CodeKeyRevoked, 401}, {keystile.CodeKeyExpired, 401}, {keystile.CodeKeyDisabled, 401},
	{keystile.CodeInvalidRequest, 400}, {keystile.CodeInsufficientPermissions, 403}, {keystile.CodeIPNotAllowed, 403},
	{keystile.CodeEndpointNotAllowed, 403}, {keystile.CodeRateLimited, 429}, {keystile.CodeConcurrencyLimited, 429},
	{keystile.CodeCostExceedsLimit, 400}, {keystile.CodeNotFound, 404}, {keystile.CodeMethodNotAllowed, 405},
	{keystile.CodeNotAcceptable, 406}, {keystile.CodeUnsupportedMediaType, 415}, {keystile.CodeContentTooLarge, 413},
	{keystile.CodeOverloaded, 503}, {keystile.CodeUnavailable, 503}, {keystile.CodeInternal, 500},
}

func respond(err error) *http.Response {
	return get(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { keystile.RespondError(w, r, err) }))
}

func TestEveryCodeHasOneAnswer(t *testing.T) {
	documented, err := os.ReadFile("docs/problems.md")
	if err != nil {
		t.Fatal(err)
	}
	sentences := map[string]keystile.Code{}
	for _, tt := range codes {
		resp := respond(&keystile.Error{Code: tt.code, Err: errors.New("the operator's business")})
		body := problem(t, resp)
		if resp.StatusCode != tt.status || body["status"] != float64(tt.status) {
			t.Errorf("%s: status %d, body %v, want %d", tt.code, resp.StatusCode, body["status"], tt.status)
		}
		title, _ := body["title"].(string)
		if other, taken := sentences[title]; taken || title == "" {
			t.Errorf("%s: title %q is that of %q too", tt.code, title, other)
		}
		sentences[title] = tt.code
		if body["code"] != string(tt.code) || strings.Contains(fmt.Sprint(body), "operator") {
			t.Errorf("%s: body %v", tt.code, body)
		}
		if tt.status != 429 && body["type"] != "https://github.com/keystile/keystile/blob/main/docs/problems.md#"+string(tt.code) {
			t.Errorf("%s: type %v", tt.code, body["type"])
		}
		if !bytes.Contains(documented, []byte("\n## "+string(tt.code)+"\n")) {
			t.Errorf("docs/problems.md has no section %q, which the type points at", tt.code)
		}
		if !bytes.Contains(documented, []byte(tt.code.Sentence())) {
			t.Errorf("docs/problems.md does not quote the sentence of %s", tt.code)
		}
		// RFC 6750 section 3.1: the characters of error_description.
		for _, c := range tt.code.Sentence() {
			if c < ' ' || c > '~' || c == '"' || c == '\\' {
				t.Errorf("%s: the sentence has %q, which a challenge cannot carry", tt.code, c)
			}
		}
		if !errors.Is(fmt.Errorf("wrapped: %w", &keystile.Error{Code: tt.code}), tt.code) || errors.Is(&keystile.Error{Code: tt.code}, keystile.Code("other")) {
			t.Errorf("%s is not its own sentinel", tt.code)
		}
	}
	if got := bytes.Count(documented, []byte("\n## ")); got != len(codes) {
		t.Errorf("docs/problems.md has %d sections for %d codes", got, len(codes))
	}
}

func TestRespondErrorBodies(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		status int
		want   string
	}{
		{"an unknown error tells nothing", io.ErrUnexpectedEOF, 500,
			`{"type":"https://github.com/keystile/keystile/blob/main/docs/problems.md#internal","title":"Something went wrong on the server.","status":500,"code":"internal"}`},
		{"a nil error is a wiring mistake", nil, 500,
			`{"type":"https://github.com/keystile/keystile/blob/main/docs/problems.md#internal","title":"Something went wrong on the server.","status":500,"code":"internal"}`},
		{"a wrapped error keeps its code", fmt.Errorf("handler: %w", &keystile.Error{Code: keystile.CodeNotFound}), 404,
			`{"type":"https://github.com/keystile/keystile/blob/main/docs/problems.md#not_found","title":"There is nothing at this address.","status":404,"code":"not_found"}`},
		{"a wait is in the body as in the header", &keystile.Error{Code: keystile.CodeRateLimited, RetryAfter: 1001 * time.Millisecond}, 429,
			`{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Too many requests.","status":429,"code":"rate_limited","retry_after":2}`},
		{"a code of the service's own has the name of its status", &keystile.Error{Code: "insufficient_credits", Status: 402, Detail: "Buy <more>."}, 402,
			`{"type":"about:blank","title":"Payment Required","status":402,"detail":"Buy \u003cmore\u003e.","code":"insufficient_credits"}`},
		{"a type of its own", &keystile.Error{Code: keystile.CodeUnavailable, Type: keystile.ProblemCapacity}, 503,
			`{"type":"https://iana.org/assignments/http-problem-types#temporary-reduced-capacity","title":"The service is temporarily unavailable. Try again later.","status":503,"code":"unavailable"}`},
		{"details are sorted, replace nothing and may fail to encode", &keystile.Error{Code: keystile.CodeNotFound, Details: map[string]any{"z": 1, "a\"": []string{"é\n"}, "status": 200, "bad": func() {}}}, 404,
			`{"type":"https://github.com/keystile/keystile/blob/main/docs/problems.md#not_found","title":"There is nothing at this address.","status":404,"code":"not_found","a\"":["é\n"],"z":1}`},
	}
	for _, tt := range tests {
		resp := respond(tt.err)
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != tt.status || string(body) != tt.want+"\n" {
			t.Errorf("%s: %d\n%s\nwant %d\n%s", tt.name, resp.StatusCode, body, tt.status, tt.want)
		}
		if !json.Valid(body) {
			t.Errorf("%s: not JSON", tt.name)
		}
		if got := resp.Header.Get("Content-Length"); got != fmt.Sprint(len(body)) {
			t.Errorf("%s: Content-Length %s for %d bytes", tt.name, got, len(body))
		}
	}
}

func TestErrorAnswersCarryNothingOfTheHandlersBody(t *testing.T) {
	resp := get(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Encoding", "gzip")
		h.Set("ETag", `"x"`)
		h.Set("Content-Length", "3")
		h.Set("Cache-Control", "public")
		h.Set("X-Request-Id", "7")
		keystile.RespondError(w, r, &keystile.Error{Code: keystile.CodeNotFound, Header: http.Header{"X-More": {"a", "b"}}})
	}))
	for name, want := range map[string]string{
		"Content-Encoding": "[]", "Etag": "[]", "Cache-Control": "[no-store]", "X-Request-Id": "[7]", "X-More": "[a b]",
		"X-Content-Type-Options": "[nosniff]",
	} {
		if got := fmt.Sprint(resp.Header[name]); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestHeadIsAnsweredLikeGetWithoutABody(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keystile.RespondError(w, r, &keystile.Error{Code: keystile.CodeKeyExpired})
	})
	head, full := serve(h, httptest.NewRequest("HEAD", "/", nil)), get(h)
	if body, _ := io.ReadAll(head.Body); len(body) != 0 {
		t.Errorf("HEAD has the body %q", body)
	}
	if fmt.Sprint(head.Header) != fmt.Sprint(full.Header) || head.StatusCode != full.StatusCode {
		t.Errorf("HEAD %d %v, GET %d %v", head.StatusCode, head.Header, full.StatusCode, full.Header)
	}
}

func TestAnAcceptThatRefusesJSONStillGetsTheStatus(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept", "text/html;q=1, */*;q=0")
	resp := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keystile.RespondError(w, r, &keystile.Error{Code: keystile.CodeKeyRevoked})
	}), r)
	if resp.StatusCode != 401 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// house answers in plain text and with a status of its own.
type house struct{}

func (house) RespondError(w http.ResponseWriter, _ *http.Request, e *keystile.Error) {
	w.Header().Del("WWW-Authenticate")
	w.WriteHeader(http.StatusForbidden)
	_, _ = fmt.Fprintf(w, "no: %s, %s", e.Code, w.Header().Get("Cache-Control"))
}

func TestAResponderFurtherOutShapesTheAnswer(t *testing.T) {
	g := newGuard(t, keystile.GuardConfig{Authenticator: &scripted{err: &keystile.Error{Code: keystile.CodeUnauthorized}, challenges: []string{"X"}}})
	r := httptest.NewRequest("GET", "/", nil)
	r = r.WithContext(keystile.WithResponder(r.Context(), house{}))
	resp := serve(g.Wrap(whoami), r)
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 403 || string(body) != "no: unauthorized, no-store" || resp.Header["Www-Authenticate"] != nil {
		t.Errorf("%d %s %v", resp.StatusCode, body, resp.Header)
	}
}

func TestRefusalsAreCheap(t *testing.T) {
	refusal := &keystile.Error{Code: keystile.CodeUnauthorized}
	h := newGuard(t, keystile.GuardConfig{Authenticator: &scripted{err: refusal, challenges: []string{"ApiKey"}}}).Wrap(whoami)
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	w.Body = nil
	header := w.Header()
	if n := testing.AllocsPerRun(200, func() { clear(header); h.ServeHTTP(w, r) }); n > 4 {
		t.Errorf("%v allocations, want at most 4", n)
	}
}

func TestErrorTexts(t *testing.T) {
	for _, tt := range []struct {
		err  *keystile.Error
		want string
	}{
		{&keystile.Error{Code: keystile.CodeKeyExpired}, "keystile: key_expired"},
		{&keystile.Error{Code: keystile.CodeKeyExpired, Detail: "since noon"}, "keystile: key_expired: since noon"},
		{&keystile.Error{Code: keystile.CodeKeyExpired, Detail: "x", Err: io.EOF}, "keystile: key_expired: EOF"},
		{keystile.Unavailable(io.EOF), "keystile: unavailable: EOF"},
		{keystile.NoCredentials("basic"), "keystile: unauthorized: keystile: no credentials"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestBearerChallenge(t *testing.T) {
	bearer := keystile.SchemeBearer
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"no credential sent: no error attribute", keystile.NoCredentials(bearer), "Bearer"},
		{"another scheme was refused", &keystile.Error{Code: keystile.CodeUnauthorized, Scheme: keystile.SchemeAPIKey}, "Bearer"},
		{"not an error of ours", io.EOF, "Bearer"},
		{"a refused token", &keystile.Error{Code: keystile.CodeKeyExpired, Scheme: bearer}, `Bearer error="invalid_token", error_description="The key has expired."`},
		{"a refused JWT", &keystile.Error{Code: keystile.CodeUnauthorized, Scheme: keystile.SchemeJWT}, `Bearer error="invalid_token", error_description="Valid credentials are required."`},
		{"broken grammar", &keystile.Error{Code: keystile.CodeInvalidRequest, Scheme: bearer}, `Bearer error="invalid_request", error_description="The request is malformed."`},
		{"a 400 that is not about the token", &keystile.Error{Code: keystile.CodeInvalidRequest}, ""},
		{"a scope is missing", &keystile.Error{Code: keystile.CodeInsufficientPermissions, Scheme: bearer, Details: map[string]any{"required_scopes": []string{"a", "b"}}}, `Bearer error="insufficient_scope", error_description="The credentials lack a required permission.", scope="a b"`},
		{"a scope that the grammar cannot say", &keystile.Error{Code: keystile.CodeInsufficientPermissions, Scheme: bearer, Details: map[string]any{"required_scopes": []string{"Read Bots"}}}, `Bearer error="insufficient_scope", error_description="The credentials lack a required permission."`},
		{"the scope of a key in a header of its own", &keystile.Error{Code: keystile.CodeInsufficientPermissions, Scheme: keystile.SchemeAPIKey}, ""},
		{"another 403", &keystile.Error{Code: keystile.CodeIPNotAllowed, Scheme: bearer}, ""},
		{"a limit", &keystile.Error{Code: keystile.CodeRateLimited, Scheme: bearer}, ""},
	}
	for _, tt := range tests {
		if got := keystile.BearerChallenge(tt.err); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
