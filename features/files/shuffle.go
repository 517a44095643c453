package files

import (
	"cmp"
)

// shuffler gives rows in an order that a seed decides, each label on its own: what a file would be if it had been written in
// that order.
type shuffler struct {
	sorted *sorter
	place  int64
}

func newShuffler(read func() (*Row, []*Row, error), opt Options) *shuffler {
	seed := *opt.Shuffle
	s := newSorter(read, func(a, b timedRow) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order)) }, opt)
	s.key = func(r *Row) int64 { return int64(spread(uint64(r.Number) ^ spread(seed+1))) }
	return &shuffler{sorted: s}
}

func (s *shuffler) read() (*Row, []*Row, error) {
	row, err := s.sorted.next()
	if err != nil {
		return nil, nil, err
	}
	if !row.Label {
		s.place++
		row.Place = s.place
	}
	return row, nil, nil
}

func (s *shuffler) close() error { return s.sorted.close() }

// spread turns numbers that follow one another into ones that do not (the finalizer of MurmurHash3).
func spread(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
