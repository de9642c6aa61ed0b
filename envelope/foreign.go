package envelope

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/keystile/keystile"
)

// ForeignError is what the styles of this package make of an error that a
// handler, or a framework, wrote itself.
//
// The code follows from the status, or is the member code of a JSON body. The
// text is a text/plain body, such as that of http.Error, or the first of the
// members detail, message, error, error_description and title that is a string,
// also within a member error that is an object; other members become Details. A
// text that only says what the status says is left out, and so is HTML.
//
// A 500 becomes CodeInternal, and its body stays on the server, as Error.Err:
// what it says is most often an error that was not meant for clients. Answer
// with another status, or with keystile.RespondError, to be heard.
func ForeignError(status int, contentType string, body []byte) *keystile.Error {
	e := &keystile.Error{Code: codeOf(status), Status: status}
	if status == http.StatusInternalServerError {
		if text := strings.TrimSpace(string(body)); text != "" {
			e.Err = errors.New("envelope: a handler answered: " + text)
		}
		return e
	}
	if _, ok := jsonType(contentType); ok {
		var members map[string]json.RawMessage
		if json.Unmarshal(body, &members) == nil {
			readMembers(e, members)
		}
	} else if o, _ := splitMedia(contentType); contentType == "" || strings.EqualFold(o.typ+"/"+o.sub, "text/plain") {
		e.Detail = plainText(body)
	}
	if saysStatus(e.Detail, status) {
		e.Detail = ""
	}
	return e
}

// codeOf returns the code of this module for status, or a word of its own.
func codeOf(status int) keystile.Code {
	switch status {
	case http.StatusBadRequest:
		return keystile.CodeInvalidRequest
	case http.StatusUnauthorized:
		return keystile.CodeUnauthorized
	case http.StatusNotFound:
		return keystile.CodeNotFound
	case http.StatusMethodNotAllowed:
		return keystile.CodeMethodNotAllowed
	case http.StatusNotAcceptable:
		return keystile.CodeNotAcceptable
	case http.StatusRequestEntityTooLarge:
		return keystile.CodeContentTooLarge
	case http.StatusUnsupportedMediaType:
		return keystile.CodeUnsupportedMediaType
	case http.StatusTooManyRequests:
		return keystile.CodeRateLimited
	case http.StatusInternalServerError:
		return keystile.CodeInternal
	case http.StatusServiceUnavailable:
		return keystile.CodeUnavailable
	}
	word := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r):
			return unicode.ToLower(r)
		case r == ' ' || r == '-':
			return '_'
		}
		return -1
	}, http.StatusText(status))
	if word == "" {
		word = "error"
	}
	return keystile.Code(word)
}

func readMembers(e *keystile.Error, members map[string]json.RawMessage) {
	var nested map[string]json.RawMessage
	if json.Unmarshal(members["error"], &nested) == nil && nested != nil {
		delete(members, "error")
		readMembers(e, nested)
	}
	for _, name := range [...]string{"detail", "message", "error", "error_description", "title"} {
		var text string
		if json.Unmarshal(members[name], &text) == nil && text != "" && e.Detail == "" {
			e.Detail = text
		}
	}
	var code, kind string
	if json.Unmarshal(members["code"], &code) == nil && isCode(code) {
		e.Code = keystile.Code(code)
	}
	if json.Unmarshal(members["type"], &kind) == nil {
		e.Type = kind
	}
	var details map[string]json.RawMessage
	if json.Unmarshal(members["details"], &details) == nil && details != nil {
		delete(members, "details")
		addDetails(e, details)
	}
	addDetails(e, members)
}

// addDetails keeps the members that nothing else says.
func addDetails(e *keystile.Error, members map[string]json.RawMessage) {
	for name, value := range members {
		switch name {
		case "detail", "message", "error", "error_description", "title", "code", "type", "status", "success", "data":
			continue
		}
		if e.Details == nil {
			e.Details = map[string]any{}
		}
		e.Details[name] = value
	}
}

// isCode keeps to short words, so that a number or a sentence is none.
func isCode(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_', i > 0 && ('0' <= c && c <= '9' || c == '-' || c == '.'):
		default:
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// plainText returns body as a text for people, or nothing where it is none.
func plainText(body []byte) string {
	text := strings.TrimSpace(string(body))
	if !utf8.ValidString(text) || strings.HasPrefix(text, "<") ||
		strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' }) {
		return ""
	}
	return text
}

// saysStatus reports whether text is what net/http says of status anyway.
func saysStatus(text string, status int) bool {
	return text == "" || strings.EqualFold(text, http.StatusText(status)) || status == http.StatusNotFound && text == "404 page not found"
}

func isProblem(contentType string) bool {
	o, _ := splitMedia(contentType)
	return strings.EqualFold(o.typ, "application") && (strings.EqualFold(o.sub, "problem+json") || strings.EqualFold(o.sub, "problem+xml"))
}
