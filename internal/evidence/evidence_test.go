//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package evidence_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keystile/keystile/internal/evidence"
)

// recorder stands in for the test that reports. Like *testing.T it remembers a failure.
type recorder struct {
	name  string
	log   strings.Builder
	fatal string
}

func (r *recorder) Helper()                    {}
func (r *recorder) Name() string               { return r.name }
func (r *recorder) Logf(f string, args ...any) { fmt.Fprintf(&r.log, f+"\n", args...) }
func (r *recorder) Fatalf(f string, a ...any)  { r.fatal = fmt.Sprintf(f, a...) }
func day(n int) func() time.Time {
	return func() time.Time { return time.Date(2026, 3, n, 23, 0, 0, 0, time.UTC) }
}
func rows(what, value string) (all [][2]string) { return [][2]string{{what, value}} }

// repository makes a directory that looks like the root module, with a package and a nested
// module that has one, and returns the root.
func repository(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	files := map[string]string{
		"go.mod":                     "module github.com/keystile/keystile\n\ngo 1.25.0\n",
		"apikey/doc.go":              "package apikey\n",
		"internal/nested/go.mod":     "module github.com/keystile/keystile/internal/nested\n\ngo 1.25.0\n",
		"internal/nested/sub/doc.go": "package sub\n",
	}
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func report(t *testing.T, b evidence.Book, test, page, title string, rows [][2]string) {
	t.Helper()
	r := &recorder{name: test}
	b.Report(r, page, title, rows)
	if r.fatal != "" {
		t.Fatalf("Report(%q, %q) failed: %s", page, title, r.fatal)
	}
}

func pageText(t *testing.T, root, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "evidence", page+".md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCountIsFullOnlyWhenEvidenceIsCollected(t *testing.T) {
	if got := (evidence.Book{}).Count(10, 1000); got != 10 {
		t.Errorf("in a normal run Count(10, 1000) = %d, want 10", got)
	}
	if got := (evidence.Book{On: true}).Count(10, 1000); got != 1000 {
		t.Errorf("with evidence on Count(10, 1000) = %d, want 1000", got)
	}
}

func TestTheEnvironmentTurnsEvidenceOn(t *testing.T) {
	for _, tt := range []struct {
		value string
		want  int
	}{
		{"1", 1000},
		{"0", 10},
		{"", 10},
	} {
		t.Setenv("KEYSTILE_EVIDENCE", tt.value)
		if got := evidence.Count(10, 1000); got != tt.want {
			t.Errorf("with KEYSTILE_EVIDENCE=%q Count(10, 1000) = %d, want %d", tt.value, got, tt.want)
		}
	}
}

func TestANormalRunLogsAndWritesNothing(t *testing.T) {
	root := repository(t)
	r := &recorder{name: "TestHits"}
	evidence.Book{Dir: root, Now: day(1)}.Report(r, "cache", "Hits", rows("reads", "7"))
	if want := "Hits\n  reads: 7\n"; r.log.String() != want {
		t.Errorf("logged %q, want %q", r.log.String(), want)
	}
	if _, err := os.Stat(filepath.Join(root, "docs")); !os.IsNotExist(err) {
		t.Errorf("docs exists (%v), want nothing written", err)
	}
}

func TestTheFirstReportMakesThePage(t *testing.T) {
	root := repository(t)
	b := evidence.Book{On: true, Dir: filepath.Join(root, "apikey"), Now: day(1)}
	report(t, b, "TestHits/with a|bar", "cache", "Hits", [][2]string{{"store reads", "7"}, {"a|b", "two\nlines"}})
	want := fmt.Sprintf("# cache\n\nThe tests write the sections of this page: run `make evidence`.\n\n"+
		"## Hits\n\n"+
		"- Date: 2026-03-01\n"+
		"- Command: `make evidence`; this test alone: `KEYSTILE_EVIDENCE=1 go test -count=1 -timeout 80m -run '^TestHits$/^with a\\|bar$' ./apikey`\n"+
		"- Go: %s %s/%s\n"+
		"- CPUs: %d\n\n"+
		"| what | value |\n|---|---|\n| store reads | 7 |\n| a\\|b | two<br>lines |\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	if got := pageText(t, root, "cache"); got != want {
		t.Errorf("the page is\n%s\nwant\n%s", got, want)
	}
	if info, err := os.Stat(filepath.Join(root, "docs", "evidence", "cache.md")); err != nil || info.Mode().Perm()&0o444 != 0o444 {
		t.Errorf("the page's mode is %v (%v), want one that everyone can read", info.Mode(), err)
	}
}

func TestTheCommandFitsWhereTheTestIs(t *testing.T) {
	for _, tt := range []struct{ dir, want string }{
		{".", " -run '^TestX$' .`"},
		{"apikey", " -run '^TestX$' ./apikey`"},
		{"internal/nested", "go test -C internal/nested -count=1 -timeout 80m -run '^TestX$' .`"},
		{"internal/nested/sub", "go test -C internal/nested -count=1 -timeout 80m -run '^TestX$' ./sub`"},
	} {
		t.Run(tt.dir, func(t *testing.T) {
			root := repository(t)
			b := evidence.Book{On: true, Dir: filepath.Join(root, filepath.FromSlash(tt.dir)), Now: day(1)}
			report(t, b, "TestX", "page", "Title", rows("a", "b"))
			if got := pageText(t, root, "page"); !strings.Contains(got, tt.want) {
				t.Errorf("no %q in\n%s", tt.want, got)
			}
		})
	}
}

func TestSectionsAreSortedAndReplaced(t *testing.T) {
	root := repository(t)
	b := evidence.Book{On: true, Dir: root, Now: day(1)}
	for _, title := range []string{"Misses", "Hits", "Hits and misses"} {
		report(t, b, "TestX", "cache", title, rows("old", title))
	}
	b.Now = day(2)
	report(t, b, "TestX", "cache", "Hits", rows("new", "Hits"))

	once := pageText(t, root, "cache")
	at := 0
	for _, want := range []string{"# cache\n", "## Hits\n", "2026-03-02", "| new | Hits |", "## Hits and misses\n", "2026-03-01", "| old | Hits and misses |", "## Misses\n", "| old | Misses |"} {
		i := strings.Index(once[at:], want)
		if i < 0 {
			t.Fatalf("no %q after byte %d of\n%s", want, at, once)
		}
		at += i + len(want)
	}
	if strings.Contains(once, "| old | Hits |") {
		t.Errorf("the old section is still there:\n%s", once)
	}

	report(t, b, "TestX", "cache", "Hits", rows("new", "Hits"))
	if twice := pageText(t, root, "cache"); twice != once {
		t.Errorf("the same report again changed the page from\n%s\nto\n%s", once, twice)
	}
}

func TestTextAboveTheSectionsIsKept(t *testing.T) {
	root := repository(t)
	dir := filepath.Join(root, "docs", "evidence")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cache.md"), []byte("# The cache\n\nHow to read this page.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	report(t, evidence.Book{On: true, Dir: root, Now: day(1)}, "TestX", "cache", "Hits", rows("a", "b"))
	if got, want := pageText(t, root, "cache"), "# The cache\n\nHow to read this page.\n\n## Hits\n"; !strings.HasPrefix(got, want) {
		t.Errorf("the page begins otherwise than %q:\n%s", want, got)
	}
}

func TestReportsAtOnceAllArrive(t *testing.T) {
	root := repository(t)
	const writers = 16
	var wg sync.WaitGroup
	start := make(chan struct{})
	recorders := make([]recorder, writers)
	for i := range writers {
		wg.Go(func() {
			<-start
			evidence.Book{On: true, Dir: root, Now: day(1)}.
				Report(&recorders[i], "busy", fmt.Sprintf("Writer %02d", i), rows("writer", fmt.Sprint(i)))
		})
	}
	close(start)
	wg.Wait()
	text := pageText(t, root, "busy")
	for i := range writers {
		if recorders[i].fatal != "" {
			t.Errorf("writer %d: %s", i, recorders[i].fatal)
		}
		if n := strings.Count(text, fmt.Sprintf("\n## Writer %02d\n", i)); n != 1 {
			t.Errorf("writer %d has %d sections, want 1", i, n)
		}
	}
	left, err := os.ReadDir(filepath.Join(root, "docs", "evidence"))
	if err != nil || len(left) != 1 {
		t.Errorf("docs/evidence holds %v (%v), want the page alone", left, err)
	}
}

func TestMistakesFailTheTestAndNameTheRemedy(t *testing.T) {
	root := repository(t)
	for _, tt := range []struct {
		name, page, title string
		rows              [][2]string
		dir, want         string
	}{
		{"a page with a path", "../cache", "Hits", rows("a", "b"), root, "use lower-case letters"},
		{"a page with its suffix", "cache.md", "Hits", rows("a", "b"), root, "without .md"},
		{"no title", "cache", "", rows("a", "b"), root, "use one line of text"},
		{"a title of two lines", "cache", "Hits\n## Misses", rows("a", "b"), root, "use one line of text"},
		{"no rows", "cache", "Hits", nil, root, "report at least one"},
		{"a test outside the repository", "cache", "Hits", rows("a", "b"), t.TempDir(), "inside the repository"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &recorder{name: "TestX"}
			evidence.Book{On: true, Dir: tt.dir, Now: day(1)}.Report(r, tt.page, tt.title, tt.rows)
			if !strings.Contains(r.fatal, tt.want) {
				t.Errorf("failed with %q, want it to say %q", r.fatal, tt.want)
			}
		})
	}
}
