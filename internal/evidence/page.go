package evidence

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// write puts the section into its page. go test runs packages in parallel, each in a process of
// its own, so the page is read and replaced under a lock that all of them take.
func write(where place, page, title, section string) (path string, err error) {
	dir := filepath.Join(where.root, "docs", "evidence")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(dir)
	if err != nil {
		return "", fmt.Errorf("locking %s: %w", dir, err)
	}
	defer unlock()

	path = filepath.Join(dir, page+".md")
	old, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		old = fmt.Appendf(nil, "# %s\n\nThe tests write the sections of this page: run `make evidence`.\n", page)
	} else if err != nil {
		return "", err
	}
	return path, replaceFile(path, put(string(old), title, section))
}

// put returns the page with the section in its place: the text above the first section is kept,
// sections are ordered by title, one of the same title is replaced.
func put(page, title, section string) string {
	head, sections := split(page)
	sections = slices.DeleteFunc(sections, func(s string) bool { return titleOf(s) == title })
	sections = append(sections, section)
	slices.SortStableFunc(sections, func(a, b string) int { return strings.Compare(titleOf(a), titleOf(b)) })

	parts := sections
	if head = strings.TrimSpace(head); head != "" {
		parts = append([]string{head}, sections...)
	}
	for i, part := range parts {
		parts[i] = strings.TrimSpace(part) + "\n"
	}
	return strings.Join(parts, "\n")
}

func split(page string) (head string, sections []string) {
	for line := range strings.Lines(page) {
		switch {
		case strings.HasPrefix(line, "## "):
			sections = append(sections, line)
		case len(sections) > 0:
			sections[len(sections)-1] += line
		default:
			head += line
		}
	}
	return head, sections
}

func titleOf(section string) string {
	line, _, _ := strings.Cut(section, "\n")
	return strings.TrimSpace(strings.TrimPrefix(line, "## "))
}

// replaceFile writes beside the file and renames, so that a reader, or a run that is killed,
// never sees half a page.
func replaceFile(path, text string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".page-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails after the rename, as it should
	_, err = tmp.WriteString(text)
	if err == nil {
		err = tmp.Chmod(0o644) // CreateTemp makes files that only the owner can read
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
