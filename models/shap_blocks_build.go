package models

import "slices"

// blockBuilder lays out the tables of contributions, tree by tree.
type blockBuilder struct {
	blockTable
	walk   *walker
	forks  []fork                // of the current tree
	leaves []float64             // of all trees
	alive  [maxBlocks + 1]uint32 // row of a split whose feature is new on its path
	have   [maxBlocks + 1]bool
	place  []uint32 // of each split of the current tree
	parent []int32
	side   []uint32  // 1 if the split hangs on the (swapped) left of its parent
	turn   []uint32  // the side of a split that the traversal is in
	cover  []float64 // product of the cover ratios of the edges above that test the same feature
}

// blocksFor is how many blocks of points a tree needs for exact contributions.
func blocksFor(features int) int { return max(1, (features+2*pointsPerBlock-1)/(2*pointsPerBlock)) }

// newBlockTable is made when it is first asked for, of what is kept for the slower questions.
func newBlockTable(f *forks, outputs int) *blockTable {
	s := &blockBuilder{walk: newWalker(len(f.cells)), leaves: f.leaves}
	end := int32(len(f.nodes))
	trees := make([]tree, len(f.roots))
	forksOf := make([][]fork, len(f.roots))
	for i, root := range slices.Backward(f.roots) {
		if root >= 0 {
			forksOf[i], end = f.nodes[root:end], root
			trees[i].splits = splitsOf(forksOf[i], root)
		}
	}
	for i := range trees {
		s.forks = forksOf[i]
		s.add(&trees[i], i%outputs)
	}
	table := s.blockTable // and not the rest of the builder
	return &table
}

// splitsOf makes splits of the forks of a tree, whose first is root. Leaves stay those of all trees.
func splitsOf(forks []fork, root int32) []split {
	splits := make([]split, len(forks))
	at := func(child int32) int32 {
		if child < 0 {
			return child
		}
		return child - root
	}
	for i := range forks {
		splits[i] = split{feature: forks[i].feature, left: at(forks[i].left), right: at(forks[i].right)}
	}
	return splits
}

// add lays out one tree.
func (s *blockBuilder) add(t *tree, output int) {
	n := len(t.splits)
	if n == 0 {
		return
	}
	s.largest = max(s.largest, n)
	blocks := blocksFor(s.walk.preorder(t, func(int32) {}).features)
	s.shared(blocks)
	s.place, s.parent, s.cover = grow(s.place, n), grow(s.parent, n), grow(s.cover, n)
	s.side, s.turn = grow(s.side, n), grow(s.turn, n)
	tree := blockTree{first: uint32(len(s.nodes)), end: uint32(len(s.nodes) + n), inner: s.order(t), output: uint32(output),
		blocks: uint32(blocks), firstRepeat: uint32(len(s.repeats))}
	s.nodes = append(s.nodes, make([]blockNode, n)...)
	nodes := s.nodes[tree.first:]
	s.walk.preorder(t, func(v int32) { s.node(t, v, nodes, blocks) })
	tree.endRepeat = uint32(len(s.repeats))
	s.trees = append(s.trees, tree)
}

// order gives every split its place: those with an internal child in preorder, then the others.
func (s *blockBuilder) order(t *tree) (inner uint32) {
	for i := range t.splits {
		if t.splits[i].left >= 0 || t.splits[i].right >= 0 {
			inner++
		}
	}
	next, last := uint32(0), inner
	s.walk.preorder(t, func(v int32) {
		at := &last
		if t.splits[v].left >= 0 || t.splits[v].right >= 0 {
			at = &next
		}
		s.place[v] = *at
		*at++
	})
	return inner
}

// node lays out one split; those above it are laid out already.
func (s *blockBuilder) node(t *tree, v int32, nodes []blockNode, blocks int) {
	u := &t.splits[v]
	if v != 0 {
		s.turn[s.parent[v]] = s.side[v]
	}
	left, right := u.left, u.right
	zl := s.forks[v].share
	zr := 1 - zl
	n := blockNode{test: s.forks[v].test, feature: uint32(u.feature), left: noNode, right: noNode, row: s.alive[blocks]}
	if left >= 0 && right < 0 {
		left, right, zl, zr, n.flip = right, left, zr, zl, 1
	}
	n.g = [2]float64{zl, -zr}
	if left < 0 {
		n.leftValue = s.leaves[^left]
	} else {
		n.left = s.place[left]
		s.parent[left], s.side[left] = v, 1
	}
	if right < 0 {
		n.rightValue = s.leaves[^right]
	} else {
		n.right = s.place[right]
		s.parent[right], s.side[right] = v, 0
	}
	s.cover[v] = 1
	if above := s.walk.above[v]; above >= 0 {
		side := s.turn[above]
		z := nodes[s.place[above]].g[0]
		if side == 0 {
			z = -nodes[s.place[above]].g[1]
		}
		s.cover[v] = float64(s.cover[above] * z)
		s.repeats = append(s.repeats, repeatNode{node: s.place[v], above: s.place[above], side: side})
		n.row = s.own(s.cover[v], blocks)
	}
	nodes[s.place[v]] = n
}

// shared makes the factors that all trees of one number of blocks have in common.
func (s *blockBuilder) shared(blocks int) {
	if s.have[blocks] {
		return
	}
	s.have[blocks] = true
	nodes, weights := gaussLegendre(pointsPerBlock * blocks)
	s.weights[blocks] = make([]lanes, blocks)
	for i, w := range weights {
		s.weights[blocks][i/pointsPerBlock][i%pointsPerBlock] = w
	}
	s.alive[blocks] = uint32(len(s.factors))
	for k := range blocks {
		var f factors
		for i := range f.a {
			// 1-p is the node on the other side of the middle, without the rounding of a subtraction.
			f.a[i], f.b[i] = nodes[len(nodes)-1-k*pointsPerBlock-i], 1
		}
		s.factors = append(s.factors, f)
	}
	s.dead[blocks] = uint32(len(s.factors))
	for range blocks {
		s.factors = append(s.factors, factors{a: lanes{1, 1, 1, 1}})
	}
}

// own makes the factors of a repeated split with the cover ratio a above it.
func (s *blockBuilder) own(a float64, blocks int) uint32 {
	row := uint32(len(s.factors))
	nodes, _ := gaussLegendre(pointsPerBlock * blocks)
	for k := range blocks {
		var f factors
		for i := range f.a {
			at := k*pointsPerBlock + i
			p, q := nodes[at], nodes[len(nodes)-1-at]
			d := a + float64(p*(1-a))
			f.a[i] = float64(q*a) / d
			f.b[i] = a / float64(d*d)
		}
		s.factors = append(s.factors, f)
	}
	return row
}
