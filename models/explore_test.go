package models_test

import (
	"errors"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"pitboss/models"
)

func explorer(t testing.TB, data []byte) models.Explorer {
	t.Helper()
	m, ok := mustLoad(t, data).(models.Explorer)
	if !ok {
		t.Fatal("the model answers no slower questions")
	}
	return m
}

// subsetWeights are s!(d-s-1)!/d! for subsets of s of d-1 players; with pair, s!(d-s-2)!/(d-1)! for those of d-2.
func subsetWeights(d int, pair bool) []float64 {
	n := d
	if pair {
		n = d - 1
	}
	w := make([]float64, n)
	for s := range w {
		w[s] = 1 / float64(n)
		for i := 1; i <= s; i++ {
			w[s] *= float64(i) / float64(n-i)
		}
	}
	return w
}

// shapley computes Shapley values of a game on d players by their definition.
func shapley(d int, value func(known uint) float64) []float64 {
	phi, w := make([]float64, d), subsetWeights(d, false)
	for known := range uint(1) << d {
		for i := range d {
			if known>>i&1 == 0 {
				phi[i] += w[bits.OnesCount(known)] * (value(known|1<<i) - value(known))
			}
		}
	}
	return phi
}

// interaction computes the Shapley interaction index of two players by its definition.
func interaction(d, i, j int, value func(known uint) float64) float64 {
	sum, w := 0.0, subsetWeights(d, true)
	for known := range uint(1) << d {
		if known>>i&1 == 0 && known>>j&1 == 0 {
			both := value(known|1<<i|1<<j) - value(known|1<<i) - value(known|1<<j) + value(known)
			sum += w[bits.OnesCount(known)] * both
		}
	}
	return sum
}

// mixed is a row with the values of x where a feature is known, and of z elsewhere.
func mixed(x, z []float64, known uint) []float64 {
	row := slices.Clone(z)
	for i := range row {
		if known>>i&1 != 0 {
			row[i] = x[i]
		}
	}
	return row
}

func closeTo(t *testing.T, what string, got, want, scale float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-12*max(1e-3, scale)) {
		t.Fatalf("%s is %v, want %v (scale %v)", what, got, want, scale)
	}
}

// randomEnsemble is a small model of any kind with its trees.
func randomEnsemble(t *testing.T, rng *rand.Rand, features int) (m models.Explorer, trees []*oracleNode, outputs int) {
	t.Helper()
	shape := oracleShape{features: features, categories: rng.IntN(2) == 0, zeroCover: rng.IntN(2) == 0}
	outputs = 1 + rng.IntN(2)
	for range outputs * (1 + rng.IntN(3)) {
		shape.leaves = 1 + rng.IntN(14)
		trees = append(trees, randomTree(rng, shape))
	}
	return explorer(t, lightGBMText(trees, features, outputs, multiObjective(outputs))), trees, outputs
}

// TestPropertyInterventionalIsByDefinition: over all subsets of features and all background rows.
func TestPropertyInterventionalIsByDefinition(t *testing.T) {
	rng, rounds := seeded(t, 80)
	var s models.Scratch
	for range rounds {
		features := 1 + rng.IntN(7)
		m, trees, outputs := randomEnsemble(t, rng, features)
		background := make([][]float64, 1+rng.IntN(4))
		for i := range background {
			background[i] = randomRow(rng, features)
		}
		x := randomRow(rng, features)
		base, margins, phi := make([]float64, outputs), make([]float64, outputs), make([]float64, outputs*features)
		if err := m.Interventional(x, background, &s, base, margins, phi); err != nil {
			t.Fatal(err)
		}
		for k := range outputs {
			own := treesOf(trees, k, outputs)
			value := func(known uint) float64 {
				sum := 0.0
				for _, z := range background {
					for _, tree := range own {
						sum += tree.predict(mixed(x, z, known))
					}
				}
				return sum / float64(len(background))
			}
			want := shapley(features, value)
			closeTo(t, "the base", base[k], value(0), largest(want))
			closeTo(t, "the margin", margins[k], value(1<<features-1), largest(want))
			for i := range want {
				closeTo(t, "a contribution", phi[k*features+i], want[i], largest(want))
			}
		}
	}
}

// TestPropertyInteractionsAreByDefinition: over all subsets of features.
func TestPropertyInteractionsAreByDefinition(t *testing.T) {
	rng, rounds := seeded(t, 60)
	var s models.Scratch
	for range rounds {
		features := 1 + rng.IntN(6)
		m, trees, outputs := randomEnsemble(t, rng, features)
		x := randomRow(rng, features)
		matrix := make([]float64, features*features)
		for k := range outputs {
			if err := m.Interactions(x, k, &s, matrix); err != nil {
				t.Fatal(err)
			}
			value := func(known uint) float64 {
				sum := 0.0
				for _, tree := range treesOf(trees, k, outputs) {
					sum += tree.expect(x, known)
				}
				return sum
			}
			phi := shapley(features, value)
			for i := range features {
				sum := 0.0
				for j := range features {
					sum += matrix[i*features+j]
					if i != j {
						closeTo(t, "an interaction", matrix[i*features+j], interaction(features, i, j, value)/2, largest(phi))
					}
				}
				closeTo(t, "a row of the matrix", sum, phi[i], largest(phi))
			}
		}
	}
}

// TestInteractionsOfLongPaths: what the quadrature has to be exact for, up to 64 distinct features. Each row of the
// matrix adds up to a contribution by construction, so that the pair is held against the difference of contributions
// with one of the two known and not: the other definition (Lundberg et al. 2020, equation of SHAP interaction values).
func TestInteractionsOfLongPaths(t *testing.T) {
	rng, _ := seeded(t, 1)
	var s models.Scratch
	for _, n := range []int{2, 9, 17, 33, 64} {
		tree := chain(rng, n)
		m := explorer(t, lightGBMText([]*oracleNode{tree}, n, 1, "binary sigmoid:1"))
		x := make([]float64, n)
		for i := range x {
			x[i] = rng.NormFloat64()
		}
		matrix := make([]float64, n*n)
		if err := m.Interactions(x, 0, &s, matrix); err != nil {
			t.Fatal(err)
		}
		i := n / 2
		with, without := make([]float64, n), make([]float64, n)
		classicTreeSHAP(tree.given(i, x), x, with)
		classicTreeSHAP(tree.without(i), x, without)
		for j := range n {
			if j != i {
				if got, want := matrix[i*n+j], (with[j]-without[j])/2; !(math.Abs(got-want) <= 1e-10*largest(with)) {
					t.Errorf("%d features: interaction of %d and %d = %v, want %v", n, i, j, got, want)
				}
			}
		}
	}
}

// given is the tree without its splits of a feature: their way for the row is taken.
func (n *oracleNode) given(feature int, row []float64) *oracleNode {
	if n.left == nil {
		return n
	}
	if n.feature == feature {
		if n.goesLeft(row[feature]) {
			return n.left.given(feature, row)
		}
		return n.right.given(feature, row)
	}
	out := *n
	out.left, out.right = n.left.given(feature, row), n.right.given(feature, row)
	// Covers stay as they are: a split's share is that of its own children.
	out.left, out.right = out.left.covered(n.left.cover), out.right.covered(n.right.cover)
	return &out
}

// without is a chain without one feature: the split's leaf and what hangs on its other side are mixed by its share.
func (n *oracleNode) without(feature int) *oracleNode {
	if n.left == nil {
		return n
	}
	if n.feature == feature {
		leaf, rest, share := n.left, n.right, n.share()
		if leaf.left != nil {
			leaf, rest, share = n.right, n.left, 1-n.share()
		}
		return rest.mixedWith(leaf.value, share).covered(n.cover)
	}
	out := *n
	out.left, out.right = n.left.without(feature), n.right.without(feature)
	out.left, out.right = out.left.covered(n.left.cover), out.right.covered(n.right.cover)
	return &out
}

func (n *oracleNode) covered(cover int) *oracleNode {
	out := *n
	out.cover = cover
	return &out
}

// mixedWith moves every leaf towards a value.
func (n *oracleNode) mixedWith(value, share float64) *oracleNode {
	out := *n
	if n.left == nil {
		out.value = share*value + (1-share)*n.value
		return &out
	}
	out.left, out.right = n.left.mixedWith(value, share), n.right.mixedWith(value, share)
	return &out
}

func TestSlowerQuestionsRefuse(t *testing.T) {
	rng, _ := seeded(t, 1)
	var s models.Scratch
	tree := chain(rng, 3)
	m := explorer(t, lightGBMText([]*oracleNode{tree}, 3, 1, "binary sigmoid:1"))
	row, one, phi := []float64{1, 2, 3}, make([]float64, 1), make([]float64, 3)
	f := func(what string, err, want error) {
		t.Helper()
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	var sweep models.Sweep
	f("short row", m.Sweep(row[:2], 0, &s, &sweep), models.ErrRow)
	f("no such output", m.Sweep(row, 1, &s, &sweep), nil)
	f("no background", m.Interventional(row, nil, &s, one, one, phi), nil)
	f("a background row with infinity", m.Interventional(row, [][]float64{{1, math.Inf(1), 3}}, &s, one, make([]float64, 1), phi), models.ErrRow)
	f("a large background", m.Interventional(row, make([][]float64, 1<<26), &s, one, make([]float64, 1), phi), models.ErrLimit)
	f("short matrix", m.Interactions(row, 0, &s, phi), nil)
	f("no such output", m.Interactions(row, -1, &s, make([]float64, 9)), nil)

	wide := explorer(t, lightGBMText([]*oracleNode{chain(rng, 65)}, 65, 1, "binary sigmoid:1"))
	long := make([]float64, 65)
	f("65 features on a path", wide.Interventional(long, [][]float64{long}, &s, one, make([]float64, 1), long), models.ErrUnexplainable)
	f("65 features on a path", wide.Interactions(long, 0, &s, make([]float64, 65*65)), models.ErrUnexplainable)
	many := explorer(t, lightGBMText([]*oracleNode{chain(rng, 3)}, 1001, 1, "binary sigmoid:1"))
	f("1001 features", many.Interactions(make([]float64, 1001), 0, &s, make([]float64, 1001*1001)), models.ErrLimit)
	deep := &oracleNode{value: 1, cover: 1}
	for range 4097 {
		deep = &oracleNode{feature: 0, threshold: 1, left: deep, right: &oracleNode{value: 2, cover: 1}}
	}
	deep.addUp()
	f("a deep tree", explorer(t, lightGBMText([]*oracleNode{deep}, 1, 1, "")).Sweep([]float64{0}, 0, &s, &sweep), models.ErrLimit)

	linear := explorer(t, readGolden(t, "linear").text)
	x := readGolden(t, "linear").rows[0].x
	f("linear leaves", linear.Sweep(x, 0, &s, &sweep), models.ErrUnexplainable)
	f("linear leaves", linear.Interventional(x, [][]float64{x}, &s, one, make([]float64, 1), make([]float64, len(x))), models.ErrUnexplainable)
}
