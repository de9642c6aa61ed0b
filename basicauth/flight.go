package basicauth

import (
	"context"
	"sync"
)

// flights lets concurrent logins that ask the same question share one comparison.
type flights struct {
	mu  sync.Mutex
	all map[question]*flight
}

// question is name and password, as their digest, and the hash that they are to be
// compared with. Each stands for itself: no two questions look alike.
type question struct {
	digest digest
	known  bool // a user without hash is not a name that is nobody's
	hash   PasswordHash
}

type flight struct {
	done  chan struct{} // closed when the rest is set
	match bool
	err   error
	void  bool // the leader found out nothing that others could use
}

// errVoid wraps nothing that concerns others than the leader.
type errVoid struct{ error }

// do returns what lead finds out, or what the lead of another caller does. Lead
// is told whether time has passed since this caller asked. When it returns an
// errVoid, this is for its caller alone, and those who waited try again by
// themselves: a leader who gives up fails no follower.
func (f *flights) do(ctx context.Context, q question, lead func(late bool) (bool, error)) (match bool, err error) {
	for late := false; ; late = true {
		f.mu.Lock()
		other := f.all[q]
		if other == nil {
			own := &flight{done: make(chan struct{}), void: true}
			f.all[q] = own
			f.mu.Unlock()
			return f.fly(own, q, late, lead)
		}
		f.mu.Unlock()
		select {
		case <-other.done:
			if !other.void {
				return other.match, other.err
			}
		case <-ctx.Done():
			return false, overloaded(context.Cause(ctx))
		}
	}
}

func (f *flights) fly(own *flight, q question, late bool, lead func(late bool) (bool, error)) (bool, error) {
	defer func() { // also where lead panics: then the flight is void
		f.mu.Lock()
		delete(f.all, q)
		f.mu.Unlock()
		close(own.done)
	}()
	match, err := lead(late)
	if void, ok := err.(errVoid); ok {
		return false, void.error
	}
	own.match, own.err, own.void = match, err, false
	return match, err
}
