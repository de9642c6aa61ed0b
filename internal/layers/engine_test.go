package layers_test

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

const module = "github.com/keystile/keystile"

// A rule judges what some packages import. rules_test.go explains the patterns.
type rule struct {
	name    string
	of      []string // whose imports it judges,
	except  []string // but for these
	files   files    // in which files; default: code
	only    []string // if set, each import must match one of these
	never   []string // and none of these
	ignore  []string // imports that the rule does not judge
	through bool     // never counts what the imports import, too
	because string
}

type files int

const (
	code files = iota
	tests
	codeAndTests
)

// graph is what each package imports, by full import path.
type graph map[string]imports

type imports struct{ code, tests []string }

// finding is an import that a rule forbids: chain starts at the importer and ends at what is
// forbidden, so that a direct import has a chain of two.
type finding struct {
	rule  rule
	tests bool
	chain []string
}

func (f finding) String() string {
	var names []string
	for _, p := range f.chain {
		names = append(names, short(p))
	}
	if f.tests {
		names[0] += " (tests)"
	}
	return f.rule.name + ": " + strings.Join(names, " -> ")
}

func (r rule) judges(pkg string) bool {
	return ours(pkg) && matchAny(r.of, pkg, pkg) && !matchAny(r.except, pkg, pkg)
}

// judge returns what breaks the rules, in the order of rules and import paths.
func judge(g graph, rules []rule) []finding {
	var all []finding
	for _, r := range rules {
		for _, pkg := range slices.Sorted(maps.Keys(g)) {
			if !r.judges(pkg) {
				continue
			}
			if r.files != tests {
				all = append(all, r.check(g, pkg, false)...)
			}
			if r.files != code {
				all = append(all, r.check(g, pkg, true)...)
			}
		}
	}
	return all
}

// check judges the imports of one package: of its tests or of its code.
func (r rule) check(g graph, pkg string, inTests bool) []finding {
	from, known := g[pkg].code, map[string]bool{}
	if inTests {
		// What the package's code brings, its users have whatever its tests do.
		from, known = g[pkg].tests, reach(g, pkg)
	}
	var found []finding
	for _, imported := range from {
		if matchAny(r.ignore, imported, pkg) {
			continue
		}
		var chain []string
		switch {
		case r.only != nil && !matchAny(r.only, imported, pkg):
			chain = []string{imported}
		case r.through:
			chain = r.lead(g, imported, known)
		case matchAny(r.never, imported, pkg) && !known[imported]:
			chain = []string{imported}
		}
		if chain != nil {
			found = append(found, finding{r, inTests, append([]string{pkg}, chain...)})
		}
	}
	return found
}

// lead returns the shortest way from a package to one that the rule forbids and that is not
// known, or nil. It does not go through a package whose own code the rule judges, which has a
// finding of its own, nor into the standard library, whose imports are not ours to judge.
func (r rule) lead(g graph, start string, known map[string]bool) []string {
	came := map[string]string{start: ""}
	for queue := []string{start}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if matchAny(r.never, at, "") && !known[at] {
			var chain []string
			for p := at; p != ""; p = came[p] {
				chain = append(chain, p)
			}
			slices.Reverse(chain)
			return chain
		}
		if standard(at) || r.files != tests && r.judges(at) {
			continue
		}
		for _, next := range g[at].code {
			if _, seen := came[next]; !seen {
				came[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}

// reach returns the packages that the code of one needs.
func reach(g graph, pkg string) map[string]bool {
	seen := map[string]bool{}
	for queue := []string{pkg}; len(queue) > 0; queue = queue[1:] {
		for _, next := range g[queue[0]].code {
			if !seen[next] {
				seen[next] = true
				queue = append(queue, next)
			}
		}
	}
	return seen
}

func matchAny(patterns []string, pkg, importer string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, pkg, importer) })
}

func match(pattern, pkg, importer string) bool {
	switch pattern {
	case "std":
		return standard(pkg)
	case "other":
		return !standard(pkg) && !ours(pkg)
	case "own":
		return ours(pkg) && home(pkg) == home(importer)
	}
	if pattern == "." || strings.HasPrefix(pattern, "./") {
		pattern = path.Join(module, pattern)
	}
	stem, all := strings.CutSuffix(pattern, "/...")
	return pkg == stem || all && strings.HasPrefix(pkg, stem+"/")
}

func ours(pkg string) bool { return pkg == module || strings.HasPrefix(pkg, module+"/") }

// standard uses what the go command promises: the first element of a standard package's path has
// no dot.
func standard(pkg string) bool {
	first, _, _ := strings.Cut(pkg, "/")
	return !strings.Contains(first, ".")
}

func home(pkg string) string {
	elements := strings.SplitN(strings.TrimPrefix(pkg, module+"/"), "/", 3)
	return path.Join(elements[:min(2, len(elements))]...)
}

func short(pkg string) string {
	if pkg == module {
		return "."
	}
	if rest, ok := strings.CutPrefix(pkg, module+"/"); ok {
		return "./" + rest
	}
	return pkg
}

// explain tells the author what to change and why.
func (f finding) explain() string {
	text := fmt.Sprintf("%s\n\tbecause %s", f, f.rule.because)
	if f.rule.only != nil {
		text += fmt.Sprintf("\n\tallowed: %s", strings.Join(f.rule.only, ", "))
	}
	return text
}
