package envelope_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/envelope"
)

func TestMap(t *testing.T) {
	shared := &keystile.Error{Code: keystile.CodeMethodNotAllowed, RetryAfter: time.Second, Header: http.Header{"Allow": {"GET"}, "X-Kept": {"1"}}, Details: map[string]any{"a": 1}}
	challenge := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", "Basic")
		keystile.RespondError(w, r, shared)
	}
	tests := []struct {
		name    string
		mapping func(r *http.Request, e keystile.Error) keystile.Error
		handler handler
		status  int
		want    fields
		body    string
	}{
		{"the error as it is", func(_ *http.Request, e keystile.Error) keystile.Error { return e }, challenge, 405,
			fields{"Allow": "GET", "X-Kept": "1", "Retry-After": "1", "WWW-Authenticate": "Basic", "Cache-Control": "no-store"},
			`{"success":false,"error":{"code":"method_not_allowed","message":"The method is not allowed at this address.","details":{"retry_after":1,"a":1}}}`},
		{"status, text, code and details", func(r *http.Request, e keystile.Error) keystile.Error {
			e.Code, e.Status, e.Detail = "house", 418, "Not "+r.Method+"."
			e.Details["b"] = 2
			return e
		}, challenge, 418, fields{"Allow": "GET"}, `{"success":false,"error":{"code":"house","message":"Not GET.","details":{"retry_after":1,"a":1,"b":2}}}`},
		{"header fields are set, changed and removed", func(_ *http.Request, e keystile.Error) keystile.Error {
			e.Header.Set("X-Error-Code", "E1")
			e.Header.Set("Cache-Control", "private")
			e.Header["WWW-Authenticate"] = nil
			e.Header.Del("Allow")
			e.RetryAfter = 90 * time.Second
			e.Details = nil
			return e
		}, challenge, 405, fields{"X-Error-Code": "E1", "WWW-Authenticate": "", "Allow": "", "X-Kept": "1", "Cache-Control": "private", "Retry-After": "90"},
			`{"success":false,"error":{"code":"method_not_allowed","message":"The method is not allowed at this address.","details":{"retry_after":90}}}`},
		{"an error of its own", func(*http.Request, keystile.Error) keystile.Error { return keystile.Error{Code: "x", Status: 400} }, challenge, 400,
			fields{"Allow": "", "X-Kept": "", "Retry-After": ""}, `{"success":false,"error":{"code":"x","message":"Bad Request","details":{}}}`},
		{"a status that has no body", func(_ *http.Request, e keystile.Error) keystile.Error { e.Status = 204; return e }, challenge, 500,
			fields{}, `{"success":false,"error":{"code":"method_not_allowed","message":"The method is not allowed at this address.","details":{"retry_after":1,"a":1}}}`},
		{"a house that says 200 to everything", func(_ *http.Request, e keystile.Error) keystile.Error { e.Status = 200; return e }, failing(&keystile.Error{Code: "x", Detail: "y"}), 200,
			fields{}, `{"success":false,"error":{"code":"x","message":"y","details":{}}}`},
		{"an error without fields and details", func(_ *http.Request, e keystile.Error) keystile.Error {
			e.Header.Set("X-Own", "1")
			e.Details["hint"] = "Look."
			return e
		}, failing(&keystile.Error{Code: "x", Status: 400, Detail: "y"}), 400, fields{"X-Own": "1"}, `{"success":false,"error":{"code":"x","message":"y","details":{"hint":"Look."}}}`},
		{"a handler's own error", func(_ *http.Request, e keystile.Error) keystile.Error {
			e.Detail = string(e.Code) + ": " + e.Detail
			return e
		}, answering(404, "text/plain", "no row"), 404, fields{}, `{"success":false,"error":{"code":"not_found","message":"not_found: no row","details":{}}}`},
		{"a panic", func(_ *http.Request, e keystile.Error) keystile.Error { e.Detail = "Oops."; return e },
			func(http.ResponseWriter, *http.Request) { panic("x") }, 500, fields{}, `{"success":false,"error":{"code":"internal","message":"Oops.","details":{}}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := newEnvelope(t, envelope.Config{Style: envelope.SuccessError{}, Map: tt.mapping})
			check(t, both(t, env.Wrap(tt.handler), get("/")), tt.status, tt.want, tt.body)
		})
	}
	if len(shared.Header) != 2 || len(shared.Details) != 1 {
		t.Errorf("Map changed an error that requests share: %+v", shared)
	}
}

func TestAPanicInMapIsNotAnsweredTwice(t *testing.T) {
	env := newEnvelope(t, envelope.Config{Map: func(*http.Request, keystile.Error) keystile.Error { panic("map") }})
	defer func() {
		if v := recover(); v != "map" {
			t.Errorf("recovered %v", v)
		}
	}()
	record(env.Wrap(failing(&keystile.Error{Code: keystile.CodeNotFound})), get("/"))
}
