package tiles

import (
	"math"
	"slices"
)

// category is when a category was seen by folded contributions. A column keeps the DistinctCap categories that were seen
// last, by (second, hash). The newest of a set do not depend on the order of arrival; what is known of a category's older
// seconds would, once others were turned out meanwhile. So in a full column every second before the oldest category's
// last, its mark, is held for unknown: what came after it was kept in every order.
type category struct {
	hash uint64
	seen
}

// mark is the order of categories by their last second.
type mark struct {
	sec  uint32
	hash uint64
}

func (m mark) less(o mark) bool { return m.sec < o.sec || m.sec == o.sec && m.hash < o.hash }

// from gives the first second of a category that is not before the mark.
func (m mark) from(hash uint64) int64 {
	if hash < m.hash {
		return int64(m.sec) + 1
	}
	return int64(m.sec)
}

// column gives the categories of a column.
func (s *State) column(col int) []category {
	from := uint16(0)
	if col > 0 {
		from = s.ends[col-1]
	}
	return s.cats[from:s.ends[col]]
}

func findCategory(column []category, hash uint64) (int, bool) {
	low, high := 0, len(column)
	for low < high {
		if mid := int(uint(low+high) / 2); column[mid].hash < hash {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, low < len(column) && column[low].hash == hash
}

// addCategory notes that a category was seen at a second.
func (s *State) addCategory(l *Layout, col int, hash uint64, sec uint32) {
	column := s.column(col)
	at, found := findCategory(column, hash)
	if found {
		column[at].add(sec)
		return
	}
	c := category{hash: hash}
	c.add(sec)
	if len(column) < DistinctCap {
		s.insertCategory(l, col, at, c)
		return
	}
	old := 0
	for i := range column {
		if column[i].mark().less(column[old].mark()) {
			old = i
		}
	}
	if c.mark().less(column[old].mark()) {
		return
	}
	if old < at {
		at--
		copy(column[old:], column[old+1:at+1])
	} else {
		copy(column[at+1:], column[at:old])
	}
	column[at] = c
}

func (c *category) mark() mark { return mark{c.last, c.hash} }

func (s *State) insertCategory(l *Layout, col, at int, c category) {
	if col > 0 {
		at += int(s.ends[col-1])
	}
	s.cats = room(s.cats, 1)
	s.cats = slices.Insert(s.cats, at, c)
	for i := col; i < l.spec.Distincts; i++ {
		s.ends[i]++
	}
}

// oldestMark gives the mark that the column has once the category fold, if it is not 0, is seen at second sec as well. A
// column that is not full has none. Categories whose last second lies before oldest do not count.
func oldestMark(column []category, oldest int64, fold uint64, sec uint32) (mark, bool) {
	n, known := 0, fold == 0
	least, second := mark{math.MaxUint32, math.MaxUint64}, mark{math.MaxUint32, math.MaxUint64}
	note := func(m mark) {
		n++
		if m.less(least) {
			least, second = m, least
		} else if m.less(second) {
			second = m
		}
	}
	for i := range column {
		m := column[i].mark()
		if m.hash == fold {
			m.sec, known = max(m.sec, sec), true
		}
		if int64(m.sec) >= oldest {
			note(m)
		}
	}
	if !known && int64(sec) >= oldest {
		note(mark{sec, fold})
	}
	switch {
	case n < DistinctCap:
		return mark{}, false
	case n == DistinctCap:
		return least, true
	}
	return second, true
}

// foldedColumn is a column of folded categories as a query sees it.
type foldedColumn struct {
	*query
	column []category
	oldest int64
	limit  mark
	full   bool
	row    []cell
	known  *hashSet
	taken  [DistinctCap / 64]uint64 // the categories of column that are counted already
}

// readDistinct counts the categories of a column by the shortest window that reaches back to their newest second.
func (s *State) readDistinct(l *Layout, q *query, col int, r *Reading) {
	f := foldedColumn{
		query: q, column: s.column(col), oldest: q.oldest(l),
		row: r.distinct[col*len(l.windows) : (col+1)*len(l.windows)], known: &r.known,
	}
	clear(f.row)
	fold := q.foldedCategory(col)
	if len(f.column) >= DistinctCap-1 {
		f.limit, f.full = oldestMark(f.column, f.oldest, fold, uint32(q.raw.foldSec))
	}
	takenFold := f.countRaw(l, col, fold)
	for i := range f.column {
		if c := &f.column[i]; f.taken[i/64]>>(i%64)&1 == 0 && c.hash != fold {
			f.countFolded(l, c, col)
		}
	}
	if fold != 0 && !takenFold {
		c := category{hash: fold}
		if at, ok := findCategory(f.column, fold); ok {
			c = f.column[at]
		}
		c.add(uint32(q.raw.foldSec))
		f.countFolded(l, &c, col)
	}
	for w := range f.row {
		if w > 0 {
			f.row[w].n += f.row[w-1].n
		}
		if f.full && int64(f.limit.sec) >= q.edge(l, w) {
			f.row[w].flags |= Capped
		}
		if q.raw.missedSec != 0 && q.raw.missedSec >= max(q.edge(l, w), f.oldest) {
			f.row[w].flags |= CorrectionMissed
		}
	}
}

// countRaw counts the categories of the raw contributions that take part, newest first, and takes them from the folded
// ones, which are older. It says whether fold was one of them.
func (f *foldedColumn) countRaw(l *Layout, col int, fold uint64) (takenFold bool) {
	raw, stride := f.raw.words, l.rawStride
	plus, plusAt := uint64(0), f.plusSec*1e6
	if f.raw.plus && f.plusSec <= f.sec {
		plus = f.plus.Categories[col]
	}
	f.known.reset(len(raw) / stride)
	before := uint64(0) // often the same category comes again and again
	for i := len(raw) - stride; i >= 0; i -= stride {
		hash := raw[i+2+col]
		switch {
		case hash == before || hash == 0 || !f.takesPart(raw[i:]):
		case hash == plus:
			plusAt = max(plusAt, int64(raw[i]))
		case f.known.add(hash):
			before = hash
			f.countTaken(l, hash, floorSecond(int64(raw[i])))
			takenFold = takenFold || hash == fold
		}
	}
	if plus != 0 {
		f.countTaken(l, plus, floorSecond(plusAt))
		takenFold = takenFold || plus == fold
	}
	return takenFold
}

// countTaken counts a category of a raw contribution.
func (f *foldedColumn) countTaken(l *Layout, hash uint64, sec int64) {
	if at, ok := findCategory(f.column, hash); ok {
		f.taken[at/64] |= 1 << (at % 64)
	}
	if sec >= f.oldest {
		f.count(l, sec)
	}
}

// countFolded counts a category that no raw contribution has.
func (f *foldedColumn) countFolded(l *Layout, c *category, col int) {
	sec := int64(c.newestAt(f.sec, f.horizon))
	floor := f.oldest
	if f.full {
		floor = max(floor, f.limit.from(c.hash))
	}
	if sec == 0 || sec < floor {
		return
	}
	f.count(l, sec)
	if sec != f.minusSec || f.raw.minus || f.minus.Categories[col] != c.hash {
		return
	}
	// The event to be left out was folded, in this very second; whether others were too is not known.
	before := int64(0)
	if sec >= f.horizon {
		before = int64(c.newest(sec - 1))
	}
	for w := range f.row {
		if edge := f.edge(l, w); sec >= edge && (before < edge || before < floor) {
			f.row[w].flags |= CorrectionMissed
		}
	}
}

func (f *foldedColumn) count(l *Layout, sec int64) {
	if w := f.firstWindow(l, sec); w >= 0 {
		f.row[w].n++
	}
}

// compactCategories forgets what no reading heeds.
func (s *State) compactCategories(l *Layout) {
	if len(s.cats) == 0 {
		return
	}
	horizon := int64(s.horizon)
	oldest := l.oldest(horizon)
	out := s.cats[:0]
	from := uint16(0)
	for col := range l.spec.Distincts {
		column := s.cats[from:s.ends[col]]
		from = s.ends[col]
		limit, full := oldestMark(column, oldest, 0, 0)
		for _, c := range column {
			if !c.keep(horizon, oldest) {
				continue
			}
			if full {
				c.since(limit.from(c.hash))
			}
			out = append(out, c)
		}
		s.ends[col] = uint16(len(out))
	}
	s.cats = out
}
