package keystile

import (
	"context"
	"time"
)

// Throttle slows down the guessing of passwords: failures under a key make the
// next attempts wait, longer each time (NIST SP 800-63B section 3.2.2).
// Implementations are safe for concurrent use.
type Throttle interface {
	// Check returns how long an attempt under key must still wait; zero: it may
	// go ahead. It counts nothing.
	Check(ctx context.Context, key string) (wait time.Duration, err error)
	// Fail counts a failed attempt.
	Fail(ctx context.Context, key string) error
	// Reset forgets the failures after a success.
	Reset(ctx context.Context, key string) error
}
