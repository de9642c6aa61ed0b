package envelope_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/envelope"
)

var styles = map[string]envelope.XMLStyle{
	"StatusData": envelope.StatusData{}, "SuccessMessageData": envelope.SuccessMessageData{},
	"SuccessError": envelope.SuccessError{}, "Problem": envelope.Problem{},
}

func TestWhatTheStylesSay(t *testing.T) {
	const xmlHead = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	hour := &keystile.Error{Code: keystile.CodeRateLimited, Detail: `Wait "5" <seconds>.`, RetryAfter: 5 * time.Second,
		Details: map[string]any{"limit": "hour", "a b": 1, "list": []int{1, 2}, "none": nil, "deep": map[string]any{"ok": true, "no": false, "n": 1.5}}}
	for _, tt := range []struct {
		name                  string
		style                 envelope.XMLStyle
		plain, full, failure  string
		plainXML, fullXML     string
		failureXML, typ, xtyp string
	}{
		{"StatusData", envelope.StatusData{},
			`{"status":"success","data":1}`,
			`{"status":"success","data":1,"message":"a \u003c\"b\"","pages":[1,2],"next":null}`,
			`{"status":"error","message":"Wait \"5\" \u003cseconds\u003e.","data":null}`,
			`<response><status>success</status><data><int>1</int></data></response>`,
			`<response><status>success</status><data><int>1</int></data><message>a &lt;"b"</message><pages>1</pages><pages>2</pages></response>`,
			`<response><status>error</status><message>Wait "5" &lt;seconds&gt;.</message><data></data></response>`, "application/json", "application/xml"},
		{"SuccessMessageData", envelope.SuccessMessageData{},
			`{"success":true,"message":"","data":1}`,
			`{"success":true,"message":"a \u003c\"b\"","data":1,"pages":[1,2],"next":null}`,
			`{"success":false,"message":"Wait \"5\" \u003cseconds\u003e.","data":[]}`,
			`<response><success>true</success><message></message><data><int>1</int></data></response>`,
			`<response><success>true</success><message>a &lt;"b"</message><data><int>1</int></data><pages>1</pages><pages>2</pages></response>`,
			`<response><success>false</success><message>Wait "5" &lt;seconds&gt;.</message><data></data></response>`, "application/json", "application/xml"},
		{"SuccessError", envelope.SuccessError{},
			`{"success":true,"data":1}`,
			`{"success":true,"data":1,"message":"a \u003c\"b\"","pages":[1,2],"next":null}`,
			`{"success":false,"error":{"code":"rate_limited","message":"Wait \"5\" \u003cseconds\u003e.","details":{"retry_after":5,"a b":1,"deep":{"n":1.5,"no":false,"ok":true},"limit":"hour","list":[1,2],"none":null}}}`,
			`<response><success>true</success><data><int>1</int></data></response>`,
			`<response><success>true</success><data><int>1</int></data><message>a &lt;"b"</message><pages>1</pages><pages>2</pages></response>`,
			`<response><success>false</success><error><code>rate_limited</code><message>Wait "5" &lt;seconds&gt;.</message><details><retry_after>5</retry_after><deep><n>1.5</n><no>false</no><ok>true</ok></deep><limit>hour</limit><list><i>1</i><i>2</i></list><none></none></details></error></response>`,
			"application/json", "application/xml"},
		{"Problem", envelope.Problem{}, `1`, `1`,
			`{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Too many requests.","status":429,"detail":"Wait \"5\" \u003cseconds\u003e.","code":"rate_limited","retry_after":5,"a b":1,"deep":{"n":1.5,"no":false,"ok":true},"limit":"hour","list":[1,2],"none":null}` + "\n",
			`<int>1</int>`, `<int>1</int>`,
			`<problem xmlns="urn:ietf:rfc:7807"><type>https://iana.org/assignments/http-problem-types#quota-exceeded</type><title>Too many requests.</title><status>429</status><detail>Wait "5" &lt;seconds&gt;.</detail><code>rate_limited</code><retry_after>5</retry_after><deep><n>1.5</n><no>false</no><ok>true</ok></deep><limit>hour</limit><list><i>1</i><i>2</i></list><none></none></problem>`,
			"application/problem+json", "application/problem+xml"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := newEnvelope(t, envelope.Config{Style: tt.style, Types: []string{"application/json", "application/xml"}})
			options := []envelope.Option{envelope.Message(`a <"b"`), envelope.Member("pages", []int{1, 2}), envelope.Member("next", (*int)(nil))}
			h := env.Wrap(handler(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/plain":
					envelope.Write(w, r, 200, 1)
				case "/full":
					envelope.Write(w, r, 200, 1, options...)
				default:
					keystile.RespondError(w, r, hour)
				}
			}))
			for _, c := range []struct{ path, accept, typ, body string }{
				{"/plain", "", "application/json", tt.plain}, {"/full", "", "application/json", tt.full}, {"/error", "", tt.typ, tt.failure},
				{"/plain", "application/xml", "application/xml", xmlHead + tt.plainXML}, {"/full", "application/xml", "application/xml", xmlHead + tt.fullXML},
				{"/error", "application/xml", tt.xtyp, xmlHead + tt.failureXML},
			} {
				r := get(c.path)
				r.Header.Set("Accept", c.accept)
				status := 200
				if c.path == "/error" {
					status = 429
				}
				g := both(t, h, r)
				check(t, g, status, fields{"Content-Type": c.typ, "Content-Length": fmt.Sprint(len(c.body)), "Vary": "Accept"}, c.body)
				if strings.HasSuffix(c.typ, "json") && !json.Valid([]byte(g.body)) || strings.HasSuffix(c.typ, "xml") && !wellFormed(g.body) {
					t.Errorf("%s %s is not well formed: %s", c.path, c.typ, g.body)
				}
			}
		})
	}
}

func wellFormed(text string) bool {
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); err != nil {
			return err == io.EOF
		}
	}
}

// Errors under Problem are what the root writes, to the byte.
func TestProblemIsWhatTheRootWrites(t *testing.T) {
	env := newEnvelope(t, envelope.Config{Style: envelope.Problem{}})
	for _, e := range []*keystile.Error{
		{Code: keystile.CodeUnauthorized}, {Code: keystile.CodeNotFound, Detail: "é <x>"}, {Code: "own", Status: 402},
		{Code: keystile.CodeRateLimited, RetryAfter: time.Second, Details: map[string]any{"b": 1, "a": "x"}, Header: http.Header{"X-Own": {"1"}}},
		{Code: keystile.CodeUnavailable, Type: keystile.ProblemCapacity},
	} {
		bare, enveloped := over(t, failing(e), get("/")), over(t, env.Wrap(failing(e)), get("/"))
		bare.header.Del("Date")
		enveloped.header.Del("Date")
		if bare.String() != enveloped.String() {
			t.Errorf("%v\nwithout the envelope\n%v", enveloped, bare)
		}
	}
	check(t, record(env.Wrap(answering(400, "application/problem+json", `{"mine":true}`)), get("/")), 400, fields{"Content-Type": "application/problem+json"}, `{"mine":true}`)
	check(t, record(env.Wrap(handler(http.NotFound)), get("/")), 404, fields{"Content-Type": "application/problem+json"},
		`{"type":"https://github.com/keystile/keystile/blob/main/docs/problems.md#not_found","title":"There is nothing at this address.","status":404,"code":"not_found"}`+"\n")
	check(t, both(t, env.Wrap(writing(isJSON, "{}{}")), get("/")), 200, fields{"Content-Type": isJSON}, "{}{}") // in no frame nothing can be forged
}

func TestDetailsOfSuccessError(t *testing.T) {
	for _, tt := range []struct {
		name    string
		details func(*keystile.Error) any
		want    string
	}{
		{"a struct keeps its order", func(e *keystile.Error) any {
			return struct {
				Z int `json:"z"`
				A int `json:"a"`
			}{1, 2}
		}, `,"details":{"z":1,"a":2}`},
		{"nil leaves the member out", func(*keystile.Error) any { return nil }, ""},
		{"and so does what has no JSON form", func(*keystile.Error) any { return func() {} }, ""},
	} {
		env := newEnvelope(t, envelope.Config{Style: envelope.SuccessError{Details: tt.details}})
		check(t, record(env.Wrap(failing(&keystile.Error{Code: "c", Status: 400, Detail: "d"})), get("/")), 400, fields{},
			`{"success":false,"error":{"code":"c","message":"d"`+tt.want+`}}`)
	}
}

// R43: the media type is what it says, for every code and every style, and no
// cause is told.
func TestEveryCodeInEveryStyle(t *testing.T) {
	for name, style := range styles {
		for _, code := range []keystile.Code{
			keystile.CodeUnauthorized, keystile.CodeKeyRevoked, keystile.CodeKeyExpired, keystile.CodeKeyDisabled, keystile.CodeInvalidRequest,
			keystile.CodeInsufficientPermissions, keystile.CodeIPNotAllowed, keystile.CodeEndpointNotAllowed, keystile.CodeRateLimited,
			keystile.CodeConcurrencyLimited, keystile.CodeCostExceedsLimit, keystile.CodeNotFound, keystile.CodeMethodNotAllowed, keystile.CodeNotAcceptable,
			keystile.CodeContentTooLarge, keystile.CodeUnsupportedMediaType, keystile.CodeInternal, keystile.CodeOverloaded, keystile.CodeUnavailable,
		} {
			env := newEnvelope(t, envelope.Config{Style: style, Types: []string{"application/json", "application/xml"}})
			for _, accept := range []string{"", "application/xml", "text/html;q=1, */*;q=0"} {
				r := get("/")
				r.Header.Set("Accept", accept)
				g := record(env.Wrap(failing(&keystile.Error{Code: code, Err: io.ErrUnexpectedEOF})), r)
				valid := json.Valid([]byte(g.body))
				if accept == "application/xml" {
					valid = wellFormed(g.body)
				}
				if g.status != code.Status() || !valid || strings.Contains(g.body, "EOF") || !strings.Contains(g.body, code.Sentence()) {
					t.Errorf("%s %s %q: %v", name, code, accept, g) // R44: the status is right whatever the client accepts
				}
			}
		}
	}
}

func TestForeignErrorOfEveryStyle(t *testing.T) {
	for name, style := range styles {
		e := style.ForeignError(409, "text/plain", []byte("taken\n"))
		if e == nil || e.Code != "conflict" || e.StatusCode() != 409 || envelope.Text(e) != "taken" {
			t.Errorf("%s: %+v", name, e)
		}
	}
	for status := 400; status < 600; status++ {
		e := envelope.ForeignError(status, "", nil)
		if e.StatusCode() != status || e.Code == "" || strings.ContainsAny(string(e.Code), " '-") || e.Code.Sentence() != "" && e.Code.Status() != status {
			t.Errorf("%d: %+v", status, e)
		}
	}
}
