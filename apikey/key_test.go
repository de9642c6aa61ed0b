package apikey_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
)

func TestACloneSharesNothing(t *testing.T) {
	// Every field is set, so that one that is added later is not forgotten.
	k := full("k", digest(1))
	k.RevokedAt, k.RevokedReason, k.RevokedBy, k.Revision = noon, "r", "b", 7
	v := reflect.ValueOf(*k)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Fatalf("the test does not set %s", v.Type().Field(i).Name)
		}
	}
	c := k.Clone()
	wantKey(t, "the clone", c, k)
	c.Scopes[0], c.Networks[0], c.Endpoints[0], c.Metadata["a.b"], c.Secrets[0].Digest = "x", netip.Prefix{}, "x", "x", digest(9)
	if k.Scopes[0] == "x" || !k.Networks[0].IsValid() || k.Endpoints[0] == "x" || k.Metadata["a.b"] == "x" || k.Secrets[0].Digest == digest(9) {
		t.Errorf("the original was changed: %+v", k)
	}
	if (*apikey.Key)(nil).Clone() != nil {
		t.Error("a clone of nothing is something")
	}
	var credential keystile.Credential = k
	if got := credential.CloneCredential().(*apikey.Key); got.Secrets != nil || got.ID != "k" {
		t.Errorf("as a credential: %+v", got)
	}
}

func TestState(t *testing.T) {
	for _, tt := range []struct {
		name string
		key  apikey.Key
		want apikey.State
	}{
		{"nothing set", apikey.Key{}, apikey.StateActive},
		{"expires later", apikey.Key{ExpiresAt: noon.Add(1)}, apikey.StateActive},
		{"expires now", apikey.Key{ExpiresAt: noon}, apikey.StateExpired},
		{"disabled", apikey.Key{DisabledAt: noon.Add(time.Hour)}, apikey.StateDisabled},
		{"disabled and expired", apikey.Key{DisabledAt: noon, ExpiresAt: noon}, apikey.StateExpired},
		{"revoked", apikey.Key{RevokedAt: noon.Add(time.Hour), DisabledAt: noon, ExpiresAt: noon}, apikey.StateRevoked},
	} {
		if got := tt.key.State(noon); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestParseDigest(t *testing.T) {
	d := digest(7)
	if got, err := apikey.ParseDigest(d.Hex()); err != nil || got != d || !got.Equal(d) {
		t.Errorf("%v, %v", got.Hex(), err)
	}
	for _, s := range []string{"", "00", strings.ToUpper(strings.Repeat("ab", 32)), strings.Repeat("g", 64), d.Hex() + "0", d.Hex()[1:], " " + d.Hex()[1:]} {
		got, err := apikey.ParseDigest(s)
		if err == nil || !got.IsZero() || s != "" && strings.Contains(err.Error(), s) {
			t.Errorf("%q: %v, %v", s, got.Hex(), err)
		}
	}
	if d.IsZero() || !(apikey.Digest{}).IsZero() || d.Equal(digest(8)) {
		t.Error("IsZero or Equal")
	}
}

// Every field of a configuration says what it is by default, or that there is no
// default; and no configuration has more fields than fit in a head.
func TestConfigurationsAreDocumented(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	structs := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		s, ok := spec.Type.(*ast.StructType)
		if !ok || !spec.Name.IsExported() {
			return true
		}
		structs++
		if n := len(s.Fields.List); n > 13 {
			t.Errorf("%s has %d fields; group them", spec.Name, n)
		}
		for _, f := range s.Fields.List {
			text := strings.ReplaceAll(f.Doc.Text()+f.Comment.Text(), "\n", " ")
			if !strings.Contains(text, "Required") && !strings.Contains(text, "Default: ") {
				t.Errorf("%s.%s says neither Required nor Default: %q", spec.Name, f.Names[0], text)
			}
		}
		return true
	})
	if structs != 4 {
		t.Errorf("%d configurations were looked at, want 4", structs)
	}
}
