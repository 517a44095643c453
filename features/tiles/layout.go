package tiles

import (
	"errors"
	"fmt"
	"math/bits"
	"time"
	"unsafe"
)

// The bounds of a Spec.
const (
	// MaxSums and MaxDistincts bound the columns of one group, MaxValues the integers of a contribution.
	MaxSums, MaxDistincts, MaxValues = 16, 8, 32
	// MaxTables and MaxSlots bound the tables of one group, MaxShifts its shifted windows.
	MaxTables, MaxSlots, MaxShifts = 8, 8192, 16
	// DefaultRaw is how many of the newest contributions a group keeps as they came; MaxRaw bounds it.
	DefaultRaw, MaxRaw = 16, 256
	// minRaw is the least: a late reading makes do with one less, so that an event on the fly that lies ahead of all stays raw.
	minRaw = 2
	// DistinctCap is how many categories a distinct column remembers: the newest. A column that is full of categories
	// inside a window says Capped for it.
	DistinctCap = 256
)

// Spec declares what one group of events keeps for each entity. Only what is declared costs memory.
type Spec struct {
	// Windows are those that some feature of the group reads.
	Windows WindowSet
	// Values is how many integers a contribution has: Contribution.Values. Default (0): Sums.
	Values int
	// Sums is how many of the first of them are summed per window.
	Sums int
	// Distincts is how many category columns are counted: Contribution.Categories.
	Distincts int
	// Last says that the times of the first and the last contribution are kept, beyond all windows.
	Last bool
	// Raw is how many of the newest contributions are kept as they came, 2 or more. Default (0): DefaultRaw. Nothing is kept where
	// neither Last, Distincts, Larges nor RawValues ask for it.
	Raw int
	// RawValues says which of Values the raw contributions keep, one bit each.
	RawValues ValueSet
	// Squares says of which of the Sums the sum of squares is kept as well.
	Squares ValueSet
	// Lows and Highs say of which of RawValues the smallest and the largest are known per window. They are none of Sums:
	// where such a value is absent it is NoValue.
	Lows, Highs ValueSet
	// Recent is how many of the newest contributions are promised as they came: as many are kept raw, and two more.
	Recent int
	// Exact says that a window that has no more than Recent contributions, nor later ones, is read from them: over
	// (t-W, t] to the microsecond. RawValues then has every sum's value.
	Exact bool
	// Larges is how many category columns are counted by registers: those of Contribution.Categories after Distincts.
	Larges int
	// Counts has the number of slots of each table: contributions are counted by their slots (Contribution.Slots).
	Counts []int
	// Hours are those of Windows whose hours are told apart: for how many in a day, and how long a pause, there are. They
	// are of a week or longer, and contributions are counted by the hour for as long as the longest.
	Hours WindowSet
	// CountWindows are those of Windows that the tables and the large columns are read over, and what these live in tiles for.
	CountWindows WindowSet
	// Shifts are the shifted windows that some feature reads, of Windows. Tiles live as long as they need.
	Shifts []Span
}

// ValueSet is a set of values of a contribution, one bit each by their place.
type ValueSet uint32

// Has says whether a value is in the set.
func (v ValueSet) Has(value int) bool { return v>>value&1 != 0 }

// Len is how many values the set has.
func (v ValueSet) Len() int { return bits.OnesCount32(uint32(v)) }

// list gives the values of the set.
func (v ValueSet) list() (values []int) {
	for ; v != 0; v &= v - 1 {
		values = append(values, bits.TrailingZeros32(uint32(v)))
	}
	return values
}

// Layout is a checked Spec with what reading needs computed once. It never changes; any number of states share it.
type Layout struct {
	spec Spec
	// levels are the resolutions that a contribution passes while it ages, finest first: one second up to the horizon,
	// then one level per window.
	levels []level
	// windows are the spec's windows, shortest first, with their rungs; places has the place of each among them, -1 without.
	windows []window
	places  [windowCount]int8
	// linear is how many columns of a tile add up: sums, then squares of the sums that are named in squares.
	linear  int
	squares []int
	// extremes are the columns of a tile whose largest counts.
	extremes []extreme
	// tables has the first slot of each table, slots is how many there are in all.
	tables []uint16
	slots  int
	// counting are the levels of the tables' counts.
	counting []level
	// hours are the levels of the hours' counts, and hourSlot is where they lie among the tables' slots, behind all others.
	hours    []level
	hourSlot uint16
	// slotsAt is where a raw contribution's slots begin, rawStride how many words it has.
	slotsAt, rawStride int
	// header is how each encoding begins.
	header []byte
}

// level keeps tiles of hop seconds for length seconds behind the horizon, and back to a multiple of grid, which is its hop
// but for hours.
type level struct{ length, hop, grid int64 }

// window is one window of the layout.
type window struct {
	id          Window
	length, hop int64
}

// NewLayout checks a spec.
func NewLayout(spec Spec) (*Layout, error) {
	if spec.Values == 0 {
		spec.Values = spec.Sums
	}
	switch {
	case spec.Windows>>windowCount != 0:
		return nil, fmt.Errorf("window set %#x names an unknown window", uint8(spec.Windows))
	case spec.Sums < 0 || spec.Sums > MaxSums:
		return nil, fmt.Errorf("a group can sum at most %d values, not %d", MaxSums, spec.Sums)
	case spec.Distincts < 0 || spec.Larges < 0 || spec.categories() > MaxDistincts:
		return nil, fmt.Errorf("a group can count at most %d categories, not %d", MaxDistincts, spec.categories())
	case spec.Raw < 0 || spec.Raw == 1 || spec.Raw > MaxRaw:
		return nil, fmt.Errorf("a group can keep %d to %d raw contributions, not %d", minRaw, MaxRaw, spec.Raw)
	case spec.Values < spec.Sums || spec.Values > MaxValues:
		return nil, fmt.Errorf("a contribution can have at most %d values, and those that are summed, not %d", MaxValues, spec.Values)
	case spec.Recent < 0 || spec.Recent > MaxRaw:
		return nil, fmt.Errorf("a group can promise its newest %d contributions, not %d", MaxRaw, spec.Recent)
	case spec.Exact && (spec.Recent == 0 || spec.Windows == 0):
		return nil, errors.New("exact windows need a window, and recent contributions to be read from")
	case spec.RawValues>>spec.Values != 0:
		return nil, fmt.Errorf("raw values %#x name one that no contribution has", uint32(spec.RawValues))
	case spec.Windows == 0 && spec.Sums+spec.Distincts > 0:
		return nil, errors.New("sums and distinct counts need a window")
	case spec.Squares>>spec.Sums != 0:
		return nil, fmt.Errorf("squares %#x name a value that is not summed", uint32(spec.Squares))
	case (spec.Lows|spec.Highs)&^spec.RawValues != 0 || (spec.Lows|spec.Highs)&(1<<spec.Sums-1) != 0:
		return nil, fmt.Errorf("lows and highs %#x name a value that is summed, or that raw contributions do not keep", uint32(spec.Lows|spec.Highs))
	case spec.Windows == 0 && spec.Lows|spec.Highs != 0:
		return nil, errors.New("lows and highs need a window")
	case spec.Windows == 0 && !spec.Last:
		return nil, errors.New("a group must keep something: a window, or its first and last times")
	}
	if spec.Raw == 0 {
		spec.Raw = DefaultRaw
	}
	if !spec.Last && spec.categories() == 0 && spec.RawValues == 0 {
		spec.Raw = 0
	}
	if spec.Recent > 0 {
		spec.Raw = max(spec.Raw, spec.Recent+spareRaw)
	}
	if spec.Exact {
		spec.RawValues |= 1<<spec.Sums - 1
	}
	if err := spec.checkTables(); err != nil {
		return nil, err
	}
	l := &Layout{spec: spec, squares: spec.Squares.list(), extremes: extremesOf(spec)}
	l.linear = spec.Sums + len(l.squares)
	for _, slots := range spec.Counts {
		l.tables = append(l.tables, uint16(l.slots))
		l.slots += slots
	}
	for w := range l.places {
		l.places[w] = -1
	}
	for i, w := range spec.Windows.List() {
		r := w.rung()
		l.windows = append(l.windows, window{id: w, length: r.length, hop: r.hop})
		l.places[w] = int8(i)
	}
	l.slotsAt = 2 + spec.categories() + spec.RawValues.Len()
	l.rawStride = l.slotsAt + (spec.rawTables()+slotsPerWord-1)/slotsPerWord
	l.levels, l.counting = spec.levels(spec.Windows), spec.levels(spec.CountWindows)
	if spec.Hours != 0 {
		l.hours, l.hourSlot = hourLevels(spec.Hours), uint16(l.slots)
		l.slots++
	}
	l.header = appendHeader(spec, nil)
	return l, nil
}

// levels gives the levels that some windows need, with their shifts.
func (s *Spec) levels(windows WindowSet) (levels []level) {
	longest := int64(0)
	for _, w := range windows.List() {
		r := w.rung()
		if len(levels) == 0 && w != W1m {
			// No one-minute window, but what comes after t's second must not count: the seconds behind the newest event
			// stay apart.
			levels = append(levels, level{length: 0, hop: 1, grid: 1})
		}
		// A finer level that reaches further leaves nothing to the coarser one.
		longest = max(longest, r.length, s.longestShift(w)+r.length)
		levels = append(levels, level{length: longest, hop: r.hop, grid: r.hop})
	}
	return levels
}

// categories is how many categories a contribution has.
func (s *Spec) categories() int { return s.Distincts + s.Larges }

// longestShift gives by how many seconds a window is shifted at most.
func (s *Spec) longestShift(w Window) (seconds int64) {
	for _, span := range s.Shifts {
		if span.Window == w {
			seconds = max(seconds, int64(span.Shift/time.Second))
		}
	}
	return seconds
}

// checkTables refuses tables and shifted windows that are out of bounds.
func (s *Spec) checkTables() error {
	if len(s.Counts) > MaxTables || len(s.Shifts) > MaxShifts {
		return fmt.Errorf("a group can have at most %d tables and %d shifted windows, not %d and %d", MaxTables, MaxShifts, len(s.Counts), len(s.Shifts))
	}
	all := s.Hours.Len()
	for _, slots := range s.Counts {
		if all += slots; slots < 1 || slots > MaxSlots || s.Windows == 0 {
			return fmt.Errorf("a table needs a window and 1 to %d slots, not %d", MaxSlots, slots)
		}
	}
	if all > MaxTables*MaxSlots {
		return fmt.Errorf("with hours, the tables of a group can have fewer than %d slots", MaxTables*MaxSlots)
	}
	if s.CountWindows&^s.Windows != 0 || (s.CountWindows != 0) != (len(s.Counts)+s.Larges > 0) {
		return errors.New("tables and large counts need windows to be read over, which are some of the group's")
	}
	if s.Hours&^(s.Windows&dayWindows) != 0 {
		return errors.New("hours are told apart in windows of 7d and 30d, which are some of the group's")
	}
	for _, span := range s.Shifts {
		if err := span.Check(); err != nil {
			return err
		}
		if !s.Windows.Has(span.Window) || span.Shift == 0 {
			return fmt.Errorf("a shifted window is one of the windows, by more than nothing: %s, %s", span.Window, span.Shift)
		}
	}
	return nil
}

// Spec gives what the layout was made of, with its defaults filled in.
func (l *Layout) Spec() Spec { return l.spec }

// MaxBytes bounds what one state of the layout takes in RAM, whatever the rate of events, as long as its sums fit 64 bits
// in each tile.
func (l *Layout) MaxBytes() int {
	words := l.MaxTiles() * (1 + l.linear + len(l.extremes))
	words += words / 4 // slabs grow by a quarter
	categories, peaks := l.spec.Distincts*DistinctCap, l.MaxPeaks()
	return int(unsafe.Sizeof(State{})+unsafe.Sizeof(missed{})) + 8*words + 8*l.spec.Raw*l.rawStride +
		int(unsafe.Sizeof(category{}))*(categories+categories/4) + int(unsafe.Sizeof(bin{}))*(l.MaxCounts()+l.MaxCounts()/4+4) + 8*(peaks+peaks/4+4)
}

// MaxTiles bounds how many tiles one state has after Compact.
func (l *Layout) MaxTiles() int { return maxTiles(l.levels) }

// MaxCounts bounds how many counts of slots one state has after Compact.
func (l *Layout) MaxCounts() int {
	if len(l.hours) == 0 {
		return l.slots * maxTiles(l.counting)
	}
	return (l.slots-1)*maxTiles(l.counting) + maxTiles(l.hours)
}

// MaxPeaks bounds how many ranks of registers one state has after Compact: in each second of the grace any, before it
// only rising ones.
func (l *Layout) MaxPeaks() int { return l.spec.Larges * registers * (int(graceSeconds) + 2 + maxRank) }

func maxTiles(levels []level) int {
	tiles := int64(0)
	for i, lv := range levels {
		length := lv.length
		if i == 0 {
			length += graceSeconds
		}
		tiles += (length+lv.grid)/lv.hop + 1
	}
	return int(tiles)
}

// maxLevels is the ladder and the seconds before it.
const maxLevels = int(windowCount) + 1

// edge gives the second from which on something of length and hop is kept at second at.
func edge(at, length, hop int64) int64 {
	from := at - length
	r := from % hop
	if r < 0 {
		r += hop
	}
	return from - r
}

// levelEdges gives, for each level, the oldest second that it still holds at the horizon's second; what is older belongs
// to the next level.
func (l *Layout) levelEdges(horizon int64) [maxLevels]int64 { return edgesOf(l.levels, horizon) }

func edgesOf(levels []level, horizon int64) (edges [maxLevels]int64) {
	for i, lv := range levels {
		edges[i] = edge(horizon, lv.length, lv.grid)
	}
	return edges
}

// level gives the level of a second, or -1 where it is too old for all.
func (l *Layout) level(sec, horizon int64) int { return levelOf(l.levels, sec, horizon) }

func levelOf(levels []level, sec, horizon int64) int {
	for i, lv := range levels {
		if sec >= edge(horizon, lv.length, lv.grid) {
			return i
		}
	}
	return -1
}

// oldest gives the oldest second that any window can still have.
func (l *Layout) oldest(horizon int64) int64 {
	lv := l.levels[len(l.levels)-1]
	return edge(horizon, lv.length, lv.grid)
}
