package wycheproof

import (
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
)

// corpus is a file of test vectors.
type corpus struct {
	NumberOfTests int     `json:"numberOfTests"`
	Groups        []group `json:"testGroups"`
}

type group struct {
	Public  json.RawMessage `json:"public"`  // a JWK or a JWK Set
	Private json.RawMessage `json:"private"` // the same with the private half, or a secret
	Tests   []vector        `json:"tests"`

	// The files about signature primitives have this.
	PEM string `json:"publicKeyPem"`
}

type vector struct {
	ID      int             `json:"tcId"`
	Comment string          `json:"comment"`
	JWS     json.RawMessage `json:"jws"` // a string, or an object for the JSON serialization
	JWE     json.RawMessage `json:"jwe"`
	Result  string          `json:"result"`

	Key bytes `json:"key"`
	Msg bytes `json:"msg"`
	Sig bytes `json:"sig"`
	Tag bytes `json:"tag"`
}

// bytes are written in hexadecimal.
type bytes []byte

func (b *bytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

func load(t *testing.T, name string) corpus {
	t.Helper()
	text, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	var c corpus
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range c.Groups {
		n += len(g.Tests)
	}
	if n != c.NumberOfTests {
		t.Fatalf("%s: %d tests, but it says %d", name, n, c.NumberOfTests)
	}
	return c
}

// keys returns what a verifier is given: the public half where there is one, else
// the secret.
func (g *group) keys() json.RawMessage {
	if g.Public != nil {
		return g.Public
	}
	return g.Private
}

// text returns a token as a client would send it.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}
