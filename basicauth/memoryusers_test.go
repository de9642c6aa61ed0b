package basicauth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/keystile/keystile/basicauth"
)

func TestMemoryUsers(t *testing.T) {
	users := newUsers(t, user("alice", "a"), basicauth.User{Name: "locked"})
	ctx := t.Context()
	for _, name := range []string{"Alice", "alice ", "alice\u0301", "", "al"} {
		if u, err := users.FindUser(ctx, name); u != nil || !errors.Is(err, basicauth.ErrNotFound) {
			t.Errorf("%q: %v, %v, want ErrNotFound", name, u, err)
		}
	}
	given := user("bob", "b")
	if err := users.Put(given); err != nil {
		t.Fatal(err)
	}
	given.Scopes[0] = "changed afterwards"
	u, err := users.FindUser(ctx, "bob")
	if err != nil || u.Scopes[0] != "read" {
		t.Errorf("%+v, %v: the slice is shared with the caller", u, err)
	}
	var kept *basicauth.User
	if err := users.Update("bob", func(u *basicauth.User) { kept, u.Plan, u.Name = u, "free", "other" }); err != nil {
		t.Fatal(err)
	}
	kept.Scopes[0], kept.Plan = "changed afterwards", "changed afterwards"
	again, _ := users.FindUser(ctx, "bob")
	if again.Plan != "free" || again.Scopes[0] != "read" || u.Plan != "pro" {
		t.Errorf("%+v, before %+v", again, u)
	}
	if err := users.Update("bob", func(u *basicauth.User) { u.Hash = "plaintext" }); err == nil || strings.Contains(err.Error(), ":plaintext") {
		t.Errorf("an update to a bad hash: %v", err)
	}
	if err := users.Remove("bob"); err != nil {
		t.Error(err)
	}
	for _, err := range []error{users.Remove("bob"), users.Update("bob", func(*basicauth.User) {})} {
		if !errors.Is(err, basicauth.ErrNotFound) {
			t.Errorf("%v, want ErrNotFound", err)
		}
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := users.FindUser(cancelled, "alice"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	var zero basicauth.MemoryUsers
	if _, err := zero.FindUser(ctx, "alice"); !errors.Is(err, basicauth.ErrNotFound) || zero.Kinds() != nil || zero.Put(user("x", "y")) != nil {
		t.Errorf("the zero value: %v", err)
	}
}

func TestNewMemoryUsersReportsAllMistakes(t *testing.T) {
	_, err := basicauth.NewMemoryUsers(user("", "a"), user("a:b", "a"), user("c\n", "c"), user("alice", "a"), user("alice", "b"),
		basicauth.User{Name: "weak", Hash: "$apr1$zib25ePE$80TC/luJEDmqAtFdNc2h11"}, user(strings.Repeat("n", 256), "n"), user("\xff", "x"))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{`user "": the name is empty`, "has a colon", "has a control character", `user "alice": is there twice`, "apr1 (MD5)", "longer than 255", "not UTF-8"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not reported: %q in\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "80TC") {
		t.Errorf("%v shows the hash", err)
	}
}

func TestMemoryUsersKnowTheirKinds(t *testing.T) {
	kind := func(i int) basicauth.Kind { return basicauth.Argon2idKind(8+i, 1, 1) }
	users := newUsers(t)
	if got := users.Kinds(); len(got) != 0 {
		t.Errorf("%v", got)
	}
	for i := range 8 {
		if err := users.Put(basicauth.User{Name: fmt.Sprint("u", i), Hash: basicauth.NewDummy(kind(i))}); err != nil {
			t.Fatal(err)
		}
	}
	ninth := basicauth.User{Name: "ninth", Hash: basicauth.NewDummy(kind(8))}
	if err := users.Put(ninth); err == nil || !strings.Contains(err.Error(), "more than 8") {
		t.Errorf("a ninth kind: %v", err)
	}
	if _, err := users.FindUser(t.Context(), "ninth"); !errors.Is(err, basicauth.ErrNotFound) {
		t.Errorf("the user of the ninth kind is there: %v", err)
	}
	ninth.Name = "u3" // in the place of the only one of its kind
	if err := users.Put(ninth); err != nil {
		t.Error(err)
	}
	if got := users.Kinds(); slices.Contains(got, kind(3)) || !slices.Contains(got, kind(8)) || len(got) != 8 {
		t.Errorf("%v", got)
	}
	for i := range 8 {
		if err := users.Remove(fmt.Sprint("u", i)); err != nil {
			t.Fatal(err)
		}
	}
	if got := users.Kinds(); len(got) != 0 {
		t.Errorf("%v, want none", got)
	}
}

// A user is found, as the one or the other, while being replaced.
func TestFindingWhilePutting(t *testing.T) {
	users := newUsers(t, user("alice", "a"))
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range 200 {
				u := user("alice", "a")
				if i%2 == 0 {
					u.Hash = basicauth.NewDummy(cheap4)
				}
				if err := users.Put(u); err != nil {
					t.Error(err)
				}
				other := fmt.Sprint("u", worker)
				if err := errors.Join(users.Put(user(other, "x")), users.Remove(other)); err != nil {
					t.Error(err)
				}
				if u, err := users.FindUser(t.Context(), "alice"); err != nil || u.Account != "acme" {
					t.Errorf("%v, %v", u, err)
				}
				_ = users.Kinds()
			}
		})
	}
	all.Wait()
}
