package models

// The contributions of records of decide's logic version 1: the same mathematics as in shap.go, with points in blocks
// of 4 and sums in another order, and so other last bits. It serves KernelBlocks alone, for as long as such records
// are replayed, and is not to be changed. What its nodes and passes are is in the comment at the top of shap.go; here every
// split is a node, and a pass goes over one tree for one block of points.

// pointsPerBlock is the width of the kernel: the points that are computed together.
const pointsPerBlock = 4

// maxBlocks bounds the points: paths of up to 8*maxBlocks distinct features are explained.
const maxBlocks = 8

// lanes are one value for each point of a block.
type lanes [pointsPerBlock]float64

// factors are the A and B of a split at the points of one block: F = b + g*A.
type factors struct{ a, b lanes }

// blockNode is an internal node. Nodes that have an internal child stand first, in preorder; those with
// two leaves follow. A lone leaf child is always the left one.
type blockNode struct {
	g          [2]float64 // by b: zL if the row goes right, -zR if it goes left
	leftValue  float64    // of a left leaf
	rightValue float64    // of a right leaf
	test       test
	feature    uint32
	left       uint32 // node of the tree, or noNode for a leaf
	right      uint32
	row        uint32 // its first factors in blockTable.factors
	flip       uint32 // 1 if its children were swapped
}

const noNode = ^uint32(0)

// repeatNode is a split whose feature was tested above it.
type repeatNode struct {
	node, above uint32 // above is the nearest such split
	side        uint32 // 1 if node hangs on its left
}

// blockTree is the part of the tables that belongs to one tree with at least one split.
type blockTree struct {
	first, end             uint32 // nodes
	inner                  uint32 // nodes with an internal child
	firstRepeat, endRepeat uint32
	output                 uint32
	blocks                 uint32
}

// blockTable holds all trees for contributions.
type blockTable struct {
	nodes   []blockNode
	repeats []repeatNode
	trees   []blockTree
	factors []factors              // row+k is for block k
	weights [maxBlocks + 1][]lanes // by number of blocks
	dead    [maxBlocks + 1]uint32  // row of a split behind a turning that the row did not take
	largest int                    // nodes of the largest tree
}

// nodeState is what a pass over one tree keeps of a node: one place in memory for all that is used together.
type nodeState struct {
	p, f, u lanes
	g, b    float64 // F = b + g*A
	row     uint32  // its factors for this row
	left    uint32  // 1 if the row goes left
	gone    uint32  // 1 if the row left the path at an earlier split of the feature
}

// explain adds the contributions of all trees; phi is outputs x features. states has room for the largest tree.
func (t *blockTable) explain(bins *binTable, states []nodeState, phi []float64, features int) {
	for i := range t.trees {
		tree := &t.trees[i]
		nodes := t.nodes[tree.first:tree.end]
		turns(nodes, states, bins)
		repeats(t.repeats[tree.firstRepeat:tree.endRepeat], states, t.dead[tree.blocks])
		out := phi[int(tree.output)*features:][:features]
		for k := range tree.blocks {
			states[0].p = t.weights[tree.blocks][k]
			down(nodes[:tree.inner], states, t.factors[k:])
			fringe(nodes, int(tree.inner), states, t.factors[k:], out)
			up(nodes[:tree.inner], states, t.factors[k:], out)
		}
	}
}

// turns finds where the row goes at each node of a tree.
func turns(nodes []blockNode, states []nodeState, bins *binTable) {
	states = states[:len(nodes)]
	oneIf := [2]float64{0, 1}
	for i := range nodes {
		n, s := &nodes[i], &states[i]
		right := (uint32(n.test.bin) - uint32(bins[n.test.slot])) >> 31
		left := (1 ^ right ^ n.flip) & 1
		s.g = n.g[left]
		s.b = oneIf[left]
		s.row = n.row
		s.left = left
		s.gone = 0
	}
}

// repeats gives the splits of repeated features the factors of a row that is still on their path or not.
func repeats(repeats []repeatNode, states []nodeState, dead uint32) {
	for i := range repeats {
		r := &repeats[i]
		above, s := &states[r.above], &states[r.node]
		s.gone = above.gone | (above.left ^ r.side)
		if s.gone != 0 {
			s.row = dead
		}
	}
}

// down computes F of the nodes with an internal child and P of their internal children.
func down(nodes []blockNode, states []nodeState, rows []factors) {
	for i := range nodes {
		n, s := &nodes[i], &states[i]
		a := &rows[s.row].a
		g, b := s.g, s.b
		f0 := b + float64(g*a[0])
		f1 := b + float64(g*a[1])
		f2 := b + float64(g*a[2])
		f3 := b + float64(g*a[3])
		s.f[0], s.f[1], s.f[2], s.f[3] = f0, f1, f2, f3
		p0, p1, p2, p3 := s.p[0], s.p[1], s.p[2], s.p[3]
		l0, l1, l2, l3 := float64(p0*f0), float64(p1*f1), float64(p2*f2), float64(p3*f3)
		right := &states[n.right].p
		right[0], right[1], right[2], right[3] = p0-l0, p1-l1, p2-l2, p3-l3
		if n.left != noNode {
			left := &states[n.left].p
			left[0], left[1], left[2], left[3] = l0, l1, l2, l3
		}
	}
}

// fringe does both passes at the nodes with two leaves.
func fringe(nodes []blockNode, inner int, states []nodeState, rows []factors, phi []float64) {
	states = states[:len(nodes)]
	for i := inner; i < len(nodes); i++ {
		n, s := &nodes[i], &states[i]
		r := &rows[s.row]
		g, b := s.g, s.b
		v := n.rightValue
		d := n.leftValue - v
		s.u[0] = v + float64((b+float64(g*r.a[0]))*d)
		s.u[1] = v + float64((b+float64(g*r.a[1]))*d)
		s.u[2] = v + float64((b+float64(g*r.a[2]))*d)
		s.u[3] = v + float64((b+float64(g*r.a[3]))*d)
		sum := (float64(s.p[0]*r.b[0]) + float64(s.p[1]*r.b[1])) + (float64(s.p[2]*r.b[2]) + float64(s.p[3]*r.b[3]))
		phi[n.feature] -= float64(float64(g*d) * sum)
	}
}

// up computes U and the contributions of the nodes with an internal child.
func up(nodes []blockNode, states []nodeState, rows []factors, phi []float64) {
	for i := len(nodes) - 1; i >= 0; i-- {
		n, s := &nodes[i], &states[i]
		r := &states[n.right].u
		r0, r1, r2, r3 := r[0], r[1], r[2], r[3]
		l0, l1, l2, l3 := n.leftValue, n.leftValue, n.leftValue, n.leftValue
		if n.left != noNode {
			l := &states[n.left].u
			l0, l1, l2, l3 = l[0], l[1], l[2], l[3]
		}
		d0, d1, d2, d3 := l0-r0, l1-r1, l2-r2, l3-r3
		s.u[0], s.u[1] = r0+float64(s.f[0]*d0), r1+float64(s.f[1]*d1)
		s.u[2], s.u[3] = r2+float64(s.f[2]*d2), r3+float64(s.f[3]*d3)
		b := &rows[s.row].b
		sum := (float64(float64(s.p[0]*b[0])*d0) + float64(float64(s.p[1]*b[1])*d1)) +
			(float64(float64(s.p[2]*b[2])*d2) + float64(float64(s.p[3]*b[3])*d3))
		phi[n.feature] -= float64(s.g * sum)
	}
}
