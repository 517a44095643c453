package tiles

// Slots is how many contributions each step of a window has, the oldest first. The steps are as long as the window's hop
// and begin at its multiples, so that two entities that are read at the same time have the same ones.
type Slots [maxSteps]int64

// Slots counts a window's contributions by its steps. A late reading knows only those whose tile lies in one step.
func (r *Reading) Slots(w Window, dst *Slots) {
	*dst = Slots{}
	q, span, hop := &r.query, Span{Window: w}, w.rung().hop
	in, levels := q.stretch(span), q.ladder(r.layout)
	note := func(sec, n int64) {
		slot := (sec - in.from) / hop
		if q.sec < q.horizon {
			begin, end := levels.tile(sec)
			if slot = (begin - in.from) / hop; slot != (end-1-in.from)/hop {
				return
			}
		}
		dst[slot] += n
	}
	r.eachTile(span, func(tile []uint64) { note(int64(start(tile[0])), r.state.tileCount(tile)) })
	for _, c := range r.currents(span) {
		note(c.sec, c.sign)
	}
}

// Beside says how many of the contributions lie in steps in which another entity has more, and how many there are.
func (s *Slots) Beside(other *Slots) (beside, all int64) {
	for i, n := range s {
		all += n
		if other[i] > n {
			beside += n
		}
	}
	return beside, all
}
