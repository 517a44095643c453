package tiles

import (
	"encoding/binary"
	"math"
)

// The section of what was taken back:
//
//	parts   1 byte: 1 folded, 2 lost, 4 marks
//	folded  the oldest time uvarint (0 where first and last are not kept), then its seconds
//	lost    its seconds
//	marks   the rest: one bit for each raw contribution, the lowest first, without zero bytes at the end
const (
	partFolded = 1
	partLost   = 2
	partMarks  = 4
)

// voidMarks gives the bits of the void raw contributions.
func (s *State) voidMarks(l *Layout) []byte {
	var marks []byte
	stride := l.rawStride
	for i := range len(s.raw) / stride {
		if s.raw[i*stride+1]&voidMark == 0 {
			continue
		}
		for len(marks) <= i/8 {
			marks = append(marks, 0)
		}
		marks[i/8] |= 1 << (i % 8)
	}
	return marks
}

func (s *State) appendVoid(dst, marks []byte) []byte {
	m := missed{}
	if s.missed != nil {
		m = *s.missed
	}
	parts := byte(0)
	if m.folded.last != 0 {
		parts |= partFolded
	}
	if m.lost.last != 0 {
		parts |= partLost
	}
	if len(marks) > 0 {
		parts |= partMarks
	}
	dst = append(dst, parts)
	if m.folded.last != 0 {
		dst = binary.AppendUvarint(dst, uint64(m.first))
		dst = s.appendSeen(dst, &m.folded)
	}
	if m.lost.last != 0 {
		dst = s.appendSeen(dst, &m.lost)
	}
	return append(dst, marks...)
}

// decodeVoid reads what appendVoid wrote; the raw contributions are there already.
func (s *State) decodeVoid(l *Layout, d *decoder) {
	parts := d.byte()
	if parts == 0 || parts > partFolded|partLost|partMarks || parts&partFolded != 0 && l.spec.Raw == 0 {
		d.fail("bad parts")
	}
	m := missed{}
	if parts&partFolded != 0 {
		m.first = int64(d.below((math.MaxUint32 + 1) * 1e6))
		m.folded = s.decodeSeen(d)
		if m.first != 0 && m.first < 1e6 || (m.first != 0) != l.spec.Last || floorSecond(m.first) > int64(m.folded.last) {
			d.fail("bad first time of a void contribution")
		}
	}
	if parts&partLost != 0 {
		m.lost = s.decodeSeen(d)
	}
	if parts&partMarks != 0 {
		s.decodeMarks(l, d)
	}
	if d.bad == "" && parts&(partFolded|partLost) != 0 {
		s.missed = &m
	}
}

func (s *State) decodeMarks(l *Layout, d *decoder) {
	marks, stride := d.data, l.rawStride
	d.data = nil
	if n := len(marks); n == 0 || marks[n-1] == 0 || n > (len(s.raw)/stride+7)/8 {
		d.fail("bad marks")
		return
	}
	for i := range 8 * len(marks) {
		if marks[i/8]>>(i%8)&1 == 0 {
			continue
		}
		if (i+1)*stride > len(s.raw) {
			d.fail("a mark of no contribution")
			return
		}
		s.raw[i*stride+1] |= voidMark
	}
	for i := stride; i < len(s.raw); i += stride {
		if compareRaw(s.raw[i-stride:i], s.raw[i:i+stride]) > 0 {
			d.fail("marks out of order")
		}
	}
}
