package envelope_test

import (
	"encoding/json"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/envelope"
)

// house is a style of one's own:
//
//	{"ok":true,"result":…}
//	{"ok":false,"why":"…","code":"…"}
type house struct{}

func (house) Success(s envelope.Success) (before, after string) {
	return `{"ok":true,"result":`, s.Members + "}"
}

func (house) Failure(e *keystile.Error) (contentType string, body []byte) {
	body, _ = json.Marshal(struct {
		OK   bool          `json:"ok"`
		Why  string        `json:"why"`
		Code keystile.Code `json:"code"`
	}{false, envelope.Text(e), e.Code})
	return "", body
}

func (house) ForeignError(status int, contentType string, body []byte) *keystile.Error {
	return envelope.ForeignError(status, contentType, body)
}

// A style of one's own has three methods.
func ExampleStyle() {
	service := newContacts(house{})
	show(service, "/contacts/7")
	show(service, "/contacts/8")
	// Output:
	// 200 application/json
	// {"ok":true,"result":{"name":"Ada Lovelace"}}
	// 404 application/json
	// {"ok":false,"why":"There is nothing at this address.","code":"not_found"}
}
