package onnxruntime_test

import "google.golang.org/protobuf/encoding/protowire"

// message is an ONNX message in the making: small graphs that no exporter would write.
type message []byte

func (m message) bytes(num protowire.Number, b []byte) message {
	return protowire.AppendBytes(protowire.AppendTag(m, num, protowire.BytesType), b)
}

func (m message) text(num protowire.Number, s string) message { return m.bytes(num, []byte(s)) }

func (m message) number(num protowire.Number, v uint64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, num, protowire.VarintType), v)
}

// valueInfo is a tensor of a type with dimensions.
func valueInfo(name string, elem uint64, dims ...uint64) message {
	var shape message
	for _, d := range dims {
		shape = shape.bytes(1, message{}.number(1, d))
	}
	return message{}.text(1, name).bytes(2, message{}.bytes(1, message{}.number(1, elem).bytes(2, shape)))
}

// operator is a node with one output.
func operator(op, output string, inputs ...string) message {
	var n message
	for _, in := range inputs {
		n = n.text(1, in)
	}
	return n.text(2, output).text(4, op)
}

// onnx is a model of opset 17 with this graph.
func onnx(graph message) []byte {
	return message{}.number(1, 8).bytes(7, graph).bytes(8, message{}.number(2, 17))
}

const elemFloat, elemInt64, elemString, elemDouble = 1, 7, 8, 11

// takes2 is a graph that takes two floats and gives one, but for its nodes.
func takes2(nodes ...message) message {
	g := message{}.text(2, "g").bytes(11, valueInfo("x", elemFloat, 1, 2)).bytes(12, valueInfo("y", elemFloat, 1, 1))
	for _, n := range nodes {
		g = g.bytes(1, n)
	}
	return g
}
