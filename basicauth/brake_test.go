package basicauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/basicauth"
)

// scene is an Authenticator with its default throttles, under a clock that only
// the test moves, with comparisons that cost nothing.
type scene struct {
	*basicauth.Authenticator
	clock    *clock
	compares int
}

const rightPassword = "s3cret"

func newScene(t *testing.T, names ...string) *scene {
	t.Helper()
	s := &scene{clock: newClock()}
	var users []basicauth.User
	for _, name := range names {
		users = append(users, basicauth.User{Name: name, Hash: basicauth.NewDummy(tiny)})
	}
	s.Authenticator = newBasic(t, basicauth.Config{Users: newUsers(t, users...), Now: s.clock.Now})
	s.SetCompare(func(_ basicauth.Kind, _ basicauth.PasswordHash, password string, _ func() bool) bool {
		s.compares++
		return password == rightPassword
	})
	return s
}

// retryAfter returns how long the client of r is told to wait; 0: it was judged.
func (s *scene) retryAfter(r *http.Request) time.Duration {
	_, err := s.Authenticate(r)
	var e *keystile.Error
	if errors.As(err, &e) && e.Code == keystile.CodeRateLimited {
		return e.RetryAfter
	}
	return 0
}

// guess makes n guesses, of which it says how many were judged.
func (s *scene) guess(n int, request func(i int) *http.Request) (judged int) {
	before := s.compares
	for i := range n {
		_, _ = s.Authenticate(request(i))
	}
	return s.compares - before
}

// patiently guesses for so long, as often as it is told that it may.
func (s *scene) patiently(d time.Duration, request func(i int) *http.Request) (judged int) {
	before := s.compares
	for i, end := 0, s.clock.Now().Add(d); s.clock.Now().Before(end); i++ {
		s.clock.Add(s.retryAfter(request(i)))
	}
	return s.compares - before
}

func guessing(addr, name string) func(i int) *http.Request {
	return func(i int) *http.Request { return from(addr, name, fmt.Sprint("guess", i)) }
}

// manyAddresses guesses from another network each time.
func manyAddresses(name string) func(i int) *http.Request {
	return func(i int) *http.Request {
		return from(fmt.Sprintf("2001:db8:%x:%x::1", i>>16, i&0xffff), name, fmt.Sprint("guess", i))
	}
}

func TestTheAnswerToWhoMustWait(t *testing.T) {
	s := newScene(t, "alice")
	h := newGuard(t, s).Wrap(ok)
	for i := range 6 {
		if resp := serve(h, guessing("192.0.2.1", "alice")(i)); resp.StatusCode != 401 {
			t.Fatalf("guess %d: %d", i, resp.StatusCode)
		}
	}
	compares := s.compares
	resp := serve(h, as("alice", rightPassword))
	if resp.StatusCode != 429 || codeOf(t, resp) != "rate_limited" || resp.Header.Get("Retry-After") != "1" || resp.Header["Www-Authenticate"] != nil {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if s.compares != compares {
		t.Error("compared before saying so")
	}
	s.clock.Add(time.Second - 1)
	want(t, s, as("alice", rightPassword), 429)
	s.clock.Add(1)
	want(t, s, as("alice", rightPassword), 200)
	s.clock.Add(time.Hour)
	if got := s.guess(7, guessing("192.0.2.1", "alice")); got != 6 {
		t.Errorf("after a success %d guesses were judged, want 6 again", got)
	}
}

// R59: at most 100 failures in a row, growing waits. These are the figures that
// the comment of Throttles gives.
func TestWhatTheThrottlesLetThrough(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name  string
		guess func(s *scene) int
		want  int
	}{
		{"a thousand guesses at once at one user from one network", func(s *scene) int { return s.guess(1_000, guessing("192.0.2.1", "alice")) }, 6},
		{"a thousand guesses at once at an unknown user", func(s *scene) int { return s.guess(1_000, guessing("192.0.2.1", "nobody")) }, 6},
		{"patient guesses within a day from one network", func(s *scene) int { return s.patiently(day, guessing("192.0.2.1", "alice")) }, 40},
		{"patient guesses within three days from one network", func(s *scene) int { return s.patiently(3*day, guessing("192.0.2.1", "alice")) }, 88},
		{"patient guesses within four days from one network", func(s *scene) int { return s.patiently(4*day, guessing("192.0.2.1", "alice")) }, 100},
		{"patient guesses within a year from one network", func(s *scene) int { return s.patiently(365*day, guessing("192.0.2.1", "alice")) }, 461},
		{"guesses from all of one /64", func(s *scene) int {
			return s.guess(1_000, func(i int) *http.Request { return from(fmt.Sprintf("2001:db8::%x", i+1), "alice", fmt.Sprint(i)) })
		}, 6},
		{"a thousand guesses at once from as many networks", func(s *scene) int { return s.guess(1_000, manyAddresses("alice")) }, 51},
		{"patient guesses within two days from many networks", func(s *scene) int { return s.patiently(2*day, manyAddresses("alice")) }, 110},
		{"patient guesses within a day from many networks", func(s *scene) int { return s.patiently(day, manyAddresses("alice")) }, 86},
		{"one password for a thousand users from one network", func(s *scene) int {
			return s.guess(1_000, func(i int) *http.Request { return as(fmt.Sprint("user", i), "Summer2026!") })
		}, 51},
		{"one password for ever more users within a day", func(s *scene) int {
			return s.patiently(day, func(i int) *http.Request { return as(fmt.Sprint("user", i), "Summer2026!") })
		}, 2934},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.guess(newScene(t, "alice")); got != tt.want {
				t.Errorf("%d guesses were judged, want %d", got, tt.want)
			}
		})
	}
}

// A guesser elsewhere does not lock out the owner.
func TestTheOwnerOnAnotherAddressGetsIn(t *testing.T) {
	for _, tt := range []struct {
		name   string
		attack func(s *scene)
	}{
		{"after a burst from one network", func(s *scene) { s.guess(1000, guessing("203.0.113.9", "alice")) }},
		{"after a week of patient guesses from one network", func(s *scene) {
			s.patiently(7*24*time.Hour, guessing("203.0.113.9", "alice"))
			s.guess(1, guessing("203.0.113.9", "alice"))
		}},
		{"after one password was tried with many users", func(s *scene) {
			s.guess(1000, func(i int) *http.Request { return from("203.0.113.9", fmt.Sprint("user", i), "x") })
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t, "alice")
			tt.attack(s)
			want(t, s, from("203.0.113.9", "alice", rightPassword), 429)
			want(t, s, from("192.0.2.1", "alice", rightPassword), 200)
			want(t, s, from("2001:db8::7", "alice", rightPassword), 200)
		})
	}
}

// Nor does one with many addresses, where the owner comes from a known network.
func TestTheOwnerOnAKnownNetworkGetsIn(t *testing.T) {
	s := newScene(t, "alice", "bob")
	want(t, s, from("192.0.2.1", "alice", rightPassword), 200)
	want(t, s, from("2001:db8:aaaa::7", "alice", rightPassword), 200)
	s.clock.Add(24 * time.Hour) // nothing is remembered but where it was
	for range 3 {
		s.guess(1000, manyAddresses("alice"))
		want(t, s, from("192.0.2.1", "alice", rightPassword), 200)
		want(t, s, from("2001:db8:aaaa::8", "alice", rightPassword), 200) // of the same /64
		want(t, s, from("198.51.100.1", "alice", rightPassword), 429)     // new, and slowed down while it lasts
		want(t, s, from("198.51.100.1", "bob", rightPassword), 200)
		s.clock.Add(2 * time.Hour)
	}
	s.clock.Add(3 * 24 * time.Hour)
	want(t, s, from("198.51.100.1", "alice", rightPassword), 200)

	t.Run("beside a colleague who guesses", func(t *testing.T) {
		s := newScene(t, "alice", "bob")
		want(t, s, as("alice", rightPassword), 200)
		s.clock.Add(time.Hour)
		s.guess(1000, func(i int) *http.Request { return as(fmt.Sprint("user", i), "x") })
		want(t, s, as("alice", rightPassword), 200)
		want(t, s, as("bob", rightPassword), 429) // new on this network
	})
	t.Run("a network is known for 30 days", func(t *testing.T) {
		s := newScene(t, "alice")
		want(t, s, as("alice", rightPassword), 200)
		s.clock.Add(30*24*time.Hour - 1)
		s.guess(1000, manyAddresses("alice"))
		want(t, s, as("alice", rightPassword), 200)
		s.clock.Add(30 * 24 * time.Hour)
		s.guess(1000, manyAddresses("alice"))
		want(t, s, as("alice", rightPassword), 429)
	})
}

// What is remembered must not become a way around the throttles: else a guesser
// could ask memory, as fast as he likes, for the password of whoever is active.
func TestMemoryIsNoWayAroundTheThrottles(t *testing.T) {
	s := newScene(t, "alice")
	login := func(addr string, status_ int) {
		t.Helper()
		want(t, s, from(addr, "alice", rightPassword), status_)
	}
	login("192.0.2.1", 200)
	login("192.0.2.1", 200)
	s.guess(100, guessing("203.0.113.9", "alice"))
	login("203.0.113.9", 429) // the right guess, while it is remembered
	login("192.0.2.1", 200)   // which the owner does not notice

	before := s.compares
	login("198.51.100.1", 200) // another network that need not wait: memory answers
	login("198.51.100.1", 200)
	if s.compares != before {
		t.Error("compared again")
	}

	// On the owner's own network a guesser makes both wait: from there nobody can
	// tell them apart.
	judged := s.guess(100, guessing("192.0.2.1", "alice"))
	if judged != 6 {
		t.Errorf("%d guesses were judged", judged)
	}
	login("192.0.2.1", 429)
	login("198.51.100.1", 200)
	s.clock.Add(time.Second)
	login("192.0.2.1", 200)
}

// However many log in at the same time, there is one memory to close.
func TestMemoryIsClosedForAllWhoLoggedInTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		basic := newBasic(t, basicauth.Config{Users: newUsers(t, user("alice", "s3cret")), MaxCompares: 1})
		h := hold(basic, func(_ basicauth.PasswordHash, password string) bool { return password == "s3cret" })
		var requests []*http.Request
		for range 20 {
			requests = append(requests, as("alice", "s3cret"))
		}
		logins(basic, func() { close(h.release) }, requests...)
		want(t, basic, as("alice", "s3cret"), 200)
		for i := range 7 {
			_ = status(basic, guessing("192.0.2.1", "alice")(i))
		}
		want(t, basic, as("alice", "s3cret"), 429)
		if n := h.compares.Load(); n != 7 {
			t.Errorf("%d compares, want 7", n)
		}
	})
}

// A network that is forgotten, because too many others came after it, is a new one,
// for what is remembered of passwords as well.
func TestAForgottenNetworkIsNew(t *testing.T) {
	c := newClock()
	basic := newBasic(t, basicauth.Config{Users: newUsers(t, user("alice", "s3cret"), user("bob", "s3cret")), Now: c.Now, RememberSize: 8})
	want(t, basic, as("alice", "s3cret"), 200)
	for i := range 60 { // closes the network for those who are new there
		_ = status(basic, as(fmt.Sprint("user", i), "x"))
	}
	want(t, basic, as("bob", "s3cret"), 429)
	want(t, basic, as("alice", "s3cret"), 200)
	for i := range 8 {
		want(t, basic, from(fmt.Sprintf("2001:db8:0:%x::1", i), "bob", "s3cret"), 200)
	}
	want(t, basic, as("alice", "s3cret"), 429)
}

// A success of one's own is no way to a new start against others.
func TestASuccessResetsItsOwnCountOnly(t *testing.T) {
	s := newScene(t, "alice", "mallory")
	judged := 0
	for i := range 1000 {
		judged += s.guess(1, guessing("203.0.113.9", fmt.Sprint("user", i)))
		want(t, s, from("203.0.113.9", "mallory", rightPassword), 200)
		s.clock.Add(time.Millisecond)
	}
	if judged > 60 {
		t.Errorf("%d guesses were judged", judged)
	}
	s = newScene(t, "alice")
	judged = 0
	for i := range 1000 {
		judged += s.guess(1, func(int) *http.Request { return manyAddresses("alice")(i) })
		want(t, s, from("192.0.2.1", "alice", rightPassword), 200)
		s.clock.Add(time.Millisecond)
	}
	if judged > 60 {
		t.Errorf("%d guesses were judged, because the owner logged in meanwhile", judged)
	}
}

// Whoever is told to wait is charged nothing for asking.
func TestWaitingIsChargedToNobody(t *testing.T) {
	s := newScene(t, "alice")
	s.guess(1_000, guessing("192.0.2.1", "alice"))
	s.clock.Add(time.Second)
	if got := s.retryAfter(as("alice", "x")); got != 0 {
		t.Errorf("still %v to wait", got)
	}
	if got := s.retryAfter(as("alice", "x")); got != 2*time.Second {
		t.Errorf("%v to wait, want 2s: as after one failure more", got)
	}
}

// A thousand guesses at once are not a thousand free ones: who waited for a slot is
// asked again.
func TestGuessesAtTheSameTimeCountTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		basic := newBasic(t, basicauth.Config{Users: newUsers(t, user("alice", "s3cret")), MaxCompares: 2})
		h := hold(basic, func(basicauth.PasswordHash, string) bool { return false })
		var requests []*http.Request
		for i := range 34 {
			requests = append(requests, guessing("192.0.2.1", "alice")(i))
		}
		counts := map[int]int{}
		for _, got := range logins(basic, func() { close(h.release) }, requests...) {
			counts[got]++
		}
		if n := h.compares.Load(); n < 6 || n > 7 { // one more per further slot
			t.Errorf("%d guesses were judged, %v", n, counts)
		}
	})
}

// A client that hangs up as soon as it has sent its guess is charged for it.
func TestHangingUpIsNoWayAroundTheThrottles(t *testing.T) {
	s := newScene(t, "alice")
	judged := 0
	s.SetCompare(func(basicauth.Kind, basicauth.PasswordHash, string, func() bool) bool { judged++; return false })
	for i := range 100 {
		ctx, hangUp := context.WithCancel(t.Context())
		s.SetCompare(func(basicauth.Kind, basicauth.PasswordHash, string, func() bool) bool {
			judged++
			hangUp()
			return false
		})
		_, _ = s.Authenticate(guessing("192.0.2.1", "alice")(i).WithContext(ctx))
		hangUp()
	}
	if judged != 6 {
		t.Errorf("%d guesses were judged, want 6", judged)
	}
}

// broken is a Throttle whose store is down.
type broken struct{ check, fail, reset error }

func (b broken) Check(context.Context, string) (time.Duration, error) { return 0, b.check }
func (b broken) Fail(context.Context, string) error                   { return b.fail }
func (b broken) Reset(context.Context, string) error                  { return b.reset }

func TestAThrottleThatIsDown(t *testing.T) {
	down := errors.New("store down")
	for _, tt := range []struct {
		name         string
		throttle     broken
		right, wrong int
		logged       bool
	}{
		{"it cannot be asked: nobody is judged", broken{check: down}, 503, 503, false},
		{"it cannot count: a failure is not told", broken{fail: down}, 200, 503, true},
		{"it cannot reset: who logs in is let in", broken{reset: down}, 200, 401, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for at, throttles := range map[string]basicauth.Throttles{"pair": {Pair: tt.throttle}, "network": {Network: tt.throttle}, "user": {User: tt.throttle}} {
				var log logBuffer
				basic := newBasic(t, basicauth.Config{Users: newUsers(t, user("alice", "s3cret")), Throttles: throttles, Logger: log.logger(), Remember: -1})
				want(t, basic, as("alice", "wrong"), tt.wrong)
				want(t, basic, as("alice", "s3cret"), tt.right)
				if tt.throttle.reset == nil || at == "pair" { // the only one that is reset
					if got := strings.Contains(log.String(), "a Throttle fails"); got != tt.logged {
						t.Errorf("%s: log %q", at, log.String())
					}
				}
			}
		})
	}
}

// spy writes down the keys of a Throttle.
type spy struct {
	mu   sync.Mutex
	keys map[string]int
}

func (s *spy) note(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = map[string]int{}
	}
	s.keys[key]++
}
func (s *spy) Check(_ context.Context, key string) (time.Duration, error) { s.note(key); return 0, nil }
func (s *spy) Fail(_ context.Context, key string) error                   { s.note(key); return nil }
func (s *spy) Reset(_ context.Context, key string) error                  { s.note(key); return nil }

// One store may stand behind all three; and what was typed into the wrong field is
// not written down there.
func TestTheKeysOfThrottles(t *testing.T) {
	var s spy
	basic := newBasic(t, basicauth.Config{Users: newUsers(t, user("alice", "s3cret")), Throttles: basicauth.Throttles{Pair: &s, Network: &s, User: &s}})
	for _, login := range [][2]string{{"alice", "x"}, {"hunter2", "x"}, {"hunter2x", ""}, {"hunter2", "xx"}, {strings.Repeat("n", 500), "y"}} {
		_, _ = basic.Authenticate(from("2001:db8::1", login[0], login[1]))
	}
	_, _ = basic.Authenticate(from("2001:db8:0:1::1", "alice", "x"))
	_, _ = basic.Authenticate(from("::ffff:192.0.2.1", "alice", "x"))
	_, _ = basic.Authenticate(from("192.0.2.1", "alice", "x"))
	if n := len(s.keys); n != 3+3+5 { // users, networks, pairs
		t.Errorf("%d keys, want 11: %v", n, s.keys)
	}
	for key := range s.keys {
		if !strings.HasPrefix(key, "basicauth:") || len(key) > 80 || strings.Contains(key, "hunter2") || strings.Contains(key, "alice") {
			t.Errorf("key %q", key)
		}
	}
}

// A user whom Users knows under several spellings has one count.
func TestSpellingsOfANameShareACount(t *testing.T) {
	s := newScene(t, "alice")
	users := newUsers(t, basicauth.User{Name: "alice", Hash: basicauth.NewDummy(tiny)})
	basic := newBasic(t, basicauth.Config{Now: s.clock.Now, Users: usersFunc(func(ctx context.Context, name string) (*basicauth.User, error) {
		return users.FindUser(ctx, strings.ToLower(strings.TrimSpace(name))) // as MySQL's collations do
	})})
	s.Authenticator = basic
	s.SetCompare(func(basicauth.Kind, basicauth.PasswordHash, string, func() bool) bool { s.compares++; return false })
	if got := s.guess(1000, func(i int) *http.Request { return as("Alice"+strings.Repeat(" ", i%400), fmt.Sprint(i)) }); got != 6 {
		t.Errorf("%d guesses were judged, want 6", got)
	}
}
