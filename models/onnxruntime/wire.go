package onnxruntime

import (
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"pitboss/models"
)

// walker reads an ONNX file by the numbers of its fields (onnx.proto3, ONNX 1.23), and nothing twice.
type walker struct {
	g        *Graph
	ops      map[string]int
	weights  map[string]struct{}
	hasGraph bool
}

// field is one field of a message: number holds what is a number, bytes what has a length.
type field struct {
	number uint64
	bytes  []byte
	wire   protowire.Type
}

// fields visits the fields of a message. What is cut off, or has a wire type that ONNX does not use, is an error.
func fields(message []byte, visit func(int, field) error) error {
	for len(message) > 0 {
		num, wire, n := protowire.ConsumeTag(message)
		if n < 0 {
			return cut(n)
		}
		message = message[n:]
		f := field{wire: wire}
		switch wire {
		case protowire.VarintType:
			f.number, n = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(message)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(message)
			f.number = uint64(v)
		case protowire.Fixed64Type:
			f.number, n = protowire.ConsumeFixed64(message)
		default:
			return fmt.Errorf("it is no ONNX file: field %d has the wire type %d: %w", num, wire, models.ErrUnsupported)
		}
		if n < 0 {
			return cut(n)
		}
		message = message[n:]
		if err := visit(int(num), f); err != nil {
			return err
		}
	}
	return nil
}

func cut(n int) error {
	return fmt.Errorf("the file is cut off or no ONNX: %w: %w", protowire.ParseError(n), models.ErrUnsupported)
}

// text is a field's bytes as a name.
func (f field) text() (string, error) {
	if len(f.bytes) > maxName {
		return "", fmt.Errorf("the name %.64q… has %d bytes, at most %d: %w", f.bytes, len(f.bytes), maxName, models.ErrLimit)
	}
	return string(f.bytes), nil
}

// model reads a ModelProto.
func (w *walker) model(data []byte) error {
	producer, version := "", ""
	err := fields(data, func(num int, f field) (err error) {
		switch num {
		case 2: // producer_name
			producer, err = f.text()
		case 3: // producer_version
			version, err = f.text()
		case 7: // graph
			// Protobuf joins messages that come twice: what is checked in each alone must not be joined behind our back.
			if w.hasGraph {
				return fmt.Errorf("it has two graphs: %w", models.ErrUnsupported)
			}
			w.hasGraph = true
			return w.graph(f.bytes, 0)
		case 8: // opset_import
			return w.opset(f.bytes)
		case 25: // functions
			return w.function(f.bytes)
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
	o := Opset{Domain: "ai.onnx"}
	err := fields(data, func(num int, f field) (err error) {
		switch num {
		case 1:
			var name string
			if name, err = f.text(); name != "" {
				o.Domain = name
			}
		case 2:
			o.Version = int64(f.number)
		}
		return err
	})
	if len(w.g.Opsets) == 64 {
		return fmt.Errorf("it names more than 64 operator sets: %w", models.ErrLimit)
	}
	if !slices.Contains(w.g.Opsets, o) { // converters name one for each operator
		w.g.Opsets = append(w.g.Opsets, o)
	}
	return err
}

// function reads a FunctionProto: operators that the file defines of others.
func (w *walker) function(data []byte) error {
	return fields(data, func(num int, f field) error {
		if num == 7 {
			return w.node(f.bytes, 1)
		}
		return nil
	})
}

// graph reads a GraphProto; depth 0 is the outermost.
func (w *walker) graph(data []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("graphs are nested deeper than %d: %w", maxDepth, models.ErrLimit)
	}
	return fields(data, func(num int, f field) error {
		switch num {
		case 1: // node
			return w.node(f.bytes, depth)
		case 5: // initializer
			name, err := w.tensor(f.bytes)
			if depth == 0 && err == nil {
				w.weights[name] = struct{}{}
			}
			return err
		case 11, 12: // input, output
			if depth > 0 {
				return nil
			}
			v, err := valueOf(f.bytes)
			if num == 11 {
				w.g.Inputs = append(w.g.Inputs, v)
			} else {
				w.g.Outputs = append(w.g.Outputs, v)
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
	err := fields(data, func(num int, f field) (err error) {
		var name string
		switch num {
		case 1:
			name, err = f.text()
			n.inputs = append(n.inputs, name)
		case 2:
			name, err = f.text()
			n.outputs = append(n.outputs, name)
		case 4:
			n.op, err = f.text()
		case 7:
			n.domain, err = f.text()
		case 5:
			return w.attribute(f.bytes, depth, &n)
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
	err := fields(data, func(num int, f field) (err error) {
		switch num {
		case 1:
			name, err = f.text()
		case 3:
			number = int64(f.number)
		case 5, 10: // t, tensors
			if tensors++; num == 5 && tensors > 1 {
				return fmt.Errorf("an attribute has its tensor twice: %w", models.ErrUnsupported)
			}
			_, err = w.tensor(f.bytes)
		case 6, 11: // g, graphs
			if graphs++; num == 6 && graphs > 1 {
				return fmt.Errorf("an attribute has its graph twice: %w", models.ErrUnsupported)
			}
			err = w.graph(f.bytes, depth+1)
		case 7, 8, 9: // floats, ints, strings
			var more int
			more, err = countElements(num, f)
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
func countElements(num int, f field) (n int, err error) {
	switch {
	case f.wire != protowire.BytesType || num == 9:
		return 1, nil
	case num == 7:
		return len(f.bytes) / 4, nil
	}
	err = packed(f.bytes, func(uint64) error {
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
	err := fields(data, func(num int, f field) (err error) {
		switch num {
		case 1: // dims
			if f.wire == protowire.BytesType {
				return packed(f.bytes, dim)
			}
			return dim(f.number)
		case 8:
			name, err = f.text()
		case 13: // external_data
			return external(name)
		case 14: // data_location; 1 is EXTERNAL
			if f.number != 0 {
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

func packed(data []byte, visit func(uint64) error) error {
	for len(data) > 0 {
		v, n := protowire.ConsumeVarint(data)
		if n < 0 {
			return cut(n)
		}
		if err := visit(v); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// valueOf reads a ValueInfoProto.
func valueOf(data []byte) (Value, error) {
	v := Value{Type: "unknown"}
	err := fields(data, func(num int, f field) (err error) {
		switch num {
		case 1:
			v.Name, err = f.text()
		case 2: // type
			return v.typeOf(f.bytes)
		}
		return err
	})
	return v, err
}

// typeOf reads a TypeProto.
func (v *Value) typeOf(data []byte) error {
	return fields(data, func(num int, f field) error {
		switch num {
		case 1: // tensor_type
			return v.tensorType(f.bytes)
		case 4:
			v.Type = "sequence"
		case 5:
			v.Type = "map"
		default:
			v.Type = "other"
		}
		return nil
	})
}

// elementTypes are the names of TensorProto.DataType.
var elementTypes = []string{
	"unknown", "float", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16", "double", "uint32", "uint64",
}

func (v *Value) tensorType(data []byte) error {
	return fields(data, func(num int, f field) error {
		switch num {
		case 1: // elem_type
			v.Type = "other"
			if f.number < uint64(len(elementTypes)) {
				v.Type = elementTypes[f.number]
			}
		case 2: // shape
			return fields(f.bytes, func(num int, f field) error {
				if num != 1 {
					return nil
				}
				if len(v.Dims) == maxRank {
					return fmt.Errorf("%.64q has more than %d dimensions: %w", v.Name, maxRank, models.ErrLimit)
				}
				return v.dim(f.bytes)
			})
		}
		return nil
	})
}

// dim reads one dimension: a number, or a name, or nothing, both of which leave it free.
func (v *Value) dim(data []byte) error {
	d := int64(-1)
	err := fields(data, func(num int, f field) error {
		if num == 1 {
			d = int64(f.number)
		}
		return nil
	})
	if d < 0 {
		d = -1
	}
	v.Dims = append(v.Dims, d)
	return err
}
