package bearer_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/bearer"
)

// cached reports what an Observer sees: whether a token came from memory.
type cachedEvents struct {
	mu     sync.Mutex
	cached []bool
}

func (c *cachedEvents) Observe(_ context.Context, e keystile.Event) {
	c.mu.Lock()
	c.cached = append(c.cached, e.Cached)
	c.mu.Unlock()
}

func TestATokenIsRememberedUntilItExpires(t *testing.T) {
	clock, seen := newFakeClock(), &cachedEvents{}
	a := newAuthenticator(t, bearer.Config{Issuers: []bearer.Issuer{hmacIssuer()}, Now: clock.Now})
	g, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: a, Realm: "test", Observer: seen})
	if err != nil {
		t.Fatal(err)
	}
	field := "Bearer " + hs(claims(m{"exp": noon.Add(time.Minute).Unix(), "nbf": noon.Add(-time.Minute).Unix()}))
	var got []string
	for _, step := range []time.Duration{0, 0, 59 * time.Second, time.Second, 0, -time.Second, -2 * time.Minute, time.Minute} {
		clock.Advance(step)
		resp := serve(g.Wrap(served), request(field))
		got = append(got, fmt.Sprint(resp.StatusCode, seen.cached[len(seen.cached)-1]))
	}
	// At exp it is refused, from memory and then again; with the clock put back it is
	// verified anew, before nbf it is refused.
	want := []string{"200 false", "200 true", "200 true", "401 false", "401 false", "200 false", "401 false", "200 false"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Regression: a hit in a cache that skips what a first look would check.
func TestEverythingThatCanChangeIsAskedForARememberedToken(t *testing.T) {
	var revoked, broken atomic.Bool
	asked := 0
	a := newAuthenticator(t, bearer.Config{
		Issuers: []bearer.Issuer{hmacIssuer()},
		Revoked: func(_ context.Context, c *bearer.Claims) (bool, error) {
			asked++
			if c.ID != "token-1" || c.Issuer != issuerName {
				t.Errorf("asked about %v", c)
			}
			if broken.Load() {
				return false, errors.New("no connection")
			}
			return revoked.Load(), nil
		},
	})
	token := hs(claims(nil))
	for range 3 {
		wantAccepted(t, a, token)
	}
	broken.Store(true)
	_, err := present(a, token)
	wantRefused(t, err, keystile.CodeUnavailable, "no connection")
	broken.Store(false)
	revoked.Store(true)
	for range 2 {
		_, err = present(a, token)
		wantRefused(t, err, keystile.CodeKeyRevoked, "revoked")
	}
	revoked.Store(false)
	wantAccepted(t, a, token)
	if asked != 7 {
		t.Errorf("asked %d times for seven requests", asked)
	}
}

func TestRevokedMayRefuseByItself(t *testing.T) {
	a := newAuthenticator(t, bearer.Config{
		Issuers: []bearer.Issuer{hmacIssuer()},
		Revoked: func(context.Context, *bearer.Claims) (bool, error) {
			return false, &keystile.Error{Code: keystile.CodeKeyDisabled}
		},
	})
	_, err := present(a, hs(claims(nil)))
	wantRefused(t, err, keystile.CodeKeyDisabled, "")
}

// Revoked is asked about tokens that are good otherwise, and no others.
func TestRevokedIsNotAskedAboutBadTokens(t *testing.T) {
	a := newAuthenticator(t, bearer.Config{
		Issuers: []bearer.Issuer{hmacIssuer()},
		Revoked: func(context.Context, *bearer.Claims) (bool, error) { t.Error("asked"); return false, nil },
	})
	for _, token := range []string{flipped(hs(claims(nil))), hs(claims(m{"exp": 1})), hs(claims(m{"aud": "x"})), "a.b.c"} {
		if _, err := present(a, token); err == nil {
			t.Error("accepted")
		}
	}
}

// Every Authenticator has a memory of its own: what one remembers opens no other
// (Oathkeeper, CVE-2026-33496).
func TestMemoriesAreNotShared(t *testing.T) {
	token := hs(claims(nil))
	wantAccepted(t, newAuthenticator(t, bearer.Config{}), token)
	other := newAuthenticator(t, withIssuer(func(is *bearer.Issuer) { is.Audience = []string{"https://other.example"} }))
	_, err := present(other, token)
	wantRefused(t, err, keystile.CodeUnauthorized, "another service")
}

// A memory that is too small forgets; nothing else changes. Tokens that are
// refused push nobody out.
func TestTheMemoryIsBounded(t *testing.T) {
	for _, remember := range []int{-1, 1, 3, 100} {
		a := newAuthenticator(t, bearer.Config{Issuers: []bearer.Issuer{hmacIssuer()}, Remember: remember})
		var tokens []string
		for i := range 20 {
			tokens = append(tokens, hs(claims(m{"sub": fmt.Sprint("user-", i)})))
		}
		for round := range 3 {
			for i, token := range tokens {
				if p := wantAccepted(t, a, token); p.Subject != fmt.Sprintf("%s#user-%d", issuerName, i) {
					t.Fatalf("remembering %d, round %d: %s for user-%d", remember, round, p.Subject, i)
				}
			}
		}
	}
	seen := &cachedEvents{}
	g, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: newAuthenticator(t, bearer.Config{Issuers: []bearer.Issuer{hmacIssuer()}, Remember: 1}), Realm: "test", Observer: seen})
	if err != nil {
		t.Fatal(err)
	}
	h, good := g.Wrap(served), hs(claims(nil))
	serve(h, request("Bearer "+good))
	for i := range 50 {
		serve(h, request("Bearer "+flipped(hs(claims(m{"sub": fmt.Sprint(i)})))))
		serve(h, request("Bearer "+hs(claims(m{"exp": i}))))
	}
	if serve(h, request("Bearer "+good)); !seen.cached[len(seen.cached)-1] {
		t.Error("bad tokens have pushed out a good one")
	}
}

// Many callers at once, some of whose tokens are bad, with a memory that is too
// small for all: nobody is taken for somebody else.
func TestNobodyIsTakenForSomebodyElse(t *testing.T) {
	clock := newFakeClock()
	h := newGuard(t, newAuthenticator(t, bearer.Config{Issuers: []bearer.Issuer{hmacIssuer()}, Now: clock.Now, Remember: 600})).Wrap(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, _ := keystile.PrincipalFrom(r.Context())
			w.Header().Set("Subject", p.Subject)
		}))
	type call struct {
		field, subject string
		status         int
	}
	var calls []call
	for i := range 1000 {
		sub := fmt.Sprint("user-", i)
		token := hs(claims(m{"sub": sub}))
		calls = append(calls, call{"Bearer " + token, issuerName + "#" + sub, 200}, call{"Bearer " + flipped(token), "", 401})
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range calls {
				c := calls[(i*7+worker*501)%len(calls)]
				resp := serve(h, request(c.field))
				if resp.StatusCode != c.status || resp.Header.Get("Subject") != c.subject {
					t.Errorf("%d for %q, want %d for %q", resp.StatusCode, resp.Header.Get("Subject"), c.status, c.subject)
				}
				if i%100 == 0 {
					clock.Advance(time.Second)
				}
			}
		})
	}
	wg.Wait()
}
