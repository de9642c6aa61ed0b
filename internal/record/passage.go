package record

import "sync"

// Passage is the way from a middleware of net/http to the handlers of a
// framework, which uses the context of a request again for others once it has
// returned. A middleware such as http.TimeoutHandler may return while its next
// still runs; Close then waits, so that nobody meets another's request. The zero
// value is open.
type Passage struct {
	mu     sync.Mutex
	inside sync.WaitGroup
	closed bool
	used   bool
}

// Enter reports whether next may run, and must then be followed by Leave.
func (p *Passage) Enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.used = true
	p.inside.Add(1)
	return true
}

// Leave ends what Enter began.
func (p *Passage) Leave() { p.inside.Done() }

// Close lets nobody enter any more, waits for those inside, and reports whether
// anybody ever entered.
func (p *Passage) Close() (used bool) {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.inside.Wait()
	return p.used
}
