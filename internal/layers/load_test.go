package layers_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// listed is what the go command tells of a package.
type listed struct {
	ImportPath, Name, Dir, ForTest     string
	Imports, TestImports, XTestImports []string
	IgnoredGoFiles                     []string
}

// load asks the go command for every package of the module in root and all that they need.
func load(root string) (graph, error) {
	cmd := exec.Command("go", "list", "-deps", "-test",
		"-json=ImportPath,Name,Dir,ForTest,Imports,TestImports,XTestImports,IgnoredGoFiles", "./...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s in %s: %w\n%s", strings.Join(cmd.Args, " "), root, err, &stderr)
	}
	g := graph{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return g, nil
		} else if err != nil {
			return nil, err
		}
		// Of a package that is tested there are more variants, built for that test.
		if p.ForTest != "" || strings.HasSuffix(p.ImportPath, ".test") {
			continue
		}
		n := imports{code: p.Imports, tests: append(p.TestImports, p.XTestImports...)}
		if ours(p.ImportPath) {
			if err := n.addIgnored(p); err != nil {
				return nil, err
			}
		}
		g[p.ImportPath] = n
	}
}

// addIgnored reads the files that are for another system or build tag: they are code of ours all
// the same. A file of another package in the same directory is a program to run by hand.
func (n *imports) addIgnored(p listed) error {
	for _, name := range p.IgnoredGoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		if strings.TrimSuffix(file.Name.Name, "_test") != p.Name {
			continue
		}
		to := &n.code
		if strings.HasSuffix(name, "_test.go") {
			to = &n.tests
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			*to = append(*to, imported)
		}
	}
	return nil
}

// touch opens every directory of the module. The go command keeps the result of a test until a
// file or directory changes that the test opened, and it cannot see what `go list` reads.
func touch(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		return nil
	})
}

func haveGo() bool {
	_, err := exec.LookPath("go")
	return err == nil
}
