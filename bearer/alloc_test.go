package bearer_test

import (
	"testing"

	"github.com/keystile/keystile/bearer"
)

// A remembered token costs the record and the copy of the request, as a cached API
// key does, whatever it was signed with.
func TestARememberedTokenCostsTwoAllocations(t *testing.T) {
	for _, s := range signings() {
		h := newGuard(t, newAuthenticator(t, bearer.Config{Issuers: []bearer.Issuer{s.issuer()}})).Wrap(served)
		c, field := newCaller(), s.tokens(1)[0]
		if n := testing.AllocsPerRun(500, func() { c.call(h, field) }); n > 2 || c.w.status != 0 {
			t.Errorf("%s: %v allocations, want 2; status %d", s.alg, n, c.w.status)
		}
	}
}
