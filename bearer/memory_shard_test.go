package bearer

import (
	"testing"
	"time"
)

// Two digests that begin alike are two tokens. It takes a test within the package
// to have such digests.
func TestTokensWhoseDigestsBeginAlike(t *testing.T) {
	now := time.Now()
	m := newMemory(8, now)
	var one, other digest
	other[20] = 1 // neither in its head nor in its tail
	first, second := &verified{}, &verified{}
	m.put(&one, first)
	if m.get(&other, 0) != nil {
		t.Fatal("one token is taken for the other")
	}
	m.put(&other, second)
	if m.get(&one, 0) != nil || m.get(&other, 0) != second {
		t.Fatal("the newer one is not there, or the older one is")
	}
	m.forget(first) // which is there no more
	if m.get(&other, 0) != second {
		t.Fatal("forgetting the one forgets the other")
	}
	m.forget(second)
	if m.get(&other, 0) != nil || m.shards[0].tokens.Len() != 0 || len(m.shards[0].index) != 0 {
		t.Fatal("something stays")
	}
}
