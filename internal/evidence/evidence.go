// Package evidence lets a test leave a measured result behind. A test that can prove more than a
// quick run has time for sizes itself with Count and hands what it found to Report. In a normal
// run the result is only logged. Under `make evidence`, which sets KEYSTILE_EVIDENCE=1, the test
// runs at full size and Report writes its section of a page below docs/evidence.
//
// Only tests import this package. It does not import testing, so that the rule against testing
// in the library's code needs no exception for it.
package evidence

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// TB is the part of *testing.T that Report needs.
type TB interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Count returns full when evidence is collected, else small.
func Count(small, full int) int {
	return fromEnv().Count(small, full)
}

// Report logs rows, pairs of what was measured and its value. When evidence is collected it also
// writes them as the section "## title" of docs/evidence/page.md, over the section of that title.
func Report(t TB, page, title string, rows [][2]string) {
	t.Helper()
	fromEnv().Report(t, page, title, rows)
}

func fromEnv() Book {
	return Book{On: os.Getenv("KEYSTILE_EVIDENCE") == "1", Dir: ".", Now: time.Now}
}

// Book is what Count and Report work on. Tests of this package make one of their own.
type Book struct {
	On  bool             // collect evidence: full size, and Report writes
	Dir string           // the package's directory, at or below the root module's
	Now func() time.Time // dates the sections
}

// Count is the method behind the function of that name.
func (b Book) Count(small, full int) int {
	if b.On {
		return full
	}
	return small
}

// Report is the method behind the function of that name.
func (b Book) Report(t TB, page, title string, rows [][2]string) {
	t.Helper()
	if err := check(page, title, rows); err != nil {
		t.Fatalf("evidence: %v", err)
		return
	}
	t.Logf("%s", logged(title, rows))
	if !b.On {
		return
	}
	where, err := locate(b.Dir)
	if err != nil {
		t.Fatalf("evidence: %v", err)
		return
	}
	path, err := write(where, page, title, b.section(where, t.Name(), title, rows))
	if err != nil {
		t.Fatalf("evidence: page %q: %v", page, err)
		return
	}
	t.Logf("written to %s", path)
}

var pageName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func check(page, title string, rows [][2]string) error {
	if !pageName.MatchString(page) {
		return fmt.Errorf("page %q: use lower-case letters, digits and single hyphens, without .md", page)
	}
	if title == "" || title != strings.TrimSpace(title) || strings.ContainsAny(title, "\r\n") {
		return fmt.Errorf("title %q: use one line of text without space around it", title)
	}
	if len(rows) == 0 {
		return fmt.Errorf("title %q has no rows: report at least one", title)
	}
	return nil
}

func logged(title string, rows [][2]string) string {
	var s strings.Builder
	s.WriteString(title)
	for _, row := range rows {
		fmt.Fprintf(&s, "\n  %s: %s", row[0], row[1])
	}
	return s.String()
}

func (b Book) section(where place, test, title string, rows [][2]string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "## %s\n\n", title)
	fmt.Fprintf(&s, "- Date: %s\n", b.Now().UTC().Format(time.DateOnly))
	fmt.Fprintf(&s, "- Command: `make evidence`; this test alone: `%s`\n", where.command(test))
	fmt.Fprintf(&s, "- Go: %s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(&s, "- CPUs: %d\n\n", runtime.NumCPU())
	s.WriteString("| what | value |\n|---|---|\n")
	for _, row := range rows {
		fmt.Fprintf(&s, "| %s | %s |\n", cell(row[0]), cell(row[1]))
	}
	return s.String()
}

var cellEscapes = strings.NewReplacer("|", `\|`, "\r\n", "<br>", "\n", "<br>")

func cell(s string) string { return cellEscapes.Replace(s) }

const rootModule = "module github.com/keystile/keystile"

// place is a package's directory: root is the root module's directory, module the directory of
// the module that the package is in relative to root, pkg the package's relative to module.
type place struct{ root, module, pkg string }

// locate walks up from dir to the root module, noting a nested module on the way.
func locate(dir string) (place, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return place{}, err
	}
	module := ""
	for at := dir; ; at = filepath.Dir(at) {
		mod, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if err == nil {
			if module == "" {
				module = at
			}
			if slices.Contains(strings.Split(strings.ReplaceAll(string(mod), "\r\n", "\n"), "\n"), rootModule) {
				return newPlace(at, module, dir)
			}
		} else if !os.IsNotExist(err) {
			return place{}, err
		}
		if at == filepath.Dir(at) {
			return place{}, fmt.Errorf("no go.mod with %q at or above %s: run the test inside the repository", rootModule, dir)
		}
	}
}

func newPlace(root, module, pkg string) (place, error) {
	inRoot, err := filepath.Rel(root, module)
	if err != nil {
		return place{}, err
	}
	inModule, err := filepath.Rel(module, pkg)
	if err != nil {
		return place{}, err
	}
	return place{root: root, module: filepath.ToSlash(inRoot), pkg: filepath.ToSlash(inModule)}, nil
}

// command is the shell line that runs one test at full size from the root module's directory.
func (p place) command(test string) string {
	steps := strings.Split(test, "/")
	for i, step := range steps {
		steps[i] = "^" + regexp.QuoteMeta(step) + "$"
	}
	line := "KEYSTILE_EVIDENCE=1 go test"
	if p.module != "." {
		line += " -C " + p.module
	}
	line += " -count=1 -timeout 80m -run " + shellQuote(strings.Join(steps, "/"))
	if p.pkg == "." {
		return line + " ."
	}
	return line + " ./" + p.pkg
}

func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
