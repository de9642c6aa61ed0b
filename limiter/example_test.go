package limiter_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/limiter"
)

// exampleStore stands still at noon, so that examples print the same every day.
func exampleStore() *limiter.MemoryStore {
	store, err := limiter.NewMemoryStore(limiter.MemoryConfig{Now: func() time.Time { return noon }})
	if err != nil {
		panic(err)
	}
	return store
}

// callAs sends a request of an account on a plan, as a Guard further out would
// hand it on.
func callAs(h http.Handler, account, plan string) {
	r := httptest.NewRequest("GET", "/", nil)
	if account != "" {
		r = r.WithContext(keystile.WithPrincipal(r.Context(), &keystile.Principal{Account: account, Plan: plan}))
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(strings.TrimSpace(fmt.Sprint(w.Code, " ", w.Header().Get("RateLimit"))))
}

func Example() {
	limits, err := limiter.New(limiter.Config{
		Name:  "api",
		Store: exampleStore(),
		By:    limiter.ByAccount,
		Plans: limiter.Plans{
			"free": {Limits: []limiter.Limit{limiter.PerHour(1), limiter.PerDay(100)}},
			"pro":  {Limits: []limiter.Limit{limiter.PerHour(200)}},
		},
		DefaultPlan:  "free",
		OnStoreError: limiter.Deny,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := limits.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	callAs(h, "ada", "free")
	callAs(h, "ada", "free")
	callAs(h, "grace", "pro")
	callAs(h, "ada", "pro") // upgraded: what was used counts, and the rest is there
	// Output:
	// 200 "hour";r=0;t=3600, "day";r=99;t=86400
	// 429 "hour";r=0;t=3600, "day";r=99;t=86400
	// 200 "hour";r=199;t=3600
	// 200 "hour";r=198;t=3600
}

// A limiter that counts accounts has nobody to count outside of the Guard. It
// does not count strangers together: it says that it is in the wrong place.
func ExampleLimiter_Wrap_incorrect() {
	limits, err := limiter.New(limiter.Config{
		Name: "api", Store: exampleStore(), By: limiter.ByAccount, OnStoreError: limiter.Deny,
		Limits: []limiter.Limit{limiter.PerHour(10)}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	guardFurtherIn := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	callAs(limits.Wrap(guardFurtherIn), "", "")

	_, err = limits.Take(httptest.NewRequest("GET", "/", nil))
	fmt.Println(err)
	// Output:
	// 500
	// keystile: internal: limiter: no principal to count by; put a Guard further out, or count anonymous requests with ByAccountOr(ByIP)
}
