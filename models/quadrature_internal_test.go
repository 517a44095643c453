package models

import (
	"math/big"
	"testing"
)

// TestQuadratureIsExactForItsDegree: the rule with n points integrates p^k for every k up to 2n-1.
func TestQuadratureIsExactForItsDegree(t *testing.T) {
	for n := 2; n <= maxPoints; n += 2 {
		nodes, weights := gaussLegendre(n)
		if len(nodes) != n || len(weights) != n {
			t.Fatalf("%d points: %d nodes, %d weights", n, len(nodes), len(weights))
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
				t.Errorf("%d points: integral of p^%d is off by %g", n, k, off)
			}
		}
	}
	if nodes, _ := gaussLegendre(maxPoints + 2); nodes != nil {
		t.Error("there is a rule for more points than maxPoints")
	}
}

func newBig(x float64) *big.Float { return new(big.Float).SetPrec(200).SetFloat64(x) }
