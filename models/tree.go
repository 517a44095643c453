package models

import "unsafe"

// zeroThreshold is LightGBM's kZeroThreshold (include/LightGBM/meta.h), a float32 constant: what is
// not farther from zero than this is zero.
const zeroThreshold = float64(float32(1e-35))

// missing says which values take a split's default way.
type missing uint8

const (
	missingNone missing = iota // none: NaN is taken for zero
	missingZero                // NaN and zero
	missingNaN                 // NaN
)

// split is an internal node in the form that all formats are brought into: a row goes left if its
// value is at most the threshold, or, for a categorical split, if its category is in the set.
type split struct {
	threshold   float64
	feature     int32
	left, right int32 // a node of the tree, or ^leaf when negative
	set         int32 // index into tree.sets, -1 when the split is not categorical
	missing     missing
	defaultLeft bool
}

// tree is one tree as a loader hands it over: every node and leaf has exactly one parent (but the
// root, node 0, none), so there are no cycles, and every index is in range.
type tree struct {
	splits []split
	leaves []float64
	// cover is how many training rows reached each node and leaf; nil when the file does not tell.
	splitCover, leafCover []float64
	// gain is what each split gained in training; nil when the file does not tell.
	gain []float64
	// sets are the categories that go left, as bitsets, or the values that do (forest.exactSets).
	sets [][]uint32
	// linear holds the leaves' linear models; nil when leaves are constants.
	linear *linearLeaves
}

// What a word of a category set, and a term of a linear leaf, take in memory.
const (
	wordBytes = 4
	termBytes = 12
)

// extraBytes is the memory of the category sets and linear leaves, which are kept as they were read.
func (t *tree) extraBytes() int {
	bytes := 0
	for _, words := range t.sets {
		bytes += int(unsafe.Sizeof(setRule{})) + wordBytes*len(words)
	}
	if t.linear != nil {
		bytes += 16*len(t.leaves) + termBytes*len(t.linear.feature) // with the constants, and where a leaf's terms begin
	}
	return bytes
}

// linearLeaves are the linear models in the leaves of one tree.
type linearLeaves struct {
	constant []float64
	first    []int32 // leaf l has the terms first[l] to first[l+1]
	feature  []int32
	coef     []float64
}

// value returns the output of a leaf for a row. As in LightGBM's Tree::Predict, a missing feature
// makes the leaf fall back to its constant output.
func (l *linearLeaves) value(leaf int, row []float64, fallback float64) float64 {
	out := l.constant[leaf]
	for i := l.first[leaf]; i < l.first[leaf+1]; i++ {
		x := row[l.feature[i]]
		if x != x {
			return fallback
		}
		out += float64(l.coef[i] * x)
	}
	return out
}

// forest is what a loader hands over.
type forest struct {
	info  Info
	link  link
	trees []tree // of output i%Outputs, in file order
	// tinyIsZero: values within zeroThreshold of zero are zero before any split sees them.
	tinyIsZero bool
	// single: the library computes in float32. Values are rounded to it before they are compared, and a margin is a sum in it.
	single bool
	// exactSets: the sets hold the values themselves, not bits of categories.
	exactSets bool
	// start is what the sum of each output begins with; nil for nothing.
	start []float64
	// own is how the library puts the leaves together, where that is neither a sum in float64 nor XGBoost's in float32.
	own *ownMargins
	// unnamed: the file does not say what its columns are called.
	unnamed bool
	// unexplainable is why there are no contributions whatever the trees hold; empty for no reason.
	unexplainable string
}

// shape is what a walk over a tree's structure finds out.
type shape struct {
	depth    int // splits on the longest way to a leaf
	features int // distinct features on the way that has most of them
	repeats  int // splits whose feature was already tested above
	work     int // nodes
}

// walker visits trees from the root down; it keeps its memory from tree to tree.
type walker struct {
	stack []int32
	above []int32 // above[v] is the nearest node above v that tests the same feature, or -1
	last  []int32 // per feature: the nearest node on the current way, or -1
	depth []int32
}

func newWalker(features int) *walker {
	w := &walker{last: make([]int32, features)}
	for i := range w.last {
		w.last[i] = -1
	}
	return w
}

// preorder calls visit for each split of t, parents before children and left before right. While it
// runs, w.above and w.depth are valid for the splits visited so far. It keeps its own stack: a tree may
// be deeper than a goroutine's stack should be.
func (w *walker) preorder(t *tree, visit func(v int32)) shape {
	n := len(t.splits)
	s := shape{work: n}
	if n == 0 {
		return s
	}
	w.above = grow(w.above, n)
	w.depth = grow(w.depth, n)
	w.stack = append(w.stack[:0], 0)
	w.depth[0] = 1
	distinct := 0
	for len(w.stack) > 0 {
		v := w.stack[len(w.stack)-1]
		w.stack = w.stack[:len(w.stack)-1]
		if v < 0 { // on the way back up
			u := &t.splits[^v]
			w.last[u.feature] = w.above[^v]
			if w.above[^v] < 0 {
				distinct--
			}
			continue
		}
		u := &t.splits[v]
		w.above[v] = w.last[u.feature]
		w.last[u.feature] = v
		if w.above[v] < 0 {
			distinct++
		} else {
			s.repeats++
		}
		s.features = max(s.features, distinct)
		s.depth = max(s.depth, int(w.depth[v]))
		w.stack = append(w.stack, ^v)
		for _, c := range [2]int32{u.right, u.left} {
			if c >= 0 {
				w.depth[c] = w.depth[v] + 1
				w.stack = append(w.stack, c)
			}
		}
		visit(v)
	}
	return s
}

// grow returns s with length n, keeping its memory when that is enough.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
