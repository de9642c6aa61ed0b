package basicauth_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/basicauth"
)

// What is read from a field is what net/http reads there; and there is one way to
// write it.
func FuzzAuthorization(f *testing.F) {
	for _, seed := range []string{
		"", "Basic", "Basic ", "basic YTpi", "BASIC   YTpi", "Basic\tYTpi", "BasicYTpi", "Basic YTpi YTpi", "Basic YTpi,", "Basic YTpi=", "Basic YTo=", "Basic OmI=",
		"Basic YTp\nYg==", "Basic YTpiYw==", "Basic YTpiYx==", "Basic YTpiYw", "Basic YQBiOmM=", "Basic w6k6w6k=", "Basic 6To6", "Bearer YTpi", "Basic Og==", "Basic YTo6Yg==",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		name, password, err, found := basicauth.Credentials(field)
		r := &http.Request{Header: http.Header{"Authorization": {field}}}
		theirName, theirPassword, theirs := r.BasicAuth()
		if err == nil && found {
			encoded := encode(name + ":" + password)
			if !strings.HasSuffix(field, " "+encoded) || !strings.EqualFold(strings.TrimRight(strings.TrimSuffix(field, encoded), " "), "Basic") {
				t.Errorf("%q is not the one way to write %q and %q", field, name, password)
			}
			if len(encoded) > basicauth.MaxCredentials || name == "" || password == "" || strings.Contains(name, ":") || !utf8.ValidString(name+password) {
				t.Errorf("%q: %q and %q", field, name, password)
			}
			if theirs && (name != theirName || password != theirPassword) {
				t.Errorf("%q: %q and %q, net/http reads %q and %q", field, name, password, theirName, theirPassword)
			}
			if strings.ContainsFunc(name+password, func(c rune) bool { return c < ' ' || c == 0x7f }) {
				t.Errorf("%q: a control character", field)
			}
			return
		}
		canonical := theirs && strings.HasSuffix(field, " "+encode(theirName+":"+theirPassword)) && len(field) < basicauth.MaxCredentials
		printable := utf8.ValidString(theirName+theirPassword) && !strings.ContainsFunc(theirName+theirPassword, func(c rune) bool { return c < ' ' || c == 0x7f })
		if canonical && printable && theirName != "" && theirPassword != "" {
			t.Errorf("%q is refused: %v, found %v", field, err, found)
		}
		if err != nil && (!errors.Is(err, keystile.CodeUnauthorized) || name != "" || password != "") {
			t.Errorf("%q: %v", field, err)
		}
	})
}

// Whatever stands in a password file: what is taken can be compared with at a
// bearable cost, and what is not is not shown.
func FuzzHtpasswd(f *testing.F) {
	hash := string(basicauth.NewDummy(tiny))
	for _, seed := range []string{
		"", "\n", "#\n", "alice:" + hash + "\n", "alice:" + hash + "\r\nbob:" + string(basicauth.NewDummy(cheap4)), "alice:" + hash + "\nalice:" + hash,
		"alice", ":x", "alice:{SHA}x", "alice:$apr1$a$b", "\ufeffalice:" + hash, "a\x00b:" + hash, " :" + hash, "alice:" + hash + ":more", "\xff:" + hash,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		users, err := basicauth.ParseFile("users", []byte(text))
		if err != nil {
			const secret = "Xq7TheSecretZz"
			if _, err := basicauth.ParseFile("users", []byte("x:"+secret+"\n"+text)); err == nil || !strings.Contains(text, secret) && strings.Contains(err.Error(), secret) {
				t.Errorf("%v", err)
			}
			return
		}
		var again strings.Builder
		for name, u := range users {
			if u.Name != name || name == "" || strings.ContainsAny(name, ":\n\r") || !utf8.ValidString(name) {
				t.Errorf("%q, %q", name, u.Name)
			}
			if k, err := basicauth.KindOf(u.Hash); err != nil || k.ConfigErr() != nil {
				t.Errorf("%q: %v, %v", name, k, err)
			}
			again.WriteString(name + ":" + string(u.Hash) + "\n")
		}
		if same, err := basicauth.ParseFile("users", []byte(again.String())); err != nil || len(same) != len(users) {
			t.Errorf("written again: %d users of %d, %v", len(same), len(users), err)
		}
	})
}

// A hash that is taken is written in the one way there is, and comparing with it is
// bearable.
func FuzzPasswordHash(f *testing.F) {
	for _, seed := range []string{
		"", "$", string(basicauth.NewDummy(tiny)), string(basicauth.NewDummy(cheap4)), string(basicauth.NewDummy(basicauth.Argon2idKind(65536, 3, 4))),
		"$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "$argon2id$v=19$m=4294967295,t=4294967295,p=4294967295$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$2y$31$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "$2$", "$5$rounds=1000$a$b", "{SHA}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h := basicauth.PasswordHash(text)
		k, err := basicauth.KindOf(h)
		if err != nil {
			if k != (basicauth.Kind{}) || len(err.Error()) > 300 {
				t.Errorf("%v, %v", k, err)
			}
			return
		}
		if err := k.ConfigErr(); err != nil {
			t.Error(err)
		}
		if again, ok := basicauth.Rewrite(h); !ok || again != h {
			t.Errorf("%q is written again as %q", text, string(again))
		}
		if strings.HasPrefix(text, "$argon2id$v=19$m=8,t=1,p=1$") {
			if err := basicauth.Verify(h, "x"); err != nil && !errors.Is(err, basicauth.ErrMismatch) {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}
