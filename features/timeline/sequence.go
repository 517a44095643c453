package timeline

import "slices"

// producer is what is known of one producer.
type producer struct {
	events   uint64
	sequence sequence
	clock    clock
}

// run is the numbers first to last, both in it.
type run struct{ first, last uint64 }

// sequence is a set of numbers, as runs in order. It does not depend on the order in which they came.
type sequence struct {
	runs []run
	// added counts the numbers that came, those that came again too.
	added uint64
}

// add puts a number in, and says how many runs that made more.
func (s *sequence) add(n uint64) (more int) {
	s.added++
	// The first run that ends at n-1 or later: the one before n, or around it, or after it.
	i, _ := slices.BinarySearchFunc(s.runs, n, func(r run, n uint64) int {
		if r.last < n-1 { // n is never 0
			return -1
		}
		return 1
	})
	switch {
	case i < len(s.runs) && s.runs[i].first <= n && n <= s.runs[i].last:
	case i == len(s.runs) || n < s.runs[i].first-1:
		s.runs = slices.Insert(s.runs, i, run{n, n})
		return 1
	case n < s.runs[i].first:
		s.runs[i].first = n
	default:
		s.runs[i].last = n
		if i+1 < len(s.runs) && s.runs[i+1].first == n+1 {
			s.runs[i].last = s.runs[i+1].last
			s.runs = slices.Delete(s.runs, i+1, i+2)
			return -1
		}
	}
	return 0
}

// Gap is numbers that did not come, First and Last among them.
type Gap struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// gaps gives the first gaps between the numbers that came, how many there are, and how many numbers are missing.
func (s *sequence) gaps(list int) (first []Gap, gaps int, missing uint64) {
	for i := 1; i < len(s.runs); i++ {
		g := Gap{s.runs[i-1].last + 1, s.runs[i].first - 1}
		missing += g.Last - g.First + 1
		if len(first) < list {
			first = append(first, g)
		}
	}
	return first, max(len(s.runs)-1, 0), missing
}

// again counts the numbers that came more than once.
func (s *sequence) again() uint64 {
	again := s.added
	for _, r := range s.runs {
		again -= r.last - r.first + 1
	}
	return again
}
