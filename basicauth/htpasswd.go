package basicauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystile/keystile"
)

// HtpasswdConfig configures Htpasswd.
type HtpasswdConfig struct {
	// Fill completes a user who was read, whose Name and Hash are set: Account,
	// Plan, Scopes, Metadata, Disabled. It is called for each user whenever the
	// file is read. Default: users have no account.
	Fill func(u *User)
	// Interval is how soon a change of the file is noticed: a request looks at it,
	// without opening it, when nobody has for that long. Default: 100 ms.
	Interval time.Duration
	// Logger gets weak hashes, and a file that was changed and cannot be read any
	// more. Default: silent.
	Logger *slog.Logger
	// Now tells the time. Default: time.Now.
	Now func() time.Time
}

// HtpasswdUsers are the users of a password file as Apache's htpasswd writes it,
// with bcrypt (htpasswd -B) or argon2id hashes. Names are compared byte for byte.
//
// The file is read again when it has changed. There is no goroutine for it and no
// Close: the request that finds it changed reads it, and others go on with what
// was read before. While the file is missing, empty or has a mistake, the users
// last read stay, and a line is logged; replace the file in one step (rename) and
// that will not happen in passing.
type HtpasswdUsers struct {
	path     string
	fill     func(u *User)
	interval time.Duration
	logger   *slog.Logger
	now      func() time.Time
	epoch    time.Time

	users atomic.Pointer[passwordFile]
	next  atomic.Int64 // the stamp at which to look at the file again

	mu     sync.Mutex  // held by who looks
	seen   fs.FileInfo // when it was read last, in vain or not
	fresh  bool        // it had been changed so recently that the next change might look the same
	reason string      // what was wrong with it then
}

const (
	defaultLook = 100 * time.Millisecond
	// freshFor is how old the time of a file must be until it is believed that
	// another change has another time: file systems count in steps of up to 2 s.
	freshFor = 2 * time.Second
	// maxFile bounds what is read into memory.
	maxFile = 16 << 20
)

// Htpasswd reads the file at path. It returns all mistakes in it at once as
// *keystile.ConfigError values joined, each with its line and never with a hash:
// schemes that are too weak (crypt, MD5, SHA-1, plaintext) or are not taken
// (sha256-crypt, sha512-crypt), bcrypt beyond cost 14, names that are there twice.
// Bcrypt from cost 4 to 9, 5 being what htpasswd -B does, is taken with a warning
// to Logger.
func Htpasswd(path string, c HtpasswdConfig) (*HtpasswdUsers, error) {
	var m mistakes
	if path == "" {
		m.add("basicauth.Htpasswd", nil, "has no path; name the password file")
	}
	if c.Interval < 0 {
		m.add("basicauth.HtpasswdConfig.Interval", c.Interval, "is negative; use a positive duration, or 0 for the default")
	}
	if len(m) > 0 {
		return nil, m.err()
	}
	h := &HtpasswdUsers{
		path: path, fill: c.Fill, interval: orElse(c.Interval, defaultLook), logger: c.Logger, now: c.Now,
	}
	if h.logger == nil {
		h.logger = slog.New(slog.DiscardHandler)
	}
	if h.now == nil {
		h.now = time.Now
	}
	h.epoch = h.now()
	if err := h.Reload(); err != nil {
		return nil, err
	}
	return h, nil
}

var errZeroHtpasswd = errors.New("basicauth: this HtpasswdUsers was not made by Htpasswd")

// FindUser implements Users. The result is shared: Clone it to change it.
func (h *HtpasswdUsers) FindUser(ctx context.Context, name string) (*User, error) {
	if h == nil || h.now == nil {
		return nil, errZeroHtpasswd
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h.look()
	if u := h.users.Load().users[name]; u != nil {
		return u, nil
	}
	return nil, ErrNotFound
}

// Kinds implements KindLister.
func (h *HtpasswdUsers) Kinds() []Kind {
	if h == nil || h.now == nil {
		return nil
	}
	return h.users.Load().kinds
}

// Reload reads the file now, changed or not, and returns what is wrong with it;
// then the users last read stay.
func (h *HtpasswdUsers) Reload() error {
	if h == nil || h.now == nil {
		return errZeroHtpasswd
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	info, err := os.Stat(h.path)
	if err != nil {
		return h.unreadable(err)
	}
	return h.read(info, false)
}

// look reads the file again where it is time to look at it, nobody else does, and
// it has changed.
func (h *HtpasswdUsers) look() {
	at, due := int64(h.now().Sub(h.epoch)), h.next.Load()
	if at < due && due-at <= int64(h.interval) || !h.mu.TryLock() { // beyond that the clock was set back
		return
	}
	defer h.mu.Unlock()
	h.next.Store(at + int64(h.interval))
	info, err := os.Stat(h.path)
	if err != nil {
		h.seen = nil
		h.complain(h.unreadable(err))
		return
	}
	if !h.fresh && h.seen != nil && os.SameFile(info, h.seen) && info.Size() == h.seen.Size() && info.ModTime().Equal(h.seen.ModTime()) {
		return
	}
	h.complain(h.read(info, true))
}

// complain logs once what is wrong with the file.
func (h *HtpasswdUsers) complain(err error) {
	switch {
	case err == nil:
		if h.reason != "" {
			h.reason = ""
			h.logger.Info("basicauth: the password file is in order again", "path", h.path)
		}
	case err.Error() != h.reason:
		h.reason = err.Error()
		h.logger.Error("basicauth: the password file cannot be used; the users last read stay", "path", h.path, "error", err)
	}
}

func (h *HtpasswdUsers) unreadable(err error) error {
	return &keystile.ConfigError{Field: "basicauth.Htpasswd", Value: h.path, Reason: "cannot be read: " + withoutPath(err) + "; name a password file that this process may read"}
}

func withoutPath(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// read takes over what is in the file, unless lazy allows to leave it at what was
// read before where that is the same. Info is from before it is opened: a change
// in between is then seen the next time.
func (h *HtpasswdUsers) read(info fs.FileInfo, lazy bool) error {
	h.seen = info
	age := h.now().Sub(info.ModTime())
	h.fresh = age < freshFor && age > -freshFor
	if !info.Mode().IsRegular() {
		return h.unreadable(errors.New("it is no regular file"))
	}
	text, err := readFile(h.path)
	if err != nil {
		return h.unreadable(err)
	}
	sum := sha256.Sum256(text)
	if old := h.users.Load(); lazy && old != nil && old.sum == sum {
		return nil
	}
	parsed, err := parseFile(h.path, text, h.fill)
	if err != nil {
		return err
	}
	parsed.sum = sum
	parsed.warn(h.path, h.logger)
	h.users.Store(parsed)
	return nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("it is larger than %d MiB", maxFile>>20)
	}
	return text, err
}

// Format prints the type and the path only: fmt would print the hashes of fields
// that are not exported.
func (h *HtpasswdUsers) Format(f fmt.State, _ rune) {
	if h == nil {
		_, _ = io.WriteString(f, "basicauth.HtpasswdUsers")
		return
	}
	_, _ = fmt.Fprintf(f, "basicauth.HtpasswdUsers(%q)", h.path)
}
