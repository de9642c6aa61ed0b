package bearer_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/bearer"
)

// octSet is a JWK Set of secrets that differ in their last byte.
func octSet(kids ...string) string {
	var keys []string
	for _, kid := range kids {
		keys = append(keys, fmt.Sprintf(`{"kty":"oct","kid":%q,"k":%q}`, kid, b64(secret+kid)))
	}
	return `{"keys":[` + strings.Join(keys, ",") + `]}`
}

func octToken(kid string) string {
	return sign(bearer.HS256, []byte(secret+kid), `{"alg":"HS256","kid":"`+kid+`"}`, claims(m{"sub": kid}))
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	changed := noon
	write := func(text string) {
		t.Helper()
		next := path + ".next"
		if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		changed = changed.Add(time.Second)
		if err := os.Chtimes(next, changed, changed); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, path); err != nil {
			t.Fatal(err)
		}
	}
	write(octSet("a", "b"))
	clock := newFakeClock()
	var log strings.Builder
	c := withIssuer(func(is *bearer.Issuer) { is.KeySet = bearer.KeyFile(path) })
	c.Now, c.Logger = clock.Now, slog.New(slog.NewTextHandler(&log, nil))
	a := newAuthenticator(t, c)
	check := func(when string, good, bad []string) {
		t.Helper()
		for _, kid := range good {
			if _, err := present(a, octToken(kid)); err != nil {
				t.Errorf("%s: %s: %v", when, kid, err)
			}
		}
		for _, kid := range bad {
			_, err := present(a, octToken(kid))
			wantRefused(t, err, keystile.CodeUnauthorized, "no key")
		}
	}
	check("at first", []string{"a", "b"}, []string{"c"})

	write(octSet("b", "c"))
	check("within a second of the change", []string{"a", "b"}, nil)
	clock.Advance(time.Second)
	check("after the change", []string{"b", "c"}, []string{"a"})

	for name, text := range map[string]string{
		"an empty file": "", "half a file": octSet("a")[:40], "no keys": octSet(), "a key that is too short": `{"kty":"oct","k":"YQ"}`,
		"HTML": "<html>", "a megabyte": strings.Repeat(" ", 1<<20) + octSet("a"), "keys for something else": `{"keys":[{"kty":"oct","use":"enc","k":"` + b64(secret) + `"}]}`,
	} {
		write(text)
		clock.Advance(time.Second)
		check(name, []string{"b", "c"}, []string{"a"})
		if !strings.Contains(log.String(), path) {
			t.Errorf("%s is not logged", name)
		}
		log.Reset()
		clock.Advance(time.Second)
		if check(name+", again", []string{"b"}, nil); log.Len() > 0 {
			t.Errorf("%s is logged twice: %s", name, &log)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Second)
	check("without a file", []string{"b", "c"}, []string{"a"})
	write(octSet("a"))
	clock.Advance(time.Second)
	check("with a good file again", []string{"a"}, []string{"b", "c"})
	if strings.Contains(log.String(), b64(secret)[:20]) {
		t.Error("a secret is in the log")
	}
}

// A single JWK as a file, and a set given as text, are key sets too.
func TestSingleJWK(t *testing.T) {
	text := fmt.Sprintf(`{"kty":"oct","alg":"HS256","k":%q}`, b64(secret))
	path := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, set := range []bearer.KeySet{bearer.KeyFile(path), bearer.StaticJWKS([]byte(text))} {
		wantAccepted(t, newAuthenticator(t, withIssuer(func(is *bearer.Issuer) { is.KeySet = set })), hs(claims(nil)))
	}
}

// A set may hold keys for algorithms that are not wanted here.
func TestASetWithKeysForOtherAlgorithms(t *testing.T) {
	point := string(must(ec384().PublicKey.Bytes()))
	text := fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-384","kid":"b","x":%q,"y":%q},%s`, b64(point[1:49]), b64(point[49:]), ecSet("a", ecKey())[len(`{"keys":[`):])
	a := newAuthenticator(t, withIssuer(func(is *bearer.Issuer) {
		is.Algorithms, is.KeySet = []bearer.Algorithm{bearer.ES256}, bearer.StaticJWKS([]byte(text))
	}))
	wantAccepted(t, a, ecToken("a", ecKey(), nil))
	_, err := present(a, sign(bearer.ES384, ec384(), `{"alg":"ES384","kid":"b"}`, claims(nil)))
	wantRefused(t, err, keystile.CodeUnauthorized, "does not sign with")
}

// R33: what a JWK says of its use counts.
func TestKeysForSomethingElse(t *testing.T) {
	for _, member := range []string{`"use":"enc"`, `"key_ops":["encrypt"]`, `"key_ops":[]`, `"alg":"A256KW"`, `"alg":"HS512"`} {
		text := fmt.Sprintf(`{"kty":"oct","k":%q,%s}`, b64(secret), member)
		if _, err := bearer.New(withIssuer(func(is *bearer.Issuer) { is.KeySet = bearer.StaticJWKS([]byte(text)) })); err == nil {
			t.Errorf("%s is a key for HS256", member)
		}
	}
}
