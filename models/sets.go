package models

import "math"

// An exact set holds float64 values themselves, for tests of equality: 3.7 is not 3, as it is to a category. It is kept
// where a category set has its bits, as the orderedKey of each value in two words, ascending. One word more says that what is
// looked for is truncated to an int32 before.

// exactSet makes the words of an exact set of ascending values.
func exactSet(values []float64, truncating bool) []uint32 {
	words := make([]uint32, 0, 2*len(values)+1)
	for _, v := range values {
		key := orderedKey(v)
		words = append(words, uint32(key>>32), uint32(key))
	}
	if truncating {
		words = append(words, 1)
	}
	return words
}

// exactBin returns 0 if x is one of the values and 1 if not.
func (s *setRule) exactBin(x float64) uint16 {
	in := s.defaultLeft
	if x == x {
		if len(s.words)%2 != 0 {
			x = math.Trunc(x)
		}
		in = s.holds(orderedKey(x))
	}
	if in {
		return 0
	}
	return 1
}

func (s *setRule) holds(key uint64) bool {
	low, high := 0, len(s.words)/2
	for low < high {
		middle := (low + high) / 2
		at := uint64(s.words[2*middle])<<32 | uint64(s.words[2*middle+1])
		switch {
		case at == key:
			return true
		case at < key:
			low = middle + 1
		default:
			high = middle
		}
	}
	return false
}
