package models

import (
	"fmt"
	"math"
)

// readLinked reads a TreeEnsemble, version 5: leaves apart from nodes, and both named by where they stand.
func (r *treeReader) readLinked(columns int) error {
	if err := r.only("aggregate_function", "leaf_targetids", "leaf_weights", "membership_values", "n_targets", "nodes_falseleafs",
		"nodes_falsenodeids", "nodes_featureids", "nodes_hitrates", "nodes_missing_value_tracks_true", "nodes_modes", "nodes_splits",
		"nodes_trueleafs", "nodes_truenodeids", "post_transform", "tree_roots"); err != nil {
		return err
	}
	if err := r.readLinkedRest(); err != nil {
		return err
	}
	if err := r.readLinkedLeaves(); err != nil {
		return err
	}
	if err := r.readLinkedNodes(); err != nil {
		return err
	}
	if err := r.addMembers(); err != nil {
		return err
	}
	return r.check(columns)
}

// readLinkedRest reads how the leaves are put together. ONNX Runtime takes post_transform 1 for LOGISTIC and 2 for
// SOFTMAX, the specification the other way around: the runtime is what scores everywhere else.
func (r *treeReader) readLinkedRest() (err error) {
	if r.outputs, err = r.count("n_targets"); err != nil {
		return err
	}
	for _, a := range []struct {
		name  string
		other int64
		names []string
		set   func(string) error
	}{
		{"aggregate_function", 1, []string{"AVERAGE", "SUM", "MIN", "MAX"}, r.setAggregate},
		{"post_transform", 0, []string{"NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"}, r.setPost},
	} {
		v := a.other
		if found := r.find(a.name); found != nil {
			if v, err = found.integer(); err != nil {
				return err
			}
		}
		if v < 0 || v >= int64(len(a.names)) {
			return fmt.Errorf("%w: %s is %d", errONNX, a.name, v)
		}
		if err := a.set(a.names[v]); err != nil {
			return err
		}
	}
	return nil
}

func (r *treeReader) readLinkedLeaves() error {
	outputs, err := r.integers("leaf_targetids", math.MaxInt32)
	if err != nil {
		return err
	}
	values, err := r.optionalTensor("leaf_weights")
	if err != nil {
		return err
	}
	if err := sameLengths(len(outputs), "leaf_weights", len(values)); err != nil {
		return err
	}
	r.leafOf = make([]int32, len(values)+1)
	for i, v := range values {
		r.weights = append(r.weights, onnxWeight{value: v, output: outputs[i]})
		r.leafOf[i+1] = int32(i + 1)
	}
	return nil
}

func (r *treeReader) optionalTensor(name string) ([]float64, error) {
	if a := r.find(name); a != nil {
		return r.tensor(a)
	}
	return nil, nil
}

// linkedNodes are the nodes_* attributes as they stand in the file.
type linkedNodes struct {
	column, yes, no, yesLeaf, noLeaf, missing []int32
	mode                                      []float64
	value                                     []float64
}

func (r *treeReader) readLinkedNodes() error {
	var n linkedNodes
	var err error
	for _, a := range []struct {
		name string
		to   *[]int32
		high int64
	}{
		{"nodes_featureids", &n.column, math.MaxInt32}, {"nodes_truenodeids", &n.yes, math.MaxInt32}, {"nodes_falsenodeids", &n.no, math.MaxInt32},
		{"nodes_trueleafs", &n.yesLeaf, 1}, {"nodes_falseleafs", &n.noLeaf, 1}, {"nodes_missing_value_tracks_true", &n.missing, math.MaxInt32},
		{"tree_roots", &r.roots, math.MaxInt32},
	} {
		if *a.to, err = r.integers(a.name, a.high); err != nil {
			return err
		}
	}
	if n.value, err = r.optionalTensor("nodes_splits"); err != nil {
		return err
	}
	if n.mode, err = r.linkedModes(); err != nil {
		return err
	}
	for _, a := range []struct {
		name string
		have int
	}{
		{"nodes_truenodeids", len(n.yes)}, {"nodes_falsenodeids", len(n.no)}, {"nodes_trueleafs", len(n.yesLeaf)},
		{"nodes_falseleafs", len(n.noLeaf)}, {"nodes_splits", len(n.value)}, {"nodes_modes", len(n.mode)},
	} {
		if err := sameLengths(len(n.column), a.name, a.have); err != nil {
			return err
		}
	}
	if len(n.missing) > 0 {
		if err := sameLengths(len(n.column), "nodes_missing_value_tracks_true", len(n.missing)); err != nil {
			return err
		}
	}
	return r.addLinked(&n)
}

func (r *treeReader) linkedModes() ([]float64, error) {
	a := r.find("nodes_modes")
	if a == nil {
		return nil, nil
	}
	t, err := a.tensor(r.most())
	if err != nil {
		return nil, err
	}
	if t.element != elementUint8 {
		return nil, fmt.Errorf("nodes_modes are %s: %w", t.element, ErrUnsupported)
	}
	return t.values, nil
}

// addLinked brings the nodes into the common form. A tree that is one leaf has a root whose children are both that leaf.
func (r *treeReader) addLinked(n *linkedNodes) error {
	if err := r.checkCount(len(n.column)); err != nil {
		return err
	}
	r.nodes = make([]onnxNode, len(n.column))
	for i := range r.nodes {
		mode := branchMode(n.mode[i])
		if mode > branchMember {
			return fmt.Errorf("mode %v: %w", n.mode[i], ErrUnsupported)
		}
		yes, ok := r.linkedChild(n.yes[i], n.yesLeaf[i])
		no, alsoOK := r.linkedChild(n.no[i], n.noLeaf[i])
		if !ok || !alsoOK {
			return fmt.Errorf("%w: the children of node %d are %d and %d, which are not there both", errONNX, i, n.yes[i], n.no[i])
		}
		r.nodes[i] = onnxNode{value: n.value[i], column: n.column[i], mode: mode, yes: yes, no: no, missing: len(n.missing) > 0 && n.missing[i] == 1}
	}
	for i, root := range r.roots {
		if int(root) >= len(r.nodes) {
			return fmt.Errorf("%w: the root of tree %d is node %d of %d", errONNX, i, root, len(r.nodes))
		}
		if v := &r.nodes[root]; v.yes == v.no && v.yes < 0 {
			r.roots[i] = v.yes
		}
	}
	return nil
}

func (r *treeReader) linkedChild(at, isLeaf int32) (int32, bool) {
	if isLeaf != 0 {
		return ^at, int(at) < len(r.leafOf)-1
	}
	return at, int(at) < len(r.nodes)
}

// addMembers deals the membership values out to the nodes that test for them: each takes those up to the next NaN.
func (r *treeReader) addMembers() (err error) {
	if r.members, err = r.optionalTensor("membership_values"); err != nil {
		return err
	}
	next := 0
	for i := range r.nodes {
		n := &r.nodes[i]
		if n.mode != branchMember {
			continue
		}
		n.member = int32(next)
		for next < len(r.members) && !math.IsNaN(r.members[next]) {
			next++
		}
		n.end = int32(next)
		next++ // the NaN
		if n.end == n.member {
			return fmt.Errorf("%w: node %d has no membership values", errONNX, i)
		}
	}
	if next < len(r.members) {
		return fmt.Errorf("%w: %d membership values, of which the nodes use %d", errONNX, len(r.members), next)
	}
	return nil
}
