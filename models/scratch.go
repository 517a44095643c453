package models

// Scratch is the working memory of one goroutine. The zero value is ready; it grows to the largest
// model it has served, to about 150 KB for a model of 200 x 31 leaves (2 MB more of address space for PredictBatch), and then allocates nothing. It
// must not be used by two goroutines at once.
type Scratch struct {
	// Kernel is what computes contributions. Default KernelAuto; the others are for replays, tests and measurements.
	Kernel Kernel

	bins   *binTable
	leaves []uint32
	shap   shapScratch
	states []nodeState          // of KernelBlocks
	input  []float64            // of leavesModel
	batch  *[batchRows]binTable // of PredictBatch
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
