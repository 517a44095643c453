package models

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"pitboss/models/internal/onnx"
)

// flatNodes are the nodes_* attributes of TreeEnsembleClassifier and TreeEnsembleRegressor, versions 1 to 3: leaves among
// the nodes, and nodes named by their tree and a number in it.
type flatNodes struct {
	tree, id, column []int32
	yes, no          []int32
	missing          []int32
	mode             []branchMode
	value            []float64
	at               []int32 // where the node stands in onnxTrees.nodes, or ^leaf
}

// flatWeights are the target_* or class_* attributes: what leaves add, in any order.
type flatWeights struct {
	tree, id, output []int32
	value            []float64
}

// treeSpan is where the nodes of one tree stand.
type treeSpan struct {
	first, end int32
	sorted     []int32 // places by id; nil where ids are 0, 1, 2 …
}

// readFlat reads a TreeEnsembleClassifier or TreeEnsembleRegressor.
func (r *treeReader) readFlat(columns int) error {
	kind := "target"
	if r.op == "TreeEnsembleClassifier" {
		kind, r.classes = "class", true
	}
	if err := r.readFlatRest(kind); err != nil {
		return err
	}
	n, err := r.readFlatNodes()
	if err != nil {
		return err
	}
	spans, err := n.spans()
	if err != nil {
		return err
	}
	w, err := r.readFlatWeights(kind)
	if err != nil {
		return err
	}
	if err := r.addFlat(n, w, spans); err != nil {
		return err
	}
	if err := r.check(columns); err != nil {
		return err
	}
	if r.classes {
		return r.checkClasses()
	}
	if len(r.base) != 0 && len(r.base) != r.outputs {
		return fmt.Errorf("%w: %d base_values with %d targets", errONNX, len(r.base), r.outputs)
	}
	return nil
}

// readFlatRest reads everything but the nodes and the weights.
func (r *treeReader) readFlatRest(kind string) error {
	names := []string{"base_values", "base_values_as_tensor", "nodes_falsenodeids", "nodes_featureids", "nodes_hitrates",
		"nodes_hitrates_as_tensor", "nodes_missing_value_tracks_true", "nodes_modes", "nodes_nodeids", "nodes_treeids",
		"nodes_truenodeids", "nodes_values", "nodes_values_as_tensor", "post_transform",
		kind + "_ids", kind + "_nodeids", kind + "_treeids", kind + "_weights", kind + "_weights_as_tensor"}
	if r.classes {
		names = append(names, "classlabels_int64s", "classlabels_strings")
	} else {
		names = append(names, "aggregate_function", "n_targets")
	}
	if err := r.only(names...); err != nil {
		return err
	}
	post, err := r.word("post_transform", "NONE")
	if err == nil {
		err = r.setPost(post)
	}
	if err != nil {
		return err
	}
	if r.base, err = r.numbers("base_values"); err != nil {
		return err
	}
	if r.classes {
		return r.countLabels()
	}
	if r.outputs, err = r.count("n_targets"); err != nil {
		return err
	}
	aggregate, err := r.word("aggregate_function", "SUM")
	if err != nil {
		return err
	}
	return r.setAggregate(aggregate)
}

// countLabels finds the number of classes. What they are called does not matter to a score.
func (r *treeReader) countLabels() error {
	for _, name := range []string{"classlabels_strings", "classlabels_int64s"} {
		a := r.find(name)
		if a == nil {
			continue
		}
		if err := a.repeated(8, func(f onnx.Field) error {
			return f.Each(0, func(uint64) error {
				r.outputs++
				return nil
			})
		}); err != nil {
			return err
		}
		if err := a.strings(func([]byte) error {
			r.outputs++
			return nil
		}); err != nil {
			return err
		}
		if r.outputs > 0 {
			break
		}
	}
	switch {
	case r.outputs < 2:
		return fmt.Errorf("a classifier of %d classes: %w", r.outputs, ErrUnsupported)
	case r.outputs > r.limits.MaxOutputs:
		return fmt.Errorf("%d classes, MaxOutputs is %d: %w", r.outputs, r.limits.MaxOutputs, ErrLimit)
	}
	return nil
}

func (r *treeReader) readFlatNodes() (*flatNodes, error) {
	n := new(flatNodes)
	for _, a := range []struct {
		name string
		to   *[]int32
	}{
		{"nodes_treeids", &n.tree}, {"nodes_nodeids", &n.id}, {"nodes_featureids", &n.column}, {"nodes_truenodeids", &n.yes},
		{"nodes_falsenodeids", &n.no}, {"nodes_missing_value_tracks_true", &n.missing},
	} {
		var err error
		if *a.to, err = r.integers(a.name, math.MaxInt32); err != nil {
			return nil, err
		}
	}
	if err := r.readModes(n); err != nil {
		return nil, err
	}
	var err error
	if n.value, err = r.numbers("nodes_values"); err != nil {
		return nil, err
	}
	for _, a := range []struct {
		name string
		have int
	}{
		{"nodes_nodeids", len(n.id)}, {"nodes_featureids", len(n.column)}, {"nodes_truenodeids", len(n.yes)},
		{"nodes_falsenodeids", len(n.no)}, {"nodes_modes", len(n.mode)}, {"nodes_values", len(n.value)},
	} {
		if err := sameLengths(len(n.tree), a.name, a.have); err != nil {
			return nil, err
		}
	}
	if len(n.missing) > 0 {
		return n, sameLengths(len(n.tree), "nodes_missing_value_tracks_true", len(n.missing))
	}
	return n, nil
}

func (r *treeReader) readModes(n *flatNodes) error {
	modes := map[string]branchMode{"BRANCH_LEQ": branchLEQ, "BRANCH_LT": branchLT, "BRANCH_GTE": branchGTE, "BRANCH_GT": branchGT,
		"BRANCH_EQ": branchEQ, "BRANCH_NEQ": branchNEQ, "LEAF": branchLeaf}
	a := r.find("nodes_modes")
	if a == nil {
		return nil
	}
	branches := 0
	return a.strings(func(s []byte) error {
		mode, ok := modes[string(s)]
		switch {
		case !ok:
			return fmt.Errorf("mode %.40q: %w", s, ErrUnsupported)
		case len(n.mode) == r.most():
			return fmt.Errorf("more than %d values: %w", r.most(), ErrLimit)
		case mode != branchLeaf:
			branches++
		}
		n.mode = append(n.mode, mode)
		return r.checkCount(branches)
	})
}

func (r *treeReader) readFlatWeights(kind string) (*flatWeights, error) {
	w := new(flatWeights)
	for _, a := range []struct {
		name string
		to   *[]int32
	}{{kind + "_treeids", &w.tree}, {kind + "_nodeids", &w.id}, {kind + "_ids", &w.output}} {
		var err error
		if *a.to, err = r.integers(a.name, math.MaxInt32); err != nil {
			return nil, err
		}
	}
	var err error
	if w.value, err = r.numbers(kind + "_weights"); err != nil {
		return nil, err
	}
	if err := sameLengths(len(w.value), kind+"_treeids", len(w.tree)); err != nil {
		return nil, err
	}
	if err := sameLengths(len(w.value), kind+"_nodeids", len(w.id)); err != nil {
		return nil, err
	}
	return w, sameLengths(len(w.value), kind+"_ids", len(w.output))
}

// spans finds the trees: their nodes stand together, the root first.
func (n *flatNodes) spans() (map[int32]*treeSpan, error) {
	spans := map[int32]*treeSpan{}
	for first := 0; first < len(n.tree); {
		end := first + 1
		for end < len(n.tree) && n.tree[end] == n.tree[first] {
			end++
		}
		if spans[n.tree[first]] != nil {
			return nil, fmt.Errorf("%w: the nodes of tree %d do not stand together", errONNX, n.tree[first])
		}
		s := &treeSpan{first: int32(first), end: int32(end)}
		if err := s.sort(n.id); err != nil {
			return nil, fmt.Errorf("tree %d: %w", n.tree[first], err)
		}
		spans[n.tree[first]] = s
		first = end
	}
	return spans, nil
}

// sort orders the nodes of the tree by their ids, unless they are already.
func (s *treeSpan) sort(id []int32) error {
	inOrder := true
	for i := s.first; i < s.end; i++ {
		inOrder = inOrder && id[i] == i-s.first
	}
	if inOrder {
		return nil
	}
	s.sorted = make([]int32, 0, s.end-s.first)
	for i := s.first; i < s.end; i++ {
		s.sorted = append(s.sorted, i)
	}
	slices.SortFunc(s.sorted, func(a, b int32) int { return cmp.Compare(id[a], id[b]) })
	for i := 1; i < len(s.sorted); i++ {
		if id[s.sorted[i-1]] == id[s.sorted[i]] {
			return fmt.Errorf("%w: node %d is there twice", errONNX, id[s.sorted[i]])
		}
	}
	return nil
}

// place finds a node of the tree by its id.
func (s *treeSpan) place(id []int32, want int32) (int32, bool) {
	if s.sorted == nil {
		return s.first + want, want < s.end-s.first
	}
	i, found := slices.BinarySearchFunc(s.sorted, want, func(at, want int32) int { return cmp.Compare(id[at], want) })
	if !found {
		return 0, false
	}
	return s.sorted[i], true
}

// addFlat brings nodes and weights into the common form.
func (r *treeReader) addFlat(n *flatNodes, w *flatWeights, spans map[int32]*treeSpan) error {
	n.at = make([]int32, len(n.tree))
	leaves := int32(0)
	for i, mode := range n.mode {
		if mode == branchLeaf {
			n.at[i] = ^leaves
			leaves++
			continue
		}
		n.at[i] = int32(len(r.nodes))
		r.nodes = append(r.nodes, onnxNode{value: n.value[i], column: n.column[i], mode: mode, missing: len(n.missing) > 0 && n.missing[i] == 1})
	}
	for i, mode := range n.mode {
		s := spans[n.tree[i]]
		if int32(i) == s.first {
			r.roots = append(r.roots, n.at[i])
		}
		if mode == branchLeaf {
			continue
		}
		yes, found := s.place(n.id, n.yes[i])
		no, alsoFound := s.place(n.id, n.no[i])
		if !found || !alsoFound {
			return fmt.Errorf("%w: tree %d, node %d: its children are %d and %d, which the tree does not have both", errONNX, n.tree[i], n.id[i], n.yes[i], n.no[i])
		}
		r.nodes[n.at[i]].yes, r.nodes[n.at[i]].no = n.at[yes], n.at[no]
	}
	return r.addFlatWeights(n, w, spans, leaves)
}

// addFlatWeights sorts the weights by their leaves. Those of nodes that are no leaves count for nothing, as in ONNX Runtime.
func (r *treeReader) addFlatWeights(n *flatNodes, w *flatWeights, spans map[int32]*treeSpan, leaves int32) error {
	leafOf := make([]int32, len(w.value)) // by weight, -1 for none
	r.leafOf = make([]int32, leaves+1)
	for i := range w.value {
		s := spans[w.tree[i]]
		if s == nil {
			return fmt.Errorf("%w: weight %d is for tree %d, which is not there", errONNX, i, w.tree[i])
		}
		at, found := s.place(n.id, w.id[i])
		if !found {
			return fmt.Errorf("%w: weight %d is for node %d of tree %d, which is not there", errONNX, i, w.id[i], w.tree[i])
		}
		leafOf[i] = ^n.at[at]
		if leafOf[i] >= 0 {
			r.leafOf[leafOf[i]+1]++
		}
	}
	for l := range leaves {
		if r.leafOf[l+1] == 0 {
			return fmt.Errorf("%w: a leaf has no weight", errONNX)
		}
		r.leafOf[l+1] += r.leafOf[l]
	}
	r.weights = make([]onnxWeight, r.leafOf[leaves])
	next := slices.Clone(r.leafOf)
	for i, l := range leafOf {
		if l >= 0 {
			r.weights[next[l]] = onnxWeight{value: w.value[i], output: w.output[i]}
			next[l]++
		}
	}
	return nil
}
