package bearer_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keystile/keystile"
)

var (
	manyKeys = sync.OnceValue(func() string {
		all := make([]any, 0, 2e4)
		for i := range int(1e4) {
			all = append(all, fmt.Sprint("k", i), ecKey())
		}
		return ecSet(all...)
	})
	longModulus = sync.OnceValue(func() string {
		return `{"keys":[{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("AAAA", 4<<20) + `"}]}`
	})
)

// faults are what an issuer may answer instead of a key set. elsewhere and plain
// are other servers, with a good one: whoever follows a redirect there finds it.
func faults(p *idp, elsewhere, plain *httptest.Server) map[string]http.HandlerFunc {
	write := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	good := ecSet("a", ecKey())
	return map[string]http.HandlerFunc{
		"500":                        func(w http.ResponseWriter, _ *http.Request) { http.Error(w, good, 500) },
		"404":                        http.NotFound,
		"204":                        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"201 with a good set":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); _, _ = io.WriteString(w, good) },
		"slow":                       func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"slow after the first bytes": slowly(good),
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5000")
			_, _ = io.WriteString(w, good)
			panic(http.ErrAbortHandler)
		},
		"HTML":                 write("<!doctype html><title>Maintenance</title>"),
		"nothing":              write(""),
		"no keys":              write(`{"keys":[]}`),
		"an error in JSON":     write(`{"error":"server_error"}`),
		"half a set":           write(good[:len(good)-20]),
		"a set and more":       write(good + good),
		"a list of keys":       write("[" + good + "]"),
		"keys twice":           write(`{"keys":[],` + good[1:]),
		"only a secret":        write(octSet("a")),
		"only keys for others": write(strings.ReplaceAll(good, `"use":"sig"`, `"use":"enc"`)),
		"only broken keys":     write(strings.ReplaceAll(good, `"crv":"P-256"`, `"crv":"P-384"`)),
		"two keys of one name": write(ecSet("a", ecKey(), "a", secondEC())),
		"10^4 keys":            write(manyKeys()),
		"a modulus of 16 MB":   write(longModulus()),
		"100 MB": func(w http.ResponseWriter, r *http.Request) {
			chunk := []byte(strings.Repeat(" ", 1<<20))
			for range 100 {
				if _, err := w.Write(chunk); err != nil || r.Context().Err() != nil {
					return
				}
				p.sent.Add(1)
			}
		},
		"100 MB announced": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(100<<20))
			_, _ = io.WriteString(w, good)
		},
		"a redirect to another host":   redirect("https://localhost" + p.URL[strings.LastIndex(p.URL, ":"):] + "/jwks"),
		"a redirect to another port":   redirect(elsewhere.URL),
		"a redirect to http":           redirect(plain.URL),
		"a redirect to a local file":   redirect("file:///etc/passwd"),
		"a redirect in circles":        redirect("/jwks"),
		"a redirect without a target":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(302) },
		"a header of a megabyte":       func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 11<<20)) },
		"nothing but a closed socket":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"a set that is nested too far": write(`{"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `,` + good[1:]),
	}
}

func slowly(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, text[:10])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// Whatever the issuer answers: without keys every token is 503, never 401. With
// keys in hand their tokens are good until MaxAge, a kid that is not among them is
// 503. Once the issuer is well, so is everything.
func TestIssuerFaults(t *testing.T) {
	good := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, ecSet("a", ecKey(), "b", secondEC()))
	})
	elsewhere, plain := httptest.NewTLSServer(good), httptest.NewServer(good)
	defer elsewhere.Close()
	defer plain.Close()
	names := faults(newIDP(t, newFakeClock()), elsewhere, plain)
	for name := range names {
		t.Run(name, func(t *testing.T) {
			p := newIDP(t, newFakeClock())
			p.config.Timeout = 5 * time.Second
			if strings.HasPrefix(name, "slow") {
				p.config.Timeout = 20 * time.Millisecond
			}
			faulty := faults(p, elsewhere, plain)[name]
			a := p.authenticator(t)
			lasting := noon.Add(3 * time.Hour).Unix()
			known, unknown := ecToken("a", ecKey(), m{"exp": lasting}), ecToken("b", secondEC(), m{"exp": lasting})

			p.handle(faulty)
			_, err := present(a, known)
			wantUnavailable(t, "no keys in hand", err)
			if hits := p.hits.Load(); hits > 1 && name != "a redirect in circles" {
				t.Errorf("%d requests for one fetch", hits)
			}
			if sent := p.sent.Load(); sent > 50 { // one is read; buffers on the way take some more
				t.Errorf("%d MB were sent", sent)
			}
			_, err = present(a, known)
			wantUnavailable(t, "no keys in hand, within MinInterval", err)

			p.publish(ecSet("a", ecKey()))
			p.clock.Advance(10 * time.Second)
			wantAccepted(t, a, known)

			p.handle(faulty)
			p.clock.Advance(time.Hour - time.Second)
			for range 2 {
				wantAccepted(t, a, known)
				wantAccepted(t, a, ecToken("a", ecKey(), m{"jti": "another", "exp": lasting}))
				_, err = present(a, unknown)
				wantUnavailable(t, "a kid that is not in hand", err)
			}
			p.clock.Advance(time.Second)
			_, err = present(a, ecToken("a", ecKey(), m{"jti": "another", "exp": lasting}))
			wantUnavailable(t, "keys that are too old, of a token that is remembered", err)

			p.publish(ecSet("b", secondEC()))
			p.clock.Advance(10 * time.Second)
			wantAccepted(t, a, unknown)
			_, err = present(a, known)
			wantRefused(t, err, keystile.CodeUnauthorized, "no key")
		})
	}
}
