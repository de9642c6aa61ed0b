package limiter

// Outlook is what a client may be told about one limit after a decision.
// Instants and waits are microseconds.
type Outlook struct {
	// Remaining is how many units, or slots, are left; never negative.
	Remaining int64
	// Reset is the instant at which the open window ends and all units are back.
	// 0: no window is open, all are there; or the limit is no window.
	Reset int64
	// Wait is how long after Demand.At the same cost would fit, if nobody else is
	// charged: not a microsecond before. 0 where waiting is not needed, where it
	// will not help, and for Concurrent, where nobody can tell.
	Wait int64
}

// Outlook turns the raw state of Asks[i] into the terms of a client. It is the
// same computation for every store.
func (d *Demand) Outlook(i int) Outlook {
	a := &d.Asks[i]
	kind := a.Cell.Kind()
	period := int64(0)
	if kind == KindWindow {
		period = a.Cell.period()
	}
	return a.outlook(kind, period, d.At)
}

// outlook is Outlook for those who know the limit and need not ask the cell.
func (a *Ask) outlook(kind Kind, period, at int64) Outlook {
	if kind == KindConcurrent {
		return Outlook{Remaining: max(a.N-a.Live, 0)}
	}
	o := Outlook{Remaining: max(a.N-a.Used, 0)}
	if a.Start != 0 {
		o.Reset = after(a.Start, period)
	}
	if a.Verdict == Full {
		o.Wait = o.Reset - at
	}
	return o
}

// Wait returns the longest wait of the windows that refused, in microseconds:
// what Retry-After must cover. 0 where no window refused, or one of the asks
// never fits.
func (d *Demand) Wait() int64 {
	wait := int64(0)
	for i := range d.Asks {
		if d.Asks[i].Verdict == NeverFits {
			return 0
		}
		wait = max(wait, d.Outlook(i).Wait)
	}
	return wait
}
