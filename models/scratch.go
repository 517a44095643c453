package models

// Kernel is one of the ways in which the same contributions are computed.
type Kernel uint8

// The kernels.
const (
	// KernelAuto is the fastest one that this processor has. Its bits are those of KernelScalar.
	KernelAuto Kernel = iota
	// KernelScalar uses no vector instructions.
	KernelScalar
	// KernelBlocks is that of records of decide's logic version 1. It sums in another order, so that the last bits differ; a
	// model makes its tables for it when the first row asks.
	KernelBlocks
)

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
