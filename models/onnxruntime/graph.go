package onnxruntime

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"pitboss/models"
	"pitboss/models/internal/onnx"
)

// What a graph may have. A decision in milliseconds needs a small part of it.
const (
	maxNodes = 100_000
	maxDepth = 8 // of graphs within attributes of nodes
)

// Graph is what a file says of itself, read without ONNX Runtime.
type Graph struct {
	// Producer is the tool that wrote the file, with its version; empty where it does not say.
	Producer string
	// Opsets are the versions of the operators by domain; the domain of the standard ones is ai.onnx.
	Opsets []Opset
	// Inputs and Outputs are the graph's own, in order. Weights that stand among the inputs are left out.
	Inputs, Outputs []Value
	// Ops counts the nodes by operator, the most frequent first, those of inner graphs and functions too.
	Ops []OpCount
	// Nodes is the sum of Ops. Weights and WeightBytes count the constants.
	Nodes, Weights, WeightBytes int

	nodes []node // of the outermost graph
}

// Opset is one line of opset_import.
type Opset struct {
	Domain  string
	Version int64
}

// OpCount says how often an operator is used.
type OpCount struct {
	// Op is the operator's name, behind its domain where that is not ai.onnx.
	Op    string
	Count int
}

// Value is an input or output.
type Value struct {
	Name string
	// Type is float, double, int64, string and so on for tensors, else sequence, map or other; unknown where nothing is said.
	Type string
	// Dims are a tensor's dimensions, -1 where one is free.
	Dims []int64
}

// node is an operator of the outermost graph.
type node struct {
	op, domain      string
	inputs, outputs []string
	axis            int64
	hasAxis         bool
	labels          int // of a classifier
	intercepts      int
}

// refused are operators that no score may depend on, and why.
var refused = map[string]string{
	"Loop":              "how long it takes depends on the row, and nothing can end it",
	"Scan":              "how long it takes depends on the row, and nothing can end it",
	"EPContext":         "it reads a file beside the model",
	"RandomNormal":      "it draws random numbers, and a decision must be made again",
	"RandomNormalLike":  "it draws random numbers, and a decision must be made again",
	"RandomUniform":     "it draws random numbers, and a decision must be made again",
	"RandomUniformLike": "it draws random numbers, and a decision must be made again",
	"Multinomial":       "it draws random numbers, and a decision must be made again",
	"Bernoulli":         "it draws random numbers, and a decision must be made again",
}

// domains are those whose operators ONNX Runtime itself brings.
var domains = map[string]string{"": "", "ai.onnx": "", "ai.onnx.ml": "ai.onnx.ml", "com.microsoft": "com.microsoft"}

// Inspect walks a file, without ONNX Runtime, and refuses with models.ErrUnsupported or models.ErrLimit what must not get there:
// a file that is cut off or no ONNX, constants that lie in other files, that are sparse or claim more elements than they
// hold, operators of unknown domains and those that draw random numbers, loop or read files, and more nodes, depth or
// bytes than a score can need. Memory and time are bounded by the size of the file.
func Inspect(data []byte, limits models.Limits) (*Graph, error) {
	if len(data) > limits.MaxFileBytes {
		return nil, fmt.Errorf("it has %d bytes, MaxFileBytes is %d: %w", len(data), limits.MaxFileBytes, models.ErrLimit)
	}
	w := walker{g: &Graph{}, ops: map[string]int{}, weights: map[string]struct{}{}}
	if err := w.model(data); errors.Is(err, onnx.ErrMalformed) {
		return nil, fmt.Errorf("the file is cut off or no ONNX: %w: %w", err, models.ErrUnsupported)
	} else if err != nil {
		return nil, err
	}
	g := w.g
	g.Inputs = slices.DeleteFunc(g.Inputs, func(v Value) bool {
		_, weight := w.weights[v.Name]
		return weight
	})
	for op, n := range w.ops {
		g.Ops = append(g.Ops, OpCount{op, n})
	}
	slices.SortFunc(g.Ops, func(a, b OpCount) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Op, b.Op)) })
	switch {
	case !w.hasGraph:
		return nil, fmt.Errorf("there is no graph in it: it is no ONNX model: %w", models.ErrUnsupported)
	case len(g.Inputs) == 0:
		return nil, fmt.Errorf("the graph has no inputs: %w", models.ErrUnsupported)
	case len(g.Outputs) == 0:
		return nil, fmt.Errorf("the graph has no outputs: %w", models.ErrUnsupported)
	case len(g.Inputs) > limits.MaxFeatures:
		return nil, fmt.Errorf("the graph has %d inputs, MaxFeatures is %d: %w", len(g.Inputs), limits.MaxFeatures, models.ErrLimit)
	}
	return g, nil
}

// count notes a node and refuses those that must not run.
func (w *walker) count(op, domain string) error {
	prefix, known := domains[domain]
	if !known {
		return fmt.Errorf("operator %.64q of domain %.64q: only ai.onnx, ai.onnx.ml and com.microsoft are run: %w", op, domain, models.ErrUnsupported)
	}
	if why, ok := refused[op]; ok {
		return fmt.Errorf("operator %s: %s: %w", op, why, models.ErrUnsupported)
	}
	if op == "" {
		return fmt.Errorf("a node has no operator: %w", models.ErrUnsupported)
	}
	if prefix != "" {
		op = prefix + "." + op
	}
	w.ops[op]++
	if w.g.Nodes++; w.g.Nodes > maxNodes {
		return fmt.Errorf("it has more than %d nodes: %w", maxNodes, models.ErrLimit)
	}
	return nil
}
