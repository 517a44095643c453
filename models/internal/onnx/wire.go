// Package onnx reads the bytes of ONNX files: a protobuf message (onnx.proto of ONNX 1.23), field by field and in place. What nobody
// asks for is never unpacked, and whoever takes memory for an array counts it first.
//
// It knows what is said of a graph, not what its operators mean: package models reads trees by it, and package
// onnxruntime what must not reach C++. Start reading at [Fields].
package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrMalformed is the root of all complaints about the file itself: it is cut off, or no ONNX.
var ErrMalformed = errors.New("malformed ONNX file")

// Field is one field of a message: a number for varints and fixed sizes, bytes for the rest.
type Field struct {
	Number int
	Kind   protowire.Type
	Bits   uint64
	Bytes  []byte
}

// Fields calls visit for each field of a message.
func Fields(message []byte, visit func(f Field) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(n))
		}
		message = message[n:]
		f := Field{Number: int(number), Kind: kind}
		switch kind {
		case protowire.VarintType:
			f.Bits, n = protowire.ConsumeVarint(message)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(message)
			f.Bits = uint64(v)
		case protowire.Fixed64Type:
			f.Bits, n = protowire.ConsumeFixed64(message)
		case protowire.BytesType:
			f.Bytes, n = protowire.ConsumeBytes(message)
		default: // groups are older than ONNX
			return fmt.Errorf("%w: field %d has the wire type %d", ErrMalformed, number, kind)
		}
		if n < 0 {
			return fmt.Errorf("%w: field %d: %w", ErrMalformed, number, protowire.ParseError(n))
		}
		message = message[n:]
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}

// maxText bounds names and other words.
const maxText = 16 << 10

// Text reads a string of bounded length.
func (f Field) Text() (string, error) {
	if f.Kind != protowire.BytesType || len(f.Bytes) > maxText {
		return "", fmt.Errorf("%w: field %d is no string of at most %d bytes", ErrMalformed, f.Number, maxText)
	}
	return string(f.Bytes), nil
}

// Each calls visit for each number of a repeated field of varints (width 0) or of fixed sizes (width 4 or 8), which may
// be packed or not.
func (f Field) Each(width int, visit func(bits uint64) error) error {
	if f.Kind != protowire.BytesType {
		return visit(f.Bits)
	}
	data := f.Bytes
	for len(data) > 0 {
		var bits uint64
		n := width
		switch {
		case width == 0:
			if bits, n = protowire.ConsumeVarint(data); n < 0 {
				return fmt.Errorf("%w: field %d: %w", ErrMalformed, f.Number, protowire.ParseError(n))
			}
		case len(data) < width:
			return fmt.Errorf("%w: field %d ends within a number", ErrMalformed, f.Number)
		case width == 4:
			bits = uint64(binary.LittleEndian.Uint32(data))
		default:
			bits = binary.LittleEndian.Uint64(data)
		}
		data = data[n:]
		if err := visit(bits); err != nil {
			return err
		}
	}
	return nil
}
