package basicauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/record"
)

// Authenticator is the keystile.Authenticator of HTTP Basic (RFC 7617). It is
// safe for concurrent use. The zero value refuses every request with 500.
type Authenticator struct {
	users     Users
	plaintext bool
	now       func() time.Time
	epoch     time.Time
	logger    *slog.Logger

	readers  *readers
	memory   *memory
	brake    *brake
	flights  flights
	gate     *gate
	comparer comparer
}

var (
	errAbsent    = keystile.NoCredentials(keystile.SchemeBasic)
	errTwice     = refusal(keystile.CodeInvalidRequest, "Send one Authorization field, not several.", nil)
	errPlaintext = refusal(keystile.CodeInvalidRequest, "Send HTTP Basic credentials over HTTPS only.", nil)
	errUnknown   = refusal(keystile.CodeUnauthorized, "", errors.New("basicauth: no user has this name"))

	errZero       = errors.New("basicauth: this Authenticator was not made by New")
	errNoUser     = errors.New("basicauth: Users returned neither a user nor an error")
	errNoUserName = errors.New("basicauth: Users returned a user without a Name")
)

func refusal(code keystile.Code, detail string, cause error) *keystile.Error {
	return &keystile.Error{Code: code, Scheme: keystile.SchemeBasic, Detail: detail, Err: cause}
}

// ConfigErr reports the zero value to NewGuard.
func (a *Authenticator) ConfigErr() error {
	if a == nil || a.users == nil {
		return &keystile.ConfigError{Field: "basicauth.Authenticator", Reason: "is the zero value; make it with basicauth.New"}
	}
	return nil
}

// Present implements keystile.Authenticator.
func (a *Authenticator) Present(r *http.Request) bool {
	_, found := find(r.Header["Authorization"])
	return found != nothing
}

// Authenticate implements keystile.Authenticator. It goes from what is cheap to
// what is dear: grammar, the connection, the user, memory, the throttles, and at
// last the password.
func (a *Authenticator) Authenticate(r *http.Request) (*keystile.Principal, error) {
	if a == nil || a.users == nil {
		return nil, &keystile.Error{Code: keystile.CodeInternal, Err: errZero}
	}
	encoded, found := find(r.Header["Authorization"])
	switch found {
	case nothing:
		return nil, errAbsent
	case twice:
		return nil, errTwice
	}
	from := originOf(r)
	if !a.plaintext && !from.encrypted() {
		return nil, errPlaintext
	}
	c := a.readers.get()
	defer a.readers.put(c)
	l := login{from: from}
	var refused *keystile.Error
	if l.digest, refused = c.load(encoded); refused != nil {
		return nil, refused
	}
	now := a.stamp()
	if l.known = a.memory.get(&l.digest, now); l.known != nil {
		l.sent = l.known.name
	} else if refused = c.read(); refused != nil {
		return nil, refused
	} else {
		l.sent = string(c.name)
	}
	ctx := r.Context()
	var err error
	if l.user, err = a.find(ctx, l.sent); err != nil {
		return nil, err
	}
	if l.known.vouches(l.user) && l.known.open(from, now) {
		markCached(ctx)
		return l.known.principal(l.user), nil
	}
	if l.known != nil {
		if refused = c.read(); refused != nil {
			return nil, refused
		}
	}
	return a.login(ctx, &l, string(c.secret))
}

// find returns the user of that name, nil where there is none.
func (a *Authenticator) find(ctx context.Context, name string) (*User, error) {
	u, err := a.users.FindUser(ctx, name)
	switch {
	case err == nil && u == nil:
		err = errNoUser
	case err == nil && u.Name == "":
		err = errNoUserName
	case err == nil:
		return u, nil
	case errors.Is(err, ErrNotFound):
		return nil, nil
	default:
		return nil, keystile.Unavailable(fmt.Errorf("basicauth: finding a user: %w", err))
	}
	a.logger.Error("basicauth: broken record", "error", err)
	return nil, keystile.Unavailable(err)
}

func (a *Authenticator) stamp() stamp { return stamp(a.now().Sub(a.epoch)) }

func markCached(ctx context.Context) {
	if rec := record.From(ctx); rec != nil {
		rec.Cached.Store(true)
	}
}

// RFC 7617 section 2.1: UTF-8 is the only charset that may be named.
var challenges = []string{`Basic charset="UTF-8"`}

// Challenges implements keystile.Authenticator.
func (a *Authenticator) Challenges(_ *http.Request, err error) []string {
	e, ok := err.(*keystile.Error)
	if !ok && !errors.As(err, &e) || e == nil || e.StatusCode() != http.StatusUnauthorized {
		return nil
	}
	return challenges
}

// Format prints the type only: an Authenticator in a log line must not spill its
// key.
func (*Authenticator) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "basicauth.Authenticator")
}

// login is what is known of credentials.
type login struct {
	digest digest
	sent   string // the name that was sent
	from   origin
	known  *remembered // nil: nothing is
	user   *User       // nil: the name is nobody's

	principal *keystile.Principal // once the user has been admitted
}

// name is the user's own, and the one that was sent where that is nobody's.
func (l *login) name() string {
	if l.user == nil {
		return l.sent
	}
	return l.user.Name
}

// question is what one comparison answers.
func (l *login) question() question {
	if l.user == nil {
		return question{digest: l.digest}
	}
	return question{l.digest, true, l.user.Hash}
}

// accepts reports whether the user may log in where the password is right.
func (l *login) accepts(match bool) bool { return match && l.user != nil && !l.user.Disabled }
