package limiter_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/evidence"
	"github.com/keystile/keystile/limiter"
)

func memoryOf(t testing.TB, maxKeys int) (subject, *limiter.MemoryStore) {
	t.Helper()
	clock := newStoreClock()
	m, err := limiter.NewMemoryStore(limiter.MemoryConfig{MaxKeys: maxKeys, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	return subject{Store: m, clock: clock}, m
}

func TestMemoryConfigMistakes(t *testing.T) {
	tests := map[int]string{-1: "negative"}
	if math.MaxInt > math.MaxInt32 {
		tests[math.MaxInt] = "more than"
	}
	for maxKeys, says := range tests {
		_, err := limiter.NewMemoryStore(limiter.MemoryConfig{MaxKeys: maxKeys})
		var mistake *keystile.ConfigError
		if !errors.As(err, &mistake) || mistake.Field != "limiter.MemoryConfig.MaxKeys" || !strings.Contains(err.Error(), says) {
			t.Errorf("MaxKeys %d: %v", maxKeys, err)
		}
	}
	if _, err := limiter.NewMemoryStore(limiter.MemoryConfig{}); err != nil {
		t.Error(err)
	}
}

func TestAZeroMemoryStoreFailsEveryCall(t *testing.T) {
	var zero limiter.MemoryStore
	for _, m := range []*limiter.MemoryStore{nil, &zero} {
		ctx := context.Background()
		d := demandOf("k", 1, limiter.PerHour(1))
		_, renew := m.Renew(ctx, d.Key, d.Lease, 0)
		for i, err := range []error{m.Take(ctx, d), m.Inspect(ctx, d), m.Release(ctx, d.Key, d.Lease), renew, m.Refund(ctx, d), m.Reset(ctx, d.Key)} {
			if err == nil || d.Admitted {
				t.Errorf("call %d: %v, admitted %v", i, err, d.Admitted)
			}
		}
	}
}

func TestTheStoresOwnClockIsTheTime(t *testing.T) {
	m, err := limiter.NewMemoryStore(limiter.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	d := demandOf("k", 1, limiter.PerHour(1))
	before := time.Now().UnixMicro()
	if err := m.Take(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	if after := time.Now().UnixMicro(); d.At < before || d.At > after || d.Asks[0].Start != d.At {
		t.Errorf("taken at %d, between %d and %d", d.At, before, after)
	}
	d.Now = before + 3_600_000_000_000
	if err := m.Take(context.Background(), d); err != nil || d.At != d.Now || !d.Admitted {
		t.Errorf("%v, at %d with Now %d", err, d.At, d.Now)
	}
}

// In a store of one part the key that goes is the one that was not used for the
// longest time, give or take the second chance.
func TestTheKeyThatIsNotUsedGoesFirst(t *testing.T) {
	s, m := memoryOf(t, 100)
	limit := limiter.PerDay(1000)
	for i := range 100 {
		s.admits(t, fmt.Sprint("key", i), 1, limit)
	}
	for i := range 60 {
		s.admits(t, fmt.Sprint("key", i), 1, limit)
	}
	for i := range 40 {
		s.admits(t, fmt.Sprint("new", i), 1, limit)
	}
	if m.Len() != 100 {
		t.Errorf("%d keys, want 100", m.Len())
	}
	for i := range 100 {
		used := s.inspect(t, fmt.Sprint("key", i), limit).Asks[0].Used
		if want := int64(2); i < 60 && used != want || i >= 60 && used != 0 {
			t.Errorf("key %d has %d used", i, used)
		}
	}
	if err := m.CheckBooks(); err != nil {
		t.Error(err)
	}
}

// A flood of new keys displaces neither a caller who is blocked nor one who holds
// a slot, whatever else there is in the store.
func TestAFloodFreesNobodyWhoIsExhaustedOrLeasing(t *testing.T) {
	maxKeys := evidence.Count(10_000, 1_000_000)
	flood := evidence.Count(10_000, 1_000_000)
	minute, day, slot := limiter.PerMinute(50), limiter.PerDay(2), limiter.Concurrent(2)
	for _, tt := range []struct {
		what  string
		share float64 // of the store that is guarded before the flood
	}{
		{"a few", 0.01}, {"half", 0.5}, {"all but ten", -10},
	} {
		t.Run(tt.what, func(t *testing.T) {
			s, m := memoryOf(t, maxKeys)
			guarded := int(tt.share * float64(maxKeys))
			if tt.share < 0 {
				guarded = maxKeys + int(tt.share)
			}
			leases := make([]*limiter.Demand, guarded)
			for i := range guarded {
				key := fmt.Sprint("guarded", i)
				switch i % 4 {
				case 0: // used up, to the last unit
					s.admits(t, key, 2, day, minute)
				case 1: // refused for a cost that is more than what is left
					s.admits(t, key, 1, day, minute)
					s.admits(t, key, 2, day, minute)
				case 2: // one slot of two is held
					leases[i] = s.take(t, demandOf(key, 1, day, slot))
				case 3: // one slot of two is held, another was released
					leases[i] = s.take(t, demandOf(key, 1, slot))
					other := s.take(t, demandOf(key, 1, slot))
					s.release(t, key, other.Lease)
				}
			}
			for i := range flood {
				s.admits(t, fmt.Sprint("flood", i), 1, day, minute)
			}
			if n := m.Len(); n > maxKeys {
				t.Errorf("%d keys, want at most %d", n, maxKeys)
			}
			freed := 0
			for i := range guarded {
				key := fmt.Sprint("guarded", i)
				switch i % 4 {
				case 0:
					if s.inspect(t, key, day).Asks[0].Used != 2 {
						freed++
					}
				case 1:
					if s.inspect(t, key, day).Asks[0].Used != 1 {
						freed++
					}
				default:
					if !s.renew(t, key, leases[i].Lease, time.Minute) {
						freed++
					}
				}
			}
			if freed > 0 {
				t.Errorf("%d of %d were displaced", freed, guarded)
			}
			if err := m.CheckBooks(); err != nil {
				t.Error(err)
			}
			evidence.Report(t, "limits", "A flood of keys, "+tt.what+" guarded", [][2]string{
				{"MaxKeys", fmt.Sprint(maxKeys)},
				{"keys that are exhausted or hold a lease", fmt.Sprint(guarded)},
				{"keys of the flood", fmt.Sprint(flood)},
				{"exhausted or leasing keys displaced", fmt.Sprint(freed)},
			})
		})
	}
}

// Where all keys are guarded, the one goes that would become free soonest.
func TestWhereAllAreGuardedTheSoonestGoes(t *testing.T) {
	s, m := memoryOf(t, 10)
	for i := range 10 {
		s.count(t, fmt.Sprint("key", i), limiter.Per(1, time.Duration((i*7)%10+1)*time.Hour))
	}
	for i := range 3 {
		s.count(t, fmt.Sprint("new", i), limiter.PerDay(1))
	}
	for i := range 10 {
		hours := (i*7)%10 + 1
		used := s.inspect(t, fmt.Sprint("key", i), limiter.Per(1, time.Duration(hours)*time.Hour)).Asks[0].Used
		if gone := hours <= 3; gone != (used == 0) {
			t.Errorf("a key blocked for %d hours: %d used", hours, used)
		}
	}
	if m.Len() != 10 {
		t.Errorf("%d keys, want 10", m.Len())
	}
	if err := m.CheckBooks(); err != nil {
		t.Error(err)
	}
}

// What the passing of time, a release or a raise makes plain can go; what a
// refusal, a renewal or a new lease guards cannot.
func TestAGuardFollowsItsKey(t *testing.T) {
	hour, day := limiter.PerHour(1), limiter.PerDay(9)
	for _, tt := range []struct {
		what   string
		do     func(t *testing.T, s subject)
		guards bool
	}{
		{"used a little", func(t *testing.T, s subject) { s.admits(t, "k", 1, day) }, false},
		{"used up", func(t *testing.T, s subject) { s.admits(t, "k", 9, day) }, true},
		{"used up, an hour ago", func(t *testing.T, s subject) {
			s.admits(t, "k", 1, day, hour)
			s.clock.Advance(time.Hour)
		}, false},
		{"used up, not quite an hour ago", func(t *testing.T, s subject) {
			s.admits(t, "k", 1, day, hour)
			s.clock.us.Add(3_600_000_000 - 1)
		}, true},
		{"leasing", func(t *testing.T, s subject) { s.take(t, demandOf("k", 1, day, limiter.Concurrent(9))) }, true},
		{"released", func(t *testing.T, s subject) {
			d := s.take(t, demandOf("k", 1, day, limiter.Concurrent(9)))
			s.release(t, "k", d.Lease)
		}, false},
		{"released, but used up", func(t *testing.T, s subject) {
			d := s.take(t, demandOf("k", 9, day, limiter.Concurrent(9)))
			s.release(t, "k", d.Lease)
		}, true},
		{"a lease that died", func(t *testing.T, s subject) {
			s.take(t, demandOf("k", 1, day, limiter.Concurrent(9)))
			s.clock.Advance(time.Minute)
		}, false},
		{"a lease that was renewed", func(t *testing.T, s subject) {
			d := s.take(t, demandOf("k", 1, day, limiter.Concurrent(9)))
			s.clock.Advance(50 * time.Second)
			s.renew(t, "k", d.Lease, time.Minute)
			s.clock.Advance(50 * time.Second)
		}, true},
		{"used up, then raised", func(t *testing.T, s subject) {
			s.admits(t, "k", 9, day)
			s.admits(t, "k", 1, limiter.PerDay(100))
		}, false},
		{"used a little, then lowered", func(t *testing.T, s subject) {
			s.admits(t, "k", 3, day)
			s.admits(t, "k", 1, limiter.PerDay(2))
		}, true},
		{"used up on one route, used on another", func(t *testing.T, s subject) {
			for _, sub := range []string{"a", "b"} {
				ask := limiter.PerHour(2).AskWithin([]byte(sub))
				cost := map[string]int64{"a": 2, "b": 1}[sub]
				s.take(t, &limiter.Demand{Key: []byte("k"), Cost: cost, Asks: []limiter.Ask{ask}})
			}
		}, true},
		{"looked at only, when it is used up by the plan that looks", func(t *testing.T, s subject) {
			s.admits(t, "k", 2, day)
			s.take(t, demandOf("k", 0, limiter.PerDay(2)))
			s.inspect(t, "k", limiter.PerDay(2))
		}, false},
	} {
		t.Run(tt.what, func(t *testing.T) {
			s, m := memoryOf(t, 5)
			tt.do(t, s)
			for i := range 40 { // plain keys, until they have pushed out what they can
				s.admits(t, fmt.Sprint("flood", i), 1, day)
			}
			kept := len(m.Raw([]byte("k"), s.clock.Now()).Windows) > 0
			if kept != tt.guards {
				t.Errorf("kept %v, want %v", kept, tt.guards)
			}
			if err := m.CheckBooks(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDeadStateIsSweptByTakes(t *testing.T) {
	s, m := memoryOf(t, 100_000)
	for i := range 5000 {
		s.take(t, demandOf(fmt.Sprint(i), 1, limiter.PerMinute(5), limiter.Concurrent(3)))
	}
	if m.Len() != 5000 {
		t.Fatalf("%d keys", m.Len())
	}
	s.clock.Advance(time.Minute)
	takes := 0
	for ; m.Len() > 100 && takes < 50_000; takes++ {
		s.admits(t, fmt.Sprint("other", takes%50), 1, limiter.PerDay(math.MaxInt64))
	}
	if takes >= 50_000 {
		t.Errorf("%d keys are left after %d takes", m.Len(), takes)
	}
	if err := m.CheckBooks(); err != nil {
		t.Error(err)
	}
	t.Logf("%d keys are left after %d takes", m.Len(), takes)
}

func TestDeadStateGoesBeforeLivingState(t *testing.T) {
	s, m := memoryOf(t, 20)
	for i := range 10 {
		s.admits(t, fmt.Sprint("short", i), 1, limiter.PerSecond(5))
		s.admits(t, fmt.Sprint("long", i), 1, limiter.PerDay(5))
	}
	s.clock.Advance(time.Second)
	for i := range 10 {
		s.admits(t, fmt.Sprint("new", i), 1, limiter.PerDay(5))
	}
	for i := range 10 {
		if s.inspect(t, fmt.Sprint("long", i), limiter.PerDay(5)).Asks[0].Used != 1 {
			t.Errorf("key %d was displaced while others were dead", i)
		}
	}
	if m.Len() > 20 {
		t.Errorf("%d keys", m.Len())
	}
}

func TestTakingFromAKnownKeyAllocatesNothing(t *testing.T) {
	s, _ := memoryOf(t, 0)
	ctx := context.Background()
	many := int64(math.MaxInt64)
	windows := []limiter.Limit{limiter.PerMinute(many), limiter.PerHour(many), limiter.PerDay(many)}
	charge := demandOf("k", 1, windows...)
	lease := demandOf("k", 1, append(windows, limiter.Concurrent(5))...)
	refused := demandOf("k", 2, limiter.PerHour(1), limiter.PerDay(many))
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		what string
		f    func()
	}{
		{"three windows", func() { check(s.Take(ctx, charge)) }},
		{"three windows and a lease, taken and released", func() {
			check(s.Take(ctx, lease))
			check(s.Release(ctx, lease.Key, lease.Lease))
		}},
		{"a lease taken again and renewed", func() {
			check(s.Take(ctx, lease))
			_, err := s.Renew(ctx, lease.Key, lease.Lease, 0)
			check(err)
		}},
		{"a refusal", func() { check(s.Take(ctx, refused)) }},
		{"a look", func() { check(s.Inspect(ctx, lease)) }},
		{"a charge and its refund", func() { check(s.Take(ctx, charge)); check(s.Refund(ctx, charge)) }},
		{"the next window", func() { s.clock.Advance(time.Minute); check(s.Take(ctx, charge)) }},
	} {
		for range 10 {
			tt.f()
		}
		if n := testing.AllocsPerRun(200, tt.f); n != 0 {
			t.Errorf("%s: %v allocations, want 0", tt.what, n)
		}
	}
}

// TestMemoryPerIdleAccount fills a store with accounts that used three windows
// once, and weighs it.
func TestMemoryPerIdleAccount(t *testing.T) {
	if builtWithRace() {
		t.Skip("the race detector changes what things weigh")
	}
	const accounts = 100_000
	weigh := func(limits []limiter.Limit, release bool) float64 {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		s, m := memoryOf(t, 0)
		d := demandOf("", 1, limits...)
		for i := range accounts {
			d.Key = fmt.Appendf(d.Key[:0], "account-%012d", i) // 20 bytes
			s.take(t, d)
			if release {
				s.release(t, string(d.Key), d.Lease)
			}
		}
		if release {
			// What guards a key goes when it is due, a minute later.
			s.clock.Advance(time.Minute)
			for i := range accounts {
				d.Key = fmt.Appendf(d.Key[:0], "account-%012d", i)
				s.take(t, d)
				s.release(t, string(d.Key), d.Lease)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if m.Len() != accounts {
			t.Fatalf("%d accounts", m.Len())
		}
		weight := float64(after.HeapAlloc-before.HeapAlloc) / accounts
		runtime.KeepAlive(m)
		return weight
	}
	windows := []limiter.Limit{limiter.PerMinute(10), limiter.PerHour(100), limiter.PerDay(1000)}
	idle := weigh(windows, false)
	if idle > 240 {
		t.Errorf("%.0f bytes for an idle account, want 200 or so", idle)
	}
	leased := weigh(append(windows, limiter.Concurrent(5)), true)
	evidence.Report(t, "limits", "Memory per idle account", [][2]string{
		{"accounts, each with a key of 20 bytes", fmt.Sprint(accounts)},
		{"bytes each, three windows used once", fmt.Sprintf("%.0f", idle)},
		{"bytes each, three windows and a lease taken and released, with the guard that goes within a minute", fmt.Sprintf("%.0f", leased)},
	})
}
