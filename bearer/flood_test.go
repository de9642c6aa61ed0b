package bearer_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/bearer"
)

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Whatever is larger than a token may be is refused by its length: nothing of it
// is hashed, decoded or copied, so what is allocated does not grow with it.
func TestOversizedTokensAreRefusedByTheirLength(t *testing.T) {
	a := newAuthenticator(t, bearer.Config{Issuers: []bearer.Issuer{hmacIssuer()}, Opaque: silent{}})
	var many strings.Builder
	for i := range int(1e5) {
		fmt.Fprintf(&many, `,"claim-%d":%d`, i, i)
	}
	for name, token := range map[string]string{
		"1 MB of one claim":     hs(claims(m{"x": strings.Repeat("x", 1<<20)})),
		"10^5 claims":           hs(strings.TrimSuffix(claims(nil), "}") + many.String() + "}"),
		"10^5 deep":             hs(strings.TrimSuffix(claims(nil), "}") + `,"x":` + strings.Repeat("[", 1e5) + strings.Repeat("]", 1e5) + "}"),
		"a header of 1 MB":      sign(bearer.HS256, []byte(secret), `{"alg":"HS256","x":"`+strings.Repeat("x", 1<<20)+`"}`, claims(nil)),
		"a signature of 1 MB":   hs(claims(nil)) + strings.Repeat("A", 1<<20),
		"an opaque key of 1 MB": strings.Repeat("a", 1<<20),
		"1 MB of no token":      strings.Repeat("\x01", 1<<20),
	} {
		if len(token) < 1<<17 {
			t.Errorf("%s: only %d bytes", name, len(token))
		}
		r := request("Bearer " + token)
		_, err := a.Authenticate(r)
		wantRefused(t, err, keystile.CodeUnauthorized, "too long")
		if n := testing.AllocsPerRun(50, func() { _, _ = a.Authenticate(r) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// Within the size, what is refused costs a small multiple of it.
func TestTokensOfTheLargestSize(t *testing.T) {
	a := newAuthenticator(t, bearer.Config{})
	fit := func(open, piece, end string) string {
		// As many pieces as a token has room for.
		room := (bearer.MaxToken-len(hs(open+end)))*3/4 - 8
		return open + strings.Repeat(piece, room/len(piece)) + end
	}
	open := strings.TrimSuffix(claims(nil), "}")
	headerOf := func(piece, end string) string {
		room := (bearer.MaxToken-len(hs(claims(nil))))*3/4 - 64
		return `{"alg":"HS256"` + strings.Repeat(piece, room/len(piece)) + end
	}
	for name, token := range map[string]string{
		"claims nested as deeply as they fit":  hs(fit(open+`,"x":`, "[", "")),
		"a thousand claims of one name":        hs(fit(open, `,"":0`, "}")),
		"a claim of thousands of numbers":      hs(fit(open+`,"x":[0`, ",0", "]")),
		"a header nested as deeply as it fits": sign(bearer.HS256, []byte(secret), headerOf(`,"x":[`, ""), claims(nil)),
		"a header of a thousand names":         sign(bearer.HS256, []byte(secret), headerOf(`,"":0`, "}"), claims(nil)),
		"a header of one long escape":          sign(bearer.HS256, []byte(secret), headerOf(`,"x":"`+strings.Repeat(`\u0061`, 900), "}"), claims(nil)),
	} {
		if len(token) > bearer.MaxToken || len(token) < bearer.MaxToken/2 {
			t.Errorf("%s: %d bytes", name, len(token))
		}
		r := request("Bearer " + token)
		_, err := a.Authenticate(r)
		wantRefused(t, err, keystile.CodeUnauthorized, "")
		if n := allocated(func() { _, _ = a.Authenticate(r) }); n > 16*bearer.MaxToken {
			t.Errorf("%s: %d bytes allocated for %d", name, n, len(token))
		}
	}
}

// What is refused is not remembered, and costs no more memory the more of it
// comes.
func TestRefusedTokensLeaveNothingBehind(t *testing.T) {
	a := newAuthenticator(t, bearer.Config{})
	good := hs(claims(nil))
	flood := func(n int) {
		for i := range n {
			_, _ = present(a, fmt.Sprintf("%s%08d", good[:len(good)-8], i))
		}
	}
	flood(1000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	flood(5000)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("%d bytes stay for 5000 refused tokens", grown)
	}
	runtime.KeepAlive(a)
}

func BenchmarkRefused(b *testing.B) {
	a := newAuthenticator(b, bearer.Config{})
	for name, token := range map[string]string{
		"1 MB":          strings.Repeat("a.", 1<<19),
		"bad signature": flipped(hs(claims(nil))),
		"garbage":       "a.b.c",
		"dots":          strings.Repeat(".", bearer.MaxToken),
		"8 KiB header":  sign(bearer.HS256, []byte(secret), `{"alg":"HS256","x":[0`+strings.Repeat(",0", 2700)+`]}`, claims(m{"iss": "x"})),
	} {
		r := request("Bearer " + token)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Authenticate(r); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}
