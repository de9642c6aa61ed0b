package envelope_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/envelope"
)

// show prints what h answers to a GET of path.
func show(h http.Handler, path string, accept ...string) {
	r := httptest.NewRequest("GET", path, nil)
	for _, a := range accept {
		r.Header.Set("Accept", a)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Result().Body)
	fmt.Println(w.Code, w.Result().Header.Get("Content-Type"))
	fmt.Printf("%s\n", body)
}

// newContacts is a service that knows nothing of envelopes, in an envelope.
func newContacts(style envelope.Style) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /contacts/7", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"name":"Ada Lovelace"}`)
	})
	mux.HandleFunc("DELETE /contacts/7", func(http.ResponseWriter, *http.Request) {})
	env, err := envelope.New(envelope.Config{Style: style})
	if err != nil {
		log.Fatal(err)
	}
	return keystile.Routes(mux, env.Wrap)
}

func ExampleStatusData() {
	service := newContacts(envelope.StatusData{})
	show(service, "/contacts/7")
	show(service, "/contacts/8")
	// Output:
	// 200 application/json
	// {"status":"success","data":{"name":"Ada Lovelace"}}
	// 404 application/json
	// {"status":"error","message":"There is nothing at this address.","data":null}
}

func ExampleSuccessMessageData() {
	service := newContacts(envelope.SuccessMessageData{})
	show(service, "/contacts/7")
	show(service, "/contacts/8")
	// Output:
	// 200 application/json
	// {"success":true,"message":"","data":{"name":"Ada Lovelace"}}
	// 404 application/json
	// {"success":false,"message":"There is nothing at this address.","data":[]}
}

func ExampleSuccessError() {
	service := newContacts(envelope.SuccessError{})
	show(service, "/contacts/7")
	show(service, "/contacts/8")
	// Output:
	// 200 application/json
	// {"success":true,"data":{"name":"Ada Lovelace"}}
	// 404 application/json
	// {"success":false,"error":{"code":"not_found","message":"There is nothing at this address.","details":{}}}
}

func ExampleProblem() {
	service := newContacts(envelope.Problem{})
	show(service, "/contacts/7")
	show(service, "/contacts/8")
	// Output:
	// 200 application/json
	// {"name":"Ada Lovelace"}
	// 404 application/problem+json
	// {"type":"https://github.com/keystile/keystile/blob/main/docs/problems.md#not_found","title":"There is nothing at this address.","status":404,"code":"not_found"}
}

// A handler calls Write to say more than data, or to say it in XML.
func ExampleWrite() {
	type contact struct {
		Name string `json:"name" xml:"name"`
	}
	env, err := envelope.New(envelope.Config{
		Style: envelope.SuccessMessageData{},
		Types: []string{"application/json", "application/xml"},
	})
	if err != nil {
		log.Fatal(err)
	}
	service := env.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list := []contact{{"Ada"}, {"Grace"}}
		envelope.Write(w, r, http.StatusOK, list, envelope.Message("Two of 2."), envelope.Member("pages", []int{1}))
	}))
	show(service, "/contacts")
	show(service, "/contacts", "text/html;q=0.9, application/xml")
	show(service, "/contacts", "text/html")
	// Output:
	// 200 application/json
	// {"success":true,"message":"Two of 2.","data":[{"name":"Ada"},{"name":"Grace"}],"pages":[1]}
	// 200 application/xml
	// <?xml version="1.0" encoding="UTF-8"?>
	// <response><success>true</success><message>Two of 2.</message><data><contact><name>Ada</name></contact><contact><name>Grace</name></contact></data><pages>1</pages></response>
	// 406 application/json
	// {"success":false,"message":"Available: application/json, application/xml.","data":[]}
}
