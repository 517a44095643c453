package models

import (
	"fmt"
	"math"
)

// treeKeys are the keys of a tree, as Tree::ToString writes them (LightGBM src/io/tree.cpp, 2.2.3 to
// 4.7.0). Those that only describe the training are known and not read.
func treeKeys() map[string]bool {
	return setOf("num_leaves", "num_cat", "split_feature", "split_gain", "threshold", "decision_type", "left_child",
		"right_child", "leaf_value", "leaf_weight", "leaf_count", "internal_value", "internal_weight", "internal_count",
		"cat_boundaries", "cat_threshold", "is_linear", "leaf_const", "num_features", "leaf_features", "leaf_coeff",
		"shrinkage", "leaf_parent", "leaf_depth")
}

func setOf(keys ...string) map[string]bool {
	m := make(map[string]bool, len(keys))
	for _, k := range keys {
		m[k] = true
	}
	return m
}

// decision_type, bit by bit (LightGBM include/LightGBM/tree.h).
const (
	decisionCategorical = 1
	decisionDefaultLeft = 2
	decisionMissing     = 2 // shift
	decisionMax         = 1<<4 - 1
)

// treeParser turns sections into trees.
type treeParser struct {
	features  int
	nodesLeft int // how many more splits Limits allow
	bytesLeft int // how much more category sets and linear leaves may take
	seen      []bool
}

// tree reads one tree into t. It trusts nothing: all counts, indices and the structure are checked.
func (p *treeParser) tree(s *section, t *tree) error {
	leaves, err := s.integer("num_leaves", 1, math.MaxInt32)
	if err != nil {
		return err
	}
	if leaves-1 > p.nodesLeft {
		return fmt.Errorf("line %d: num_leaves is %d, with only %d splits left of MaxNodes: %w", s.line, leaves, p.nodesLeft, ErrLimit)
	}
	p.nodesLeft -= leaves - 1
	if t.leaves, err = s.floats("leaf_value", leaves, false); err != nil {
		return err
	}
	if err := p.linear(s, t); err != nil {
		return err
	}
	if leaves == 1 {
		// No contribution can depend on the cover of the only leaf, which old files do not tell.
		t.leafCover, t.splitCover = []float64{1}, []float64{}
		return nil
	}
	if err := p.splits(s, t); err != nil {
		return err
	}
	if err := p.structure(s, t); err != nil {
		return err
	}
	return p.covers(s, t)
}

// splits reads what the internal nodes test.
func (p *treeParser) splits(s *section, t *tree) error {
	n := len(t.leaves) - 1
	features, err := s.integers("split_feature", n, 0, int64(p.features)-1)
	if err != nil {
		return err
	}
	kinds, err := s.integers("decision_type", n, 0, decisionMax)
	if err != nil {
		return err
	}
	thresholds, err := s.floats("threshold", n, true)
	if err != nil {
		return err
	}
	left, err := s.integers("left_child", n, int64(-n-1), int64(n-1))
	if err != nil {
		return err
	}
	right, err := s.integers("right_child", n, int64(-n-1), int64(n-1))
	if err != nil {
		return err
	}
	if err := p.sets(s, t); err != nil {
		return err
	}
	// Gains are for people: what is wrong with them keeps no model from scoring.
	if gain, err := s.floats("split_gain", n, true); err == nil {
		t.gain = gain
	}
	t.splits = make([]split, n)
	used := make([]bool, len(t.sets))
	for i := range t.splits {
		u := split{threshold: thresholds[i], feature: features[i], left: left[i], right: right[i], set: -1,
			missing: missing(kinds[i] >> decisionMissing), defaultLeft: kinds[i]&decisionDefaultLeft != 0}
		if u.missing > missingNaN {
			return s.fields["decision_type"].errorf("value %d has an unknown way with missing values: %d", i, kinds[i])
		}
		if kinds[i]&decisionCategorical != 0 {
			// A category that is missing, negative or out of range goes right, whatever the flags say
			// (CategoricalDecision in tree.h).
			set := thresholds[i]
			if !(set >= 0 && set < float64(len(t.sets))) || set != math.Trunc(set) {
				return s.fields["threshold"].errorf("value %d is no category set: %v of %d", i, set, len(t.sets))
			}
			if used[int(set)] {
				return s.fields["threshold"].errorf("value %d names category set %v, which has a split already", i, set)
			}
			used[int(set)] = true
			u.set, u.threshold, u.missing, u.defaultLeft = int32(set), 0, missingNaN, false
		}
		t.splits[i] = u
	}
	return nil
}

// take keeps account of the memory for the want values of a key that are kept as they are.
func (p *treeParser) take(s *section, key string, want, size int) error {
	if err := s.fits(key, want); err != nil {
		return err
	}
	if p.bytesLeft -= want * size; p.bytesLeft < 0 {
		return fmt.Errorf("line %d: %s takes %d bytes, more than is left of MaxBytes: %w", s.fields[key].line, key, want*size, ErrLimit)
	}
	return nil
}

// sets reads the category sets.
func (p *treeParser) sets(s *section, t *tree) error {
	n, err := s.integer("num_cat", 0, int64(len(t.leaves)-1))
	if err != nil || n == 0 {
		return err
	}
	bounds, err := s.integers("cat_boundaries", n+1, 0, math.MaxInt32)
	if err != nil {
		return err
	}
	for i, b := range bounds {
		if i == 0 && b != 0 || i > 0 && b < bounds[i-1] {
			return s.fields["cat_boundaries"].errorf("value %d is out of order: %d", i, b)
		}
	}
	err = p.take(s, "cat_threshold", int(bounds[n]), wordBytes)
	if err != nil {
		return err
	}
	words, err := integersOf[uint32](s, "cat_threshold", int(bounds[n]), 0, math.MaxUint32)
	if err != nil {
		return err
	}
	t.sets = make([][]uint32, n)
	for i := range t.sets {
		t.sets[i] = words[bounds[i]:bounds[i+1]]
	}
	return nil
}

// structure checks that every node but the first and every leaf hangs in exactly one place, and that
// all of them can be reached: a tree, and no cycle beside it.
func (p *treeParser) structure(s *section, t *tree) error {
	n := len(t.splits)
	p.seen = grow(p.seen, 2*n+1) // nodes, then leaves
	clear(p.seen)
	p.seen[0] = true
	at := func(c int32) int {
		if c < 0 {
			return n + int(^c)
		}
		return int(c)
	}
	for i := range t.splits {
		for _, side := range [2]string{"left_child", "right_child"} {
			c := t.splits[i].left
			if side == "right_child" {
				c = t.splits[i].right
			}
			k := at(c)
			if p.seen[k] {
				return s.fields[side].errorf("value %d: %d hangs in two places or is the root", i, c)
			}
			p.seen[k] = true
		}
	}
	reached := 0
	stack := []int32{0}
	for len(stack) > 0 {
		u := t.splits[stack[len(stack)-1]]
		stack = stack[:len(stack)-1]
		reached++
		for _, c := range [2]int32{u.right, u.left} {
			if c >= 0 {
				stack = append(stack, c)
			}
		}
	}
	if reached != n {
		return s.fields["left_child"].errorf("and right_child form a cycle: %d of %d nodes can be reached", reached, n)
	}
	return nil
}

// covers reads how many rows reached each node. Without counts the tree scores, but explains nothing.
func (p *treeParser) covers(s *section, t *tree) error {
	_, leaf := s.fields["leaf_count"]
	_, internal := s.fields["internal_count"]
	if !leaf || !internal {
		return nil
	}
	n := len(t.splits)
	leaves, err := s.integers("leaf_count", n+1, 0, math.MaxInt32)
	if err != nil {
		return err
	}
	splits, err := s.integers("internal_count", n, 0, math.MaxInt32)
	if err != nil {
		return err
	}
	t.leafCover, t.splitCover = make([]float64, n+1), make([]float64, n)
	for i, c := range leaves {
		t.leafCover[i] = float64(c)
	}
	for i, c := range splits {
		t.splitCover[i] = float64(c)
	}
	return nil
}

// linear reads the linear models of the leaves, if the tree has them.
func (p *treeParser) linear(s *section, t *tree) error {
	if _, ok := s.fields["is_linear"]; !ok {
		return nil
	}
	is, err := s.integer("is_linear", 0, 1)
	if err != nil || is == 0 {
		return err
	}
	l := &linearLeaves{first: make([]int32, len(t.leaves)+1)}
	if l.constant, err = s.floats("leaf_const", len(t.leaves), false); err != nil {
		return err
	}
	counts, err := s.integers("num_features", len(t.leaves), 0, int64(p.features))
	if err != nil {
		return err
	}
	terms := int64(0)
	for i, c := range counts {
		if terms += int64(c); terms > math.MaxInt32 {
			return s.fields["num_features"].errorf("adds up to more than a leaf can have")
		}
		l.first[i+1] = int32(terms)
	}
	err = p.take(s, "leaf_features", int(terms), termBytes)
	if err != nil {
		return err
	}
	if l.feature, err = s.integers("leaf_features", int(terms), 0, int64(p.features)-1); err != nil {
		return err
	}
	if l.coef, err = s.floats("leaf_coeff", int(terms), false); err != nil {
		return err
	}
	t.linear = l
	return nil
}
