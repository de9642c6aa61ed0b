package limiter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile/internal/evidence"
)

// pureFiles hold all the arithmetic of limits.
var pureFiles = []string{"decide.go", "state.go", "outlook.go"}

// TestFlippingAnyComparisonTurnsTheLedgerRed builds the package with one operator
// of its arithmetic turned around, and wants TestStoresAgreeWithTheLedger to see
// it: with evidence on for every operator there is, else for one of them.
func TestFlippingAnyComparisonTurnsTheLedgerRed(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the package several times")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command")
	}
	var all []mutant
	perFile := map[string]int{}
	for _, file := range pureFiles {
		found := mutants(t, file)
		all = append(all, found...)
		perFile[file] = len(found)
	}
	if len(all) < 55 || perFile["decide.go"] < 25 {
		t.Fatalf("found %d mutants, %v: there must be more operators than that", len(all), perFile)
	}
	if fate, alive := unchanged(t).try(t); !alive {
		t.Fatalf("the package as it is: %s; so the test would see anything", fate)
	}
	run := all
	if n := evidence.Count(1, len(all)); n < len(all) {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		run = all[:n]
	}
	rows := [][2]string{{"operators turned around, one at a time", fmt.Sprint(len(run))}, {"in files", strings.Join(pureFiles, ", ")}}
	killed := 0
	for _, m := range run {
		fate, alive := m.try(t)
		if alive {
			t.Errorf("%s survives: the history does not show the difference, or there is none and the code should be written without it", m)
		} else {
			killed++
		}
		rows = append(rows, [2]string{m.String(), fate})
	}
	rows = append(rows, [2]string{"seen by the test", fmt.Sprintf("%d of %d", killed, len(run))})
	evidence.Report(t, "limits", "Operators of the arithmetic turned around", rows)
}

// mutant is a file with one change.
type mutant struct {
	file, line, from, to string
	row                  int
	text                 []byte
}

func (m mutant) String() string {
	return fmt.Sprintf("%s:%d `%s`: `%s` for `%s`", m.file, m.row, m.line, m.to, m.from)
}

// flips are what each operator is turned into. Comparisons become their opposite
// and their neighbour at the boundary.
var flips = map[string][]string{
	"<": {"<=", ">="}, "<=": {"<", ">"}, ">": {">=", "<="}, ">=": {">", "<"},
	"==": {"!="}, "!=": {"=="}, "&&": {"||"}, "||": {"&&"}, "!": {""},
	"min": {"max"}, "max": {"min"},
}

// unchanged is no mutant at all.
func unchanged(t *testing.T) mutant {
	t.Helper()
	text, err := os.ReadFile(pureFiles[0])
	if err != nil {
		t.Fatal(err)
	}
	return mutant{file: pureFiles[0], line: "unchanged", text: text}
}

func mutants(t *testing.T, file string) (all []mutant) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, file, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	add := func(at token.Pos, from string) {
		p := files.Position(at)
		line, _, _ := strings.Cut(string(text[p.Offset-p.Column+1:]), "\n")
		for _, to := range flips[from] {
			changed := string(text[:p.Offset]) + to + string(text[p.Offset+len(from):])
			all = append(all, mutant{file: file, row: p.Line, line: strings.TrimSpace(line), from: from, to: to, text: []byte(changed)})
		}
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			add(n.OpPos, n.Op.String())
		case *ast.UnaryExpr:
			add(n.OpPos, n.Op.String())
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok {
				add(f.Pos(), f.Name)
			}
		}
		return true
	})
	return all
}

// try runs the test against the mutant and says what came of it.
func (m mutant) try(t *testing.T) (fate string, alive bool) {
	t.Helper()
	dir := t.TempDir()
	original, err := filepath.Abs(m.file)
	if err != nil {
		t.Fatal(err)
	}
	changed, overlay := filepath.Join(dir, m.file), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{original: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string][]byte{changed: m.text, overlay: replace} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	args := []string{"test", "-overlay", overlay, "-vet=off", "-count=1", "-timeout=60s", "-run", "^TestStoresAgreeWithTheLedger$"}
	if builtWithRace() {
		args = append(args, "-race") // what the build cache has
	}
	cmd := exec.CommandContext(ctx, "go", append(args, ".")...)
	cmd.Env = append(os.Environ(), "KEYSTILE_EVIDENCE=0", "KEYSTILE_SEED=1")
	out, err := cmd.CombinedOutput()
	text := string(out)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "not seen", true
	case !errors.As(err, &exit) || strings.Contains(text, "[build failed]") || strings.Contains(text, "[setup failed]"):
		t.Fatalf("%s: %v\n%s", m, err, text)
	case strings.Contains(text, "panic: test timed out"):
		return "seen: the test hangs", false
	case strings.Contains(text, "panic: "):
		return "seen: panic", false
	case strings.Contains(text, "--- FAIL") && strings.Contains(text, ": operation "):
		return "seen: the answers differ", false
	}
	t.Fatalf("%s: %v\n%s", m, err, text)
	return "", false
}

func builtWithRace() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}
