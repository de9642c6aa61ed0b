package integration_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/limiter"
)

// Every RateLimit and RateLimit-Policy field that random plans bring about is
// read by a parser of structured fields (RFC 9651) that is not ours, says what
// the limits say, and is written again the same.
func TestFieldsAreStructured(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	refused, stacked := 0, 0
	for round := range 400 {
		name := fmt.Sprintf("seed %d, round %d", seed, round)
		store, err := limiter.NewMemoryStore(limiter.MemoryConfig{Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		var statuses []limiter.Status
		var h http.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { statuses = limiter.StatusesFrom(r.Context()) })
		layers := 1 + rng.IntN(3)
		for i := range layers {
			l, err := limiter.New(limiter.Config{
				Name: "limiter " + strconv.Itoa(i), Store: store, By: limiter.ByAccount, OnStoreError: limiter.Deny,
				Limits: randomLimits(rng), Headers: limiter.Draft10,
			})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			h = l.Wrap(h)
		}
		for range 6 {
			statuses = nil
			r := httptest.NewRequest("GET", "/", nil)
			r = r.WithContext(keystile.WithPrincipal(r.Context(), &keystile.Principal{Account: "acme"}))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			quotas, policies := parse(t, name, w.Header()["Ratelimit"]), parse(t, name, w.Header()["Ratelimit-Policy"])
			for _, item := range quotas {
				if !policies.has(item.Value.(string)) {
					t.Errorf("%s: %q has a quota and no policy", name, item.Value)
				}
			}
			if w.Code != http.StatusOK {
				refused++
			} else {
				checkQuotas(t, name, quotas, policies, statuses)
			}
			if layers > 1 {
				stacked++
			}
			now = now.Add(time.Duration(rng.Int64N(int64(time.Minute)))).Truncate(time.Microsecond)
		}
	}
	if refused < 100 || stacked < 100 {
		t.Errorf("only %d refusals and %d stacked answers", refused, stacked)
	}
}

func randomLimits(rng *rand.Rand) []limiter.Limit {
	quotas := []int64{1, 2, 5, 1000, 999_999_999_999_999, 1_000_000_000_000_000, math.MaxInt64}
	quota := func() int64 { return quotas[rng.IntN(len(quotas))] }
	limits := []limiter.Limit{
		limiter.PerSecond(quota()), limiter.PerMinute(quota()), limiter.PerHour(quota()), limiter.PerDay(quota()),
		limiter.Per(quota(), 250*time.Millisecond), limiter.Per(quota(), 90*time.Second), limiter.Per(quota(), math.MaxInt64/1000*1000),
		limiter.Concurrent(quota()), limiter.PerHour(quota()).Named(" !#$%&'()*+,-./:;<=>?@[]^_`{|}~ az"),
	}
	rng.Shuffle(len(limits), func(i, j int) { limits[i], limits[j] = limits[j], limits[i] })
	return limits[:1+rng.IntN(5)]
}

type list []httpsfv.Item

func (l list) has(name string) bool {
	for _, item := range l {
		if item.Value == name {
			return true
		}
	}
	return false
}

func parse(t *testing.T, name string, field []string) list {
	t.Helper()
	if len(field) == 0 {
		return nil
	}
	parsed, err := httpsfv.UnmarshalList(field)
	if err != nil {
		t.Fatalf("%s: %q: %v", name, field, err)
	}
	again, err := httpsfv.Marshal(parsed)
	if err != nil || len(field) != 1 || again != field[0] {
		t.Fatalf("%s: %q is written again as %q, %v", name, field, again, err)
	}
	var items list
	for _, member := range parsed {
		item, ok := member.(httpsfv.Item)
		if _, isString := item.Value.(string); !ok || !isString {
			t.Fatalf("%s: %q: %v is no String", name, field, member)
		}
		items = append(items, item)
	}
	return items
}

func integer(item httpsfv.Item, param string) (int64, error) {
	v, ok := item.Params.Get(param)
	if !ok {
		return 0, errors.New("no " + param)
	}
	n, ok := v.(int64)
	if !ok {
		return 0, fmt.Errorf("%s is %T", param, v)
	}
	return n, nil
}

func checkQuotas(t *testing.T, name string, quotas, policies list, statuses []limiter.Status) {
	t.Helper()
	const most = 999_999_999_999_999
	windows := 0
	for i, s := range statuses {
		q, err := integer(policies[i], "q")
		if err != nil || q != min(s.Quota, most) {
			t.Errorf("%s: policy %v, %v; status %+v", name, policies[i], err, s)
		}
		if s.Kind == limiter.KindConcurrent {
			continue
		}
		r, err := integer(quotas[windows], "r")
		if err != nil || r != min(s.Remaining, most) {
			t.Errorf("%s: quota %v, %v; status %+v", name, quotas[windows], err, s)
		}
		if w, err := integer(policies[i], "w"); (err == nil) != (s.Window >= time.Second) || err == nil && w != int64(s.Window/time.Second) {
			t.Errorf("%s: policy %v, window %v", name, policies[i], s.Window)
		}
		windows++
	}
	if windows != len(quotas) || len(statuses) != len(policies) {
		t.Errorf("%s: %d quotas for %d windows, %d policies for %d limits", name, len(quotas), windows, len(policies), len(statuses))
	}
}
