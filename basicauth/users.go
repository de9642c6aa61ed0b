package basicauth

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"

	"github.com/keystile/keystile"
)

// Users finds users by name. It is all that Basic needs of a place where users
// are kept. Implementations are safe for concurrent use.
type Users interface {
	// FindUser returns the user of that name; or an error that wraps ErrNotFound
	// where there is none; or any other error where that cannot be found out,
	// which is answered with 503 and never with 401.
	//
	// It is called for every request, so that a changed hash, a changed plan or a
	// disabled user counts from the next one. It looks up and compares no
	// password. Name is what a client sent: valid UTF-8 without control
	// characters, not empty, and otherwise anything.
	//
	// Which names are the same is for the implementation to declare, and to keep
	// to. Those of this package compare byte for byte: "Alice" is not "alice",
	// and the NFC form of a name is not its NFD form. Where several spellings
	// lead to one user, User.Name is the one that limits and logs know.
	//
	// The User is shared and read-only from then on: neither side changes it. A
	// change is another User, returned by the next call.
	FindUser(ctx context.Context, name string) (*User, error)
}

// ErrNotFound is returned for a name that nobody has.
var ErrNotFound = errors.New("basicauth: no user has this name")

// User is a user as Users knows it.
type User struct {
	Name     string       // whom limits and logs mean. Required.
	Hash     PasswordHash // what the password is compared with; "": none opens the door
	Disabled bool         // refused like a wrong password, so that nobody learns which it was
	Account  string       // the tenant; "" where there are none
	Plan     string       // the name of the plan
	Scopes   []string
	Metadata map[string]string
}

// Clone returns a copy that shares nothing with u.
func (u *User) Clone() *User {
	if u == nil {
		return nil
	}
	c := *u
	c.Scopes = slices.Clone(u.Scopes)
	c.Metadata = maps.Clone(u.Metadata)
	return &c
}

// CloneCredential returns a copy of u without its Hash: handlers and logs have no
// use for it.
func (u *User) CloneCredential() keystile.Credential {
	if u == nil {
		return u
	}
	return withoutHash(u)
}

// From returns the user by whom p was recognised, without the Hash, as Users
// returned it for this request. It is the caller's own copy. It returns false
// where p is nil or was recognised by other means.
func From(p *keystile.Principal) (*User, bool) {
	u, ok := keystile.CredentialOf[*User](p)
	return u, ok && u != nil
}

// LogValue returns name, account, plan and whether the user is disabled.
func (u *User) LogValue() slog.Value {
	if u == nil {
		return slog.StringValue("none")
	}
	return slog.GroupValue(
		slog.String("name", u.Name), slog.String("account", u.Account),
		slog.String("plan", u.Plan), slog.Bool("disabled", u.Disabled))
}

// principal returns who is calling when u is.
func (u *User) principal() *keystile.Principal {
	p := &keystile.Principal{
		Subject: u.Name, CredentialID: u.Name, Account: u.Account, Plan: u.Plan,
		Scopes: keystile.NewScopes(u.Scopes...), Scheme: keystile.SchemeBasic,
	}
	return p.WithCredential(u.CloneCredential())
}

// same reports whether both lead to the same principal.
func (u *User) same(v *User) bool {
	return u.Name == v.Name && u.Account == v.Account && u.Plan == v.Plan &&
		slices.Equal(u.Scopes, v.Scopes) && maps.Equal(u.Metadata, v.Metadata)
}

// MaxName is the length in bytes of the longest user name that the Users of this
// package take.
const MaxName = 255

// nameFlaw returns why nobody could ever log in under name, or "".
func nameFlaw(name string) string {
	switch {
	case name == "":
		return "is empty"
	case len(name) > MaxName:
		return "is longer than 255 bytes"
	}
	return textFlaw(name, ':')
}
