package models

import (
	"fmt"
	"math"
	"slices"
)

// acrossKind is what is done to all scores of a row together.
type acrossKind uint8

const (
	acrossNone acrossKind = iota
	acrossSoftmax
	acrossSoftmaxZero // softmax over those that are not zero
	acrossMax         // divided by the largest
	acrossL1          // divided by the sum of their absolute values
	acrossL2          // divided by their length
)

// evaluate gives a node's outputs their values.
func (g *graph) evaluate(n *graphNode) error {
	if n.domain != "" && n.domain != "ai.onnx" && n.domain != "ai.onnx.ml" {
		return fmt.Errorf("operator %.64s: %w", n.name(), ErrUnsupported)
	}
	if version := map[bool]int64{true: g.ml, false: g.plain}[n.domain == "ai.onnx.ml"]; version < 1 || n.op == "TreeEnsemble" && version < 5 {
		return fmt.Errorf("%w: version %d of the operators %q", errONNX, version, n.domain)
	}
	operators := map[string]func(*graphNode) (*graphValue, error){
		"Identity": g.keep, "ai.onnx.ml.ZipMap": g.keep, "Constant": g.constantNode, "Cast": g.cast,
		"Reshape": g.reshape, "Flatten": g.reshape, "Squeeze": g.reshape, "Unsqueeze": g.reshape,
		"Concat": g.concat, "ai.onnx.ml.FeatureVectorizer": g.concat, "ai.onnx.ml.ArrayFeatureExtractor": g.pick, "Gather": g.pick,
		"ai.onnx.ml.Scaler": g.scaler, "ai.onnx.ml.Imputer": g.imputer,
		"Add": g.arithmetic, "Sub": g.arithmetic, "Mul": g.arithmetic, "Div": g.arithmetic, "Neg": g.negate, "Clip": g.clip,
		"Sigmoid": g.curve, "Exp": g.curve, "Softmax": g.softmax, "ai.onnx.ml.Normalizer": g.normalizer,
		"ai.onnx.ml.TreeEnsembleClassifier": g.ensemble, "ai.onnx.ml.TreeEnsembleRegressor": g.ensemble, "ai.onnx.ml.TreeEnsemble": g.ensemble,
	}
	operator := operators[n.name()]
	if operator == nil {
		return fmt.Errorf("operator %.64s: %w", n.name(), ErrUnsupported)
	}
	v, err := operator(n)
	if err != nil {
		return err
	}
	name := n.outputs[0]
	if n.op == "TreeEnsembleClassifier" { // the first are the labels
		if len(n.outputs) < 2 {
			return fmt.Errorf("no scores: %w", ErrUnsupported)
		}
		name = n.outputs[1]
	}
	for _, c := range v.columns {
		if len(c.steps) > maxSteps {
			return fmt.Errorf("more than %d steps for one column: %w", maxSteps, ErrLimit)
		}
	}
	return g.define(name, v)
}

func (n *graphNode) attribute(name string) *attribute {
	for i := range n.attributes {
		if n.attributes[i].name == name {
			return &n.attributes[i]
		}
	}
	return nil
}

func (n *graphNode) integer(name string, other int64) (int64, error) {
	if a := n.attribute(name); a != nil {
		return a.integer()
	}
	return other, nil
}

// acrossColumns refuses an axis that is not the columns'; other is the one that counts where the file names none.
func (n *graphNode) acrossColumns(other int64) error {
	axis, err := n.integer("axis", other)
	if err == nil && axis != 1 && axis != -1 {
		err = fmt.Errorf("axis %d: %w", axis, ErrUnsupported)
	}
	return err
}

// keep is for what does not change numbers.
func (g *graph) keep(n *graphNode) (*graphValue, error) { return g.matrix(n, 0) }

func (g *graph) constantNode(n *graphNode) (*graphValue, error) {
	a := n.attribute("value")
	if a == nil {
		return nil, fmt.Errorf("a constant without the attribute value: %w", ErrUnsupported)
	}
	t, err := a.tensor(g.limits.MaxFeatures)
	if err != nil {
		return nil, err
	}
	return &graphValue{constant: t}, nil
}

// cast changes between float and double; what is cast to anything else is not a score.
func (g *graph) cast(n *graphNode) (*graphValue, error) {
	v, err := g.matrix(n, 0)
	if err != nil {
		return nil, err
	}
	to, err := n.integer("to", 0)
	if err != nil {
		return nil, err
	}
	from, element := v.element, elementType(to)
	if element != elementFloat && element != elementFloat64 {
		return nil, fmt.Errorf("a cast to %s: %w", element, ErrUnsupported)
	}
	if from == elementFloat64 && element == elementFloat {
		v = v.with(func(_ int, c graphColumn) graphColumn { return c.then(scalar{kind: scalarCast}) })
	}
	out := *v
	out.element = element
	return &out, nil
}

// reshape is followed where it keeps the columns as they are, whatever it does to dimensions of one.
func (g *graph) reshape(n *graphNode) (*graphValue, error) {
	v, err := g.matrix(n, 0)
	if err != nil || len(v.columns) == 1 {
		return v, err
	}
	switch n.op {
	case "Flatten":
		if axis, err := n.integer("axis", 1); err != nil || axis == 1 {
			return v, err
		}
	case "Reshape":
		shape, err := g.constant(n, 1)
		if err != nil {
			return nil, err
		}
		if s := shape.values; len(s) == 2 && s[0] <= 0 && (s[1] == float64(len(v.columns)) || s[1] == -1 && s[0] == 0) {
			return v, nil
		}
	}
	return nil, fmt.Errorf("%s of %d columns to another shape: %w", n.op, len(v.columns), ErrUnsupported)
}

// concat puts columns side by side.
func (g *graph) concat(n *graphNode) (*graphValue, error) {
	if n.op == "Concat" {
		if err := n.acrossColumns(0); err != nil {
			return nil, err
		}
	}
	var out graphValue
	for i := range n.inputs {
		v, err := g.matrix(n, i)
		switch {
		case err != nil:
			return nil, err
		case v.across != acrossNone || i > 0 && (v.scores != out.scores || v.element != out.element):
			return nil, fmt.Errorf("columns of several kinds side by side: %w", ErrUnsupported)
		case len(out.columns)+len(v.columns) > g.work:
			return nil, fmt.Errorf("the graph makes more than %d columns: %w", maxGraphColumns, ErrLimit)
		}
		out.element, out.scores = v.element, v.scores
		for _, c := range v.columns {
			if n.op == "FeatureVectorizer" && v.element == elementFloat64 {
				c = c.then(scalar{kind: scalarCast})
			}
			out.columns = append(out.columns, c)
		}
	}
	if n.op == "FeatureVectorizer" {
		out.element = elementFloat
	}
	return &out, nil
}

// pick takes some columns.
func (g *graph) pick(n *graphNode) (*graphValue, error) {
	v, err := g.matrix(n, 0)
	if err != nil {
		return nil, err
	}
	which, err := g.constant(n, 1)
	if err != nil {
		return nil, err
	}
	if n.op == "Gather" {
		if err := n.acrossColumns(0); err != nil {
			return nil, err
		}
	}
	if v.across != acrossNone {
		return nil, fmt.Errorf("some of the scores that were made together: %w", ErrUnsupported)
	}
	out := &graphValue{element: v.element, scores: v.scores}
	if which.element != elementInt64 && which.element != elementInt32 {
		return nil, fmt.Errorf("indices are %s: %w", which.element, ErrUnsupported)
	}
	for _, x := range which.values {
		if x < 0 || x >= float64(len(v.columns)) {
			return nil, fmt.Errorf("%w: column %v of %d", errONNX, x, len(v.columns))
		}
		out.columns = append(out.columns, v.columns[int(x)])
	}
	return out, nil
}

// spread returns a constant's value for each column of v, to which it must be broadcast.
func spread(t *tensor, v *graphValue) (func(j int) float64, error) {
	if t.element != v.element {
		return nil, fmt.Errorf("%w: a constant of %s with columns of %s", errONNX, t.element, v.element)
	}
	for _, x := range t.values {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("a constant %v: %w", x, ErrUnsupported)
		}
	}
	switch {
	case len(t.values) == 1:
		return func(int) float64 { return t.values[0] }, nil
	case len(t.values) == len(v.columns) && t.dims[len(t.dims)-1] == len(v.columns):
		return func(j int) float64 { return t.values[j] }, nil
	default:
		return nil, fmt.Errorf("a constant of the shape %v with %d columns: %w", t.dims, len(v.columns), ErrUnsupported)
	}
}

// arithmetic is one of the four operations with a constant on one side.
func (g *graph) arithmetic(n *graphNode) (*graphValue, error) {
	left, err := g.input(n, 0)
	if err != nil {
		return nil, err
	}
	right, err := g.input(n, 1)
	if err != nil {
		return nil, err
	}
	at := 1
	if left.isConstant() {
		left, right, at = right, left, 0
	}
	if left.isConstant() || !right.isConstant() || len(n.inputs) != 2 {
		return nil, fmt.Errorf("%s not of columns and a constant: %w", n.op, ErrUnsupported)
	}
	t, err := g.constant(n, at)
	if err != nil {
		return nil, err
	}
	c, err := spread(t, left)
	if err != nil {
		return nil, err
	}
	kind := map[string]scalarKind{"Add": scalarAdd, "Sub": scalarAdd, "Mul": scalarMul, "Div": scalarDiv}[n.op]
	sign := 1.0
	switch {
	case n.op == "Sub" && at == 0:
		kind = scalarFrom
	case n.op == "Sub":
		sign = -1
	case n.op == "Div" && (at == 0 || slices.Contains(t.values, 0)):
		return nil, fmt.Errorf("a division of a constant, or by zero: %w", ErrUnsupported)
	}
	return left.scalars(func(j int) scalar { return scalar{kind: kind, c: float64(sign * c(j))} })
}

// scalars does a step to each column. What changes nothing is left out, so that it may stand behind a softmax.
func (v *graphValue) scalars(step func(j int) scalar) (*graphValue, error) {
	single := v.element == elementFloat
	changes := false
	out := v.with(func(j int, c graphColumn) graphColumn {
		s := step(j)
		if s.kind == scalarMul && s.c == 1 || s.kind == scalarDiv && s.c == 1 || s.kind == scalarAdd && s.c == 0 {
			return c
		}
		changes = true
		s.single = single
		return c.then(s)
	})
	if changes && v.across != acrossNone {
		return nil, fmt.Errorf("arithmetic with scores that were made together: %w", ErrUnsupported)
	}
	return out, nil
}

func (g *graph) negate(n *graphNode) (*graphValue, error) {
	v, err := g.matrix(n, 0)
	if err != nil {
		return nil, err
	}
	return v.scalars(func(int) scalar { return scalar{kind: scalarMul, c: -1} })
}
