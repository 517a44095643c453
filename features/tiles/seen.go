package tiles

import "math/bits"

// seen remembers at which seconds something happened: each of the 64 up to the last, and the newest one before those.
// That is enough to say when it last happened before any second of the grace, and it is a function of the set of
// seconds, whatever their order.
type seen struct {
	mask uint64 // bit i: it happened i seconds before last; bit 0 is always set
	last uint32 // 0 is never
	base uint32 // the newest second that the mask no longer reaches, 0 without
}

const maskSeconds = 64

// add notes a second.
func (e *seen) add(sec uint32) {
	if e.last == 0 {
		*e = seen{mask: 1, last: sec}
		return
	}
	if sec <= e.last {
		if d := e.last - sec; d < maskSeconds {
			e.mask |= 1 << d
		} else {
			e.base = max(e.base, sec)
		}
		return
	}
	d := sec - e.last
	if d >= maskSeconds {
		*e = seen{mask: 1, last: sec, base: e.last}
		return
	}
	if out := e.mask >> (maskSeconds - d); out != 0 {
		e.base = e.last - (maskSeconds - d) - uint32(bits.TrailingZeros64(out))
	}
	e.mask, e.last = e.mask<<d|1, sec
}

// newest gives the newest known second that is not after sec, or 0.
func (e *seen) newest(sec int64) uint32 {
	if int64(e.last) <= sec {
		return e.last
	}
	if sec < 0 {
		return 0
	}
	if d := e.last - uint32(sec); d < maskSeconds {
		if m := e.mask >> d; m != 0 {
			return uint32(sec) - uint32(bits.TrailingZeros64(m))
		}
	}
	if int64(e.base) <= sec {
		return e.base
	}
	return 0
}

// newestAt is newest for an evaluation at second sec, when the horizon lies in second horizon. What is older than the
// horizon is known by its newest second alone: keep, which forgets the others, may have run or not.
func (e *seen) newestAt(sec, horizon int64) uint32 {
	if int64(e.last) <= sec || sec >= horizon {
		return e.newest(sec)
	}
	if b := e.newest(horizon - 1); int64(b) <= sec {
		return b
	}
	return 0
}

// keep forgets what is older than the horizon but for its newest second, and that too where it is older than oldest, which
// is not after the horizon. It says whether anything is left.
func (e *seen) keep(horizon, oldest int64) bool {
	if int64(e.last) < oldest {
		return false
	}
	if int64(e.base) >= horizon {
		return true // last lies so far ahead that base may still be asked for
	}
	b := e.newest(horizon - 1)
	e.since(horizon)
	e.base = 0
	if b != 0 && int64(b) >= oldest {
		if d := e.last - b; d < maskSeconds {
			e.mask |= 1 << d
		} else {
			e.base = b
		}
	}
	return true
}

// since forgets every second before sec, but for last.
func (e *seen) since(sec int64) {
	if int64(e.base) < sec {
		e.base = 0
	}
	switch d := int64(e.last) - sec; {
	case d < 0:
		e.mask = 1
	case d < maskSeconds-1:
		e.mask &= 1<<(d+1) - 1
	}
}
