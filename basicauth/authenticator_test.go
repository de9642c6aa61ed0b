package basicauth_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/basicauth"
)

func TestAnAcceptedUser(t *testing.T) {
	u := user("alice", "s3cret")
	u.Metadata = map[string]string{"team": "blue"}
	basic := newBasic(t, basicauth.Config{Users: newUsers(t, u)})
	for _, cached := range []bool{false, true} {
		var seen keystile.Event
		guard, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: basic, Realm: "test", Observer: observer(func(e keystile.Event) { seen = e })})
		if err != nil {
			t.Fatal(err)
		}
		var p *keystile.Principal
		resp := serve(guard.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { p, _ = keystile.PrincipalFrom(r.Context()) })), as("alice", "s3cret"))
		if resp.StatusCode != 200 || p == nil {
			t.Fatalf("status %d", resp.StatusCode)
		}
		if p.Subject != "alice" || p.CredentialID != "alice" || p.Account != "acme" || p.Plan != "pro" || !p.Scopes.Has("read") || p.Scheme != keystile.SchemeBasic || !p.Expires.IsZero() {
			t.Errorf("%+v", p)
		}
		if seen.Cached != cached {
			t.Errorf("cached %v, want %v", seen.Cached, cached)
		}
		found, ok := basicauth.From(p)
		if !ok || found.Name != "alice" || found.Metadata["team"] != "blue" || found.Hash != "" {
			t.Errorf("From: %+v, %v", found, ok)
		}
		found.Scopes[0], found.Metadata["team"] = "changed", "changed"
		if again, _ := basicauth.From(p); again.Scopes[0] != "read" || again.Metadata["team"] != "blue" {
			t.Error("From hands out what it keeps")
		}
	}
	if u, ok := basicauth.From(nil); ok || u != nil {
		t.Errorf("From(nil): %v", u)
	}
	if _, ok := basicauth.From(&keystile.Principal{}); ok {
		t.Error("From finds a user in a principal without one")
	}
}

type observer func(keystile.Event)

func (o observer) Observe(_ context.Context, e keystile.Event) { o(e) }

// The four outcomes are never mixed up.
func TestWhatUsersMayReturn(t *testing.T) {
	down := errors.New("connection refused to 10.0.0.7")
	for _, tt := range []struct {
		name   string
		user   *basicauth.User
		err    error
		status int
		logged string
	}{
		{"nobody", nil, basicauth.ErrNotFound, 401, ""},
		{"nobody, wrapped", nil, errors.Join(errors.New("table users"), basicauth.ErrNotFound), 401, ""},
		{"an outage", nil, down, 503, ""},
		{"an outage that names a deadline", nil, context.DeadlineExceeded, 503, ""},
		{"neither user nor error", nil, nil, 503, "neither a user nor an error"},
		{"a user without name", &basicauth.User{Hash: basicauth.HashAs(tiny, "s3cret")}, nil, 503, "without a Name"},
		{"a hash in plaintext", &basicauth.User{Name: "alice", Hash: "s3cret"}, nil, 503, "plaintext"},
		{"a hash-cost bomb", &basicauth.User{Name: "alice", Hash: basicauth.PasswordHash("$2b$31$" + strings.Repeat("a", 53))}, nil, 503, "cost 31"},
		{"a hash that is cut off", &basicauth.User{Name: "alice", Hash: basicauth.HashAs(tiny, "s3cret")[:50]}, nil, 503, "malformed"},
		{"a user without hash", &basicauth.User{Name: "alice"}, nil, 401, ""},
		{"a disabled user", &basicauth.User{Name: "alice", Hash: basicauth.HashAs(tiny, "s3cret"), Disabled: true}, nil, 401, ""},
		{"a user with another spelling of the name", &basicauth.User{Name: "ALICE", Hash: basicauth.HashAs(tiny, "s3cret")}, nil, 200, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log logBuffer
			basic := newBasic(t, basicauth.Config{Logger: log.logger(), Users: usersFunc(func(context.Context, string) (*basicauth.User, error) {
				return tt.user, tt.err
			})})
			resp := serve(newGuard(t, basic).Wrap(ok), as("alice", "s3cret"))
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if tt.status == 503 && resp.Header.Get("Retry-After") != "1" {
				t.Errorf("Retry-After %q", resp.Header.Get("Retry-After"))
			}
			if (tt.logged != "") != strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), tt.logged) {
				t.Errorf("log %q, want %q", log.String(), tt.logged)
			}
			if tt.user != nil && tt.user.Hash != "" && strings.Contains(log.String(), string(tt.user.Hash)) {
				t.Errorf("log %q shows the hash", log.String())
			}
			if tt.user != nil && tt.user.Name == "ALICE" {
				if p, err := basic.Authenticate(as("alice", "s3cret")); err != nil || p.Subject != "ALICE" {
					t.Errorf("subject %v, %v, want the user's own spelling", p, err)
				}
			}
		})
	}
}

// To the client, a disabled user, a user without hash, an unknown user and a wrong
// password look the same, header fields and all.
func TestRefusalsLookTheSame(t *testing.T) {
	disabled := user("dora", "s3cret")
	disabled.Disabled = true
	basic := newBasic(t, basicauth.Config{Users: newUsers(t, user("alice", "s3cret"), disabled, basicauth.User{Name: "ghost"}), Throttles: unthrottled})
	h := newGuard(t, basic).Wrap(ok)
	var first *http.Response
	for _, r := range []*http.Request{as("alice", "wrong"), as("dora", "s3cret"), as("dora", "wrong"), as("ghost", "x"), as("nobody", "s3cret"), as("alice", strings.Repeat("x", 100)), with("Basic x")} {
		resp := serve(h, r)
		if resp.StatusCode != 401 || codeOf(t, resp) != "unauthorized" {
			t.Errorf("status %d", resp.StatusCode)
		}
		if first == nil {
			first = resp
		}
		for _, field := range []string{"Www-Authenticate", "Content-Length", "Retry-After", "Content-Type"} {
			if !slices.Equal(resp.Header[field], first.Header[field]) {
				t.Errorf("%s %q, want %q", field, resp.Header[field], first.Header[field])
			}
		}
	}
}

// The log says more than the client is told, but repeats no name that is nobody's:
// it may be a password that was typed into the wrong field.
func TestTheCauseOfARefusal(t *testing.T) {
	disabled := user("dora", "s3cret")
	disabled.Disabled = true
	basic := newBasic(t, basicauth.Config{Users: newUsers(t, user("alice", "s3cret"), disabled)})
	for _, tt := range []struct{ name, user, password, cause string }{
		{"a wrong password", "alice", "wr0ng", `wrong password for user "alice"`},
		{"a disabled user", "dora", "s3cret", `user "dora" is disabled`},
		{"a disabled user with a wrong password", "dora", "wr0ng", `wrong password for user "dora"`},
		{"an unknown user", "hunter2", "x", "no user has this name"},
	} {
		_, err := basic.Authenticate(as(tt.user, tt.password))
		if err == nil || !strings.Contains(err.Error(), tt.cause) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "wr0ng") {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.cause)
		}
	}
}

func TestTheZeroAuthenticatorRefusesEverybody(t *testing.T) {
	var zero basicauth.Authenticator
	want(t, &zero, as("alice", "s3cret"), 500)
	if _, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: &zero, Realm: "x"}); err == nil || !strings.Contains(err.Error(), "basicauth.New") {
		t.Errorf("NewGuard: %v", err)
	}
	var none *basicauth.Authenticator
	want(t, none, as("alice", "s3cret"), 500)
}

func TestAllMistakesOfAConfigAreReportedAtOnce(t *testing.T) {
	_, err := basicauth.New(basicauth.Config{
		Kinds: append(make([]basicauth.Kind, 8), basicauth.BcryptKind(20)), Remember: time.Hour, RememberSize: -1, MaxCompares: -1, MaxWaiting: 33,
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"Users: is nil", "Kinds (9): are more than 8", "Kinds[0] (\"none\"): is no kind", "Kinds[8] (\"bcrypt 20\"): is dearer",
		"Remember (1h0m0s): is longer than a minute", "RememberSize (-1)", "MaxCompares (-1)", "MaxWaiting (33): is not from 1 to 32"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not reported: %q in\n%v", want, err)
		}
	}
	var c *keystile.ConfigError
	if !errors.As(err, &c) || !strings.HasPrefix(c.Field, "basicauth.Config.") {
		t.Errorf("%#v", c)
	}
}

// R5: a route may silence Basic alone.
func TestAChallengeCanBeSilenced(t *testing.T) {
	basic := newBasic(t, basicauth.Config{Users: newUsers(t, user("alice", "s3cret"))})
	guard, err := keystile.NewGuard(keystile.GuardConfig{
		Authenticator: keystile.AnyOf(basic, key{}), Realm: "test",
		Silence: func(r *http.Request, scheme string) bool { return scheme == "Basic" && r.URL.Path == "/page" },
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]string{
		"/api":  {`Basic realm="test", charset="UTF-8"`, `ApiKey realm="test"`},
		"/page": {`ApiKey realm="test"`},
	} {
		r := as("alice", "wrong")
		r.URL.Path = path
		if got := serve(guard.Wrap(ok), r).Header["Www-Authenticate"]; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// key is an Authenticator that takes every X-Api-Key as one of account acme.
type key struct{}

func (key) Present(r *http.Request) bool { return len(r.Header["X-Api-Key"]) > 0 }
func (k key) Authenticate(r *http.Request) (*keystile.Principal, error) {
	if !k.Present(r) {
		return nil, keystile.NoCredentials(keystile.SchemeAPIKey)
	}
	return &keystile.Principal{Subject: "key", Account: "acme", Scheme: keystile.SchemeAPIKey}, nil
}
func (key) Challenges(*http.Request, error) []string { return []string{"ApiKey"} }

// Whispir's rule: a key and a user of the same account.
func TestBesideAKey(t *testing.T) {
	eve := user("eve", "s3cret")
	eve.Account = "other"
	both := keystile.AllOf(key{}, newBasic(t, basicauth.Config{Users: newUsers(t, user("alice", "s3cret"), eve)}))
	keyed := func(r *http.Request) *http.Request {
		r.Header.Set("X-Api-Key", "k")
		return r
	}
	p, err := both.Authenticate(keyed(as("alice", "s3cret")))
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := basicauth.From(p); !ok || u.Name != "alice" || p.Subject != "key" {
		t.Errorf("%v, %v", u, p)
	}
	want(t, both, keyed(as("eve", "s3cret")), 401)
	want(t, both, keyed(with()), 401)
	want(t, both, as("alice", "s3cret"), 401)
}

// The row of the user is read for every request: nothing that it says is older
// than the request. go-guardian's cache let the old password in.
func TestARowCountsFromTheNextRequest(t *testing.T) {
	users := newUsers(t, user("alice", "old"), user("bob", "old"))
	basic := newBasic(t, basicauth.Config{Users: users, Throttles: unthrottled})
	edit := func(change func(u *basicauth.User)) {
		t.Helper()
		if err := users.Update("alice", change); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second time from memory
		want(t, basic, as("alice", "old"), 200)
	}
	edit(func(u *basicauth.User) { u.Hash = basicauth.HashAs(tiny, "new") })
	want(t, basic, as("alice", "old"), 401)
	want(t, basic, as("alice", "new"), 200)

	edit(func(u *basicauth.User) { u.Disabled = true })
	want(t, basic, as("alice", "new"), 401)
	edit(func(u *basicauth.User) { u.Disabled = false })
	want(t, basic, as("alice", "new"), 200)

	edit(func(u *basicauth.User) { u.Plan, u.Scopes, u.Account = "free", []string{"write"}, "moved" })
	p, err := basic.Authenticate(as("alice", "new"))
	if err != nil || p.Plan != "free" || p.Scopes.Has("read") || !p.Scopes.Has("write") || p.Account != "moved" {
		t.Errorf("%+v, %v", p, err)
	}
	if u, _ := basicauth.From(p); u.Account != "moved" {
		t.Errorf("%+v", u)
	}
	edit(func(u *basicauth.User) { u.Metadata = map[string]string{"k": "v"} })
	p, _ = basic.Authenticate(as("alice", "new"))
	if u, _ := basicauth.From(p); u.Metadata["k"] != "v" {
		t.Errorf("%+v", u)
	}
	edit(func(u *basicauth.User) { u.Hash = "" })
	want(t, basic, as("alice", "new"), 401)

	if err := users.Remove("bob"); err != nil {
		t.Fatal(err)
	}
	want(t, basic, as("bob", "old"), 401)
}

// An outage of Users is not covered up by what is remembered, and passes.
func TestAnOutageIsNoRefusal(t *testing.T) {
	users := newUsers(t, user("alice", "s3cret"))
	var mu sync.Mutex
	var down error
	basic := newBasic(t, basicauth.Config{Users: usersFunc(func(ctx context.Context, name string) (*basicauth.User, error) {
		mu.Lock()
		defer mu.Unlock()
		if down != nil {
			return nil, down
		}
		return users.FindUser(ctx, name)
	})})
	want(t, basic, as("alice", "s3cret"), 200)
	down = errors.New("connection refused")
	want(t, basic, as("alice", "s3cret"), 503)
	want(t, basic, as("alice", "wrong"), 503)
	down = nil
	want(t, basic, as("alice", "s3cret"), 200)
}
