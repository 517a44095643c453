package models

import (
	"fmt"
	"math"
	"time"
)

// Kernel is one of the ways in which the same contributions are computed.
type Kernel uint8

// The kernels.
const (
	// KernelAuto is the fastest one that this processor has, for the model at hand: KernelOf says which. Its bits are those of
	// KernelScalar.
	KernelAuto Kernel = iota
	// KernelScalar uses no vector instructions.
	KernelScalar
	// KernelBlocks is that of records of decide's logic version 1. It sums in another order, so that the last bits differ; a
	// model makes its tables for it when the first row asks.
	KernelBlocks
	// KernelAVX2 and KernelAVX512 use vector instructions and give the bits of KernelScalar. Where Kernels does not have
	// them, Explain refuses.
	KernelAVX2
	KernelAVX512
)

// The lanes of vector instructions: how many numbers they take at once.
const lanesAVX2, lanesAVX512 = 4, 8

// String is the name that users read.
func (k Kernel) String() string {
	switch k {
	case KernelAuto:
		return "auto"
	case KernelScalar:
		return "scalar"
	case KernelBlocks:
		return "blocks"
	case KernelAVX2:
		return "AVX2"
	case KernelAVX512:
		return "AVX-512"
	default:
		return fmt.Sprintf("kernel %d", uint8(k))
	}
}

// Kernels are those of this processor that give the same bits, from the one with the fewest lanes on.
func Kernels() []Kernel {
	kernels := []Kernel{KernelScalar}
	if widestLanes >= lanesAVX2 {
		kernels = append(kernels, KernelAVX2)
	}
	if widestLanes >= lanesAVX512 {
		kernels = append(kernels, KernelAVX512)
	}
	return kernels
}

// KernelOf is the kernel that KernelAuto stands for; it is false for a model whose contributions no kernel computes.
func KernelOf(m Model) (Kernel, bool) {
	e, ok := m.(*ensemble)
	if !ok || e.shap == nil {
		return KernelAuto, false
	}
	switch e.lanes {
	case lanesAVX512:
		return KernelAVX512, true
	case lanesAVX2:
		return KernelAVX2, true
	default:
		return KernelScalar, true
	}
}

// lanesFor is how many lanes the instructions of a kernel have.
func (m *ensemble) lanesFor(k Kernel) (int, error) {
	lanes := m.lanes
	switch k {
	case KernelScalar:
		lanes = 1
	case KernelAVX2:
		lanes = lanesAVX2
	case KernelAVX512:
		lanes = lanesAVX512
	default:
	}
	if lanes > widestLanes {
		return 0, fmt.Errorf("cannot explain by the %v kernel: this processor has no such instructions", k)
	}
	return lanes, nil
}

// fastestLanes tries AVX2 and AVX-512 where both are there and differ: in passes of more than 4 points. AVX-512 has to win by
// a tenth, since it may lower the clock for the rest of a decision too, which rows alone do not show.
func (t *shapTable) fastestLanes(contributions int) int {
	if widestLanes < lanesAVX512 || !t.hasWidePass() {
		return min(widestLanes, lanesAVX2)
	}
	var s shapScratch
	s.grow(t)
	bins, phi := new(binTable), make([]float64, contributions) // no step takes longer for one row than for another
	// AVX2 comes first, since a lowered clock stays so for a while.
	avx2 := leastTime(func() { t.explain(bins, &s, phi, lanesAVX2) })
	avx512 := leastTime(func() { t.explain(bins, &s, phi, lanesAVX512) })
	if 10*avx512 < 9*avx2 {
		return lanesAVX512
	}
	return lanesAVX2
}

// hasWidePass says that some pass has more points than AVX2 has lanes.
func (t *shapTable) hasWidePass() bool {
	for i := range t.groves {
		if t.groves[i].rule.points > lanesAVX2 {
			return true
		}
	}
	return false
}

// leastTime runs what explains a row for about half a millisecond, at least three times and at most 17, and gives the
// least time that one took; the first one is to fill the caches.
func leastTime(explain func()) time.Duration {
	explain()
	least, spent := time.Duration(math.MaxInt64), time.Duration(0)
	for i := 0; i < 2 || i < 16 && spent < 500*time.Microsecond; i++ {
		start := time.Now()
		explain()
		took := time.Since(start)
		least = min(least, took)
		spent += took
	}
	return least
}
