package envelope_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/envelope"
)

// Four services' answers to the byte: what a style or a Map could not say would
// be a hole in this package.

func TestWhatomate(t *testing.T) {
	env := newEnvelope(t, envelope.Config{Style: envelope.StatusData{}, Map: func(_ *http.Request, e keystile.Error) keystile.Error {
		e.Header["Www-Authenticate"] = nil
		switch {
		case e.Code == keystile.CodeUnauthorized && errors.Is(e.Err, keystile.ErrNoCredentials):
			e.Detail = "Missing authorization header"
		case e.StatusCode() == 401 && e.Scheme == keystile.SchemeJWT:
			e.Detail = "Invalid or expired token"
		case e.StatusCode() == 401:
			e.Detail = "Invalid API key"
		case e.Code == keystile.CodeInsufficientPermissions:
			e.Detail = "Insufficient permissions"
		case e.Code == keystile.CodeRateLimited:
			e.Detail = "Too many requests. Please try again later."
		}
		return e
	}})
	said := func(message string) string { return `{"status":"error","message":"` + message + `","data":null}` }
	for _, tt := range []struct {
		name    string
		handler handler
		status  int
		body    string
	}{
		{"no credentials", failing(keystile.NoCredentials(keystile.SchemeAPIKey)), 401, said("Missing authorization header")},
		{"a bad key", failing(&keystile.Error{Code: keystile.CodeKeyExpired, Scheme: keystile.SchemeAPIKey}), 401, said("Invalid API key")},
		{"a bad token", failing(&keystile.Error{Code: keystile.CodeUnauthorized, Scheme: keystile.SchemeJWT}), 401, said("Invalid or expired token")},
		{"a scope is missing", failing(&keystile.Error{Code: keystile.CodeInsufficientPermissions, Detail: "Missing scopes: x."}), 403, said("Insufficient permissions")},
		{"over the limit", failing(&keystile.Error{Code: keystile.CodeRateLimited, RetryAfter: time.Minute}), 429, said("Too many requests. Please try again later.")},
		{"a bad name", answering(400, "text/plain", "Name is required"), 400, said("Name is required")},
		{"an unknown key", answering(404, "text/plain", "API key not found\n"), 404, said("API key not found")},
		{"no keys", writing(isJSON, "[]\n"), 200, `{"status":"success","data":[]}`},
		{"deleted", writing(isJSON, `{"message":"API key deleted successfully"}`+"\n"), 200, `{"status":"success","data":{"message":"API key deleted successfully"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			check(t, both(t, env.Wrap(tt.handler), get("/")), tt.status, fields{"Content-Type": isJSON, "WWW-Authenticate": ""}, tt.body)
		})
	}
}

func TestWhispertrades(t *testing.T) {
	env := newEnvelope(t, envelope.Config{Style: envelope.SuccessMessageData{}, Map: func(_ *http.Request, e keystile.Error) keystile.Error {
		switch e.StatusCode() {
		case 401:
			e.Detail = "Not authenticated"
		case 403:
			e.Detail = "Invalid token permissions"
		case 429:
			e.Detail = "Too Many Attempts."
		}
		return e
	}})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/bots", writing(isJSON, `[{"number":"A1"}]`))
	mux.HandleFunc("GET /v1/bots/orders", func(w http.ResponseWriter, r *http.Request) {
		envelope.Write(w, r, 200, []int{3, 2, 1}, envelope.Member("pages", []int{1, 2}))
	})
	mux.HandleFunc("GET /v1/none", func(w http.ResponseWriter, r *http.Request) {
		envelope.Write(w, r, 200, []int{}, envelope.Member("pages", []int{}))
	})
	for path, h := range map[string]handler{
		"401": failing(keystile.NoCredentials(keystile.SchemeBearer)), "403": failing(&keystile.Error{Code: keystile.CodeInsufficientPermissions, Detail: "x"}),
		"429": failing(&keystile.Error{Code: keystile.CodeRateLimited, RetryAfter: time.Second}), "500": func(http.ResponseWriter, *http.Request) { panic("x") },
	} {
		mux.HandleFunc("GET /v1/"+path, h)
	}
	h := keystile.Routes(mux, env.Wrap)
	said := func(message string) string { return `{"success":false,"message":"` + message + `","data":[]}` }
	for _, tt := range []struct {
		path   string
		status int
		body   string
	}{
		{"/v1/bots", 200, `{"success":true,"message":"","data":[{"number":"A1"}]}`},
		{"/v1/bots/orders", 200, `{"success":true,"message":"","data":[3,2,1],"pages":[1,2]}`},
		{"/v1/none", 200, `{"success":true,"message":"","data":[],"pages":[]}`},
		{"/v1/401", 401, said("Not authenticated")},
		{"/v1/403", 403, said("Invalid token permissions")},
		{"/v1/429", 429, said("Too Many Attempts.")},
		{"/v1/500", 500, said("Something went wrong on the server.")},
		{"/v1/nowhere", 404, said("There is nothing at this address.")},
	} {
		t.Run(tt.path, func(t *testing.T) {
			check(t, both(t, h, get(tt.path)), tt.status, fields{"Content-Type": isJSON}, tt.body)
		})
	}
	check(t, both(t, h, httptest.NewRequest("DELETE", "/v1/bots", nil)), 405, fields{"Allow": "GET, HEAD"}, said("The method is not allowed at this address."))
}

func TestWhizoAI(t *testing.T) {
	type wait struct {
		RetryAfter int64  `json:"retryAfter"`
		Limit      any    `json:"limit"`
		Remaining  int    `json:"remaining"`
		ResetTime  string `json:"resetTime"`
	}
	env := newEnvelope(t, envelope.Config{
		Style: envelope.SuccessError{Details: func(e *keystile.Error) any {
			if e.Code != keystile.CodeRateLimited {
				return e.Details
			}
			reset, _ := e.Details["reset"].(int64)
			return wait{int64(e.RetryAfter / time.Second), e.Details["quota"], 0, time.Unix(reset, 0).UTC().Format(time.RFC3339)}
		}},
		Map: func(_ *http.Request, e keystile.Error) keystile.Error {
			switch e.Code {
			case keystile.CodeUnauthorized:
				e.Detail = "Invalid API key provided"
				e.Details["hint"] = "Check your API key in the dashboard"
			case keystile.CodeKeyRevoked:
				e.Detail = "API key has been revoked"
			case keystile.CodeKeyExpired:
				e.Detail = "API key has expired"
			case keystile.CodeInsufficientPermissions:
				e.Detail, e.Details = "Key lacks required permissions", map[string]any{}
			case keystile.CodeRateLimited:
				seconds := fmt.Sprint(int64(e.RetryAfter / time.Second))
				e.Detail = "Rate limit exceeded. Try again in " + seconds + " seconds."
				e.Header.Set("X-RateLimit-Retry-After", seconds)
			}
			return e
		},
	})
	said := func(rest string) string { return `{"success":false,"error":{` + rest + `}}` }
	for _, tt := range []struct {
		name    string
		handler handler
		status  int
		want    fields
		body    string
	}{
		{"a bad key", failing(&keystile.Error{Code: keystile.CodeUnauthorized}), 401, fields{},
			said(`"code":"unauthorized","message":"Invalid API key provided","details":{"hint":"Check your API key in the dashboard"}`)},
		{"a revoked key", failing(&keystile.Error{Code: keystile.CodeKeyRevoked}), 401, fields{}, said(`"code":"key_revoked","message":"API key has been revoked","details":{}`)},
		{"a permission is missing", failing(&keystile.Error{Code: keystile.CodeInsufficientPermissions, Details: map[string]any{"missing_scopes": 1}}), 403, fields{},
			said(`"code":"insufficient_permissions","message":"Key lacks required permissions","details":{}`)},
		{"no credits", failing(&keystile.Error{Code: "insufficient_credits", Status: 402, Detail: "Buy more."}), 402, fields{}, said(`"code":"insufficient_credits","message":"Buy more.","details":{}`)},
		{"over the limit", failing(&keystile.Error{Code: keystile.CodeRateLimited, RetryAfter: time.Hour, Details: map[string]any{"quota": int64(50), "limit": "hour", "reset": int64(1705316400)}}), 429,
			fields{"Retry-After": "3600", "X-RateLimit-Retry-After": "3600"},
			said(`"code":"rate_limited","message":"Rate limit exceeded. Try again in 3600 seconds.","details":{"retryAfter":3600,"limit":50,"remaining":0,"resetTime":"2024-01-15T11:00:00Z"}`)},
		{"data", writing(isJSON, `{"valid":true}`), 200, fields{}, `{"success":true,"data":{"valid":true}}`},
	} {
		t.Run(tt.name, func(t *testing.T) { check(t, both(t, env.Wrap(tt.handler), get("/")), tt.status, tt.want, tt.body) })
	}
}

type whispirCompany struct {
	XMLName xml.Name      `json:"-" xml:"ns3:company"`
	NS2     string        `json:"-" xml:"xmlns:ns2,attr"`
	NS3     string        `json:"-" xml:"xmlns:ns3,attr"`
	ID      string        `json:"id" xml:"id"`
	Link    []whispirLink `json:"link" xml:"ns2:link"`
}

type whispirLink struct {
	URI    string `json:"uri" xml:"uri,attr"`
	Rel    string `json:"rel" xml:"rel,attr"`
	Method string `json:"method" xml:"method,attr"`
	Type   string `json:"-" xml:"type,attr"`
	Host   string `json:"host" xml:"-"`
	Port   int    `json:"port" xml:"-"`
}

func TestWhispir(t *testing.T) {
	env, err := newWhispir()
	if err != nil {
		t.Fatal(err)
	}
	const vx, vj = "application/vnd.whispir.company-v1+xml", "application/vnd.whispir.company-v1+json"
	const namespaces = ` xmlns:ns2="http://schemas.api.whispir.com/dap" xmlns:ns3="http://schemas.api.whispir.com">`
	produces, err := env.Produces(vx, vj)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", produces(handler(func(w http.ResponseWriter, r *http.Request) {
		envelope.Write(w, r, 200, whispirCompany{
			NS2: "http://schemas.api.whispir.com/dap", NS3: "http://schemas.api.whispir.com", ID: "AD7671EB2DB89638",
			Link: []whispirLink{{"http://HOST/workspaces", "retrieveWorkspaces", "GET", "application/vnd.whispir.workspace-v1+xml", "HOST", -1}},
		})
	})))
	mux.HandleFunc("GET /key", failing(keystile.NoCredentials(keystile.SchemeAPIKey)))
	mux.HandleFunc("GET /basic", failing(keystile.NoCredentials(keystile.SchemeBasic)))
	mux.HandleFunc("GET /ip", failing(&keystile.Error{Code: keystile.CodeIPNotAllowed, Scheme: keystile.SchemeAPIKey}))
	mux.HandleFunc("GET /limit", failing(&keystile.Error{Code: keystile.CodeRateLimited}))
	mux.HandleFunc("GET /type", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(415) })
	mux.HandleFunc("GET /empty", func(w http.ResponseWriter, r *http.Request) {
		envelope.Write(w, r, 200, map[string]string{"status": "No records found"}, envelope.As(vj))
	})
	h := keystile.Routes(mux, env.Wrap)
	three := func(summary, text string) string {
		return `{"errorSummary":"` + summary + `","errorText":"` + text + `","errorDetail":""}`
	}
	for _, tt := range []struct {
		name, path, accept string
		status             int
		want               fields
		body               string
	}{
		{"a company in JSON", "/", vj, 200, fields{"Content-Type": vj}, `{"id":"AD7671EB2DB89638","link":[{"uri":"http://HOST/workspaces","rel":"retrieveWorkspaces","method":"GET","host":"HOST","port":-1}]}`},
		{"a company without Accept is XML", "/", "", 200, fields{"Content-Type": vx}, whispirXML + "<ns3:company" + namespaces +
			`<id>AD7671EB2DB89638</id><ns2:link uri="http://HOST/workspaces" rel="retrieveWorkspaces" method="GET" type="application/vnd.whispir.workspace-v1+xml"></ns2:link></ns3:company>`},
		{"a bad key is JSON in any case", "/key", "", 403, fields{"Content-Type": isJSON, "WWW-Authenticate": ""}, `{"message":"Forbidden"}`},
		{"a bad key to who wants XML", "/key", vx, 403, fields{"Content-Type": isJSON}, `{"message":"Forbidden"}`},
		{"a bad password", "/basic", vj, 401, fields{"Content-Type": vj, "WWW-Authenticate": ""}, three(wrongPassword, "Unauthorized")},
		{"a bad password in XML", "/basic", "application/vnd.whispir.message-v1+xml", 401, fields{"Content-Type": "application/vnd.whispir.message-v1+xml"},
			whispirXML + "<ns3:error" + namespaces + "<errorSummary>" + wrongPassword + "</errorSummary><errorText>Unauthorized</errorText></ns3:error>"},
		{"another address", "/ip", vj, 401, fields{}, three(wrongPassword, "Unauthorized")},
		{"over the limit", "/limit", vj, 403, fields{"X-Error-Code": "ERR_403_DEVELOPER_OVER_QPS", "X-Error-Detail": "Account Over Queries Per Second Limit"}, three("Account Over Queries Per Second Limit", "Forbidden")},
		{"nothing there", "/nowhere", vj, 404, fields{"Content-Type": vj}, three("", "Not Found")},
		{"nothing there, without Accept", "/nowhere", "", 404, fields{"Content-Type": "application/xml"}, whispirXML + "<ns3:error" + namespaces + "<errorText>Not Found</errorText></ns3:error>"},
		{"another type", "/type", vj, 415, fields{"Content-Type": vj}, three("", "Unsupported Media Type")},
		{"an empty page", "/empty", vj, 200, fields{"Content-Type": vj}, `{"status":"No records found"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := get(tt.path)
			if tt.accept != "" {
				r.Header.Set("Accept", tt.accept)
			}
			g := both(t, h, r)
			check(t, g, tt.status, tt.want, tt.body)
			if strings.HasPrefix(g.body, "<") && !wellFormed(g.body) {
				t.Error("not well formed")
			}
		})
	}
}
