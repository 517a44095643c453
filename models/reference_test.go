package models_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pitboss/models"
)

// TestReferenceSample: contributions by a sample of rows start from the mean over them, whatever the format, and add up for
// rows that are in no way like them.
func TestReferenceSample(t *testing.T) {
	f := func(name string, data []byte, rows []goldenRow, from, to int) {
		t.Helper()
		var sample [][]float64
		for _, r := range rows[from:to] {
			sample = append(sample, r.x)
		}
		m, err := models.LoadWith(data, models.Options{Reference: sample})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		info := m.Info()
		margins, phi, mean := make([]float64, info.Outputs), make([]float64, info.Outputs*len(info.Features)), make([]float64, info.Outputs)
		var s models.Scratch
		for i, r := range rows {
			if err := m.Explain(r.x, &s, margins, phi); err != nil {
				t.Fatalf("%s: row %d: %v", name, i, err)
			}
			for k := range mean {
				if i >= from && i < to {
					mean[k] += margins[k] / float64(to-from)
				}
			}
		}
		for k, b := range info.Base {
			if !(math.Abs(b-mean[k]) <= 1e-12*max(1, math.Abs(b))) {
				t.Errorf("%s: base %d is %v, the mean of the sample %v", name, k, b, mean[k])
			}
		}
		if info.Reference != to-from {
			t.Errorf("%s: by %d rows", name, info.Reference)
		}
	}
	for _, name := range []string{"binary_nan", "multiclass", "categorical", "zero_as_missing", "rf", "one_leaf"} {
		g := readGolden(t, name)
		f(name, g.text, g.rows, 0, 1)
		f(name, g.text, g.rows, 2, 9)
	}
	for _, name := range []string{"v32_categorical.json", "v34_dart.json"} {
		g := readXGBoost(t, name)
		f(name, g.text, g.rows, 0, 1)
		f(name, g.text, g.rows, 2, 9)
	}
	for _, name := range []string{"sk_columns", "hand_average", "hand_mixed", "hand_copied_nodes", "linked_average", "post_linear", "front_linear", "lgb_three"} {
		g := readONNX(t, name)
		f(name, g.text, g.rows, 0, 1)
		f(name, g.text, g.rows, 2, 9)
	}
}

// TestReferenceSampleRefuses: what cannot be explained is not by a sample either, and its rows must be rows.
func TestReferenceSampleRefuses(t *testing.T) {
	f := func(data []byte, want string, rows ...[]float64) {
		t.Helper()
		_, err := models.LoadWith(data, models.Options{Reference: rows})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	g := readONNX(t, "hand_max")
	f(g.text, "the smallest or largest of the trees", g.rows[0].x)
	g = readONNX(t, "hand_sum")
	f(g.text, "reference sample: row 2: unusable row: 2 values, want 3", g.rows[0].x, []float64{1, 2})
	f(g.text, "row 1: unusable row: feature \"f0\" is 1e+39", []float64{1e39, 0, 0})
	g = readGolden(t, "linear")
	if m, err := models.LoadWith(g.text, models.Options{Reference: [][]float64{g.rows[0].x}}); err != nil || m.Info().Unexplainable == "" {
		t.Errorf("linear leaves: %v", err)
	}
	deep := make([]onnxBranch, 0, 200_001)
	for i := range 100_000 {
		deep = append(deep, onnxBranch{"LEQ", 0, float32(i), 2*i + 1, 2*i + 2}, onnxBranch{value: 1})
	}
	rows := make([][]float64, 2000)
	for i := range rows {
		rows[i] = []float64{0}
	}
	_, err := models.LoadWith(onnxFile(1, nil, onnxRegressor("x", "y", append(deep, onnxBranch{}))), models.Options{Reference: rows})
	if !errors.Is(err, models.ErrLimit) {
		t.Errorf("deep trees: %v", err)
	}
}
