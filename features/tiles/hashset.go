package tiles

import "math/bits"

// hashSet is a set of hashes, none of them 0, for counting those of a few hundred contributions. It is scratch: reused, it
// costs no allocation.
type hashSet struct {
	places []uint64
	// first is the first hash, which alone needs no places: they are cleared for the second one.
	first   uint64
	cleared bool
}

// reset empties the set for up to n hashes.
func (h *hashSet) reset(n int) {
	h.places, h.first, h.cleared = sized(h.places, 2<<bits.Len(uint(n))), 0, false
}

// add puts a hash in and says whether it is new.
func (h *hashSet) add(hash uint64) bool {
	switch {
	case h.first == 0:
		h.first = hash
		return true
	case h.first == hash:
		return false
	case !h.cleared:
		h.cleared = true
		clear(h.places)
	}
	mask := uint64(len(h.places) - 1)
	for place := hash * 0x9e3779b97f4a7c15 >> 32; ; place++ {
		switch p := &h.places[place&mask]; *p {
		case 0:
			*p = hash
			return true
		case hash:
			return false
		}
	}
}
