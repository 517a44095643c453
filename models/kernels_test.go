package models_test

import (
	"bytes"
	"math"
	"os"
	"testing"

	"pitboss/models"
)

// TestPropertyKernelsGiveTheSameBits: the kernel that is chosen for this processor gives the scalar kernel's bits, and
// the one of old records its values but for the last places, whatever the trees and whichever model the scratch has
// served before.
func TestPropertyKernelsGiveTheSameBits(t *testing.T) {
	rng, rounds := seeded(t, 40)
	scratches := []models.Scratch{{Kernel: models.KernelScalar}, {Kernel: models.KernelAuto}, {Kernel: models.KernelBlocks}}
	for round := range rounds {
		shape := oracleShape{features: 1 + rng.IntN(64), categories: rng.IntN(2) == 0, zeroCover: rng.IntN(2) == 0}
		outputs := 1 + rng.IntN(3)
		var trees []*oracleNode
		for range outputs * (1 + rng.IntN(20)) {
			shape.leaves = 1 + rng.IntN(60)
			trees = append(trees, randomTree(rng, shape))
		}
		m := mustLoad(t, lightGBMText(trees, shape.features, outputs, multiObjective(outputs)))
		for range 4 {
			row := randomRow(rng, shape.features)
			scalar, auto, blocks := explain(t, m, &scratches[0], row), explain(t, m, &scratches[1], row), explain(t, m, &scratches[2], row)
			largest := 1.0
			for _, x := range scalar.phi {
				largest = max(largest, math.Abs(x))
			}
			for i, x := range scalar.phi {
				if math.Float64bits(x) != math.Float64bits(auto.phi[i]) {
					t.Fatalf("round %d, row %v: contribution %d is %v by the scalar kernel, %v by this processor's", round, row, i, x, auto.phi[i])
				}
				if math.Abs(x-blocks.phi[i]) > 1e-12*largest {
					t.Fatalf("round %d, row %v: contribution %d is %v, by the kernel of old records %v", round, row, i, x, blocks.phi[i])
				}
			}
		}
	}
}

// TestAssemblyHasNoFusedMultiplyAdd: it has one rounding where the scalar kernel has two.
func TestAssemblyHasNoFusedMultiplyAdd(t *testing.T) {
	code, err := os.ReadFile("shap_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(code, []byte("VMULPD")) || bytes.Contains(code, []byte("VFM")) || bytes.Contains(code, []byte("VFNM")) {
		t.Error("shap_amd64.s has no products, or fused ones")
	}
}
