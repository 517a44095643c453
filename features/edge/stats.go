package edge

import "sync/atomic"

// Stats are figures for metrics, counted since the edge was made.
type Stats struct {
	// Refused counts events that were refused, for whatever reason; TooOld and InFuture those of them that had happened
	// longer before they were received than PastBound, or later than FutureBound after it.
	Refused, TooOld, InFuture uint64
	// Unknown counts fields that this build does not know, by their paths.
	Unknown []UnknownStats
}

type counters struct {
	refused, tooOld, inFuture atomic.Uint64
}

func (c *counters) count(err *Error) {
	c.refused.Add(1)
	switch err.Reason {
	case TooOld:
		c.tooOld.Add(1)
	case InFuture:
		c.inFuture.Add(1)
	default: // what is wrong with others, their producers are told
	}
}

// Stats reads the figures.
func (e *Edge) Stats() Stats {
	return Stats{Refused: e.stats.refused.Load(), TooOld: e.stats.tooOld.Load(), InFuture: e.stats.inFuture.Load(), Unknown: e.unknown.list()}
}
