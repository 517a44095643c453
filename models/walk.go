package models

import (
	"slices"
	"unsafe"
)

// lanesOfTrees is how many trees are walked in step: their loads overlap, so that the walk waits for
// arithmetic and not for memory or for mispredicted branches.
const lanesOfTrees = 8

// A node is one word: its left child, what is left of the range of bins above its own (the room), and its slot. The right child
// follows the left. What a row has in the slot is added to the room, and if it is more than the node's bin, the sum carries
// into the child. A leaf points at itself and has no room to carry from, so that a walk may go on past it.
//
// Most models fit into 32 bits: 12 for the child, counted from the first node of its group, 12 for the room and 8 for the slot,
// which in a leaf is its number. Others take 64: 32, 16 and 16.
const (
	narrowSlots = 1 << 8
	narrowBins  = 1 << 12
	wideBins    = 1 << 16
)

// walkTable holds all trees for finding leaves.
type walkTable struct {
	fits   bool // into narrow
	narrow []uint32
	wide   []uint64
	leafAt []uint32  // by node of wide: its leaf
	values []float64 // by leaf: those of the first tree in the file's order, then those of the second …
	first  []uint32  // by tree: its first leaf
	groups []walkGroup
	steps  int // over all groups
}

// walkGroup is lanesOfTrees trees of similar depth, or fewer with the first repeated.
type walkGroup struct {
	roots  [lanesOfTrees]uint32 // counted from first
	leaves [lanesOfTrees]uint32 // the first leaf of each tree
	trees  [lanesOfTrees]uint32 // where their leaves are written
	first  uint32               // node
	depth  uint32
}

// find writes the leaf that each tree comes to; leaves has one element a tree.
func (w *walkTable) find(bins *binTable, leaves []uint32) {
	for i := range w.groups {
		w.findGroup(&w.groups[i], bins, leaves)
	}
}

// findGroup does the trees of one group.
func (w *walkTable) findGroup(g *walkGroup, bins *binTable, leaves []uint32) {
	if !w.fits {
		w.findWide(g, bins, leaves)
		return
	}
	nodes := w.narrow[g.first:]
	a, b, c, d := nodes[g.roots[0]], nodes[g.roots[1]], nodes[g.roots[2]], nodes[g.roots[3]]
	e, f, h, j := nodes[g.roots[4]], nodes[g.roots[5]], nodes[g.roots[6]], nodes[g.roots[7]]
	for range g.depth {
		a = nodes[narrowChild(a, bins)]
		b = nodes[narrowChild(b, bins)]
		c = nodes[narrowChild(c, bins)]
		d = nodes[narrowChild(d, bins)]
		e = nodes[narrowChild(e, bins)]
		f = nodes[narrowChild(f, bins)]
		h = nodes[narrowChild(h, bins)]
		j = nodes[narrowChild(j, bins)]
	}
	t, l := &g.trees, &g.leaves
	leaves[t[0]], leaves[t[1]], leaves[t[2]], leaves[t[3]] = l[0]+a&0xFF, l[1]+b&0xFF, l[2]+c&0xFF, l[3]+d&0xFF
	leaves[t[4]], leaves[t[5]], leaves[t[6]], leaves[t[7]] = l[4]+e&0xFF, l[5]+f&0xFF, l[6]+h&0xFF, l[7]+j&0xFF
}

// narrowChild returns the child that a node sends the row to.
func narrowChild(node uint32, bins *binTable) uint32 {
	return (node + uint32(bins[uint8(node)])<<8) >> 20
}

// findWide is findGroup for nodes of 64 bits.
func (w *walkTable) findWide(g *walkGroup, bins *binTable, leaves []uint32) {
	nodes := w.wide[g.first:]
	at := g.roots
	for range g.depth {
		for i, n := range at {
			node := nodes[n]
			at[i] = uint32((node + uint64(bins[uint16(node)])<<16) >> 32)
		}
	}
	for i, n := range at {
		leaves[g.trees[i]] = w.leafAt[g.first+n]
	}
}

// newWalkTable lays out the trees, group by group.
func newWalkTable(f *forest, b *binBuilder, depths []int) *walkTable {
	w := &walkTable{fits: b.slots <= narrowSlots && b.mostBins < narrowBins, first: make([]uint32, len(f.trees))}
	order := make([]int, len(f.trees))
	for i := range order {
		order[i] = i
		w.first[i] = uint32(len(w.values))
		w.values = append(w.values, f.trees[i].leaves...)
		w.fits = w.fits && len(f.trees[i].leaves) <= narrowSlots
	}
	slices.SortStableFunc(order, func(a, b int) int { return depths[a] - depths[b] })
	for chunk := range slices.Chunk(order, lanesOfTrees) {
		g := walkGroup{first: w.size()}
		for i := range g.roots {
			if i >= len(chunk) {
				g.roots[i], g.leaves[i], g.trees[i] = g.roots[0], g.leaves[0], g.trees[0]
				continue
			}
			t := chunk[i]
			g.roots[i], g.leaves[i], g.trees[i] = w.size()-g.first, w.first[t], uint32(t)
			g.depth = max(g.depth, uint32(depths[t]))
			w.add(&f.trees[t], b, g.roots[i], w.first[t])
		}
		w.groups = append(w.groups, g)
		w.steps += int(g.depth)
	}
	return w
}

// size is how many nodes there are.
func (w *walkTable) size() uint32 { return uint32(len(w.narrow) + len(w.wide)) }

// bytes is the memory that it takes.
func (w *walkTable) bytes() int {
	return 4*len(w.narrow) + (8+4)*len(w.wide) + 8*len(w.values) + 4*len(w.first) + int(unsafe.Sizeof(walkGroup{}))*len(w.groups)
}

// add appends one tree, siblings side by side and level by level. root counts from the first node of the group.
func (w *walkTable) add(t *tree, b *binBuilder, root, firstLeaf uint32) {
	start := int32(0)
	if len(t.splits) == 0 {
		start = ^0
	}
	queue := append(make([]int32, 0, len(t.splits)+len(t.leaves)), start) // queue[k] stands at root+k
	for k := 0; k < len(queue); k++ {
		v := queue[k]
		if v < 0 {
			w.addLeaf(root+uint32(k), uint32(^v), firstLeaf)
			continue
		}
		w.addSplit(root+uint32(len(queue)), b.test(t, &t.splits[v]))
		queue = append(queue, t.splits[v].left, t.splits[v].right)
	}
}

func (w *walkTable) addLeaf(at, number, firstLeaf uint32) {
	if w.fits {
		w.narrow = append(w.narrow, at<<20|number)
		return
	}
	w.wide, w.leafAt = append(w.wide, uint64(at)<<32), append(w.leafAt, firstLeaf+number)
}

func (w *walkTable) addSplit(left uint32, t test) {
	if w.fits {
		w.narrow = append(w.narrow, left<<20|(narrowBins-1-uint32(t.bin))<<8|uint32(t.slot))
		return
	}
	w.wide, w.leafAt = append(w.wide, uint64(left)<<32|uint64(wideBins-1-uint32(t.bin))<<16|uint64(t.slot)), append(w.leafAt, 0)
}
