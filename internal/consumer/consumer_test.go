package consumer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/keystile/keystile"
	lru    = "github.com/hashicorp/golang-lru/v2"
)

// heavy begins the paths of modules that must not be in the go.sum of someone who checks API keys.
var heavy = []string{
	"github.com/gin-gonic/", "github.com/labstack/", "github.com/redis/", "github.com/golang-jwt/", "github.com/anishathalye/",
	"github.com/jackc/", "github.com/lib/pq", "github.com/go-sql-driver/", "github.com/mattn/go-sqlite3", "modernc.org/",
}

// Someone who checks API keys gets the library and one cache, whatever else the library can do.
func TestACheckerOfAPIKeysGetsOneCacheBesides(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a module: left out by -short")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command in PATH: it builds the consumer's module")
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	touch(t, root)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), fmt.Sprintf(
		"module example.com/consumer\n\ngo %s\n\nrequire %s v0.0.0\n\nreplace %s => %s\n",
		goVersion(t, root), module, module, quote(t, root)))
	write(t, filepath.Join(dir, "main.go"), fmt.Sprintf("package main\n\nimport _ %q\n\nfunc main() {}\n", module+"/apikey"))

	run(t, dir, "go", "mod", "tidy")
	run(t, dir, "go", "build", "-o", os.DevNull, ".")

	mod := modFile(t, dir)
	var direct, indirect []string
	for _, r := range mod.Require {
		if r.Indirect {
			indirect = append(indirect, r.Path)
		} else {
			direct = append(direct, r.Path)
		}
	}
	if want := []string{module}; !slices.Equal(direct, want) {
		t.Errorf("the consumer requires %q, want %q", direct, want)
	}
	if want := []string{lru}; !slices.Equal(indirect, want) {
		t.Errorf("the consumer requires indirectly %q, want %q: `go list -deps ./apikey` tells what apikey imports, `go mod why -m` in such a module tells whether a test does", indirect, want)
	}
	for _, m := range summed(t, dir) {
		if slices.ContainsFunc(heavy, func(start string) bool { return strings.HasPrefix(m, start) }) {
			t.Errorf("%s is in the consumer's go.sum: move the test of apikey, or of what apikey imports, that needs it to internal/integration, adapters or examples", m)
		}
	}
}

type goMod struct {
	Go      string
	Require []struct {
		Path     string
		Indirect bool
	}
}

func modFile(t *testing.T, dir string) (mod goMod) {
	t.Helper()
	if err := json.Unmarshal(run(t, dir, "go", "mod", "edit", "-json"), &mod); err != nil {
		t.Fatal(err)
	}
	return mod
}

func goVersion(t *testing.T, root string) string {
	t.Helper()
	return modFile(t, root).Go
}

// summed returns the modules in go.sum, each once. A consumer without dependencies has no go.sum.
func summed(t *testing.T, dir string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var modules []string
	for line := range strings.Lines(string(text)) {
		path, _, _ := strings.Cut(line, " ")
		modules = append(modules, path)
	}
	return slices.Compact(modules)
}

// run runs a command for the consumer and returns what it printed. Where the modules that it
// needs cannot be had the test is skipped, but not under CI, which would then prove nothing.
func run(t *testing.T, dir string, command ...string) []byte {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod -buildvcs=false", "GOWORK=off")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		return out
	}
	text := fmt.Sprintf("%s: %v\n%s", strings.Join(command, " "), err, &stderr)
	if !unreachable(stderr.String()) {
		t.Fatal(text)
	}
	if os.Getenv("CI") != "" || os.Getenv("KEYSTILE_REQUIRE_SERVERS") == "1" {
		t.Fatalf("the modules are neither cached nor to be had, and CI or KEYSTILE_REQUIRE_SERVERS=1 wants this test run: give the go command a module proxy\n%s", text)
	}
	t.Skipf("the modules are neither cached nor to be had: set GOPROXY to a module proxy that answers\n%s", text)
	return nil
}

// unreachable tells whether the go command failed for want of a network.
func unreachable(stderr string) bool {
	return slices.ContainsFunc([]string{
		"module lookup disabled by GOPROXY=off",
		"dial tcp", "no such host", "connection refused", "connection reset", "network is unreachable",
		"i/o timeout", "TLS handshake timeout", "Client.Timeout exceeded", "proxyconnect", "Service Unavailable", "Bad Gateway", "Gateway Timeout",
	}, func(sign string) bool { return strings.Contains(stderr, sign) })
}

func TestWhatIsTakenForAMissingNetwork(t *testing.T) {
	for _, tt := range []struct {
		name, stderr string
		want         bool
	}{
		{"the proxy is switched off", "go: github.com/hashicorp/golang-lru/v2@v2.0.7: module lookup disabled by GOPROXY=off", true},
		{"the proxy's name does not resolve", `Get "https://proxy.example/x/@v/list": dial tcp: lookup proxy.example: no such host`, true},
		{"nothing listens", `Get "http://127.0.0.1:1/x/@v/list": dial tcp 127.0.0.1:1: connect: connection refused`, true},
		{"the package does not exist", "module github.com/keystile/keystile@latest found, but does not contain package github.com/keystile/keystile/apikey", false},
		{"the code does not compile", "apikey/keys.go:3:1: undefined: x", false},
		{"a checksum differs", "verifying module: checksum mismatch", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := unreachable(tt.stderr); got != tt.want {
				t.Errorf("unreachable(%q) = %v, want %v", tt.stderr, got, tt.want)
			}
		})
	}
}

// touch opens every directory of the library. The go command keeps the result of a test until a
// file or directory changes that the test opened, and it cannot see what a command reads.
func touch(t *testing.T, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// quote writes a path as go.mod wants it: one with a space needs quotes.
func quote(t *testing.T, path string) string {
	t.Helper()
	text, err := json.Marshal(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
