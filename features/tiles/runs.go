package tiles

import (
	"encoding/binary"
	"math"
)

// Counts of slots and ranks of registers are stored alike: by owner (a slot, a register), and for each by time.

// appendRuns appends how many entries there are, and owner by owner: its distance from the one before, how many it has,
// and of each the beginning by its distance (of the first from the horizon) and its value.
func (s *State) appendRuns(dst []byte, n int, at func(int) (owner int, begin uint32), value func([]byte, int) []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(n))
	last := 0
	for i := 0; i < n; {
		owner, begin := at(i)
		end := i + 1
		for end < n {
			if other, _ := at(end); other != owner {
				break
			}
			end++
		}
		dst = binary.AppendUvarint(dst, uint64(owner-last))
		dst = binary.AppendUvarint(dst, uint64(end-i))
		dst = binary.AppendVarint(dst, int64(s.horizon)-int64(begin))
		dst = value(dst, i)
		for last = owner; i+1 < end; i++ {
			_, next := at(i + 1)
			dst = binary.AppendUvarint(dst, uint64(next-begin))
			dst = value(dst, i+1)
			begin = next
		}
		i++
	}
	return dst
}

// decodeRuns reads what appendRuns wrote, of owners below a bound; entry reads the value. An entry takes at least two
// bytes, so that no more memory is taken than the bytes can fill.
func (s *State) decodeRuns(d *decoder, owners int, room func(n int), entry func(owner int, begin uint32)) {
	left := d.below(uint64(len(d.data))/2 + 1)
	room(int(left))
	owner := uint64(0)
	for first := true; d.bad == "" && left > 0; first = false {
		step := d.below(uint64(owners) - owner)
		if step == 0 && !first {
			d.fail("owners out of order")
		}
		owner += step
		n := d.below(left + 1)
		if n == 0 {
			d.fail("an owner of nothing")
		}
		left -= n
		begin := uint64(d.begin(s.horizon))
		for i := range n {
			if i > 0 {
				step := d.below(math.MaxUint32 + 1 - begin)
				if step == 0 {
					d.fail("beginnings out of order")
				}
				begin += step
			}
			if d.bad != "" {
				return
			}
			entry(int(owner), uint32(begin))
		}
	}
}
