// Package envelope gives every answer of a service one shape: data and errors,
// 404 and 500, whoever wrote them.
//
// # Quick start
//
//	env, err := envelope.New(envelope.Config{Style: envelope.StatusData{}})
//	handler := keystile.Routes(mux, env.Wrap, guard.Wrap, limits.Wrap)
//
// Handlers write bare JSON and know nothing of it. What one writes as
//
//	{"name":"Ada"}
//
// the client reads as
//
//	{"status":"success","data":{"name":"Ada"}}
//
// and a caller without a key as
//
//	{"status":"error","message":"Valid credentials are required.","data":null}
//
// Four styles come with the package; [Style] has an example of one's own.
// [Config].Map says other texts and statuses. [Write] answers with more than
// data (a message, the pages of a list) and is the only way to XML and to vendor
// media types.
//
// # What is framed
//
// A success (200 to 299) whose Content-Type is application/json or ends in +json
// gets the frame around it as it streams; the body is never buffered. So does
// one without a Content-Type whose first bytes are JSON, and one without a body,
// whose data is null. Its Content-Type is then application/json, or the vendor
// type that the handler chose; its Content-Length, digests and Accept-Ranges go,
// since they speak of the bare data. HEAD gets what GET gets, without the body.
//
// An error (400 and above) that a handler or a framework writes itself is read
// up to Config.ErrorLimit and rendered by the style, with the handler's status
// and text; see [ForeignError]. A panic is logged and answered as a 500 if
// nothing has been sent.
//
// All else passes untouched: 1xx, 204, 205, 206, 304, redirects, text, HTML,
// events, files, what has a Content-Encoding, and a connection that was
// hijacked.
//
// # A frame is never a lie
//
// The frame is closed only around exactly one complete JSON value. The bytes of
// a handler are checked as they pass: text that would end the value early could
// forge the members of the frame. Where the body turns out to be no JSON, to be
// cut short or to be followed by something, the answer is 500 if nothing has
// been sent, and else the connection is aborted (http.ErrAbortHandler): the
// client has something that does not parse, and knows that it is not whole. So
// does a panic in the middle, and so does an error in the middle.
//
// # Rules of coexistence
//
//   - Put an Envelope outermost inside keystile.Routes: what a Guard, a limiter and
//     the router itself refuse has its shape too. What is answered outside of it
//     has not.
//   - Compress outside. Accept-Encoding is withheld from the handlers below, so
//     what they or a proxied server send is not encoded. An encoded body passes
//     untouched, without a frame.
//   - Put http.TimeoutHandler inside the Envelope and outside of a limiter, so that
//     its 503 has the shape of the house. It buffers, so nothing streams through
//     it. Outside it works too, and its 503 is bare.
//   - An access log goes outside and sees the final status; a middleware that
//     looks at the body goes inside and sees bare data.
//   - An Envelope inside another, such as that of a mounted router, wins for its
//     routes.
//   - The ETag of bare data is one of the framed data too, since the frame around
//     it is the same each time: If-None-Match and If-Match work. Ranges do not: a
//     206 has the bytes of the bare data. Offer ranges for files only, not for
//     JSON.
//   - Set the Content-Type before you flush. While there is neither a type nor a
//     byte, Flush does nothing.
//
// The ResponseWriter that handlers get has Unwrap, and Flush and Hijack where
// the one below has them; http.ResponseController works through it.
//
// # A trap
//
// A handler that prints text such as [1] without a Content-Type prints JSON, and
// gets a frame around it. Say text/plain.
package envelope
