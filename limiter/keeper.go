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

// keeperShard is a list of the decisions that hold a lease. The links are part
// of the Decision, so that holding one allocates nothing.
type keeperShard struct {
	mu   sync.Mutex
	head *Decision
	_    [48]byte // a cache line of its own
}

func (k *keeper) shard(d *Decision) *keeperShard {
	return &k.shards[d.demand.Lease[len(d.demand.Lease)-1]%keeperShards]
}

// renewEvery is a third of a lease's life: two renewals may fail before it ends.
func (k *keeper) renewEvery() time.Duration { return k.ttl / 3 }

func (k *keeper) add(d *Decision) {
	s := k.shard(d)
	s.mu.Lock()
	d.kept, d.next = true, s.head
	if s.head != nil {
		s.head.prev = d
	}
	s.head = d
	s.mu.Unlock()
	k.arm()
}

func (k *keeper) remove(d *Decision) {
	s := k.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !d.kept {
		return
	}
	if d.prev != nil {
		d.prev.next = d.next
	} else {
		s.head = d.next
	}
	if d.next != nil {
		d.next.prev = d.prev
	}
	d.kept, d.prev, d.next = false, nil, nil
}

func (k *keeper) arm() {
	if !k.armed.Load() && k.armed.CompareAndSwap(false, true) {
		time.AfterFunc(k.renewEvery(), k.tick)
	}
}

// tick renews all that is held, and runs again while anything is. The next tick
// does not wait for the renewals of this one.
func (k *keeper) tick() {
	k.armed.Store(false)
	var kept []*Decision
	for i := range k.shards {
		kept = k.shards[i].appendAll(kept)
	}
	if len(kept) == 0 {
		return
	}
	k.arm()
	for _, d := range kept {
		if !d.renewing.CompareAndSwap(false, true) {
			continue // the last renewal is still on its way
		}
		if _, local := d.store.(*MemoryStore); local {
			k.renew(d)
			continue
		}
		// Each by itself, so that none waits for one that hangs: there are no more
		// of these goroutines than of those that run the handlers.
		go k.renew(d)
	}
}

// renew reads of d only what never changes once it holds a lease.
func (k *keeper) renew(d *Decision) {
	defer func() {
		if r := recover(); r != nil {
			d.limiter.logger().Error("limiter: the store panicked when a lease was renewed", "limiter", d.limiter.config.Name, "panic", r)
		}
		d.renewing.Store(false)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), k.renewEvery())
	defer cancel()
	// A lease that is lost stays lost: its request goes on, as it would have had
	// the clock taken its slot.
	_, _ = d.store.Renew(ctx, d.demand.Key, d.demand.Lease, k.ttl)
}

func (s *keeperShard) appendAll(kept []*Decision) []*Decision {
	s.mu.Lock()
	defer s.mu.Unlock()
	for d := s.head; d != nil; d = d.next {
		kept = append(kept, d)
	}
	return kept
}
