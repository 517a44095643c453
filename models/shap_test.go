package models_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pitboss/models"
)

// explained is what a model says of a row.
type explained struct {
	margins, phi []float64
	base         []float64
}

func explain(t *testing.T, m models.Model, s *models.Scratch, row []float64) explained {
	t.Helper()
	e := explained{margins: make([]float64, m.Info().Outputs), phi: make([]float64, m.Info().Outputs*len(row)), base: m.Info().Base}
	if err := m.Explain(row, s, e.margins, e.phi); err != nil {
		t.Fatalf("row %v: %v", row, err)
	}
	return e
}

// checkOutput compares one output of a model with its trees.
func checkOutput(t *testing.T, row []float64, e explained, k int, trees []*oracleNode, want []float64, tolerance float64) {
	t.Helper()
	margin, base, scale := 0.0, 0.0, 1e-3
	for _, tree := range trees {
		margin += tree.predict(row)
		base += tree.expect(row, 0)
	}
	for _, w := range want {
		scale = max(scale, math.Abs(w))
	}
	if e.margins[k] != margin {
		t.Fatalf("row %v: margin %d = %v, want %v", row, k, e.margins[k], margin)
	}
	if math.Abs(e.base[k]-base) > tolerance*max(1, math.Abs(base)) {
		t.Fatalf("row %v: base %d = %v, want %v", row, k, e.base[k], base)
	}
	for i, w := range want {
		if got := e.phi[k*len(row)+i]; !(math.Abs(got-w) <= tolerance*scale) {
			t.Fatalf("row %v: contribution %d of output %d = %v, want %v", row, i, k, got, w)
		}
	}
}

// TestPropertyContributionsAreShapleyValues: by the definition, over all subsets of features, also with
// covers of zero, covers that do not add up, categories, and every way with missing values.
func TestPropertyContributionsAreShapleyValues(t *testing.T) {
	rng, rounds := seeded(t, 150)
	var s models.Scratch
	for range rounds {
		shape := oracleShape{features: 1 + rng.IntN(7), categories: rng.IntN(2) == 0, zeroCover: rng.IntN(2) == 0}
		outputs := 1 + rng.IntN(3)
		var trees []*oracleNode
		for range outputs * (1 + rng.IntN(3)) {
			shape.leaves = 1 + rng.IntN(14)
			trees = append(trees, randomTree(rng, shape))
		}
		m := mustLoad(t, lightGBMText(trees, shape.features, outputs, multiObjective(outputs)))
		for range 6 {
			row := randomRow(rng, shape.features)
			e := explain(t, m, &s, row)
			for k := range outputs {
				want, own := make([]float64, len(row)), treesOf(trees, k, outputs)
				for _, tree := range own {
					for i, w := range bruteForce(tree, row) {
						want[i] += w
					}
				}
				checkOutput(t, row, e, k, own, want, 1e-12)
			}
		}
	}
}

// TestPropertyContributionsEqualClassicTreeSHAP: trees too large for the definition, up to 64 distinct
// features on a path.
func TestPropertyContributionsEqualClassicTreeSHAP(t *testing.T) {
	rng, rounds := seeded(t, 25)
	var s models.Scratch
	for range rounds {
		shape := oracleShape{features: 1 + rng.IntN(64), leaves: 1 + rng.IntN(120), categories: rng.IntN(2) == 0}
		trees := []*oracleNode{randomTree(rng, shape), randomTree(rng, shape)}
		m := mustLoad(t, lightGBMText(trees, shape.features, 1, "binary sigmoid:1"))
		for range 3 {
			row := randomRow(rng, shape.features)
			want := make([]float64, len(row))
			for _, tree := range trees {
				classicTreeSHAP(tree, row, want)
			}
			checkOutput(t, row, explain(t, m, &s, row), 0, trees, want, 1e-9)
		}
	}
}

func multiObjective(outputs int) string {
	if outputs == 1 {
		return "binary sigmoid:1"
	}
	return ""
}

func treesOf(trees []*oracleNode, k, outputs int) []*oracleNode {
	var own []*oracleNode
	for i, t := range trees {
		if i%outputs == k {
			own = append(own, t)
		}
	}
	return own
}

// chain is a tree whose longest way tests n features, one after the other.
func chain(rng *rand.Rand, n int) *oracleNode {
	root := &oracleNode{value: rng.NormFloat64(), cover: 1 + rng.IntN(9)}
	for i := n - 1; i >= 0; i-- {
		leaf := &oracleNode{value: rng.NormFloat64(), cover: 1 + rng.IntN(9)}
		root = &oracleNode{feature: i, threshold: 0, missing: 2, left: root, right: leaf}
		if i%2 == 0 {
			root.left, root.right = root.right, root.left
		}
	}
	root.addUp()
	return root
}

// TestLongestPathThatIsExplained: 64 distinct features are, 65 are refused by name.
func TestLongestPathThatIsExplained(t *testing.T) {
	rng, _ := seeded(t, 1)
	var s models.Scratch
	for _, n := range []int{1, 8, 9, 16, 17, 32, 33, 48, 63, 64} {
		tree := chain(rng, n)
		m := mustLoad(t, lightGBMText([]*oracleNode{tree}, n, 1, "binary sigmoid:1"))
		for range 3 {
			row := make([]float64, n)
			for i := range row {
				row[i] = rng.NormFloat64() + 2*float64(i%2)
			}
			want := make([]float64, n)
			classicTreeSHAP(tree, row, want)
			checkOutput(t, row, explain(t, m, &s, row), 0, []*oracleNode{tree}, want, 1e-9)
		}
	}
	m := mustLoad(t, lightGBMText([]*oracleNode{chain(rng, 65)}, 65, 1, "binary sigmoid:1"))
	if got, want := m.Info().Unexplainable, "a path tests 65 different features, at most 64 are explained"; got != want {
		t.Errorf("65 features: %q, want %q", got, want)
	}
}
