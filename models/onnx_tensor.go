package models

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"pitboss/models/internal/onnx"
)

// elementType is a TensorProto.DataType, as far as it is read.
type elementType int32

const (
	elementFloat   elementType = 1
	elementUint8   elementType = 2
	elementInt32   elementType = 6
	elementInt64   elementType = 7
	elementString  elementType = 8
	elementFloat64 elementType = 11
)

// size is the width of an element in raw_data; 0 for a type that is not read.
func (t elementType) size() int {
	switch t {
	case elementFloat, elementInt32:
		return 4
	case elementUint8:
		return 1
	case elementInt64, elementFloat64:
		return 8
	default:
		return 0
	}
}

func (t elementType) String() string {
	switch t {
	case elementFloat:
		return "float"
	case elementFloat64:
		return "double"
	case elementInt32:
		return "int32"
	case elementInt64:
		return "int64"
	case elementUint8:
		return "uint8"
	case elementString:
		return "string"
	default:
		return fmt.Sprintf("type %d of TensorProto", int32(t))
	}
}

// tensor is a constant. Its numbers are kept as float64, which holds those of all types but large int64 exactly; these
// are indices and shapes, and refused beyond 2^53.
type tensor struct {
	element elementType
	dims    []int
	values  []float64
}

// tensorName reads the name of a TensorProto alone.
func tensorName(data []byte) (name string, err error) {
	err = onnx.Fields(data, func(f onnx.Field) (err error) {
		if f.Number == 8 {
			name, err = f.Text()
		}
		return err
	})
	return name, err
}

// tensorReader reads one TensorProto.
type tensorReader struct {
	tensor

	name string
	most int
	raw  []byte
}

// readTensor reads a TensorProto of at most so many elements. Data outside of the file is refused: a model
// is the bytes that were hashed.
func readTensor(data []byte, most int) (*tensor, error) {
	r := tensorReader{most: most}
	if err := onnx.Fields(data, r.field); err != nil {
		return nil, fmt.Errorf("tensor %.64q: %w", r.name, err)
	}
	if err := r.finish(); err != nil {
		return nil, fmt.Errorf("tensor %.64q: %w", r.name, err)
	}
	return &r.tensor, nil
}

func (r *tensorReader) field(f onnx.Field) (err error) {
	switch f.Number {
	case 1:
		return f.Each(0, func(bits uint64) error {
			if d := int64(bits); d < 0 || d > math.MaxInt32 || len(r.dims) == maxNesting {
				return fmt.Errorf("%w: dimension %d is %d", errONNX, len(r.dims), d)
			}
			r.dims = append(r.dims, int(bits))
			return nil
		})
	case 2:
		r.element = elementType(f.Bits)
	case 3:
		return fmt.Errorf("a segment of a tensor: %w", ErrUnsupported)
	case 4:
		return f.Each(4, func(bits uint64) error { return r.add(float64(math.Float32frombits(uint32(bits)))) })
	case 5:
		return f.Each(0, func(bits uint64) error { return r.add(float64(int32(bits))) })
	case 7:
		return f.Each(0, func(bits uint64) error { return r.add(float64(int64(bits))) })
	case 8:
		r.name, err = f.Text()
	case 9:
		r.raw = f.Bytes
	case 10:
		return f.Each(8, func(bits uint64) error { return r.add(math.Float64frombits(bits)) })
	case 13, 14:
		if f.Kind == protowire.BytesType || f.Bits != 0 {
			return fmt.Errorf("its data lies outside of the file: %w", ErrUnsupported)
		}
	}
	return err
}

func (r *tensorReader) add(x float64) error {
	if len(r.values) == r.most {
		return fmt.Errorf("more than %d values: %w", r.most, ErrLimit)
	}
	r.values = append(r.values, x)
	return nil
}

// finish unpacks raw data and holds the values against type and dimensions.
func (r *tensorReader) finish() error {
	size := r.element.size()
	if size == 0 {
		return fmt.Errorf("its elements are %s: %w", r.element, ErrUnsupported)
	}
	if len(r.raw) > 0 {
		if len(r.values) > 0 || len(r.raw)%size != 0 {
			return fmt.Errorf("%w: %d bytes of data, and %d values", errONNX, len(r.raw), len(r.values))
		}
		if len(r.raw)/size > r.most {
			return fmt.Errorf("more than %d values: %w", r.most, ErrLimit)
		}
		r.unpack(size)
	}
	want := 1
	for _, d := range r.dims {
		if want *= d; want > r.most {
			return fmt.Errorf("more than %d values: %w", r.most, ErrLimit)
		}
	}
	if want != len(r.values) {
		return fmt.Errorf("%w: %d values in the shape %v", errONNX, len(r.values), r.dims)
	}
	for i, x := range r.values {
		if r.element != elementFloat && r.element != elementFloat64 && math.Abs(x) >= 1<<53 {
			return fmt.Errorf("%w: value %d is %v", errONNX, i, x)
		}
	}
	return nil
}

func (r *tensorReader) unpack(size int) {
	r.values = make([]float64, len(r.raw)/size)
	for i := range r.values {
		b := r.raw[i*size:]
		switch r.element {
		case elementFloat:
			r.values[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
		case elementFloat64:
			r.values[i] = math.Float64frombits(binary.LittleEndian.Uint64(b))
		case elementInt32:
			r.values[i] = float64(int32(binary.LittleEndian.Uint32(b)))
		case elementInt64:
			r.values[i] = float64(int64(binary.LittleEndian.Uint64(b)))
		default:
			r.values[i] = float64(b[0])
		}
	}
}
