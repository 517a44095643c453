package models

import (
	"fmt"
	"math"
)

// Sweep is what a model would give if one value of a row were another: for each feature, the margin as a step function
// of its value, all others left as they are. It keeps its memory from row to row; the zero value is ready.
type Sweep struct {
	// Margin is the float64 sum of the leaves that the row itself reaches, as Explain gives it.
	Margin float64
	// Slack bounds how far the margins of Steps are from what Predict gives for the changed row: they are sums in
	// another order, and Predict's own may be in float32.
	Slack float64
	// Visits is how many nodes were looked at: at most those of the model, and its depth for each tree.
	Visits int

	of      *forks
	first   []int     // by feature: where its margins begin, and behind the last where they end
	margins []float64 // by cell, all features one after the other
	zeros   []float64 // by feature: what the margin of the zero cell is apart
	at      []int     // by feature: the cell of the row's value, -1 without one
	ranges  []cellRange
}

// cellRange is where a feature's value may be for a row to have come to a node of the current tree.
type cellRange struct {
	tree   int32 // the tree that it is of
	lo, hi int32
	zero   bool
}

// Steps is the margin as a function of one feature's value.
type Steps struct {
	// Cuts are the values at which the margin can change, ascending: cell c has the values above Cuts[c-1] up to and
	// with Cuts[c]. A threshold may be infinite; the cell above +Inf is empty.
	Cuts []float64
	// Margins has the margin of each cell, one more than there are cuts.
	Margins []float64
	// At is the cell of the row's own value.
	At int
}

// Sweep implements Explorer.
func (m *ensemble) Sweep(row []float64, output int, s *Scratch, out *Sweep) error {
	if err := m.checkOutput(output); err != nil {
		return err
	}
	if err := m.open(row, s); err != nil {
		return fmt.Errorf("cannot sweep: %w", err)
	}
	b := m.forks
	out.reset(b, row)
	out.Margin = m.start[output]
	for i := output; i < len(b.roots); i += m.info.Outputs {
		leaf := b.leafOf(b.roots[i], s.bins)
		out.Margin += leaf
		out.tree(int32(i), leaf, s.bins)
	}
	out.add()
	// Each of the operations behind a margin rounds a sum that is at most a few times reach.
	const bit64, bit32 = 0x1p-52, 0x1p-24
	out.Slack = float64(4 * bit64 * float64(len(b.nodes)+len(out.margins)+len(b.roots)) * b.reach)
	if m.info.Format != FormatLightGBM { // all others round a margin to float32 somewhere
		out.Slack += float64(bit32 * float64(len(b.roots)+1) * b.reach)
	}
	return nil
}

// reset makes room, and finds the row's own cells.
func (w *Sweep) reset(b *forks, row []float64) {
	n := len(b.cells)
	w.of, w.Visits = b, 0
	w.first, w.at, w.zeros = grow(w.first, n+1), grow(w.at, n), grow(w.zeros, n)
	w.ranges = grow(w.ranges, n)
	total := 0
	for i := range b.cells {
		w.first[i], w.at[i], w.zeros[i] = total, -1, 0
		w.ranges[i].tree = -1
		if !b.cells[i].known {
			continue
		}
		if row[i] == row[i] {
			w.at[i] = b.cellOf(i, row[i])
		}
		total += len(b.cells[i].cuts) + 2 // the last is behind the end of every range
	}
	w.first[n] = total
	w.margins = grow(w.margins, total)
	clear(w.margins)
}

// tree adds what one tree would change. The row's own way is walked once; at each node of it the other way is taken too,
// by what the node's feature would have to be, and from there on only splits of this feature have a choice.
// So each leaf is come to for at most one feature.
func (w *Sweep) tree(index int32, leaf float64, bins *binTable) {
	nodes := w.of.nodes
	for v := w.of.roots[index]; v >= 0; {
		n := &nodes[v]
		w.Visits++
		left := n.goesLeft(bins)
		own, other := n.right, n.left
		if left {
			own, other = n.left, n.right
		}
		if w.at[n.feature] >= 0 {
			r := &w.ranges[n.feature]
			if r.tree != index {
				*r = cellRange{tree: index, hi: int32(len(w.of.cells[n.feature].cuts)), zero: w.of.cells[n.feature].zero >= 0}
			}
			away := r.side(n, !left)
			if !away.empty() {
				w.away(other, n.feature, away, leaf, bins)
			}
			*r = r.side(n, left)
		}
		v = own
	}
}

// side is the part of a range that goes left or right at a node.
func (r *cellRange) side(n *fork, left bool) cellRange {
	out := *r
	if left {
		out.hi = min(r.hi, n.cell)
	} else {
		out.lo = max(r.lo, n.cell+1)
	}
	out.zero = r.zero && n.zeroLeft == left
	return out
}

func (r *cellRange) empty() bool { return r.lo > r.hi && !r.zero }

// away walks on where the value of one feature is in a range and not the row's.
func (w *Sweep) away(v, feature int32, r cellRange, leaf float64, bins *binTable) {
	for v >= 0 {
		n := &w.of.nodes[v]
		w.Visits++
		if n.feature != feature {
			v = n.right
			if n.goesLeft(bins) {
				v = n.left
			}
			continue
		}
		left, right := r.side(n, true), r.side(n, false)
		switch {
		case left.empty():
			v = n.right
		case right.empty():
			v = n.left
		default:
			w.away(n.left, feature, left, leaf, bins)
			v, r = n.right, right
		}
	}
	change := w.of.leaves[^v] - leaf
	if r.lo <= r.hi {
		margins := w.margins[w.first[feature]:]
		margins[r.lo] += change
		margins[r.hi+1] -= change
	}
	if r.zero {
		w.zeros[feature] += change
	}
}

// add turns changes at the ends of ranges into margins.
func (w *Sweep) add() {
	for i := range w.of.cells {
		sum := w.Margin
		margins := w.margins[w.first[i]:w.first[i+1]]
		for c, change := range margins {
			sum += change
			margins[c] = sum
		}
		if z := w.of.cells[i].zero; z >= 0 && len(margins) > 0 {
			margins[z] = w.Margin + w.zeros[i]
		}
	}
}

// Steps gives the margin as a function of one feature. It is false where the row has no value of it, the model does not
// use it, or asks for its category: then there is nothing nearer or farther.
func (w *Sweep) Steps(feature int) (Steps, bool) {
	if w.at[feature] < 0 {
		return Steps{}, false
	}
	margins := w.margins[w.first[feature] : w.first[feature+1]-1]
	return Steps{Cuts: w.of.cells[feature].cuts, Margins: margins, At: w.at[feature]}, true
}

// Bounds gives the smallest and the largest value of a cell of a feature's Steps, infinite where it has none. A value that the model
// takes for zero is 0. A cell whose bounds are both infinite on one side is empty: a threshold was infinite.
func (w *Sweep) Bounds(feature, cell int) (low, high float64) {
	cuts := w.of.cells[feature].cuts
	low, high = math.Inf(-1), math.Inf(1)
	if cell > 0 {
		low = w.of.next(cuts[cell-1])
	}
	if cell < len(cuts) {
		high = cuts[cell]
	}
	if w.of.tinyIsZero && low >= -zeroThreshold && low <= zeroThreshold {
		low = 0
	}
	if w.of.tinyIsZero && high >= -zeroThreshold && high <= zeroThreshold {
		high = 0
	}
	return low, high
}
