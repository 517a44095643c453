package models

import (
	"fmt"
	"math"
	"slices"
)

// branchMode is how a node of an ONNX tree compares, in the order of TreeEnsemble's own numbers.
type branchMode uint8

const (
	branchLEQ branchMode = iota
	branchLT
	branchGTE
	branchGT
	branchEQ
	branchNEQ
	branchMember
	branchLeaf
)

// onnxNode is a node that compares. Its children are nodes, or ^leaf.
type onnxNode struct {
	value       float64 // what the column is compared with
	column      int32
	yes, no     int32
	member, end int32 // branchMember: its values in onnxTrees.members
	mode        branchMode
	missing     bool // NaN goes the way of yes
}

// onnxWeight is what a leaf adds to an output.
type onnxWeight struct {
	value  float64
	output int32
}

// onnxTrees are the trees of one operator in the one form that all of its versions are brought into: with indices in
// range, and with weights, but perhaps with cycles and with nodes that have several parents.
type onnxTrees struct {
	op       string
	double   bool // thresholds, weights and sums are float64
	nodes    []onnxNode
	members  []float64
	leafOf   []int32 // by leaf: where its weights begin; one more at the end
	weights  []onnxWeight
	roots    []int32
	outputs  int
	base     []float64 // by output, or none
	average  bool
	extreme  bool // MIN or MAX
	largest  bool // MAX
	post     string
	classes  bool // a classifier
	oneClass bool // of two classes, with weights for the first id alone: ONNX Runtime's binary case
	positive bool // no weight is negative
}

// treeReader reads the attributes of a tree operator.
type treeReader struct {
	onnxTrees

	node   *graphNode
	limits Limits
}

// most bounds each array by what MaxNodes and MaxTrees leave: as many leaves as nodes, and a leaf more for each tree.
func (r *treeReader) most() int { return 2*r.limits.MaxNodes + r.limits.MaxTrees }

// find returns an attribute, or nil.
func (r *treeReader) find(name string) *attribute {
	for i := range r.node.attributes {
		if a := &r.node.attributes[i]; a.name == name {
			return a
		}
	}
	return nil
}

// only refuses attributes that are not known: they could change what is computed.
func (r *treeReader) only(names ...string) error {
	for i := range r.node.attributes {
		if name := r.node.attributes[i].name; !slices.Contains(names, name) {
			return fmt.Errorf("attribute %.64q: %w", name, ErrUnsupported)
		}
	}
	return nil
}

// integers reads an attribute of integers from 0 to high, or nothing where there is none.
func (r *treeReader) integers(name string, high int64) ([]int32, error) {
	if a := r.find(name); a != nil {
		return a.integers(r.most(), high)
	}
	return nil, nil
}

// numbers reads an attribute of float32, or the tensor of the same name that stands in for it since version 3.
func (r *treeReader) numbers(name string) ([]float64, error) {
	plain, t := r.find(name), r.find(name+"_as_tensor")
	if plain != nil && t != nil {
		return nil, fmt.Errorf("%w: %s and %s_as_tensor", errONNX, name, name)
	}
	if t != nil {
		return r.tensor(t)
	}
	if plain != nil {
		return plain.floats(r.most())
	}
	return nil, nil
}

// tensor reads a tensor of the type that the operator computes in, as ONNX Runtime wants it.
func (r *treeReader) tensor(a *attribute) ([]float64, error) {
	t, err := a.tensor(r.most())
	if err != nil {
		return nil, err
	}
	want := elementFloat
	if r.double {
		want = elementFloat64
	}
	if t.element != want {
		return nil, fmt.Errorf("attribute %s holds %s, and the input %s: %w", a.name, t.element, want, ErrUnsupported)
	}
	return t.values, nil
}

// word reads an attribute that names something.
func (r *treeReader) word(name, other string) (string, error) {
	if a := r.find(name); a != nil {
		return a.text()
	}
	return other, nil
}

// count reads an attribute that counts outputs.
func (r *treeReader) count(name string) (int, error) {
	a := r.find(name)
	if a == nil {
		return 0, fmt.Errorf("%w: no attribute %s", errONNX, name)
	}
	n, err := a.integer()
	switch {
	case err != nil:
		return 0, err
	case n < 1:
		return 0, fmt.Errorf("%w: %s is %d", errONNX, name, n)
	case n > int64(r.limits.MaxOutputs):
		return 0, fmt.Errorf("%d outputs, MaxOutputs is %d: %w", n, r.limits.MaxOutputs, ErrLimit)
	}
	return int(n), nil
}

// sameLengths holds arrays against each other.
func sameLengths(want int, name string, have int) error {
	if have != want {
		return fmt.Errorf("%w: %s has %d values, want %d", errONNX, name, have, want)
	}
	return nil
}

// checkCount refuses more nodes than the limits allow, before memory is taken for them.
func (r *treeReader) checkCount(nodes int) error {
	if nodes > r.limits.MaxNodes {
		return fmt.Errorf("more nodes than MaxNodes (%d): %w", r.limits.MaxNodes, ErrLimit)
	}
	return nil
}

// check looks at what both forms must hold.
func (r *treeReader) check(columns int) error {
	for i := range r.nodes {
		n := &r.nodes[i]
		switch {
		case int(n.column) >= columns:
			return fmt.Errorf("%w: node %d tests column %d of %d", errONNX, i, n.column, columns)
		case n.mode != branchMember && math.IsNaN(n.value):
			return fmt.Errorf("%w: node %d compares with NaN", errONNX, i)
		}
	}
	if len(r.roots) > r.limits.MaxTrees {
		return fmt.Errorf("%d trees, MaxTrees is %d: %w", len(r.roots), r.limits.MaxTrees, ErrLimit)
	}
	r.positive = true
	for i, w := range r.weights {
		if int(w.output) >= r.outputs {
			return fmt.Errorf("%w: weight %d is for output %d of %d", errONNX, i, w.output, r.outputs)
		}
		if math.IsNaN(w.value) || math.IsInf(w.value, 0) {
			return fmt.Errorf("%w: weight %d is %v", errONNX, i, w.value)
		}
		r.positive = r.positive && w.value >= 0
	}
	for _, b := range r.base {
		if math.IsNaN(b) || math.IsInf(b, 0) {
			return fmt.Errorf("%w: a base value is %v", errONNX, b)
		}
	}
	return r.checkLeaves()
}

// checkLeaves refuses leaves that say two things of one output: ONNX Runtime adds them or not, as the number of outputs is.
func (r *treeReader) checkLeaves() error {
	last := make([]int32, r.outputs) // by output: the last leaf that had a weight for it, from 1 on
	for leaf := range len(r.leafOf) - 1 {
		for _, w := range r.weights[r.leafOf[leaf]:r.leafOf[leaf+1]] {
			if last[w.output] == int32(leaf+1) {
				return fmt.Errorf("%w: two weights of a leaf are for output %d", errONNX, w.output)
			}
			last[w.output] = int32(leaf + 1)
		}
	}
	return nil
}

// setAggregate takes over what becomes of the leaves.
func (r *treeReader) setAggregate(name string) error {
	switch name {
	case "SUM":
	case "AVERAGE":
		r.average = true
	case "MIN", "MAX":
		r.extreme, r.largest = true, name == "MAX"
	default:
		return fmt.Errorf("%w: aggregate_function %.40q", errONNX, name)
	}
	return nil
}

// setPost takes over what becomes of the margins.
func (r *treeReader) setPost(name string) error {
	switch name {
	case "NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT":
		r.post = name
		return nil
	default:
		return fmt.Errorf("%w: post_transform %.40q", errONNX, name)
	}
}
