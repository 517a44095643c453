package tiles

import (
	"math"
	"math/bits"
	"slices"
)

// A tile is a few words. Narrow, which practically all are: the beginning's second and the count in the halves of one
// word, then a word for each column that adds up: sums, then sums of squares. Wide, for all tiles of a state where some
// column overflowed: the beginning, the count, then each such column's Lo and Hi. In both forms the extremes come last, a
// word each (extremes.go).
//
// For any evaluation time from the horizon on, no tile is cut by the edge of a window: a tile of a window's own level or
// a finer one has a hop that divides the window's, and a tile of a coarser level holds only what is older than the edge,
// so that it begins before it.

func (s *State) stride(l *Layout) int {
	if s.wide {
		return 2 + 2*l.linear + len(l.extremes)
	}
	return 1 + l.linear + len(l.extremes)
}

func start(word uint64) uint32 { return uint32(word >> 32) }

// tileCount gives the count of the tile that begins with words[0].
func (s *State) tileCount(words []uint64) int64 {
	if s.wide {
		return int64(words[1])
	}
	return int64(uint32(words[0]))
}

// tileSum gives one linear column of the tile that begins with words[0].
func (s *State) tileSum(words []uint64, column int) Int128 {
	if s.wide {
		return Int128{Lo: words[2+2*column], Hi: int64(words[3+2*column])}
	}
	return MakeInt128(int64(words[1+column]))
}

// tileAt gives the place of the tile that begins at a second, which may be a new one.
func (s *State) tileAt(l *Layout, begin uint32) (at, stride int) {
	stride = s.stride(l)
	at, found := s.findTile(stride, begin)
	if !found && len(s.tiles)+stride > cap(s.tiles) {
		s.makeRoom(l)
		stride = s.stride(l)
		at, found = s.findTile(stride, begin)
	}
	if !found {
		s.tiles = insert(s.tiles, at, stride)
		s.tiles[at] = uint64(begin) << 32
	}
	return at, stride
}

// addTile adds one contribution to the tile that begins at a second.
func (s *State) addTile(l *Layout, begin uint32, values []int64) {
	at, stride := s.tileAt(l, begin)
	if s.wide {
		addWide(l, s.tiles[at:at+stride], values)
		return
	}
	if !addNarrow(l, s.tiles[at:at+stride], values) {
		tile := at / stride
		s.widen(l)
		stride = s.stride(l)
		addWide(l, s.tiles[tile*stride:(tile+1)*stride], values)
	}
}

// findTile gives where the tile of a beginning is or belongs. Most contributions go to the newest one or after it.
func (s *State) findTile(stride int, begin uint32) (at int, found bool) {
	n := len(s.tiles) / stride
	if n == 0 || start(s.tiles[(n-1)*stride]) < begin {
		return len(s.tiles), false
	}
	low, high := 0, n-1
	for low < high {
		if mid := int(uint(low+high) / 2); start(s.tiles[mid*stride]) < begin {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low * stride, start(s.tiles[low*stride]) == begin
}

// makeRoom finds place for a tile: by compaction if that gives enough to be worth its time, by growth otherwise.
func (s *State) makeRoom(l *Layout) {
	s.compactTiles(l)
	if stride := s.stride(l); len(s.tiles)+stride > cap(s.tiles)-cap(s.tiles)/8 {
		s.tiles = room(slices.Clip(s.tiles), stride)
	}
}

// insert opens a zeroed gap of n elements.
func insert(words []uint64, at, n int) []uint64 {
	words = room(words, n)
	words = words[:len(words)+n]
	copy(words[at+n:], words[at:])
	clear(words[at : at+n])
	return words
}

// addNarrow adds one contribution, or changes nothing and says so where a column would overflow.
func addNarrow(l *Layout, tile []uint64, values []int64) bool {
	if tile[0]&math.MaxUint32 == math.MaxUint32 {
		return false
	}
	var scratch [maxLinear]int64
	values, ok := l.narrowColumns(values, &scratch)
	if !ok {
		return false
	}
	sums := tile[1:]
	for i, v := range values {
		old := int64(sums[i])
		if sum := old + v; (sum > old) != (v > 0) && v != 0 {
			for i--; i >= 0; i-- {
				sums[i] -= uint64(values[i])
			}
			return false
		}
		sums[i] += uint64(v)
	}
	tile[0]++
	return true
}

func addWide(l *Layout, tile []uint64, values []int64) {
	tile[1]++
	for i := range l.linear {
		v := l.column(values, i)
		addWords(&tile[2+2*i], &tile[3+2*i], v.Lo, uint64(v.Hi))
	}
}

// maxLinear is how many columns of a tile can add up.
const maxLinear = 2 * MaxSums

// narrowColumns gives what a contribution adds to each linear column, and false where one does not fit a word.
func (l *Layout) narrowColumns(values []int64, scratch *[maxLinear]int64) ([]int64, bool) {
	if len(l.squares) == 0 {
		return values[:l.linear], true
	}
	columns := scratch[:copy(scratch[:], values[:l.spec.Sums])]
	for i := range l.squares {
		square, ok := l.column(values, l.spec.Sums+i).Int64()
		if !ok {
			return nil, false
		}
		columns = append(columns, square)
	}
	return columns, true
}

// column gives what a contribution adds to a linear column.
func (l *Layout) column(values []int64, column int) Int128 {
	if column < l.spec.Sums {
		return MakeInt128(values[column])
	}
	return square128(values[l.squares[column-l.spec.Sums]])
}

func addWords(lo, hi *uint64, lo2, hi2 uint64) {
	var carry uint64
	*lo, carry = bits.Add64(*lo, lo2, 0)
	*hi, _ = bits.Add64(*hi, hi2, carry)
}

// mergeTile adds the tile src to dst, or changes nothing and says so where a narrow column would overflow.
func (s *State) mergeTile(l *Layout, dst, src []uint64) bool {
	extremes := len(dst) - len(l.extremes)
	if s.wide {
		dst[1] += src[1]
		for i := 2; i < extremes; i += 2 {
			addWords(&dst[i], &dst[i+1], src[i], src[i+1])
		}
		mergeExtremes(dst[extremes:], src[extremes:])
		return true
	}
	if uint64(uint32(dst[0]))+uint64(uint32(src[0])) > math.MaxUint32 {
		return false
	}
	for i := 1; i < extremes; i++ {
		a, b := int64(dst[i]), int64(src[i])
		if sum := a + b; (sum > a) != (b > 0) && b != 0 {
			for i--; i > 0; i-- {
				dst[i] -= src[i]
			}
			return false
		}
		dst[i] += src[i]
	}
	dst[0] += uint64(uint32(src[0]))
	mergeExtremes(dst[extremes:], src[extremes:])
	return true
}

// compactTiles brings every tile to the level that it has at the horizon. Beginnings stay sorted: of two tiles the older
// one's level is never the finer.
func (s *State) compactTiles(l *Layout) {
	if len(s.tiles) == 0 {
		s.wide = false
		return
	}
	edges := l.levelEdges(int64(s.horizon))
	for !s.mergeTiles(l, edges[:len(l.levels)]) {
		s.widen(l)
	}
	if s.wide {
		s.narrow(l)
	}
}

// mergeTiles is one pass of compactTiles. It stops and says so where the columns must be widened to go on.
func (s *State) mergeTiles(l *Layout, edges []int64) bool {
	stride := s.stride(l)
	lv, out := len(edges)-1, 0
	for in := 0; in < len(s.tiles); in += stride {
		begin := int64(start(s.tiles[in]))
		if begin < edges[len(edges)-1] {
			continue
		}
		for lv > 0 && begin >= edges[lv-1] {
			lv--
		}
		begin -= begin % l.levels[lv].hop
		tile := s.tiles[in : in+stride]
		if out > 0 && int64(start(s.tiles[out-stride])) == begin {
			if s.mergeTile(l, s.tiles[out-stride:out], tile) {
				continue
			}
			s.tiles = append(s.tiles[:out], s.tiles[in:]...)
			return false
		}
		copy(s.tiles[out:], tile)
		s.tiles[out] = uint64(begin)<<32 | uint64(uint32(tile[0]))
		out += stride
	}
	s.tiles = s.tiles[:out]
	return true
}

// widen gives all tiles wide columns.
func (s *State) widen(l *Layout) {
	from := s.stride(l)
	n := len(s.tiles) / from
	wide := make([]uint64, 0, (n+4)*(2+2*l.linear+len(l.extremes)))
	for i := 0; i < len(s.tiles); i += from {
		tile := s.tiles[i : i+from]
		wide = append(wide, uint64(start(tile[0]))<<32, uint64(uint32(tile[0])))
		for _, sum := range tile[1 : 1+l.linear] {
			wide = append(wide, sum, uint64(int64(sum)>>63))
		}
		wide = append(wide, tile[1+l.linear:]...)
	}
	s.tiles, s.wide = wide, true
}

// narrow undoes widen where everything fits again, so that the width is a function of what is held.
func (s *State) narrow(l *Layout) {
	from := s.stride(l)
	for i := 0; i < len(s.tiles); i += from {
		if s.tiles[i+1] > math.MaxUint32 {
			return
		}
		for column := range l.linear {
			if _, ok := s.tileSum(s.tiles[i:], column).Int64(); !ok {
				return
			}
		}
	}
	out := s.tiles[:0]
	for i := 0; i < len(s.tiles); i += from {
		out = append(out, s.tiles[i]|s.tiles[i+1])
		for column := range l.linear {
			out = append(out, s.tiles[i+2+2*column])
		}
		out = append(out, s.tiles[i+2+2*l.linear:i+from]...)
	}
	s.tiles, s.wide = out, false
}
