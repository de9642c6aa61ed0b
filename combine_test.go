package keystile_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile"
)

// outcome is what a member of a combination answers.
type outcome int

const (
	absent outcome = iota
	refused
	accepted
	unavailable
	outcomes
)

func (o outcome) String() string {
	return [...]string{"absent", "refused", "accepted", "unavailable"}[o]
}

// member is an Authenticator with a fixed outcome that counts its judgements.
type member struct {
	scheme  keystile.Scheme
	account string
	outcome outcome
	judged  int
}

var errStoreDown = errors.New("the store is down")

func (m *member) Present(*http.Request) bool { return m.outcome != absent }

func (m *member) Authenticate(*http.Request) (*keystile.Principal, error) {
	if m.outcome == absent {
		return nil, keystile.NoCredentials(m.scheme)
	}
	m.judged++
	switch m.outcome {
	case refused:
		return nil, &keystile.Error{Code: keystile.CodeUnauthorized, Scheme: m.scheme}
	case unavailable:
		return nil, errStoreDown
	}
	return &keystile.Principal{Subject: string(m.scheme), Account: m.account, Scheme: m.scheme}, nil
}

func (m *member) Challenges(_ *http.Request, err error) []string {
	return []string{"X-" + string(m.scheme)}
}

func newMembers(outcomes ...outcome) (all []*member, auths []keystile.Authenticator) {
	for i, o := range outcomes {
		m := &member{scheme: keystile.Scheme(fmt.Sprintf("s%d", i)), account: "acme", outcome: o}
		all, auths = append(all, m), append(auths, m)
	}
	return all, auths
}

// every calls f with all combinations of n outcomes.
func every(n int, f func([]outcome)) {
	row := make([]outcome, n)
	var fill func(int)
	fill = func(i int) {
		if i == n {
			f(row)
			return
		}
		for o := range outcomes {
			row[i] = o
			fill(i + 1)
		}
	}
	fill(0)
}

// answer says what a Guard makes of an authenticator: status and scheme.
func guardAnswer(t *testing.T, a keystile.Authenticator, optional bool) string {
	t.Helper()
	g, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: a, Realm: "test", Optional: optional})
	if err != nil {
		t.Fatal(err)
	}
	p, err := g.Authenticate(httptest.NewRequest("GET", "/", nil))
	if err == nil {
		if p == nil {
			return "anonymous"
		}
		return "200 " + p.Subject
	}
	var e *keystile.Error
	if !errors.As(err, &e) {
		t.Fatalf("not an *Error: %v", err)
	}
	kind := ""
	if errors.Is(err, keystile.ErrNoCredentials) {
		kind = " none"
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", e.StatusCode(), e.Scheme)) + kind
}

// The expectations below are written from the sentences of the documentation,
// as a loop over the members, not as the code under test does it.

func expectAnyOf(row []outcome, exclusive, optional bool) (want string, judged []int) {
	judged = make([]int, len(row))
	present := 0
	for _, o := range row {
		if o != absent {
			present++
		}
	}
	if present == 0 {
		if optional {
			return "anonymous", judged
		}
		return "401 s0 none", judged
	}
	if exclusive && present > 1 {
		return "400", judged
	}
	for i, o := range row {
		if o != absent {
			judged[i] = 1
			switch o {
			case refused:
				want = fmt.Sprintf("401 s%d", i)
			case accepted:
				want = fmt.Sprintf("200 s%d", i)
			case unavailable:
				want = "503"
			}
			return want, judged
		}
	}
	return want, judged
}

func expectAllOf(row []outcome, optional bool) (want string, judged []int) {
	judged = make([]int, len(row))
	allAbsent := true
	for _, o := range row {
		allAbsent = allAbsent && o == absent
	}
	if allAbsent && optional {
		return "anonymous", judged
	}
	for i, o := range row {
		switch o {
		case absent:
			return fmt.Sprintf("401 s%d none", i), judged
		case refused:
			judged[i] = 1
			return fmt.Sprintf("401 s%d", i), judged
		case unavailable:
			judged[i] = 1
			return "503", judged
		}
		judged[i] = 1
	}
	return "200 s0", judged
}

func TestCombinationsOfAllOutcomes(t *testing.T) {
	kinds := []struct {
		name   string
		build  func(...keystile.Authenticator) keystile.Authenticator
		expect func([]outcome, bool) (string, []int)
	}{
		{"AnyOf", keystile.AnyOf, func(r []outcome, opt bool) (string, []int) { return expectAnyOf(r, false, opt) }},
		{"OneOf", keystile.OneOf, func(r []outcome, opt bool) (string, []int) { return expectAnyOf(r, true, opt) }},
		{"AllOf", keystile.AllOf, expectAllOf},
	}
	for _, kind := range kinds {
		for _, optional := range []bool{false, true} {
			for _, n := range []int{1, 2, 3} {
				every(n, func(row []outcome) {
					name := fmt.Sprintf("%s of %v, optional %v", kind.name, row, optional)
					members, auths := newMembers(row...)
					want, judged := kind.expect(row, optional)
					if got := guardAnswer(t, kind.build(auths...), optional); got != want {
						t.Errorf("%s: %q, want %q", name, got, want)
					}
					for i, m := range members {
						if m.judged != judged[i] {
							t.Errorf("%s: member %d was judged %d times, want %d", name, i, m.judged, judged[i])
						}
					}
				})
			}
		}
	}
}

// The shape of a service that wants a key and, besides, a password or a token.
func TestNestedCombination(t *testing.T) {
	every(3, func(row []outcome) {
		for _, optional := range []bool{false, true} {
			members, auths := newMembers(row...)
			got := guardAnswer(t, keystile.AllOf(auths[0], keystile.AnyOf(auths[1], auths[2])), optional)
			inner := row[1]
			innerName := "s1"
			if inner == absent && row[2] != absent {
				inner, innerName = row[2], "s2"
			}
			want := ""
			switch {
			case row[0] == absent && inner == absent && optional:
				want = "anonymous"
			case row[0] == absent:
				want = "401 s0 none"
			case row[0] == refused:
				want = "401 s0"
			case row[0] == unavailable:
				want = "503"
			case inner == absent:
				want = "401 s1 none"
			case inner == refused:
				want = "401 " + innerName
			case inner == unavailable:
				want = "503"
			default:
				want = "200 s0"
			}
			if got != want {
				t.Errorf("AllOf(%v, AnyOf(%v, %v)), optional %v: %q, want %q", row[0], row[1], row[2], optional, got, want)
			}
			if row[0] != accepted && members[1].judged+members[2].judged > 0 {
				t.Errorf("%v: a later member was judged although the first had decided", row)
			}
		}
	})
}

func TestAnyOfAroundAllOf(t *testing.T) {
	every(3, func(row []outcome) {
		_, auths := newMembers(row...)
		got := guardAnswer(t, keystile.AnyOf(keystile.AllOf(auths[0], auths[1]), auths[2]), false)
		var want string
		if row[0] == absent && row[1] == absent {
			want, _ = expectAnyOf(row[2:], false, false)
			want = strings.Replace(want, "s0", "s2", 1)
			if row[2] == absent {
				want = "401 s0 none"
			}
		} else {
			want, _ = expectAllOf(row[:2], false)
		}
		if got != want {
			t.Errorf("AnyOf(AllOf(%v, %v), %v): %q, want %q", row[0], row[1], row[2], got, want)
		}
	})
}

func TestAllOfJoinsAccounts(t *testing.T) {
	soon, later := time.Unix(100, 0), time.Unix(200, 0)
	principal := func(subject, account string, expires time.Time) keystile.Authenticator {
		return fixed{&keystile.Principal{Subject: subject, Account: account, Scheme: keystile.Scheme(subject), Expires: expires}}
	}
	tests := []struct {
		name    string
		members []keystile.Authenticator
		want    string
	}{
		{"the same account joins", []keystile.Authenticator{principal("key", "a", later), principal("user", "a", soon)}, "200 key"},
		{"another account is refused in the later member's scheme", []keystile.Authenticator{principal("key", "a", later), principal("user", "b", soon)}, "401 user"},
		{"a later member without an account is refused", []keystile.Authenticator{principal("key", "a", later), principal("user", "", soon)}, "401 user"},
		{"members without any account are refused", []keystile.Authenticator{principal("key", "", later), principal("user", "", soon)}, "401 key"},
		{"the third member counts too", []keystile.Authenticator{principal("key", "a", later), principal("user", "a", soon), principal("otp", "c", soon)}, "401 otp"},
	}
	for _, tt := range tests {
		if got := guardAnswer(t, keystile.AllOf(tt.members...), false); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}

	p, err := keystile.AllOf(
		principal("key", "a", later),
		keystile.AllOf(principal("user", "a", time.Time{}), principal("otp", "a", soon)),
	).Authenticate(httptest.NewRequest("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	joined := p.Joined()
	if p.Subject != "key" || len(joined) != 2 || joined[0].Subject != "user" || joined[1].Subject != "otp" {
		t.Errorf("primary %v, joined %v", p, joined)
	}
	if !p.Expires.Equal(soon) {
		t.Errorf("expires %v, want the earliest, %v", p.Expires, soon)
	}
}

// fixed accepts everybody as one principal.
type fixed struct{ principal *keystile.Principal }

func (fixed) Present(*http.Request) bool { return true }
func (f fixed) Authenticate(*http.Request) (*keystile.Principal, error) {
	return f.principal, nil
}
func (fixed) Challenges(*http.Request, error) []string { return []string{"Fixed"} }

func TestAllOfFunc(t *testing.T) {
	_, auths := newMembers(accepted, accepted)
	last := keystile.AllOfFunc(func(ps []*keystile.Principal) (*keystile.Principal, error) {
		return ps[len(ps)-1], nil
	}, auths...)
	if got := guardAnswer(t, last, false); got != "200 s1" {
		t.Errorf("%q, want the principal that combine chose", got)
	}
	if got := guardAnswer(t, keystile.AllOf(auths[0], fixed{nil}), false); got != "500" {
		t.Errorf("a member without principal and without error: %q, want 500", got)
	}
}

func TestChallengesOfAllMembersAreListedOnce(t *testing.T) {
	_, auths := newMembers(absent, absent)
	a := keystile.AnyOf(auths[0], auths[1], auths[0])
	got := a.Challenges(httptest.NewRequest("GET", "/", nil), keystile.NoCredentials(""))
	if fmt.Sprint(got) != "[X-s0 X-s1]" {
		t.Errorf("%v", got)
	}
}
