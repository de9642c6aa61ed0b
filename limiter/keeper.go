package limiter

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// keeper renews the leases of handlers that run long. It has no goroutine of its
// own: one timer runs while leases are held, and ends with the last of them.
type keeper struct {
	ttl    time.Duration
	armed  atomic.Bool
	shards [keeperShards]keeperShard
}

// keeperShards keeps requests on many processors out of each other's way.
const keeperShards = 16

type keeperShard struct {
	mu   sync.Mutex
	head *held
	_    [48]byte // a cache line of its own
}

// held is a lease in the list of its shard. It is part of the Decision, so that
// holding one allocates nothing.
type held struct {
	prev, next *held
	tenure
	in bool
}

// tenure is what it takes to renew a lease.
type tenure struct {
	store Store
	key   []byte
	id    LeaseID
}

func (k *keeper) shard(id LeaseID) *keeperShard {
	return &k.shards[id[len(id)-1]%keeperShards]
}

// renewEvery is a third of a lease's life: two renewals may fail before it ends.
func (k *keeper) renewEvery() time.Duration { return k.ttl / 3 }

func (k *keeper) add(h *held) {
	s := k.shard(h.id)
	s.mu.Lock()
	h.in, h.next = true, s.head
	if s.head != nil {
		s.head.prev = h
	}
	s.head = h
	s.mu.Unlock()
	k.arm()
}

func (k *keeper) remove(h *held) {
	s := k.shard(h.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !h.in {
		return
	}
	if h.prev != nil {
		h.prev.next = h.next
	} else {
		s.head = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	}
	h.in, h.prev, h.next = false, nil, nil
}

func (k *keeper) arm() {
	if !k.armed.Load() && k.armed.CompareAndSwap(false, true) {
		time.AfterFunc(k.renewEvery(), k.tick)
	}
}

// tick renews all that is held, and runs again while anything is.
func (k *keeper) tick() {
	var wg sync.WaitGroup
	for i := range k.shards {
		if slots := k.shards[i].slots(); len(slots) > 0 {
			wg.Go(func() { k.renew(slots) })
		}
	}
	wg.Wait()
	k.armed.Store(false)
	for i := range k.shards {
		if k.shards[i].holds() {
			k.arm()
			return
		}
	}
}

// renewTimeout bounds one renewal, so that a store that hangs does not cost the
// leases behind it their lives.
const renewTimeout = 2 * time.Second

func (k *keeper) renew(slots []tenure) {
	for _, l := range slots {
		ctx, cancel := context.WithTimeout(context.Background(), renewTimeout)
		// A lease that is lost stays lost: its request goes on, as it would have
		// had the clock taken its slot.
		_, _ = l.store.Renew(ctx, l.key, l.id, k.ttl)
		cancel()
	}
}

func (s *keeperShard) slots() (all []tenure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := s.head; h != nil; h = h.next {
		all = append(all, h.tenure)
	}
	return all
}

func (s *keeperShard) holds() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head != nil
}
