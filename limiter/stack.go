package limiter

import (
	"net/http"
	"reflect"

	"github.com/keystile/keystile/internal/record"
)

// Limiters may stand around one request in any number. Each opens a charge on
// the request's record while the handlers below run, so that those further in
// find it. A sub-request of a batch has the same record and writes another
// answer; it is told apart by the header map that it writes to.

// outerOf returns the nearest decision further out about the same answer, and
// the charge that is open now, whosever it is.
func outerOf(r *http.Request, header http.Header) (*Decision, *record.Charge) {
	if header == nil {
		return nil, nil
	}
	for rec := record.From(r.Context()); rec != nil; rec = rec.Parent() {
		c := rec.Charges.Load()
		if c == nil {
			continue
		}
		if outer, ok := c.Of.(*Decision); ok && sameMap(outer.header, header) {
			return outer, c
		}
		return nil, c
	}
	return nil, nil
}

// open shows d to the limiters further in. Where the record is another answer's,
// or a handler dispatches several sub-requests at once, d opens a record of its
// own.
func (d *Decision) open(r *http.Request) *http.Request {
	d.record = record.From(r.Context())
	d.above = d.record.Charges.Load()
	if foreign(d.above, d.header) || !d.record.Charges.CompareAndSwap(d.above, &d.charge) {
		d.record, d.above = record.Begin(r.Context()), nil
		d.record.Charges.Store(&d.charge)
		r = r.WithContext(d.record)
	}
	return r
}

func (d *Decision) close() { d.record.Charges.CompareAndSwap(&d.charge, d.above) }

// foreign reports whether c is about another answer than that with header.
func foreign(c *record.Charge, header http.Header) bool {
	if c == nil {
		return false
	}
	of, ok := c.Of.(*Decision)
	return !ok || !sameMap(of.header, header)
}

// sameMap reports whether a and b are one map. Maps cannot be compared with ==.
func sameMap(a, b http.Header) bool {
	return a != nil && reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}
