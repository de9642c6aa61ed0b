package envelope

import (
	"github.com/keystile/keystile"
)

// Style is the shape that a house gives its answers. [StatusData],
// [SuccessMessageData], [SuccessError] and [Problem] are Styles; the example of
// Style is one of a house's own. Implementations are safe for concurrent use and
// say the same of equal arguments.
type Style interface {
	// Success returns what stands in front of the data of a success and behind
	// it. Together with any JSON value between them they must be JSON. Both are
	// empty where the data stands alone; then a handler's own body passes as it
	// is.
	Success(s Success) (before, after string)

	// Failure returns an error as JSON. contentType is the media type of body; ""
	// is the one that the client asked for, which is application/json unless
	// Config.Types or Config.Vendor says more. The header fields are not the
	// style's business. e must not be changed.
	Failure(e *keystile.Error) (contentType string, body []byte)

	// ForeignError makes an Error of an answer of 400 or above that a handler
	// wrote itself, such as with http.Error. body is cut at Config.ErrorLimit and
	// must not be kept. The status of the result is status unless it sets another;
	// nil lets the answer pass as it is. The function of the same name is what
	// most styles want.
	ForeignError(status int, contentType string, body []byte) *keystile.Error
}

// XMLStyle is a Style that speaks XML as well. Only Write sends successes as
// XML; errors are XML where the client asks for it, or has no wish and an XML
// type comes first in Config.Types.
type XMLStyle interface {
	Style

	// SuccessXML is Success for XML: what stands around an element, the XML
	// declaration included.
	SuccessXML(s Success) (before, after string)

	// FailureXML is Failure for XML. It may well return JSON, and its type.
	FailureXML(e *keystile.Error) (contentType string, body []byte)
}

// Success is what a success says besides its data.
type Success struct {
	// Status is the status of the answer, 200 to 299.
	Status int
	// Message is that of the option Message; "" where there is none.
	Message string
	// Members are those of the option Member, ready to stand behind another
	// member: `,"pages":[1,2]` in JSON, `<pages>1</pages><pages>2</pages>` in XML.
	Members string
}

// Text returns what the styles of this package show to people: the Detail of e,
// else its fixed sentence, else its code.
func Text(e *keystile.Error) string {
	if e.Detail != "" {
		return e.Detail
	}
	if s := e.Sentence(); s != "" {
		return s
	}
	return string(e.Code)
}
