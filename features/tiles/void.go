package tiles

import (
	"cmp"
	"math"
	"slices"
)

// A contribution that was taken back is void. What can be inverted (counts and sums) does without it at once. Of what
// cannot, the newest raw contributions know each by itself: a void one keeps its place among them, so that what is raw
// stays a function of all contributions, void or not, and takes no part in any reading. Folded, it cannot be told from
// the others any more: its value stays, and its second is noted as missed. Whether the correction came before the
// contribution, after it or after its folding makes no difference to what is kept.

// voidMark is a raw contribution's being void, in the word of its ID. It does not take part in the order of raw
// contributions, but that of two that are otherwise the same the void one comes after.
const voidMark = 1 << 63

// missed is what is known of corrections that could not be made. A state without any has none.
type missed struct {
	// folded are the seconds of void contributions that were folded; first is, for Spec.Last, the oldest time of them.
	folded seen
	first  int64
	// lost are seconds of corrections whose original nobody knows: all values may still hold it.
	lost seen
}

// Void takes a contribution back that was added and was not void. It must be as it was added, and the horizon as for Add.
func (s *State) Void(l *Layout, c *Contribution, horizon int64) {
	sec := floorSecond(c.At)
	if sec < 1 || sec > math.MaxUint32 {
		return
	}
	s.raise(floorSecond(horizon))
	if l.spec.Raw > 0 {
		s.voidRaw(l, c)
	}
	s.subtract(l, c, sec)
}

// AddVoid adds a contribution whose correction came before it: as Add and then Void.
func (s *State) AddVoid(l *Layout, c *Contribution, horizon int64) {
	sec := floorSecond(c.At)
	if sec < 1 || sec > math.MaxUint32 {
		return
	}
	s.raise(floorSecond(horizon))
	if l.spec.Raw > 0 {
		s.addRaw(l, c, voidMark)
	}
}

// Restore undoes Void, as far as that goes: of a contribution that was folded the second stays missed. It is for reading
// a Clone as things stood before a correction.
func (s *State) Restore(l *Layout, c *Contribution, horizon int64) {
	sec := floorSecond(c.At)
	if sec < 1 || sec > math.MaxUint32 {
		return
	}
	s.raise(floorSecond(horizon))
	if l.spec.Raw > 0 {
		if at, ok := s.findRaw(l, c, voidMark); ok {
			s.raw[at+1] &^= voidMark
		}
	}
	if at := l.level(sec, int64(s.horizon)); at >= 0 {
		s.addTile(l, uint32(sec-sec%l.levels[at].hop), c.Values)
		s.addBins(l, c.Slots, sec)
	}
}

// Miss notes that a contribution of about this time was taken back and is not known: it may still be inside, and every
// value that reaches back to it says CorrectionMissed. The time is not after the entity's newest event, which the
// correction is at the earliest.
func (s *State) Miss(at, horizon int64) {
	sec := floorSecond(at)
	if sec < 1 || sec > math.MaxUint32 {
		return
	}
	s.raise(floorSecond(horizon))
	s.missing().lost.add(uint32(sec))
}

func (s *State) missing() *missed {
	if s.missed == nil {
		s.missed = &missed{}
	}
	return s.missed
}

// missFolded notes the folding of a void contribution, or the voiding of a folded one.
func (s *State) missFolded(l *Layout, at int64) {
	m := s.missing()
	m.folded.add(uint32(floorSecond(at)))
	switch {
	case !l.spec.Last: // nobody asks, and the older ones are forgotten
	case m.first == 0:
		m.first = at
	default:
		m.first = min(m.first, at)
	}
}

// compareRaw is the order of raw contributions.
func compareRaw(a, b []uint64) int {
	if n := cmp.Compare(a[0], b[0]); n != 0 {
		return n
	}
	if n := cmp.Compare(a[1]&^voidMark, b[1]&^voidMark); n != 0 {
		return n
	}
	if n := slices.Compare(a[2:], b[2:]); n != 0 {
		return n
	}
	return cmp.Compare(a[1], b[1])
}

// voidRaw marks a raw contribution, or notes that it was folded.
func (s *State) voidRaw(l *Layout, c *Contribution) {
	at, ok := s.findRaw(l, c, 0)
	if !ok {
		s.missFolded(l, c.At)
		return
	}
	s.raw[at+1] |= voidMark
}

// findRaw finds a raw contribution with a mark or without: of several that are the same, the one whose mark can change
// without changing the order.
func (s *State) findRaw(l *Layout, c *Contribution, mark uint64) (at int, ok bool) {
	var words rawWords
	rec := l.record(c, &words)
	rec[1] |= mark
	for i := 0; i < len(s.raw); i += len(rec) {
		if slices.Equal(rec, s.raw[i:i+len(rec)]) {
			at, ok = i, true
			if mark != 0 {
				return at, true // the first void one follows those that are not
			}
		}
	}
	return at, ok
}

// subtract takes a contribution out of its tile. All tiles are brought to the levels that they have at the horizon first:
// then there is one that holds it, unless it is too old for all.
func (s *State) subtract(l *Layout, c *Contribution, sec int64) {
	if len(l.levels) == 0 {
		return
	}
	level := l.level(sec, int64(s.horizon))
	if level < 0 {
		return
	}
	s.subtractBins(l, c.Slots, sec)
	s.compactTiles(l)
	stride := s.stride(l)
	at, found := s.findTile(stride, uint32(sec-sec%l.levels[level].hop))
	if !found {
		return
	}
	if !s.wide && !subtractNarrow(l, s.tiles[at:at+stride], c.Values) {
		tile := at / stride
		s.widen(l)
		stride = s.stride(l)
		at = tile * stride
	}
	if s.wide {
		subtractWide(l, s.tiles[at:at+stride], c.Values)
	}
	if s.tileCount(s.tiles[at:]) == 0 && l.noExtremes(s.tiles[at:at+stride]) {
		s.tiles = slices.Delete(s.tiles, at, at+stride)
	}
}

// subtractNarrow is addNarrow the other way round.
func subtractNarrow(l *Layout, tile []uint64, values []int64) bool {
	var scratch [maxLinear]int64
	values, ok := l.narrowColumns(values, &scratch)
	if !ok {
		return false
	}
	sums := tile[1:]
	for i, v := range values {
		old := int64(sums[i])
		if diff := old - v; (diff < old) != (v > 0) && v != 0 {
			for i--; i >= 0; i-- {
				sums[i] += uint64(values[i])
			}
			return false
		}
		sums[i] -= uint64(v)
	}
	tile[0]--
	return true
}

func subtractWide(l *Layout, tile []uint64, values []int64) {
	tile[1]--
	for i := range l.linear {
		n := l.column(values, i).Neg()
		addWords(&tile[2+2*i], &tile[3+2*i], n.Lo, uint64(n.Hi))
	}
}

// readLost flags what a lost correction may touch.
func (s *State) readLost(l *Layout, q *query, r *Reading) {
	sec := int64(s.missed.lost.newestAt(q.sec, q.horizon))
	if sec == 0 {
		return
	}
	r.lost, r.lostFrom = sec, 0
	for r.lostFrom < len(l.windows) && sec < max(q.edge(l, r.lostFrom), q.oldest(l)) {
		r.lostFrom++
	}
	// What was lost is the last only where nothing newer is known, and may always be the first.
	if r.last.at != NoTime && floorSecond(r.last.at) <= sec {
		r.last.flags |= CorrectionMissed
	}
	if r.first.at != NoTime {
		r.first.flags |= CorrectionMissed
	}
}

// compactMissed forgets what no reading heeds.
func (s *State) compactMissed(l *Layout) {
	if s.missed == nil {
		return
	}
	oldest := int64(0)
	if !l.spec.Last {
		oldest = l.oldest(int64(s.horizon))
	}
	m := s.missed
	if m.folded.last != 0 && !m.folded.keep(int64(s.horizon), oldest) {
		m.folded = seen{}
	}
	if m.lost.last != 0 && !m.lost.keep(int64(s.horizon), oldest) {
		m.lost = seen{}
	}
	if *m == (missed{}) {
		s.missed = nil
	}
}
