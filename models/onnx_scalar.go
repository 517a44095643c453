package models

import (
	"math"

	"pitboss/floats"
)

// scalarKind is one thing that a graph does to a single number.
type scalarKind uint8

const (
	scalarCast     scalarKind = iota // rounds to float32
	scalarImpute                     // c for NaN
	scalarAdd                        // x + c
	scalarFrom                       // c - x
	scalarMul                        // x * c
	scalarDiv                        // x / c
	scalarAtLeast                    // max(x, c); NaN stays, as in ONNX Runtime's Clip
	scalarAtMost                     // min(x, c)
	scalarLogistic                   // 1/(1+e^-x)
	scalarExp                        // e^x
	scalarProbit                     // ONNX Runtime's approximation of the normal quantile
)

// scalar is a scalarKind with its constant. A single one rounds its result to float32; for the four operations that is what
// float32 arithmetic gives, since float64 has more than twice the digits.
type scalar struct {
	kind   scalarKind
	single bool
	c      float64
}

func (s scalar) apply(x float64) float64 {
	switch s.kind {
	case scalarCast:
		return float64(float32(x))
	case scalarImpute:
		if x != x {
			x = s.c
		}
	case scalarAdd:
		x += s.c
	case scalarFrom:
		x = s.c - x
	case scalarMul:
		x = float64(x * s.c)
	case scalarDiv:
		x /= s.c
	case scalarAtLeast:
		if x < s.c {
			x = s.c
		}
	case scalarAtMost:
		if x > s.c {
			x = s.c
		}
	case scalarLogistic:
		x = logistic(x)
	case scalarExp:
		x = floats.Exp(x)
	case scalarProbit:
		x = probit(x)
	}
	if s.single {
		x = float64(float32(x))
	}
	return x
}

// probit is ComputeProbit of ONNX Runtime (ml_common.h), whose inverse error function is Winitzki's approximation with
// a = 0.147. It is NaN outside of [0,1] and infinite at its ends.
func probit(p float64) float64 {
	x := float64(2*p) - 1
	l := floats.Log(float64((1 - x) * (1 + x)))
	v := 2/float64(3.14159*0.147) + float64(0.5*l)
	root := math.Sqrt(math.Sqrt(float64(v*v)-l/0.147) - v)
	return float64(1.41421356 * math.Copysign(root, x))
}

// through sends a number through steps.
func through(steps []scalar, x float64) float64 {
	for _, s := range steps {
		x = s.apply(x)
	}
	return x
}

// linear says that the step is a x + b.
func (s scalar) linear() bool {
	switch s.kind {
	case scalarCast, scalarAdd, scalarFrom, scalarMul, scalarDiv:
		return true
	default:
		return false
	}
}

// falls says that the step turns the order of numbers around. All others keep it (or make numbers the same).
func (s scalar) falls() bool {
	return s.kind == scalarFrom || s.kind == scalarMul && s.c < 0 || s.kind == scalarDiv && math.Signbit(s.c)
}

func fall(steps []scalar) bool {
	f := false
	for _, s := range steps {
		f = f != s.falls()
	}
	return f
}

// line returns a and b of what linear steps make of x: a x + b, but for rounding.
func line(steps []scalar) (a, b float64) {
	a = 1
	for _, s := range steps {
		switch s.kind {
		case scalarAdd:
			b += s.c
		case scalarFrom:
			a, b = -a, s.c-b
		case scalarMul:
			a, b = float64(a*s.c), float64(b*s.c)
		case scalarDiv:
			a, b = a/s.c, b/s.c
		default: // a cast, which is rounding
		}
	}
	return a, b
}

// interval sends a range through steps.
func interval(steps []scalar, low, high float64) (float64, float64) {
	low, high = through(steps, low), through(steps, high)
	return min(low, high), max(low, high)
}

// lastThat returns the largest finite float32 (single) or float64 for which holds is true. It must be true up to some number and
// false from there on; the answer is -Inf if it is true for none, and +Inf if for all.
func lastThat(single bool, holds func(x float64) bool) float64 {
	most := int64(math.Float64bits(math.MaxFloat64))
	value := func(k int64) float64 { return math.Float64frombits(uint64(k)) }
	if single {
		most = int64(math.Float32bits(math.MaxFloat32))
		value = func(k int64) float64 { return float64(math.Float32frombits(uint32(k))) }
	}
	at := func(k int64) float64 { // numbers in their order are k from -most to most
		if k < 0 {
			return -value(-k)
		}
		return value(k)
	}
	if !holds(at(-most)) {
		return math.Inf(-1)
	}
	if holds(at(most)) {
		return math.Inf(1)
	}
	low, high := -most, most   // it holds at low and not at high
	for uint64(high-low) > 1 { // the difference may not fit into an int64
		if middle := low + int64(uint64(high-low)/2); holds(at(middle)) {
			low = middle
		} else {
			high = middle
		}
	}
	return at(low)
}
