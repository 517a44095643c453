package tiles

import "slices"

// Reading is what Read found, for every window of the layout. It is the caller's: reused, it costs no allocation. Asked
// for a window or a column that the layout does not have, it panics. What is not needed by every feature is worked out when
// it is asked for: until then the state and the contributions that took part must stay as they were.
type Reading struct {
	// Flags hold for everything that was read but exact windows: Late or nothing.
	Flags Flags

	counts   [windowCount]int64
	sums     []Int128 // one row per window of the layout
	distinct []cell   // one row per column, shortest window first
	first    moment
	last     moment
	// lostFrom is the shortest window that a lost correction may touch, by its place in the rows.
	lostFrom int
	lost     int64 // its second, 0 without

	query  query
	state  *State
	layout *Layout
	copied State // scratch: the state of a late reading
	// nExact is how many windows were read exactly, the shortest ones.
	nExact  int
	recent  recent
	known   hashSet
	taking  [2]current // scratch
	counted tally
	slotted []uint16 // scratch: how often each slot occurs
}

// cell is one distinct count.
type cell struct {
	n     int64
	flags Flags
}

// moment is a time and what it is worth.
type moment struct {
	at    int64
	flags Flags
}

// Count is how many contributions the window has.
func (r *Reading) Count(w Window) int64 { return r.counts[r.slot(w)] }

// Sum is the exact sum of a column of values.
func (r *Reading) Sum(w Window, column int) Int128 {
	if column >= r.layout.spec.Sums {
		panic("BUG: tiles: no such sum column in the layout")
	}
	return r.sums[r.slot(w)*r.layout.linear+column]
}

// Squares is the exact sum of the squares of a column of values that Spec.Squares names, modulo 2^128: with values up to
// 2^53 two million of the largest fit.
func (r *Reading) Squares(w Window, column int) Int128 {
	at := slices.Index(r.layout.squares, column)
	if at < 0 {
		panic("BUG: tiles: the layout keeps no squares of this column")
	}
	return r.sums[r.slot(w)*r.layout.linear+r.layout.spec.Sums+at]
}

// Exact says that a window was read over (t-W, t] to the microsecond, from the group's newest contributions.
func (r *Reading) Exact(w Window) bool { return r.slot(w) < r.nExact }

// Plain says that there is nothing to be said of any window: none is exact, and WindowFlags and SpanFlags are 0 for all.
func (r *Reading) Plain() bool { return r.Flags == 0 && r.lost == 0 && r.nExact == 0 }

// WindowFlags says what the counts and sums of a window are worth: Late unless it is exact, CorrectionMissed where a
// correction was lost.
func (r *Reading) WindowFlags(w Window) (flags Flags) {
	slot := r.slot(w)
	if slot >= r.nExact {
		flags = r.Flags
	}
	if slot >= r.lostFrom {
		flags |= CorrectionMissed
	}
	return flags
}

// Distinct is how many categories of a column the window has, and what the number is worth.
func (r *Reading) Distinct(w Window, column int) (int64, Flags) {
	if column >= r.layout.spec.Distincts {
		panic("BUG: tiles: no such distinct column in the layout")
	}
	c := r.distinct[column*len(r.layout.windows)+r.slot(w)]
	return c.n, c.flags | r.WindowFlags(w)
}

// Last is the newest contribution's time, in no matter which window, or NoTime. Like everything read, it heeds the whole
// second of the evaluation time: it may be newer than that by less than a second. With Capped it is known to the second
// only, and given as the second's beginning.
func (r *Reading) Last() (int64, Flags) { return r.last.at, r.last.flags | r.Flags }

// First is the oldest contribution's time ever, or NoTime.
func (r *Reading) First() (int64, Flags) { return r.first.at, r.first.flags | r.Flags }

// slot gives the place of a window in the rows.
func (r *Reading) slot(w Window) int {
	i := r.layout.places[w]
	if i < 0 {
		panic("BUG: tiles: no such window in the layout")
	}
	return int(i)
}

// reset makes room for a reading of a layout: whoever reads fills the rows.
func (r *Reading) reset(s *State, l *Layout) {
	r.state, r.layout = s, l
	r.Flags, r.nExact = 0, 0
	r.sums = sized(r.sums, len(l.windows)*l.linear)
	r.distinct = sized(r.distinct, len(l.windows)*l.spec.Distincts)
	r.first, r.last = moment{at: NoTime}, moment{at: NoTime}
	r.lostFrom, r.lost = len(l.windows), 0
	r.counted.done = false
}

// sized gives s with n elements, whatever they are.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
