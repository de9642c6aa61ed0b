package limiter_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/keystile/keystile/limiter"
)

// BenchmarkMiddleware is a limiter with three windows, a lease and all header
// fields, behind a Guard's record.
func BenchmarkMiddleware(b *testing.B) {
	store, err := limiter.NewMemoryStore(limiter.MemoryConfig{})
	if err != nil {
		b.Fatal(err)
	}
	h := newLimiter(b, limiter.Config{Store: store, Limits: limits(limiter.PerMinute(1<<40), limiter.PerHour(1<<40), limiter.PerDay(1<<40), limiter.Concurrent(1000))}).
		Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		w, r := httptest.NewRecorder(), of("acme")
		header := w.Header()
		for b.Loop() {
			clear(header)
			h.ServeHTTP(w, r)
		}
	})
}
