package models

import (
	"fmt"
	"math"
	"slices"
	"unsafe"
)

// unroller makes trees of an onnxTrees, as far as memory goes: where nodes have several parents, each parent gets a copy, and a
// chain of tests for equality of one column with the same way out becomes one set, which is what converters make such
// chains of.
type unroller struct {
	from    *onnxTrees
	columns []graphColumn // what the trees see, made of the columns of a row
	single  bool          // rows are float32
	nodes   int           // that may still be made
	bytes   int           // that sets may still take

	stack []branch
	same  *sameTrees // not nil where there are tests for equality
}

// checkColumns refuses arithmetic in front of the trees that may turn a number into none: what falls or rises has its
// extremes at the ends.
func (u *unroller) checkColumns() error {
	most := math.MaxFloat64
	if u.single {
		most = math.MaxFloat32
	}
	for j, c := range u.columns {
		low, high := through(c.steps, -most), through(c.steps, most)
		if math.IsNaN(low) || math.IsNaN(high) {
			return fmt.Errorf("column %d of the trees is %v and %v at its ends: %w", j, low, high, ErrUnsupported)
		}
	}
	return nil
}

// tree unrolls one tree. leaves has, for each leaf of the tree, its number in onnxTrees.
func (u *unroller) tree(root int32) (t tree, leaves []int32, err error) {
	u.stack = append(u.stack[:0], branch{node: root, parent: -1})
	for len(u.stack) > 0 {
		b := u.stack[len(u.stack)-1]
		u.stack = u.stack[:len(u.stack)-1]
		at := int32(len(t.splits))
		if b.node < 0 {
			at = ^int32(len(leaves))
			leaves = append(leaves, ^b.node)
		}
		switch {
		case b.parent < 0:
		case b.right:
			t.splits[b.parent].right = at
		default:
			t.splits[b.parent].left = at
		}
		if b.node < 0 {
			continue
		}
		if u.nodes--; u.nodes < 0 {
			return t, nil, fmt.Errorf("the trees have more nodes than MaxNodes, each node with several parents counted for each: %w", ErrLimit)
		}
		s, left, right, err := u.split(&t, b.node)
		if err != nil {
			return t, nil, fmt.Errorf("node %d: %w", b.node, err)
		}
		t.splits = append(t.splits, s)
		u.stack = append(u.stack, branch{right, at, true}, branch{left, at, false})
	}
	return t, leaves, nil
}

// split makes the split of a node, and says what hangs on its sides.
func (u *unroller) split(t *tree, v int32) (s split, left, right int32, err error) {
	n := &u.from.nodes[v]
	c := &u.columns[n.column]
	if n.mode >= branchEQ {
		return u.set(t, v)
	}
	s = split{feature: c.source, set: -1, missing: missingNaN}
	holds := n.holds()
	rising := n.mode == branchLEQ || n.mode == branchLT // it holds for small numbers
	switch {
	case len(c.steps) > 0:
		rising = rising != fall(c.steps)
		s.threshold = lastThat(u.single, func(x float64) bool { return holds(through(c.steps, x)) == rising })
	case n.mode == branchLT || n.mode == branchGTE:
		s.threshold = u.before(n.value)
	default:
		s.threshold = n.value
	}
	missing := through(c.steps, math.NaN())
	toYes := n.missing
	if !math.IsNaN(missing) { // an imputer stands before the trees
		toYes = holds(missing)
	}
	left, right, s.defaultLeft = n.yes, n.no, toYes
	if !rising {
		left, right, s.defaultLeft = n.no, n.yes, !toYes
	}
	return s, left, right, nil
}

// holds returns the test of a node, for what is a number.
func (n *onnxNode) holds() func(x float64) bool {
	t := n.value
	switch n.mode {
	case branchLEQ:
		return func(x float64) bool { return x <= t }
	case branchLT:
		return func(x float64) bool { return x < t }
	case branchGTE:
		return func(x float64) bool { return x >= t }
	default:
		return func(x float64) bool { return x > t }
	}
}

// before is the number before x, in what the trees compute with.
func (u *unroller) before(x float64) float64 {
	if u.from.double {
		return math.Nextafter(x, math.Inf(-1))
	}
	return float64(math.Nextafter32(float32(x), float32(math.Inf(-1))))
}

// set makes the split of a node that tests for equality: the values of the set go left.
func (u *unroller) set(t *tree, v int32) (s split, left, right int32, err error) {
	n := &u.from.nodes[v]
	c := &u.columns[n.column]
	for _, op := range c.steps {
		if op.kind != scalarImpute {
			return s, 0, 0, fmt.Errorf("a test for equality behind a scaler: %w", ErrUnsupported)
		}
	}
	values, large := []float64{n.value}, false
	if n.mode == branchMember {
		values = slices.Clone(u.from.members[n.member:n.end])
		large = isLarge(values)
	}
	toLeft := false // NaN is not equal to anything
	if n.mode == branchNEQ {
		left, right = n.no, n.yes
	} else {
		left = n.yes
		right, toLeft, values = u.chain(v, values, large)
	}
	if large && slices.ContainsFunc(values, func(x float64) bool { return x != math.Trunc(x) || x <= math.MinInt32 || x > math.MaxInt32 }) {
		return s, 0, 0, fmt.Errorf("a large set that holds more than integers: %w", ErrUnsupported)
	}
	slices.Sort(values)
	values = slices.Compact(values)
	if missing := through(c.steps, math.NaN()); !math.IsNaN(missing) {
		toLeft = slices.Contains(values, missing)
	}
	words := exactSet(values, large)
	if u.bytes -= wordBytes*len(words) + int(unsafe.Sizeof(setRule{})); u.bytes < 0 {
		return s, 0, 0, fmt.Errorf("the sets take more than MaxBytes: %w", ErrLimit)
	}
	t.sets = append(t.sets, words)
	return split{feature: c.source, set: int32(len(t.sets) - 1), missing: missingNaN, defaultLeft: toLeft}, left, right, nil
}

// chain follows what stands on the other side of a test for equality while it tests the same column for other values with the
// same way out, and returns what stands behind it all, the way of NaN, and all the values.
func (u *unroller) chain(v int32, values []float64, large bool) (right int32, missing bool, all []float64) {
	n := &u.from.nodes[v]
	missing = n.missing
	if large {
		return n.no, missing, values
	}
	for steps := 0; n.no >= 0 && steps < len(u.from.nodes); steps++ {
		m := &u.from.nodes[n.no]
		if m.mode != branchEQ || m.column != n.column || u.same.number(m.yes) != u.same.number(n.yes) {
			break
		}
		values = append(values, m.value)
		missing = missing || m.missing
		n = m
	}
	return n.no, missing, values
}

// isLarge says that ONNX Runtime keeps a set of members as integers, and truncates what it looks for in it.
func isLarge(members []float64) bool {
	return len(members) > 30 || slices.Max(members) > 30 || slices.Min(members) < 0
}
