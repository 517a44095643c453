package onnx

import (
	"fmt"
	"math"
)

// maxRank bounds the dimensions of a tensor.
const maxRank = 8

// Opset is an OperatorSetIdProto: the version of a domain's operators. ONNX's own domain is empty or ai.onnx.
type Opset struct {
	Domain  string
	Version int64
}

// ReadOpset reads one.
func ReadOpset(message []byte) (o Opset, err error) {
	err = Fields(message, func(f Field) (err error) {
		switch f.Number {
		case 1:
			o.Domain, err = f.Text()
		case 2:
			o.Version = int64(f.Bits)
		}
		return err
	})
	return o, err
}

// Value is an input or output of a graph (ValueInfoProto).
type Value struct {
	Name string
	// Kind is the field of TypeProto that is set: 0 where no type is said, KindTensor and so on.
	Kind int
	// Element is a tensor's TensorProto.DataType.
	Element int32
	// Shaped says that a tensor has a shape, Dims are its dimensions, -1 where one is left open.
	Shaped bool
	Dims   []int64
}

// What a Value can be.
const (
	KindTensor   = 1
	KindSequence = 4
	KindMap      = 5
)

// ReadValue reads one.
func ReadValue(message []byte) (v Value, err error) {
	err = Fields(message, func(f Field) (err error) {
		switch f.Number {
		case 1:
			v.Name, err = f.Text()
		case 2:
			return Fields(f.Bytes, v.readType)
		}
		return err
	})
	return v, err
}

func (v *Value) readType(f Field) error {
	v.Kind = f.Number
	if v.Kind != KindTensor {
		return nil
	}
	return Fields(f.Bytes, func(f Field) error {
		switch f.Number {
		case 1:
			v.Element = int32(f.Bits)
		case 2:
			v.Shaped = true
			return Fields(f.Bytes, v.readDim)
		}
		return nil
	})
}

// readDim reads a dimension of a shape: a number, or a name, or nothing, both of which leave it open.
func (v *Value) readDim(f Field) error {
	if f.Number != 1 {
		return nil
	}
	if len(v.Dims) == maxRank {
		return fmt.Errorf("%w: %.64q has more than %d dimensions", ErrMalformed, v.Name, maxRank)
	}
	d := int64(-1)
	err := Fields(f.Bytes, func(f Field) error {
		if f.Number == 1 && f.Bits <= math.MaxInt64 {
			d = int64(f.Bits)
		}
		return nil
	})
	v.Dims = append(v.Dims, d)
	return err
}
