package envelope_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/envelope"
)

type contact struct {
	XMLName xml.Name `json:"-" xml:"contact"`
	Name    string   `json:"name" xml:"name"`
}

// RFC 9110 section 12.5.1.
func TestNegotiation(t *testing.T) {
	const (
		js, x  = "application/json", "application/xml"
		vj, vx = "application/vnd.acme.contact-v1+json", "application/vnd.acme.contact-v1+xml"
		refuse = ""
	)
	house := []string{vx, vj, x, js}
	tests := []struct {
		name   string
		types  []string
		accept []string
		want   string
	}{
		{"no Accept: the first", house, nil, vx},
		{"an empty Accept says nothing", house, []string{""}, vx},
		{"everything: the first", house, []string{"*/*"}, vx},
		{"an exact type", house, []string{vj}, vj},
		{"case does not matter", house, []string{"Application/JSON"}, js},
		{"all of application: the first", house, []string{"application/*"}, vx},
		{"the greater weight", house, []string{js + ";q=0.5, " + vj + ";q=0.9"}, vj},
		{"a weight is 1 where none is given", house, []string{vj + ";q=0.9, " + js}, js},
		{"equal weights: the earlier offer, not the earlier range", house, []string{js + ", " + vx}, vx},
		{"a precise range counts more than a general one", house, []string{"*/*, " + vx + ";q=0.1, " + vj + ";q=0.2"}, x},
		{"a type may be excluded", []string{js, x}, []string{js + ";q=0, */*"}, x},
		{"several fields are one list", house, []string{"text/html", vj + ";q=0.3", x + ";q=0.2"}, vj},
		{"a parameter must be there", []string{js + ";v=2", js}, []string{js + ";v=2"}, js + ";v=2"},
		{"and have the value", []string{js + ";v=2", js}, []string{js + ";v=3"}, refuse},
		{"a quoted value is the same", []string{js + `;v="2"`}, []string{js + ";V=2"}, js + `;v="2"`},
		{"a range with a parameter is more precise", []string{js + ";v=2", js}, []string{js + ";q=0.9, " + js + ";v=2;q=0.1"}, js},
		{"utf-8 is what is sent anyway", []string{js}, []string{js + "; charset=UTF-8"}, js},
		{"another charset is not", []string{js}, []string{js + "; charset=latin1"}, refuse},
		{"a comma in quotes separates nothing", []string{js}, []string{`text/html;a=", ` + js + `, \" x", ` + x}, refuse},
		{"what Java sends", []string{x, js}, []string{"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"}, x},
		{"what a browser sends", []string{js, x}, []string{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, x},
		{"nothing acceptable", house, []string{"text/html"}, refuse},
		{"everything excluded", house, []string{"*/*;q=0"}, refuse},
		{"a wildcard does not make the suffix a type", house, []string{"*/json"}, vx}, // breaks the grammar: as if it were not there
		{"broken elements are skipped", house, []string{";;, /, json, a/b/c, application/ json, " + vj + ";q=x, " + js}, js},
		{"a weight above 1 is none", house, []string{js + ";q=1.1, " + vj + ";q=0.001"}, vj},
		{"more digits than the grammar has", house, []string{js + ";q=0.12345, " + vj + ";q=0.1239"}, vj},
		{"only broken elements say nothing", house, []string{"nonsense, ,, q=1"}, vx},
		{"what follows the weight is not about the type", house, []string{js + ";q=0.5;v=9"}, js},
		{"tabs are white space", house, []string{"\t" + js + "\t;\tq=1\t"}, js},
		{"a range far behind is not looked at", []string{js}, []string{strings.Repeat("text/plain,", 64) + js}, refuse},
		{"the last one that is", []string{js}, []string{strings.Repeat("text/plain,", 63) + js}, js},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := get("/")
			if tt.accept != nil {
				r.Header["Accept"] = tt.accept
			}
			answer := handler(func(w http.ResponseWriter, r *http.Request) { envelope.Write(w, r, 200, contact{Name: "Ada"}) })
			byConfig := newEnvelope(t, envelope.Config{Style: envelope.Problem{}, Types: tt.types})
			plain := newEnvelope(t, envelope.Config{Style: envelope.Problem{}})
			produces, err := plain.Produces(tt.types...)
			if err != nil {
				t.Fatal(err)
			}
			for where, h := range map[string]http.Handler{
				"Config":   byConfig.Wrap(answer),
				"Produces": plain.Wrap(produces(answer)),
				"As": plain.Wrap(handler(func(w http.ResponseWriter, r *http.Request) {
					envelope.Write(w, r, 200, contact{Name: "Ada"}, envelope.As(tt.types...))
				})),
			} {
				g := record(h, r)
				status, body := 200, `{"name":"Ada"}`
				switch {
				case tt.want == refuse:
					status = 406
					body = g.body
				case strings.Contains(tt.want, "xml"):
					body = `<?xml version="1.0" encoding="UTF-8"?>` + "\n<contact><name>Ada</name></contact>"
				}
				if g.status != status || g.body != body || tt.want != refuse && g.header.Get("Content-Type") != tt.want {
					t.Errorf("%s: %v", where, g)
				}
				if tt.want == refuse && !strings.Contains(g.body, tt.types[0]) && where != "As" && !strings.Contains(tt.types[0], `"`) {
					t.Errorf("%s does not say what there is: %s", where, g.body)
				}
				if varies := g.header.Get("Vary") != ""; varies != (len(tt.types) > 1) && where == "Config" {
					t.Errorf("%s: Vary %q for %d types", where, g.header.Get("Vary"), len(tt.types))
				}
			}
		})
	}
}

func TestAnUnacceptableAnswer(t *testing.T) {
	r := get("/")
	r.Header.Set("Accept", "text/html")
	ran := false
	answer := handler(func(w http.ResponseWriter, r *http.Request) {
		ran = true
		envelope.Write(w, r, 201, 1)
	})
	strict, lenient := newEnvelope(t, envelope.Config{}), newEnvelope(t, envelope.Config{Lenient: true})
	const refused = `{"status":"error","message":"Available: application/json.","data":null}`
	check(t, both(t, strict.Wrap(answer), r), 406, fields{"Content-Type": isJSON}, refused)
	check(t, both(t, lenient.Wrap(answer), r), 201, fields{"Content-Type": isJSON}, `{"status":"success","data":1}`)
	// Declared on the route, it is refused before the handler has done anything.
	produces, err := strict.Produces("application/json", "application/xml")
	if err != nil {
		t.Fatal(err)
	}
	ran = false
	check(t, record(strict.Wrap(produces(answer)), r), 406, fields{"Vary": "Accept"}, `{"status":"error","message":"Available: application/json, application/xml.","data":null}`)
	if ran {
		t.Error("the handler ran")
	}
	// What the answer was is known outside.
	tracked := keystile.Track(r)
	record(strict.Wrap(produces(answer)), tracked)
	if e := keystile.OutcomeFrom(tracked.Context()); e == nil || e.Code != keystile.CodeNotAcceptable {
		t.Errorf("outcome %v", e)
	}
	// The types of one envelope's route are not those of another envelope inside.
	inner := newEnvelope(t, envelope.Config{Style: envelope.Problem{}})
	produces, err = strict.Produces("application/vnd.acme.x+json")
	if err != nil {
		t.Fatal(err)
	}
	check(t, record(strict.Wrap(produces(inner.Wrap(answer))), get("/")), 201, fields{"Content-Type": isJSON}, "1")
	// A handler that writes JSON itself is asked for nothing.
	check(t, record(strict.Wrap(writing(isJSON, "1")), r), 200, fields{}, `{"status":"success","data":1}`)
}

func TestVaryIsAddedOnce(t *testing.T) {
	env := newEnvelope(t, envelope.Config{Types: []string{"application/json", "application/xml"}})
	for before, want := range map[string]string{
		"": "[Accept]", "Origin": "[Origin Accept]", "Origin, accept": "[Origin, accept]", "*": "[*]", "Accept-Encoding": "[Accept-Encoding Accept]",
	} {
		for _, answer := range []handler{
			func(w http.ResponseWriter, r *http.Request) { envelope.Write(w, r, 200, 1) },
			failing(&keystile.Error{Code: keystile.CodeNotFound}),
		} {
			g := record(env.Wrap(handler(func(w http.ResponseWriter, r *http.Request) {
				if before != "" {
					w.Header().Set("Vary", before)
				}
				answer(w, r)
			})), get("/"))
			if got := fmt.Sprint(g.header["Vary"]); got != want {
				t.Errorf("%q: %s, want %s", before, got, want)
			}
		}
	}
}

func TestWriteStopsWhereTheWriterFails(t *testing.T) {
	for after := range 4 {
		writes := 0
		w := &plainWriter{header: http.Header{}, body: writerErr(func(p []byte) (int, error) {
			if writes++; writes > after {
				return 0, errors.New("gone")
			}
			return len(p), nil
		})}
		newEnvelope(t, envelope.Config{}).Wrap(handler(func(w http.ResponseWriter, r *http.Request) { envelope.Write(w, r, 200, 1) })).ServeHTTP(w, get("/"))
		if want := min(after+1, 3); writes != want {
			t.Errorf("%d writes, want %d", writes, want)
		}
	}
}

func TestErrorsEchoTheVendorType(t *testing.T) {
	const vj, vx, other = "application/vnd.acme.contact-v1+json", "application/vnd.acme.contact-v1+xml", "application/vnd.other.x+json"
	env := newEnvelope(t, envelope.Config{Types: []string{"application/xml", "application/json"}, Vendor: "application/vnd.acme."})
	produces, err := env.Produces(vx, vj)
	if err != nil {
		t.Fatal(err)
	}
	fail := failing(&keystile.Error{Code: "x", Status: 400, Detail: "y"})
	for _, tt := range []struct {
		name, accept, bare, route string // the types of the answers outside and inside Produces
	}{
		{"no Accept: the first type", "", "application/xml", vx},
		{"a vendor type, whatever the route", "application/vnd.acme.message-v7+json", "application/vnd.acme.message-v7+json", ""},
		{"in XML", vx, vx, vx},
		{"the type of the route", vj, vj, vj},
		{"a vendor type that is less wanted", vj + ";q=0.5, application/xml", "application/xml", vj},
		{"a vendor type that is as much wanted", "application/xml, " + vj, vj, vj},
		{"the first of two", vj + ", " + vx, vj, vj},
		{"the more wanted of two", vj + ";q=0.5, " + vx, vx, vx},
		{"a type that is excluded", vj + ";q=0, */*", "application/xml", vx},
		{"a vendor type of somebody else", other, "application/xml", ""},
		{"the beginning alone", "application/vnd.acme.", "application/xml", ""},
		{"a vendor type that is neither JSON nor XML", "application/vnd.acme.x+cbor", "application/xml", ""},
		{"plain JSON", "application/json", "application/json", ""},
		{"everything", "*/*", "application/xml", vx},
	} {
		r := get("/")
		if tt.accept != "" {
			r.Header.Set("Accept", tt.accept)
		}
		g := both(t, env.Wrap(fail), r)
		if g.status != 400 || g.header.Get("Content-Type") != tt.bare || strings.HasSuffix(tt.bare, "xml") != strings.HasPrefix(g.body, "<?xml") || g.header.Get("Vary") != "Accept" {
			t.Errorf("%s: %v, want %s", tt.name, g, tt.bare)
		}
		g = record(env.Wrap(produces(fail)), r)
		if tt.route == "" {
			if g.status != 406 || g.header.Get("Content-Type") == "" {
				t.Errorf("%s, on the route: %v, want 406", tt.name, g)
			}
		} else if g.status != 400 || g.header.Get("Content-Type") != tt.route {
			t.Errorf("%s, on the route: %v, want %s", tt.name, g, tt.route)
		}
	}
	// Without a style that speaks XML, a vendor type in XML is not echoed.
	mute := newEnvelope(t, envelope.Config{Style: spy{foreign: envelope.ForeignError}, Vendor: "application/vnd.acme."})
	r := get("/")
	r.Header.Set("Accept", vx)
	check(t, record(newEnvelope(t, envelope.Config{Style: onlyJSON{}, Vendor: "application/vnd.acme."}).Wrap(fail), r), 400, fields{"Content-Type": isJSON}, `{"no":"y"}`)
	if g := record(mute.Wrap(fail), r); g.header.Get("Content-Type") != vx {
		t.Errorf("%v", g) // spy embeds StatusData and so speaks XML
	}
}

type onlyJSON struct{}

func (onlyJSON) Success(envelope.Success) (before, after string) { return `{"yes":`, `}` }
func (onlyJSON) Failure(e *keystile.Error) (contentType string, body []byte) {
	return "", []byte(`{"no":"` + envelope.Text(e) + `"}`)
}
func (onlyJSON) ForeignError(status int, contentType string, body []byte) *keystile.Error {
	return envelope.ForeignError(status, contentType, body)
}

type unmarshalable struct{}

func (unmarshalable) MarshalJSON() ([]byte, error) { return nil, fmt.Errorf("no form") }
func (unmarshalable) MarshalXML(*xml.Encoder, xml.StartElement) error {
	return fmt.Errorf("no form")
}

func TestWrite(t *testing.T) {
	const refused = `{"status":"error","message":"Something went wrong on the server.","data":null}`
	asXML := envelope.As("application/xml")
	tests := []struct {
		name    string
		status  int
		data    any
		options []envelope.Option
		want    int
		fields  fields
		body    string
		logged  string
	}{
		{"data", 200, map[string]any{"b": 1, "a": "<"}, nil, 200, fields{"Content-Type": isJSON, "Content-Length": "58", "Vary": "", "Cache-Control": ""}, `{"status":"success","data":{"a":"\u003c","b":1}}`, ""},
		{"nil is null", 201, nil, nil, 201, fields{}, nullData, ""},
		{"raw JSON", 200, json.RawMessage(`{"z":1,"a":2}`), nil, 200, fields{}, `{"status":"success","data":{"z":1,"a":2}}`, ""},
		{"a message", 202, 1, []envelope.Option{envelope.Message("Queued.")}, 202, fields{}, `{"status":"success","data":1,"message":"Queued."}`, ""},
		{"members in the order given", 200, 1, []envelope.Option{envelope.Member("z", 1), envelope.Member(`a"`, nil)}, 200, fields{}, `{"status":"success","data":1,"z":1,"a\"":null}`, ""},
		{"204 has no body", 204, nil, nil, 204, fields{"Content-Type": "", "Content-Length": ""}, "", ""},
		{"205 has no body", 205, nil, nil, 205, fields{"Content-Type": ""}, "", ""},
		{"data without a JSON form", 200, unmarshalable{}, nil, 500, fields{"Content-Type": isJSON}, refused, "no form"},
		{"a member without one", 200, 1, []envelope.Option{envelope.Member("x", func() {})}, 500, fields{}, refused, "unsupported type"},
		{"data without an XML form", 200, unmarshalable{}, []envelope.Option{asXML}, 500, fields{"Content-Type": isJSON}, refused, "no form"},
		{"a map has none", 200, map[string]int{}, []envelope.Option{asXML}, 500, fields{}, refused, "unsupported type"},
		{"data of which XML says nothing", 200, []int{}, []envelope.Option{asXML}, 500, fields{}, refused, "no element"},
		{"a member without an XML form", 200, 1, []envelope.Option{asXML, envelope.Member("x", unmarshalable{})}, 500, fields{}, refused, "no form"},
		{"a member whose name XML has not", 200, 1, []envelope.Option{asXML, envelope.Member("a b", 1)}, 500, fields{}, refused, "no name in XML"},
		{"nil in XML", 200, nil, []envelope.Option{asXML}, 200, fields{"Content-Type": "application/xml"}, `<?xml version="1.0" encoding="UTF-8"?>` + "\n<response><status>success</status><data></data></response>", ""},
		{"an error is no success", 404, 1, nil, 500, fields{}, refused, "RespondError"},
		{"neither is a redirect", 302, 1, nil, 500, fields{}, refused, "RespondError"},
		{"nor an informational answer", 103, 1, nil, 500, fields{}, refused, "RespondError"},
		{"a type that is neither JSON nor XML", 200, 1, []envelope.Option{envelope.As("text/plain")}, 500, fields{}, refused, "envelope.As[0]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var j journal
			h := newEnvelope(t, envelope.Config{Logger: j.logger()}).Wrap(handler(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("ETag", `"x"`)
				w.Header().Set("Content-Length", "1")
				envelope.Write(w, r, tt.status, tt.data, tt.options...)
			}))
			if tt.fields["Content-Length"] != "" {
				tt.fields["Content-Length"] = fmt.Sprint(len(tt.body))
			}
			if tt.status == 204 || tt.status == 205 {
				delete(tt.fields, "Content-Length") // what a handler sets on those is its own
			}
			g := record(h, get("/"))
			check(t, g, tt.want, tt.fields, tt.body)
			if tt.want < 300 && g.header.Get("ETag") != `"x"` {
				t.Errorf("ETag %q", g.header.Get("ETag"))
			}
			if (tt.logged == "") != (j.String() == "") || !strings.Contains(j.String(), tt.logged) {
				t.Errorf("logged %q, want %q", j.String(), tt.logged)
			}
		})
	}
}

// A status that has been noted and not sent gives way to the whole answer.
func TestAnAnswerOfTheHouseTakesThePlaceOfOneThatHasBegun(t *testing.T) {
	env := newEnvelope(t, envelope.Config{})
	begun := map[string]func(w http.ResponseWriter){
		"a status": func(w http.ResponseWriter) { w.WriteHeader(202) },
		"a status of JSON": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", isJSON)
			w.WriteHeader(202)
		},
		"an error": func(w http.ResponseWriter) { http.Error(w, "halfway", http.StatusConflict) },
	}
	for name, begin := range begun {
		g := both(t, env.Wrap(handler(func(w http.ResponseWriter, r *http.Request) {
			begin(w)
			envelope.Write(w, r, 201, 1)
		})), get("/"))
		check(t, g, 201, fields{"Content-Type": isJSON}, `{"status":"success","data":1}`)
		g = both(t, env.Wrap(handler(func(w http.ResponseWriter, r *http.Request) {
			begin(w)
			keystile.RespondError(w, r, &keystile.Error{Code: keystile.CodeNotFound, Detail: name})
		})), get("/"))
		check(t, g, 404, fields{"Content-Type": isJSON}, `{"status":"error","message":"`+name+`","data":null}`)
	}
	// What has been sent cannot be taken back: the answer is cut, not mixed.
	for _, rest := range []string{"", "]", "]}"} {
		g := record(env.Wrap(handler(func(w http.ResponseWriter, r *http.Request) {
			writing(isJSON, "[1,")(w, r)
			keystile.RespondError(w, r, &keystile.Error{Code: keystile.CodeNotFound})
			writing(isJSON, rest)(w, r)
		})), get("/"))
		if !g.aborted || g.body != `{"status":"success","data":[1,` {
			t.Errorf("%v", g)
		}
	}
}

func TestWriteWithoutAnEnvelopeIsAWiringMistake(t *testing.T) {
	withDefaultLogger(t, func(j *journal) {
		g := record(handler(func(w http.ResponseWriter, r *http.Request) { envelope.Write(w, r, 200, 1) }), get("/"))
		if g.status != 500 || !strings.Contains(j.String(), "without an Envelope") {
			t.Errorf("%v, logged %s", g, j.String())
		}
		foreign := handler(func(w http.ResponseWriter, r *http.Request) {
			envelope.Write(w, r.WithContext(keystile.WithResponder(r.Context(), teapot{})), 200, 1)
		})
		if g := record(foreign, get("/")); g.status != 418 {
			t.Errorf("below a Responder of another kind: %v", g)
		}
	})
}

type teapot struct{}

func (teapot) RespondError(w http.ResponseWriter, _ *http.Request, _ *keystile.Error) {
	w.WriteHeader(418)
}
