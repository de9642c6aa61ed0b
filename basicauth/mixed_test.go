package basicauth_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/basicauth"
	"github.com/keystile/keystile/internal/evidence"
)

// Many logins at once of users that are easy to mistake for each other: with equal
// passwords, with colons in other places, whose name and password make the same
// text. Every answer must be the one that a plain table gives, and be about the
// user who asked.
func TestMixedConcurrentLogins(t *testing.T) {
	logins := evidence.Count(10_000, 1_000_000)
	names := []string{"a", "ab", "abc", "aa", "b", "a b", "A", "user", "use", "admin", "\u00e9", "e\u0301", "1", strings.Repeat("a", 20)}
	texts := []string{"bc", "c", "b:c", ":bc", "abc", "b", "a", ":", "::", "same", "Same", "same ", "r:same", "rsame", "\u00e9", "e\u0301", strings.Repeat("a", 72)}
	passwords := map[string]string{} // the truth
	hashes := map[basicauth.PasswordHash]string{}
	var users []basicauth.User
	for i, name := range names {
		password := texts[i%len(texts)]
		if i%3 == 0 {
			password = "same"
		}
		h := basicauth.NewDummy(tiny)
		passwords[name], hashes[h] = password, password
		users = append(users, basicauth.User{Name: name, Hash: h, Account: name})
	}
	basic := newBasic(t, basicauth.Config{
		Users: newUsers(t, users...), Throttles: unthrottled, MaxCompares: runtime.GOMAXPROCS(0),
		Remember: 20 * time.Millisecond, RememberSize: 256, // so that much is compared again
	})
	var compares atomic.Int64
	basic.SetCompare(func(_ basicauth.Kind, h basicauth.PasswordHash, password string, _ func() bool) bool {
		compares.Add(1)
		right, known := hashes[h]
		runtime.Gosched()
		return known && password == right
	})
	guesses := append([]string{string(users[0].Hash), passwords["a"] + string(users[1].Hash)}, texts...)

	var wrong, accepted, busy atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	const workers = 32
	for worker := range workers {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(worker)))
			for range logins / workers {
				name, password := names[rng.IntN(len(names))], guesses[rng.IntN(len(guesses))]
				switch rng.IntN(4) {
				case 0:
					password = passwords[name]
				case 1: // the same text, cut elsewhere
					text := name + ":" + passwords[name]
					if at := rng.IntN(len(text)); at > 0 && text[at] == ':' {
						name, password = text[:at], text[at+1:]
					}
				case 2:
					name += string("ab: é"[rng.IntN(4)])
				}
				name, password, _ = strings.Cut(name+":"+password, ":") // as it arrives
				right := password != "" && name != "" && passwords[name] == password
				p, err := basic.Authenticate(as(name, password))
				switch e, _ := err.(*keystile.Error); {
				case e != nil && e.StatusCode() == http.StatusServiceUnavailable:
					busy.Add(1) // no verdict
				case right != (err == nil), err == nil && (p.Subject != name || p.Account != name), err != nil && e.Code != keystile.CodeUnauthorized:
					wrong.Add(1)
					t.Errorf("%q with %q: %v, %v", name, password, p, err)
				case right:
					accepted.Add(1)
				}
			}
		})
	}
	all.Wait()
	total := int64(logins / workers * workers)
	if accepted.Load() < total/5 || compares.Load() < total/20 || busy.Load() > total/10 {
		t.Errorf("of %d logins %d were accepted, %d compares, %d turned away: the mix proves little", total, accepted.Load(), compares.Load(), busy.Load())
	}
	evidence.Report(t, "basicauth", "Mixed concurrent logins", [][2]string{
		{"logins", fmt.Sprint(total)}, {"at once", fmt.Sprint(workers)}, {"wrong verdicts", fmt.Sprint(wrong.Load())},
		{"accepted", fmt.Sprint(accepted.Load())}, {"compares", fmt.Sprint(compares.Load())}, {"turned away by the full queue", fmt.Sprint(busy.Load())},
		{"took", time.Since(began).Round(time.Millisecond).String()},
	})
}
