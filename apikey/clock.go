package apikey

import "time"

// clock tells the time in two ways: as what people mean by it, and as a number
// that is cheap to read and to compare and that no change of the time of day
// moves.
type clock struct {
	told  func() time.Time // nil: the real time
	epoch time.Time
}

// stamp is an instant in nanoseconds since the epoch of a clock.
type stamp int64

func newClock(told func() time.Time) clock {
	c := clock{told: told}
	c.epoch = c.now()
	return c
}

func (c *clock) now() time.Time {
	if c.told != nil {
		return c.told()
	}
	return time.Now()
}

func (c *clock) stamp() stamp {
	if c.told != nil {
		return stamp(c.told().Sub(c.epoch))
	}
	return stamp(time.Since(c.epoch)) // reads the monotonic clock alone
}
