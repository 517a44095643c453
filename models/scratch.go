package models

// Scratch is the working memory of one goroutine. The zero value is ready; it grows to the largest
// model it has served, to about 130 KB for a model of 200 x 31 leaves, and then allocates nothing. It
// must not be used by two goroutines at once.
type Scratch struct {
	bins   *binTable
	leaves []uint32
	states []nodeState
}

// grow makes room for scoring with m.
func (s *Scratch) grow(m *ensemble) {
	if s.bins == nil {
		s.bins = new(binTable)
	}
	if len(s.leaves) < m.info.Trees {
		s.leaves = make([]uint32, m.info.Trees)
	}
}
