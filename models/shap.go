package models

import "slices"

// Exact path-dependent Shapley contributions (TreeSHAP, Lundberg et al. 2018) by quadrature.
//
// The contribution of a feature is an integral over p in [0,1] of what the tree's expected value gains
// when the feature is known, while every other feature is known with probability p (Owen's
// multilinear form). For one leaf the integrand is a product over the other features of the path of
// (z + p(o-z)), where z is the share of training rows that a feature's splits send towards the leaf
// and o is 1 if the row goes that way and 0 if not: a polynomial of degree d-1 for d distinct features.
// Gauss-Legendre quadrature with n points is exact up to degree 2n-1, so that ceil(d/2) points give
// the exact value, and one pass down and one up the tree serve all of its features and leaves:
//
//	down  F = the factor of the left edge, P(left) = P*F, P(right) = P - P*F
//	up    U(leaf) = value, U = U(right) + F*(U(left)-U(right))
//	      contribution of the split's feature -= g * sum over points of P*B*(U(left)-U(right))
//
// For a split whose feature is tested for the first time on its path, F = b + g*A with A = 1-p, and B = 1, where b says
// that the row goes left and g is -zR if it does and zL if not. For a repeated feature the edges above have
// the cover ratio a already, and with f = a + p(1-a) it is A = (1-p)a/f, B = a/f^2; if the
// row has left the path at an earlier split of that feature, F = zL (A = 1) and B = 0. Nothing is divided
// per row, and nothing cancels: all factors are in [0,1] and all U between the leaf values.
//
// A split with two leaves has U = v + g*d*A, where v is the leaf that the row goes to and d is left minus right. That
// is cheaper to compute again than to keep, so such a split (a twig) is done within the step of the split above
// it, and a split above a twig and a leaf, or above two leaves, does both passes at once.

// step is what is done at one split, and at the twig below it if it has one. The kernel's left and right are chosen
// by kind (stepKind), and not those of the file.
type step struct {
	g, b    [2]float64 // by whether the row goes right (in the file's sense)
	twig    twig       // the left child, or the split itself
	leaf    float64    // the right child's value
	test    test
	feature uint32 // output*features + feature
	at      uint32 // its place in the states: P on the way down, U on the way up
	left    uint32 // its children's places
	right   uint32
	repeat  uint32 // its element of shapTable.repeats
}

// twig is a split with two leaves whose feature is new on its path: U = v + slope*A.
type twig struct {
	v, slope [2]float64 // by whether the row goes right
	test     test
	feature  uint32
}

// stepKind says what a split's children are, and whether its feature was tested above.
type stepKind uint8

const (
	twoLeaves stepKind = iota // the split is its own twig
	twigLeaf
	innerLeaf
	twigInner
	innerInner
	repeated // added to the others
)

// run is a number of steps of one kind; no step of it is above another.
type run struct {
	kind       stepKind
	first, end uint32
}

// repeat is a split whose feature was tested above it.
type repeat struct {
	above test   // the nearest such split
	side  uint32 // 1 if that one's right (in the file's sense) leads here
	next  uint32 // 1 + the index of that split's own element, which comes earlier, or 0
	own   uint32 // its factors while the row is on its path
}

// points are what a pass computes together: values at up to 8 points. Those beyond the width of a pass are 0 or unused.
type points [maxWidth]float64

const maxWidth = 8

// grove is some trees with the same number of points. They are done in step, so that steps which do not wait for one
// another follow one another.
type grove struct {
	runs, endRun       uint32
	repeats, endRepeat uint32
	roots              []uint32 // their places
	rule               *rule
}

// rule is a quadrature rule and the factors of splits whose features are new on their paths, in passes of maxWidth points.
type rule struct {
	points  int        // even
	weights []points   // by pass: the P of a root
	fresh   []points   // by pass: A
	factors [][]factor // by pass: of repeated splits. The first is that of a path which the row has left
}

// factor is A and B of a repeated split.
type factor struct{ a, b points }

// shapTable holds all trees for contributions.
type shapTable struct {
	steps   []step
	runs    []run
	repeats []repeat
	groves  []grove
	base    []float64 // by output
	places  int       // of the largest grove
	most    int       // repeats of the grove with most of them
	work    int       // sum over splits of points, for Cost
}

// right is 1 if the row goes right at a split.
func (t test) right(bins *binTable) uint32 {
	return (uint32(t.bin) - uint32(bins[t.slot])) >> 31
}

// shapScratch is what a pass over one grove keeps.
type shapScratch struct {
	states []points
	rows   []uint32 // by repeat: its factors for this row
}

// grow makes room for explaining with t.
func (s *shapScratch) grow(t *shapTable) {
	s.states, s.rows = grow(s.states, t.places), grow(s.rows, t.most)
}

// explain adds the contributions of all trees by instructions with so many lanes; phi is outputs x features.
func (t *shapTable) explain(bins *binTable, s *shapScratch, phi []float64, lanes int) {
	k := kernel{bins: bins, states: s.states, rows: s.rows, phi: phi, lanes: lanes}
	for i := range t.groves {
		g := &t.groves[i]
		k.findRows(t.repeats[g.repeats:g.endRepeat])
		runs := t.runs[g.runs:g.endRun]
		for pass := range g.rule.fresh {
			k.width = min(maxWidth, g.rule.points-pass*maxWidth)
			k.fresh, k.factors = &g.rule.fresh[pass], g.rule.factors[pass]
			for _, at := range g.roots {
				k.states[at] = g.rule.weights[pass]
			}
			for _, run := range runs {
				k.down(run.kind, t.steps[run.first:run.end])
			}
			for _, run := range slices.Backward(runs) {
				k.up(run.kind, t.steps[run.first:run.end])
			}
		}
	}
}
