package tiles

import (
	"math/bits"
	"sort"
)

// A day's hours are those of UTC. Contributions are counted by the hour, in the slab of tables, as those of one slot
// whose tiles are hours (counts.go): so an hour that everything was taken back of is quiet again, at any age.

const (
	hourSeconds = 3600
	dayHours    = 24
	// dayWindows are those that days can be told apart in, and maxDays is how many of them the longest touches.
	dayWindows = WindowSet(1<<W7d | 1<<W30d)
	maxDays    = 32
	// maxRests bounds the pauses in it: each has an hour before the next.
	maxRests = maxDays*dayHours/2 + 1
)

// hourLevels gives the levels of the hours' counts: as far back as the longest of some windows.
func hourLevels(windows WindowSet) []level {
	list := windows.List()
	longest := list[len(list)-1].rung()
	return []level{{length: 0, hop: 1, grid: 1}, {length: longest.length, hop: hourSeconds, grid: longest.hop}}
}

// hours are those of a window in which there is a contribution, from the midnight before it on.
type hours struct {
	days [maxDays]uint32 // a bit for each hour of the day
	// from is the window's first hour, now that of the evaluation time.
	from, now int
}

// hours reads the hours of a window.
func (r *Reading) hours(w Window) (h hours) {
	l, q := r.layout, &r.query
	if !l.spec.Hours.Has(w) {
		panic("BUG: tiles: the hours of this layout are not read over " + w.String())
	}
	in, levels := q.stretch(Span{Window: w}), r.ladder(l.hours)
	midnight := edge(in.from, 0, dayHours*hourSeconds)
	hourOf := func(sec int64) int { return int((sec - midnight) / hourSeconds) }
	h.from, h.now = hourOf(in.from), hourOf(q.sec)
	left := -1 // the hour of what is left out, and how many there are in it
	inLeft := int64(0)
	for _, c := range r.currentsIn(in, levels) {
		if c.sign < 0 {
			left = hourOf(c.sec)
		} else {
			h.note(hourOf(c.sec))
		}
	}
	at, _ := r.state.findBin(l.hourSlot, 0)
	for i := range r.state.bins[at:] {
		b := &r.state.bins[at+i]
		begin := int64(b.begin)
		if begin < in.from || begin >= in.to || !q.counts(levels, begin, in) {
			continue
		}
		hour := hourOf(begin)
		if hour == left {
			if inLeft += b.count(); inLeft <= 1 {
				continue
			}
		}
		h.note(hour)
	}
	return h
}

func (h *hours) note(hour int) { h.days[hour/dayHours] |= 1 << (hour % dayHours) }

// ActiveHours is how many hours of UTC the day of a window has in which there is a contribution: of the day that has most.
func (r *Reading) ActiveHours(w Window) (most int) {
	h := r.hours(w)
	for _, day := range h.days {
		most = max(most, bits.OnesCount32(day))
	}
	return most
}

// rest is a pause: whole hours [from, to) without a contribution.
type rest struct{ from, to int }

// QuietHours is how long a pause the day of least rest had, in hours, at most 24: of all 24 hours in a row that lie in a
// window, those that touch no longer pause than this one. A pause is whole hours of UTC without a contribution, as long as
// it is inside the window, also where it begins before those 24 hours or ends after them; the evaluation time's own hour
// is not over and belongs to none. ok is false where the window has no contribution.
func (r *Reading) QuietHours(w Window) (pause int, ok bool) {
	h := r.hours(w)
	var rests [maxRests]rest
	n, next := 0, h.from
	for d, day := range h.days {
		for ; day != 0; day &= day - 1 {
			hour := d*dayHours + bits.TrailingZeros32(day)
			if hour > next {
				rests[n] = rest{next, hour}
				n++
			}
			next, ok = hour+1, true
		}
	}
	if h.now > next {
		rests[n] = rest{next, h.now}
		n++
	}
	pause = sort.Search(dayHours, func(most int) bool { return h.dayWithout(rests[:n], most) })
	return pause, ok
}

// dayWithout says whether there are 24 hours in a row that touch no pause of more than so many hours.
func (h *hours) dayWithout(rests []rest, most int) bool {
	from := h.from
	for _, r := range rests {
		if r.to-r.from <= most {
			continue
		}
		if r.from-from >= dayHours {
			return true
		}
		from = r.to
	}
	return h.now+1-from >= dayHours
}
