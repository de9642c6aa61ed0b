package keystile

import (
	"errors"
	"net/http"
	"slices"
	"time"
)

// AnyOf accepts the credential of any one member: the first whose credential is
// present decides, refused or not, and the rest are not consulted. A refused
// key is therefore never saved by a good token beside it.
func AnyOf(members ...Authenticator) Authenticator {
	return &anyOf{field: "keystile.AnyOf", members: slices.Clone(members)}
}

// OneOf is like AnyOf, but a request that carries the credentials of two
// members is refused as CodeInvalidRequest.
func OneOf(members ...Authenticator) Authenticator {
	return &anyOf{field: "keystile.OneOf", members: slices.Clone(members), exclusive: true}
}

type anyOf struct {
	field     string
	members   []Authenticator
	exclusive bool
}

func (a *anyOf) ConfigErr() error { return checkMembers(a.field, a.members) }

func (a *anyOf) Present(r *http.Request) bool { return anyPresent(a.members, r) }

func (a *anyOf) Authenticate(r *http.Request) (*Principal, error) {
	for i, m := range a.members {
		if !m.Present(r) {
			continue
		}
		if a.exclusive && anyPresent(a.members[i+1:], r) {
			return nil, &Error{Code: CodeInvalidRequest, Detail: "Send one kind of credential, not several."}
		}
		return m.Authenticate(r)
	}
	return nil, absence(a.members, r)
}

func (a *anyOf) Challenges(r *http.Request, err error) []string {
	return allChallenges(a.members, r, err)
}

// AllOf wants the credentials of all members, who are judged in order: the
// first that is absent, refuses or is unavailable decides, and later ones are
// not called. The whole is absent only when every member is, so a Guard with
// Optional refuses a request that carries some of them.
//
// All principals must have the same non-empty Account, else the answer is 401
// with the Scheme of the member that differs. The first member is primary: its
// principal is the result, with the others in Joined and the earliest of their
// expiries.
func AllOf(members ...Authenticator) Authenticator {
	return AllOfFunc(sameAccount, members...)
}

// AllOfFunc is AllOf with another rule: combine gets the principals in the
// order of the members and returns the one that stands for all of them. It must
// not change them; errors are those of Authenticator.Authenticate.
func AllOfFunc(combine func([]*Principal) (*Principal, error), members ...Authenticator) Authenticator {
	return &allOf{combine: combine, members: slices.Clone(members)}
}

type allOf struct {
	combine func([]*Principal) (*Principal, error)
	members []Authenticator
}

func (a *allOf) ConfigErr() error {
	var errs []error
	if a.combine == nil {
		errs = append(errs, &ConfigError{Field: "keystile.AllOfFunc", Reason: "combine is nil; pass a function, or use AllOf"})
	}
	return errors.Join(append(errs, checkMembers("keystile.AllOf", a.members))...)
}

func (a *allOf) Present(r *http.Request) bool { return anyPresent(a.members, r) }

func (a *allOf) Authenticate(r *http.Request) (*Principal, error) {
	principals := make([]*Principal, 0, len(a.members))
	for _, m := range a.members {
		if !m.Present(r) {
			return nil, absence([]Authenticator{m}, r)
		}
		p, err := m.Authenticate(r)
		if err != nil {
			return nil, err
		}
		if p == nil {
			return nil, &Error{Code: CodeInternal, Err: errNilPrincipal}
		}
		principals = append(principals, p)
	}
	return a.combine(principals)
}

func (a *allOf) Challenges(r *http.Request, err error) []string {
	return allChallenges(a.members, r, err)
}

var errOtherAccount = errors.New("keystile: the credentials belong to different accounts, or to none")

func sameAccount(principals []*Principal) (*Principal, error) {
	first := principals[0]
	joined := slices.Clone(first.joined)
	expires := first.Expires
	for i, p := range principals {
		if p.Account == "" || p.Account != first.Account {
			return nil, &Error{Code: CodeUnauthorized, Scheme: p.Scheme, Err: errOtherAccount}
		}
		expires = earlier(expires, p.Expires)
		if i > 0 {
			joined = append(append(joined, p), p.joined...)
		}
	}
	primary := first.Clone()
	primary.joined = joined
	primary.Expires = expires
	return primary, nil
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

func checkMembers(field string, members []Authenticator) error {
	if len(members) == 0 {
		return &ConfigError{Field: field, Reason: "has no members and would refuse everybody; pass at least one Authenticator"}
	}
	return joinConfigErrs(field, members)
}

func anyPresent(members []Authenticator, r *http.Request) bool {
	for _, m := range members {
		if m.Present(r) {
			return true
		}
	}
	return false
}

// absence returns the error of a request without a credential of any member.
// It is asked of the first, who alone knows its scheme; a member that answers
// anything else than "no credentials" is not believed.
func absence(members []Authenticator, r *http.Request) *Error {
	if len(members) > 0 {
		_, err := members[0].Authenticate(r)
		if e := findError(err); e != nil && errors.Is(e, ErrNoCredentials) {
			return e
		}
	}
	return NoCredentials("")
}

func allChallenges(members []Authenticator, r *http.Request, err error) []string {
	var all []string
	for _, m := range members {
		for _, c := range m.Challenges(r, err) {
			if !slices.Contains(all, c) {
				all = append(all, c)
			}
		}
	}
	return all
}
