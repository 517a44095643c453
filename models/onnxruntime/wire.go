package onnxruntime

import (
	"fmt"
	"math"
	"slices"

	"pitboss/models"
	"pitboss/models/internal/onnx"
)

// walker reads an ONNX file by the numbers of its fields (onnx.proto3, ONNX 1.23), and nothing twice.
type walker struct {
	g        *Graph
	ops      map[string]int
	weights  map[string]struct{}
	hasGraph bool
}

// model reads a ModelProto.
func (w *walker) model(data []byte) error {
	producer, version := "", ""
	err := onnx.Fields(data, func(f onnx.Field) (err error) {
		switch f.Number {
		case 2: // producer_name
			producer, err = f.Text()
		case 3: // producer_version
			version, err = f.Text()
		case 7: // graph
			// Protobuf joins messages that come twice: what is checked in each alone must not be joined behind our back.
			if w.hasGraph {
				return fmt.Errorf("it has two graphs: %w", models.ErrUnsupported)
			}
			w.hasGraph = true
			return w.graph(f.Bytes, 0)
		case 8: // opset_import
			return w.opset(f.Bytes)
		case 25: // functions
			return w.function(f.Bytes)
		}
		return err
	})
	w.g.Producer = producer
	if version != "" {
		w.g.Producer += " " + version
	}
	return err
}

func (w *walker) opset(data []byte) error {
	o, err := onnx.ReadOpset(data)
	if o.Domain == "" {
		o.Domain = "ai.onnx"
	}
	if len(w.g.Opsets) == 64 {
		return fmt.Errorf("it names more than 64 operator sets: %w", models.ErrLimit)
	}
	if set := Opset(o); !slices.Contains(w.g.Opsets, set) { // converters name one for each operator
		w.g.Opsets = append(w.g.Opsets, set)
	}
	return err
}

// function reads a FunctionProto: operators that the file defines of others.
func (w *walker) function(data []byte) error {
	return onnx.Fields(data, func(f onnx.Field) error {
		if f.Number == 7 {
			return w.node(f.Bytes, 1)
		}
		return nil
	})
}

// graph reads a GraphProto; depth 0 is the outermost.
func (w *walker) graph(data []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("graphs are nested deeper than %d: %w", maxDepth, models.ErrLimit)
	}
	return onnx.Fields(data, func(f onnx.Field) error {
		switch f.Number {
		case 1: // node
			return w.node(f.Bytes, depth)
		case 5: // initializer
			name, err := w.tensor(f.Bytes)
			if depth == 0 && err == nil {
				w.weights[name] = struct{}{}
			}
			return err
		case 11, 12: // input, output
			if depth > 0 {
				return nil
			}
			v, err := onnx.ReadValue(f.Bytes)
			if f.Number == 11 {
				w.g.Inputs = append(w.g.Inputs, valueOf(v))
			} else {
				w.g.Outputs = append(w.g.Outputs, valueOf(v))
			}
			return err
		case 15: // sparse_initializer
			return fmt.Errorf("a constant is sparse: small in the file, and of any size in memory: %w", models.ErrUnsupported)
		}
		return nil
	})
}

// node reads a NodeProto, and the graphs and tensors in its attributes.
func (w *walker) node(data []byte, depth int) error {
	var n node
	err := onnx.Fields(data, func(f onnx.Field) (err error) {
		var name string
		switch f.Number {
		case 1:
			name, err = f.Text()
			n.inputs = append(n.inputs, name)
		case 2:
			name, err = f.Text()
			n.outputs = append(n.outputs, name)
		case 4:
			n.op, err = f.Text()
		case 7:
			n.domain, err = f.Text()
		case 5:
			return w.attribute(f.Bytes, depth, &n)
		}
		return err
	})
	if err != nil {
		return err
	}
	if depth == 0 {
		w.g.nodes = append(w.g.nodes, n)
	}
	if err := n.checkLabels(); err != nil {
		return err
	}
	return w.count(n.op, n.domain)
}

// attribute reads an AttributeProto.
func (w *walker) attribute(data []byte, depth int, n *node) error {
	name, number, tensors, graphs, elements := "", int64(0), 0, 0, 0
	err := onnx.Fields(data, func(f onnx.Field) (err error) {
		switch f.Number {
		case 1:
			name, err = f.Text()
		case 3:
			number = int64(f.Bits)
		case 5, 10: // t, tensors
			if tensors++; f.Number == 5 && tensors > 1 {
				return fmt.Errorf("an attribute has its tensor twice: %w", models.ErrUnsupported)
			}
			_, err = w.tensor(f.Bytes)
		case 6, 11: // g, graphs
			if graphs++; f.Number == 6 && graphs > 1 {
				return fmt.Errorf("an attribute has its graph twice: %w", models.ErrUnsupported)
			}
			err = w.graph(f.Bytes, depth+1)
		case 7, 8, 9: // floats, ints, strings
			var more int
			more, err = countElements(f)
			elements += more
		case 22, 23: // sparse_tensor, sparse_tensors
			return fmt.Errorf("a constant is sparse: small in the file, and of any size in memory: %w", models.ErrUnsupported)
		}
		return err
	})
	switch name {
	case "axis":
		n.axis, n.hasAxis = number, true
	case "classlabels_ints", "classlabels_strings":
		n.labels += elements
	case "intercepts":
		n.intercepts = elements
	}
	return err
}

// countElements counts the values of one field of a list: strings stand alone, numbers may be packed.
func countElements(f onnx.Field) (n int, err error) {
	width := 0
	switch f.Number {
	case 7:
		width = 4
	case 9:
		return 1, nil
	}
	err = f.Each(width, func(uint64) error {
		n++
		return nil
	})
	return n, err
}

// checkLabels holds the labels of a linear classifier against its classes: ONNX Runtime (1.27.0) takes the label of a class without
// looking whether there is one, and an assertion of the C++ library then ends the process.
func (n *node) checkLabels() error {
	if n.op != "LinearClassifier" || n.labels == n.intercepts && n.labels > 0 || n.labels == 2 && n.intercepts == 1 {
		return nil
	}
	return fmt.Errorf("operator LinearClassifier has %d labels and %d intercepts, one for each class: %w", n.labels, n.intercepts, models.ErrUnsupported)
}

// tensor checks a TensorProto and gives its name. An element takes half a byte of the file at least, so that a tensor that
// claims more than it can hold is found before anybody makes room for it.
func (w *walker) tensor(data []byte) (string, error) {
	name, elements := "", uint64(1)
	dim := func(d uint64) error {
		if d > math.MaxInt64 || d != 0 && elements > math.MaxInt64/d {
			return fmt.Errorf("constant %.64q has a negative dimension, or more elements than can be counted: %w", name, models.ErrLimit)
		}
		elements *= d
		return nil
	}
	err := onnx.Fields(data, func(f onnx.Field) (err error) {
		switch f.Number {
		case 1: // dims
			return f.Each(0, dim)
		case 8:
			name, err = f.Text()
		case 13: // external_data
			return external(name)
		case 14: // data_location; 1 is EXTERNAL
			if f.Bits != 0 {
				return external(name)
			}
		}
		return err
	})
	if err == nil && elements > 2*uint64(len(data)) {
		err = fmt.Errorf("constant %.64q claims %d elements and has %d bytes: %w", name, elements, len(data), models.ErrLimit)
	}
	w.g.Weights++
	w.g.WeightBytes += len(data)
	return name, err
}

func external(name string) error {
	return fmt.Errorf("constant %.64q lies in another file: save the model as one file (onnx.save_model with save_as_external_data=False): %w",
		name, models.ErrUnsupported)
}

// elementTypes are the names of TensorProto.DataType.
var elementTypes = []string{
	"unknown", "float", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16", "double", "uint32", "uint64",
}

// valueOf puts names to an input or output.
func valueOf(v onnx.Value) Value {
	out := Value{Name: v.Name, Type: "other", Dims: v.Dims}
	switch {
	case v.Kind == 0:
		out.Type = "unknown"
	case v.Kind == onnx.KindSequence:
		out.Type = "sequence"
	case v.Kind == onnx.KindMap:
		out.Type = "map"
	case v.Kind == onnx.KindTensor && v.Element >= 0 && int(v.Element) < len(elementTypes):
		out.Type = elementTypes[v.Element]
	}
	return out
}
