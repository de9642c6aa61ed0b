package envelope_test

import (
	"encoding/json"
	"encoding/xml"
	"log"
	"net/http"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/envelope"
)

// whispir is a style that also speaks XML, with the namespaces of that house:
// data stands alone, errors have three members; but a bad key is answered by the
// gateway in front, which knows JSON only.
type whispir struct{ envelope.Problem }

type whispirError struct {
	XMLName xml.Name `json:"-" xml:"ns3:error"`
	NS2     string   `json:"-" xml:"xmlns:ns2,attr"`
	NS3     string   `json:"-" xml:"xmlns:ns3,attr"`
	Summary string   `json:"errorSummary" xml:"errorSummary,omitempty"`
	Text    string   `json:"errorText" xml:"errorText,omitempty"`
	Detail  string   `json:"errorDetail" xml:"errorDetail,omitempty"`
}

const whispirXML = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>`

func newWhispirError(e *keystile.Error) whispirError {
	return whispirError{
		NS2: "http://schemas.api.whispir.com/dap", NS3: "http://schemas.api.whispir.com",
		Summary: e.Detail, Text: http.StatusText(e.StatusCode()),
	}
}

func (whispir) SuccessXML(envelope.Success) (before, after string) { return whispirXML, "" }

func (s whispir) Failure(e *keystile.Error) (contentType string, body []byte) {
	if byGateway(e) {
		return "application/json", []byte(`{"message":"Forbidden"}`)
	}
	body, _ = json.Marshal(newWhispirError(e))
	return "", body
}

func (s whispir) FailureXML(e *keystile.Error) (contentType string, body []byte) {
	if byGateway(e) {
		return s.Failure(e)
	}
	body, _ = xml.Marshal(newWhispirError(e))
	return "", append([]byte(whispirXML), body...)
}

func byGateway(e *keystile.Error) bool {
	return e.Code == keystile.CodeUnauthorized && e.Status == http.StatusForbidden
}

const wrongPassword = "Your username and password combination was incorrect. Please check your authentication details and try again"

// whispirMap changes statuses and texts by code and scheme, and header fields.
func whispirMap(_ *http.Request, e keystile.Error) keystile.Error {
	e.Header["WWW-Authenticate"] = nil
	switch {
	case e.StatusCode() == http.StatusUnauthorized && e.Scheme == keystile.SchemeAPIKey:
		e.Code, e.Status = keystile.CodeUnauthorized, http.StatusForbidden
	case e.StatusCode() == http.StatusUnauthorized, e.Code == keystile.CodeIPNotAllowed:
		e.Status, e.Detail = http.StatusUnauthorized, wrongPassword
	case e.Code == keystile.CodeRateLimited:
		e.Status, e.Detail = http.StatusForbidden, "Account Over Queries Per Second Limit"
		e.Header.Set("X-Error-Code", "ERR_403_DEVELOPER_OVER_QPS")
		e.Header.Set("X-Error-Detail", e.Detail)
	}
	return e
}

func newWhispir() (*envelope.Envelope, error) {
	return envelope.New(envelope.Config{
		Style:  whispir{},
		Map:    whispirMap,
		Types:  []string{"application/xml", "application/json"},
		Vendor: "application/vnd.whispir.",
	})
}

// Map says by code and scheme what a house says to whom: a bad key is 403 in
// few words, a bad password 401 in many, and there are no challenges. Errors
// have the vendor type that the client asks for, and are XML where it does not.
func ExampleConfig_map() {
	env, err := newWhispir()
	if err != nil {
		log.Fatal(err)
	}
	refuse := func(scheme keystile.Scheme) http.Handler {
		return env.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`) // as a Guard would
			keystile.RespondError(w, r, &keystile.Error{Code: keystile.CodeUnauthorized, Scheme: scheme})
		}))
	}
	show(refuse(keystile.SchemeAPIKey), "/")
	show(refuse(keystile.SchemeBasic), "/")
	show(refuse(keystile.SchemeBasic), "/", "application/vnd.whispir.message-v1+json")
	// Output:
	// 403 application/json
	// {"message":"Forbidden"}
	// 401 application/xml
	// <?xml version="1.0" encoding="UTF-8" standalone="yes"?><ns3:error xmlns:ns2="http://schemas.api.whispir.com/dap" xmlns:ns3="http://schemas.api.whispir.com"><errorSummary>Your username and password combination was incorrect. Please check your authentication details and try again</errorSummary><errorText>Unauthorized</errorText></ns3:error>
	// 401 application/vnd.whispir.message-v1+json
	// {"errorSummary":"Your username and password combination was incorrect. Please check your authentication details and try again","errorText":"Unauthorized","errorDetail":""}
}
