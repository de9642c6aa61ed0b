package envelope_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/keystile/keystile/envelope"
)

// Compression inside an envelope is wrong. What has been compressed cannot be
// framed, so it passes as it is, and the client gets bare data. By default the
// envelope withholds Accept-Encoding, and such a middleware does nothing;
// KeepAcceptEncoding lets the mistake through.
func ExampleEnvelope_Wrap_incorrect() {
	env, err := envelope.New(envelope.Config{Style: envelope.StatusData{}, KeepAcceptEncoding: true})
	if err != nil {
		log.Fatal(err)
	}
	data := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"name":"Ada"}`))
	})
	for _, h := range []http.Handler{
		env.Wrap(gzipping(data)), // wrong
		gzipping(env.Wrap(data)), // right
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", "gzip")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(w.Header().Get("Content-Encoding"), unzip(w.Body))
	}
	// Output:
	// gzip {"name":"Ada"}
	// gzip {"status":"success","data":{"name":"Ada"}}
}
