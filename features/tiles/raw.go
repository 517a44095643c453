package tiles

import (
	"math/bits"
	"slices"
)

// The newest Spec.Raw contributions are kept as they came, each as its time, its ID, its categories, the values that
// Spec.RawValues names, a word each, and for exact tables its slots, four to a word. All older ones are folded: into the categories' seconds, the first and the last
// time. Both parts are functions of the set: the raw ones are the newest by all their words, and a contribution that was
// folded never comes back. So whatever cannot be inverted can still do without any one of the raw contributions.

// rawWords are the words of the largest raw contribution.
type rawWords [2 + MaxDistincts + MaxValues + MaxTables/slotsPerWord]uint64

// slotsPerWord is how many slots a word of a raw contribution holds, the first table's highest: 0 is NoSlot, else one more
// than the slot.
const slotsPerWord, slotBits = 4, 16

// addRaw puts a contribution, void or not, among the raw ones and folds the one that it turns out, which may be itself.
func (s *State) addRaw(l *Layout, c *Contribution, mark uint64) {
	var words rawWords
	rec := l.record(c, &words)
	rec[1] |= mark
	at := len(s.raw)
	for at > 0 && compareRaw(rec, s.raw[at-len(rec):at]) < 0 {
		at -= len(rec)
	}
	if !s.rawFull(l) {
		if n := len(s.raw) / len(rec); len(s.raw) == cap(s.raw) {
			s.raw = append(make([]uint64, 0, min(2*n+2, l.spec.Raw)*len(rec)), s.raw...)
		}
		s.raw = insert(s.raw, at, len(rec))
		copy(s.raw[at:], rec)
		return
	}
	if at == 0 {
		s.fold(l, rec)
		return
	}
	s.fold(l, s.raw[:len(rec)])
	at -= len(rec)
	copy(s.raw, s.raw[len(rec):at+len(rec)])
	copy(s.raw[at:], rec)
}

// fold adds a raw contribution to what is known of those that are not raw.
func (s *State) fold(l *Layout, rec []uint64) {
	at := int64(rec[0])
	sec := floorSecond(at)
	if rec[1]&voidMark != 0 {
		s.missFolded(l, at)
	}
	s.foldExtremes(l, rec, sec)
	if l.spec.Last {
		if s.times.last == 0 {
			s.first, s.last = at, at
		}
		s.first, s.last = min(s.first, at), max(s.last, at)
		s.times.add(uint32(sec))
	}
	for col, hash := range rec[2 : 2+l.spec.categories()] {
		switch large := col - l.spec.Distincts; {
		case hash == 0:
		case large >= 0:
			s.addPeak(l, large, hash, sec)
		default:
			s.addCategory(l, col, hash, uint32(sec))
		}
	}
}

// foldsWhatIsRead says that something is read of folded contributions.
func (l *Layout) foldsWhatIsRead() bool {
	return l.spec.Raw > 0 && (l.spec.categories() > 0 || l.spec.Last || len(l.extremes) > 0)
}

// foldSpare folds the oldest raw contributions but for those that are newest whether minus, which may be among them, is
// there or not. A late reading needs it: what is folded counts by its tile then, and what is raw by its time.
func (s *State) foldSpare(l *Layout, minus *Contribution) {
	stride, q := l.rawStride, query{minus: minus}
	for i := 0; i < len(s.raw); i += stride {
		if q.isMinus(s.raw[i:]) {
			return
		}
	}
	if from := len(s.raw) - (l.spec.Raw-1)*stride; from > 0 {
		s.fold(l, s.raw[:stride])
		s.raw = slices.Delete(s.raw, 0, stride)
	}
}

// rawTables is of how many tables the raw contributions keep the slots.
func (s *Spec) rawTables() int {
	if !s.Exact {
		return 0
	}
	return len(s.Counts)
}

// slotPlace gives the word of a table's slot in a raw contribution, and by how many bits it is shifted there.
func (l *Layout) slotPlace(table int) (word, shift int) {
	return l.slotsAt + table/slotsPerWord, slotBits * (slotsPerWord - 1 - table%slotsPerWord)
}

// rawSlot gives a table's slot of a raw contribution.
func rawSlot(rec []uint64, word, shift int) int32 { return int32(rec[word]>>shift&(1<<slotBits-1)) - 1 }

// record gives the words of a contribution.
func (l *Layout) record(c *Contribution, words *rawWords) []uint64 {
	words[0], words[1] = uint64(c.At), uint64(c.ID)
	n := 2 + copy(words[2:], c.Categories[:l.spec.categories()])
	for v := l.spec.RawValues; v != 0; v &= v - 1 {
		words[n] = uint64(c.Values[bits.TrailingZeros32(uint32(v))])
		n++
	}
	for table := range l.spec.rawTables() {
		word, shift := l.slotPlace(table)
		words[word] |= uint64(c.Slots[table]+1) << shift
	}
	return words[:l.rawStride]
}

// rawFull says that a further contribution turns one out, and that there may be folded ones.
func (s *State) rawFull(l *Layout) bool { return len(s.raw) >= l.spec.Raw*l.rawStride }

// rawQuery is what a query makes of the raw contributions.
type rawQuery struct {
	// words are the raw contributions of the state, oldest first.
	words []uint64
	// plus says that the query's plus is one of them.
	plus bool
	// minus says that the query's minus was one of them: everything can do without it.
	minus bool
	// foldAt is the time of the one that plus turns out of them, and foldSec its second, 0 without; fold are its words, nil
	// where it is plus itself. It takes part as folded, and may stay among words: no folded one is newer.
	fold    []uint64
	foldAt  int64
	foldSec int64
	// missedSec is the newest second of a void contribution that is folded, 0 without; missedFirst the oldest time of them.
	missedSec, missedFirst int64
}

// prepareRaw sees to plus and minus.
func (s *State) prepareRaw(l *Layout, q *query) {
	stride := l.rawStride
	q.raw = rawQuery{words: s.raw}
	if q.minus != nil {
		for i := 0; i < len(s.raw); i += stride {
			q.raw.minus = q.raw.minus || q.isMinus(s.raw[i:])
		}
	}
	if q.plusSec != 0 {
		s.preparePlus(l, q)
	}
	s.prepareMissed(l, q)
}

// preparePlus finds what plus turns out of the raw contributions.
func (s *State) preparePlus(l *Layout, q *query) {
	if !s.rawFull(l) {
		q.raw.plus = true
		return
	}
	oldest := s.raw[:l.rawStride]
	if s.turnsOut(l, q.plus, oldest) {
		q.raw.plus, q.raw.fold, q.raw.foldAt = true, oldest, int64(oldest[0])
	} else {
		q.raw.foldAt = q.plus.At
	}
	q.raw.foldSec = floorSecond(q.raw.foldAt)
}

// turnsOut says whether a contribution comes after the oldest raw one.
func (s *State) turnsOut(l *Layout, c *Contribution, oldest []uint64) bool {
	if at := uint64(c.At); at != oldest[0] {
		return at > oldest[0] // nearly always: no words are needed
	}
	var words rawWords
	return compareRaw(l.record(c, &words), oldest) >= 0
}

// prepareMissed finds what is missed of corrections, also once plus has turned a void contribution out.
func (s *State) prepareMissed(l *Layout, q *query) {
	if s.missed == nil && (q.raw.fold == nil || q.raw.fold[1]&voidMark == 0) {
		return
	}
	m := missed{}
	if s.missed != nil {
		m = *s.missed
	}
	if q.raw.fold != nil && q.raw.fold[1]&voidMark != 0 {
		with := State{missed: &m}
		with.missFolded(l, q.raw.foldAt)
	}
	q.raw.missedSec, q.raw.missedFirst = int64(m.folded.newestAt(q.sec, q.horizon)), m.first
}

// foldedCategory gives the category of what plus turns out of the raw contributions, 0 without.
func (q *query) foldedCategory(col int) uint64 {
	switch {
	case q.raw.foldSec == 0:
		return 0
	case q.raw.fold == nil:
		return q.plus.Categories[col]
	}
	return q.raw.fold[2+col]
}

func (q *query) isMinus(rec []uint64) bool {
	return q.minus != nil && int64(rec[0]) == q.minus.At && rec[1] == uint64(q.minus.ID)
}

// takesPart says whether a raw contribution counts in the query: it is not of a later second, not void and not left out.
func (q *query) takesPart(rec []uint64) bool {
	return int64(rec[0]) < q.end && rec[1]&voidMark == 0 && !q.isMinus(rec)
}
