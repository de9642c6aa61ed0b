package layers_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestImportsPointDown(t *testing.T) {
	if !haveGo() {
		t.Skip("no go command in PATH: it lists the imports")
	}
	root := filepath.Join("..", "..")
	if err := touch(root); err != nil {
		t.Fatal(err)
	}
	g, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	if self := g[module+"/internal/layers"]; !slices.Contains(self.tests, "testing") {
		t.Fatalf("the list has %d packages, but not the imports of this test: is %s still the module's name?", len(g), module)
	}
	for _, f := range judge(g, rules) {
		t.Error(f.explain())
	}
}

// drawn reads a graph from lines such as "./a: ./b fmt" and "./a tests: testing".
func drawn(t *testing.T, lines ...string) graph {
	t.Helper()
	full := func(name string) string {
		if name == "." || strings.HasPrefix(name, "./") {
			return strings.TrimSuffix(module+"/"+strings.TrimPrefix(strings.TrimPrefix(name, "."), "/"), "/")
		}
		return name
	}
	g := graph{}
	for _, line := range lines {
		left, right, ok := strings.Cut(line, ":")
		name := strings.Fields(left)
		if !ok || len(name) == 0 {
			t.Fatalf("no package and colon in %q", line)
		}
		n := g[full(name[0])]
		for _, imported := range strings.Fields(right) {
			if len(name) == 2 && name[1] == "tests" {
				n.tests = append(n.tests, full(imported))
			} else {
				n.code = append(n.code, full(imported))
			}
		}
		g[full(name[0])] = n
	}
	return g
}

const (
	aGin       = "github.com/gin-gonic/gin"
	anEcho     = "github.com/labstack/echo/v4"
	aJWT       = "github.com/golang-jwt/jwt/v5"
	aRedis     = "github.com/redis/go-redis/v9"
	anLRU      = "github.com/hashicorp/golang-lru/v2"
	aBcrypt    = "golang.org/x/crypto/bcrypt"
	aPorcupine = "github.com/anishathalye/porcupine"
	aDriver    = "github.com/jackc/pgx/v5/stdlib"
	aStranger  = "example.com/stranger"
)

var breaches = []struct {
	name  string
	graph []string
	want  []string
}{
	{"the root imports a room", []string{".: net/http ./internal/record ./apikey"},
		[]string{"the root stands alone: . -> ./apikey"}},
	{"the root imports another module", []string{".: " + aBcrypt},
		[]string{"the root stands alone: . -> " + aBcrypt, "password hashes in basicauth: . -> " + aBcrypt}},
	{"the record imports the root", []string{"./internal/record: sync ."},
		[]string{"the record stands alone: ./internal/record -> ."}},
	{"a room imports the room beside it", []string{"./apikey: . ./limiter"},
		[]string{"apikey keeps to itself: ./apikey -> ./limiter"}},
	{"a room reaches another through a package between", []string{"./limiter/redislimit: ./limiter ./internal/between", "./internal/between: ./bearer"},
		[]string{
			"limiter keeps to itself: ./limiter/redislimit -> ./internal/between -> ./bearer",
			"what is below limiter rests on it: ./limiter/redislimit -> ./internal/between",
		}},
	{"a room imports what is below it", []string{"./apikey: ./apikey/filekeys"},
		[]string{"apikey rests on the root: ./apikey -> ./apikey/filekeys"}},
	{"a room imports what is above it", []string{"./webhook: ./adapters/ginadapter"},
		[]string{"webhook rests on the root: ./webhook -> ./adapters/ginadapter"}},
	{"a store imports the store beside it", []string{"./apikey/sqlkeys: ./apikey ./apikey/filekeys"},
		[]string{"what is below apikey rests on it: ./apikey/sqlkeys -> ./apikey/filekeys"}},
	{"an adapter knows a room", []string{"./adapters/ginadapter: . ./limiter " + aGin},
		[]string{"adapters rest on the root: ./adapters/ginadapter -> ./limiter"}},
	{"a package imports gin", []string{"./envelope: " + aGin},
		[]string{"gin in its adapter: ./envelope -> " + aGin}},
	{"a package gets gin through the adapter", []string{"./conformance: ./adapters/ginadapter", "./adapters/ginadapter: " + aGin},
		[]string{"gin in its adapter: ./conformance -> ./adapters/ginadapter -> " + aGin}},
	{"gin in the adapter for echo", []string{"./adapters/echoadapter: " + anEcho + " " + aGin},
		[]string{"gin in its adapter: ./adapters/echoadapter -> " + aGin}},
	{"echo in the adapter for gin", []string{"./adapters/ginadapter: " + anEcho},
		[]string{"echo in its adapters: ./adapters/ginadapter -> " + anEcho}},
	{"another module brings echo", []string{"./envelope: " + aJWT, aJWT + ": " + anEcho},
		[]string{
			"echo in its adapters: ./envelope -> " + aJWT + " -> " + anEcho,
			"JWT in bearer: ./envelope -> " + aJWT,
		}},
	{"only the package that imports gin is named", []string{"./webhook: .", "./conformance: ./internal/between", "./internal/between: " + aGin},
		[]string{"gin in its adapter: ./internal/between -> " + aGin}},
	{"a package reads JWTs itself", []string{"./apikey/keyhttp: ./apikey " + aJWT},
		[]string{"JWT in bearer: ./apikey/keyhttp -> " + aJWT}},
	{"JOSE knows requests", []string{"./internal/jose: crypto/rsa . " + aJWT},
		[]string{"JOSE stands below bearer: ./internal/jose -> ."}},
	{"a package verifies signatures itself", []string{"./internal/between: ./internal/jose"},
		[]string{"JOSE for bearer: ./internal/between -> ./internal/jose"}},
	{"a package gets a JWT library through JOSE", []string{"./webhook: . ./internal/jose", "./internal/jose: " + aJWT},
		[]string{"webhook rests on the root: ./webhook -> ./internal/jose", "JOSE for bearer: ./webhook -> ./internal/jose", "JWT in bearer: ./webhook -> ./internal/jose -> " + aJWT}},
	{"the limiter talks to Redis itself", []string{"./limiter: " + aRedis},
		[]string{"Redis in the Redis stores: ./limiter -> " + aRedis}},
	{"the limiter keeps a cache", []string{"./limiter: " + anLRU},
		[]string{"caches where they are needed: ./limiter -> " + anLRU}},
	{"a store keeps a cache beside the one in apikey", []string{"./apikey/sqlkeys: ./apikey " + anLRU},
		[]string{"caches where they are needed: ./apikey/sqlkeys -> " + anLRU}},
	{"a slow hash for API keys", []string{"./apikey: " + aBcrypt},
		[]string{"password hashes in basicauth: ./apikey -> " + aBcrypt}},
	{"a store checks its history while it serves", []string{"./limiter: " + aPorcupine},
		[]string{"history checker in conformance: ./limiter -> " + aPorcupine}},
	{"a store imports a driver", []string{"./apikey/sqlkeys: database/sql " + aDriver},
		[]string{
			"database drivers nowhere: ./apikey/sqlkeys -> " + aDriver,
			"dependencies are chosen: ./apikey/sqlkeys -> " + aDriver,
		}},
	{"code imports testing", []string{"./apikey: testing/fstest"},
		[]string{"testing in conformance: ./apikey -> testing/fstest"}},
	{"code gets testing through conformance", []string{"./internal/between: ./conformance", "./conformance: testing"},
		[]string{"testing in conformance: ./internal/between -> ./conformance -> testing"}},
	{"a package imports an example", []string{"./conformance: ./examples/gin/handlers"},
		[]string{"examples are ends: ./conformance -> ./examples/gin/handlers"}},
	{"a test imports an example", []string{"./conformance tests: ./examples/gin/handlers"},
		[]string{"examples are ends: ./conformance (tests) -> ./examples/gin/handlers"}},
	{"an example imports another example", []string{"./examples/gin: ./examples/gin/handlers ./examples/echo/handlers"},
		[]string{"examples share in one place: ./examples/gin -> ./examples/echo/handlers"}},
	{"code reports evidence", []string{"./conformance: ./internal/evidence"},
		[]string{"test aids in tests: ./conformance -> ./internal/evidence"}},
	{"a test imports gin", []string{"./envelope tests: " + aGin},
		[]string{"light tests: ./envelope (tests) -> " + aGin}},
	{"a test gets gin through the adapter", []string{"./apikey tests: ./apikey ./adapters/ginadapter", "./adapters/ginadapter: " + aGin},
		[]string{"light tests: ./apikey (tests) -> ./adapters/ginadapter -> " + aGin}},
	{"a test gets JWT through the room beside it", []string{"./apikey tests: ./bearer", "./bearer: " + aJWT},
		[]string{"light tests: ./apikey (tests) -> ./bearer -> " + aJWT}},
	{"the test of a Redis store uses a driver", []string{"./apikey/rediskeys: ./apikey " + aRedis, "./apikey/rediskeys tests: " + aRedis + " " + aDriver},
		[]string{"light tests: ./apikey/rediskeys (tests) -> " + aDriver}},
	{"a dependency that nobody chose", []string{"./webhook: . " + aStranger},
		[]string{"dependencies are chosen: ./webhook -> " + aStranger}},
}

func TestEachBreachIsFound(t *testing.T) {
	for _, tt := range breaches {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range judge(drawn(t, tt.graph...), rules) {
				got = append(got, f.String())
			}
			if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(tt.want))) {
				t.Errorf("found\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(tt.want, "\n\t"))
			}
		})
	}
}

// A rule that no drawn graph breaks might be one that nothing can break. The rules that each room
// has are alike: one room's breach stands for all.
func TestEachRuleHasABreach(t *testing.T) {
	alike := func(rule string) string {
		for _, room := range rooms {
			rule = strings.ReplaceAll(rule, room+" ", "a room ")
		}
		return rule
	}
	broken := map[string]bool{}
	for _, tt := range breaches {
		for _, want := range tt.want {
			rule, _, _ := strings.Cut(want, ":")
			broken[alike(rule)] = true
		}
	}
	for _, r := range rules {
		if !broken[alike(r.name)] {
			t.Errorf("no graph in breaches breaks the rule %q: add one", r.name)
		}
	}
	known := map[string]bool{}
	for _, r := range rules {
		if known[r.name] {
			t.Errorf("two rules are named %q", r.name)
		}
		known[r.name] = true
		if r.because == "" {
			t.Errorf("the rule %q gives no reason: say why in because", r.name)
		}
	}
}

func TestTheDesignBreaksNoRule(t *testing.T) {
	g := drawn(t,
		".: context net/http ./internal/record",
		". tests: testing net/http/httptest .",
		"./internal/record: context sync/atomic",
		"./apikey: . ./internal/record crypto/sha256 ./apikey/internal/shards "+anLRU,
		"./apikey tests: testing testing/synctest . ./apikey ./internal/evidence",
		"./apikey/internal/shards: "+anLRU,
		"./apikey/sqlkeys: ./apikey ./apikey/sqlkeys/dialects database/sql",
		"./apikey/rediskeys: ./apikey "+aRedis,
		"./apikey/rediskeys tests: ./apikey/rediskeys "+aRedis,
		"./apikey/keyhttp: . ./apikey",
		"./basicauth: . "+anLRU+" "+aBcrypt,
		"./bearer: . ./internal/jose "+anLRU,
		"./internal/jose: crypto/rsa "+aJWT,
		"./bearer tests: ./bearer "+aJWT,
		"./limiter: . ./internal/record",
		"./limiter/redislimit: ./limiter "+aRedis,
		"./envelope: . ./internal/record",
		"./webhook: .",
		"./adapters/ginadapter: . ./internal/record "+aGin,
		"./adapters/ginadapter tests: ./conformance ./bearer ./limiter",
		"./adapters/echoadapter: . ./internal/record "+anEcho,
		"./conformance: testing . ./apikey ./basicauth ./limiter "+aPorcupine,
		"./examples/gin: ./examples/gin/handlers ./adapters/ginadapter ./apikey "+aGin+" "+aStranger,
		aGin+": net/http "+aBcrypt,
		"net/http: testing/internal",
	)
	for _, f := range judge(g, rules) {
		t.Error(f.explain())
	}
}

func TestAFindingSaysWhyAndWhatIsAllowed(t *testing.T) {
	found := judge(drawn(t, "./internal/record: ."), rules)
	if len(found) != 1 {
		t.Fatalf("%d findings, want 1", len(found))
	}
	text := found[0].explain()
	for _, want := range []string{"the record stands alone", "./internal/record -> .", "because the record is below the root", "allowed: std"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestTheListHasTheImportsOfOtherSystems(t *testing.T) {
	if !haveGo() {
		t.Skip("no go command in PATH: it lists the imports")
	}
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":         "module " + module + "\n\ngo 1.25.0\n",
		"doc.go":         "package keystile\n\nimport _ \"context\"\n",
		"doc_test.go":    "package keystile_test\n\nimport _ \"testing\"\n",
		"elsewhere.go":   "//go:build plan9 && js\n\npackage keystile\n\nimport _ \"net/http\"\n",
		"tagged_test.go": "//go:build never\n\npackage keystile_test\n\nimport _ \"net/url\"\n",
		"generate.go":    "//go:build ignore\n\npackage main\n\nimport _ \"testing/fstest\"\n",
		"room/room.go":   "package room\n",
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	g, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := g[module].code, []string{"context", "net/http"}; !slices.Equal(got, want) {
		t.Errorf("the code imports %q, want %q", got, want)
	}
	if got, want := g[module].tests, []string{"testing", "net/url"}; !slices.Equal(got, want) {
		t.Errorf("the tests import %q, want %q", got, want)
	}
	if _, ok := g[module+"/room"]; !ok {
		t.Errorf("no room in the list: %q", slices.Sorted(maps.Keys(g)))
	}
}
