package basicauth

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
)

// passwordFile is what a password file says.
type passwordFile struct {
	sum   [sha256.Size]byte // of the text
	users map[string]*User
	kinds []Kind
	weak  []weakKind
}

// weakKind is a kind that there is a warning about.
type weakKind struct {
	kind  Kind
	line  int // the first one
	users int
}

const (
	maxLine = 1 << 10
	// maxMistakes bounds what is reported of a file that is no password file.
	maxMistakes = 50
)

// parseFile reads lines of "name:hash". Empty lines and those that begin with #
// are left out; a line may end in CR LF.
func parseFile(path string, text []byte, fill func(*User)) (*passwordFile, error) {
	f := &passwordFile{users: make(map[string]*User)}
	seen := make(map[string]int)
	var m mistakes
	for n := 1; len(text) > 0; n++ {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(bytes.TrimSpace(line)) == 0 || line[0] == '#' {
			continue
		}
		if reason := f.add(line, n, seen, fill); reason != "" {
			if len(m) == maxMistakes {
				m.add(filepath.Base(path), nil, "has more mistakes than these")
				return nil, m.err()
			}
			m.add(fmt.Sprintf("%s:%d", path, n), nil, reason)
		}
	}
	if len(f.users) == 0 && len(m) == 0 {
		m.add(path, nil, "has no users, so that nobody could get in; add one with htpasswd -B -C 12")
	}
	if len(f.kinds) > maxKinds {
		m.add(path, nil, fmt.Sprintf("has more than %d kinds of hash, of which each login would pay one compare; hash passwords anew so that fewer remain", maxKinds))
	}
	if len(m) > 0 {
		return nil, m.err()
	}
	slices.SortFunc(f.kinds, compareKinds)
	return f, nil
}

// add reads one line. It returns what is wrong with it, or "": the name at most,
// and nothing of a line that has no name or of what follows the name, which may be
// a password.
func (f *passwordFile) add(line []byte, n int, seen map[string]int, fill func(*User)) string {
	if len(line) > maxLine {
		return fmt.Sprintf("is longer than %d bytes; a line has the form name:hash", maxLine)
	}
	name, text, found := strings.Cut(string(line), ":")
	if !found {
		return "has no colon; a line has the form name:hash"
	}
	if n == 1 && strings.HasPrefix(name, "\ufeff") {
		return "begins with a byte order mark, which would be a part of the name; save the file without it"
	}
	if reason := nameFlaw(name); reason != "" {
		return fmt.Sprintf("the name %s; choose another", reason)
	}
	if first := seen[name]; first != 0 {
		return fmt.Sprintf("user %q is in line %d already; keep one of them", name, first)
	}
	seen[name] = n
	stored, flaw := parseHash(PasswordHash(text))
	if flaw != nil {
		return fmt.Sprintf("user %q has a hash in %s, which %s", name, flaw.scheme, flaw.reason)
	}
	u := &User{Name: name, Hash: PasswordHash(text)}
	if fill != nil {
		fill(u)
		u = u.Clone() // fill may have kept it
		u.Name, u.Hash = name, PasswordHash(text)
	}
	f.users[name] = u
	if !slices.Contains(f.kinds, stored.kind) {
		f.kinds = append(f.kinds, stored.kind)
	}
	f.note(stored.kind, n)
	return ""
}

// note counts a hash that there is a warning about.
func (f *passwordFile) note(k Kind, line int) {
	if k.weak() == "" {
		return
	}
	i := slices.IndexFunc(f.weak, func(w weakKind) bool { return w.kind == k })
	if i < 0 {
		i = len(f.weak)
		f.weak = append(f.weak, weakKind{kind: k, line: line})
	}
	f.weak[i].users++
}

// warn logs a line for each weak kind.
func (f *passwordFile) warn(path string, logger *slog.Logger) {
	for _, w := range f.weak {
		logger.Warn("basicauth: weak password hashes", "first", fmt.Sprintf("%s:%d", path, w.line), "users", w.users, "kind", w.kind.String(), "reason", w.kind.weak())
	}
}
