// Package limiter decides whether a caller may go ahead now: so many requests
// per hour and per day, so many at once, by plan.
//
// # Quick start
//
//	store, err := limiter.NewMemoryStore(limiter.MemoryConfig{})
//	limits, err := limiter.New(limiter.Config{
//		Name:  "api",
//		Store: store,
//		By:    limiter.ByAccount,
//		Plans: limiter.Plans{
//			"free": {Limits: []limiter.Limit{limiter.PerHour(10), limiter.PerDay(100), limiter.Concurrent(1)}},
//			"pro":  {Limits: []limiter.Limit{limiter.PerHour(200), limiter.Concurrent(10)}},
//		},
//		DefaultPlan:  "free",
//		OnStoreError: limiter.Deny,
//	})
//	handler := keystile.Chain(guard.Wrap, limits.Wrap)(mux)
//
// All limits of a plan are decided in one atomic step: all admit and all are
// charged, or none is. A refused request is charged nothing, so a client that
// keeps asking is admitted as soon as one that waited.
//
// # What "N per hour" means
//
// The window opens with the first charged request and is over an hour later, so
// each caller has windows of its own, and remaining, reset and waiting time are
// exact. At most N requests pass in one window; in an hour that straddles two,
// up to 2N-1 can. See Per.
//
// # Rules of coexistence
//
//   - Put a Limiter inside the Guard whose principal it counts. A request without
//     the account it counts by is answered with 500, not counted as "anonymous".
//   - Put a limiter that counts ByIP outside the Guard, so that strangers' bad
//     credentials meet it; they never drain the quota of an account.
//   - Several limiters may share a store if their names differ. Stacked around
//     one request, their header fields are merged, and what the outer ones
//     charged is refunded when an inner one refuses.
//   - Put http.TimeoutHandler outside: it returns while the handler still runs,
//     and inside a Limiter it would free the handler's slot too early.
//   - Behind a proxy put keystile.ClientIP outermost, else ByIP counts the proxy.
//
// # A trap
//
// One machine's memory is not another's: with NewMemoryStore behind a load
// balancer, n machines admit n times the limit. Share a store, or divide the
// limits.
package limiter
