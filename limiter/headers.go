package limiter

import (
	"net/http"
	"strconv"
	"time"
)

// Headers chooses the header fields in which clients read their quota. Values
// combine with |. Fields show the state after the request was charged.
type Headers uint8

const (
	// Legacy writes X-RateLimit-Limit, -Remaining and -Reset about one limit,
	// the binding one: the refused one with the longest wait; else that of
	// Config.HeaderLimit; else the window with the smallest remaining quota.
	// Reset is in Unix seconds.
	Legacy Headers = 1 << iota
	// LegacySeconds is Legacy with Reset in seconds from now.
	LegacySeconds
	// Draft10 writes RateLimit-Policy and RateLimit about all limits, as
	// draft-ietf-httpapi-ratelimit-headers-10 says. Later drafts change names;
	// they will be values of their own.
	Draft10
	// Off writes no fields but Retry-After on a refusal.
	Off

	// LegacyAndDraft10 is what most clients can read.
	LegacyAndDraft10 = Legacy | Draft10
)

func (h Headers) mistake() string {
	switch {
	case h&^(Legacy|LegacySeconds|Draft10|Off) != 0:
		return "has an unknown bit; combine Legacy or LegacySeconds with Draft10, or use Off"
	case h&Off != 0 && h != Off:
		return "combines Off with others; use it alone"
	case h&Legacy != 0 && h&LegacySeconds != 0:
		return "combines Legacy and LegacySeconds, which write the same field; choose one"
	}
	return ""
}

// The names as net/http keeps them.
const (
	fieldLimit     = "X-Ratelimit-Limit"
	fieldRemaining = "X-Ratelimit-Remaining"
	fieldReset     = "X-Ratelimit-Reset"
	fieldQuotas    = "Ratelimit"
	fieldPolicy    = "Ratelimit-Policy"

	headerValues = 5 // as many as there are names
)

// maxHeaderInt is the largest integer of RFC 9651 section 3.3.1.
const maxHeaderInt = 999_999_999_999_999

func headerInt(n int64) int64 { return min(n, maxHeaderInt) }

// shown is how many stacked limiters one answer can speak of.
const shown = 8

// stack returns the decisions that the fields of this answer speak of, the
// outermost first.
func (d *Decision) stack(room *[shown]*Decision) []*Decision {
	n := len(room)
	for o := d; o != nil && n > 0; o = o.outer {
		if o.visible() {
			n--
			room[n] = o
		}
	}
	return room[n:]
}

// visible reports whether clients are told of d.
func (d *Decision) visible() bool {
	return d.decided && !d.limiter.config.Shadow && d.limiter.config.Headers != Off
}

// writeHeaders writes the fields of all limiters that the request has met so
// far, merged into one list each. All numbers become one string.
func (d *Decision) writeHeaders(h http.Header) {
	var room [shown]*Decision
	stack := d.stack(&room)
	var buf [256]byte
	b := buf[:0]

	top, at := bindingOf(stack)
	var remaining, reset, quotas, policy int // where each value ends in b
	if top != nil {
		o := top.outlook(at)
		b = strconv.AppendInt(b, headerInt(o.Remaining), 10)
		remaining = len(b)
		b = strconv.AppendInt(b, top.resetSeconds(o), 10)
		reset = len(b)
	}
	b = appendQuotas(b, stack)
	quotas = len(b)
	fixed := len(stack) == 1 && !stack[0].degraded
	if !fixed {
		b = appendPolicies(b, stack)
	}
	policy = len(b)

	text := string(b)
	if top != nil {
		quota := top.plan.quotas[at]
		if n := top.demand.Asks[at].N; n != top.plan.limits[at].n {
			quota = strconv.FormatInt(headerInt(n), 10) // a share, while the store fails
		}
		d.set(h, 0, fieldLimit, quota)
		d.set(h, 1, fieldRemaining, text[:remaining])
		d.set(h, 2, fieldReset, text[remaining:reset])
	}
	if quotas > reset {
		d.set(h, 3, fieldQuotas, text[reset:quotas])
	}
	switch {
	case policy > quotas:
		d.set(h, 4, fieldPolicy, text[quotas:policy])
	case fixed && stack[0].limiter.config.Headers&Draft10 != 0 && stack[0].plan.policy != "":
		d.set(h, 4, fieldPolicy, stack[0].plan.policy)
	}
	if d.limiter.config.HouseHeaders != nil {
		d.limiter.config.HouseHeaders(h, d.statuses(nil))
	}
}

// set gives h one value out of d's own room.
func (d *Decision) set(h http.Header, i int, field, value string) {
	d.values[i] = value
	h[field] = d.values[i : i+1 : i+1]
}

// bindingOf returns the limit that the Legacy fields show; nil where they show
// none.
func bindingOf(stack []*Decision) (d *Decision, limit int) {
	const legacy = Legacy | LegacySeconds
	for i := len(stack) - 1; i >= 0; i-- { // the innermost alone can have refused
		if s := stack[i]; !s.admitted && s.limiter.config.Headers&legacy != 0 {
			return s, s.binding()
		}
	}
	for i := len(stack) - 1; i >= 0; i-- {
		s := stack[i]
		if s.limiter.config.HeaderLimit == "" || s.limiter.config.Headers&legacy == 0 {
			continue
		}
		for j := range s.plan.limits {
			if s.plan.limits[j].name == s.limiter.config.HeaderLimit && s.plan.limits[j].kind != KindConcurrent {
				return s, j
			}
		}
	}
	var least Outlook
	for _, s := range stack {
		if s.limiter.config.Headers&legacy == 0 {
			continue
		}
		for j := range s.plan.limits {
			if s.plan.limits[j].kind == KindConcurrent {
				continue
			}
			o := s.outlook(j)
			if d == nil || o.Remaining < least.Remaining || o.Remaining == least.Remaining && o.Reset > least.Reset {
				d, limit, least = s, j, o
			}
		}
	}
	return d, limit
}

// binding returns the limit that refused with the longest wait; one that can
// never admit the cost comes before all others, a window before a Concurrent.
func (d *Decision) binding() int {
	best, longest := 0, int64(-1)
	for i := range d.demand.Asks {
		switch d.demand.Asks[i].Verdict {
		case NeverFits:
			return i
		case Full:
			if wait := d.demand.Outlook(i).Wait; wait > longest {
				best, longest = i, wait
			}
		}
	}
	return best
}

// outlook is what a client may be told about limit i, with what was refunded.
func (d *Decision) outlook(i int) Outlook {
	l, a := &d.plan.limits[i], &d.demand.Asks[i]
	o := a.outlook(l.kind, l.period, d.demand.At)
	if l.kind == KindConcurrent {
		// A hint of a second: nobody knows.
		o.Reset = after(d.demand.At, time.Second.Microseconds())
		return o
	}
	if d.refunded.Load() {
		o.Remaining = min(o.Remaining, a.N-d.demand.Cost) + d.demand.Cost
	}
	o.Reset = max(o.Reset, d.demand.At)
	return o
}

// secondsUp rounds microseconds up to seconds.
func secondsUp(us int64) int64 {
	const second = int64(time.Second / time.Microsecond)
	return us/second + min(us%second, 1)
}

// resetSeconds is o.Reset as the Legacy fields of d say it.
func (d *Decision) resetSeconds(o Outlook) int64 {
	if d.limiter.config.Headers&LegacySeconds != 0 {
		return headerInt(secondsUp(o.Reset - d.demand.At))
	}
	return headerInt(secondsUp(o.Reset))
}

// qualifier returns what stands before the name of limit i: the name of its
// limiter where a limiter further out has a limit of the same name, else nothing.
func (d *Decision) qualifier(i int) string {
	for o := d.outer; o != nil; o = o.outer {
		if !o.visible() {
			continue
		}
		for j := range o.plan.limits {
			if o.plan.limits[j].name == d.plan.limits[i].name {
				return d.limiter.config.Name + "."
			}
		}
	}
	return ""
}

// appendQuotas appends the members of RateLimit: windows always, a Concurrent
// only where it refused, since an admitted request holds a slot itself.
func appendQuotas(b []byte, stack []*Decision) []byte {
	start := len(b)
	for _, d := range stack {
		if d.limiter.config.Headers&Draft10 == 0 {
			continue
		}
		for i := range d.plan.limits {
			l := &d.plan.limits[i]
			if l.kind == KindConcurrent && d.demand.Asks[i].Verdict == Fits {
				continue
			}
			if len(b) > start {
				b = append(b, ", "...)
			}
			b = append(b, '"')
			o := d.outlook(i)
			b = append(append(b, d.qualifier(i)...), l.name...)
			b = strconv.AppendInt(append(b, `";r=`...), headerInt(o.Remaining), 10)
			if l.kind != KindConcurrent {
				b = strconv.AppendInt(append(b, ";t="...), headerInt(secondsUp(o.Reset-d.demand.At)), 10)
			}
		}
	}
	return b
}

func appendPolicies(b []byte, stack []*Decision) []byte {
	start := len(b)
	for _, d := range stack {
		if d.limiter.config.Headers&Draft10 == 0 {
			continue
		}
		for i, l := range d.plan.limits {
			if len(b) > start {
				b = append(b, ", "...)
			}
			b = appendPolicy(b, d.qualifier(i), l, d.demand.Asks[i].N)
		}
	}
	return b
}

// appendPolicy appends one member of RateLimit-Policy. A window shorter than a
// second has no w, which is in whole seconds.
func appendPolicy(b []byte, qualifier string, l Limit, n int64) []byte {
	b = append(append(append(b, '"'), qualifier...), l.name...)
	b = strconv.AppendInt(append(b, `";q=`...), headerInt(n), 10)
	if l.kind == KindConcurrent {
		return append(b, `;qu="concurrent-requests"`...)
	}
	if w := l.period / time.Second.Microseconds(); w > 0 {
		b = strconv.AppendInt(append(b, ";w="...), headerInt(w), 10)
	}
	return b
}
