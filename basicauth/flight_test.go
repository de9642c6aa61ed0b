package basicauth_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/keystile/keystile/basicauth"
)

// held is a comparison that lasts until it is let go. In a bubble of synctest.
type held struct {
	compares atomic.Int64
	release  chan struct{}
}

// hold makes the comparisons of a wait. What they say is up to verdict.
func hold(a *basicauth.Authenticator, verdict func(h basicauth.PasswordHash, password string) bool) *held {
	h := &held{release: make(chan struct{})}
	a.SetCompare(func(_ basicauth.Kind, hash basicauth.PasswordHash, password string, _ func() bool) bool {
		h.compares.Add(1)
		<-h.release
		return verdict(hash, password)
	})
	return h
}

func always(basicauth.PasswordHash, string) bool { return true }

// logins runs each request at the same time and returns their statuses in order,
// once they have ended. meanwhile runs when all of them wait.
func logins(a *basicauth.Authenticator, meanwhile func(), requests ...*http.Request) []int {
	got := make([]int, len(requests))
	var all sync.WaitGroup
	for i, r := range requests {
		all.Go(func() { got[i] = status(a, r) })
	}
	synctest.Wait()
	meanwhile()
	all.Wait()
	return got
}

func TestIdenticalLoginsShareOneComparison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		basic := newBasic(t, basicauth.Config{Users: newUsers(t, user("alice", "s3cret")), MaxCompares: 4})
		h := hold(basic, always)
		requests := make([]*http.Request, 100)
		for i := range requests {
			requests[i] = as("alice", "s3cret")
		}
		for i, got := range logins(basic, func() {
			if n := basic.Flights(); n != 1 {
				t.Errorf("%d flights, want 1", n)
			}
			close(h.release)
		}, requests...) {
			if got != 200 {
				t.Errorf("login %d: %d", i, got)
			}
		}
		if n := h.compares.Load(); n != 1 {
			t.Errorf("%d compares, want 1", n)
		}
		if n := basic.Flights(); n != 0 {
			t.Errorf("%d flights are left", n)
		}
	})
}

// Unknown users do not share, as known ones do not: whether requests for two names
// take one comparison or two would tell whether the names are known.
func TestUnknownUsersDoNotShareAComparison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		basic := newBasic(t, basicauth.Config{Users: newUsers(t, user("alice", "s3cret"), basicauth.User{Name: "ghost1"}, basicauth.User{Name: "ghost2"}), MaxCompares: 10})
		h := hold(basic, always)
		for i, got := range logins(basic, func() {
			if n := h.compares.Load(); n != 4 {
				t.Errorf("%d compares, want 4", n)
			}
			close(h.release)
		}, as("unknown1", "test"), as("unknown2", "test"), as("ghost1", "test"), as("ghost2", "test"), as("unknown1", "test")) {
			if got != 401 {
				t.Errorf("login %d: %d", i, got)
			}
		}
	})
}

// Traefik's CVE-2026-71326 (GHSA-6765-c87h-8mrf): under a key that was name,
// password and hash strung together, an unknown admin inherited the verdict on a
// viewer.
func TestNobodyInheritsTheVerdictOnAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		viewer := basicauth.User{Name: "viewer", Hash: basicauth.HashAs(tiny, "test")}
		basic := newBasic(t, basicauth.Config{Users: newUsers(t, viewer), MaxCompares: 100})
		h := hold(basic, func(hash basicauth.PasswordHash, password string) bool {
			return hash == viewer.Hash && password == "test"
		})
		requests := []*http.Request{as("viewer", "test")}
		for _, login := range [][2]string{
			{"admin", "test" + string(viewer.Hash)}, {"admin", "test"}, {"viewer", "test" + string(viewer.Hash)}, {"viewer", "admin:test"},
			{"viewe", "rtest"}, {"viewert", "est"}, {"viewer ", "test"}, {"Viewer", "test"}, {"6:viewer", "test"},
		} {
			requests = append(requests, as(login[0], login[1]))
		}
		got := logins(basic, func() {
			if n := int(h.compares.Load()); n != len(requests) {
				t.Errorf("%d compares, want %d", n, len(requests))
			}
			close(h.release)
		}, requests...)
		for i, got := range got {
			if (got == 200) != (i == 0) {
				name, password, _ := requests[i].BasicAuth()
				t.Errorf("%q with %q: %d", name, password, got)
			}
		}
	})
}

// A leader who hangs up while waiting for a slot fails no follower, and one who
// hangs up while comparing serves them still.
func TestALeaderWhoGivesUpFailsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		basic := newBasic(t, basicauth.Config{Users: newUsers(t, user("alice", "s3cret"), user("bob", "b")), MaxCompares: 1})
		h := hold(basic, always)
		ctx, hangUp := context.WithCancel(t.Context())
		var all sync.WaitGroup
		var blocker, leader int
		all.Go(func() { blocker = status(basic, as("bob", "b")) })
		synctest.Wait()
		all.Go(func() { leader = status(basic, as("alice", "s3cret").WithContext(ctx)) })
		synctest.Wait()
		followers := logins(basic, func() {
			if basic.Waiting() != 1 {
				t.Errorf("%d wait for a slot, want the leader alone", basic.Waiting())
			}
			hangUp()
			synctest.Wait()
			close(h.release)
		}, as("alice", "s3cret"), as("alice", "s3cret"), as("alice", "s3cret"))
		all.Wait()
		if blocker != 200 || leader != 503 {
			t.Errorf("blocker %d, leader %d", blocker, leader)
		}
		for i, got := range followers {
			if got != 200 {
				t.Errorf("follower %d: %d", i, got)
			}
		}
		if n := h.compares.Load(); n != 2 {
			t.Errorf("%d compares, want 2", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		basic := newBasic(t, basicauth.Config{Users: newUsers(t, user("alice", "s3cret"))})
		h := hold(basic, always)
		ctx, hangUp := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { _ = status(basic, as("alice", "s3cret").WithContext(ctx)) })
		synctest.Wait()
		got := logins(basic, func() { hangUp(); close(h.release) }, as("alice", "s3cret"))
		all.Wait()
		if got[0] != 200 || h.compares.Load() != 1 {
			t.Errorf("the follower: %d after %d compares", got[0], h.compares.Load())
		}
	})
}

// A follower's own deadline holds.
func TestAFollowerDoesNotWaitLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		basic := newBasic(t, basicauth.Config{Users: newUsers(t, user("alice", "s3cret"))})
		h := hold(basic, always)
		ctx, hangUp := context.WithCancel(t.Context())
		var all sync.WaitGroup
		var leader, follower int
		all.Go(func() { leader = status(basic, as("alice", "s3cret")) })
		synctest.Wait()
		all.Go(func() { follower = status(basic, as("alice", "s3cret").WithContext(ctx)) })
		synctest.Wait()
		hangUp()
		synctest.Wait()
		if follower != 503 {
			t.Errorf("the follower: %d, want 503 at once", follower)
		}
		close(h.release)
		all.Wait()
		if leader != 200 {
			t.Errorf("the leader: %d", leader)
		}
	})
}

// A panic in a comparison is the server's to recover; nobody waits for ever.
func TestAPanicLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		basic := newBasic(t, basicauth.Config{Users: newUsers(t, user("alice", "s3cret")), MaxCompares: 1})
		release, panicked := make(chan struct{}), false
		basic.SetCompare(func(_ basicauth.Kind, _ basicauth.PasswordHash, _ string, real func() bool) bool {
			<-release
			if !panicked {
				panicked = true
				panic("out of memory")
			}
			return real()
		})
		var all sync.WaitGroup
		all.Go(func() {
			defer func() { _ = recover() }()
			_ = status(basic, as("alice", "s3cret"))
		})
		synctest.Wait()
		if got := logins(basic, func() { close(release) }, as("alice", "s3cret")); got[0] != 200 {
			t.Errorf("the follower: %d", got[0])
		}
		all.Wait()
		if basic.Flights() != 0 || basic.Waiting() != 0 {
			t.Errorf("%d flights, %d waiting", basic.Flights(), basic.Waiting())
		}
		want(t, basic, as("alice", "s3cret"), 200)
	})
}

// A user who is disabled while others compare the same password is judged by the
// row that each request has read.
func TestWhoSharesAComparisonIsJudgedByItsOwnRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := newUsers(t, user("alice", "s3cret"))
		basic := newBasic(t, basicauth.Config{Users: users})
		h := hold(basic, always)
		var all sync.WaitGroup
		var before int
		all.Go(func() { before = status(basic, as("alice", "s3cret")) })
		synctest.Wait()
		if err := users.Update("alice", func(u *basicauth.User) { u.Disabled = true }); err != nil {
			t.Fatal(err)
		}
		after := logins(basic, func() { close(h.release) }, as("alice", "s3cret"))
		all.Wait()
		if before != 200 || after[0] != 401 {
			t.Errorf("before %d, after %d", before, after[0])
		}
		want(t, basic, as("alice", "s3cret"), 401)
	})
}

func TestTheGateBoundsComparisonsAndTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slots, queue, all = 2, 3, 9
		basic := newBasic(t, basicauth.Config{Users: newUsers(t), MaxCompares: slots, MaxWaiting: queue})
		h := hold(basic, always)
		var requests []*http.Request
		for i := range all {
			requests = append(requests, as(fmt.Sprint("user", i), "x"))
		}
		counts := map[int]int{}
		for _, got := range logins(basic, func() {
			if n := h.compares.Load(); n != slots {
				t.Errorf("%d compares at once, want %d", n, slots)
			}
			if n := basic.Waiting(); n != queue {
				t.Errorf("%d wait, want %d", n, queue)
			}
			close(h.release)
		}, requests...) {
			counts[got]++
		}
		if counts[503] != all-slots-queue || counts[401] != slots+queue {
			t.Errorf("%v", counts)
		}
		if n := h.compares.Load(); n != slots+queue {
			t.Errorf("%d compares, want %d: whoever is turned away is so before anything is hashed", n, slots+queue)
		}
		if n := basic.Waiting(); n != 0 {
			t.Errorf("%d still wait", n)
		}
	})
}

func TestTheAnswerOfAFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		basic := newBasic(t, basicauth.Config{Users: newUsers(t), MaxCompares: 1, MaxWaiting: 1})
		h := hold(basic, always)
		logins(basic, func() {
			resp := serve(newGuard(t, basic).Wrap(ok), as("late", "x"))
			if resp.StatusCode != 503 || codeOf(t, resp) != "overloaded" || resp.Header.Get("Retry-After") != "1" || resp.Header["Www-Authenticate"] != nil {
				t.Errorf("%d %v", resp.StatusCode, resp.Header)
			}
			close(h.release)
		}, as("one", "x"), as("two", "x"))
	})
}

// Nobody waits in the queue for longer than five seconds.
func TestTheQueueHasAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		basic := newBasic(t, basicauth.Config{Users: newUsers(t), MaxCompares: 1})
		h := hold(basic, always)
		var all sync.WaitGroup
		var first int
		all.Go(func() { first = status(basic, as("one", "x")) })
		synctest.Wait()
		if got := status(basic, as("two", "x")); got != 503 { // the bubble's time passes
			t.Errorf("status %d", got)
		}
		close(h.release)
		all.Wait()
		if first != 401 {
			t.Errorf("the first: %d", first)
		}
	})
}
