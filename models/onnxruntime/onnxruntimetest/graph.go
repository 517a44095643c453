package onnxruntimetest

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Message is an ONNX message in the making: small graphs that no exporter would write.
type Message []byte

// Bytes adds a field that has a length.
func (m Message) Bytes(num protowire.Number, b []byte) Message {
	return protowire.AppendBytes(protowire.AppendTag(m, num, protowire.BytesType), b)
}

// Text adds a string.
func (m Message) Text(num protowire.Number, s string) Message { return m.Bytes(num, []byte(s)) }

// Number adds an integer.
func (m Message) Number(num protowire.Number, v uint64) Message {
	return protowire.AppendVarint(protowire.AppendTag(m, num, protowire.VarintType), v)
}

// ValueInfo is a tensor of a type with dimensions.
func ValueInfo(name string, elem uint64, dims ...uint64) Message {
	var shape Message
	for _, d := range dims {
		shape = shape.Bytes(1, Message{}.Number(1, d))
	}
	return Message{}.Text(1, name).Bytes(2, Message{}.Bytes(1, Message{}.Number(1, elem).Bytes(2, shape)))
}

// Operator is a node with one output.
func Operator(op, output string, inputs ...string) Message {
	var n Message
	for _, in := range inputs {
		n = n.Text(1, in)
	}
	return n.Text(2, output).Text(4, op)
}

// File is a model of opset 17 with this graph.
func File(graph Message) []byte {
	return Message{}.Number(1, 8).Bytes(7, graph).Bytes(8, Message{}.Number(2, 17))
}

// Types of elements, as TensorProto.DataType has them.
const Float, Int64, String, Double = 1, 7, 8, 11

// Takes2 is a graph that takes two floats and gives one, but for its nodes.
func Takes2(nodes ...Message) Message {
	g := Message{}.Text(2, "g").Bytes(11, ValueInfo("x", Float, 1, 2)).Bytes(12, ValueInfo("y", Float, 1, 1))
	for _, n := range nodes {
		g = g.Bytes(1, n)
	}
	return g
}

// Constant is a tensor of a graph.
func Constant(name string, elem uint64, raw []byte, dims ...uint64) Message {
	var m Message
	for _, d := range dims {
		m = m.Number(1, d)
	}
	return m.Number(2, elem).Text(8, name).Bytes(9, raw)
}

// Int64s are the bytes of a constant of Int64.
func Int64s(values ...uint64) (raw []byte) {
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, v)
	}
	return raw
}

// Faulty is a graph of 400 bytes that nothing here can see to be wrong, and that makes ONNX Runtime 1.27.0 fault when it is run: its
// layer claims a million hidden units and has weights for one.
func Faulty() []byte {
	layer := Message{}.Text(1, "r").Text(1, "W").Text(1, "R").Text(2, "").Text(2, "h").Text(4, "LSTM").
		Bytes(5, Message{}.Text(1, "hidden_size").Number(3, 1_000_000).Number(20, 2))
	g := Message{}.Text(2, "g").Bytes(11, ValueInfo("x", Float, 1, 2)).
		Bytes(12, Message{}.Text(1, "y").Bytes(2, Message{}.Bytes(1, Message{}.Number(1, Float)))).
		Bytes(5, Constant("s3", Int64, Int64s(1, 1, 2), 3)).Bytes(5, Constant("s2", Int64, Int64s(1, math.MaxUint64), 2)).
		Bytes(5, Constant("W", Float, make([]byte, 32), 1, 4, 2)).Bytes(5, Constant("R", Float, make([]byte, 16), 1, 4, 1))
	for _, n := range []Message{Operator("Reshape", "r", "x", "s3"), layer, Operator("Reshape", "y", "h", "s2")} {
		g = g.Bytes(1, n)
	}
	return File(g)
}
