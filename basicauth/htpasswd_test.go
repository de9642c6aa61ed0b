package basicauth_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/basicauth"
)

// line is one of a password file.
func line(name, password string) string {
	return name + ":" + string(basicauth.HashAs(tiny, password)) + "\n"
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// passwords writes a password file.
func passwords(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "users.htpasswd")
	writeFile(t, path, text)
	return path
}

func htpasswd(t *testing.T, path string, c basicauth.HtpasswdConfig) *basicauth.HtpasswdUsers {
	t.Helper()
	users, err := basicauth.Htpasswd(path, c)
	if err != nil {
		t.Fatal(err)
	}
	return users
}

func TestWhatAPasswordFileMayHold(t *testing.T) {
	b4 := string(basicauth.HashAs(cheap4, "b"))
	path := passwords(t, "# users\n\n"+line("alice", "a")+"   \nbob:"+b4+"\r\n#"+line("mallory", "m")+line("ren\u00e9 d", "r")+
		strings.TrimSuffix(line("last", "l"), "\n"))
	users := htpasswd(t, path, basicauth.HtpasswdConfig{Fill: func(u *basicauth.User) {
		if u.Hash == "" {
			t.Error("Fill sees no hash")
		}
		u.Account, u.Plan, u.Scopes, u.Disabled = "acme", "pro", []string{"read"}, u.Name == "last"
		u.Name, u.Hash = "changed", "changed" // which is not for Fill to say
	}})
	basic := newBasic(t, basicauth.Config{Users: users})
	for _, tt := range []struct {
		name, user, password string
		status               int
	}{
		{"a user with argon2id", "alice", "a", 200},
		{"a user with bcrypt and CR LF", "bob", "b", 200},
		{"a user whose name is not ASCII", "ren\u00e9 d", "r", 200},
		{"a user behind #", "mallory", "m", 401},
		{"a user behind #, with it", "#mallory", "m", 401},
		{"a disabled user in a last line without end", "last", "l", 401},
	} {
		t.Run(tt.name, func(t *testing.T) { want(t, basic, as(tt.user, tt.password), tt.status) })
	}
	p, err := basic.Authenticate(as("bob", "b"))
	if err != nil || p.Subject != "bob" || p.Account != "acme" || p.Plan != "pro" || !p.Scopes.Has("read") {
		t.Errorf("%+v, %v", p, err)
	}
	if got, want := users.Kinds(), []basicauth.Kind{cheap4, tiny}; !slices.Equal(got, want) {
		t.Errorf("kinds %v, want %v", got, want)
	}
}

func TestAllMistakesInAPasswordFileAreReportedAtOnce(t *testing.T) {
	good := line("alice", "a")
	path := passwords(t, good+"no colon at all\n"+":nobody\n"+good+"bob:secret password\n"+"carol:{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=\n"+
		"dave:$2y$17$"+strings.Repeat("a", 53)+"\n"+"e\x01ve:x\n"+"fr\xe9d:x\n"+strings.Repeat("x", 300)+":x\n"+strings.Repeat("y", 2000)+"\n"+
		"alice :"+good[len("alice:"):len(good)-1]+" \n")
	_, err := basicauth.Htpasswd(path, basicauth.HtpasswdConfig{})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		":2: has no colon", ":3: the name is empty", `:4: user "alice" is in line 1 already`, `:5: user "bob" has a hash in plaintext`,
		`:6: user "carol" has a hash in {SHA}`, `:7: user "dave" has a hash in bcrypt cost 17`, ":8: the name has a control character",
		":9: the name is not UTF-8", ":10: the name is longer than 255 bytes", ":11: is longer than 1024 bytes", `:12: user "alice " has a hash in argon2id, which is malformed`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not reported: %q", want)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 11 {
		t.Errorf("%d mistakes, want 11:\n%v", n, err)
	}
	for _, secret := range []string{"no colon at all", "secret", "fEqNCco", "aaaa", "nobody", "yyyy", "$argon2id$v=19$m=8"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q is shown:\n%v", secret, err)
		}
	}
	var c *keystile.ConfigError
	if !errors.As(err, &c) || c.Field != path+":2" {
		t.Errorf("%#v", c)
	}
}

func TestFilesThatAreNoPasswordFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		writeFile(t, path, text)
		return path
	}
	var kinds strings.Builder
	for m := range 9 {
		fmt.Fprintf(&kinds, "user%d:%s\n", m, string(basicauth.HashAs(basicauth.Argon2idKind(8+m, 1, 1), "x")))
	}
	for _, tt := range []struct {
		name, path, reason string
	}{
		{"no path", "", "has no path"},
		{"a file that is not there", filepath.Join(dir, "missing"), "no such file"},
		{"a directory", dir, "no regular file"},
		{"an empty file", write("empty", ""), "has no users"},
		{"a file of comments", write("comments", "# nobody\n"), "has no users"},
		{"a file with a byte order mark", write("bom", "\ufeff"+line("alice", "a")), "byte order mark"},
		{"a file with nine kinds of hash", write("kinds", kinds.String()), "more than 8 kinds"},
		{"a file that is too large", write("large", strings.Repeat("#"+strings.Repeat("x", 1022)+"\n", 17<<10)), "larger than 16 MiB"},
		{"a file of something else", write("other", strings.Repeat("<html>\n", 1000)), "has more mistakes than these"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			users, err := basicauth.Htpasswd(tt.path, basicauth.HtpasswdConfig{})
			if err == nil || users != nil || !strings.Contains(err.Error(), tt.reason) {
				t.Fatalf("%v, want an error about %q", err, tt.reason)
			}
			if n := len(err.Error()); n > 10_000 {
				t.Errorf("%d bytes of report", n)
			}
		})
	}
	if _, err := basicauth.Htpasswd("", basicauth.HtpasswdConfig{Interval: -1}); strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("%v, want two mistakes", err)
	}
	var zero basicauth.HtpasswdUsers
	if _, err := zero.FindUser(t.Context(), "x"); err == nil || errors.Is(err, basicauth.ErrNotFound) || zero.Reload() == nil || zero.Kinds() != nil {
		t.Errorf("the zero value: %v", err)
	}
}

func TestAChangedFileIsReadAgain(t *testing.T) {
	c := newClock()
	path := passwords(t, line("alice", "old")+line("bob", "b"))
	var log logBuffer
	users := htpasswd(t, path, basicauth.HtpasswdConfig{Now: c.Now, Interval: time.Second, Logger: log.logger()})
	basic := newBasic(t, basicauth.Config{Users: users, Throttles: unthrottled, Now: c.Now})
	want(t, basic, as("alice", "old"), 200)
	want(t, basic, as("bob", "b"), 200)

	writeFile(t, path, line("alice", "new")+line("carol", "c"))
	c.Add(time.Second)
	want(t, basic, as("alice", "old"), 401) // although it is remembered
	want(t, basic, as("alice", "new"), 200)
	want(t, basic, as("bob", "b"), 401)
	want(t, basic, as("carol", "c"), 200)

	t.Run("it is looked at once in an interval", func(t *testing.T) {
		writeFile(t, path, line("dave", "d"))
		want(t, basic, as("dave", "d"), 401)
		c.Add(time.Second - 1)
		want(t, basic, as("dave", "d"), 401)
		c.Add(1)
		want(t, basic, as("dave", "d"), 200)
	})
	t.Run("Reload does not wait", func(t *testing.T) {
		writeFile(t, path, line("eve", "e"))
		if err := users.Reload(); err != nil {
			t.Fatal(err)
		}
		want(t, basic, as("eve", "e"), 200)
	})
	t.Run("a clock that was set back does not stop it", func(t *testing.T) {
		writeFile(t, path, line("frank", "f"))
		c.Add(-time.Hour)
		want(t, basic, as("frank", "f"), 200)
	})
	if log.String() != "" && strings.Contains(log.String(), "ERROR") {
		t.Errorf("log %s", log.String())
	}
}

func TestABrokenFileLeavesTheUsersLastRead(t *testing.T) {
	good := line("alice", "a")
	for _, tt := range []struct {
		name   string
		broken func(t *testing.T, path string)
		reason string
	}{
		{"a mistake in one line", func(t *testing.T, path string) { writeFile(t, path, line("alice", "b")+"bob:plaintext\n") }, ":2: user"},
		{"an empty file", func(t *testing.T, path string) { writeFile(t, path, "") }, "has no users"},
		{"the file is gone", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, "no such file"},
		{"a directory in its place", func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, "no regular file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock()
			path := passwords(t, good)
			var log logBuffer
			users := htpasswd(t, path, basicauth.HtpasswdConfig{Now: c.Now, Logger: log.logger()})
			basic := newBasic(t, basicauth.Config{Users: users, Throttles: unthrottled, Remember: -1})
			before := log.String()
			tt.broken(t, path)
			for range 3 {
				c.Add(time.Second)
				want(t, basic, as("alice", "a"), 200)
			}
			lines := strings.TrimPrefix(log.String(), before)
			if strings.Count(lines, "level=ERROR") != 1 || !strings.Contains(lines, tt.reason) {
				t.Errorf("log %q, want one line about %q", lines, tt.reason)
			}
			if strings.Contains(lines, "plaintext\\n") || strings.Contains(lines, "$argon2id$") {
				t.Errorf("log %q shows what is in the file", lines)
			}
			if err := users.Reload(); err == nil || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("Reload: %v", err)
			}
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			writeFile(t, path, line("alice", "c"))
			c.Add(time.Second)
			want(t, basic, as("alice", "c"), 200)
			want(t, basic, as("alice", "a"), 401)
			if !strings.Contains(log.String(), "in order again") {
				t.Errorf("log %q", log.String())
			}
		})
	}
}

// Two changes within one step of the file system's clock look alike: same size,
// same time.
func TestAChangeThatLooksLikeTheLastOneIsSeen(t *testing.T) {
	c := newClock()
	one, other := line("alice", "one"), line("alice", "two")
	if len(one) != len(other) {
		t.Fatal("the lines differ in length")
	}
	path := passwords(t, one)
	modified := c.Now()
	stampFile := func() {
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	stampFile()
	users := htpasswd(t, path, basicauth.HtpasswdConfig{Now: c.Now})
	basic := newBasic(t, basicauth.Config{Users: users, Throttles: unthrottled})
	want(t, basic, as("alice", "one"), 200)
	c.Add(time.Second)
	want(t, basic, as("alice", "one"), 200)
	writeFile(t, path, other)
	stampFile()
	c.Add(time.Second)
	want(t, basic, as("alice", "two"), 200)
	want(t, basic, as("alice", "one"), 401)
}

// A file is replaced in one step while requests come in: each sees the one or the
// other, and never neither.
func TestReplacingAFileUnderRequests(t *testing.T) {
	path := passwords(t, line("alice", "a")+line("odd", "x"))
	users := htpasswd(t, path, basicauth.HtpasswdConfig{Interval: time.Microsecond})
	var all sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if u, err := users.FindUser(context.Background(), "alice"); err != nil || u.Name != "alice" {
					t.Errorf("%v, %v", u, err)
					return
				}
				_ = users.Kinds()
			}
		})
	}
	for i := range 50 {
		next := path + ".new"
		writeFile(t, next, line("alice", fmt.Sprint(i))+line("odd", "x"))
		if err := os.Rename(next, path); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	all.Wait()
	if err := users.Reload(); err != nil {
		t.Fatal(err)
	}
	want(t, newBasic(t, basicauth.Config{Users: users}), as("alice", "49"), 200)
}
