package basicauth

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
)

// KindLister is what a Users also implements that knows which kinds of hash it
// holds. MemoryUsers and HtpasswdUsers do. The result must not be changed.
type KindLister interface {
	Kinds() []Kind
}

// comparer compares passwords at a cost that tells nothing: whoever asks pays one
// compare of each kind that is present. The user's own hash takes the place of
// the dummy of its kind; an unknown user, a disabled one, one without hash and
// one whose password bcrypt could not see all of pay the same.
type comparer struct {
	lister  KindLister // nil: kinds are declared, or learned
	always  []Kind     // declared
	logger  *slog.Logger
	matches func(h *storedHash, password []byte) bool

	mu      sync.Mutex
	learned []Kind
	dummies map[Kind]*storedHash
	warned  map[Kind]bool
}

// compare reports whether password is the one of own, which is nil where the name
// is nobody's. An error means that own cannot be compared with.
func (c *comparer) compare(own *storedHash, password []byte) (bool, error) {
	hashes, err := c.hashes(own)
	if err != nil {
		return false, err
	}
	var match bool
	for _, h := range hashes {
		switch {
		case own == nil || h.kind != own.kind:
			c.matches(h, password)
		case own.overlong(len(password)):
			c.matches(h, password)
		default:
			match = c.matches(own, password)
		}
	}
	return match, nil
}

// hashes returns a dummy of each kind that is present.
func (c *comparer) hashes(own *storedHash) ([]*storedHash, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kinds, err := c.kinds(own)
	if err != nil {
		return nil, err
	}
	all := make([]*storedHash, len(kinds))
	for i, k := range kinds {
		h := c.dummies[k]
		if h == nil {
			h = newDummy(k)
			c.dummies[k] = h
		}
		all[i] = h
		if reason := k.weak(); reason != "" && !c.warned[k] {
			c.warned[k] = true
			c.logger.Warn("basicauth: users have weak password hashes", "kind", k.String(), "reason", reason)
		}
	}
	return all, nil
}

// kinds returns those that are present, in a fixed order. A kind that a Users
// without KindLister has not shown before is there from now on.
func (c *comparer) kinds(own *storedHash) ([]Kind, error) {
	var listed []Kind
	if c.lister != nil {
		listed = c.lister.Kinds()
	}
	all := slices.Concat(c.always, listed, c.learned)
	if own != nil && !slices.Contains(all, own.kind) {
		all = append(all, own.kind)
	}
	if len(all) == 0 {
		all = append(all, defaultKind) // there is no user yet, which nobody shall see
	}
	slices.SortFunc(all, compareKinds)
	all = slices.Compact(all)
	if len(all) > maxKinds {
		return nil, fmt.Errorf("basicauth: the users have more than %d kinds of hash, of which each login pays one compare; hash passwords anew so that fewer remain", maxKinds)
	}
	if own != nil && c.lister == nil && !slices.Contains(c.always, own.kind) && !slices.Contains(c.learned, own.kind) {
		c.learned = append(c.learned, own.kind)
	}
	return all, nil
}
