package keystile

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/keystile/keystile/internal/record"
)

// Responder writes the body of an error in the shape of a house. An envelope is
// one. When it is called, the header fields of e (challenges, Retry-After,
// Cache-Control, those of Error.Header) are already set and may be changed.
type Responder interface {
	RespondError(w http.ResponseWriter, r *http.Request, e *Error)
}

// RespondError writes every error of this module, and may write those of a
// service: through the Responder further out, else as application/problem+json
// (RFC 9457) with Details as members. An err that holds no *Error becomes
// CodeInternal, and its text stays on the server.
//
// A 401 carries the challenges of the Guard that the request passed, every
// answer Cache-Control: no-store. A HEAD request gets the same header fields
// and no body.
func RespondError(w http.ResponseWriter, r *http.Request, err error) {
	g, _ := guardFrom(r)
	respond(w, r, asError(err), g)
}

// answer holds the values of the header fields of one response, in one
// allocation.
type answer struct {
	values [6]string
	used   int
}

// set gives h one value without allocating a slice of its own. Keys are in
// their canonical form.
func (a *answer) set(h http.Header, key, value string) {
	if a.used == len(a.values) {
		h[key] = []string{value}
		return
	}
	a.values[a.used] = value
	h[key] = a.values[a.used : a.used+1 : a.used+1]
	a.used++
}

func respond(w http.ResponseWriter, r *http.Request, e *Error, g *Guard) {
	rec := record.From(r.Context())
	if rec != nil {
		rec.PutOutcome(e)
	}
	a := new(answer)
	h := w.Header()
	if len(h) > 0 {
		dropStale(h)
	}
	g.challenge(a, h, r, e)
	for key, values := range e.Header {
		h[http.CanonicalHeaderKey(key)] = slices.Clone(values)
	}
	a.set(h, "Cache-Control", "no-store")
	if e.RetryAfter > 0 {
		a.set(h, "Retry-After", strconv.FormatInt(wholeSeconds(e.RetryAfter), 10))
	}
	if v, ok := rec.FindResponder(); ok {
		if p, ok := v.(Responder); ok && p != nil {
			p.RespondError(w, r, e)
			return
		}
	}
	a.problem(w, r, e)
}

// dropStale removes what a handler said of the body that it did not get to
// write.
func dropStale(h http.Header) {
	for _, field := range [...]string{"Content-Encoding", "Content-Length", "Content-Range", "Accept-Ranges", "Etag", "Last-Modified", "Trailer"} {
		delete(h, field)
	}
}

// wholeSeconds rounds up: a client that sleeps for the result has slept enough.
func wholeSeconds(d time.Duration) int64 {
	return int64((d-1)/time.Second) + 1
}

// document is a problem document with its length.
type document struct {
	body   []byte
	length string
}

// documents are those of the codes that come without particulars. They are
// constants that are built when they are first wanted.
var documents memo[Code, document]

func documentOf(e *Error) document {
	if e.Status == 0 && e.Type == "" && e.Detail == "" && e.RetryAfter <= 0 && len(e.Details) == 0 && e.Code.Sentence() != "" {
		return documents.get(e.Code, func(c Code) document { return newDocument(&Error{Code: c}) })
	}
	return newDocument(e)
}

func newDocument(e *Error) document {
	body := AppendProblem(nil, e)
	return document{body, strconv.Itoa(len(body))}
}

func (a *answer) problem(w http.ResponseWriter, r *http.Request, e *Error) {
	h, d := w.Header(), documentOf(e)
	a.set(h, "Content-Type", "application/problem+json")
	a.set(h, "X-Content-Type-Options", "nosniff")
	a.set(h, "Content-Length", d.length)
	w.WriteHeader(e.StatusCode())
	if r.Method != http.MethodHead {
		_, _ = w.Write(d.body)
	}
}

// problemBase is where the codes are documented.
const problemBase = "https://github.com/keystile/keystile/blob/main/docs/problems.md#"

// ProblemCapacity is the Error.Type of a refusal because the service has less
// than its usual capacity, draft-ietf-httpapi-ratelimit-headers-10.
const ProblemCapacity = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"

// problemQuota is the type of every 429, from the same draft.
const problemQuota = "https://iana.org/assignments/http-problem-types#quota-exceeded"

func appendProblemType(b []byte, e *Error) []byte {
	switch {
	case e.Type != "":
		return appendJSON(b, e.Type)
	case e.Code == CodeRateLimited || e.Code == CodeConcurrencyLimited:
		return append(append(append(b, '"'), problemQuota...), '"')
	case e.Code.Sentence() == "":
		return append(b, `"about:blank"`...)
	}
	b = append(append(b, '"'), problemBase...)
	return append(append(b, e.Code...), '"')
}

// AppendProblem appends to b the body that RespondError answers e with where no
// Responder is further out: an RFC 9457 document. Its members have a fixed
// order; Details come last, sorted, and replace none of the others.
func AppendProblem(b []byte, e *Error) []byte {
	b = appendProblemType(append(b, `{"type":`...), e)
	b = appendJSON(append(b, `,"title":`...), e.Sentence())
	b = strconv.AppendInt(append(b, `,"status":`...), int64(e.StatusCode()), 10)
	if e.Detail != "" {
		b = appendJSON(append(b, `,"detail":`...), e.Detail)
	}
	b = appendJSON(append(b, `,"code":`...), string(e.Code))
	if e.RetryAfter > 0 {
		b = strconv.AppendInt(append(b, `,"retry_after":`...), wholeSeconds(e.RetryAfter), 10)
	}
	if len(e.Details) > 0 {
		for _, name := range slices.Sorted(maps.Keys(e.Details)) {
			switch name {
			case "type", "title", "status", "detail", "code", "retry_after":
				continue
			}
			member, err := json.Marshal(e.Details[name])
			if err != nil {
				continue // a member that has no JSON form is left out; the rest of the answer stands
			}
			b = append(appendJSON(append(b, ','), name), ':')
			b = append(b, member...)
		}
	}
	return append(b, '}', '\n')
}

// appendJSON writes s as a JSON string. Plain ASCII, which is nearly all there
// is, is copied as it stands.
func appendJSON(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(s)
			if err != nil {
				return append(b, `""`...)
			}
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
