package models

import "golang.org/x/sys/cpu"

// hasVectors says that this processor and its operating system have AVX2.
var hasVectors = cpu.X86.HasAVX2

// downVector is down in AVX2 (shap_amd64.s, written by tools/vectors). The widths beyond a pass's are computed and are 0.
func (k *kernel) downVector(kind stepKind, steps []step) {
	first, n := &steps[0], len(steps)
	switch kind {
	case twoLeaves:
		twoLeavesAVX2(k, first, n)
	case twigLeaf:
		twigLeafAVX2(k, first, n)
	case innerLeaf:
		downInnerLeafAVX2(k, first, n)
	case twigInner:
		downTwigInnerAVX2(k, first, n)
	case innerInner:
		downInnerInnerAVX2(k, first, n)
	case twoLeaves + repeated:
		twoLeavesRepeatedAVX2(k, first, n)
	case innerLeaf + repeated:
		downInnerLeafRepeatedAVX2(k, first, n)
	case innerInner + repeated:
		downInnerInnerRepeatedAVX2(k, first, n)
	}
}

// upVector is up in AVX2.
func (k *kernel) upVector(kind stepKind, steps []step) {
	first, n := &steps[0], len(steps)
	switch kind {
	case innerLeaf:
		upInnerLeafAVX2(k, first, n)
	case twigInner:
		upTwigInnerAVX2(k, first, n)
	case innerInner:
		upInnerInnerAVX2(k, first, n)
	case innerLeaf + repeated:
		upInnerLeafRepeatedAVX2(k, first, n)
	case innerInner + repeated:
		upInnerInnerRepeatedAVX2(k, first, n)
	default: // done on the way down
	}
}

//go:noescape
func twoLeavesAVX2(k *kernel, steps *step, n int)

//go:noescape
func twigLeafAVX2(k *kernel, steps *step, n int)

//go:noescape
func downInnerLeafAVX2(k *kernel, steps *step, n int)

//go:noescape
func upInnerLeafAVX2(k *kernel, steps *step, n int)

//go:noescape
func downTwigInnerAVX2(k *kernel, steps *step, n int)

//go:noescape
func upTwigInnerAVX2(k *kernel, steps *step, n int)

//go:noescape
func downInnerInnerAVX2(k *kernel, steps *step, n int)

//go:noescape
func upInnerInnerAVX2(k *kernel, steps *step, n int)

//go:noescape
func twoLeavesRepeatedAVX2(k *kernel, steps *step, n int)

//go:noescape
func downInnerLeafRepeatedAVX2(k *kernel, steps *step, n int)

//go:noescape
func upInnerLeafRepeatedAVX2(k *kernel, steps *step, n int)

//go:noescape
func downInnerInnerRepeatedAVX2(k *kernel, steps *step, n int)

//go:noescape
func upInnerInnerRepeatedAVX2(k *kernel, steps *step, n int)
