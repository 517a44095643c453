package tiles

import "encoding/binary"

// The smallest and the largest value cannot be taken apart again, so a tile knows those of its folded contributions only,
// void or not (a tile may be there for void ones alone); the raw ones are looked at one by one. A column is one word that orders as the value does, negated where the smallest is
// wanted: the largest word counts, and 0 is none.

// extreme is one such column.
type extreme struct {
	// value is the value's place in Contribution.Values, word in a raw contribution.
	value, word int
	low         bool
}

// extremesOf gives the columns of a spec: the lows, then the highs.
func extremesOf(spec Spec) (columns []extreme) {
	for i, set := range [...]ValueSet{spec.Lows, spec.Highs} {
		for _, value := range set.list() {
			before := spec.RawValues & (1<<value - 1)
			columns = append(columns, extreme{value: value, word: 2 + spec.categories() + before.Len(), low: i == 0})
		}
	}
	return columns
}

func (e extreme) kind() byte {
	if e.low {
		return columnLow
	}
	return columnHigh
}

const signBit = 1 << 63

// rank gives the word of a value.
func (e extreme) rank(v int64) uint64 {
	if e.low {
		v = -v // NoValue stays what it is
	}
	return uint64(v) ^ signBit
}

// unrank gives the value of a word.
func (e extreme) unrank(word uint64) int64 {
	v := int64(word ^ signBit)
	if e.low {
		v = -v
	}
	return v
}

func mergeExtremes(dst, src []uint64) {
	for i, word := range src {
		dst[i] = max(dst[i], word)
	}
}

// foldExtremes notes the values of a raw contribution, void or not, in the tile of its second or one that will be merged
// with it.
func (s *State) foldExtremes(l *Layout, rec []uint64, sec int64) {
	level := l.level(sec, int64(s.horizon))
	if len(l.extremes) == 0 || level < 0 {
		return
	}
	begin := uint32(sec - sec%l.levels[level].hop)
	for i, e := range l.extremes {
		word := e.rank(int64(rec[e.word]))
		if word == 0 {
			continue
		}
		at, stride := s.tileAt(l, begin)
		tile := &s.tiles[at+stride-len(l.extremes)+i]
		*tile = max(*tile, word)
	}
}

// noExtremes says that a tile has none.
func (l *Layout) noExtremes(tile []uint64) bool {
	for _, word := range tile[len(tile)-len(l.extremes):] {
		if word != 0 {
			return false
		}
	}
	return true
}

// Low is the smallest of a value that Spec.Lows names, NoValue without one.
func (r *Reading) Low(w Window, value int) (int64, Flags) { return r.extreme(w, value, true) }

// High is the largest of a value that Spec.Highs names, NoValue without one.
func (r *Reading) High(w Window, value int) (int64, Flags) { return r.extreme(w, value, false) }

func (r *Reading) extreme(w Window, value int, low bool) (int64, Flags) {
	for i, e := range r.layout.extremes {
		if e.value == value && e.low == low {
			if r.Exact(w) {
				return e.unrank(r.topExact(r.layout, r.slot(w), e)), r.WindowFlags(w)
			}
			top, flags := r.state.top(r.layout, &r.query, r.slot(w), i)
			return e.unrank(top), flags | r.WindowFlags(w)
		}
	}
	panic("BUG: tiles: no such extreme in the layout")
}

// top gives the largest word of a column in a window.
func (s *State) top(l *Layout, q *query, w, column int) (uint64, Flags) {
	e, in := l.extremes[column], stretch{q.edge(l, w), q.sec + 1}
	levels := q.ladder(l)
	folded := s.topFolded(l, q, in, column)
	raw, words, stride := uint64(0), q.raw.words, l.rawStride
	if q.raw.fold != nil {
		words = words[stride:]
		if q.counts(levels, q.raw.foldSec, in) {
			folded = max(folded, e.rank(int64(q.raw.fold[e.word])))
		}
	}
	for i := 0; i < len(words); i += stride {
		if rec := words[i : i+stride]; q.takesPart(rec) && floorSecond(int64(rec[0])) >= in.from {
			raw = max(raw, e.rank(int64(rec[e.word])))
		}
	}
	if q.plusSec != 0 {
		switch word := e.rank(q.plus.Values[e.value]); {
		case !q.raw.plus && q.counts(levels, q.plusSec, in):
			folded = max(folded, word)
		case q.raw.plus && q.plusSec >= in.from && q.plusSec < in.to:
			raw = max(raw, word)
		}
	}
	if folded <= raw {
		return raw, 0
	}
	// Whether it is of one that is to be left out, or void, is not known, nor what was next.
	minus := q.minusSec != 0 && !q.raw.minus && q.counts(levels, q.minusSec, in) && e.rank(q.minus.Values[e.value]) == folded
	void := q.raw.missedSec != 0 && q.raw.missedSec >= max(in.from, q.oldest(l))
	if minus || void {
		return folded, CorrectionMissed
	}
	return folded, 0
}

// topFolded gives the largest word of the tiles that count in a window.
func (s *State) topFolded(l *Layout, q *query, in stretch, column int) (top uint64) {
	stride := s.stride(l)
	word := stride - len(l.extremes) + column
	levels := q.ladder(l)
	for i := len(s.tiles) - stride; i >= 0 && (q.sec < q.horizon || int64(start(s.tiles[i])) >= in.from); i -= stride {
		if q.counts(levels, int64(start(s.tiles[i])), in) {
			top = max(top, s.tiles[i+word])
		}
	}
	return top
}

// appendExtreme appends a word: 0 for none, else the zigzag of its value and 1.
func appendExtreme(dst []byte, word uint64) []byte {
	if word == 0 {
		return append(dst, 0)
	}
	v := int64(word ^ signBit)
	return binary.AppendUvarint(dst, (uint64(v)<<1^uint64(v>>63))+1)
}

// extreme reads what appendExtreme wrote.
func (d *decoder) extreme() uint64 {
	zigzag := d.uvarint()
	if zigzag == 0 {
		return 0
	}
	zigzag--
	return (zigzag>>1 ^ -(zigzag & 1)) ^ signBit
}
