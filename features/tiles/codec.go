package tiles

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// What DecodeBinary refuses.
var (
	// ErrVersion is a format that this build does not know: a newer build wrote it.
	ErrVersion = errors.New("unknown format version of window state")
	// ErrLayout is a state of another spec.
	ErrLayout = errors.New("window state of another layout")
	// ErrCorrupt is no state at all.
	ErrCorrupt = errors.New("corrupt window state")
)

// The format, version 1. Varints are those of encoding/binary.
//
//	version   1 byte
//	layout    windows 1 byte | flags 1 byte (1: first and last, 2: raw contributions have values, 4: windows are shifted, 8: raw
//	          contributions have slots) | raw uvarint
//	          | with flag 2: how many values a contribution has uvarint, those that are raw uvarint, a bit each
//	          | with flag 4: how many uvarint, of each the window 1 byte and the shift uvarint, in seconds
//	          | columns uvarint, a byte each for its kind and, but for sums, one for the value's place | tables uvarint, a byte each for its kind and, of counts,
//	          the number of slots uvarint, of hours their windows 1 byte | with counts or ranks: their windows 1 byte
//	width     1 byte: 0 narrow, 1 wide tiles
//	horizon   uvarint, its second
//	sections  tag 1 byte, length uvarint, content; by rising tag, empty ones left out
//
// A new aggregate is a new column kind in the tiles, a new table kind or a new section. A build that does not know it
// refuses the state; states without it stay as they are, and the version with them.
const (
	formatVersion = 1

	flagTimes     = 1
	flagRawValues = 2
	flagShifts    = 4
	flagRawSlots  = 8

	columnSum     = 1
	columnSquare  = 2
	columnLow     = 3
	columnHigh    = 4
	tableLastSeen = 1
	tableCounts   = 2
	tablePeaks    = 3
	tableHours    = 4

	sectionTiles    = 1
	sectionTimes    = 2
	sectionDistinct = 3
	sectionRaw      = 4
	sectionVoid     = 5
	sectionCounts   = 6
	sectionPeaks    = 7
)

// maxTileCount bounds what one stored tile can say to have counted, so that no reading can overflow.
const maxTileCount = 1 << 48

// appendHeader appends the version and what the state's content means.
func appendHeader(spec Spec, dst []byte) []byte {
	flags := byte(0)
	if spec.Last {
		flags |= flagTimes
	}
	if spec.RawValues != 0 {
		flags |= flagRawValues
	}
	if len(spec.Shifts) > 0 {
		flags |= flagShifts
	}
	if spec.rawTables() > 0 {
		flags |= flagRawSlots
	}
	dst = append(dst, formatVersion, byte(spec.Windows), flags)
	dst = binary.AppendUvarint(dst, uint64(spec.Raw))
	if spec.RawValues != 0 {
		dst = binary.AppendUvarint(dst, uint64(spec.Values))
		dst = binary.AppendUvarint(dst, uint64(spec.RawValues))
	}
	if len(spec.Shifts) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(spec.Shifts)))
		for _, s := range spec.Shifts {
			dst = binary.AppendUvarint(append(dst, byte(s.Window)), uint64(s.Shift/time.Second))
		}
	}
	dst = binary.AppendUvarint(dst, uint64(spec.Sums+spec.Squares.Len()+spec.Lows.Len()+spec.Highs.Len()))
	for range spec.Sums {
		dst = append(dst, columnSum)
	}
	for _, value := range spec.Squares.list() {
		dst = append(dst, columnSquare, byte(value))
	}
	for _, e := range extremesOf(spec) {
		dst = append(dst, e.kind(), byte(e.value))
	}
	dst = binary.AppendUvarint(dst, uint64(spec.categories()+len(spec.Counts)+min(spec.Hours.Len(), 1)))
	for range spec.Distincts {
		dst = append(dst, tableLastSeen)
	}
	for _, slots := range spec.Counts {
		dst = binary.AppendUvarint(append(dst, tableCounts), uint64(slots))
	}
	for range spec.Larges {
		dst = append(dst, tablePeaks)
	}
	if spec.Hours != 0 {
		dst = append(dst, tableHours, byte(spec.Hours))
	}
	if spec.CountWindows != 0 {
		dst = append(dst, byte(spec.CountWindows))
	}
	return dst
}

// AppendBinary appends the state's encoding. Compact first: it makes it smaller, and one for all orders of arrival.
func (s *State) AppendBinary(l *Layout, dst []byte) []byte {
	dst = append(dst, l.header...)
	width := byte(0)
	if s.wide {
		width = 1
	}
	dst = append(dst, width)
	dst = binary.AppendUvarint(dst, uint64(s.horizon))
	if len(s.tiles) > 0 {
		dst = appendSection(dst, sectionTiles, func(b []byte) []byte { return s.appendTiles(l, b) })
	}
	if s.times.last != 0 {
		dst = appendSection(dst, sectionTimes, func(b []byte) []byte {
			b = binary.AppendUvarint(b, uint64(s.first))
			b = binary.AppendUvarint(b, uint64(s.last)-uint64(s.times.last)*1e6)
			return s.appendSeen(b, &s.times)
		})
	}
	if len(s.cats) > 0 {
		dst = appendSection(dst, sectionDistinct, func(b []byte) []byte { return s.appendCategories(l, b) })
	}
	if len(s.raw) > 0 {
		dst = appendSection(dst, sectionRaw, func(b []byte) []byte { return s.appendRaw(l, b) })
	}
	if marks := s.voidMarks(l); len(marks) > 0 || s.missed != nil {
		dst = appendSection(dst, sectionVoid, func(b []byte) []byte { return s.appendVoid(b, marks) })
	}
	if len(s.bins) > 0 {
		dst = appendSection(dst, sectionCounts, s.appendBins)
	}
	if len(s.peaks) > 0 {
		dst = appendSection(dst, sectionPeaks, s.appendPeaks)
	}
	return dst
}

// IsEmpty says whether an encoding holds nothing, so that the zero State gives the same readings.
func (l *Layout) IsEmpty(data []byte) bool {
	return !l.hasSection(data, func(byte) bool { return true })
}

// HasWindows says whether an encoding holds more than what no window bounds: first and last times, raw contributions.
func (l *Layout) HasWindows(data []byte) bool {
	return l.hasSection(data, func(tag byte) bool { return tag != sectionTimes && tag != sectionRaw })
}

// hasSection says whether an encoding has a section of some kind. What cannot be read has all.
func (l *Layout) hasSection(data []byte, kind func(tag byte) bool) bool {
	if !bytes.HasPrefix(data, l.header) {
		return true
	}
	d := decoder{data: data[len(l.header):]}
	d.below(2)
	d.below(math.MaxUint32 + 1)
	for d.bad == "" && len(d.data) > 0 {
		if kind(d.byte()) {
			return true
		}
		d.cut(d.below(uint64(len(d.data)) + 1))
	}
	return d.bad != ""
}

// appendSection appends a section, its length before it: two bytes are kept for that, and moved where one or three do.
func appendSection(dst []byte, tag byte, content func([]byte) []byte) []byte {
	const kept = 2
	dst = append(dst, tag, 0, 0)
	from := len(dst)
	dst = content(dst)
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(len(dst)-from))
	for range n - kept {
		dst = append(dst, 0)
	}
	end := len(dst) - max(n-kept, 0)
	copy(dst[from-kept+n:], dst[from:end])
	copy(dst[from-kept:], length[:n])
	return dst[:end-kept+n]
}

// appendTiles appends the tiles column by column: beginnings by their distances, counts, then each column that adds up,
// then the extremes.
func (s *State) appendTiles(l *Layout, dst []byte) []byte {
	stride := s.stride(l)
	dst = binary.AppendUvarint(dst, uint64(len(s.tiles)/stride))
	last := uint32(0)
	for i := 0; i < len(s.tiles); i += stride {
		begin := start(s.tiles[i])
		if i == 0 {
			dst = binary.AppendVarint(dst, int64(s.horizon)-int64(begin))
		} else {
			dst = binary.AppendUvarint(dst, uint64(begin-last))
		}
		last = begin
	}
	for i := 0; i < len(s.tiles); i += stride {
		dst = binary.AppendUvarint(dst, uint64(s.tileCount(s.tiles[i:])))
	}
	for column := range l.linear {
		for i := 0; i < len(s.tiles); i += stride {
			sum := s.tileSum(s.tiles[i:], column)
			if s.wide {
				dst = binary.AppendUvarint(dst, sum.Lo)
				dst = binary.AppendVarint(dst, sum.Hi)
				continue
			}
			dst = binary.AppendVarint(dst, int64(sum.Lo))
		}
	}
	for column := stride - len(l.extremes); column < stride; column++ {
		for i := 0; i < len(s.tiles); i += stride {
			dst = appendExtreme(dst, s.tiles[i+column])
		}
	}
	return dst
}

// appendSeen appends seconds: the last by its distance from the horizon, the mask without its first bit, the base by its
// distance from the last.
func (s *State) appendSeen(dst []byte, e *seen) []byte {
	dst = binary.AppendVarint(dst, int64(s.horizon)-int64(e.last))
	dst = binary.AppendUvarint(dst, e.mask>>1)
	base := uint64(0)
	if e.base != 0 {
		base = uint64(e.last - e.base)
	}
	return binary.AppendUvarint(dst, base)
}

func (s *State) appendCategories(l *Layout, dst []byte) []byte {
	for col := range l.spec.Distincts {
		column := s.column(col)
		dst = binary.AppendUvarint(dst, uint64(len(column)))
		for i := range column {
			dst = binary.LittleEndian.AppendUint64(dst, column[i].hash)
			dst = s.appendSeen(dst, &column[i].seen)
		}
	}
	return dst
}

// appendRaw appends the raw contributions. A category is 0 for none, 1 and its hash, or 2 and more for its place among
// the folded categories of its column and then the raw contributions before. Then come its
// values, and a uvarint for each slot: 0 for none, else one more.
func (s *State) appendRaw(l *Layout, dst []byte) []byte {
	stride := l.rawStride
	dst = binary.AppendUvarint(dst, uint64(len(s.raw)/stride))
	last := uint64(0)
	for i := 0; i < len(s.raw); i += stride {
		dst = binary.AppendUvarint(dst, s.raw[i]-last)
		last = s.raw[i]
		dst = binary.LittleEndian.AppendUint32(dst, uint32(s.raw[i+1]))
		values := i + 2 + l.spec.categories()
		for col, hash := range s.raw[i+2 : values] {
			at, known := s.findKnown(l, col, hash, i)
			switch {
			case hash == 0:
				dst = append(dst, 0)
			case known:
				dst = binary.AppendUvarint(dst, uint64(at+2))
			default:
				dst = binary.LittleEndian.AppendUint64(append(dst, 1), hash)
			}
		}
		for _, v := range s.raw[values : i+l.slotsAt] {
			dst = binary.AppendVarint(dst, int64(v))
		}
		for table := range l.spec.rawTables() {
			word, shift := l.slotPlace(table)
			dst = binary.AppendUvarint(dst, uint64(rawSlot(s.raw[i:], word, shift)+1))
		}
	}
	return dst
}

// knownColumn gives the folded categories of a column, none of a large one.
func (s *State) knownColumn(l *Layout, col int) []category {
	if col >= l.spec.Distincts {
		return nil
	}
	return s.column(col)
}

// findKnown finds a category among the folded ones of its column and then among the raw contributions before word end.
func (s *State) findKnown(l *Layout, col int, hash uint64, end int) (int, bool) {
	column := s.knownColumn(l, col)
	if at, ok := findCategory(column, hash); ok {
		return at, true
	}
	stride := l.rawStride
	for i := 0; i < end; i += stride {
		if s.raw[i+2+col] == hash {
			return len(column) + i/stride, true
		}
	}
	return 0, false
}

// DecodeBinary replaces the state by what AppendBinary wrote, and keeps nothing of data. The errors wrap ErrVersion,
// ErrLayout (written by another spec) or ErrCorrupt; the state is then empty.
func (s *State) DecodeBinary(l *Layout, data []byte) (err error) {
	*s = State{tiles: s.tiles[:0], cats: s.cats[:0], raw: s.raw[:0], bins: s.bins[:0], peaks: s.peaks[:0]}
	defer func() {
		if err != nil {
			*s = State{}
		}
	}()
	d := decoder{data: data}
	if version := d.byte(); d.bad != "" || version != formatVersion {
		return fmt.Errorf("%w: %d, known is %d", ErrVersion, version, formatVersion)
	}
	want := l.header
	if !bytes.HasPrefix(data, want) {
		return fmt.Errorf("%w: it begins with %x, not %x", ErrLayout, data[:min(len(data), len(want))], want)
	}
	d.data = data[len(want):]
	s.wide = d.below(2) == 1
	s.horizon = uint32(d.below(math.MaxUint32 + 1))
	for tag := byte(0); d.bad == "" && len(d.data) > 0; {
		next := d.byte()
		if next <= tag {
			d.fail("sections out of order")
		}
		tag = next
		section := d.cut(d.below(uint64(len(d.data)) + 1))
		s.decodeSection(l, tag, section)
		if section.bad == "" && len(section.data) > 0 {
			section.fail("bytes left over")
		}
		if section.bad != "" {
			d.fail(fmt.Sprintf("section %d: %s", tag, section.bad))
		}
	}
	if d.bad != "" {
		return fmt.Errorf("%w: %s", ErrCorrupt, d.bad)
	}
	return nil
}

func (s *State) decodeSection(l *Layout, tag byte, d *decoder) {
	switch {
	case tag == sectionTiles && len(l.windows) > 0:
		s.decodeTiles(l, d)
	case tag == sectionTimes && l.spec.Last:
		s.decodeTimes(d)
	case tag == sectionDistinct && l.spec.Distincts > 0:
		s.decodeCategories(l, d)
	case tag == sectionRaw && l.spec.Raw > 0:
		s.decodeRaw(l, d)
	case tag == sectionVoid:
		s.decodeVoid(l, d)
	case tag == sectionCounts && l.slots > 0:
		s.decodeBins(l, d)
	case tag == sectionPeaks && l.spec.Larges > 0:
		s.decodePeaks(l, d)
	default:
		d.fail("unknown")
	}
}
