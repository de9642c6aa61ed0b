package apikey

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// MemoryStore is a Store and a Feed in memory: for tests, for services whose keys
// come from their configuration, and as the store by which others are measured.
// Times keep their nanoseconds. What it holds is gone with the process.
//
// Two Keys over one MemoryStore behave like two machines over one database.
type MemoryStore struct {
	mu       sync.RWMutex
	byID     map[string]*row
	all      ordered
	accounts map[string]*ordered
	log      *changeLog
	hidden   *hidden
}

// hidden is what must not be printed. It is behind a pointer, because fmt goes
// through what a pointer points to only where it begins, and calls no methods
// where a verb does not fit.
type hidden struct {
	byDigest map[Digest]*row
	sealer   sealer
}

// row is where a key is stored. The key itself is never changed, only replaced,
// so that a reader needs the lock for the pointer and not for the copy.
type row struct{ key *Key }

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{
		byID: make(map[string]*row), accounts: make(map[string]*ordered), log: &changeLog{epoch: rand.Text()},
		hidden: &hidden{byDigest: make(map[Digest]*row), sealer: newSealer()},
	}
}

// Format prints the type only: a store in a log line must not spill digests.
func (*MemoryStore) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "apikey.MemoryStore") }

// FindByDigest implements Finder.
func (m *MemoryStore) FindByDigest(ctx context.Context, digests ...Digest) (*Key, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	var found *Key
	for _, d := range digests {
		if r, ok := m.hidden.byDigest[d]; ok && !d.IsZero() {
			found = r.key
			break
		}
	}
	m.mu.RUnlock()
	return handOut(ctx, found)
}

// Get implements Store.
func (m *MemoryStore) Get(ctx context.Context, id string) (*Key, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	var found *Key
	if r, ok := m.byID[id]; ok {
		found = r.key
	}
	m.mu.RUnlock()
	return handOut(ctx, found)
}

func handOut(ctx context.Context, k *Key) (*Key, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if k == nil {
		return nil, ErrNotFound
	}
	return k.Clone(), nil
}

// Create implements Store.
func (m *MemoryStore) Create(ctx context.Context, k *Key) (int64, error) {
	next := stored(k)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if _, taken := m.byID[next.ID]; taken || m.inUse(next.Secrets, nil) {
		return 0, ErrExists
	}
	next.Revision = m.log.record(Change{ID: next.ID, Digests: digests(next)})
	r := &row{next}
	m.byID[next.ID] = r
	m.index(r)
	m.all.insert(r)
	if m.accounts[next.Account] == nil {
		m.accounts[next.Account] = new(ordered)
	}
	m.accounts[next.Account].insert(r)
	return next.Revision, nil
}

// Update implements Store.
func (m *MemoryStore) Update(ctx context.Context, k *Key) (int64, error) {
	next := stored(k)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	r, ok := m.byID[next.ID]
	if !ok {
		return 0, ErrNotFound
	}
	old := r.key
	switch {
	case next.Revision != old.Revision:
		return 0, ErrConflict
	case changesForEver(old, next):
		return 0, ErrImmutable
	case m.inUse(next.Secrets, r):
		return 0, ErrExists
	}
	next.LastUsedAt = old.LastUsedAt
	next.Revision = m.log.record(Change{ID: next.ID, Digests: digests(old, next)})
	m.unindex(r)
	r.key = next
	m.index(r)
	return next.Revision, nil
}

// Delete implements Store.
func (m *MemoryStore) Delete(ctx context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	r, ok := m.byID[id]
	if !ok {
		return ErrNotFound
	}
	m.log.record(Change{ID: id, Digests: digests(r.key), Deleted: true})
	delete(m.byID, id)
	m.unindex(r)
	m.all.remove(r)
	account := m.accounts[r.key.Account]
	account.remove(r)
	if len(account.rows) == 0 {
		delete(m.accounts, r.key.Account)
	}
	return nil
}

// Touch implements Store.
func (m *MemoryStore) Touch(ctx context.Context, uses []Use) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, u := range uses {
		r, ok := m.byID[u.ID]
		if !ok || !u.At.After(r.key.LastUsedAt) {
			continue
		}
		next := *r.key // shares lists with the old one: neither is ever changed
		next.LastUsedAt = storedTime(u.At)
		r.key = &next
	}
	return nil
}

// inUse reports whether a row other than own holds one of the digests, or two of
// the secrets are the same.
func (m *MemoryStore) inUse(secrets []Secret, own *row) bool {
	for i, s := range secrets {
		if r, ok := m.hidden.byDigest[s.Digest]; ok && r != own {
			return true
		}
		if slices.ContainsFunc(secrets[:i], func(other Secret) bool { return other.Digest == s.Digest }) {
			return true
		}
	}
	return false
}

func (m *MemoryStore) index(r *row) {
	for _, s := range r.key.Secrets {
		m.hidden.byDigest[s.Digest] = r
	}
}

func (m *MemoryStore) unindex(r *row) {
	for _, s := range r.key.Secrets {
		delete(m.hidden.byDigest, s.Digest)
	}
}

// changesForEver reports whether next differs from old in what never changes.
func changesForEver(old, next *Key) bool {
	return next.ID != old.ID || next.Account != old.Account || !next.CreatedAt.Equal(old.CreatedAt) ||
		(!old.RevokedAt.IsZero() && !next.RevokedAt.Equal(old.RevokedAt)) ||
		(old.RevokedReason != "" && next.RevokedReason != old.RevokedReason) ||
		(old.RevokedBy != "" && next.RevokedBy != old.RevokedBy)
}

// stored returns a copy of k as it is kept: times in UTC and without a monotonic
// reading.
func stored(k *Key) *Key {
	c := k.Clone()
	for _, t := range [...]*time.Time{&c.CreatedAt, &c.ExpiresAt, &c.DisabledAt, &c.RevokedAt, &c.LastUsedAt} {
		*t = storedTime(*t)
	}
	for i := range c.Secrets {
		c.Secrets[i].NotAfter = storedTime(c.Secrets[i].NotAfter)
	}
	return c
}

func storedTime(t time.Time) time.Time { return t.UTC().Round(0) }
