package envelope

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/keystile/keystile"
)

const declaration = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// SuccessXML returns the frame of a success, with the element response around
// it.
func (StatusData) SuccessXML(s Success) (before, after string) {
	return declaration + "<response><status>success</status><data>", "</data>" + messageElement(s) + s.Members + "</response>"
}

// FailureXML returns an error as an element response with the members of the
// JSON form.
func (s StatusData) FailureXML(e *keystile.Error) (contentType string, body []byte) {
	return "", respondXML(s.Failure(e))
}

// SuccessXML returns the frame of a success, with the element response around
// it.
func (SuccessMessageData) SuccessXML(s Success) (before, after string) {
	return declaration + "<response><success>true</success><message>" + escapeXML(s.Message) + "</message><data>", "</data>" + s.Members + "</response>"
}

// FailureXML returns an error as an element response with the members of the
// JSON form.
func (s SuccessMessageData) FailureXML(e *keystile.Error) (contentType string, body []byte) {
	return "", respondXML(s.Failure(e))
}

// SuccessXML returns the frame of a success, with the element response around
// it.
func (SuccessError) SuccessXML(s Success) (before, after string) {
	return declaration + "<response><success>true</success><data>", "</data>" + messageElement(s) + s.Members + "</response>"
}

// FailureXML returns an error as an element response with the members of the
// JSON form.
func (s SuccessError) FailureXML(e *keystile.Error) (contentType string, body []byte) {
	return "", respondXML(s.Failure(e))
}

// SuccessXML returns the XML declaration: the data is the document.
func (Problem) SuccessXML(Success) (before, after string) { return declaration, "" }

// FailureXML returns an error as a problem document (RFC 9457 appendix B).
func (Problem) FailureXML(e *keystile.Error) (contentType string, body []byte) {
	return "application/problem+xml", appendXML(begin(declaration), "problem", ` xmlns="urn:ietf:rfc:7807"`, keystile.AppendProblem(nil, e))
}

func messageElement(s Success) string {
	if s.Message == "" {
		return ""
	}
	return "<message>" + escapeXML(s.Message) + "</message>"
}

func respondXML(_ string, body []byte) []byte {
	return appendXML(begin(declaration), "response", "", body)
}

// appendXML appends a JSON object as the element root. An object becomes its
// members, in their order, an array elements named i (RFC 9457 appendix B), null
// nothing. A member whose name XML does not allow is left out.
func appendXML(b []byte, root, attributes string, object []byte) []byte {
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	content, err := appendContent(append(append(append(append(b, '<'), root...), attributes...), '>'), d)
	if err != nil {
		return append(b, "<"+root+attributes+"/>"...) // cannot be: the styles write JSON
	}
	return append(append(append(content, "</"...), root...), '>')
}

// appendContent appends the next value of d as the content of an element.
func appendContent(b []byte, d *json.Decoder) ([]byte, error) {
	token, err := d.Token()
	if err != nil {
		return b, err
	}
	switch v := token.(type) {
	case json.Delim:
		for d.More() {
			name := "i"
			if v == '{' {
				t, err := d.Token()
				if err != nil {
					return b, err
				}
				name, _ = t.(string)
			}
			before := len(b)
			b = append(append(append(b, '<'), name...), '>')
			if b, err = appendContent(b, d); err != nil {
				return b, err
			}
			if b = append(append(append(b, "</"...), name...), '>'); !isXMLName(name) {
				b = b[:before]
			}
		}
		_, err = d.Token()
		return b, err
	case string:
		return append(b, escapeXML(v)...), nil
	case json.Number:
		return append(b, v...), nil
	case bool:
		if v {
			return append(b, "true"...), nil
		}
		return append(b, "false"...), nil
	}
	return b, nil
}

// isXMLName keeps to the names of ASCII.
func isXMLName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_':
		case i > 0 && ('0' <= c && c <= '9' || c == '-' || c == '.'):
		default:
			return false
		}
	}
	return s != ""
}

// escapeXML leaves quotation marks as they are, which stand in no attribute
// here.
func escapeXML(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '<' || r == '>' || r == '&' }) {
		return s
	}
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // fails only where its writer does
	return strings.NewReplacer("&#34;", `"`, "&#39;", "'").Replace(b.String())
}

var errEmptyXML = errors.New("envelope: the data has no element: encoding/xml writes nothing for it")

// marshalXML is xml.Marshal, but a document without an element is an error.
func marshalXML(v any) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	b, err := xml.Marshal(v)
	if err == nil && len(b) == 0 {
		err = errEmptyXML
	}
	return b, err
}

// memberXML returns v as one element called name, or several where it is a
// slice.
func memberXML(name string, v any) (string, error) {
	if !isXMLName(name) {
		return "", fmt.Errorf("envelope: Member %q is no name in XML", name)
	}
	var b strings.Builder
	e := xml.NewEncoder(io.Writer(&b))
	err := e.EncodeElement(v, xml.StartElement{Name: xml.Name{Local: name}})
	return b.String(), errors.Join(err, e.Close())
}
