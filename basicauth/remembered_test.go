package basicauth_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/keystile/keystile/basicauth"
)

func TestARightPasswordIsComparedOnceAMinute(t *testing.T) {
	c := newClock()
	basic := newBasic(t, basicauth.Config{Users: newUsers(t, user("alice", "s3cret")), Now: c.Now})
	compared := count(basic)
	login := func(n int) {
		t.Helper()
		want(t, basic, as("alice", "s3cret"), 200)
		if got := len(compared.take()); got != n {
			t.Errorf("%d compares, want %d", got, n)
		}
	}
	login(1)
	login(0)
	c.Add(time.Minute - 1)
	login(0)
	c.Add(1)
	login(1)
	c.Add(-time.Hour) // a clock that was set back does not make it last
	login(1)
	c.Add(time.Minute)
	login(1)
}

func TestRememberingCanBeShorterOrOff(t *testing.T) {
	for _, tt := range []struct {
		name     string
		remember time.Duration
		after    time.Duration
		compares int
	}{
		{"ten seconds, within", 10 * time.Second, 10*time.Second - 1, 1},
		{"ten seconds, at their end", 10 * time.Second, 10 * time.Second, 2},
		{"not at all", -1, 0, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock()
			basic := newBasic(t, basicauth.Config{Users: newUsers(t, user("alice", "s3cret")), Now: c.Now, Remember: tt.remember})
			compared := count(basic)
			want(t, basic, as("alice", "s3cret"), 200)
			c.Add(tt.after)
			want(t, basic, as("alice", "s3cret"), 200)
			if got := len(compared.take()); got != tt.compares {
				t.Errorf("%d compares, want %d", got, tt.compares)
			}
		})
	}
}

func TestWrongPasswordsAreNotRemembered(t *testing.T) {
	basic := newBasic(t, basicauth.Config{Users: newUsers(t, user("alice", "s3cret")), Throttles: unthrottled})
	compared := count(basic)
	for range 3 {
		want(t, basic, as("alice", "wrong"), 401)
		want(t, basic, as("nobody", "s3cret"), 401)
	}
	if got := len(compared.take()); got != 6 {
		t.Errorf("%d compares, want 6", got)
	}
	if n := basic.Remembered(); n != 0 {
		t.Errorf("%d are remembered", n)
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	const size = 64
	var all []basicauth.User
	for i := range 3 * size {
		all = append(all, user(fmt.Sprint("user", i), "s3cret"))
	}
	c := newClock()
	basic := newBasic(t, basicauth.Config{Users: newUsers(t, all...), RememberSize: size, Now: c.Now})
	compared := count(basic)
	for i := range all {
		c.Add(300 * time.Millisecond) // what is in use is noticed once a second
		want(t, basic, as(all[i].Name, "s3cret"), 200)
		want(t, basic, as(all[0].Name, "s3cret"), 200) // in use, and so not the one that is pushed out
	}
	if n := basic.Remembered(); n != size {
		t.Errorf("%d are remembered, want %d", n, size)
	}
	if got := len(compared.take()); got != len(all) {
		t.Errorf("%d compares, want %d", got, len(all))
	}
}

// Logins that differ are different questions: this is what memory and coalescing
// rest on. Traefik's CVE-2026-71326 was a key in which they could be the same.
func TestDifferentLoginsAreDifferentQuestions(t *testing.T) {
	const hash = basicauth.PasswordHash("$2a$04$.8sTYfcxbSplCtoxt5TdJOgpBYkarKtZYsYfYxQ1edbYRuO1DNi0e")
	type login struct {
		name, password string
		known          bool
		hash           basicauth.PasswordHash
	}
	seen := map[any]string{}
	for name, l := range map[string]login{
		"plain":                               {"viewer", "test", true, hash},
		"an unknown user":                     {"viewer", "test", false, ""},
		"a user without hash":                 {"viewer", "test", true, ""},
		"another hash":                        {"viewer", "test", true, hash[1:]},
		"another user":                        {"admin", "test", true, hash},
		"the hash as part of the password":    {"viewer", "test" + string(hash), true, ""},
		"the hash in an unknown user's":       {"viewer", "test" + string(hash), false, ""},
		"a colon in the password":             {"viewer", "admin:test", true, hash},
		"the boundary one to the left":        {"viewe", "rtest", true, hash},
		"the boundary one to the right":       {"viewert", "est", true, hash},
		"a length prefix as part of the name": {"6 viewer", "test", true, hash},
		"the name and the password swapped":   {"test", "viewer", true, hash},
		"the password in another case":        {"viewer", "Test", true, hash},
		"a space behind the password":         {"viewer", "test ", true, hash},
		"a space behind the name":             {"viewer ", "test", true, hash},
		"a space before the name":             {" viewer", "test", true, hash},
		"a space before the password":         {"viewer", " test", true, hash},
		"the password twice":                  {"viewer", "testtest", true, hash},
	} {
		encoded := encode(l.name + ":" + l.password)
		q := basicauth.Question(encoded, l.known, l.hash)
		if other, dup := seen[q]; dup {
			t.Errorf("%s and %s are one question", name, other)
		}
		seen[q] = name
		if q != basicauth.Question(encoded, l.known, l.hash) {
			t.Errorf("%s: the question is not the same again", name)
		}
	}
}

func TestAPasswordOfAnotherUserIsNotRememberedForThisOne(t *testing.T) {
	same := basicauth.HashAs(tiny, "s3cret")
	basic := newBasic(t, basicauth.Config{Throttles: unthrottled, Users: newUsers(t,
		basicauth.User{Name: "alice", Hash: same}, basicauth.User{Name: "bob", Hash: basicauth.HashAs(tiny, "other")}, basicauth.User{Name: "twin", Hash: same})})
	compared := count(basic)
	want(t, basic, as("alice", "s3cret"), 200)
	want(t, basic, as("bob", "s3cret"), 401)
	want(t, basic, as("twin", "s3cret"), 200)
	if got := len(compared.take()); got != 3 {
		t.Errorf("%d compares, want 3: the twin has the same hash and is another user", got)
	}
	for _, name := range []string{"alice", "twin"} {
		if p, err := basic.Authenticate(as(name, "s3cret")); err != nil || p.Subject != name {
			t.Errorf("%v, %v, want %s", p, err, name)
		}
	}
}
