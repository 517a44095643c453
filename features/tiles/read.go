package tiles

// query is one evaluation: its second, the horizon's, and the events that take part or are left out.
type query struct {
	at      int64 // the time, in microseconds
	sec     int64
	end     int64 // where the second ends, in microseconds
	horizon int64
	// edges are the first second of each window at edgesAt, which groups that are read one after the other share.
	edges      [windowCount]int64
	edgesAt    int64
	edgesKnown bool
	// known are the levels at the horizon once they were asked for.
	known ladder
	plus  *Contribution
	minus *Contribution
	// plusSec and minusSec are 0 without the event, or where no state would hold it.
	plusSec, minusSec int64
	raw               rawQuery // where the layout keeps raw contributions
}

// Read evaluates every window at t. An event that is not inside the state takes part as plus; one that is inside is left
// out as minus; nil does nothing. They must be as they will be, or were, added.
//
//	                 event not inside   event inside
//	include current  plus               -
//	exclude current  -                  minus
//
// From the horizon's second on, readings are exact, but for Capped and for what CorrectionMissed says; before, they are
// Late. With both plus and minus the state is copied: that is for tools, not for decisions.
func (s *State) Read(l *Layout, t, horizon int64, plus, minus *Contribution, r *Reading) {
	sec, horizonSec := floorSecond(t), floorSecond(horizon)
	late := sec < s.horizonAt(horizonSec)
	if late && l.foldsWhatIsRead() || plus != nil && minus != nil {
		s = s.copyTo(&r.copied)
		if plus != nil {
			s.Add(l, plus, horizon)
			plus = nil
		}
		if late && l.spec.Raw > 0 {
			s.foldSpare(l, minus)
		}
	}
	q := &r.query
	q.at, q.sec, q.horizon = max(min(t, 1<<60), -1<<60), min(sec, 1<<40), s.horizonAt(horizonSec)
	q.end = (q.sec + 1) * 1e6
	q.plus, q.minus, q.plusSec, q.minusSec, q.known.levels = plus, minus, 0, 0, nil
	if plus != nil {
		q.plusSec = secondInRange(plus.At)
	}
	if minus != nil {
		q.minusSec = secondInRange(minus.At)
	}
	r.reset(s, l)
	if late {
		r.Flags = Late
	}
	q.findEdges()
	if l.spec.Recent > 0 {
		s.readRecent(l, q, &r.recent)
	}
	if l.spec.Exact {
		_, r.nExact = r.exactEdges(l)
	}
	if r.nExact < len(l.windows) {
		s.readWindows(l, q, r)
	}
	if l.spec.Raw > 0 {
		s.readFolded(l, q, r)
	}
	if r.nExact > 0 {
		r.readExact(l)
	}
	if s.missed != nil {
		s.readLost(l, q, r)
	}
}

// findEdges sees to the edges of all windows at the query's second.
func (q *query) findEdges() {
	if q.edgesKnown && q.edgesAt == q.sec {
		return
	}
	q.edgesAt, q.edgesKnown = q.sec, true
	for w := range windowCount {
		rung := w.rung()
		q.edges[w] = edge(q.sec, rung.length, rung.hop)
	}
}

// edge is the first second of a window by its place in the layout.
func (q *query) edge(l *Layout, place int) int64 { return q.edges[l.windows[place].id] }

// readWindows reads counts and sums from the tiles.
func (s *State) readWindows(l *Layout, q *query, r *Reading) {
	if s.wide || r.Flags != 0 {
		s.readAnyTiles(l, q, r)
	} else {
		s.readTiles(l, q, r)
	}
	if q.plusSec != 0 {
		r.add(l, q, q.plusSec, q.plus.Values, false)
	}
	if q.minusSec != 0 {
		r.add(l, q, q.minusSec, q.minus.Values, true)
	}
}

// readFolded reads what cannot be inverted, from the raw contributions and all older ones folded.
func (s *State) readFolded(l *Layout, q *query, r *Reading) {
	s.prepareRaw(l, q)
	for col := range l.spec.Distincts {
		if r.nExact < len(l.windows) {
			s.readDistinct(l, q, col, r)
		}
	}
	if l.spec.Last {
		s.readTimes(l, q, r)
	}
}

func secondInRange(at int64) int64 {
	if sec := floorSecond(at); sec >= 1 && sec <= 1<<32-1 {
		return sec
	}
	return 0
}

// readTiles goes over the tiles from the newest to the oldest: a window is what the shorter one has and the tiles down to its
// own edge. The beginnings say which tiles are whose, then each column is added up in one go.
func (s *State) readTiles(l *Layout, q *query, r *Reading) {
	stride, tiles := s.stride(l), s.tiles
	end := len(tiles)
	for end > 0 && int64(start(tiles[end-stride])) > q.sec {
		end -= stride
	}
	var from [windowCount]int
	count, at := int64(0), end
	for w := range l.windows {
		edge := q.edge(l, w)
		for at > 0 && int64(start(tiles[at-stride])) >= edge {
			at -= stride
			count += int64(uint32(tiles[at]))
		}
		r.counts[w], from[w] = count, at
	}
	for column := range l.linear {
		var sum halves
		at := end
		for w := range l.windows {
			sum.add(tiles[from[w]:at], 1+column, stride)
			r.sums[w*l.linear+column] = sum.whole()
			at = from[w]
		}
	}
}

// halves add up words as int64s, their halves apart: no carry from one word to the next.
type halves struct {
	low  uint64
	high int64
}

// add adds every stride-th word from first on.
func (h *halves) add(words []uint64, first, stride int) {
	low, high := h.low, h.high
	for i := uint(first); i < uint(len(words)); i += uint(stride) {
		low += uint64(uint32(words[i]))
		high += int64(words[i]) >> 32
	}
	h.low, h.high = low, high
}

func (h *halves) whole() Int128 {
	return Int128{Hi: h.high >> 32, Lo: uint64(h.high) << 32}.Add(Int128{Lo: h.low})
}

// readAnyTiles gives the same as readTiles for every layout of the tiles and every time. At a time before the horizon a
// tile may be cut by an edge of the window; only those that lie wholly inside it count, each as long as it would be after
// Compact.
func (s *State) readAnyTiles(l *Layout, q *query, r *Reading) {
	stride := s.stride(l)
	clear(r.counts[:])
	clear(r.sums)
	for i := 0; i < len(s.tiles); i += stride {
		w := q.window(l, int64(start(s.tiles[i])))
		if w < 0 {
			continue
		}
		r.counts[w] += s.tileCount(s.tiles[i:])
		for column := range l.linear {
			sum := &r.sums[w*l.linear+column]
			*sum = sum.Add(s.tileSum(s.tiles[i:], column))
		}
	}
	for w := 1; w < len(l.windows); w++ {
		r.counts[w] += r.counts[w-1]
		for column := range l.linear {
			sum := &r.sums[w*l.linear+column]
			*sum = sum.Add(r.sums[(w-1)*l.linear+column])
		}
	}
}

// window gives the shortest window that a contribution of a second counts in, or -1. The longer ones have it too. At a time
// before the horizon its tile must lie wholly inside.
func (q *query) window(l *Layout, sec int64) int {
	if q.sec >= q.horizon {
		if sec > q.sec {
			return -1
		}
		return q.firstWindow(l, sec)
	}
	begin, end := q.ladder(l).tile(sec)
	if begin == end || end > q.sec+1 {
		return -1
	}
	return q.firstWindow(l, begin)
}

// firstWindow gives the shortest window that reaches back to a second, or -1.
func (q *query) firstWindow(l *Layout, sec int64) int {
	for w := range l.windows {
		if sec >= q.edge(l, w) {
			return w
		}
	}
	return -1
}

// add counts one event of a second, or takes it away again.
func (r *Reading) add(l *Layout, q *query, sec int64, values []int64, away bool) {
	first := q.window(l, sec)
	if first < 0 {
		return
	}
	one := int64(1)
	if away {
		one = -1
	}
	for w := first; w < len(l.windows); w++ {
		r.counts[w] += one
	}
	for column := range l.linear {
		v := l.column(values, column)
		if away {
			v = v.Neg()
		}
		for w := first; w < len(l.windows); w++ {
			sum := &r.sums[w*l.linear+column]
			*sum = sum.Add(v)
		}
	}
}
