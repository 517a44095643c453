package models

import (
	"fmt"
	"math"
	"slices"
)

// Explorer is a Model that also answers slower questions about a row. All of them are exact. None is for the way of
// every decision: they allocate, and what they cost is bounded by the model's size, not by a deadline.
//
// They fail with ErrUnexplainable where the model has no such answer, and with ErrLimit where it would take too long.
type Explorer interface {
	Model
	// Sweep finds the margin of one output as a function of each feature's value, all other values left as they are.
	Sweep(row []float64, output int, s *Scratch, out *Sweep) error
	// Interventional writes the Shapley values of the row against a background (Lundberg et al. 2020, "interventional
	// feature perturbation"): a feature that is not known has its value of a background row, and the mean over the rows
	// is taken. base and margins have Outputs elements, contributions Outputs x features, output-major; base is the
	// background's mean margin, and base + contributions the float64 sum of the leaves, as of Explain.
	Interventional(row []float64, background [][]float64, s *Scratch, base, margins, contributions []float64) error
	// Interactions writes the path-dependent SHAP interaction values of one output: features x features, symmetric. What
	// stands at (i,j) is half of what i and j move the margin together; at (i,i) what is left to i alone, so that a row
	// of the matrix adds up to the contribution of Explain.
	Interactions(row []float64, output int, s *Scratch, matrix []float64) error
}

var _ Explorer = (*ensemble)(nil)

// What the slower questions may cost. A visit of a node takes 2 to 10 ns.
const (
	// maxExploreDepth bounds recursion: a goroutine's stack grows by some 150 bytes a level.
	maxExploreDepth = 4096
	// maxHybridVisits bounds background rows x nodes of Interventional.
	maxHybridVisits = 1 << 27
	// maxPairTerms bounds leaves x pairs of a path x points of Interactions, and maxPairFeatures the matrix.
	maxPairTerms    = 1 << 30
	maxPairFeatures = 1000
)

// fork is an internal node as the slower questions walk it.
type fork struct {
	share       float64 // of the training rows that go left
	left, right int32   // a fork, or ^leaf when negative
	feature     int32
	cell        int32 // cells of the feature up to it go left; -1 where the split is categorical
	test        test
	zeroLeft    bool // where zero goes: not always as its cell
}

// forks holds all trees as linked nodes, with the cells of every feature.
type forks struct {
	nodes  []fork
	leaves []float64
	roots  []int32 // by tree: a fork, or ^leaf
	cells  []cells // by feature
	reach  float64 // the largest sum of leaves by their absolute value
	single bool
	// tinyIsZero as in forest.
	tinyIsZero bool
}

// cells cut the values of one feature into ranges that no split can tell apart: cell c holds the values above cuts[c-1],
// up to and with cuts[c].
type cells struct {
	cuts []float64
	zero int32 // the cell that holds zero alone, where some split takes it for missing; else -1
	// known says that splits compare the feature with numbers, and none asks for its category.
	known bool
}

// newForks lays out the trees of a forest whose splits b knows.
func newForks(f *forest, b *binBuilder) *forks {
	nodes, leaves := 0, 0
	for i := range f.trees {
		nodes += len(f.trees[i].splits)
		leaves += len(f.trees[i].leaves)
	}
	out := &forks{
		nodes: make([]fork, 0, nodes), leaves: make([]float64, 0, leaves), roots: make([]int32, 0, len(f.trees)),
		cells: make([]cells, len(f.info.Features)), single: f.single, tinyIsZero: f.tinyIsZero,
	}
	out.cut(f)
	for _, x := range f.start {
		out.reach += math.Abs(x)
	}
	for i := range f.trees {
		out.add(&f.trees[i], b)
	}
	return out
}

// cut collects the thresholds of every feature.
func (o *forks) cut(f *forest) {
	categorical := make([]bool, len(o.cells))
	zeros := make([]bool, len(o.cells))
	for i := range f.trees {
		for j := range f.trees[i].splits {
			s := &f.trees[i].splits[j]
			if s.set >= 0 {
				categorical[s.feature] = true
				continue
			}
			c := &o.cells[s.feature]
			c.cuts = append(c.cuts, o.threshold(s.threshold))
			zeros[s.feature] = zeros[s.feature] || s.missing == missingZero
		}
	}
	for i := range o.cells {
		c := &o.cells[i]
		c.zero, c.known = -1, len(c.cuts) > 0 && !categorical[i]
		if zeros[i] {
			c.cuts = append(c.cuts, belowZero(), zeroThreshold)
		}
		slices.Sort(c.cuts)
		c.cuts = slices.Compact(c.cuts)
		if zeros[i] {
			at, _ := slices.BinarySearch(c.cuts, zeroThreshold)
			c.zero = int32(at)
		}
	}
}

// belowZero is the largest value that is not zero for LightGBM, and below it.
func belowZero() float64 { return math.Nextafter(-zeroThreshold, math.Inf(-1)) }

// threshold gives the largest value that goes left of a threshold as the model computes: what is closer to zero than
// zeroThreshold may be zero.
func (o *forks) threshold(t float64) float64 {
	switch {
	case !o.tinyIsZero || t < -zeroThreshold || t >= zeroThreshold:
		return t + 0 // no -0
	case t < 0:
		return belowZero()
	default:
		return zeroThreshold
	}
}

// cellOf finds the cell of a value, which is not NaN.
func (o *forks) cellOf(feature int, x float64) int {
	if o.single {
		x = float64(float32(x))
	}
	if o.tinyIsZero && x >= -zeroThreshold && x <= zeroThreshold {
		x = 0
	}
	at, _ := slices.BinarySearch(o.cells[feature].cuts, x+0)
	return at
}

// next is the smallest value above x that the model can tell from it.
func (o *forks) next(x float64) float64 {
	if o.single {
		return float64(math.Nextafter32(float32(x), float32(math.Inf(1))))
	}
	return math.Nextafter(x, math.Inf(1))
}

// add lays out one tree.
func (o *forks) add(t *tree, b *binBuilder) {
	firstNode, firstLeaf := int32(len(o.nodes)), int32(len(o.leaves))
	child := func(v int32) int32 {
		if v < 0 {
			return ^(firstLeaf + ^v)
		}
		return firstNode + v
	}
	largest := 0.0
	for _, v := range t.leaves {
		largest = max(largest, math.Abs(v))
	}
	o.reach += largest
	o.leaves = append(o.leaves, t.leaves...)
	root := child(0)
	if len(t.splits) == 0 {
		root = child(^0)
	}
	o.roots = append(o.roots, root)
	for i := range t.splits {
		s := &t.splits[i]
		n := fork{
			share: t.leftRatio(int32(i)), left: child(s.left), right: child(s.right), feature: s.feature, cell: -1, test: b.test(t, s),
		}
		if s.set < 0 {
			at, _ := slices.BinarySearch(o.cells[s.feature].cuts, o.threshold(s.threshold))
			n.cell = int32(at)
			n.zeroLeft = s.threshold >= 0
			if s.missing == missingZero {
				n.zeroLeft = s.defaultLeft
			}
		}
		o.nodes = append(o.nodes, n)
	}
}

// goesLeft says which way a binned row goes.
func (n *fork) goesLeft(bins *binTable) bool { return bins[n.test.slot] <= n.test.bin }

// leafOf walks a binned row down one tree.
func (o *forks) leafOf(root int32, bins *binTable) float64 {
	for root >= 0 {
		n := &o.nodes[root]
		root = n.right
		if n.goesLeft(bins) {
			root = n.left
		}
	}
	return o.leaves[^root]
}

// open checks what all slower questions need, and bins the row.
func (m *ensemble) open(row []float64, s *Scratch) error {
	switch {
	case m.shap == nil:
		// What has no contributions is mostly no sum of constant leaves, which all of this is about.
		return fmt.Errorf("%w: %s", ErrUnexplainable, m.info.Unexplainable)
	case m.info.MaxDepth > maxExploreDepth:
		return fmt.Errorf("a tree is %d deep, at most %d: %w", m.info.MaxDepth, maxExploreDepth, ErrLimit)
	}
	if err := m.checkRow(row); err != nil {
		return err
	}
	s.grow(m)
	m.bins.fill(row, s.bins)
	return nil
}

// checkOutput refuses an output that the model does not have.
func (m *ensemble) checkOutput(output int) error {
	if output < 0 || output >= m.info.Outputs {
		return fmt.Errorf("cannot explain output %d, the model has %d", output, m.info.Outputs)
	}
	return nil
}
