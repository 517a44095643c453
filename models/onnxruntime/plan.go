package onnxruntime

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"pitboss/models"
)

// linkKind says what stands between what is fetched from the graph and margins and scores.
type linkKind int

const (
	linkIdentity    linkKind = iota // values are margins and scores
	linkSigmoid                     // fetched are margins, one for each output; scores are their logistic
	linkSoftmax                     // fetched are margins of classes
	linkProbability                 // fetched are probabilities of classes
)

// plan is how rows go into a graph and which of its tensors is the answer.
type plan struct {
	columns []string
	inputs  []Value // one matrix, or one for each column
	// output is the graph's own answer, fetch the tensor that is asked for: the same, or one before it.
	output, fetch string
	link          linkKind
	labelled      bool // a label stands beside the output, or maps: it is of classes
}

// plan finds inputs and output, and refuses graphs that take or give something else than rows of numbers.
func (g *Graph) plan(columns []string, limits models.Limits) (*plan, error) {
	p := &plan{inputs: g.Inputs}
	if err := p.findColumns(g, columns, limits); err != nil {
		return nil, err
	}
	if err := p.findOutput(g); err != nil {
		return nil, err
	}
	return p, nil
}

// findColumns wants one tensor [rows, columns] or one [rows, 1] for each column.
func (p *plan) findColumns(g *Graph, names []string, limits models.Limits) error {
	for i := range g.Inputs {
		v := &g.Inputs[i]
		if v.Type != "float" && v.Type != "double" {
			return fmt.Errorf("input %.64q is of type %s; a row is numbers, float or double: %w", v.Name, v.Type, models.ErrUnsupported)
		}
		if len(v.Dims) != 2 || v.Dims[0] > 1 || v.Dims[0] == 0 || v.Dims[1] == 0 {
			return fmt.Errorf("input %.64q has the shape %v; a row goes into [rows, columns]: %w", v.Name, v.Dims, models.ErrUnsupported)
		}
	}
	if len(g.Inputs) > 1 {
		for i := range g.Inputs {
			if v := &g.Inputs[i]; v.Dims[1] > 1 {
				return fmt.Errorf("input %.64q has %d columns, and there are %d inputs: either one matrix or one input for each column: %w",
					v.Name, v.Dims[1], len(g.Inputs), models.ErrUnsupported)
			}
			p.columns = append(p.columns, g.Inputs[i].Name)
		}
		if names != nil && !slices.Equal(names, p.columns) {
			return fmt.Errorf("its inputs are %.200q, and the columns are said to be %.200q", p.columns, names)
		}
		return nil
	}
	n := g.Inputs[0].Dims[1]
	switch {
	case n < 0 && names == nil:
		return fmt.Errorf("input %.64q does not say how many columns it has: name them: %w", g.Inputs[0].Name, models.ErrUnsupported)
	case n < 0:
		n = int64(len(names))
	case names != nil && int64(len(names)) != n:
		return fmt.Errorf("input %.64q has %d columns, and %d are named", g.Inputs[0].Name, n, len(names))
	}
	if n > int64(limits.MaxFeatures) || n == 0 {
		return fmt.Errorf("it has %d columns, MaxFeatures is %d: %w", n, limits.MaxFeatures, models.ErrLimit)
	}
	p.columns = slices.Clone(names)
	for i := len(p.columns); i < int(n); i++ {
		p.columns = append(p.columns, "f"+strconv.Itoa(i))
	}
	return nil
}

// findOutput chooses the output that is the score: the one of floats, or of maps that a ZipMap makes of floats; of several the
// one that is called probabilities, as converters do.
func (p *plan) findOutput(g *Graph) error {
	var found []string
	labelled, zipped := false, map[string]string{}
	for i := range g.Outputs {
		v := &g.Outputs[i]
		switch v.Type {
		case "float", "double":
			found = append(found, v.Name)
		case "sequence", "map":
			maker := g.maker(v.Name)
			if maker == nil || maker.op != "ZipMap" || len(maker.inputs) != 1 {
				return fmt.Errorf("output %.64q is a %s that no ZipMap makes: %w", v.Name, v.Type, models.ErrUnsupported)
			}
			found, labelled = append(found, v.Name), true
			zipped[v.Name] = maker.inputs[0]
		default:
			labelled = true
		}
	}
	if len(found) > 1 {
		named := slices.DeleteFunc(slices.Clone(found), func(name string) bool {
			return name != "probabilities" && name != "output_probability" && name != "probability_tensor"
		})
		if len(named) == 1 {
			found = named
		}
	}
	switch len(found) {
	case 1:
	case 0:
		return fmt.Errorf("no output is a tensor of float or double: %w", models.ErrUnsupported)
	default:
		return fmt.Errorf("the outputs %.200q are all numbers: leave one, or call the score probabilities: %w", found, models.ErrUnsupported)
	}
	p.output, p.fetch = found[0], found[0]
	if from, ok := zipped[p.output]; ok {
		p.output, p.fetch = from, from
	}
	p.labelled = labelled
	p.findLink(g)
	return nil
}

// plain takes the output as it is.
func (p *plan) plain() {
	p.fetch, p.link = p.output, linkIdentity
	if p.labelled {
		p.link = linkProbability
	}
}

// findLink looks for the margins behind the output.
func (p *plan) findLink(g *Graph) {
	p.plain()
	last := g.through(p.output, "Identity", "Cast")
	switch {
	case last == nil:
	case last.op == "Softmax" && len(last.inputs) == 1 && (!last.hasAxis || last.axis == 1 || last.axis == -1):
		p.fetch, p.link = last.inputs[0], linkSoftmax
	case p.labelled:
		if margin := g.twoOfOne(last); margin != "" {
			p.fetch, p.link = margin, linkSigmoid
		}
	default:
		last = g.through(p.output, "Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze")
		if last != nil && last.op == "Sigmoid" && len(last.inputs) == 1 {
			p.fetch, p.link = last.inputs[0], linkSigmoid
		}
	}
}

// objective says to people what margins and scores are.
func (p *plan) objective() string {
	switch p.link {
	case linkSigmoid:
		return "logistic of " + p.fetch
	case linkSoftmax:
		return "softmax of " + p.fetch
	case linkProbability:
		return p.output + ", margins by its logit"
	default:
		return ""
	}
}

// twoOfOne finds the margin of a probability p that is given as [1-p, p], as converters of scikit-learn write it, and nothing
// where it is not so. That 1 is 1 is not read: the rows that a model is tried with when it is loaded show it.
func (g *Graph) twoOfOne(last *node) string {
	if last == nil || last.op != "Concat" || len(last.inputs) != 2 {
		return ""
	}
	second, first := g.through(last.inputs[1], "Identity"), g.maker(last.inputs[0])
	if second == nil || second.op != "Sigmoid" || len(second.inputs) != 1 || first == nil || first.op != "Sub" || len(first.inputs) != 2 ||
		first.inputs[1] != last.inputs[1] {
		return ""
	}
	return second.inputs[0]
}

// maker is the node that makes a tensor, nil where none does.
func (g *Graph) maker(name string) *node {
	for i := range g.nodes {
		if slices.Contains(g.nodes[i].outputs, name) {
			return &g.nodes[i]
		}
	}
	return nil
}

// maxSteps bounds how far through looks: a graph may be a ring in a hostile file.
const maxSteps = 16

// through is maker, but passes over the operators that are named.
func (g *Graph) through(name string, over ...string) *node {
	n := g.maker(name)
	for range maxSteps {
		if n == nil || !slices.Contains(over, n.op) || len(n.inputs) == 0 {
			return n
		}
		n = g.maker(n.inputs[0])
	}
	return nil
}

// shown gives the file with a tensor from inside the graph among its outputs. In Protobuf a message that comes twice is
// joined field by field, so that a graph with this one output behind the file is all that it takes.
func shown(data []byte, tensor string) []byte {
	value := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), tensor)
	graph := protowire.AppendBytes(protowire.AppendTag(nil, 12, protowire.BytesType), value)
	model := protowire.AppendBytes(protowire.AppendTag(nil, 7, protowire.BytesType), graph)
	return append(slices.Clone(data), model...)
}

// isOutput says whether a tensor is among the graph's own outputs.
func (g *Graph) isOutput(name string) bool {
	return slices.ContainsFunc(g.Outputs, func(v Value) bool { return v.Name == name })
}

// version is the file's operator sets as text: "ai.onnx 17, ai.onnx.ml 3".
func (g *Graph) version() string {
	var sets []string
	for _, o := range g.Opsets {
		sets = append(sets, fmt.Sprintf("%.64s %d", o.Domain, o.Version))
	}
	return strings.Join(sets, ", ")
}
