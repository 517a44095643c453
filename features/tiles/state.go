package tiles

import (
	"math"
	"unsafe"
)

// State is what a group keeps of one entity. The zero value is the empty state. It holds no lock: its owner sees to it
// that nothing else happens during Add, Compact and DecodeBinary; readings may run side by side.
//
// It is a bag of tiles, each the count and the sums of the contributions of one stretch of time, sorted by their
// beginnings. A tile's level (how long it is) is nowhere stored, since it follows from its beginning and the horizon: the
// finest level that still reaches back to it. Beside it lie, for what cannot be taken apart again, the newest raw
// contributions, and all older ones folded into last-seen seconds. All slabs are free of pointers.
type State struct {
	// What every reading looks at comes first: two lines of the processor's cache have it.
	tiles []uint64   // tile after tile, see tile.go
	raw   []uint64   // the newest contributions, see raw.go
	cats  []category // column after column, each sorted by hash, see distinct.go
	// missed is nil where every correction could be made, see void.go.
	missed *missed

	horizon uint32
	ends    [MaxDistincts]uint16 // where each column of cats ends
	wide    bool                 // the tiles have wide columns

	// What is known of the folded contributions: cats, and for Spec.Last these; times.last is 0 without any.
	first, last int64
	times       seen

	bins  []bin    // how often each slot, see counts.go
	peaks []uint64 // ranks of registers, see large.go
}

// Add puts a contribution where it belongs. The horizon may be the one before or the one after this event. It panics
// where the contribution has fewer values or categories than the spec.
func (s *State) Add(l *Layout, c *Contribution, horizon int64) Placement {
	sec := floorSecond(c.At)
	if sec < 1 || sec > math.MaxUint32 {
		return OutOfRange
	}
	s.raise(floorSecond(horizon))
	at := l.level(sec, int64(s.horizon))
	if at >= 0 {
		s.addTile(l, uint32(sec-sec%l.levels[at].hop), c.Values)
		s.addBins(l, c.Slots, sec)
	}
	if l.spec.Raw > 0 {
		s.addRaw(l, c, 0) // after its tile is there: it may be folded at once
	}
	if at < 0 && len(l.levels) > 0 {
		return TooOld
	}
	return Placed
}

// Compact merges what the horizon allows to be coarser and drops what no window needs any more. It never changes a
// reading. After it, the same set of contributions and horizon give the same bytes.
func (s *State) Compact(l *Layout, horizon int64) {
	s.raise(floorSecond(horizon))
	s.compactTiles(l)
	s.compactBins(l)
	s.compactPeaks(l)
	s.compactCategories(l)
	if s.times.last != 0 {
		s.times.keep(int64(s.horizon), 0)
	}
	s.compactMissed(l)
	s.tiles = trimmed(s.tiles, s.stride(l))
	s.cats = trimmed(s.cats, 1)
	s.bins = trimmed(s.bins, 1)
	s.peaks = trimmed(s.peaks, 1)
}

// Newest is the time of the newest contribution that counts, NoTime without: to the microsecond where contributions are kept as
// they came, else the beginning of its tile. What was forgotten, being older than every window, is not known.
func (s *State) Newest(l *Layout) int64 {
	stride := l.rawStride
	for i := len(s.raw) - stride; i >= 0; i -= stride {
		if s.raw[i+1]&voidMark == 0 {
			return int64(s.raw[i])
		}
	}
	stride = s.stride(l)
	for i := len(s.tiles) - stride; i >= 0; i -= stride {
		if s.tileCount(s.tiles[i:]) > 0 {
			return int64(start(s.tiles[i])) * 1e6
		}
	}
	return NoTime
}

// MemBytes is what the state holds in RAM, with itself.
func (s *State) MemBytes() int {
	n := int(unsafe.Sizeof(*s)) + 8*cap(s.tiles) + 8*cap(s.raw) + int(unsafe.Sizeof(category{}))*cap(s.cats) +
		int(unsafe.Sizeof(bin{}))*cap(s.bins) + 8*cap(s.peaks)
	if s.missed != nil {
		n += int(unsafe.Sizeof(*s.missed))
	}
	return n
}

// Clone gives a copy that shares nothing with s.
func (s *State) Clone() *State { return s.copyTo(&State{}) }

// copyTo makes dst, whose memory is used again, a copy that shares nothing with s.
func (s *State) copyTo(dst *State) *State {
	was := *dst
	*dst = *s
	dst.tiles, dst.cats, dst.raw = refilled(was.tiles, s.tiles), refilled(was.cats, s.cats), refilled(was.raw, s.raw)
	dst.bins, dst.peaks = refilled(was.bins, s.bins), refilled(was.peaks, s.peaks)
	if s.missed != nil {
		dst.missed = new(*s.missed)
	}
	return dst
}

func refilled[T any](dst, src []T) []T { return append(dst[:0], src...) }

// Touch reads a word of each line of the processor's cache that a reading will go through (64 bytes, more or less), and returns
// their mixture, which means nothing. The loads wait for nothing, so that they run side by side: what is not in the cache comes
// while the rest is on its way, instead of one after the other.
func (s *State) Touch() (mixed uint64) {
	mixed = uint64(s.horizon)
	for i := 0; i < len(s.tiles); i += 8 {
		mixed ^= s.tiles[i]
	}
	for i := 0; i < len(s.raw); i += 8 {
		mixed ^= s.raw[i]
	}
	for i := 0; i < len(s.cats); i += 2 {
		mixed ^= s.cats[i].hash
	}
	return mixed
}

// raise lets the horizon rise to a second. It never falls: what was merged under a higher one cannot be told apart again.
func (s *State) raise(sec int64) {
	s.horizon = uint32(s.horizonAt(sec))
}

// horizonAt gives the horizon's second where the owner's is sec.
func (s *State) horizonAt(sec int64) int64 {
	return min(max(int64(s.horizon), sec), math.MaxUint32)
}

// floorSecond gives the second that a time in microseconds lies in.
func floorSecond(at int64) int64 {
	sec := at / 1e6
	if at%1e6 < 0 {
		sec--
	}
	return sec
}

// trimmed gives back the memory of a slab that is less than half full.
func trimmed[T any](s []T, unit int) []T {
	if cap(s) < 2*len(s)+16*unit {
		return s
	}
	return append(make([]T, 0, len(s)), s...)
}

// room gives a slice with place for more elements, growing by a quarter: memory counts more here than the copies.
func room[T any](s []T, more int) []T {
	if len(s)+more <= cap(s) {
		return s
	}
	grown := make([]T, len(s), len(s)+max(4*more, len(s)/4/more*more))
	copy(grown, s)
	return grown
}
