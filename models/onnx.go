package models

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// LoadONNX reads an ONNX file whose scores are made by one tree ensemble: TreeEnsembleClassifier and TreeEnsembleRegressor
// of ai.onnx.ml 1 to 3, or TreeEnsemble of 5, with what converters put around it: casts, scalers, imputers and arithmetic with
// constants in front, and behind it arithmetic, sigmoid, exp, softmax, Normalizer and ZipMap. Margins are ONNX Runtime's, in
// its arithmetic on one thread. Whatever else is in the way to the scores is refused with ErrUnsupported, by the operator's name; such graphs need ONNX
// Runtime itself. The file is not trusted.
//
// A classifier of two classes has one output, the score of the second class, unless both are needed for it. A graph
// with one input for all columns names none of them; they are called f0, f1 …. ONNX knows no training counts, so that a
// model has contributions only with a reference sample (LoadWith).
func LoadONNX(data []byte, limits Limits) (Model, error) {
	return loadAs("an ONNX", parseONNX, data, Options{Limits: limits})
}

// parseONNX reads a file into a forest.
func parseONNX(data []byte, limits Limits) (*forest, error) {
	g, err := openGraph(data, limits)
	if err != nil {
		return nil, err
	}
	v, err := g.follow()
	if err != nil {
		return nil, err
	}
	a := &assembler{graph: g, from: g.trees, value: v}
	return a.forest()
}

// assembler makes a forest of what a graph was found to be.
type assembler struct {
	graph *graph
	from  *onnxTrees
	value *graphValue

	outputs []int32 // by output of the model: that of the trees
	full    []bool  // by output: some tree has something for it in every leaf
	single  bool    // rows are rounded to float32
	own     ownMargins
	link    graphLink
	leaves  [][]float64 // by tree of the model, as they stand in the file
	low     []float64   // by output: the smallest and the largest sum of leaves
	high    []float64
}

func (a *assembler) forest() (*forest, error) {
	if err := a.chooseOutputs(); err != nil {
		return nil, err
	}
	a.chooseRows()
	f := &forest{single: a.single, exactSets: true, own: &a.own}
	f.info = Info{Format: FormatONNX, FormatVersion: "ai.onnx.ml " + strconv.FormatInt(a.graph.ml, 10), Boosting: a.from.op,
		Outputs: len(a.outputs), Features: a.graph.features, Iterations: len(a.from.roots)}
	if err := a.addTrees(f); err != nil {
		return nil, err
	}
	if err := a.addMargins(f); err != nil {
		return nil, err
	}
	a.addLink(f)
	f.unexplainable, f.unnamed = noCovers, len(a.graph.ports) == 1
	if a.from.extreme {
		f.unexplainable = "the smallest or largest of the trees has no exact path-dependent contributions"
	}
	return f, nil
}

// chooseOutputs finds the margins that the scores are made of, and divides what is done to them into what makes the margin
// and what makes a score of it.
func (a *assembler) chooseOutputs() error {
	columns := a.value.columns
	if two := len(columns) == 2 && a.value.across == acrossNone; two && (a.value.classes || columns[0].source == columns[1].source) {
		columns = columns[1:]
	}
	for _, c := range columns {
		if slices.Contains(a.outputs, c.source) {
			return fmt.Errorf("two scores of one margin: %w", ErrUnsupported)
		}
		a.outputs = append(a.outputs, c.source)
		n := 0
		for n < len(c.steps) && c.steps[n].linear() {
			n++
		}
		a.own.steps = append(a.own.steps, c.steps[:n])
		rest := slices.Clone(c.steps[n:])
		for i := range rest {
			rest[i].single = false
		}
		a.link.steps = append(a.link.steps, slices.DeleteFunc(rest, func(s scalar) bool { return s.kind == scalarCast }))
	}
	a.link.across, a.full = a.value.across, make([]bool, len(a.outputs))
	return nil
}

// chooseRows says whether rows are float32 from the start: the graph's input is, or each column is cast first.
func (a *assembler) chooseRows() {
	a.single = a.graph.element == elementFloat
	if a.single {
		return
	}
	cast := func(c graphColumn) bool { return len(c.steps) > 0 && c.steps[0].kind == scalarCast }
	if slices.ContainsFunc(a.graph.seen, func(c graphColumn) bool { return !cast(c) }) {
		return
	}
	a.single = true
	for j := range a.graph.seen {
		c := &a.graph.seen[j]
		*c = graphColumn{source: c.source, steps: c.steps[1:]}
	}
}

// addTrees unrolls the trees, one of each output in turn.
func (a *assembler) addTrees(f *forest) error {
	order, err := a.from.order()
	if err != nil {
		return err
	}
	limits := a.graph.limits
	u := &unroller{from: a.from, columns: a.graph.seen, single: a.single, nodes: limits.MaxNodes, bytes: limits.MaxBytes, same: a.from.alike(order)}
	if err := u.checkColumns(); err != nil {
		return err
	}
	byOutput := make([][]tree, len(a.outputs))
	raw := make([][][]float64, len(a.outputs))
	total := 0
	for i, root := range a.from.roots {
		t, leaves, err := u.tree(root)
		if err != nil {
			return fmt.Errorf("tree %d: %w", i, err)
		}
		copies := 0
		for k, output := range a.outputs {
			values, some, all := a.from.leavesFor(leaves, output)
			switch {
			case a.from.extreme && !all:
				return fmt.Errorf("tree %d: MIN or MAX with leaves that have nothing for output %d: %w", i, output, ErrUnsupported)
			case !some:
				continue
			case total == limits.MaxTrees:
				return fmt.Errorf("more trees for all outputs than MaxTrees (%d): %w", limits.MaxTrees, ErrLimit)
			}
			if copies > 0 { // the first was counted when it was unrolled
				u.nodes -= len(t.splits)
			}
			if u.nodes < 0 {
				return fmt.Errorf("the trees of all outputs have more nodes than MaxNodes (%d): %w", limits.MaxNodes, ErrLimit)
			}
			copies, total = copies+1, total+1
			a.full[k] = a.full[k] || all
			byOutput[k] = append(byOutput[k], t)
			raw[k] = append(raw[k], values)
		}
	}
	if err := a.checkSecondClass(); err != nil {
		return err
	}
	return a.interleave(f, byOutput, raw)
}

// checkSecondClass refuses a classifier of two classes some of whose rows may have no score for the second: ONNX Runtime
// then takes the score of the first for both.
func (a *assembler) checkSecondClass() error {
	if !a.from.classes || a.from.outputs != 2 || a.from.oneClass {
		return nil
	}
	for k, output := range a.outputs {
		if output == 1 && !a.full[k] {
			return fmt.Errorf("two classes, and rows without a score for the second: %w", ErrUnsupported)
		}
	}
	return nil
}

// leavesFor returns what leaves add to an output, and whether some or all of them say anything of it.
func (t *onnxTrees) leavesFor(leaves []int32, output int32) (values []float64, some, all bool) {
	values, all = make([]float64, len(leaves)), true
	for i, l := range leaves {
		has := false
		for _, w := range t.weights[t.leafOf[l]:t.leafOf[l+1]] {
			if w.output == output {
				values[i], has = w.value, true
			}
		}
		some, all = some || has, all && has
	}
	return values, some, all
}

// interleave brings the trees into the order of the ensemble. An output with fewer trees gets some that add nothing.
func (a *assembler) interleave(f *forest, byOutput [][]tree, raw [][][]float64) error {
	most := 0
	for _, trees := range byOutput {
		most = max(most, len(trees))
	}
	if most == 0 {
		return fmt.Errorf("%w: no trees", errONNX)
	}
	outputs := len(a.outputs)
	if most*outputs > a.graph.limits.MaxTrees {
		return fmt.Errorf("%d trees for %d outputs, MaxTrees is %d: %w", most, outputs, a.graph.limits.MaxTrees, ErrLimit)
	}
	for i := range most * outputs {
		k := i % outputs
		if i/outputs < len(byOutput[k]) {
			f.trees = append(f.trees, byOutput[k][i/outputs])
			a.leaves = append(a.leaves, raw[k][i/outputs])
			continue
		}
		f.trees = append(f.trees, tree{})
		a.leaves = append(a.leaves, []float64{0})
	}
	f.info.Trees = len(f.trees)
	return nil
}

// addMargins says how the leaves are put together, and scales the leaves of the forest accordingly.
func (a *assembler) addMargins(f *forest) error {
	t, own := a.from, &a.own
	own.double, own.round = t.double, t.op != "TreeEnsemble"
	own.extreme, own.largest = t.extreme, t.largest
	scale := 1.0
	if t.average {
		own.average = float64(len(t.roots))
		scale = own.average
	}
	scaled := t.average
	a.low, a.high = make([]float64, len(a.outputs)), make([]float64, len(a.outputs))
	for k, output := range a.outputs {
		base := 0.0
		if len(t.base) > 0 {
			base = t.base[output]
		}
		own.base = append(own.base, base)
		slope, rest := line(own.steps[k])
		scaled = scaled || slope != 1
		f.start = append(f.start, float64(slope*base)+rest)
		a.low[k], a.high[k] = math.Inf(1), math.Inf(-1)
		if !t.extreme {
			a.low[k], a.high[k] = 0, 0
		}
		for i := k; i < len(f.trees); i += len(a.outputs) {
			a.widen(k, a.leaves[i])
			f.trees[i].leaves = a.leaves[i]
			if slope != 1 || t.average {
				f.trees[i].leaves = scaledLeaves(a.leaves[i], slope, scale)
			}
		}
		if reach := max(math.Abs(a.low[k]), math.Abs(a.high[k])); !(reach < math.MaxFloat32/4) {
			return fmt.Errorf("the leaves add up to as much as %g: %w", reach, ErrLimit)
		}
		a.low[k], a.high[k] = interval(own.steps[k], a.low[k]/scale+base, a.high[k]/scale+base)
	}
	if scaled {
		own.raw = slices.Concat(a.leaves...)
	}
	return nil
}

// widen takes a tree's leaves into the range of a margin.
func (a *assembler) widen(k int, leaves []float64) {
	low, high := slices.Min(leaves), slices.Max(leaves)
	if a.from.extreme {
		a.low[k], a.high[k] = min(a.low[k], low), max(a.high[k], high)
		return
	}
	a.low[k] += low
	a.high[k] += high
}

func scaledLeaves(leaves []float64, slope, divisor float64) []float64 {
	out := make([]float64, len(leaves))
	for i, v := range leaves {
		out[i] = float64(v*slope) / divisor
	}
	return out
}

// addLink finds out whether the scores are probabilities, and names what is done to the margins.
func (a *assembler) addLink(f *forest) {
	const rounding = 1e-6
	words := []string{}
	inUnit, positive := true, true
	for k, steps := range a.link.steps {
		low, high := interval(steps, a.low[k], a.high[k])
		inUnit = inUnit && low >= -rounding && high <= 1+rounding
		positive = positive && low >= 0
		if k == 0 {
			words = describeSteps(steps)
		}
	}
	switch a.link.across {
	case acrossNone:
		a.link.probability = inUnit
	case acrossSoftmax:
		a.link.probability = true
	default:
		a.link.probability = positive && (a.link.across == acrossL1 || a.link.across == acrossL2)
	}
	words = append(words, map[acrossKind][]string{acrossSoftmax: {"softmax"}, acrossSoftmaxZero: {"softmax of what is not zero"},
		acrossMax: {"divided by the largest"}, acrossL1: {"divided by the sum"}, acrossL2: {"divided by the length"}}[a.link.across]...)
	if len(words) == 0 {
		words = []string{"none"}
	}
	f.info.Objective = strings.Join(words, ", ")
	f.link = link{kind: linkGraph, divisor: 1, sigmoid: 1, graph: &a.link}
	f.info.Probability = a.link.probability
}

// describeSteps names what bends.
func describeSteps(steps []scalar) []string {
	var words []string
	for _, s := range steps {
		switch s.kind {
		case scalarLogistic:
			words = append(words, "logistic")
		case scalarExp:
			words = append(words, "exp")
		case scalarProbit:
			words = append(words, "probit")
		default:
		}
	}
	return words
}
