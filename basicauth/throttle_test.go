package basicauth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/basicauth"
)

var _ keystile.Throttle = (*basicauth.MemoryThrottle)(nil)

func newThrottle(t *testing.T, c basicauth.ThrottleConfig) *basicauth.MemoryThrottle {
	t.Helper()
	m, err := basicauth.NewMemoryThrottle(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func check(t *testing.T, m keystile.Throttle, key string) time.Duration {
	t.Helper()
	wait, err := m.Check(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return wait
}

func fail(t *testing.T, m keystile.Throttle, key string) {
	t.Helper()
	if err := m.Fail(t.Context(), key); err != nil {
		t.Fatal(err)
	}
}

func TestTheWaitGrows(t *testing.T) {
	c := newClock()
	m := newThrottle(t, basicauth.ThrottleConfig{Free: 2, First: time.Second, Max: 10 * time.Second, Limit: 9, Now: c.Now})
	var waits []time.Duration
	for range 11 {
		fail(t, m, "k")
		wait := check(t, m, "k")
		waits = append(waits, wait)
		if wait > 0 {
			c.Add(wait - 1)
			if got := check(t, m, "k"); got != 1 {
				t.Errorf("just before the end: %v", got)
			}
			c.Add(1)
			if got := check(t, m, "k"); got != 0 {
				t.Errorf("at the end: %v", got)
			}
		}
	}
	day := 24 * time.Hour
	want := []time.Duration{0, 0, 1 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second, day, day, day}
	if !slices.Equal(waits, want) {
		t.Errorf("waits %v, want %v", waits, want)
	}
}

func TestFailuresAreForgotten(t *testing.T) {
	c := newClock()
	m := newThrottle(t, basicauth.ThrottleConfig{Free: 2, Max: time.Minute, Forget: time.Hour, Now: c.Now})
	for range 5 {
		fail(t, m, "k")
	}
	c.Add(3*time.Hour - 1) // two are forgotten
	fail(t, m, "k")
	if got := check(t, m, "k"); got != 2*time.Second {
		t.Errorf("the fourth of five: %v, want 2s", got)
	}
	c.Add(1) // the third
	fail(t, m, "k")
	if got := check(t, m, "k"); got != 2*time.Second {
		t.Errorf("%v, want 2s", got)
	}
	c.Add(10 * time.Hour)
	if got := check(t, m, "k"); got != 0 || m.Len() != 0 {
		t.Errorf("wait %v, %d keys, want none", got, m.Len())
	}
	fail(t, m, "k")
	if err := m.Reset(t.Context(), "k"); err != nil || m.Len() != 0 {
		t.Errorf("after Reset %d keys, %v", m.Len(), err)
	}
	if err := m.Reset(t.Context(), "unknown"); err != nil {
		t.Error(err)
	}
}

func TestKeysOfAThrottleAreApart(t *testing.T) {
	m := newThrottle(t, basicauth.ThrottleConfig{Free: -1})
	fail(t, m, "a:b")
	for _, key := range []string{"a", "b", "a:", "a:b ", "A:B", "", "a:b\x00", strings.Repeat("a:b", 10_000)} {
		if got := check(t, m, key); got != 0 {
			t.Errorf("%.20q waits %v", key, got)
		}
	}
	if got := check(t, m, "a:b"); got <= 0 {
		t.Error("the failure is not counted: a negative Free is none")
	}
}

func TestAClockThatIsSetBackMakesNobodyWaitLonger(t *testing.T) {
	c := newClock()
	m := newThrottle(t, basicauth.ThrottleConfig{Free: -1, First: time.Second, Now: c.Now})
	fail(t, m, "k")
	c.Add(-24 * time.Hour)
	if got := check(t, m, "k"); got != time.Second {
		t.Errorf("%v, want 1s", got)
	}
}

// A flood of invented keys sets nobody free who is waiting, and takes no more
// memory than is allowed.
func TestAFullThrottleForgetsThoseWhoDoNotWait(t *testing.T) {
	const size = 100
	c := newClock()
	m := newThrottle(t, basicauth.ThrottleConfig{Free: 1, Max: time.Hour, Limit: 100, MaxKeys: size, Now: c.Now})
	for i := range 50 {
		for range 20 {
			fail(t, m, fmt.Sprint("guesser", i))
		}
	}
	for i := range 100_000 {
		c.Add(time.Millisecond)
		fail(t, m, fmt.Sprint("invented", i))
	}
	if n := m.Len(); n != size {
		t.Errorf("%d keys, want %d", n, size)
	}
	for i := range 50 {
		if got := check(t, m, fmt.Sprint("guesser", i)); got <= 0 {
			t.Fatalf("guesser %d is free", i)
		}
	}
	for i := range size { // when all wait, the one that failed longest ago goes
		fail(t, m, fmt.Sprint("new", i))
		fail(t, m, fmt.Sprint("new", i))
	}
	if n := m.Len(); n != size {
		t.Errorf("%d keys, want %d", n, size)
	}
	if got := check(t, m, "guesser0"); got != 0 {
		t.Error("guesser 0 is still there")
	}
	if got := check(t, m, "new99"); got <= 0 {
		t.Error("the newest is not there")
	}
	c.Add(1000 * 24 * time.Hour)
	for i := range 2 * size {
		fail(t, m, fmt.Sprint("later", i%2))
	}
	if n := m.Len(); n != 2 {
		t.Errorf("%d keys, want 2: what is forgotten was not swept away", n)
	}
}

func TestAThrottleThatFails(t *testing.T) {
	var zero basicauth.MemoryThrottle
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	m := newThrottle(t, basicauth.ThrottleConfig{})
	for name, f := range map[string]func() error{
		"Check of the zero value": func() error { _, err := zero.Check(t.Context(), "k"); return err },
		"Fail of the zero value":  func() error { return zero.Fail(t.Context(), "k") },
		"Reset of the zero value": func() error { return zero.Reset(t.Context(), "k") },
		"Check when cancelled":    func() error { _, err := m.Check(cancelled, "k"); return err },
		"Fail when cancelled":     func() error { return m.Fail(cancelled, "k") },
		"Reset when cancelled":    func() error { return m.Reset(cancelled, "k") },
	} {
		if f() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if zero.Len() != 0 || m.Len() != 0 {
		t.Error("something was counted")
	}
}

func TestAllMistakesOfAThrottleAreReportedAtOnce(t *testing.T) {
	_, err := basicauth.NewMemoryThrottle(basicauth.ThrottleConfig{Free: 200, First: time.Hour, Max: time.Second, Limit: 101, Forget: time.Millisecond, MaxKeys: -1})
	for _, want := range []string{"Max (1s): is shorter than First", "Limit (101)", "Forget (1ms)", "MaxKeys (-1)"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not reported: %q in\n%v", want, err)
		}
	}
	for _, c := range []basicauth.ThrottleConfig{{Free: 100}, {First: -1}, {Limit: -1}, {Forget: -1}, {Forget: 400 * 24 * time.Hour}} {
		var mistake *keystile.ConfigError
		if _, err := basicauth.NewMemoryThrottle(c); !errors.As(err, &mistake) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestAThrottleUnderConcurrentUse(t *testing.T) {
	m := newThrottle(t, basicauth.ThrottleConfig{Free: 99, Limit: 100, MaxKeys: 8})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 300 {
				key := fmt.Sprint("k", (i+j)%12)
				fail(t, m, key)
				check(t, m, key)
				if j%7 == 0 {
					_ = m.Reset(t.Context(), key)
				}
			}
		})
	}
	all.Wait()
	if n := m.Len(); n > 8 {
		t.Errorf("%d keys", n)
	}
}
