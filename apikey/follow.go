package apikey

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// changesPage is how many changes are read at once.
const changesPage = 1000

// follower reads the feed of a Verifier.
type follower struct {
	v      *Verifier
	cursor Cursor
	placed bool      // cursor is one
	outage time.Time // since when the feed cannot be read; zero: it can
}

// follow reads the feed until the Verifier is closed: every half interval, and
// when it is woken.
func (v *Verifier) follow() {
	f := follower{v: v}
	wake := v.wake
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-v.life.ctx.Done():
			return
		case _, ok := <-wake:
			if !ok {
				wake = nil
				continue
			}
		case <-timer.C:
		}
		timer.Reset(v.interval / 2) // from the beginning of the reading, whatever that takes
		if f.catchUp() {
			timer.Reset(0)
		}
	}
}

// catchUp reads what has changed. It reports whether there is more to be read at
// once: it got on, but did not come to the end in time.
func (f *follower) catchUp() (more bool) {
	began, at := f.v.clock.now(), f.v.clock.stamp()
	ctx, cancel := context.WithTimeout(f.v.life.ctx, f.v.interval/4)
	defer cancel()
	progress, err := f.read(ctx)
	if f.v.life.ctx.Err() != nil {
		return false
	}
	if err != nil {
		if f.outage.IsZero() && !progress {
			f.outage = began
			f.v.logger.Warn("apikey: the feed cannot be read", "error", err, "stale_for", time.Duration(f.v.staleFor))
		}
		return progress
	}
	f.v.inStep.Store(int64(at))
	if !f.outage.IsZero() {
		f.v.logger.Info("apikey: the feed can be read again", "outage", began.Sub(f.outage))
		f.outage = time.Time{}
	}
	return false
}

// read goes on to the end of the feed. It reports whether it got on at all.
func (f *follower) read(ctx context.Context) (progress bool, err error) {
	defer func() {
		if r := recover(); r != nil { // nobody above this goroutine recovers
			err = fmt.Errorf("apikey: panic in the feed: %v", r)
		}
	}()
	for {
		if !f.placed {
			if err := f.restart(ctx); err != nil {
				return progress, err
			}
		}
		changes, next, err := f.v.feed.Changes(ctx, f.cursor, changesPage)
		if errors.Is(err, ErrCursorLost) {
			// Anything may have changed. Nothing is kept until there is a new place
			// from which changes are known again.
			f.v.cache.open.Store(false)
			f.v.cache.flush()
			f.placed = false
			if err := f.restart(ctx); err != nil {
				return progress, err
			}
			return true, nil
		}
		if err != nil {
			return progress, err
		}
		f.v.Forget(changes...)
		f.cursor = next
		if len(changes) < changesPage {
			return true, nil
		}
		progress = true
	}
}

// restart takes the head of the feed as the place to read from. What was read
// from the store before that is forgotten: it may be older than the head.
func (f *follower) restart(ctx context.Context) error {
	head, err := f.v.feed.Head(ctx)
	if err != nil {
		return err
	}
	f.v.cache.flush()
	f.cursor, f.placed = head, true
	f.v.cache.open.Store(true)
	return nil
}
