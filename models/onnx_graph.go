package models

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"pitboss/models/internal/onnx"
)

// graph is an ONNX graph that is followed from its inputs to the one output with scores. All values are matrices with a row for each row to be scored, which are followed
// column by column: what a column is made of, and what has been done to it since.
type graph struct {
	limits  Limits
	nodes   []*graphNode
	ports   []onnx.Value // inputs that are not constants
	outputs []onnx.Value
	values  map[string]*graphValue
	ml      int64 // version of ai.onnx.ml; 0 for none
	plain   int64 // version of ONNX's own operators
	work    int   // columns that may still be made

	features []Feature
	element  elementType // of the rows
	trees    *onnxTrees
	seen     []graphColumn // the columns that the trees see
}

// graphColumn is a column: a feature, or a margin of the trees, and what is done to it.
type graphColumn struct {
	source int32
	steps  []scalar
}

// graphValue is the value of one name in a graph.
type graphValue struct {
	packed   []byte  // of a constant: its TensorProto; the rest is not set then
	constant *tensor // the same, once somebody has asked for it
	element  elementType
	columns  []graphColumn
	scores   bool // made of margins, not of features
	classes  bool // a column for each class of a classifier
	across   acrossKind
}

// maxGraphColumns bounds the columns of all values together.
const maxGraphColumns = 1 << 18

// maxSteps bounds what is done to one column.
const maxSteps = 64

// openGraph reads an ONNX file into its parts.
func openGraph(data []byte, limits Limits) (*graph, error) {
	g := &graph{limits: limits, values: map[string]*graphValue{}, work: maxGraphColumns}
	found := false
	err := onnx.Fields(data, func(f onnx.Field) error {
		switch f.Number {
		case 7:
			if found {
				return fmt.Errorf("%w: two graphs", errONNX)
			}
			found = true
			return g.readGraph(f.Bytes)
		case 8:
			return g.readVersion(f.Bytes)
		case 20, 25:
			return fmt.Errorf("functions or training steps in the file: %w", ErrUnsupported)
		}
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: no graph", errONNX)
	}
	if err != nil {
		return nil, err
	}
	if g.ml < 0 || g.ml > 5 {
		return nil, fmt.Errorf("ai.onnx.ml %d: %w", g.ml, ErrUnsupported)
	}
	return g, nil
}

func (g *graph) readVersion(data []byte) error {
	o, err := onnx.ReadOpset(data)
	switch o.Domain {
	case "ai.onnx.ml":
		g.ml = o.Version
	case "", "ai.onnx":
		g.plain = o.Version
	}
	return err
}

func (g *graph) readGraph(data []byte) error {
	budget := maxGraphInputs
	return onnx.Fields(data, func(f onnx.Field) error {
		switch f.Number {
		case 1:
			n, err := readNode(f.Bytes, &budget)
			if len(g.nodes) == maxGraphNodes {
				return fmt.Errorf("more than %d nodes: %w", maxGraphNodes, ErrLimit)
			}
			g.nodes = append(g.nodes, n)
			return err
		case 5:
			name, err := tensorName(f.Bytes)
			if err != nil {
				return err
			}
			return g.define(name, &graphValue{packed: f.Bytes})
		case 11, 12:
			p, err := onnx.ReadValue(f.Bytes)
			if len(g.ports)+len(g.outputs) > g.limits.MaxFeatures+g.limits.MaxOutputs {
				return fmt.Errorf("more than %d inputs and outputs: %w", g.limits.MaxFeatures+g.limits.MaxOutputs, ErrLimit)
			}
			if f.Number == 11 {
				g.ports = append(g.ports, p)
			} else {
				g.outputs = append(g.outputs, p)
			}
			return err
		case 15:
			return fmt.Errorf("sparse constants: %w", ErrUnsupported)
		}
		return nil
	})
}

// define gives a name its value, once. An output that nobody wants has no name.
func (g *graph) define(name string, v *graphValue) error {
	if name == "" {
		return nil
	}
	if g.values[name] != nil {
		return fmt.Errorf("%w: %.64q is there twice", errONNX, name)
	}
	if g.work -= len(v.columns); g.work < 0 {
		return fmt.Errorf("the graph makes more than %d columns: %w", maxGraphColumns, ErrLimit)
	}
	g.values[name] = v
	return nil
}

// addInputs makes the features of a row: the columns of the graph's inputs, one after the other.
func (g *graph) addInputs() error {
	g.ports = slices.DeleteFunc(g.ports, func(p onnx.Value) bool { return g.values[p.Name] != nil })
	for _, p := range g.ports {
		width, element := int64(0), elementType(p.Element)
		switch {
		case p.Shaped && len(p.Dims) == 1:
			width = 1
		case p.Shaped && len(p.Dims) == 2:
			width = p.Dims[1]
		}
		switch {
		case element != elementFloat && element != elementFloat64:
			return fmt.Errorf("input %.64q holds %s, not float or double: %w", p.Name, element, ErrUnsupported)
		case g.element != 0 && g.element != element:
			return fmt.Errorf("inputs of float and double: %w", ErrUnsupported)
		case width < 1:
			return fmt.Errorf("input %.64q does not say how many columns it has: %w", p.Name, ErrUnsupported)
		case width > int64(g.limits.MaxFeatures-len(g.features)):
			return fmt.Errorf("more features than MaxFeatures (%d): %w", g.limits.MaxFeatures, ErrLimit)
		}
		g.element = element
		v := &graphValue{element: element}
		for j := range int(width) {
			name := p.Name
			if width > 1 && len(g.ports) > 1 {
				name += "_" + strconv.Itoa(j)
			} else if width > 1 {
				name = "f" + strconv.Itoa(j)
			}
			v.columns = append(v.columns, graphColumn{source: int32(len(g.features))})
			g.features = append(g.features, Feature{Name: name, Min: math.NaN(), Max: math.NaN(), Gain: 0})
		}
		if err := g.define(p.Name, v); err != nil {
			return err
		}
	}
	if len(g.features) == 0 {
		return fmt.Errorf("%w: the graph has no input", errONNX)
	}
	return nil
}

// follow evaluates the nodes that the output with the scores is made of, and returns it.
func (g *graph) follow() (*graphValue, error) {
	if err := g.addInputs(); err != nil {
		return nil, err
	}
	name, err := g.scoreOutput()
	if err != nil {
		return nil, err
	}
	needed := map[string]bool{name: true}
	wanted := make([]bool, len(g.nodes))
	for i, n := range slices.Backward(g.nodes) {
		if slices.ContainsFunc(n.outputs, func(o string) bool { return o != "" && needed[o] }) {
			wanted[i] = true
			for _, in := range n.inputs {
				needed[in] = true
			}
		}
	}
	for i, n := range g.nodes {
		if !wanted[i] {
			continue
		}
		if err := g.evaluate(n); err != nil {
			return nil, fmt.Errorf("node %d, %.64s: %w", i, n.name(), err)
		}
	}
	v := g.values[name]
	if v == nil || !v.scores {
		return nil, fmt.Errorf("output %.64q is not made by trees: %w", name, ErrUnsupported)
	}
	return v, nil
}

// scoreOutput finds the output that holds scores: the others of a classifier are labels.
func (g *graph) scoreOutput() (string, error) {
	var names []string
	for _, p := range g.outputs {
		if e := elementType(p.Element); e == 0 || e == elementFloat || e == elementFloat64 { // 0: what ZipMap makes
			names = append(names, p.Name)
		}
	}
	if len(names) != 1 {
		return "", fmt.Errorf("%d outputs that may be scores, of %d, want one: %w", len(names), len(g.outputs), ErrUnsupported)
	}
	return names[0], nil
}

// input returns the value of a node's input.
func (g *graph) input(n *graphNode, i int) (*graphValue, error) {
	if i >= len(n.inputs) || n.inputs[i] == "" {
		return nil, fmt.Errorf("%w: no input %d", errONNX, i)
	}
	v := g.values[n.inputs[i]]
	if v == nil {
		return nil, fmt.Errorf("input %.64q is not there yet, or is a label: %w", n.inputs[i], ErrUnsupported)
	}
	return v, nil
}

// matrix returns an input that is no constant.
func (g *graph) matrix(n *graphNode, i int) (*graphValue, error) {
	v, err := g.input(n, i)
	if err == nil && v.isConstant() {
		return nil, fmt.Errorf("its input %d is a constant: %w", i, ErrUnsupported)
	}
	return v, err
}

// constant returns an input that is a constant.
func (g *graph) constant(n *graphNode, i int) (*tensor, error) {
	v, err := g.input(n, i)
	switch {
	case err != nil:
		return nil, err
	case !v.isConstant():
		return nil, fmt.Errorf("its input %d is no constant: %w", i, ErrUnsupported)
	case v.constant == nil:
		v.constant, err = readTensor(v.packed, g.limits.MaxFeatures)
	}
	return v.constant, err
}

func (v *graphValue) isConstant() bool { return v.packed != nil || v.constant != nil }

// with returns the value with each column changed.
func (v *graphValue) with(change func(j int, c graphColumn) graphColumn) *graphValue {
	out := *v
	out.columns = make([]graphColumn, len(v.columns))
	for j, c := range v.columns {
		out.columns[j] = change(j, c)
	}
	return &out
}

// then returns a column with one more step.
func (c graphColumn) then(s scalar) graphColumn {
	return graphColumn{source: c.source, steps: append(slices.Clip(c.steps), s)}
}
