package models

import (
	"fmt"
	"math"
	"strconv"
	"unsafe"
)

// maxCategories is where float32 cannot count on: XGBoost takes category 2^24 and above for none.
const maxCategories = 1 << 24

// xgboostTree reads trees one after the other, into the same memory. Its arrays have one element for each node, by number;
// nodes that cannot be reached from node 0 were pruned and do not count.
type xgboostTree struct {
	doc                  document
	nodesLeft, bytesLeft int // of the limits

	left, right, feature []int32
	value                []float64 // threshold, or what a leaf adds
	defaultLeft          []int32
	categorical          []int32
	cover, gain          []float64
	setOf                []int32 // nodes with a category set, then where it starts and its size
	setStart, setSize    []int32
	categories           []int32
	nodes                int
	covered              bool

	place []int32 // by node: index into setOf, or -1
	seen  []bool
	stack []branch
}

// branch is a node that is still to be visited: the child on one side of a split of the new tree, or its root.
type branch struct {
	node, parent int32
	right        bool
}

// read reads the next tree.
func (x *xgboostTree) read() (tree, error) {
	x.clear()
	if err := x.members(); err != nil {
		return tree{}, err
	}
	if err := x.check(); err != nil {
		return tree{}, err
	}
	t, err := x.build()
	if err != nil {
		return tree{}, err
	}
	if x.nodesLeft -= len(t.splits); x.nodesLeft < 0 {
		return tree{}, fmt.Errorf("the trees have more nodes than MaxNodes: %w", ErrLimit)
	}
	return t, nil
}

func (x *xgboostTree) clear() {
	x.left, x.right, x.feature = x.left[:0], x.right[:0], x.feature[:0]
	x.value, x.cover, x.gain = x.value[:0], x.cover[:0], x.gain[:0]
	x.defaultLeft, x.categorical = x.defaultLeft[:0], x.categorical[:0]
	x.setOf, x.setStart, x.setSize, x.categories = x.setOf[:0], x.setStart[:0], x.setSize[:0], x.categories[:0]
	x.nodes, x.covered = -1, false
}

func (x *xgboostTree) members() error {
	most := 2*x.nodesLeft + 1
	whole := func(to *[]int32, low, high float64) func() error {
		return func() (err error) {
			*to, err = integers(x.doc, *to, most, low, high)
			return err
		}
	}
	single := func(to *[]float64) func() error {
		return func() (err error) {
			*to, err = numbers(x.doc, *to, 32, most)
			return err
		}
	}
	return members(x.doc, "tree", map[string]func() error{
		"base_weights":        nil,
		"id":                  nil,
		"leaf_weights":        func() error { return errVectorLeaf }, // of multi_output_tree, in files later than 2.1
		"loss_changes":        single(&x.gain),
		"parents":             nil, // said by the children already
		"left_children":       whole(&x.left, -1, math.MaxInt32),
		"right_children":      whole(&x.right, -1, math.MaxInt32),
		"split_indices":       whole(&x.feature, 0, math.MaxInt32),
		"split_conditions":    single(&x.value),
		"default_left":        whole(&x.defaultLeft, 0, 1),
		"split_type":          whole(&x.categorical, 0, 1),
		"categories_nodes":    whole(&x.setOf, 0, math.MaxInt32),
		"categories_segments": whole(&x.setStart, 0, math.MaxInt32),
		"categories_sizes":    whole(&x.setSize, 0, math.MaxInt32),
		"categories":          x.readCategories,
		"sum_hessian": func() error {
			x.covered = true
			return single(&x.cover)()
		},
		"tree_param": x.readParameters,
	})
}

// readCategories bounds the categories of all sets by the memory that is left: a file may name each of them.
func (x *xgboostTree) readCategories() (err error) {
	x.categories, err = integers(x.doc, x.categories, x.bytesLeft/wordBytes, 0, maxCategories-1)
	return err
}

func (x *xgboostTree) readParameters() error {
	read := func(to *int) func() error {
		return func() error {
			s, err := x.doc.text()
			if err != nil {
				return err
			}
			if *to, err = strconv.Atoi(s); err != nil || *to < 0 {
				return x.doc.errorf("%.40q is no count", s)
			}
			return nil
		}
	}
	leaf := 0
	err := members(x.doc, "tree_param", map[string]func() error{
		"num_deleted":      nil,
		"num_feature":      nil,
		"num_nodes":        read(&x.nodes),
		"size_leaf_vector": read(&leaf),
	})
	if err == nil && leaf > 1 {
		err = errVectorLeaf
	}
	return err
}

// check holds the arrays against each other, and finds the place of each node's category set.
func (x *xgboostTree) check() error {
	n := len(x.left)
	if x.nodes != n || n == 0 {
		return x.doc.errorf("num_nodes is %d with %d left_children", x.nodes, n)
	}
	for _, a := range []struct {
		name string
		have int
	}{
		{"right_children", len(x.right)}, {"split_indices", len(x.feature)}, {"split_conditions", len(x.value)},
		{"default_left", len(x.defaultLeft)}, {"split_type", len(x.categorical)},
	} {
		if a.have != n {
			return x.doc.errorf("%s has %d values for %d nodes", a.name, a.have, n)
		}
	}
	if x.covered && len(x.cover) != n {
		return x.doc.errorf("sum_hessian has %d values for %d nodes", len(x.cover), n)
	}
	if len(x.setStart) != len(x.setOf) || len(x.setSize) != len(x.setOf) {
		return x.doc.errorf("categories_nodes, _segments and _sizes have %d, %d and %d values", len(x.setOf), len(x.setStart), len(x.setSize))
	}
	x.place = grow(x.place, n)
	for i := range x.place {
		x.place[i] = -1
	}
	for i, v := range x.setOf {
		if int(v) >= n || x.place[v] >= 0 {
			return x.doc.errorf("categories_nodes value %d: %d is no node, or there twice", i, v)
		}
		if int(x.setStart[i])+int(x.setSize[i]) > len(x.categories) {
			return x.doc.errorf("categories_segments value %d: %d categories from %d on, the tree has %d", i, x.setSize[i], x.setStart[i], len(x.categories))
		}
		x.place[v] = int32(i)
	}
	return nil
}

// build makes the tree of what can be reached from node 0.
func (x *xgboostTree) build() (tree, error) {
	n := len(x.left)
	x.seen = grow(x.seen, n)
	clear(x.seen)
	t := tree{}
	x.stack = append(x.stack[:0], branch{parent: -1})
	for len(x.stack) > 0 {
		b := x.stack[len(x.stack)-1]
		x.stack = x.stack[:len(x.stack)-1]
		if b.node < 0 || int(b.node) >= n || x.seen[b.node] {
			return t, x.doc.errorf("node %d is a child and no node of the tree, or hangs in two places", b.node)
		}
		x.seen[b.node] = true
		at, err := x.add(&t, b.node)
		if err != nil {
			return t, fmt.Errorf("node %d: %w", b.node, err)
		}
		switch {
		case b.parent < 0:
		case b.right:
			t.splits[b.parent].right = at
		default:
			t.splits[b.parent].left = at
		}
		if at < 0 {
			continue
		}
		l, r := x.left[b.node], x.right[b.node]
		if t.splits[at].set >= 0 {
			l, r = r, l // a category in the set goes right in XGBoost, left here
		}
		x.stack = append(x.stack, branch{r, at, true}, branch{l, at, false})
	}
	x.addCovers(&t)
	return t, nil
}

// add appends a node and returns its place: a split, or ^leaf.
func (x *xgboostTree) add(t *tree, v int32) (int32, error) {
	value := x.value[v]
	if x.left[v] < 0 {
		if x.right[v] >= 0 {
			return 0, x.doc.errorf("it has only a right child")
		}
		if math.IsNaN(value) || math.IsInf(value, 0) {
			return 0, x.doc.errorf("the leaf is %v", value)
		}
		t.leaves = append(t.leaves, value)
		t.leafCover = append(t.leafCover, x.coverOf(v))
		return ^int32(len(t.leaves) - 1), nil
	}
	s := split{feature: x.feature[v], set: -1, missing: missingNaN, defaultLeft: x.defaultLeft[v] != 0}
	if x.categorical[v] != 0 {
		words, err := x.set(v)
		if err != nil {
			return 0, err
		}
		s.set, s.defaultLeft = int32(len(t.sets)), !s.defaultLeft
		t.sets = append(t.sets, words)
	} else {
		if math.IsNaN(value) || math.IsInf(value, 0) {
			return 0, x.doc.errorf("the threshold is %v", value)
		}
		// below the threshold is at most the float32 before it
		s.threshold = float64(math.Nextafter32(float32(value), float32(math.Inf(-1))))
	}
	t.splits = append(t.splits, s)
	t.splitCover = append(t.splitCover, x.coverOf(v))
	if len(x.gain) == len(x.left) {
		t.gain = append(t.gain, x.gain[v])
	}
	return int32(len(t.splits) - 1), nil
}

// set makes the bit set of a node's categories.
func (x *xgboostTree) set(v int32) ([]uint32, error) {
	i := x.place[v]
	if i < 0 {
		return nil, x.doc.errorf("a categorical split without categories")
	}
	categories := x.categories[x.setStart[i]:][:x.setSize[i]]
	most := int32(-1)
	for _, c := range categories {
		most = max(most, c)
	}
	words := int(most+32) / 32
	if x.bytesLeft -= wordBytes*words + int(unsafe.Sizeof(setRule{})); x.bytesLeft < 0 {
		return nil, fmt.Errorf("the category sets take more than MaxBytes: %w", ErrLimit)
	}
	set := make([]uint32, words)
	for _, c := range categories {
		set[c/32] |= 1 << (c % 32)
	}
	return set, nil
}

// coverOf is how much a node counts for contributions; -1 if the file does not say.
func (x *xgboostTree) coverOf(v int32) float64 {
	if x.covered && x.cover[v] >= 0 && !math.IsInf(x.cover[v], 0) {
		return x.cover[v]
	}
	return -1
}

// addCovers drops the covers unless each node has one.
func (x *xgboostTree) addCovers(t *tree) {
	for _, covers := range [2][]float64{t.splitCover, t.leafCover} {
		for _, c := range covers {
			if c < 0 {
				t.splitCover, t.leafCover = nil, nil
				return
			}
		}
	}
	if t.splitCover == nil {
		t.splitCover = []float64{} // a lone leaf
	}
}
