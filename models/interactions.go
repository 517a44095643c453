package models

import "fmt"

// Interactions implements Explorer.
//
// The interaction of i and j is the integral over p in [0,1] of what they are worth together where every other feature is known with
// probability p: the second derivative of the multilinear form whose first one is the contribution (shap.go). Of one leaf it
// is value * (oi-zi) * (oj-zj) * the integral of the product of z + p(o-z) over the other features of the path, a polynomial of
// degree d-2, for which quadrature with as many points as for contributions is exact. SHAP gives half of it to (i,j) and half to
// (j,i) (Lundberg et al. 2020, "SHAP interaction values").
func (m *ensemble) Interactions(row []float64, output int, s *Scratch, matrix []float64) error {
	if err := m.open(row, s); err != nil {
		return fmt.Errorf("cannot find interactions: %w", err)
	}
	if err := m.checkInteractions(output, matrix); err != nil {
		return fmt.Errorf("cannot find interactions: %w", err)
	}
	n := len(m.info.Features)
	margins, contributions := make([]float64, m.info.Outputs), make([]float64, m.info.Outputs*n)
	if err := m.Explain(row, s, margins, contributions); err != nil {
		return fmt.Errorf("cannot find interactions: %w", err)
	}
	clear(matrix)
	p := newPairs(m.forks, s.bins, matrix, n, m.info.MaxPathFeatures)
	for i := output; i < len(m.forks.roots); i += m.info.Outputs {
		p.walk(m.forks.roots[i])
	}
	for i := range n {
		alone := contributions[output*n+i]
		for j := range n {
			if i == j {
				continue
			}
			if j < i {
				matrix[i*n+j] = matrix[j*n+i] // what the walk found stands above the diagonal
			}
			alone -= matrix[i*n+j]
		}
		matrix[i*n+i] = alone
	}
	return nil
}

func (m *ensemble) checkInteractions(output int, matrix []float64) error {
	n, d := len(m.info.Features), m.info.MaxPathFeatures
	switch {
	case n > maxPairFeatures:
		return fmt.Errorf("the model has %d features, at most %d: %w", n, maxPairFeatures, ErrLimit)
	case len(matrix) != n*n:
		return fmt.Errorf("a matrix of %d, the model has %d features: want %d", len(matrix), n, n*n)
	case m.info.Leaves > maxPairTerms/max(1, d*(d-1)/2*pointsFor(d)):
		return fmt.Errorf("%d leaves behind up to %d features are more than %d terms: %w", m.info.Leaves, d, maxPairTerms, ErrLimit)
	}
	return m.checkOutput(output)
}

// pathFeature is one distinct feature of the way to a node.
type pathFeature struct {
	feature int32
	zero    float64 // z: the share of training rows that its splits send this way
	one     bool    // o: the row goes this way
}

// pairs walks trees with the path's features, and adds up the pairs of every leaf.
type pairs struct {
	of       *forks
	bins     *binTable
	matrix   []float64 // the pairs above the diagonal
	features int
	path     []pathFeature
	place    []int32                 // by feature: its place on the path, -1 without
	points   [maxPoints + 1]pointSet // by their number, which is even
	// at one point: the factors of the path, and the products of those behind each.
	factor, behind []float64
}

type pointSet struct{ at, weight []float64 }

func newPairs(b *forks, bins *binTable, matrix []float64, features, longest int) *pairs {
	p := &pairs{of: b, bins: bins, matrix: matrix, features: features, place: make([]int32, features),
		factor: make([]float64, longest), behind: make([]float64, longest+1)}
	for i := range p.place {
		p.place[i] = -1
	}
	for k := 2; k <= maxPoints; k += 2 {
		p.points[k].at, p.points[k].weight = gaussLegendre(k)
	}
	return p
}

// walk goes down both ways of every split.
func (p *pairs) walk(v int32) {
	if v < 0 {
		p.leaf(p.of.leaves[^v])
		return
	}
	n := &p.of.nodes[v]
	left := n.goesLeft(p.bins)
	at := p.place[n.feature]
	known := at >= 0
	if !known {
		at = int32(len(p.path))
		p.place[n.feature] = at
		p.path = append(p.path, pathFeature{feature: n.feature, zero: 1, one: true})
	}
	before := p.path[at]
	p.path[at] = pathFeature{n.feature, float64(before.zero * n.share), before.one && left}
	p.walk(n.left)
	p.path[at] = pathFeature{n.feature, float64(before.zero * (1 - n.share)), before.one && !left}
	p.walk(n.right)
	p.path[at] = before
	if !known {
		p.path = p.path[:at]
		p.place[n.feature] = -1
	}
}

// leaf adds the pairs of the path that ends here.
func (p *pairs) leaf(value float64) {
	d := len(p.path)
	if d < 2 {
		return
	}
	points := &p.points[pointsFor(d)]
	for k, at := range points.at {
		p.behind[d] = 1
		for i := d - 1; i >= 0; i-- {
			f := float64(p.path[i].zero * (1 - at))
			if p.path[i].one {
				f += at
			}
			p.factor[i] = f
			p.behind[i] = float64(p.behind[i+1] * f)
		}
		ahead := float64(value * points.weight[k] / 2)
		for i := range d - 1 {
			between := float64(ahead * p.path[i].gain())
			for j := i + 1; j < d; j++ {
				p.add(p.path[i].feature, p.path[j].feature, float64(float64(between*p.path[j].gain())*p.behind[j+1]))
				between = float64(between * p.factor[j])
			}
			ahead = float64(ahead * p.factor[i])
		}
	}
}

// gain is o-z.
func (f *pathFeature) gain() float64 {
	if f.one {
		return 1 - f.zero
	}
	return -f.zero
}

func (p *pairs) add(i, j int32, x float64) {
	if i > j {
		i, j = j, i
	}
	p.matrix[int(i)*p.features+int(j)] += x
}
