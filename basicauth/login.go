package basicauth

import (
	"context"
	"errors"
	"fmt"

	"github.com/keystile/keystile"
)

// login judges credentials that memory alone does not accept.
func (a *Authenticator) login(ctx context.Context, l *login, password string) (*keystile.Principal, error) {
	own, err := a.stored(l)
	if err != nil {
		return nil, err
	}
	now := a.stamp()
	try := a.brake.attempt(l.name(), l.from, now)
	if err := try.check(ctx, now); err != nil {
		return nil, err
	}
	if l.known.vouches(l.user) {
		a.note(try.succeeded(ctx, now))
		l.known.meet(try.known)
		markCached(ctx)
		return l.known.principal(l.user), nil
	}
	match, err := a.flights.do(ctx, l.question(), func(late bool) (bool, error) {
		match, err := a.compare(ctx, l, own, password, try, late)
		if err == nil && l.accepts(match) {
			a.admit(ctx, l, try) // before others stop waiting for this flight
		}
		return match, err
	})
	switch {
	case err != nil:
		return nil, err
	case !l.accepts(match):
		return nil, l.refused(match)
	case l.principal == nil:
		a.admit(ctx, l, try)
	}
	return l.principal, nil
}

// admit notes who has logged in, and from where.
func (a *Authenticator) admit(ctx context.Context, l *login, try *attempt) {
	now := a.stamp()
	a.note(try.succeeded(ctx, now))
	l.principal = a.memory.store(&l.digest, l.sent, l.user, try.known, now)
}

// stored reads the hash of the user, nil where there is none to compare with.
func (a *Authenticator) stored(l *login) (*storedHash, error) {
	if l.user == nil || l.user.Hash == "" {
		return nil, nil
	}
	own, flaw := parseHash(l.user.Hash)
	if flaw != nil {
		a.logger.Error("basicauth: broken record", "user", l.user.Name, "error", flaw)
		return nil, keystile.Unavailable(fmt.Errorf("basicauth: user %q: %w", l.user.Name, flaw))
	}
	return own, nil
}

// compare waits for its turn, compares, and charges a failure, on behalf of all
// who asked the same. What concerns the caller alone is void.
func (a *Authenticator) compare(ctx context.Context, l *login, own *storedHash, password string, try *attempt, late bool) (match bool, err error) {
	waited, err := a.gate.enter(ctx)
	if err != nil {
		if err == error(errQueueFull) {
			return false, err
		}
		return false, errVoid{err}
	}
	defer a.gate.leave()
	if waited || late {
		// Others may have failed meanwhile: a thousand guesses at once are not a
		// thousand free ones.
		if err := try.check(ctx, a.stamp()); err != nil {
			return false, errVoid{err}
		}
	}
	match, err = a.comparer.compare(own, []byte(password))
	if err != nil {
		a.logger.Error("basicauth: cannot compare a password", "error", err)
		return false, keystile.Unavailable(err)
	}
	if !l.accepts(match) {
		if err := try.failed(ctx, a.stamp()); err != nil {
			a.note(errors.Unwrap(err))
			return false, errVoid{err}
		}
	}
	return match, nil
}

// refused says to the log what the client is not told. It names no name that is
// nobody's: people type passwords where names belong.
func (l *login) refused(match bool) error {
	switch {
	case l.user == nil:
		return errUnknown
	case match:
		return refusal(keystile.CodeUnauthorized, "", fmt.Errorf("basicauth: user %q is disabled", l.user.Name))
	}
	return refusal(keystile.CodeUnauthorized, "", fmt.Errorf("basicauth: wrong password for user %q", l.user.Name))
}

// note logs the error of a Throttle that changes no answer.
func (a *Authenticator) note(err error) {
	if err != nil {
		a.logger.Error("basicauth: a Throttle fails", "error", err)
	}
}
