package models

import "golang.org/x/sys/cpu"

// widestLanes is how many lanes the vectors of this processor and its operating system have.
var widestLanes = lanesOf(cpu.X86.HasAVX2, cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ)

func lanesOf(avx2, avx512 bool) int {
	switch {
	case avx2 && avx512:
		return lanesAVX512
	case avx2:
		return lanesAVX2
	default:
		return 1
	}
}

// downVector is down in AVX2 or AVX-512 (shap_amd64.s, written by tools/vectors). The points beyond a pass's are computed and
// are 0.
func (k *kernel) downVector(kind stepKind, steps []step) {
	first, n := &steps[0], len(steps)
	switch kind {
	case twoLeaves:
		twoLeavesVector(k, first, n)
	case twigLeaf:
		twigLeafVector(k, first, n)
	case innerLeaf:
		downInnerLeafVector(k, first, n)
	case twigInner:
		downTwigInnerVector(k, first, n)
	case innerInner:
		downInnerInnerVector(k, first, n)
	case twoLeaves + repeated:
		twoLeavesRepeatedVector(k, first, n)
	case innerLeaf + repeated:
		downInnerLeafRepeatedVector(k, first, n)
	case innerInner + repeated:
		downInnerInnerRepeatedVector(k, first, n)
	}
}

// upVector is up in AVX2 or AVX-512.
func (k *kernel) upVector(kind stepKind, steps []step) {
	first, n := &steps[0], len(steps)
	switch kind {
	case innerLeaf:
		upInnerLeafVector(k, first, n)
	case twigInner:
		upTwigInnerVector(k, first, n)
	case innerInner:
		upInnerInnerVector(k, first, n)
	case innerLeaf + repeated:
		upInnerLeafRepeatedVector(k, first, n)
	case innerInner + repeated:
		upInnerInnerRepeatedVector(k, first, n)
	default: // done on the way down
	}
}

//go:noescape
func twoLeavesVector(k *kernel, steps *step, n int)

//go:noescape
func twigLeafVector(k *kernel, steps *step, n int)

//go:noescape
func downInnerLeafVector(k *kernel, steps *step, n int)

//go:noescape
func upInnerLeafVector(k *kernel, steps *step, n int)

//go:noescape
func downTwigInnerVector(k *kernel, steps *step, n int)

//go:noescape
func upTwigInnerVector(k *kernel, steps *step, n int)

//go:noescape
func downInnerInnerVector(k *kernel, steps *step, n int)

//go:noescape
func upInnerInnerVector(k *kernel, steps *step, n int)

//go:noescape
func twoLeavesRepeatedVector(k *kernel, steps *step, n int)

//go:noescape
func downInnerLeafRepeatedVector(k *kernel, steps *step, n int)

//go:noescape
func upInnerLeafRepeatedVector(k *kernel, steps *step, n int)

//go:noescape
func downInnerInnerRepeatedVector(k *kernel, steps *step, n int)

//go:noescape
func upInnerInnerRepeatedVector(k *kernel, steps *step, n int)
