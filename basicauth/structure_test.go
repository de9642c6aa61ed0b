package basicauth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/keystile/keystile/basicauth"
)

// Unknown users must not answer faster than known ones: Traefik CVE-2026-32595 and
// CVE-2026-41263, Fiber CVE-2026-44332. Asserted is what is compared, not how long
// it takes: the number and the kinds of compares are the same for everybody.
func TestEverybodyPaysTheSameCompares(t *testing.T) {
	big := basicauth.Argon2idKind(16, 1, 1)
	hashed := func(name string, k basicauth.Kind) basicauth.User {
		return basicauth.User{Name: name, Hash: basicauth.HashAs(k, "s3cret")}
	}
	disabled := hashed("disabled", cheap4)
	disabled.Disabled = true
	users := newUsers(t, hashed("bcrypt", cheap4), hashed("tiny", tiny), hashed("big", big), hashed("other", tiny), disabled, basicauth.User{Name: "ghost"})
	basic := newBasic(t, basicauth.Config{Users: users, Throttles: unthrottled, Remember: -1})
	compared := count(basic)
	wants := []string{cheap4.String(), tiny.String(), big.String()}
	for _, tt := range []struct{ name, user, password string }{
		{"a right password against bcrypt", "bcrypt", "s3cret"},
		{"a right password against argon2id", "tiny", "s3cret"},
		{"a right password against dearer argon2id", "big", "s3cret"},
		{"a wrong password against bcrypt", "bcrypt", "wrong"},
		{"a wrong password against argon2id", "tiny", "wrong"},
		{"a wrong password against dearer argon2id", "big", "wrong"},
		{"an unknown user", "nobody", "s3cret"},
		{"an unknown user with a long name", strings.Repeat("x", 300), "s3cret"},
		{"a disabled user with the right password", "disabled", "s3cret"},
		{"a disabled user with a wrong password", "disabled", "wrong"},
		{"a user without hash", "ghost", "s3cret"},
		{"a password that bcrypt cannot see all of", "bcrypt", strings.Repeat("s", 72)},
		{"one that it could, at its most", "bcrypt", strings.Repeat("s", 71)},
		{"a long password of an unknown user", "nobody", strings.Repeat("s", 200)},
		{"a long password against argon2id", "tiny", strings.Repeat("s", 200)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _ = basic.Authenticate(as(tt.user, tt.password))
			if got := compared.take(); !slices.Equal(got, wants) {
				t.Errorf("compared with %q, want %q", got, wants)
			}
		})
	}
}

// The user's own hash takes the place of the dummy, and nobody else's is compared
// with.
func TestOnlyTheUsersOwnHashIsCompared(t *testing.T) {
	own := map[string]basicauth.PasswordHash{"alice": basicauth.HashAs(tiny, "a"), "bob": basicauth.HashAs(tiny, "b"), "carol": basicauth.HashAs(cheap4, "c")}
	var all []basicauth.User
	for name, h := range own {
		all = append(all, basicauth.User{Name: name, Hash: h})
	}
	basic := newBasic(t, basicauth.Config{Users: newUsers(t, all...), Throttles: unthrottled, Remember: -1})
	var seen []basicauth.PasswordHash
	basic.SetCompare(func(_ basicauth.Kind, h basicauth.PasswordHash, _ string, real func() bool) bool {
		seen = append(seen, h)
		return real()
	})
	for _, name := range []string{"alice", "bob", "carol", "nobody"} {
		seen = nil
		_, _ = basic.Authenticate(as(name, "x"))
		if len(seen) != 2 {
			t.Fatalf("%s: %d compares", name, len(seen))
		}
		for other, h := range own {
			if slices.Contains(seen, h) != (other == name) {
				t.Errorf("%s: the hash of %s was compared: %v", name, other, slices.Contains(seen, h))
			}
		}
	}
	seen = nil
	_, _ = basic.Authenticate(as("carol", strings.Repeat("c", 72)))
	if slices.Contains(seen, own["carol"]) {
		t.Error("a password of 72 bytes was compared with the user's bcrypt hash")
	}
}

// A verdict of true for a dummy lets nobody in.
func TestADummyOpensNoDoor(t *testing.T) {
	disabled := user("dora", "x")
	disabled.Disabled = true
	basic := newBasic(t, basicauth.Config{Throttles: unthrottled, Users: newUsers(t, basicauth.User{Name: "ghost"}, disabled,
		basicauth.User{Name: "bob", Hash: basicauth.HashAs(cheap4, "b")})})
	basic.SetCompare(func(basicauth.Kind, basicauth.PasswordHash, string, func() bool) bool { return true })
	for _, name := range []string{"nobody", "ghost", "dora"} {
		want(t, basic, as(name, "x"), 401)
	}
	want(t, basic, as("bob", strings.Repeat("b", 72)), 401)
	want(t, basic, as("bob", "whatever"), 200) // the lie is believed where it is about the user's own hash
}

// A dummy is a hash like any other: one that is malformed would be turned down
// after microseconds, and give it all away.
func TestDummiesAreRealHashes(t *testing.T) {
	for _, k := range []basicauth.Kind{cheap4, basicauth.BcryptKind(10), basicauth.BcryptKind(14), tiny, basicauth.Argon2idKind(19456, 2, 1)} {
		h := basicauth.NewDummy(k)
		if got, err := basicauth.KindOf(h); err != nil || got != k {
			t.Errorf("%v: read as %v, %v", k, got, err)
		}
		if basicauth.NewDummy(k) == h {
			t.Errorf("%v: two dummies are the same", k)
		}
	}
	h := string(basicauth.NewDummy(cheap4))
	if cost, err := bcrypt.Cost([]byte(h)); err != nil || cost != 4 {
		t.Errorf("cost %d, %v", cost, err)
	}
	if err := bcrypt.CompareHashAndPassword([]byte(h), []byte("x")); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		t.Errorf("%v, want a mismatch that was found by hashing", err)
	}
	real := string(basicauth.HashAs(cheap4, "x"))
	if len(real) != len(h) || real[3:7] != h[3:7] {
		t.Errorf("%q, a real one is %q", h[:7], real[:7])
	}
}

// Before there is any user, and after a kind has come or gone, all is as equal.
func TestKindsComeAndGo(t *testing.T) {
	users := newUsers(t)
	basic := newBasic(t, basicauth.Config{Users: users, Throttles: unthrottled, Remember: -1})
	compared := count(basic)
	pays := func(kinds ...basicauth.Kind) {
		t.Helper()
		var want []string
		for _, k := range kinds {
			want = append(want, k.String())
		}
		for _, name := range []string{"nobody", "alice", "bob"} {
			_, _ = basic.Authenticate(as(name, "s3cret"))
			if got := compared.take(); !slices.Equal(got, want) {
				t.Errorf("%s pays %q, want %q", name, got, want)
			}
		}
	}
	pays(basicauth.Argon2idKind(19456, 2, 1)) // what Hash makes
	if err := users.Put(user("alice", "s3cret")); err != nil {
		t.Fatal(err)
	}
	pays(tiny)
	if err := users.Put(basicauth.User{Name: "bob", Hash: basicauth.HashAs(cheap4, "s3cret")}); err != nil {
		t.Fatal(err)
	}
	pays(cheap4, tiny)
	if err := users.Remove("alice"); err != nil {
		t.Fatal(err)
	}
	pays(cheap4)
}

// A Users that lists no kinds: those of Config.Kinds are paid by all from the
// start, another one from when it is met first.
func TestKindsOfUsersThatDoNotListThem(t *testing.T) {
	memory := newUsers(t, user("alice", "a"), basicauth.User{Name: "bob", Hash: basicauth.HashAs(cheap4, "b")})
	basic := newBasic(t, basicauth.Config{Users: usersFunc(memory.FindUser), Kinds: []basicauth.Kind{tiny, tiny}, Throttles: unthrottled, Remember: -1})
	compared := count(basic)
	for i, step := range []struct {
		user string
		want []string
	}{
		{"nobody", []string{tiny.String()}},
		{"alice", []string{tiny.String()}},
		{"bob", []string{cheap4.String(), tiny.String()}},
		{"alice", []string{cheap4.String(), tiny.String()}},
		{"nobody", []string{cheap4.String(), tiny.String()}},
	} {
		_, _ = basic.Authenticate(as(step.user, "x"))
		if got := compared.take(); !slices.Equal(got, step.want) {
			t.Errorf("step %d, %s: %q, want %q", i, step.user, got, step.want)
		}
	}
}

// A table with ever new kinds does not make every login dearer and dearer.
func TestThereIsAnEndToKinds(t *testing.T) {
	var log logBuffer
	basic := newBasic(t, basicauth.Config{Throttles: unthrottled, Logger: log.logger(), Users: usersFunc(func(_ context.Context, name string) (*basicauth.User, error) {
		n := 0
		_, _ = fmt.Sscanf(name, "u%d", &n)
		return &basicauth.User{Name: name, Hash: basicauth.HashAs(basicauth.Argon2idKind(8+n, 1, 1), "s3cret")}, nil
	})})
	for i := range 8 {
		want(t, basic, as(fmt.Sprint("u", i), "s3cret"), 200)
	}
	want(t, basic, as("u8", "s3cret"), 503)
	if !strings.Contains(log.String(), "more than 8 kinds") {
		t.Errorf("log %q", log.String())
	}
	compared := count(basic)
	want(t, basic, as("u0", "wrong"), 401)
	if got := len(compared.take()); got != 8 {
		t.Errorf("%d compares", got)
	}
	if n := strings.Count(log.String(), "weak password hashes"); n != 8 {
		t.Errorf("%d warnings, want one for each kind", n)
	}
}
