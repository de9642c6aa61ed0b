package envelope

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keystile/keystile"
)

// StatusData is the style
//
//	{"status":"success","data":…}
//	{"status":"success","data":…,"message":"…"}
//	{"status":"error","message":"…","data":null}
//
// The message is Text of the error; its code and Details are not said.
type StatusData struct{}

// Success returns the frame of a success.
func (StatusData) Success(s Success) (before, after string) {
	const first = `{"status":"success","data":`
	if s.Message == "" {
		return first, s.Members + "}"
	}
	return first, `,"message":` + quote(s.Message) + s.Members + "}"
}

// Failure returns an error as JSON.
func (StatusData) Failure(e *keystile.Error) (contentType string, body []byte) {
	b := appendString(begin(`{"status":"error","message":`), Text(e))
	return "", append(b, `,"data":null}`...)
}

// ForeignError is the function ForeignError.
func (StatusData) ForeignError(status int, contentType string, body []byte) *keystile.Error {
	return ForeignError(status, contentType, body)
}

// SuccessMessageData is the style
//
//	{"success":true,"message":"","data":…}
//	{"success":false,"message":"…","data":[]}
//
// The message is Text of the error; its code and Details are not said.
type SuccessMessageData struct{}

// Success returns the frame of a success.
func (SuccessMessageData) Success(s Success) (before, after string) {
	if s.Message == "" {
		return `{"success":true,"message":"","data":`, s.Members + "}"
	}
	return `{"success":true,"message":` + quote(s.Message) + `,"data":`, s.Members + "}"
}

// Failure returns an error as JSON.
func (SuccessMessageData) Failure(e *keystile.Error) (contentType string, body []byte) {
	b := appendString(begin(`{"success":false,"message":`), Text(e))
	return "", append(b, `,"data":[]}`...)
}

// ForeignError is the function ForeignError.
func (SuccessMessageData) ForeignError(status int, contentType string, body []byte) *keystile.Error {
	return ForeignError(status, contentType, body)
}

// SuccessError is the style
//
//	{"success":true,"data":…}
//	{"success":true,"data":…,"message":"…"}
//	{"success":false,"error":{"code":"…","message":"…","details":{…}}}
//
// The message is Text of the error.
type SuccessError struct {
	// Details returns the member details of an error; a struct where the order of
	// its members matters, nil where there is to be none. Default: retry_after in
	// seconds where the error has a RetryAfter, and Error.Details by name; {} where
	// there are none.
	Details func(e *keystile.Error) any
}

// Success returns the frame of a success.
func (SuccessError) Success(s Success) (before, after string) {
	const first = `{"success":true,"data":`
	if s.Message == "" {
		return first, s.Members + "}"
	}
	return first, `,"message":` + quote(s.Message) + s.Members + "}"
}

// Failure returns an error as JSON.
func (s SuccessError) Failure(e *keystile.Error) (contentType string, body []byte) {
	b := appendString(begin(`{"success":false,"error":{"code":`), string(e.Code))
	b = appendString(append(b, `,"message":`...), Text(e))
	return "", append(s.appendDetails(b, e), '}', '}')
}

func (s SuccessError) appendDetails(b []byte, e *keystile.Error) []byte {
	const name = `,"details":`
	if s.Details == nil {
		return appendDetails(append(b, name...), e)
	}
	details := s.Details(e)
	if details == nil {
		return b
	}
	member, err := json.Marshal(details)
	if err != nil {
		return b // what has no JSON form is left out; the rest of the answer stands
	}
	return append(append(b, name...), member...)
}

// ForeignError is the function ForeignError.
func (SuccessError) ForeignError(status int, contentType string, body []byte) *keystile.Error {
	return ForeignError(status, contentType, body)
}

// Problem is the style without an envelope: data stands alone, so there is no
// room for a Message or a Member, and errors are problem details (RFC 9457), as
// keystile.RespondError writes them.
type Problem struct{}

// Success returns nothing.
func (Problem) Success(Success) (before, after string) { return "", "" }

// Failure returns an error as a problem document.
func (Problem) Failure(e *keystile.Error) (contentType string, body []byte) {
	return "application/problem+json", keystile.AppendProblem(begin(""), e)
}

// ForeignError lets problem documents pass; for the rest it is the function
// ForeignError.
func (Problem) ForeignError(status int, contentType string, body []byte) *keystile.Error {
	if isProblem(contentType) {
		return nil
	}
	return ForeignError(status, contentType, body)
}

// begin returns s with room for an error of usual length.
func begin(s string) []byte { return append(make([]byte, 0, 256), s...) }

// appendDetails appends the Details of e as an object, retry_after first.
func appendDetails(b []byte, e *keystile.Error) []byte {
	const retryAfter = "retry_after"
	b = append(b, '{')
	empty := len(b)
	if _, own := e.Details[retryAfter]; e.RetryAfter > 0 && !own {
		b = strconv.AppendInt(append(b, `"`+retryAfter+`":`...), wholeSeconds(e.RetryAfter), 10)
	}
	if len(e.Details) > 0 {
		for _, name := range slices.Sorted(maps.Keys(e.Details)) {
			member, err := json.Marshal(e.Details[name])
			if err != nil {
				continue // see SuccessError.appendDetails
			}
			if len(b) > empty {
				b = append(b, ',')
			}
			b = append(append(appendString(b, name), ':'), member...)
		}
	}
	return append(b, '}')
}

// wholeSeconds rounds up: a client that sleeps for the result has slept enough.
func wholeSeconds(d time.Duration) int64 { return int64((d-1)/time.Second) + 1 }

func quote(s string) string { return string(appendString(nil, s)) }

// appendString appends s as a JSON string. Plain ASCII, which is nearly all
// there is, is copied as it stands.
func appendString(b []byte, s string) []byte {
	plain := func(r rune) bool {
		return r >= ' ' && r <= '~' && r != '"' && r != '\\' && r != '<' && r != '>' && r != '&'
	}
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return append(append(append(b, '"'), s...), '"')
	}
	quoted, err := json.Marshal(s)
	if err != nil {
		return append(b, `""`...) // json.Marshal fails for no string
	}
	return append(b, quoted...)
}
