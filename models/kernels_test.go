package models_test

import (
	"bytes"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"pitboss/models"
)

// kernels are those of this processor, the scalar one first, and the one that is chosen. Where PITBOSS_REQUIRE_AVX512 is set
// (make test-avx512), AVX-512 has to be among them.
func kernels(t *testing.T) []models.Kernel {
	t.Helper()
	have := models.Kernels()
	if os.Getenv("PITBOSS_REQUIRE_AVX512") != "" && !slices.Contains(have, models.KernelAVX512) {
		t.Fatalf("PITBOSS_REQUIRE_AVX512 is set, and this processor has %v only", have)
	}
	return append(have, models.KernelAuto)
}

// TestPropertyKernelsGiveTheSameBits: all kernels of this processor give the scalar kernel's bits, and the one of old
// records its values but for the last places, whatever the trees and whichever model the scratch has served before.
func TestPropertyKernelsGiveTheSameBits(t *testing.T) {
	rng, rounds := seeded(t, 40)
	scratches := make([]models.Scratch, 0, 5)
	for _, k := range append(kernels(t), models.KernelBlocks) {
		scratches = append(scratches, models.Scratch{Kernel: k})
	}
	wide := 0
	for round := range rounds {
		shape := oracleShape{features: 1 + rng.IntN(64), categories: rng.IntN(2) == 0, zeroCover: rng.IntN(2) == 0}
		outputs := 1 + rng.IntN(3)
		var trees []*oracleNode
		for range outputs * (1 + rng.IntN(20)) {
			shape.leaves = 1 + rng.IntN(60)
			trees = append(trees, randomTree(rng, shape))
		}
		m := mustLoad(t, lightGBMText(trees, shape.features, outputs, multiObjective(outputs)))
		if m.Info().MaxPathFeatures > 8 {
			wide++
		}
		for range 4 {
			row := randomRow(rng, shape.features)
			scalar := explain(t, m, &scratches[0], row)
			largest := 1.0
			for _, x := range scalar.phi {
				largest = max(largest, math.Abs(x))
			}
			for k := range scratches[1:] {
				s := &scratches[1+k]
				got := explain(t, m, s, row)
				for i, x := range scalar.phi {
					same := math.Float64bits(x) == math.Float64bits(got.phi[i])
					if s.Kernel == models.KernelBlocks {
						same = math.Abs(x-got.phi[i]) <= 1e-12*largest
					}
					if !same {
						t.Fatalf("round %d, row %v: contribution %d is %v by the scalar kernel, %v by %v", round, row, i, x, got.phi[i], s.Kernel)
					}
				}
			}
		}
	}
	if t.Logf("kernels %v, %d of %d models with passes of more than 4 points", kernels(t), wide, rounds); wide == 0 {
		t.Error("no model has a path of more than 8 features, and so none that takes AVX-512's registers")
	}
}

// TestKernelThatTheProcessorLacks: it refuses, and changes nothing.
func TestKernelThatTheProcessorLacks(t *testing.T) {
	have := models.Kernels()
	m := mustLoad(t, readGolden(t, goldenNames(t)[0]).text)
	auto, ok := models.KernelOf(m)
	if !ok || !slices.Contains(have, auto) {
		t.Errorf("the kernel for a model is %v, %v, this processor has %v", auto, ok, have)
	}
	info := m.Info()
	row, margins, phi := make([]float64, len(info.Features)), make([]float64, info.Outputs), make([]float64, info.Outputs*len(info.Features))
	for _, k := range []models.Kernel{models.KernelScalar, models.KernelAVX2, models.KernelAVX512} {
		phi[0] = -77
		err := m.Explain(row, &models.Scratch{Kernel: k}, margins, phi)
		if slices.Contains(have, k) {
			if err != nil {
				t.Errorf("%v: %v", k, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), k.String()) || phi[0] != -77 {
			t.Errorf("%v: error %v, contributions %v", k, err, phi)
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
