package models

import (
	"fmt"
	"math"
)

// columnValues reads an attribute with a number for each column, or one for all.
func (n *graphNode) columnValues(name string, v *graphValue) (func(j int) float64, error) {
	a := n.attribute(name)
	if a == nil {
		return nil, fmt.Errorf("%w: no attribute %s", errONNX, name)
	}
	values, err := a.floats(len(v.columns))
	if err != nil {
		return nil, err
	}
	if len(values) != 1 && len(values) != len(v.columns) {
		return nil, fmt.Errorf("%w: %d values of %s for %d columns", errONNX, len(values), name, len(v.columns))
	}
	for _, x := range values {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("%w: %s has %v", errONNX, name, x)
		}
	}
	return func(j int) float64 { return values[j%len(values)] }, nil
}

// scaler is (x - offset) * scale in the type of the input, and a float32 then.
func (g *graph) scaler(n *graphNode) (*graphValue, error) {
	v, err := g.matrix(n, 0)
	if err != nil {
		return nil, err
	}
	offset, err := n.columnValues("offset", v)
	if err != nil {
		return nil, err
	}
	scale, err := n.columnValues("scale", v)
	if err != nil {
		return nil, err
	}
	if v, err = v.scalars(func(j int) scalar { return scalar{kind: scalarAdd, c: -offset(j)} }); err != nil {
		return nil, err
	}
	if v, err = v.scalars(func(j int) scalar { return scalar{kind: scalarMul, c: scale(j)} }); err != nil {
		return nil, err
	}
	if v.element == elementFloat64 {
		v = v.with(func(_ int, c graphColumn) graphColumn { return c.then(scalar{kind: scalarCast}) })
		v.element = elementFloat
	}
	return v, nil
}

// imputer puts a number in the place of NaN.
func (g *graph) imputer(n *graphNode) (*graphValue, error) {
	v, err := g.matrix(n, 0)
	if err != nil {
		return nil, err
	}
	replaced := 0.0
	if a := n.attribute("replaced_value_float"); a != nil {
		if replaced, err = a.float(); err != nil {
			return nil, err
		}
	}
	switch {
	case !math.IsNaN(replaced):
		return nil, fmt.Errorf("an imputer that replaces %v, not what is missing: %w", replaced, ErrUnsupported)
	case v.element != elementFloat || v.scores:
		return nil, fmt.Errorf("an imputer of %s, or of scores: %w", v.element, ErrUnsupported)
	}
	value, err := n.columnValues("imputed_value_floats", v)
	if err != nil {
		return nil, err
	}
	return v.with(func(j int, c graphColumn) graphColumn { return c.then(scalar{kind: scalarImpute, c: value(j)}) }), nil
}

// clip bounds numbers. The bounds were attributes up to version 6, and are inputs since.
func (g *graph) clip(n *graphNode) (*graphValue, error) {
	v, err := g.matrix(n, 0)
	if err != nil {
		return nil, err
	}
	for i, kind := range []scalarKind{scalarAtLeast, scalarAtMost} {
		bound := 0.0
		a := n.attribute([]string{"min", "max"}[i])
		switch {
		case a != nil:
			if bound, err = a.float(); err != nil {
				return nil, err
			}
		case i+1 >= len(n.inputs) || n.inputs[i+1] == "":
			continue
		default:
			t, failed := g.constant(n, i+1)
			if failed != nil {
				return nil, failed
			}
			if len(t.values) != 1 || t.element != v.element {
				return nil, fmt.Errorf("%w: a bound that is not one %s", errONNX, v.element)
			}
			bound = t.values[0]
		}
		if math.IsNaN(bound) {
			return nil, fmt.Errorf("%w: a bound is NaN", errONNX)
		}
		if v, err = v.scalars(func(int) scalar { return scalar{kind: kind, c: bound} }); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// curve is a function that bends: for scores only, since before a comparison its last bit would matter.
func (g *graph) curve(n *graphNode) (*graphValue, error) {
	v, err := g.scoresOf(n)
	if err != nil {
		return nil, err
	}
	kind := scalarLogistic
	if n.op == "Exp" {
		kind = scalarExp
	}
	return v.scalars(func(int) scalar { return scalar{kind: kind} })
}

// scoresOf returns the first input, which must be scores.
func (g *graph) scoresOf(n *graphNode) (*graphValue, error) {
	v, err := g.matrix(n, 0)
	if err == nil && !v.scores {
		return nil, fmt.Errorf("%s before the trees: %w", n.op, ErrUnsupported)
	}
	return v, err
}

func (g *graph) softmax(n *graphNode) (*graphValue, error) {
	v, err := g.scoresOf(n)
	if err != nil {
		return nil, err
	}
	if err := n.acrossColumns(-1); err != nil {
		return nil, err
	}
	return v.together(acrossSoftmax)
}

func (g *graph) normalizer(n *graphNode) (*graphValue, error) {
	v, err := g.scoresOf(n)
	if err != nil {
		return nil, err
	}
	norm := "MAX"
	if a := n.attribute("norm"); a != nil {
		if norm, err = a.text(); err != nil {
			return nil, err
		}
	}
	kind, ok := map[string]acrossKind{"MAX": acrossMax, "L1": acrossL1, "L2": acrossL2}[norm]
	if !ok {
		return nil, fmt.Errorf("%w: norm %.40q", errONNX, norm)
	}
	return v.together(kind)
}

// together is for what takes all scores of a row at once, after which nothing else may come.
func (v *graphValue) together(kind acrossKind) (*graphValue, error) {
	if v.across != acrossNone {
		return nil, fmt.Errorf("scores made together twice: %w", ErrUnsupported)
	}
	out := *v
	out.across = kind
	return &out, nil
}

// ensemble reads the trees, and makes the columns that they answer.
func (g *graph) ensemble(n *graphNode) (*graphValue, error) {
	v, err := g.matrix(n, 0)
	switch {
	case err != nil:
		return nil, err
	case v.scores || g.trees != nil:
		return nil, fmt.Errorf("more than one ensemble: %w", ErrUnsupported)
	}
	r := &treeReader{node: n, limits: g.limits}
	r.op, r.double = n.op, v.element == elementFloat64
	if n.op == "TreeEnsemble" {
		err = r.readLinked(len(v.columns))
	} else {
		err = r.readFlat(len(v.columns))
	}
	if err != nil {
		return nil, err
	}
	g.trees, g.seen = &r.onnxTrees, v.columns
	out := &graphValue{element: elementFloat, scores: true, classes: r.classes}
	if n.op == "TreeEnsemble" {
		out.element = v.element
	}
	for k := range r.outputs {
		out.columns = append(out.columns, graphColumn{source: int32(k)})
	}
	if r.oneClass {
		return r.twoOfOne(out), nil
	}
	return r.transform(out), nil
}

// twoOfOne makes the scores of two classes from the one margin there is.
func (t *onnxTrees) twoOfOne(v *graphValue) *graphValue {
	other := scalar{kind: scalarMul, c: -1, single: !t.double}
	if t.positive && t.post != "LOGISTIC" {
		other = scalar{kind: scalarFrom, c: 1, single: !t.double}
	}
	v.columns = []graphColumn{graphColumn{}.then(other), {}}
	if t.post == "LOGISTIC" {
		v = v.with(func(_ int, c graphColumn) graphColumn { return c.then(scalar{kind: scalarLogistic}) })
	}
	return v
}

// transform is write_scores of ONNX Runtime's ml_common.h, which transforms a single target only if it is to be a PROBIT.
func (t *onnxTrees) transform(v *graphValue) *graphValue {
	switch {
	case t.post == "PROBIT":
		return v.with(func(_ int, c graphColumn) graphColumn { return c.then(scalar{kind: scalarProbit}) })
	case t.outputs == 1:
	case t.post == "LOGISTIC":
		return v.with(func(_ int, c graphColumn) graphColumn { return c.then(scalar{kind: scalarLogistic}) })
	case t.post == "SOFTMAX":
		v.across = acrossSoftmax
	case t.post == "SOFTMAX_ZERO":
		v.across = acrossSoftmaxZero
	}
	return v
}

// checkClasses finds ONNX Runtime's binary case, and refuses base values of two classes where it mixes up which is whose.
func (r *treeReader) checkClasses() error {
	var has [2]bool
	if r.outputs > 2 {
		if len(r.base) != 0 && len(r.base) != r.outputs {
			return fmt.Errorf("%w: %d base_values with %d classes", errONNX, len(r.base), r.outputs)
		}
		return nil
	}
	for _, w := range r.weights {
		has[w.output] = true
	}
	r.oneClass = !has[1]
	switch {
	case r.oneClass && r.post == "PROBIT":
		return fmt.Errorf("PROBIT of two classes with weights for one, of which ONNX Runtime writes one: %w", ErrUnsupported)
	case r.oneClass && len(r.base) > 1, !r.oneClass && len(r.base) > 0:
		return fmt.Errorf("%d base_values with two classes, which ONNX Runtime adds to the wrong one: %w", len(r.base), ErrUnsupported)
	}
	return nil
}
