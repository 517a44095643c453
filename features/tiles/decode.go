package tiles

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// decoder reads hostile bytes. After the first thing that cannot be, bad says what it was and every read gives zero.
type decoder struct {
	data []byte
	bad  string
}

func (d *decoder) fail(why string) {
	if d.bad == "" {
		d.bad = why
	}
	d.data = nil
}

func (d *decoder) byte() byte {
	if len(d.data) == 0 {
		d.fail("ends too early")
		return 0
	}
	b := d.data[0]
	d.data = d.data[1:]
	return b
}

func (d *decoder) cut(n uint64) *decoder {
	if n > uint64(len(d.data)) {
		d.fail("ends too early")
		return &decoder{bad: d.bad}
	}
	c := &decoder{data: d.data[:n]}
	d.data = d.data[n:]
	return c
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.data)
	if n <= 0 {
		d.fail("bad varint")
		return 0
	}
	d.data = d.data[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.data)
	if n <= 0 {
		d.fail("bad varint")
		return 0
	}
	d.data = d.data[n:]
	return v
}

// below reads a uvarint that must be less than limit.
func (d *decoder) below(limit uint64) uint64 {
	v := d.uvarint()
	if v >= limit {
		d.fail("number too large")
		return 0
	}
	return v
}

func (d *decoder) uint32() uint32 {
	if len(d.data) < 4 {
		d.fail("ends too early")
		return 0
	}
	v := binary.LittleEndian.Uint32(d.data)
	d.data = d.data[4:]
	return v
}

func (d *decoder) uint64() uint64 {
	if len(d.data) < 8 {
		d.fail("ends too early")
		return 0
	}
	v := binary.LittleEndian.Uint64(d.data)
	d.data = d.data[8:]
	return v
}

// second reads a second by its distance from the horizon. Zero is none, and refused.
func (d *decoder) second(horizon uint32) uint32 {
	v := d.varint()
	if v <= int64(horizon)-math.MaxUint32-1 || v >= int64(horizon) {
		d.fail("time out of range")
		return 0
	}
	return uint32(int64(horizon) - v)
}

// decodeTiles reads what appendTiles wrote. A tile has at least a byte for each of its columns, so that no more memory
// is taken than the bytes can fill.
func (s *State) decodeTiles(l *Layout, d *decoder) {
	n := d.below(uint64(len(d.data)) + 1)
	if n == 0 || n*uint64(2+l.linear+len(l.extremes)) > uint64(len(d.data)) {
		d.fail("bad number of tiles")
		return
	}
	stride := s.stride(l)
	s.tiles = slices.Grow(s.tiles, int(n)*stride)[:int(n)*stride]
	begin := uint64(0)
	for i := 0; i < len(s.tiles); i += stride {
		if i == 0 {
			begin = uint64(d.begin(s.horizon))
		} else {
			step := d.below(math.MaxUint32 + 1 - begin)
			if step == 0 {
				d.fail("tiles out of order")
			}
			begin += step
		}
		s.tiles[i] = begin << 32
	}
	for i := 0; i < len(s.tiles); i += stride {
		s.decodeCount(l, d, s.tiles[i:])
	}
	for column := range l.linear {
		for i := 0; i < len(s.tiles); i += stride {
			if s.wide {
				s.tiles[i+2+2*column], s.tiles[i+3+2*column] = d.uvarint(), uint64(d.varint())
			} else {
				s.tiles[i+1+column] = uint64(d.varint())
			}
		}
	}
	for column := stride - len(l.extremes); column < stride; column++ {
		for i := 0; i < len(s.tiles); i += stride {
			s.tiles[i+column] = d.extreme()
		}
	}
	if len(l.extremes) == 0 {
		return
	}
	for i := 0; i < len(s.tiles); i += stride {
		if tile := s.tiles[i : i+stride]; s.tileCount(tile) == 0 && l.noExtremes(tile) {
			d.fail("empty tile")
		}
	}
}

// begin is second for a tile's beginning, which may be 0.
func (d *decoder) begin(horizon uint32) uint32 {
	v := d.varint()
	if v < int64(horizon)-math.MaxUint32 || v > int64(horizon) {
		d.fail("time out of range")
		return 0
	}
	return uint32(int64(horizon) - v)
}

func (s *State) decodeCount(l *Layout, d *decoder, words []uint64) {
	limit := uint64(math.MaxUint32 + 1)
	if s.wide {
		limit = maxTileCount
	}
	count := d.below(limit)
	if count == 0 && len(l.extremes) == 0 {
		d.fail("empty tile")
	}
	if s.wide {
		words[1] = count
	} else {
		words[0] |= count
	}
}

func (s *State) decodeTimes(d *decoder) {
	first, rest := d.below((math.MaxUint32+1)*1e6), d.below(1e6)
	s.times = s.decodeSeen(d)
	s.first, s.last = int64(first), int64(s.times.last)*1e6+int64(rest)
	if first < 1e6 || s.first > s.last {
		d.fail("the first time is after the last")
	}
}

func (s *State) decodeSeen(d *decoder) seen {
	e := seen{last: d.second(s.horizon)}
	e.mask = d.below(1<<63)<<1 | 1
	if base := d.below(max(uint64(e.last), 1)); base != 0 {
		e.base = e.last - uint32(base)
		if base < maskSeconds {
			d.fail("base inside the mask")
		}
	}
	if d.bad == "" && bits.Len64(e.mask) > int(min(e.last, maskSeconds)) {
		d.fail("seconds before 1970")
	}
	return e
}

// categoryBytes is the least that a stored category takes.
const categoryBytes = 11

func (s *State) decodeCategories(l *Layout, d *decoder) {
	for col := range l.spec.Distincts {
		n := d.below(DistinctCap + 1)
		if n*categoryBytes > uint64(len(d.data)) {
			d.fail("bad number of categories")
			return
		}
		s.cats = slices.Grow(s.cats, int(n))
		hash := uint64(0)
		for range n {
			c := category{hash: d.uint64()}
			c.seen = s.decodeSeen(d)
			if c.hash <= hash {
				d.fail("categories out of order")
			}
			if d.bad != "" {
				return
			}
			hash = c.hash
			s.cats = append(s.cats, c)
		}
		s.ends[col] = uint16(len(s.cats))
	}
}

func (s *State) decodeRaw(l *Layout, d *decoder) {
	stride := l.rawStride
	n := d.below(uint64(l.spec.Raw) + 1)
	values := l.spec.RawValues.Len()
	if n == 0 || n*uint64(5+l.spec.categories()+values+l.spec.rawTables()) > uint64(len(d.data)) {
		d.fail("bad number of raw contributions")
		return
	}
	if words := int(n) * stride; cap(s.raw) < words {
		s.raw = make([]uint64, 0, words) // slices.Grow would round it up, beyond Layout.MaxBytes
	}
	at := uint64(0)
	for range n {
		at += d.below((math.MaxUint32+1)*1e6 - at)
		if at < 1e6 {
			d.fail("time out of range")
		}
		s.raw = append(s.raw, at, uint64(d.uint32()))
		for col := range l.spec.categories() {
			s.raw = append(s.raw, s.decodeRawCategory(l, d, col))
		}
		for range values {
			s.raw = append(s.raw, uint64(d.varint()))
		}
		s.decodeRawSlots(l, d)
		if from := len(s.raw) - 2*stride; from >= 0 && slices.Compare(s.raw[from:from+stride], s.raw[from+stride:]) > 0 {
			d.fail("raw contributions out of order")
		}
		if d.bad != "" {
			return
		}
	}
}

// decodeRawSlots reads the slots of a raw contribution, whose other words are there already.
func (s *State) decodeRawSlots(l *Layout, d *decoder) {
	for table := range l.spec.rawTables() {
		if table%slotsPerWord == 0 {
			s.raw = append(s.raw, 0)
		}
		_, shift := l.slotPlace(table)
		s.raw[len(s.raw)-1] |= d.below(uint64(l.spec.Counts[table])+1) << shift
	}
}

// decodeRawCategory reads what findKnown found; the words of the contribution that it belongs to are there already.
func (s *State) decodeRawCategory(l *Layout, d *decoder, col int) uint64 {
	column, stride := s.knownColumn(l, col), l.rawStride
	switch at := d.below(uint64(len(column)+len(s.raw)/stride) + 2); {
	case at >= uint64(len(column))+2:
		return s.raw[(int(at)-2-len(column))*stride+2+col]
	case at >= 2:
		return column[at-2].hash
	case at == 1:
		hash := d.uint64()
		if hash == 0 {
			d.fail("a category of zero")
		}
		return hash
	}
	return 0
}
