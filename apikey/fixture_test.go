package apikey_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
)

// noon is when most tests begin.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// hand is a clock that a test moves.
type hand struct {
	mu  sync.Mutex
	now time.Time
}

func newHand() *hand { return &hand{now: noon} }

func (h *hand) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hand) forward(d time.Duration) { h.set(h.Now().Add(d)) }

func (h *hand) set(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = t
}

// acme is the format of most tests.
var acme = apikey.Format{Prefix: "acme_"}

// spyStore counts what is asked of a store and may step in.
type spyStore struct {
	apikey.Store
	finds, gets, updates, creates atomic.Int64

	mu     sync.Mutex
	before func(ctx context.Context) error                               // FindByDigest, before the store is asked
	after  func(ctx context.Context, k *apikey.Key) (*apikey.Key, error) // and behind it
	touch  func(ctx context.Context, uses []apikey.Use) error
	update func(k *apikey.Key) error
}

func spyOn(s apikey.Store) *spyStore { return &spyStore{Store: s} }

func (s *spyStore) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *spyStore) FindByDigest(ctx context.Context, digests ...apikey.Digest) (*apikey.Key, error) {
	s.finds.Add(1)
	s.mu.Lock()
	before, after := s.before, s.after
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx); err != nil {
			return nil, err
		}
	}
	k, err := s.Store.FindByDigest(ctx, digests...)
	if err == nil && after != nil {
		return after(ctx, k)
	}
	return k, err
}

func (s *spyStore) Get(ctx context.Context, id string) (*apikey.Key, error) {
	s.gets.Add(1)
	return s.Store.Get(ctx, id)
}

func (s *spyStore) Create(ctx context.Context, k *apikey.Key) (int64, error) {
	s.creates.Add(1)
	return s.Store.Create(ctx, k)
}

func (s *spyStore) Update(ctx context.Context, k *apikey.Key) (int64, error) {
	s.updates.Add(1)
	s.mu.Lock()
	update := s.update
	s.mu.Unlock()
	if update != nil {
		if err := update(k); err != nil {
			return 0, err
		}
	}
	return s.Store.Update(ctx, k)
}

func (s *spyStore) Touch(ctx context.Context, uses []apikey.Use) error {
	s.mu.Lock()
	touch := s.touch
	s.mu.Unlock()
	if touch != nil {
		return touch(ctx, uses)
	}
	return s.Store.Touch(ctx, uses)
}

// newKeys makes Keys that the test closes. What c leaves out is the format acme
// and a store of its own.
func newKeys(t testing.TB, c apikey.Config) *apikey.Keys {
	t.Helper()
	if c.Store == nil {
		c.Store = apikey.NewMemoryStore()
	}
	if c.Format.Prefix == "" {
		c.Format = acme
	}
	keys, err := apikey.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := keys.Close(context.Background()); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return keys
}

// issue makes a key, by default one of account "a".
func issue(t testing.TB, keys *apikey.Keys, d apikey.Draft) (*apikey.Key, keystile.Secret) {
	t.Helper()
	if d.Account == "" {
		d.Account = "a"
	}
	k, secret, err := keys.Issue(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	return k, secret
}

// verifier is what Keys and Verifier have in common here.
type verifier interface {
	Verify(context.Context, keystile.Presented) (*keystile.Principal, error)
}

// verdict is the code of a verification, "" where it is accepted.
func verdict(v verifier, secret keystile.Secret) keystile.Code {
	_, err := v.Verify(context.Background(), keystile.Presented{Secret: secret})
	return codeOf(err)
}

// codeOf is the code of err: what is not a *keystile.Error has none of ours.
func codeOf(err error) keystile.Code {
	if err == nil {
		return ""
	}
	var e *keystile.Error
	if !errors.As(err, &e) {
		return keystile.Code("not a *keystile.Error: " + err.Error())
	}
	return e.Code
}

func wantVerdict(t testing.TB, v verifier, secret keystile.Secret, want keystile.Code) {
	t.Helper()
	if got := verdict(v, secret); got != want {
		t.Errorf("verdict %q, want %q", got, want)
	}
}

// newGuard is a Guard of realm acme over keys in the given places.
func newGuard(t testing.TB, a keystile.Authenticator) *keystile.Guard {
	t.Helper()
	g, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: a, Realm: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// requestWith is a GET with the given header fields, in pairs.
func requestWith(fields ...string) *http.Request {
	r, _ := http.NewRequest(http.MethodGet, "http://acme.example/", nil)
	r.RemoteAddr = "192.0.2.1:1234"
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	return r
}

// textLogger writes to w, which is read after the last line only.
func textLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(&lockedWriter{w: w}, nil))
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
