package models

import "slices"

// lanesOfTrees is how many trees are walked in step: their loads overlap, so that the walk waits for
// arithmetic and not for memory or for mispredicted branches.
const lanesOfTrees = 8

// walkTable holds all trees for finding leaves. A node is one word: slot (16 bits), bin (16 bits) and the
// index of its left child (32 bits); the right child follows the left. A leaf points at itself and tests
// nothing (bin is the largest), so that a walk may go on past it.
type walkTable struct {
	nodes  []uint64
	values []float64 // by node; that of leaves is used
	groups []walkGroup
	steps  int // over all groups
}

// walkGroup is lanesOfTrees trees of similar depth, or fewer with the first repeated.
type walkGroup struct {
	roots [lanesOfTrees]uint32
	trees [lanesOfTrees]uint32 // where their leaves are written
	depth uint32
}

// packNode makes the word of a node.
func packNode(t test, left uint32) uint64 {
	return uint64(left)<<32 | uint64(t.bin)<<16 | uint64(t.slot)
}

// find writes the leaf (its node) that each tree comes to; leaves has one element a tree.
func (w *walkTable) find(bins *binTable, leaves []uint32) {
	for i := range w.groups {
		w.findGroup(&w.groups[i], bins, leaves)
	}
}

// findGroup does the trees of one group.
func (w *walkTable) findGroup(g *walkGroup, bins *binTable, leaves []uint32) {
	nodes := w.nodes
	a, b, c, d := g.roots[0], g.roots[1], g.roots[2], g.roots[3]
	e, f, h, j := g.roots[4], g.roots[5], g.roots[6], g.roots[7]
	for range g.depth {
		a = childOf(nodes[a], bins)
		b = childOf(nodes[b], bins)
		c = childOf(nodes[c], bins)
		d = childOf(nodes[d], bins)
		e = childOf(nodes[e], bins)
		f = childOf(nodes[f], bins)
		h = childOf(nodes[h], bins)
		j = childOf(nodes[j], bins)
	}
	t := &g.trees
	leaves[t[0]], leaves[t[1]], leaves[t[2]], leaves[t[3]] = a, b, c, d
	leaves[t[4]], leaves[t[5]], leaves[t[6]], leaves[t[7]] = e, f, h, j
}

// childOf returns the child that a node sends the row to: the left one plus the borrow of bin - bins[slot].
func childOf(node uint64, bins *binTable) uint32 {
	return uint32(node>>32) + (uint32(uint16(node>>16))-uint32(bins[uint16(node)]))>>31
}

// newWalkTable lays out the trees, siblings side by side and level by level.
func newWalkTable(f *forest, b *binBuilder, depths []int) *walkTable {
	total := 0
	for i := range f.trees {
		total += len(f.trees[i].splits) + len(f.trees[i].leaves)
	}
	w := &walkTable{nodes: make([]uint64, 0, total), values: make([]float64, total)}
	roots := make([]uint32, len(f.trees))
	for i := range f.trees {
		roots[i] = uint32(len(w.nodes))
		w.add(&f.trees[i], b)
	}
	w.group(roots, depths)
	return w
}

// add appends one tree.
func (w *walkTable) add(t *tree, b *binBuilder) {
	root := len(w.nodes)
	start := int32(0)
	if len(t.splits) == 0 {
		start = ^0
	}
	queue := append(make([]int32, 0, len(t.splits)+len(t.leaves)), start) // queue[k] stands at root+k
	for k := 0; k < len(queue); k++ {
		at := uint32(root + k)
		if v := queue[k]; v < 0 {
			w.nodes = append(w.nodes, packNode(test{bin: 0xFFFF}, at))
			w.values[at] = t.leaves[^v]
		} else {
			s := &t.splits[v]
			w.nodes = append(w.nodes, packNode(b.test(t, s), uint32(root+len(queue))))
			queue = append(queue, s.left, s.right)
		}
	}
}

// group puts trees of similar depth together.
func (w *walkTable) group(roots []uint32, depths []int) {
	order := make([]int, len(roots))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return depths[a] - depths[b] })
	for chunk := range slices.Chunk(order, lanesOfTrees) {
		var g walkGroup
		for i := range g.roots {
			t := chunk[0]
			if i < len(chunk) {
				t = chunk[i]
			}
			g.roots[i], g.trees[i] = roots[t], uint32(t)
			g.depth = max(g.depth, uint32(depths[t]))
		}
		w.groups = append(w.groups, g)
		w.steps += int(g.depth)
	}
}
