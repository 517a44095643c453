package models_test

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// This file writes ONNX files for tests, field by field (onnx.proto).

type protoBuilder []byte

func (b protoBuilder) varint(number protowire.Number, v int64) protoBuilder {
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), uint64(v))
}

func (b protoBuilder) bytes(number protowire.Number, v []byte) protoBuilder {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), v)
}

func (b protoBuilder) text(number protowire.Number, v string) protoBuilder {
	return b.bytes(number, []byte(v))
}

// onnxAttribute writes an AttributeProto of whatever v is.
func onnxAttribute(name string, v any) []byte {
	b := protoBuilder{}.text(1, name)
	switch v := v.(type) {
	case int:
		return b.varint(3, int64(v)).varint(20, 2)
	case float32:
		return protowire.AppendFixed32(protowire.AppendTag(b, 2, protowire.Fixed32Type), math.Float32bits(v))
	case string:
		return b.text(4, v).varint(20, 3)
	case []int:
		var packed []byte
		for _, i := range v {
			packed = protowire.AppendVarint(packed, uint64(i))
		}
		return b.bytes(8, packed).varint(20, 7)
	case []float32:
		var packed []byte
		for _, f := range v {
			packed = protowire.AppendFixed32(packed, math.Float32bits(f))
		}
		return b.bytes(7, packed).varint(20, 6)
	case []string:
		for _, s := range v {
			b = b.text(9, s)
		}
		return b.varint(20, 8)
	case onnxTensor:
		return b.bytes(5, v.proto()).varint(20, 4)
	default:
		panic("no such attribute")
	}
}

// onnxTensor is a TensorProto with raw data; one of values and whole is set.
type onnxTensor struct {
	name   string
	dims   []int
	values []float32
	whole  []int64
	extra  []byte
}

func (t onnxTensor) proto() []byte {
	var b protoBuilder
	for _, d := range t.dims {
		b = b.varint(1, int64(d))
	}
	var raw []byte
	if t.whole != nil {
		b = b.varint(2, 7)
		for _, v := range t.whole {
			raw = protowire.AppendFixed64(raw, uint64(v))
		}
	} else {
		b = b.varint(2, 1)
		for _, v := range t.values {
			raw = protowire.AppendFixed32(raw, math.Float32bits(v))
		}
	}
	return append(b.text(8, t.name).bytes(9, raw), t.extra...)
}

// onnxOp is a NodeProto.
type onnxOp struct {
	op, domain string
	in, out    []string
	attributes map[string]any
}

func (n onnxOp) proto() []byte {
	var b protoBuilder
	for _, s := range n.in {
		b = b.text(1, s)
	}
	for _, s := range n.out {
		b = b.text(2, s)
	}
	b = b.text(4, n.op).text(7, n.domain)
	for name, v := range n.attributes {
		b = b.bytes(5, onnxAttribute(name, v))
	}
	return b
}

// onnxPort is a ValueInfoProto of a matrix of float32; width 0 leaves the columns open.
func onnxPort(name string, width int) []byte {
	columns := protoBuilder{}.text(2, "N")
	if width > 0 {
		columns = protoBuilder{}.varint(1, int64(width))
	}
	shape := protoBuilder{}.bytes(1, protoBuilder{}.text(2, "N")).bytes(1, columns)
	return protoBuilder{}.text(1, name).bytes(2, protoBuilder{}.bytes(1, protoBuilder{}.varint(1, 1).bytes(2, shape)))
}

// onnxFile writes a ModelProto whose graph has the input x, of so many columns, and the output y.
func onnxFile(width int, constants []onnxTensor, ops ...onnxOp) []byte {
	var g protoBuilder
	for _, op := range ops {
		g = g.bytes(1, op.proto())
	}
	for _, t := range constants {
		g = g.bytes(5, t.proto())
	}
	g = g.bytes(11, onnxPort("x", width)).bytes(12, onnxPort("y", 1))
	return protoBuilder{}.varint(1, 9).bytes(7, g).bytes(8, protoBuilder{}.text(1, "ai.onnx.ml").varint(2, 3)).bytes(8, protoBuilder{}.varint(2, 18))
}

// onnxBranch is a node of a tree: a leaf where mode is empty. yes and no are places in the list of nodes.
type onnxBranch struct {
	mode    string
	column  int
	value   float32
	yes, no int
}

// onnxRegressor is a TreeEnsembleRegressor of one tree over "in", with the output "out".
func onnxRegressor(in, out string, nodes []onnxBranch) onnxOp {
	a := map[string]any{}
	var id, zero, column, yes, no, leaf, tree []int
	var modes []string
	var values, weights []float32
	for i, n := range nodes {
		id, zero, column, yes, no = append(id, i), append(zero, 0), append(column, n.column), append(yes, n.yes), append(no, n.no)
		if n.mode == "" {
			modes, values = append(modes, "LEAF"), append(values, 0)
			leaf, tree, weights = append(leaf, i), append(tree, 0), append(weights, n.value)
			continue
		}
		modes, values = append(modes, "BRANCH_"+n.mode), append(values, n.value)
	}
	a["nodes_treeids"], a["nodes_nodeids"], a["nodes_featureids"], a["nodes_modes"], a["nodes_values"] = zero, id, column, modes, values
	a["nodes_truenodeids"], a["nodes_falsenodeids"], a["n_targets"] = yes, no, 1
	a["target_ids"], a["target_treeids"], a["target_nodeids"], a["target_weights"] = tree, tree, leaf, weights
	return onnxOp{op: "TreeEnsembleRegressor", domain: "ai.onnx.ml", in: []string{in}, out: []string{out}, attributes: a}
}

// onnxStump is x0 <= 0.5, else by x1 > -1.
func onnxStump() []onnxBranch {
	return []onnxBranch{{"LEQ", 0, 0.5, 1, 2}, {"", 0, 0.25, 0, 0}, {"GT", 1, -1, 3, 4}, {"", 0, -0.5, 0, 0}, {"", 0, 2, 0, 0}}
}
