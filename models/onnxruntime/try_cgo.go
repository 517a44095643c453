//go:build cgo

package onnxruntime

import (
	"fmt"
	"math"

	ort "github.com/yalue/onnxruntime_go"

	"pitboss/floats"
	"pitboss/models"
)

// tries is how many rows a graph is tried with before it is believed.
const tries = 8

// tryRow fills the i-th of them: zeros, ones, and values of both signs and several sizes; the last has missing ones.
func tryRow(row []float64, i int) {
	scale := []float64{0, 1, -1, 0.1, 3, 50, 1000, 1}[i]
	for j := range row {
		row[j] = scale
		if i >= 3 {
			row[j] = float64(scale * float64((j*7+i*3)%11-5))
		}
		if i == tries-1 && j%2 == 0 {
			row[j] = math.NaN()
		}
	}
}

// try runs a few rows through a session whose outputs ONNX Runtime makes itself, to learn of what shape and type they are, and
// whether the margins behind the output give it.
func (s *session) try(data []byte, p *plan) (shape ort.Shape, err error) {
	names := []string{p.fetch}
	if p.output != p.fetch {
		names = append(names, p.output)
	}
	run, err := open(data, p, names...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = run.Destroy() }() // it never fails
	if !p.gives(run, len(names)) {
		p.plain()
	}
	row, out := make([]float64, len(p.columns)), make([]ort.Value, len(names))
	tryRow(row, 1)
	err = runOnce(run, p, row, out)
	if err != nil {
		return nil, fmt.Errorf("it does not score a row of ones: %w", err)
	}
	defer destroyAll(out)
	answer := out[0]
	if p.fetch != names[0] {
		answer = out[1]
	}
	values, double, err := valuesOf(answer)
	if err != nil {
		return nil, err
	}
	shape = answer.GetShape()
	s.width, s.double = len(values), double
	if len(shape) == 0 || shape[len(shape)-1] != int64(s.width) {
		return nil, fmt.Errorf("its output has the shape %v for one row; [1, values] is wanted: %w", shape, models.ErrUnsupported)
	}
	switch limits := models.DefaultLimits(); {
	case s.width > limits.MaxOutputs:
		return nil, fmt.Errorf("its output has %d values, MaxOutputs is %d: %w", s.width, limits.MaxOutputs, models.ErrLimit)
	case p.link == linkProbability && s.width == 1:
		p.link = linkIdentity // a score beside a label, as of an isolation forest
	}
	return shape, nil
}

// gives says whether the link makes the output of what is fetched, on all rows that the graph scores, and on one at least.
func (p *plan) gives(run *ort.DynamicAdvancedSession, n int) bool {
	if n == 1 {
		return true
	}
	scored := 0
	row, out := make([]float64, len(p.columns)), make([]ort.Value, n)
	for i := range tries {
		tryRow(row, i)
		if err := runOnce(run, p, row, out); err != nil {
			continue // most do not take missing values
		}
		margins, _, err := valuesOf(out[0])
		output, _, err2 := valuesOf(out[1])
		same := err == nil && err2 == nil && p.linked(margins, output)
		destroyAll(out)
		if !same {
			return false
		}
		scored++
	}
	return scored > 0
}

// linked compares one row's output with the link of its margins.
func (p *plan) linked(margins, output []float64) bool {
	want := make([]float64, len(margins))
	switch {
	case p.link == linkSoftmax:
		softmax(margins, want)
	case len(output) == 2 && len(margins) == 1: // twoOfOne
		score := 1 / (1 + floats.Exp(-margins[0]))
		want = []float64{1 - score, score}
	default:
		for i, x := range margins {
			want[i] = 1 / (1 + floats.Exp(-x))
		}
	}
	if len(want) != len(output) {
		return false
	}
	for i := range want {
		if missing := math.IsNaN(want[i]) && math.IsNaN(output[i]); !missing && !(math.Abs(want[i]-output[i]) <= 1e-5) {
			return false
		}
	}
	return true
}

// runOnce runs a row through tensors made for it; out is filled by ONNX Runtime, and its values are the caller's to destroy.
func runOnce(run *ort.DynamicAdvancedSession, p *plan, row []float64, out []ort.Value) error {
	var sl slot
	defer sl.destroy()
	in := make([]ort.Value, len(p.inputs))
	for i := range p.inputs {
		v, a, err := sl.tensor(ort.NewShape(1, int64(len(row)/len(p.inputs))), p.inputs[i].Type == "double")
		if err != nil {
			return err
		}
		in[i], sl.in = v, append(sl.in, a)
	}
	if _, err := fill(sl.in, row); err != nil {
		return err
	}
	clear(out)
	if err := run.Run(in, out); err != nil {
		destroyAll(out)
		return fmt.Errorf("the graph fails: %w", err)
	}
	return nil
}

func destroyAll(values []ort.Value) {
	for _, v := range values {
		if v != nil {
			_ = v.Destroy() // it never fails
		}
	}
}

// valuesOf reads a tensor of float or double.
func valuesOf(v ort.Value) (values []float64, double bool, err error) {
	switch t := v.(type) {
	case *ort.Tensor[float32]:
		for _, x := range t.GetData() {
			values = append(values, float64(x))
		}
	case *ort.Tensor[float64]:
		values, double = append(values, t.GetData()...), true
	default:
		return nil, false, fmt.Errorf("its output is no tensor of float or double: %w", models.ErrUnsupported)
	}
	if len(values) == 0 {
		return nil, false, fmt.Errorf("its output is empty: %w", models.ErrUnsupported)
	}
	return values, double, nil
}
