package basicauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/keystile/keystile"
)

// Throttles slow down the guessing of passwords (NIST SP 800-63B section 3.2.2).
// A client network is an IPv4 address, or the /64 of an IPv6 one. An attempt that
// must wait is answered with 429 and a Retry-After before anything is hashed, and
// is charged to nobody.
//
// Three counts stand beside each other, because none alone both stops the guesser
// and leaves the owner in peace:
//
//   - Pair counts the failures of one user from one network. It is strict, and a
//     success there resets it. Nobody else is hit by it: who is locked out here
//     gets in from another address.
//   - Network counts the failures from one network under whatever names, against
//     trying one password with many users. Many people may share a network, so
//     it has more patience, short waits and quick forgetting, and no success
//     resets it, or one account of one's own would.
//   - User counts the failures of one user from networks from which that user has
//     not come lately, all together: against a guesser with many addresses. No
//     success resets it, or an active owner would hand each guesser a new start.
//
// A network from which the user has logged in within the last 30 days, as far as
// this process remembers, waits for neither Network nor User. So guessers
// elsewhere never lock out an owner who comes from a known place, and one from a
// new place is slowed down only while a User count is beyond its Free failures,
// which takes guessers on several networks.
//
// What the defaults let through: from one network at one user 6 guesses at once, 40
// within a day, 100 within four, then one a day. From one network at all users
// together 51 at once, then two a minute. From everywhere together at one user 51
// at once, 86 within a day, then 24 a day. There is no point at which a user is
// closed altogether: anybody could bring that about for anybody else.
type Throttles struct {
	// Pair counts per user and network. Default: a MemoryThrottle with its
	// defaults.
	Pair keystile.Throttle
	// Network counts per network. Default: a MemoryThrottle with 50 free
	// failures, waits of up to a minute, one failure forgotten every 30 s.
	Network keystile.Throttle
	// User counts per user, from networks that are new. Default: a
	// MemoryThrottle with 50 free failures, one forgotten every hour.
	User keystile.Throttle
}

func (t Throttles) withDefaults(now func() time.Time) Throttles {
	for _, d := range [...]struct {
		throttle *keystile.Throttle
		config   ThrottleConfig
	}{
		{&t.Pair, ThrottleConfig{}},
		{&t.Network, ThrottleConfig{Free: 50, Max: time.Minute, Forget: 30 * time.Second}},
		{&t.User, ThrottleConfig{Free: 50, Forget: time.Hour}},
	} {
		if *d.throttle == nil {
			d.config.Now = now
			memory, _ := NewMemoryThrottle(d.config) // these have no mistakes
			*d.throttle = memory
		}
	}
	return t
}

// stamp is an instant in nanoseconds since the Authenticator was made, by the
// monotonic clock where there is one.
type stamp int64

// brake applies Throttles.
type brake struct {
	Throttles
	mu    sync.Mutex
	known *simplelru.LRU[string, *acquaintance] // by the Pair key
}

// acquaintance is a network from which a user has logged in.
type acquaintance struct {
	network netip.Addr
	host    string       // one of it, as origin.host
	closed  atomic.Int64 // the stamp until which the pair has to wait, as far as is known
	last    atomic.Int64 // the stamp of the last success
}

const acquaintedFor = stamp(30 * 24 * time.Hour)

func newBrake(t Throttles, size int) *brake {
	forget := func(_ string, q *acquaintance) { q.closed.Store(math.MaxInt64) } // whoever still has it asks anew
	known, _ := simplelru.NewLRU(size, forget)                                  // fails for no other size than 0
	return &brake{Throttles: t, known: known}
}

// acquaint returns the acquaintance of a's user and network. There is one of each:
// when it is closed, it is closed for all who have it.
func (b *brake) acquaint(a *attempt) *acquaintance {
	b.mu.Lock()
	defer b.mu.Unlock()
	q, ok := b.known.Get(a.keys.pair)
	if !ok {
		q = &acquaintance{network: a.network, host: a.from.host}
		b.known.Add(a.keys.pair, q)
	}
	return q
}

// attempt is one attempt to log in.
type attempt struct {
	brake   *brake
	from    origin
	network netip.Addr
	keys    struct{ pair, network, user string }
	known   *acquaintance // nil: the user is new there
}

// attempt begins one under a user's own name, or under the one that was sent
// where that is nobody's. Names go into the keys as digests: people type passwords
// where names belong, and a shared Throttle writes its keys down.
func (b *brake) attempt(name string, from origin, now stamp) *attempt {
	a := &attempt{brake: b, from: from, network: from.network()}
	network := a.network.String()
	a.keys.pair = throttleName("pair", name, network)
	a.keys.network = "basicauth:network:" + network
	a.keys.user = throttleName("user", name)
	b.mu.Lock()
	known, _ := b.known.Get(a.keys.pair)
	b.mu.Unlock()
	if known != nil && now-stamp(known.last.Load()) < acquaintedFor {
		a.known = known
	}
	return a
}

func throttleName(count string, parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(p), p) // never fails
	}
	return "basicauth:" + count + ":" + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

var errThrottled = errors.New("basicauth: too many failed logins; the attempt was not judged")

// check returns nil, or the error to answer with where the attempt has to wait.
func (a *attempt) check(ctx context.Context, now stamp) error {
	wait, err := a.brake.Pair.Check(ctx, a.keys.pair)
	if a.known != nil {
		if err == nil && wait > 0 {
			a.known.closed.Store(int64(now + stamp(wait)))
		}
	} else if err == nil {
		var network, user time.Duration
		network, err = a.brake.Network.Check(ctx, a.keys.network)
		if err == nil {
			user, err = a.brake.User.Check(ctx, a.keys.user)
		}
		wait = max(wait, network, user)
	}
	switch {
	case err != nil:
		return keystile.Unavailable(fmt.Errorf("basicauth: asking a Throttle: %w", err))
	case wait > 0:
		return &keystile.Error{Code: keystile.CodeRateLimited, Scheme: keystile.SchemeBasic, RetryAfter: wait, Err: errThrottled}
	}
	return nil
}

// chargeTimeout is how long a Throttle may take to count.
const chargeTimeout = time.Second

// failed counts the attempt. A client that hangs up is charged all the same.
func (a *attempt) failed(ctx context.Context, now stamp) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), chargeTimeout)
	defer cancel()
	err := errors.Join(a.brake.Pair.Fail(ctx, a.keys.pair), a.brake.Network.Fail(ctx, a.keys.network))
	if a.known == nil {
		err = errors.Join(err, a.brake.User.Fail(ctx, a.keys.user))
	} else if wait, e := a.brake.Pair.Check(ctx, a.keys.pair); e == nil && wait > 0 {
		a.known.closed.Store(int64(now + stamp(wait)))
	}
	if err != nil {
		return keystile.Unavailable(fmt.Errorf("basicauth: telling a Throttle of a failure: %w", err))
	}
	return nil
}

// succeeded notes that the user has logged in from this network, and returns the
// error of a Throttle, which is no reason to refuse anybody.
func (a *attempt) succeeded(ctx context.Context, now stamp) error {
	if a.known == nil {
		a.known = a.brake.acquaint(a)
	}
	a.known.last.Store(int64(now))
	a.known.closed.Store(0)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), chargeTimeout)
	defer cancel()
	return a.brake.Pair.Reset(ctx, a.keys.pair)
}

// open reports whether the pair need not wait: nobody is guessing there.
func (q *acquaintance) open(now stamp) bool { return int64(now) >= q.closed.Load() }
