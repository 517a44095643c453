package models_test

import (
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pitboss/models"
)

// onnxNames lists the files of testdata/onnx (gen_onnx.py).
func onnxNames(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "onnx", "*.onnx"))
	if err != nil || len(files) < 100 {
		t.Fatalf("only %d goldens: %v", len(files), err)
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(filepath.Base(f), ".onnx")
	}
	return names
}

func readONNX(t testing.TB, name string) *golden {
	t.Helper()
	path := filepath.Join("testdata", "onnx", name)
	data, err := os.ReadFile(path + ".onnx")
	if err != nil {
		t.Fatal(err)
	}
	return readGoldenRows(t, &golden{name: name, text: data}, path+".csv")
}

// referenceOf reads the rows that a golden's contributions go by; none where it has no contributions.
func referenceOf(t testing.TB, name string) [][]float64 {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("testdata", "onnx", name+".reference"))
	if err != nil {
		return nil
	}
	text, err := os.ReadFile(filepath.Join("testdata", "onnx", strings.TrimSpace(string(file))))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	rows := make([][]float64, len(lines)-1)
	for i, line := range lines[1:] {
		for _, cell := range line {
			v := math.NaN()
			if cell != "" {
				if v, err = strconv.ParseFloat(cell, 64); err != nil {
					t.Fatal(err)
				}
			}
			rows[i] = append(rows[i], v)
		}
	}
	return rows
}

// TestEqualsONNXRuntime: the margins are ONNX Runtime's bit for bit; scores, which it computes in float32, are within that; and
// contributions by the training rows are those of the library that trained the model.
func TestEqualsONNXRuntime(t *testing.T) {
	for _, name := range onnxNames(t) {
		t.Run(name, func(t *testing.T) {
			g, reference := readONNX(t, name), referenceOf(t, name)
			m, err := models.LoadWith(g.text, models.Options{Reference: reference})
			if err != nil {
				t.Fatal(err)
			}
			if len(g.rows) < 12 || g.table != (reference != nil) {
				t.Fatalf("%d rows, contributions %v, reference of %d rows", len(g.rows), g.table, len(reference))
			}
			info := m.Info()
			if info.Format != models.FormatONNX || (info.Unexplainable == "") != g.table || info.Reference != len(reference) {
				t.Fatalf("%s, unexplainable: %q, by %d rows", info.Format, info.Unexplainable, info.Reference)
			}
			var s models.Scratch
			for i, r := range g.rows {
				checkONNXRow(t, m, &s, i, &r)
			}
		})
	}
}

func checkONNXRow(t *testing.T, m models.Model, s *models.Scratch, i int, r *goldenRow) {
	t.Helper()
	outputs := m.Info().Outputs
	if len(r.margins) != outputs {
		t.Fatalf("%d outputs, ONNX Runtime has %d", outputs, len(r.margins))
	}
	margins, scores := make([]float64, outputs), make([]float64, outputs)
	if err := m.Predict(r.x, s, margins); err != nil {
		t.Fatalf("row %d: %v", i, err)
	}
	if err := m.Score(margins, scores); err != nil {
		t.Fatalf("row %d: %v", i, err)
	}
	for k := range margins {
		if margins[k] != r.margins[k] {
			t.Errorf("row %d %v: margin %d = %v, ONNX Runtime has %v", i, r.x, k, margins[k], r.margins[k])
		}
		if off := math.Abs(scores[k] - r.scores[k]); !(off <= 1e-6*max(1, math.Abs(r.scores[k]))) {
			t.Errorf("row %d %v: score %d = %v, ONNX Runtime has %v", i, r.x, k, scores[k], r.scores[k])
		}
		if m.Info().Probability && !(scores[k] >= 0 && scores[k] <= 1) {
			t.Errorf("row %d: score %d = %v is no probability", i, k, scores[k])
		}
	}
	if len(r.contributions) > 0 && !math.IsNaN(r.contributions[0]) {
		checkONNXContributions(t, m, s, i, r, margins)
	}
}

// checkONNXContributions holds contributions against those of the library that trained the model, to what float32 loses of its leaves.
func checkONNXContributions(t *testing.T, m models.Model, s *models.Scratch, i int, r *goldenRow, margins []float64) {
	t.Helper()
	outputs, features := m.Info().Outputs, len(m.Info().Features)
	sums, phi := make([]float64, outputs), make([]float64, outputs*features)
	if err := m.Explain(r.x, s, sums, phi); err != nil {
		t.Fatalf("row %d: %v", i, err)
	}
	for k := range margins {
		if off := math.Abs(sums[k] - margins[k]); !(off <= 1e-5*max(1, math.Abs(margins[k]))) {
			t.Errorf("row %d: the sum in float64 is %v, the margin %v", i, sums[k], margins[k])
		}
		want := r.contributions[k*(features+1):][:features+1]
		for j, c := range phi[k*features:][:features] {
			if off := math.Abs(c - want[j]); !(off <= 2e-5*largest(want)) {
				t.Errorf("row %d %v: contribution of feature %d = %v, the trainer has %v", i, r.x, j, c, want[j])
			}
		}
		if base := want[features]; !(math.Abs(m.Info().Base[k]-base) <= 2e-5*max(1, math.Abs(base))) {
			t.Errorf("row %d: base = %v, the trainer has %v", i, m.Info().Base[k], base)
		}
	}
}
