package models

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// An ONNX file is a protobuf message (onnx.proto of ONNX 1.23). It is read field by field out of the file's own bytes:
// what nobody asks for is never unpacked, and arrays are counted before memory is taken for them.

// errONNX is the root of all complaints about an ONNX file itself.
var errONNX = errors.New("malformed ONNX file")

// Bounds of a graph, far above what converters write around an ensemble.
const (
	maxGraphNodes  = 10_000
	maxGraphInputs = 100_000 // of all nodes together
)

// protoField is one field of a message: a number for varints and fixed sizes, bytes for the rest.
type protoField struct {
	number int
	kind   protowire.Type
	bits   uint64
	bytes  []byte
}

// protoFields calls visit for each field of a message.
func protoFields(data []byte, visit func(f protoField) error) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return fmt.Errorf("%w: %w", errONNX, protowire.ParseError(n))
		}
		data = data[n:]
		f := protoField{number: int(number), kind: kind}
		switch kind {
		case protowire.VarintType:
			f.bits, n = protowire.ConsumeVarint(data)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(data)
			f.bits = uint64(v)
		case protowire.Fixed64Type:
			f.bits, n = protowire.ConsumeFixed64(data)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(data)
		default: // groups are older than ONNX
			return fmt.Errorf("%w: field %d has the wire type %d", errONNX, number, kind)
		}
		if n < 0 {
			return fmt.Errorf("%w: field %d: %w", errONNX, number, protowire.ParseError(n))
		}
		data = data[n:]
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}

// text reads a string of bounded length.
func (f protoField) text() (string, error) {
	if f.kind != protowire.BytesType || len(f.bytes) > maxTextBytes {
		return "", fmt.Errorf("%w: field %d is no string of at most %d bytes", errONNX, f.number, maxTextBytes)
	}
	return string(f.bytes), nil
}

// each calls visit for each number of a repeated field of varints (width 0) or of fixed sizes (width 4 or 8), which may
// be packed or not.
func (f protoField) each(width int, visit func(bits uint64) error) error {
	if f.kind != protowire.BytesType {
		return visit(f.bits)
	}
	data := f.bytes
	for len(data) > 0 {
		var bits uint64
		n := width
		switch {
		case width == 0:
			if bits, n = protowire.ConsumeVarint(data); n < 0 {
				return fmt.Errorf("%w: field %d: %w", errONNX, f.number, protowire.ParseError(n))
			}
		case len(data) < width:
			return fmt.Errorf("%w: field %d ends within a number", errONNX, f.number)
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

// graphNode is a NodeProto.
type graphNode struct {
	op, domain      string
	inputs, outputs []string
	attributes      []attribute
}

// name says which operator a node is, in messages.
func (n *graphNode) name() string {
	if n.domain == "" || n.domain == "ai.onnx" {
		return n.op
	}
	return n.domain + "." + n.op
}

// attribute is an AttributeProto, unpacked only when it is asked for.
type attribute struct {
	name string
	raw  []byte
}

func readNode(data []byte, budget *int) (*graphNode, error) {
	n := new(graphNode)
	list := func(to *[]string, f protoField) error {
		if *budget--; *budget < 0 {
			return fmt.Errorf("more than %d inputs and outputs of nodes: %w", maxGraphInputs, ErrLimit)
		}
		s, err := f.text()
		*to = append(*to, s)
		return err
	}
	err := protoFields(data, func(f protoField) (err error) {
		switch f.number {
		case 1:
			return list(&n.inputs, f)
		case 2:
			return list(&n.outputs, f)
		case 4:
			n.op, err = f.text()
		case 5:
			return n.addAttribute(f, budget)
		case 7:
			n.domain, err = f.text()
		}
		return err
	})
	return n, err
}

func (n *graphNode) addAttribute(f protoField, budget *int) error {
	if *budget--; *budget < 0 {
		return fmt.Errorf("more than %d attributes, inputs and outputs of nodes: %w", maxGraphInputs, ErrLimit)
	}
	a := attribute{raw: f.bytes}
	err := protoFields(f.bytes, func(f protoField) (err error) {
		if f.number == 1 {
			a.name, err = f.text()
		}
		return err
	})
	if err != nil {
		return err
	}
	for i := range n.attributes {
		if n.attributes[i].name == a.name {
			return fmt.Errorf("%w: attribute %.64q stands there twice", errONNX, a.name)
		}
	}
	n.attributes = append(n.attributes, a)
	return nil
}

// integer reads field i.
func (a *attribute) integer() (v int64, err error) {
	found := false
	err = protoFields(a.raw, func(f protoField) error {
		if f.number == 3 && f.kind == protowire.VarintType {
			v, found = int64(f.bits), true
		}
		return nil
	})
	return v, a.need(err, found, "an integer")
}

// float reads field f, a float32.
func (a *attribute) float() (v float64, err error) {
	found := false
	err = protoFields(a.raw, func(f protoField) error {
		if f.number == 2 && f.kind == protowire.Fixed32Type {
			v, found = float64(math.Float32frombits(uint32(f.bits))), true
		}
		return nil
	})
	return v, a.need(err, found, "a number")
}

// text reads field s.
func (a *attribute) text() (v string, err error) {
	found := false
	err = protoFields(a.raw, func(f protoField) (err error) {
		if f.number == 4 {
			v, err = f.text()
			found = true
		}
		return err
	})
	return v, a.need(err, found, "a string")
}

func (a *attribute) need(err error, found bool, what string) error {
	if err == nil && !found {
		err = fmt.Errorf("%w: it is not %s", errONNX, what)
	}
	if err != nil {
		return fmt.Errorf("attribute %s: %w", a.name, err)
	}
	return nil
}

// integers reads field ints, each in [0, high], at most so many.
func (a *attribute) integers(most int, high int64) (out []int32, err error) {
	err = a.repeated(8, func(f protoField) error {
		return f.each(0, func(bits uint64) error {
			v := int64(bits)
			switch {
			case len(out) == most:
				return fmt.Errorf("more than %d values: %w", most, ErrLimit)
			case v < 0 || v > high:
				return fmt.Errorf("%w: value %d is %d, want an integer from 0 to %d", errONNX, len(out), v, high)
			}
			out = append(out, int32(v))
			return nil
		})
	})
	return out, err
}

// floats reads field floats, at most so many.
func (a *attribute) floats(most int) (out []float64, err error) {
	err = a.repeated(7, func(f protoField) error {
		return f.each(4, func(bits uint64) error {
			if len(out) == most {
				return fmt.Errorf("more than %d values: %w", most, ErrLimit)
			}
			out = append(out, float64(math.Float32frombits(uint32(bits))))
			return nil
		})
	})
	return out, err
}

// strings calls visit for each of field strings.
func (a *attribute) strings(visit func(s []byte) error) error {
	return a.repeated(9, func(f protoField) error { return visit(f.bytes) })
}

func (a *attribute) repeated(number int, visit func(f protoField) error) error {
	err := protoFields(a.raw, func(f protoField) error {
		if f.number == number {
			return visit(f)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("attribute %s: %w", a.name, err)
	}
	return nil
}

// tensor reads field t.
func (a *attribute) tensor(most int) (t *tensor, err error) {
	err = a.repeated(5, func(f protoField) (err error) {
		t, err = readTensor(f.bytes, most)
		return err
	})
	if err == nil && t == nil {
		return nil, fmt.Errorf("attribute %s: %w: it is not a tensor", a.name, errONNX)
	}
	return t, err
}
