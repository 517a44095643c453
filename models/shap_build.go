package models

import (
	"fmt"
	"slices"
)

// pointsFor is how many points a tree needs for exact contributions: even, since the kernel takes two at a time.
func pointsFor(features int) int { return max(2, (features+3)/4*2) }

const (
	// maxPoints bounds the rules: paths of up to 2*maxPoints distinct features are explained.
	maxPoints = 32
	// treesPerGrove and splitsPerGrove bound a grove: its places are to stay in the first cache, 20 KB for trees of 31 leaves,
	// and a longer grove gains nothing.
	treesPerGrove, splitsPerGrove = 8, 512
)

// unexplainable says why a forest has no exact contributions, or nothing.
func unexplainable(f *forest, widest int) string {
	for i := range f.trees {
		if f.trees[i].linear != nil {
			return "linear models in the leaves have no exact path-dependent contributions"
		}
		if f.trees[i].splitCover == nil {
			return fmt.Sprintf("tree %d has no training counts (leaf_count and internal_count of LightGBM, sum_hessian of XGBoost)", i)
		}
	}
	if widest > 2*maxPoints {
		return fmt.Sprintf("a path tests %d different features, at most %d are explained", widest, 2*maxPoints)
	}
	return ""
}

// shapBuilder lays out the tables of contributions, grove by grove.
type shapBuilder struct {
	shapTable
	forest *forest
	walk   *walker
	bins   *binBuilder
	rule   [maxPoints + 1]*rule

	// Of the current grove:
	drafts []draft
	ready  [2 * repeated][]int32 // drafts whose parents are done, by kind

	// Of the current tree, by split:
	draft  []int32  // of the split, or of the one whose twig it is
	number []uint32 // 1 + its element of repeats, counted from the grove's first, or 0
	order  []int32  // preorder
	parent []int32
	turn   []uint32  // the side that the traversal is in, 1 for right
	cover  []float64 // product of the cover ratios of the edges above that test the same feature
	mean   []float64
}

// draft is a step before it has its place.
type draft struct {
	step
	kind        stepKind
	left, right int32 // drafts, or -1
	twigOf      int32 // the split that is its twig, or -1
	place       int32 // its step
}

func newShapTable(f *forest, b *binBuilder, w *walker, shapes []shape) *shapTable {
	s := &shapBuilder{forest: f, walk: w, bins: b}
	s.base = make([]float64, f.info.Outputs)
	copy(s.base, f.start)
	order := make([]int, len(f.trees))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return pointsFor(shapes[a].features) - pointsFor(shapes[b].features) })
	means := make([]float64, len(f.trees))
	for len(order) > 0 {
		n, splits, points := 0, 0, pointsFor(shapes[order[0]].features)
		for n < min(treesPerGrove, len(order)) && pointsFor(shapes[order[n]].features) == points && (n == 0 || splits+shapes[order[n]].work <= splitsPerGrove) {
			splits += shapes[order[n]].work
			n++
		}
		s.grove(order[:n], points, means)
		s.work += splits * points
		order = order[n:]
	}
	for i, mean := range means {
		s.base[i%f.info.Outputs] += mean
	}
	table := s.shapTable // a pointer into the builder would keep all of it, and the forest
	return &table
}

// grove lays out some trees.
func (s *shapBuilder) grove(trees []int, points int, means []float64) {
	g := grove{runs: uint32(len(s.runs)), repeats: uint32(len(s.repeats)), rule: s.ruleFor(points)}
	s.drafts = s.drafts[:0]
	var roots []int32
	for _, i := range trees {
		t := &s.forest.trees[i]
		if len(t.splits) == 0 {
			means[i] = t.leaves[0]
			continue
		}
		roots = append(roots, int32(len(s.drafts)))
		means[i] = s.tree(t, i%s.forest.info.Outputs, &g)
	}
	if len(roots) == 0 {
		return
	}
	s.schedule(roots)
	for _, root := range roots {
		g.roots = append(g.roots, s.drafts[root].at)
	}
	g.endRun, g.endRepeat = uint32(len(s.runs)), uint32(len(s.repeats))
	s.most = max(s.most, int(g.endRepeat-g.repeats))
	s.places = max(s.places, len(s.drafts))
	s.groves = append(s.groves, g)
}

// tree makes the drafts of one tree and returns the mean of its leaves over the training rows.
func (s *shapBuilder) tree(t *tree, output int, g *grove) float64 {
	n := len(t.splits)
	s.draft, s.number, s.parent = grow(s.draft, n), grow(s.number, n), grow(s.parent, n)
	s.turn, s.cover, s.mean = grow(s.turn, n), grow(s.cover, n), grow(s.mean, n)
	s.order = s.order[:0]
	s.parent[0] = -1
	s.walk.preorder(t, func(v int32) {
		s.order = append(s.order, v)
		if p := s.parent[v]; p >= 0 {
			s.turn[p] = 0
			if t.splits[p].right == v {
				s.turn[p] = 1
			}
		}
		for _, c := range [2]int32{t.splits[v].left, t.splits[v].right} {
			if c >= 0 {
				s.parent[c] = v
			}
		}
		s.repeat(t, v, g)
	})
	first := len(s.drafts)
	for _, v := range s.order {
		s.draft[v] = int32(len(s.drafts))
		if p := s.parent[v]; p < 0 || s.drafts[s.draft[p]].twigOf != v {
			s.drafts = append(s.drafts, s.newDraft(t, v, uint32(output*len(s.forest.info.Features))))
		}
	}
	for i := range s.drafts[first:] {
		d := &s.drafts[first+i]
		if d.left >= 0 {
			d.left = s.draft[d.left]
		}
		if d.right >= 0 {
			d.right = s.draft[d.right]
		}
	}
	return s.meanOf(t)
}

// meanOf returns the mean of a tree's leaves over the training rows. In s.order children stand behind their parents.
func (s *shapBuilder) meanOf(t *tree) float64 {
	at := func(child int32) float64 {
		if child < 0 {
			return t.leaves[^child]
		}
		return s.mean[child]
	}
	for _, v := range slices.Backward(s.order) {
		l, r, z := at(t.splits[v].left), at(t.splits[v].right), t.leftRatio(v)
		if t.splits[v].left >= 0 && t.splits[v].right < 0 {
			l, r, z = r, l, 1-z // the order in which bases were always summed
		}
		s.mean[v] = r + float64(z*(l-r))
	}
	return s.mean[0]
}

// repeat notes a split whose feature was tested above it.
func (s *shapBuilder) repeat(t *tree, v int32, g *grove) {
	s.cover[v], s.number[v] = 1, 0
	above := s.walk.above[v]
	if above < 0 {
		return
	}
	side := s.turn[above]
	z := t.leftRatio(above)
	if side == 1 {
		z = 1 - z
	}
	s.cover[v] = float64(s.cover[above] * z)
	s.repeats = append(s.repeats, repeat{above: s.bins.test(t, &t.splits[above]), side: side, next: s.number[above], own: g.rule.own(s.cover[v])})
	s.number[v] = uint32(len(s.repeats)) - g.repeats
}

// isTwig says that a split can be done within the step above it.
func (s *shapBuilder) isTwig(t *tree, v int32) bool {
	return v >= 0 && t.splits[v].left < 0 && t.splits[v].right < 0 && s.number[v] == 0
}

// newDraft makes the step of a split; its children are splits yet.
func (s *shapBuilder) newDraft(t *tree, v int32, firstFeature uint32) draft {
	u := &t.splits[v]
	d := draft{left: -1, right: -1, twigOf: -1}
	d.test, d.feature, d.repeat = s.bins.test(t, u), firstFeature+uint32(u.feature), s.number[v]
	left, right := u.left, u.right
	if s.rankOf(t, left) < s.rankOf(t, right) {
		left, right = right, left
	}
	// By now left is at least as much as right: a twig goes before an inner split, which goes before a leaf.
	switch {
	case left < 0:
		d.kind, d.twig = twoLeaves, s.newTwig(t, v, firstFeature)
	case right < 0 && s.number[v] == 0 && s.isTwig(t, left):
		d.kind, d.twig, d.twigOf = twigLeaf, s.newTwig(t, left, firstFeature), left
	case right < 0:
		d.kind, d.left = innerLeaf, left
	case s.number[v] == 0 && s.isTwig(t, left):
		d.kind, d.twig, d.twigOf, d.right = twigInner, s.newTwig(t, left, firstFeature), left, right
	default:
		d.kind, d.left, d.right = innerInner, left, right
	}
	if right < 0 {
		d.leaf = t.leaves[^right]
	}
	if s.number[v] != 0 {
		d.kind += repeated
	}
	z := t.leftRatio(v)
	if left == u.left {
		d.g, d.b = [2]float64{z - 1, z}, [2]float64{1, 0}
	} else {
		d.g, d.b = [2]float64{1 - z, -z}, [2]float64{0, 1}
	}
	return d
}

// rankOf orders the children of a step: what its kind names first has the higher rank.
func (s *shapBuilder) rankOf(t *tree, child int32) int {
	switch {
	case child < 0:
		return 0
	case s.isTwig(t, child):
		return 2
	default:
		return 1
	}
}

// newTwig makes the form in which a split with two leaves is computed.
func (s *shapBuilder) newTwig(t *tree, v int32, firstFeature uint32) twig {
	u := &t.splits[v]
	z, left, right := t.leftRatio(v), t.leaves[^u.left], t.leaves[^u.right]
	d := left - right
	return twig{v: [2]float64{left, right}, slope: [2]float64{float64((z - 1) * d), float64(z * d)}, test: s.bins.test(t, u), feature: firstFeature + uint32(u.feature)}
}

// leftRatio is the share of a split's training rows that go left. Where none came at all, both sides count the same.
func (t *tree) leftRatio(v int32) float64 {
	left, right := t.coverOf(t.splits[v].left), t.coverOf(t.splits[v].right)
	if left+right == 0 {
		return 0.5
	}
	return left / (left + right)
}

// coverOf returns how many training rows reached a child.
func (t *tree) coverOf(child int32) float64 {
	if child < 0 {
		return t.leafCover[^child]
	}
	return t.splitCover[child]
}
