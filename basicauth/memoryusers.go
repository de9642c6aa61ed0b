package basicauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// MemoryUsers are users in memory. Names are compared byte for byte. They are
// safe for concurrent use, and what Put, Remove and their kin change counts from
// the next request. The zero value has no users.
type MemoryUsers struct {
	shards [userShards]userShard

	mu     sync.Mutex // held while users are changed
	counts map[Kind]int
	kinds  atomic.Pointer[[]Kind]
}

// userShards is how many locks there are: a lookup for each request must not
// queue up before a single one.
const userShards = 32

type userShard struct {
	mu    sync.RWMutex
	users map[string]*User
	_     [64]byte // no two locks in one cache line
}

// NewMemoryUsers returns the given users, or all mistakes in them joined: names
// that HTTP Basic cannot carry or that are there twice, hashes that KindOf does
// not take. A user without hash may be there and opens no door.
func NewMemoryUsers(users ...User) (*MemoryUsers, error) {
	m := new(MemoryUsers)
	var errs []error
	seen := make(map[string]bool, len(users))
	for _, u := range users {
		if seen[u.Name] {
			errs = append(errs, fmt.Errorf("basicauth: user %.100q: is there twice; keep one", u.Name))
		} else if err := m.Put(u); err != nil {
			errs = append(errs, err)
		}
		seen[u.Name] = true
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return m, nil
}

// shard returns that of name (FNV-1a). Whoever chooses names to be in one shard
// gains a lock that is asked for more often, and no more.
func (m *MemoryUsers) shard(name string) *userShard {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return &m.shards[h%userShards]
}

func (m *MemoryUsers) get(name string) *User {
	s := m.shard(name)
	s.mu.RLock()
	u := s.users[name]
	s.mu.RUnlock()
	return u
}

// FindUser implements Users. The result is shared: Clone it to change it.
func (m *MemoryUsers) FindUser(ctx context.Context, name string) (*User, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if u := m.get(name); u != nil {
		return u, nil
	}
	return nil, ErrNotFound
}

// Put adds u, or replaces the user of that name. It refuses what NewMemoryUsers
// refuses, and a hash that would be of a ninth kind.
func (m *MemoryUsers) Put(u User) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.put(u.Clone())
}

// Update lets edit change a copy of the user of that name, all but the Name, and
// puts it in the place of the user; or returns ErrNotFound.
func (m *MemoryUsers) Update(name string, edit func(*User)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.get(name)
	if old == nil {
		return ErrNotFound
	}
	u := old.Clone()
	edit(u)
	u.Name = name
	return m.put(u.Clone()) // edit may have kept u
}

// Remove takes the user of that name away, or returns ErrNotFound.
func (m *MemoryUsers) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.get(name)
	if old == nil {
		return ErrNotFound
	}
	m.set(name, nil)
	m.count(kindOf(old), -1)
	m.list()
	return nil
}

// put keeps u itself. The caller holds mu.
func (m *MemoryUsers) put(u *User) error {
	if reason := nameFlaw(u.Name); reason != "" {
		return fmt.Errorf("basicauth: user %.100q: the name %s, so that HTTP Basic cannot carry it; choose another", u.Name, reason)
	}
	if u.Hash != "" {
		if _, flaw := parseHash(u.Hash); flaw != nil {
			return fmt.Errorf("basicauth: user %q: %w", u.Name, flaw)
		}
	}
	kind, old := kindOf(u), m.get(u.Name)
	m.count(kind, 1)
	m.count(kindOf(old), -1)
	if len(m.counts) > maxKinds {
		m.count(kind, -1)
		m.count(kindOf(old), 1)
		return fmt.Errorf("basicauth: user %q: %v would be one kind of hash more than %d, and each login pays one compare of each; hash passwords anew so that fewer remain", u.Name, kind, maxKinds)
	}
	m.set(u.Name, u)
	m.list()
	return nil
}

// set makes u the user of that name; nil: nobody is.
func (m *MemoryUsers) set(name string, u *User) {
	s := m.shard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if u == nil {
		delete(s.users, name)
		return
	}
	if s.users == nil {
		s.users = make(map[string]*User)
	}
	s.users[name] = u
}

// kindOf returns the kind of hash of u; the zero Kind where there is none.
func kindOf(u *User) Kind {
	if u == nil || u.Hash == "" {
		return Kind{}
	}
	k, _ := KindOf(u.Hash)
	return k
}

// count notes that there are n users more with a hash of that kind.
func (m *MemoryUsers) count(k Kind, n int) {
	if k == (Kind{}) {
		return
	}
	if m.counts == nil {
		m.counts = make(map[Kind]int)
	}
	if m.counts[k] += n; m.counts[k] == 0 {
		delete(m.counts, k)
	}
}

// list publishes the kinds that there are.
func (m *MemoryUsers) list() {
	kinds := slices.SortedFunc(maps.Keys(m.counts), compareKinds)
	m.kinds.Store(&kinds)
}

// Kinds implements KindLister.
func (m *MemoryUsers) Kinds() []Kind {
	if kinds := m.kinds.Load(); kinds != nil {
		return *kinds
	}
	return nil
}

// Format prints the type only: fmt would print the hashes of fields that are not
// exported.
func (*MemoryUsers) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "basicauth.MemoryUsers") }
