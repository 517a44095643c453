package models

// Exact path-dependent Shapley contributions (TreeSHAP, Lundberg et al. 2018) by quadrature.
//
// The contribution of a feature is an integral over p in [0,1] of what the tree's expected value gains
// when the feature is known, while every other feature is known with probability p (Owen's
// multilinear form). For one leaf the integrand is a product over the other features of the path of
// (z + p(o-z)), where z is the share of training rows that a feature's splits send towards the leaf
// and o is 1 if the row goes that way and 0 if not: a polynomial of degree d-1 for d distinct features.
// Gauss-Legendre quadrature with n points is exact up to degree 2n-1, so that 4*ceil(d/8) points give
// the exact value, and one pass down and one up the tree serve all of its features and leaves:
//
//	down  F = the factor of the left edge, P(left) = P*F, P(right) = P - P*F
//	up    U(leaf) = value, U = U(right) + F*(U(left)-U(right))
//	      contribution of the split's feature -= g * sum over points of P*B*(U(left)-U(right))
//
// For a split whose feature is tested for the first time on its path, F = b + g*(1-p) and B = 1, where b says
// that the row goes left and g is -zR if it does and zL if not. For a repeated feature the edges above have
// the cover ratio a already, and with f = a + p(1-a) it is F = b + g*(1-p)a/f, B = a/f^2; if the
// row has left the path at an earlier split of that feature, F = zL and B = 0. Nothing is divided
// per row, and nothing cancels: all factors are in [0,1] and all U between the leaf values.

// pointsPerBlock is the width of the kernel: the points that are computed together.
const pointsPerBlock = 4

// maxBlocks bounds the points: paths of up to 8*maxBlocks distinct features are explained.
const maxBlocks = 8

// lanes are one value for each point of a block.
type lanes [pointsPerBlock]float64

// factors are the A and B of a split at the points of one block: F = b + g*A.
type factors struct{ a, b lanes }

// shapNode is an internal node. Nodes that have an internal child stand first, in preorder; those with
// two leaves follow. A lone leaf child is always the left one.
type shapNode struct {
	g          [2]float64 // by b: zL if the row goes right, -zR if it goes left
	leftValue  float64    // of a left leaf
	rightValue float64    // of a right leaf
	test       test
	feature    uint32
	left       uint32 // node of the tree, or noNode for a leaf
	right      uint32
	row        uint32 // its first factors in shapTable.factors
	flip       uint32 // 1 if its children were swapped
}

const noNode = ^uint32(0)

// repeatNode is a split whose feature was tested above it.
type repeatNode struct {
	node, above uint32 // above is the nearest such split
	side        uint32 // 1 if node hangs on its left
}

// shapTree is the part of the tables that belongs to one tree with at least one split.
type shapTree struct {
	first, end             uint32 // nodes
	inner                  uint32 // nodes with an internal child
	firstRepeat, endRepeat uint32
	output                 uint32
	blocks                 uint32
}

// shapTable holds all trees for contributions.
type shapTable struct {
	nodes   []shapNode
	repeats []repeatNode
	trees   []shapTree
	factors []factors              // row+k is for block k
	weights [maxBlocks + 1][]lanes // by number of blocks
	dead    [maxBlocks + 1]uint32  // row of a split behind a turning that the row did not take
	base    []float64              // by output
	largest int                    // nodes of the largest tree
	work    int                    // sum over trees of nodes times blocks
}

// shapScratch is the working memory of a pass over one tree, by node.
type shapScratch struct {
	p, f, u []lanes
	g, b    []float64
	row     []uint32
	left    []uint32 // 1 if the row goes left
	gone    []uint32 // 1 if the row left the path at an earlier split of the feature
}

func (s *shapScratch) grow(n int) {
	if len(s.row) >= n {
		return
	}
	*s = shapScratch{p: make([]lanes, n), f: make([]lanes, n), u: make([]lanes, n), g: make([]float64, n), b: make([]float64, n),
		row: make([]uint32, n), left: make([]uint32, n), gone: make([]uint32, n)}
}

// explain adds the contributions of all trees; phi is outputs x features.
func (t *shapTable) explain(bins *binTable, s *shapScratch, phi []float64, features int) {
	for i := range t.trees {
		tree := &t.trees[i]
		nodes := t.nodes[tree.first:tree.end]
		s.turns(nodes, bins)
		s.repeats(t.repeats[tree.firstRepeat:tree.endRepeat], t.dead[tree.blocks])
		out := phi[int(tree.output)*features:][:features]
		for k := range tree.blocks {
			s.down(nodes[:tree.inner], t.factors[k:], &t.weights[tree.blocks][k])
			s.fringe(nodes, int(tree.inner), t.factors[k:], out)
			s.up(nodes[:tree.inner], t.factors[k:], out)
		}
	}
}

// turns finds where the row goes at each node of a tree.
func (s *shapScratch) turns(nodes []shapNode, bins *binTable) {
	n := len(nodes)
	gs, bs, rows, lefts, gone := s.g[:n], s.b[:n], s.row[:n], s.left[:n], s.gone[:n]
	oneIf := [2]float64{0, 1}
	for i := range nodes {
		u := &nodes[i]
		right := (uint32(u.test.bin) - uint32(bins[u.test.slot])) >> 31
		left := (1 ^ right ^ u.flip) & 1
		gs[i] = u.g[left]
		bs[i] = oneIf[left]
		rows[i] = u.row
		lefts[i] = left
		gone[i] = 0
	}
}

// repeats gives the splits of repeated features the factors of a row that is still on their path or not.
func (s *shapScratch) repeats(repeats []repeatNode, dead uint32) {
	for i := range repeats {
		r := &repeats[i]
		gone := s.gone[r.above] | (s.left[r.above] ^ r.side)
		s.gone[r.node] = gone
		if gone != 0 {
			s.row[r.node] = dead
		}
	}
}

// down computes F of the nodes with an internal child and P of their internal children.
func (s *shapScratch) down(nodes []shapNode, rows []factors, weights *lanes) {
	n := len(nodes)
	ps, fs, gs, bs, row := s.p, s.f[:n], s.g[:n], s.b[:n], s.row[:n]
	ps[0] = *weights
	for i := range nodes {
		u := &nodes[i]
		a := &rows[row[i]].a
		g, b := gs[i], bs[i]
		f0 := b + float64(g*a[0])
		f1 := b + float64(g*a[1])
		f2 := b + float64(g*a[2])
		f3 := b + float64(g*a[3])
		fs[i] = lanes{f0, f1, f2, f3}
		p := &ps[i]
		p0, p1, p2, p3 := p[0], p[1], p[2], p[3]
		l0, l1, l2, l3 := float64(p0*f0), float64(p1*f1), float64(p2*f2), float64(p3*f3)
		ps[u.right] = lanes{p0 - l0, p1 - l1, p2 - l2, p3 - l3}
		if u.left != noNode {
			ps[u.left] = lanes{l0, l1, l2, l3}
		}
	}
}

// fringe does both passes at the nodes with two leaves.
func (s *shapScratch) fringe(nodes []shapNode, inner int, rows []factors, phi []float64) {
	n := len(nodes)
	ps, us, gs, bs, row := s.p[:n], s.u[:n], s.g[:n], s.b[:n], s.row[:n]
	for i := inner; i < n; i++ {
		u := &nodes[i]
		r := &rows[row[i]]
		g, b := gs[i], bs[i]
		v := u.rightValue
		d := u.leftValue - v
		us[i] = lanes{
			v + float64((b+float64(g*r.a[0]))*d),
			v + float64((b+float64(g*r.a[1]))*d),
			v + float64((b+float64(g*r.a[2]))*d),
			v + float64((b+float64(g*r.a[3]))*d),
		}
		p := &ps[i]
		sum := (float64(p[0]*r.b[0]) + float64(p[1]*r.b[1])) + (float64(p[2]*r.b[2]) + float64(p[3]*r.b[3]))
		phi[u.feature] -= float64(float64(g*d) * sum)
	}
}

// up computes U and the contributions of the nodes with an internal child.
func (s *shapScratch) up(nodes []shapNode, rows []factors, phi []float64) {
	n := len(nodes)
	ps, fs, us, gs, row := s.p[:n], s.f[:n], s.u, s.g[:n], s.row[:n]
	for i := n - 1; i >= 0; i-- {
		u := &nodes[i]
		r := us[u.right]
		l := lanes{u.leftValue, u.leftValue, u.leftValue, u.leftValue}
		if u.left != noNode {
			l = us[u.left]
		}
		d0, d1, d2, d3 := l[0]-r[0], l[1]-r[1], l[2]-r[2], l[3]-r[3]
		f := &fs[i]
		us[i] = lanes{r[0] + float64(f[0]*d0), r[1] + float64(f[1]*d1), r[2] + float64(f[2]*d2), r[3] + float64(f[3]*d3)}
		p, b := &ps[i], &rows[row[i]].b
		sum := (float64(float64(p[0]*b[0])*d0) + float64(float64(p[1]*b[1])*d1)) +
			(float64(float64(p[2]*b[2])*d2) + float64(float64(p[3]*b[3])*d3))
		phi[u.feature] -= float64(gs[i] * sum)
	}
}
