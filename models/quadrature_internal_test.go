package models

import (
	"math/big"
	"testing"
)

// TestQuadratureIsExactForItsDegree: the rule with n points integrates p^k for every k up to 2n-1.
func TestQuadratureIsExactForItsDegree(t *testing.T) {
	for blocks := 1; blocks <= maxBlocks; blocks++ {
		nodes, weights := gaussLegendre(blocks)
		n := pointsPerBlock * blocks
		if len(nodes) != n || len(weights) != n {
			t.Fatalf("%d blocks: %d nodes, %d weights", blocks, len(nodes), len(weights))
		}
		for k := range 2 * n {
			sum := newBig(0)
			for i := range nodes {
				term := newBig(weights[i])
				for range k {
					term.Mul(term, newBig(nodes[i]))
				}
				sum.Add(sum, term)
			}
			want := new(big.Float).Quo(newBig(1), newBig(float64(k+1)))
			off, _ := new(big.Float).Sub(sum, want).Float64()
			if !(off < 2e-16 && off > -2e-16) {
				t.Errorf("%d blocks: integral of p^%d is off by %g", blocks, k, off)
			}
		}
	}
	if nodes, _ := gaussLegendre(maxBlocks + 1); nodes != nil {
		t.Error("there is a rule for more blocks than maxBlocks")
	}
}

func newBig(x float64) *big.Float { return new(big.Float).SetPrec(200).SetFloat64(x) }
