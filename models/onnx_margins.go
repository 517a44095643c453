package models

import "fmt"

// ownMargins is how ONNX Runtime makes margins of leaves: each output's trees in the file's order from zero on, then the base
// value, then what the graph does, in the runtime's own arithmetic. (That is its order on one thread; on several it may sum
// more than 80 trees in parts.) The walk's values are the leaves as contributions need them, with all of that in.
type ownMargins struct {
	double           bool // sums in float64
	round            bool // a sum in float64 leaves the operator as float32
	extreme, largest bool // the smallest or largest leaf, no sum
	average          float64
	base             []float64 // by output
	steps            [][]scalar
	raw              []float64 // by leaf: what it adds; nil where the walk's values are just that
}

// margins writes the margins of the leaves that a row comes to.
func (o *ownMargins) margins(values []float64, leaves []uint32, margins []float64) error {
	if o.raw != nil {
		values = o.raw
	}
	for k := range margins {
		x := o.leaves(values, leaves, k, len(margins))
		if !o.double || o.round {
			x = float64(float32(x))
		}
		x = through(o.steps[k], x)
		if x-x != 0 {
			return fmt.Errorf("%w: the margin of output %d is %v", ErrRow, k, x)
		}
		margins[k] = x
	}
	return nil
}

// leaves puts the leaves of one output together, as the TreeAggregators of ONNX Runtime do.
func (o *ownMargins) leaves(values []float64, leaves []uint32, k, outputs int) float64 {
	switch {
	case o.extreme:
		best := values[leaves[k]]
		for i := k + outputs; i < len(leaves); i += outputs {
			if v := values[leaves[i]]; v > best == o.largest {
				best = v
			}
		}
		if !o.double {
			return float64(float32(best) + float32(o.base[k]))
		}
		return best + o.base[k]
	case o.double:
		sum := 0.0
		for i := k; i < len(leaves); i += outputs {
			sum += values[leaves[i]]
		}
		if o.average != 0 {
			sum /= o.average
		}
		return sum + o.base[k]
	default:
		sum := float32(0)
		for i := k; i < len(leaves); i += outputs {
			sum += float32(values[leaves[i]])
		}
		if o.average != 0 {
			sum /= float32(o.average)
		}
		return float64(sum + float32(o.base[k]))
	}
}
