package bearer

import (
	"context"
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
	"github.com/keystile/keystile/internal/jose"
)

// KeyFile is a file with a JWK Set, or a single JWK. It is read again once it has
// changed, which is looked for at most every second. A file that cannot be read,
// or that has no usable key, is logged and replaces nothing; a key that is no
// longer in it is refused. Replace the file by renaming, so that no half of it is
// ever read.
func KeyFile(path string) KeySet {
	return KeySet{func(o opening) (source, error) {
		f := &fileKeys{path: path, algorithms: o.algorithms, logger: o.logger, epoch: o.now()}
		if err := f.load(); err != nil {
			return nil, &keystile.ConfigError{Field: o.field + ": bearer.KeyFile", Value: path, Reason: "cannot be used: " + err.Error()}
		}
		f.next.Store(int64(lookEvery))
		return f, nil
	}}
}

const (
	lookEvery = time.Second
	maxFile   = 1 << 20
)

type fileKeys struct {
	path       string
	algorithms []jose.Algorithm
	logger     *slog.Logger

	set   atomic.Pointer[jose.Set]
	epoch time.Time
	next  atomic.Int64 // when the file is to be looked at again, in nanoseconds since epoch

	mu    sync.Mutex  // held while it is
	seen  fs.FileInfo // as it was then
	wrong string      // what has been logged about it
}

func (f *fileKeys) find(_ context.Context, now time.Time, h *jose.Header) ([]*jose.Key, error) {
	f.look(now)
	return found(f.set.Load(), h)
}

func (f *fileKeys) serves(k *jose.Key, now time.Time) bool {
	f.look(now)
	return !k.Gone()
}

// look reads the file again if it has changed. One request does so, the others go
// on with the keys in hand.
func (f *fileKeys) look(now time.Time) {
	at := int64(now.Sub(f.epoch))
	// More than lookEvery ahead is a clock that was put back.
	if ahead := f.next.Load() - at; ahead > 0 && ahead <= int64(lookEvery) || !f.mu.TryLock() {
		return
	}
	defer f.mu.Unlock()
	f.next.Store(at + int64(lookEvery))
	info, err := os.Stat(f.path)
	if err == nil && f.seen != nil && os.SameFile(info, f.seen) && info.ModTime().Equal(f.seen.ModTime()) && info.Size() == f.seen.Size() {
		return
	}
	if err == nil {
		err = f.load()
	}
	switch {
	case err == nil:
		f.wrong = ""
	case err.Error() != f.wrong:
		f.wrong = err.Error()
		f.logger.Warn("bearer: the key file cannot be used; the keys in hand stay in force", "path", f.path, "error", err)
	}
}

// load reads the file and puts its keys in force.
func (f *fileKeys) load() error {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	if f.seen, err = file.Stat(); err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return err
	case len(text) > maxFile:
		return fmt.Errorf("it is longer than %d bytes", maxFile)
	case len(text) == 0:
		return errors.New("it is empty")
	}
	set, err := parseSet(text, f.algorithms)
	if err != nil {
		return err
	}
	set.Succeed(f.set.Load())
	f.set.Store(set)
	return nil
}
