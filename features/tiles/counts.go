package tiles

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"pitboss/floats"
)

// A table counts contributions by a small number, their slot: a category, or a bucket of a histogram. Practically every
// tile has few of them, so the counts of all tables lie in one slab, sorted by slot and then by time: a count is added and
// taken away without a trace, and what a window has of a slot is one run.

// bin is how many contributions of a slot a tile has, in 12 bytes.
type bin struct {
	begin uint32
	slot  uint16 // the table's first and the contribution's
	high  uint16
	low   uint32
}

func (b *bin) count() int64     { return int64(b.high)<<32 | int64(b.low) }
func (b *bin) setCount(n int64) { b.high, b.low = uint16(n>>32), uint32(n) }

func (b *bin) key() uint64 { return uint64(b.slot)<<32 | uint64(b.begin) }

// NoSlot stands for an absent slot, which is not counted.
const NoSlot int32 = -1

// findBin gives where a bin is or belongs.
func (s *State) findBin(slot uint16, begin uint32) (int, bool) {
	key := uint64(slot)<<32 | uint64(begin)
	low, high := 0, len(s.bins)
	for low < high {
		if mid := int(uint(low+high) / 2); s.bins[mid].key() < key {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, low < len(s.bins) && s.bins[low].key() == key
}

// binBegin gives where the tile of a second begins in some levels; false where it is too old.
func (s *State) binBegin(levels []level, sec int64) (uint32, bool) {
	level := levelOf(levels, sec, int64(s.horizon))
	if level < 0 {
		return 0, false
	}
	return uint32(sec - sec%levels[level].hop), true
}

// eachBin visits where a contribution is counted: by its slots, and by its hour.
func (s *State) eachBin(l *Layout, slots []int32, sec int64, visit func(slot uint16, begin uint32)) {
	if begin, ok := s.binBegin(l.counting, sec); ok {
		for table, first := range l.tables {
			if slots[table] != NoSlot {
				visit(first+uint16(slots[table]), begin)
			}
		}
	}
	if begin, ok := s.binBegin(l.hours, sec); ok {
		visit(l.hourSlot, begin)
	}
}

// addBins counts a contribution at a second.
func (s *State) addBins(l *Layout, slots []int32, sec int64) {
	s.eachBin(l, slots, sec, func(slot uint16, begin uint32) {
		at, found := s.findBin(slot, begin)
		if !found && len(s.bins) == cap(s.bins) {
			s.compactBins(l)
			if len(s.bins) > cap(s.bins)-cap(s.bins)/8-1 {
				s.bins = room(slices.Clip(s.bins), 1)
			}
			at, found = s.findBin(slot, begin)
		}
		if !found {
			s.bins = slices.Insert(s.bins, at, bin{begin: begin, slot: slot})
		}
		s.bins[at].setCount(min(s.bins[at].count()+1, maxTileCount-1))
	})
}

// subtractBins takes a contribution out of the bins that have it. All are brought to their levels first.
func (s *State) subtractBins(l *Layout, slots []int32, sec int64) {
	s.compactBins(l)
	s.eachBin(l, slots, sec, func(slot uint16, begin uint32) {
		at, found := s.findBin(slot, begin)
		if !found {
			return
		}
		s.bins[at].setCount(s.bins[at].count() - 1)
		if s.bins[at].count() == 0 {
			s.bins = slices.Delete(s.bins, at, at+1)
		}
	})
}

// compactBins brings every bin to the level that its second has at the horizon.
func (s *State) compactBins(l *Layout) {
	if len(s.bins) == 0 {
		return
	}
	counting, hours := s.ladder(l.counting), s.ladder(l.hours)
	levels := &counting
	out := s.bins[:0]
	for _, b := range s.bins {
		if len(l.hours) > 0 && b.slot == l.hourSlot {
			levels = &hours // the last slot
		}
		if int64(b.begin) < levels.oldest() {
			continue
		}
		begin, _ := levels.tile(int64(b.begin))
		b.begin = uint32(begin)
		if n := len(out); n > 0 && out[n-1].key() == b.key() {
			out[n-1].setCount(min(out[n-1].count()+b.count(), maxTileCount-1))
			continue
		}
		out = append(out, b)
	}
	s.bins = out
}

// slotCount is how often a slot occurs.
type slotCount struct {
	slot int32
	n    int64
}

// tally is what was counted last, since several features often ask for the same.
type tally struct {
	span  Span
	table int
	done  bool
	slots []slotCount // those that occur, in their order
	top   int64
	all   int64
}

// tally counts a table's slots in a span.
func (r *Reading) tally(s Span, table int) *tally {
	if !r.layout.spec.CountWindows.Has(s.Window) {
		panic("BUG: tiles: the tables of this layout are not read over " + s.Window.String())
	}
	y := &r.counted
	if y.done && y.span == s && y.table == table {
		return y
	}
	*y = tally{span: s, table: table, done: true, slots: y.slots[:0]}
	if s.Shift == 0 && r.Exact(s.Window) {
		r.tallyExact(y)
	} else {
		r.tallyTiles(y)
	}
	for _, c := range y.slots {
		y.top, y.all = max(y.top, c.n), y.all+c.n
	}
	return y
}

// tallyTiles counts by the tiles.
func (r *Reading) tallyTiles(y *tally) {
	s, table := y.span, y.table
	first, slots := int(r.layout.tables[table]), r.layout.spec.Counts[table]
	at, _ := r.state.findBin(uint16(first), 0)
	bins := r.state.bins[at:]
	in := r.query.stretch(s)
	levels := r.ladder(r.layout.counting)
	for len(bins) > 0 && int(bins[0].slot) < first+slots {
		slot := bins[0].slot
		n, run := r.query.countBins(levels, bins, in)
		if n != 0 {
			y.slots = append(y.slots, slotCount{int32(int(slot) - first), n})
		}
		bins = bins[run:]
	}
	for _, c := range r.currentsIn(in, levels) {
		if slot := c.Slots[table]; slot != NoSlot {
			y.add(slot, c.sign)
		}
	}
}

// countBins counts what the first bin's slot has in a stretch, and says how many bins that slot has.
func (q *query) countBins(l *ladder, bins []bin, in stretch) (n int64, run int) {
	exact := q.sec >= q.horizon
	for i := range bins {
		b := &bins[i]
		if b.slot != bins[0].slot {
			break
		}
		run++
		if begin := int64(b.begin); begin >= in.from && begin < in.to && (exact || q.counts(l, begin, in)) {
			n += b.count()
		}
	}
	return n, run
}

// add counts one more of a slot, or one less.
func (y *tally) add(slot int32, sign int64) {
	at := 0
	for at < len(y.slots) && y.slots[at].slot < slot {
		at++
	}
	if at == len(y.slots) || y.slots[at].slot != slot {
		y.slots = slices.Insert(y.slots, at, slotCount{slot: slot})
	}
	y.slots[at].n += sign
	if y.slots[at].n == 0 {
		y.slots = slices.Delete(y.slots, at, at+1)
	}
}

// Top gives how often the most frequent slot of a table occurs in a span, and how often all do.
func (r *Reading) Top(s Span, table int) (top, all int64) {
	y := r.tally(s, table)
	return y.top, y.all
}

// Entropy is Shannon's entropy of a table's slots in a span, in bits; NaN where there is none.
func (r *Reading) Entropy(s Span, table int) float64 {
	y := r.tally(s, table)
	if y.all <= 0 {
		return math.NaN()
	}
	n, sum := float64(y.all), 0.0
	for i := range y.slots {
		c := float64(y.slots[i].n)
		sum += float64(c / n * floats.Log(n/c))
	}
	return sum / math.Ln2
}

// Quantile gives the first slot by which the given millionths of a span's contributions are reached, NoSlot where there
// are none.
func (r *Reading) Quantile(s Span, table int, millionths uint64) int32 {
	y := r.tally(s, table)
	if y.all <= 0 {
		return NoSlot
	}
	hi, lo := bits.Mul64(uint64(y.all), millionths)
	lo, carry := bits.Add64(lo, 1e6-1, 0)
	rank, _ := bits.Div64(hi+carry, lo, 1e6)
	left := max(int64(rank), 1)
	for i := range y.slots {
		if left -= y.slots[i].n; left <= 0 {
			return y.slots[i].slot
		}
	}
	return NoSlot // more than all was asked for
}

func (s *State) appendBins(dst []byte) []byte {
	return s.appendRuns(dst, len(s.bins), func(i int) (owner int, begin uint32) {
		return int(s.bins[i].slot), s.bins[i].begin
	}, func(dst []byte, i int) []byte {
		return binary.AppendUvarint(dst, uint64(s.bins[i].count()))
	})
}

func (s *State) decodeBins(l *Layout, d *decoder) {
	s.decodeRuns(d, l.slots, func(n int) {
		if cap(s.bins) < n {
			s.bins = make([]bin, 0, n)
		}
	}, func(owner int, begin uint32) {
		b := bin{begin: begin, slot: uint16(owner)}
		b.setCount(int64(d.below(maxTileCount)))
		if b.count() == 0 {
			d.fail("empty bin")
		}
		s.bins = append(s.bins, b)
	})
}
