package limiter_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/keystile/keystile/limiter"
)

// cellar is a storage with compare-and-swap: here a map, elsewhere a table with a
// column of bytes and one of expiry, or a key-value server.
type cellar struct {
	mu   sync.Mutex
	jars map[string]jar
}

type jar struct {
	blob []byte
	best time.Time // before
}

func (c *cellar) Load(_ context.Context, key string) ([]byte, time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now() // a server would tell its own
	if j, ok := c.jars[key]; ok && now.Before(j.best) {
		return bytes.Clone(j.blob), now, nil
	}
	delete(c.jars, key)
	return nil, now, nil
}

func (c *cellar) Swap(_ context.Context, key string, old, new []byte, ttl time.Duration) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if j, ok := c.jars[key]; ok != (old != nil) || !bytes.Equal(j.blob, old) {
		return false, nil
	}
	if new == nil {
		delete(c.jars, key)
	} else {
		c.jars[key] = jar{bytes.Clone(new), time.Now().Add(ttl)}
	}
	return true, nil
}

// A storage of your own becomes a Store with two methods.
func ExampleFromCAS() {
	store, err := limiter.FromCAS(&cellar{jars: map[string]jar{}}, limiter.CASConfig{})
	if err != nil {
		panic(err)
	}
	for range 3 {
		d := limiter.Demand{Key: []byte("acme"), Cost: 1, Asks: []limiter.Ask{limiter.PerHour(2).Ask(), limiter.PerDay(100).Ask()}}
		if err := store.Take(context.Background(), &d); err != nil {
			panic(err)
		}
		fmt.Println(d.Admitted, d.Outlook(0).Remaining, d.Outlook(1).Remaining)
	}
	// Output:
	// true 1 99
	// true 0 98
	// false 0 98
}
