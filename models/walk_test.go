package models_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pitboss/models"
)

// searchTree is a tree over ascending thresholds of one feature, each with its own way for what is missing: balanced, or
// a chain from the largest down, whose first leaf is what is above all of them.
func searchTree(rng *rand.Rand, feature int, thresholds []float64, chain bool) *oracleNode {
	if len(thresholds) == 0 {
		return &oracleNode{value: math.Round(rng.NormFloat64()*1e6) / 1e6, cover: 1}
	}
	at := len(thresholds) / 2
	n := &oracleNode{feature: feature, missing: rng.IntN(3), defaultLeft: rng.IntN(2) == 0}
	if chain {
		at, n.missing, n.defaultLeft = len(thresholds)-1, 2, true
	}
	n.threshold = thresholds[at]
	n.left, n.right = searchTree(rng, feature, thresholds[:at], chain), searchTree(rng, feature, thresholds[at+1:], chain)
	return n
}

// searchTrees are trees that together have so many thresholds of each feature.
func searchTrees(rng *rand.Rand, features, thresholds, leaves int, chain bool) []*oracleNode {
	var trees []*oracleNode
	for feature := range features {
		for at := 0; at < thresholds; at += leaves - 1 {
			var own []float64
			for i := at; i < min(at+leaves-1, thresholds); i++ {
				own = append(own, searchThreshold(i))
			}
			trees = append(trees, searchTree(rng, feature, own, chain))
		}
	}
	return trees
}

func searchThreshold(i int) float64 { return float64(i-100) / 8 }

// setTrees are trees of one categorical split each, with so many different sets.
func setTrees(sets int) []*oracleNode {
	var trees []*oracleNode
	for i := range sets {
		trees = append(trees, &oracleNode{feature: i % 3, categories: []uint32{uint32(i / 3), uint32(i/3 + 1)}, cover: 2,
			left: &oracleNode{value: float64(i) / 64, cover: 1}, right: &oracleNode{value: -float64(i) / 32, cover: 1}})
	}
	return trees
}

// nearZero are trees whose splits do not take zero for missing, with thresholds closer to zero than what LightGBM tells from it.
func nearZero(rng *rand.Rand) []*oracleNode {
	trees := make([]*oracleNode, 40)
	var change func(n *oracleNode)
	change = func(n *oracleNode) {
		if n.left != nil {
			n.missing = rng.IntN(2) * 2
			if rng.IntN(2) == 0 {
				n.threshold = []float64{-oracleZero, -oracleZero / 2, -oracleZero / 4, 0, oracleZero / 4, oracleZero / 2, oracleZero, math.Nextafter(-oracleZero, -1)}[rng.IntN(8)]
			}
			change(n.left)
			change(n.right)
		}
	}
	for i := range trees {
		trees[i] = randomTree(rng, oracleShape{features: 3, leaves: 1 + rng.IntN(20)})
		change(trees[i])
	}
	return trees
}

// TestMarginsOfEverySize holds margins of single rows and of batches against the trees themselves, on both sides of what fits
// into a node of 32 bits: 256 leaves, 256 slots, bins to 4,095. All models share a scratch, and the largest comes first:
// what it leaves there must not count.
func TestMarginsOfEverySize(t *testing.T) {
	rng, rounds := seeded(t, 200)
	var uneven []*oracleNode
	for range 16 {
		uneven = append(uneven, randomTree(rng, oracleShape{features: 1, leaves: 256}))
	}
	var s models.Scratch
	f := func(name string, features, thresholds int, trees []*oracleNode) {
		t.Helper()
		m := mustLoad(t, lightGBMText(trees, features, 1, ""))
		var flat, want []float64
		for i := range thresholds + rounds {
			row := randomRow(rng, features)
			for j := range row {
				if i < thresholds {
					row[j] = searchThreshold((i + j*7) % thresholds)
				}
				if i == thresholds+rounds-1 {
					row[j] = 1e6 // the last: above all thresholds
				}
			}
			sum := 0.0
			for _, tree := range trees {
				sum += tree.predict(row)
			}
			flat, want = append(flat, row...), append(want, sum)
		}
		checkMargins(t, m, &s, name, flat, want)
	}
	f("4,200 thresholds in five ways with missing values", 6, 4200, searchTrees(rng, 6, 4200, 255, false))
	f("256 leaves", 1, 255, searchTrees(rng, 1, 255, 256, false))
	f("257 leaves", 1, 256, searchTrees(rng, 1, 256, 257, false))
	f("256 leaves, uneven", 1, 0, uneven)
	f("256 sets", 3, 0, setTrees(256))
	f("257 sets", 3, 0, setTrees(257))
	f("4,094 thresholds", 1, 4094, searchTrees(rng, 1, 4094, 200, true))
	f("4,095 thresholds", 1, 4095, searchTrees(rng, 1, 4095, 200, true))
	f("thresholds near zero", 3, 0, nearZero(rng))
	f("1 threshold", 1, 1, searchTrees(rng, 1, 1, 2, false))
	f("no split", 1, 0, []*oracleNode{{value: 0.25, cover: 3}})
}

// checkMargins compares margins of rows, one by one and in a batch.
func checkMargins(t *testing.T, m models.Model, s *models.Scratch, name string, flat, want []float64) {
	t.Helper()
	n, got := len(m.Info().Features), make([]float64, len(want))
	for _, way := range []string{"single rows", "a batch"} {
		clear(got)
		if way == "a batch" {
			if err := models.PredictBatch(m, flat, s, got); err != nil {
				t.Fatal(err)
			}
		} else {
			for i := range got {
				if err := m.Predict(flat[i*n:][:n], s, got[i:i+1]); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range got {
			if math.Float64bits(got[i]) != math.Float64bits(want[i]) {
				t.Fatalf("%s, %s: the margin of %v is %v, want %v", name, way, flat[i*n:][:n], got[i], want[i])
			}
		}
	}
}
