package limiter

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/keystile/keystile"
)

// Limit is one rule of a plan, such as PerHour(1000). It is an immutable value.
// Limits are made by the functions of this package and refined by Named and
// Within; a mistake in one is reported by the New that it is given to.
//
// A limit of 0 is allowed: every charged request is refused, as one that can
// never fit.
type Limit struct {
	kind   Kind
	n      int64
	period int64 // µs
	name   string
	cell   Cell // without a sub-key
	within By
	nested bool // Within was called
	err    error
}

// PerSecond allows n units per second; see Per.
func PerSecond(n int64) Limit { return newWindow("PerSecond", n, time.Second) }

// PerMinute allows n units per minute; see Per.
func PerMinute(n int64) Limit { return newWindow("PerMinute", n, time.Minute) }

// PerHour allows n units per hour; see Per.
func PerHour(n int64) Limit { return newWindow("PerHour", n, time.Hour) }

// PerDay allows n units in 24 hours, whenever they begin; see Per.
func PerDay(n int64) Limit { return newWindow("PerDay", n, 24*time.Hour) }

// Per allows n units, usually requests, in each window of length d, a whole
// number of microseconds.
//
// A window opens with the first request that is charged and ends d later, that
// instant excluded; the next one opens with the first charge after that. So each
// caller has windows of their own, and no herd returns at the full hour. In one
// window at most n units pass. In some other interval of length d up to 2n-1
// can: one unit opens a window, n-1 follow at its very end, and n more as soon
// as it is over. That is the price for a limit whose remaining units, reset and
// waiting time are all exact and which remembers two numbers per caller. Choose
// n with it in mind where the load, and not the bill, is what you limit.
func Per(n int64, d time.Duration) Limit { return newWindow("Per", n, d) }

// Concurrent allows n requests at any instant. Each holds a lease from its
// admission to its end.
func Concurrent(n int64) Limit {
	l := Limit{kind: KindConcurrent, n: n, name: "concurrent"}
	l.checkN("Concurrent")
	l.cell = newCell(l.kind, 0, l.name)
	return l
}

func newWindow(function string, n int64, d time.Duration) Limit {
	l := Limit{kind: KindWindow, n: n, period: d.Microseconds(), name: periodName(d)}
	l.checkN(function)
	switch {
	case d <= 0:
		l.mistake(function, d, "is not a length of time; give the period of the limit, such as time.Hour")
	case d%time.Microsecond != 0:
		l.mistake(function, d, "is not a whole number of microseconds, in which time is counted; round it")
	}
	l.cell = newCell(l.kind, l.period, l.name)
	return l
}

// periodName returns the usual word, or the number of the largest unit that
// measures d exactly: "90s" and not "1m30s".
func periodName(d time.Duration) string {
	switch d {
	case time.Second:
		return "second"
	case time.Minute:
		return "minute"
	case time.Hour:
		return "hour"
	case 24 * time.Hour:
		return "day"
	}
	for _, u := range [...]struct {
		unit time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "us"}} {
		if d%u.unit == 0 {
			return strconv.FormatInt(int64(d/u.unit), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(d), 10) + "ns"
}

func (l *Limit) checkN(function string) {
	if l.n < 0 {
		l.mistake(function, l.n, "is negative; 0 lets nothing pass, and for no limit at all leave it out")
	}
}

func (l *Limit) mistake(function string, value any, reason string) {
	l.err = errors.Join(l.err, &keystile.ConfigError{Field: "limiter." + function, Value: value, Reason: reason})
}

// Named gives the limit a name: what clients read in RateLimit headers and
// refusals, and a counter of its own beside another limit of the same period.
// A limit that is renamed starts counting anew. Without it the name is "second",
// "minute", "hour", "day", the period such as "90s", or "concurrent".
//
// The name goes into a structured header field (RFC 9651 section 3.3.3): 1 to 64
// printable ASCII characters without quotes and backslashes.
func (l Limit) Named(name string) Limit {
	if !validName(name) {
		l.mistake("Limit.Named", name, `is not usable in a header; take 1 to 64 printable ASCII characters without " and \`)
	}
	l.name = name
	l.cell = newCell(l.kind, l.period, name)
	return l
}

const maxName = 64

func validName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return name != "" && len(name) <= maxName
}

// Within counts separately for each value of by below the key of the limiter:
// PerHour(10).Within(ByRoute) allows an account 10 requests per hour on each
// route. by must be about the principal or the route: of these the service has
// so many and no more, and the counters of one key are kept together.
func (l Limit) Within(by By) Limit {
	switch {
	case by == nil:
		l.mistake("Limit.Within", nil, "is given nil; say what to count by, such as ByRoute")
	case l.nested:
		l.mistake("Limit.Within", nil, "is called twice; join the two values with Join")
	}
	l.within, l.nested = by, true
	return l
}

// Kind returns the way in which the limit counts.
func (l Limit) Kind() Kind { return l.kind }

// N returns how many units, or requests at once, the limit allows.
func (l Limit) N() int64 { return l.n }

// Period returns the length of the window; 0 where the limit has none.
func (l Limit) Period() time.Duration { return time.Duration(l.period) * time.Microsecond }

// Name returns the name that clients are told.
func (l Limit) Name() string { return l.name }

// ConfigErr returns the mistakes the limit was made with, or nil.
func (l Limit) ConfigErr() error {
	if l.kind == 0 {
		return &keystile.ConfigError{Field: "limiter.Limit", Reason: "is the zero value; use PerHour, Concurrent or another function of this package"}
	}
	if l.within == nil {
		return l.err
	}
	if err := l.within.ConfigErr(); err != nil {
		return errors.Join(l.err, err)
	}
	if !bounded(l.within) {
		return errors.Join(l.err, &keystile.ConfigError{Field: "limiter.Limit.Within", Value: l.within.name(),
			Reason: "has as many values as clients like to make up, and all of them are kept with one key; use ByCredential or ByRoute here, and count the rest in a limiter of its own"})
	}
	return l.err
}

// Ask returns what a demand asks of a limit without Within. It allocates nothing.
func (l Limit) Ask() Ask { return Ask{Cell: l.cell, N: l.n} }

// AskWithin returns what a demand asks of a limit with Within. Sub holds the
// name and the value of what is counted by, framed so that no two of them meet.
func (l Limit) AskWithin(sub []byte) Ask { return Ask{Cell: l.cell.within(sub), N: l.n} }

// checkLimits returns what is wrong with the limits of one plan, found at field.
func checkLimits(field string, limits []Limit) []error {
	var errs []error
	first := make(map[string]int, len(limits))
	for i, l := range limits {
		if err := l.ConfigErr(); err != nil {
			errs = append(errs, fmt.Errorf("%s[%d]: %w", field, i, err))
		}
		// A cell contains the name, so that limits of different names share none.
		if j, taken := first[l.name]; taken {
			errs = append(errs, &keystile.ConfigError{
				Field: fmt.Sprintf("%s[%d]", field, i), Value: l.name,
				Reason: fmt.Sprintf(`is the name of limit [%d] too, so that nobody could tell them apart; give one of them another by .Named("x")`, j),
			})
			continue
		}
		first[l.name] = i
	}
	return errs
}
