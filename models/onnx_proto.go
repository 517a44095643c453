package models

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"pitboss/models/internal/onnx"
)

// errONNX is the root of all complaints about an ONNX file itself.
var errONNX = onnx.ErrMalformed

// Bounds of a graph, far above what converters write around an ensemble.
const (
	maxGraphNodes  = 10_000
	maxGraphInputs = 100_000 // of all nodes together
)

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
	list := func(to *[]string, f onnx.Field) error {
		if *budget--; *budget < 0 {
			return fmt.Errorf("more than %d inputs and outputs of nodes: %w", maxGraphInputs, ErrLimit)
		}
		s, err := f.Text()
		*to = append(*to, s)
		return err
	}
	err := onnx.Fields(data, func(f onnx.Field) (err error) {
		switch f.Number {
		case 1:
			return list(&n.inputs, f)
		case 2:
			return list(&n.outputs, f)
		case 4:
			n.op, err = f.Text()
		case 5:
			return n.addAttribute(f, budget)
		case 7:
			n.domain, err = f.Text()
		}
		return err
	})
	return n, err
}

func (n *graphNode) addAttribute(f onnx.Field, budget *int) error {
	if *budget--; *budget < 0 {
		return fmt.Errorf("more than %d attributes, inputs and outputs of nodes: %w", maxGraphInputs, ErrLimit)
	}
	a := attribute{raw: f.Bytes}
	err := onnx.Fields(f.Bytes, func(f onnx.Field) (err error) {
		if f.Number == 1 {
			a.name, err = f.Text()
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
	err = onnx.Fields(a.raw, func(f onnx.Field) error {
		if f.Number == 3 && f.Kind == protowire.VarintType {
			v, found = int64(f.Bits), true
		}
		return nil
	})
	return v, a.need(err, found, "an integer")
}

// float reads field f, a float32.
func (a *attribute) float() (v float64, err error) {
	found := false
	err = onnx.Fields(a.raw, func(f onnx.Field) error {
		if f.Number == 2 && f.Kind == protowire.Fixed32Type {
			v, found = float64(math.Float32frombits(uint32(f.Bits))), true
		}
		return nil
	})
	return v, a.need(err, found, "a number")
}

// text reads field s.
func (a *attribute) text() (v string, err error) {
	found := false
	err = onnx.Fields(a.raw, func(f onnx.Field) (err error) {
		if f.Number == 4 {
			v, err = f.Text()
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
	err = a.repeated(8, func(f onnx.Field) error {
		return f.Each(0, func(bits uint64) error {
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
	err = a.repeated(7, func(f onnx.Field) error {
		return f.Each(4, func(bits uint64) error {
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
	return a.repeated(9, func(f onnx.Field) error { return visit(f.Bytes) })
}

func (a *attribute) repeated(number int, visit func(f onnx.Field) error) error {
	err := onnx.Fields(a.raw, func(f onnx.Field) error {
		if f.Number == number {
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
	err = a.repeated(5, func(f onnx.Field) (err error) {
		t, err = readTensor(f.Bytes, most)
		return err
	})
	if err == nil && t == nil {
		return nil, fmt.Errorf("attribute %s: %w: it is not a tensor", a.name, errONNX)
	}
	return t, err
}
