package models_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// This file holds the oracles: trees as plain recursive structures, scored and explained by the definitions, sharing
// no code with the package. They are written as LightGBM text and loaded as any other file.

// oracleNode is a node or, if left is nil, a leaf.
type oracleNode struct {
	value       float64 // of a leaf
	cover       int
	feature     int
	threshold   float64
	categories  []uint32 // not nil: categorical, these go left
	missing     int      // LightGBM's: 0 None, 1 Zero, 2 NaN
	defaultLeft bool
	left, right *oracleNode
}

const oracleZero = 1.0000000180025095e-35

// goesLeft is Tree::NumericalDecision and CategoricalDecision of LightGBM's tree.h, on a value as
// the prediction API hands it over (what is closer to zero than kZeroThreshold is zero).
func (n *oracleNode) goesLeft(x float64) bool {
	if math.Abs(x) <= oracleZero {
		x = 0
	}
	if n.categories != nil {
		if math.IsNaN(x) || math.Trunc(x) < 0 || math.Trunc(x) > math.MaxInt32 {
			return false
		}
		for _, c := range n.categories {
			if float64(c) == math.Trunc(x) {
				return true
			}
		}
		return false
	}
	if math.IsNaN(x) && n.missing != 2 {
		x = 0
	}
	if n.missing == 1 && x == 0 || n.missing == 2 && math.IsNaN(x) {
		return n.defaultLeft
	}
	return x <= n.threshold
}

func (n *oracleNode) predict(row []float64) float64 {
	for n.left != nil {
		if n.goesLeft(row[n.feature]) {
			n = n.left
		} else {
			n = n.right
		}
	}
	return n.value
}

// share is the part of the training rows that goes left.
func (n *oracleNode) share() float64 {
	if n.left.cover+n.right.cover == 0 {
		return 0.5
	}
	return float64(n.left.cover) / float64(n.left.cover+n.right.cover)
}

// expect is the path-dependent expectation of the tree when only the features in known are.
func (n *oracleNode) expect(row []float64, known uint) float64 {
	if n.left == nil {
		return n.value
	}
	if known>>n.feature&1 != 0 {
		if n.goesLeft(row[n.feature]) {
			return n.left.expect(row, known)
		}
		return n.right.expect(row, known)
	}
	z := n.share()
	return z*n.left.expect(row, known) + (1-z)*n.right.expect(row, known)
}

// bruteForce computes Shapley values by their definition, over all subsets of features.
func bruteForce(n *oracleNode, row []float64) []float64 {
	d := len(row)
	weight := make([]float64, d) // of a subset of each size: s!(d-s-1)!/d!
	for s := range weight {
		weight[s] = 1 / float64(d)
		for i := 1; i <= s; i++ {
			weight[s] *= float64(i) / float64(d-i)
		}
	}
	phi := make([]float64, d)
	for known := range uint(1) << d {
		size := 0
		for i := range d {
			size += int(known >> i & 1)
		}
		base := n.expect(row, known)
		for i := range d {
			if known>>i&1 == 0 {
				phi[i] += weight[size] * (n.expect(row, known|1<<i) - base)
			}
		}
	}
	return phi
}

// pathElement is an entry of classic TreeSHAP's path (Lundberg et al. 2018, Algorithm 2).
type pathElement struct {
	feature         int
	zero, one, part float64
}

// classicTreeSHAP adds the contributions of a tree whose covers are all positive.
func classicTreeSHAP(n *oracleNode, row, phi []float64) {
	classicStep(n, row, phi, nil, 1, 1, -1)
}

func classicStep(n *oracleNode, row, phi []float64, above []pathElement, zero, one float64, feature int) {
	path := extend(append([]pathElement(nil), above...), zero, one, feature)
	if n.left == nil {
		for i := 1; i < len(path); i++ {
			e := path[i]
			phi[e.feature] += unwoundSum(path, i) * (e.one - e.zero) * n.value
		}
		return
	}
	hot, cold := n.left, n.right
	z := n.share()
	if !n.goesLeft(row[n.feature]) {
		hot, cold, z = cold, hot, 1-z
	}
	inZero, inOne := 1.0, 1.0
	for i := 1; i < len(path); i++ {
		if path[i].feature == n.feature {
			inZero, inOne = path[i].zero, path[i].one
			path = unwind(path, i)
			break
		}
	}
	classicStep(hot, row, phi, path, z*inZero, inOne, n.feature)
	classicStep(cold, row, phi, path, (1-z)*inZero, 0, n.feature)
}

func extend(path []pathElement, zero, one float64, feature int) []pathElement {
	l := len(path)
	part := 0.0
	if l == 0 {
		part = 1
	}
	path = append(path, pathElement{feature, zero, one, part})
	for i := l - 1; i >= 0; i-- {
		path[i+1].part += one * path[i].part * float64(i+1) / float64(l+1)
		path[i].part = zero * path[i].part * float64(l-i) / float64(l+1)
	}
	return path
}

// unwind leaves one element out by building the path without it. To take its parts out again, as the paper does, subtracts
// numbers that are nearly equal: of 64 features six digits are left.
func unwind(path []pathElement, at int) []pathElement {
	without := make([]pathElement, 0, len(path)-1)
	for i, e := range path {
		if i != at {
			without = extend(without, e.zero, e.one, e.feature)
		}
	}
	return without
}

func unwoundSum(path []pathElement, at int) float64 {
	total := 0.0
	for _, e := range unwind(path, at) {
		total += e.part
	}
	return total
}

// oracleShape says what random trees look like.
type oracleShape struct {
	features, leaves int
	categories       bool
	zeroCover        bool // covers may be 0, and need not add up
}

var oracleThresholds = []float64{-2, -1, -oracleZero, 0, oracleZero, 0.5, 1, 2, 3, math.Inf(1)}

// randomTree splits random leaves until there are enough.
func randomTree(rng *rand.Rand, s oracleShape) *oracleNode {
	leaf := func() *oracleNode {
		n := &oracleNode{value: math.Round(rng.NormFloat64()*1e6) / 1e6, cover: 1 + rng.IntN(50)}
		if s.zeroCover && rng.IntN(4) == 0 {
			n.cover = 0
		}
		return n
	}
	root := leaf()
	leaves := []*oracleNode{root}
	for len(leaves) < s.leaves {
		i := rng.IntN(len(leaves))
		if rng.IntN(2) == 0 { // deep rather than wide
			i = len(leaves) - 1
		}
		n := leaves[i]
		n.feature = rng.IntN(s.features)
		n.left, n.right = leaf(), leaf()
		n.threshold = oracleThresholds[rng.IntN(len(oracleThresholds))]
		n.missing, n.defaultLeft = rng.IntN(3), rng.IntN(2) == 0
		if s.categories && n.feature%2 == 1 {
			for n.categories = []uint32{}; len(n.categories) < 1+rng.IntN(6); {
				n.categories = append(n.categories, uint32(rng.IntN(70)))
			}
		}
		leaves[i] = n.left
		leaves = append(leaves, n.right)
	}
	if !s.zeroCover {
		root.addUp()
	}
	return root
}

func (n *oracleNode) addUp() int {
	if n.left != nil {
		n.cover = n.left.addUp() + n.right.addUp()
	}
	return n.cover
}

func randomRow(rng *rand.Rand, features int) []float64 {
	special := []float64{0, math.Copysign(0, -1), 1e-36, -1e-36, oracleZero, -oracleZero, math.NaN(), 39.7, -0.5, -1, 1e9, 1e300, 0.5, 1, 2}
	row := make([]float64, features)
	for i := range row {
		switch rng.IntN(3) {
		case 0:
			row[i] = special[rng.IntN(len(special))]
		case 1:
			row[i] = float64(rng.IntN(70))
		default:
			row[i] = rng.NormFloat64() * 2
		}
	}
	return row
}

// lightGBMText writes trees as a model file; output counts the classes.
func lightGBMText(trees []*oracleNode, features, outputs int, objective string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "tree\nversion=v4\nnum_class=%d\nnum_tree_per_iteration=%d\nlabel_index=0\nmax_feature_idx=%d\n", outputs, outputs, features-1)
	if objective != "" {
		fmt.Fprintf(&b, "objective=%s\n", objective)
	}
	names, infos := make([]string, features), make([]string, features)
	for i := range names {
		names[i], infos[i] = fmt.Sprintf("f%d", i), "none"
	}
	fmt.Fprintf(&b, "feature_names=%s\nfeature_infos=%s\n\n", strings.Join(names, " "), strings.Join(infos, " "))
	for i, t := range trees {
		fmt.Fprintf(&b, "Tree=%d\n%s\n\n", i, treeText(t))
	}
	b.WriteString("end of trees\n\nfeature_importances:\n\nparameters:\n[boosting: gbdt]\nend of parameters\n\npandas_categorical:null\n")
	return []byte(b.String())
}

// treeText numbers nodes and leaves from the top and writes a tree's section.
func treeText(root *oracleNode) string {
	var nodes, leaves []*oracleNode
	number := map[*oracleNode]int{}
	queue := []*oracleNode{root}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		if n.left == nil {
			number[n] = ^len(leaves)
			leaves = append(leaves, n)
			continue
		}
		number[n] = len(nodes)
		nodes = append(nodes, n)
		queue = append(queue, n.left, n.right)
	}
	columns := map[string][]string{}
	add := func(key string, v any) { columns[key] = append(columns[key], fmt.Sprint(v)) }
	float := func(x float64) string { return strconv.FormatFloat(x, 'g', 17, 64) }
	bounds := 0
	columns["cat_boundaries"] = []string{"0"}
	sets := 0
	for _, n := range nodes {
		kind := n.missing << 2
		if n.defaultLeft {
			kind |= 2
		}
		threshold := strings.TrimPrefix(strings.ToLower(float(n.threshold)), "+")
		if n.categories != nil {
			words := make([]uint32, 3)
			for _, c := range n.categories {
				words[c/32] |= 1 << (c % 32)
			}
			for _, w := range words {
				add("cat_threshold", w)
			}
			bounds += len(words)
			add("cat_boundaries", bounds)
			kind, threshold = kind|1, strconv.Itoa(sets)
			sets++
		}
		add("split_feature", n.feature)
		add("threshold", threshold)
		add("decision_type", kind)
		add("left_child", number[n.left])
		add("right_child", number[n.right])
		add("internal_count", n.cover)
	}
	for _, n := range leaves {
		add("leaf_value", float(n.value))
		add("leaf_count", n.cover)
	}
	keys := []string{"split_feature", "threshold", "decision_type", "left_child", "right_child", "leaf_value", "leaf_count", "internal_count"}
	if sets > 0 {
		keys = append(keys, "cat_boundaries", "cat_threshold")
	}
	lines := []string{fmt.Sprintf("num_leaves=%d", len(leaves)), fmt.Sprintf("num_cat=%d", sets)}
	for _, k := range keys {
		lines = append(lines, k+"="+strings.Join(columns[k], " "))
	}
	return strings.Join(append(lines, "is_linear=0", "shrinkage=1"), "\n")
}

// seeded returns the random numbers and the number of rounds of a property test, from PITBOSS_SEED and
// PITBOSS_ROUNDS when they are set, and prints them.
func seeded(t *testing.T, rounds int) (*rand.Rand, int) {
	t.Helper()
	seed := uint64(1)
	if s, err := strconv.ParseUint(os.Getenv("PITBOSS_SEED"), 10, 64); err == nil {
		seed = s
	}
	if n, err := strconv.Atoi(os.Getenv("PITBOSS_ROUNDS")); err == nil && n > 0 {
		rounds = n
	}
	t.Logf("PITBOSS_SEED=%d PITBOSS_ROUNDS=%d", seed, rounds)
	return rand.New(rand.NewPCG(seed, 0x7ea5)), rounds
}
