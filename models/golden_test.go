package models_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pitboss/models"
)

// golden is a model file and what the library that wrote it answers (testdata/gen_goldens.py).
type golden struct {
	name  string
	text  []byte
	rows  []goldenRow
	table bool // it has contributions
}

type goldenRow struct {
	x, margins, scores []float64
	contributions      []float64 // per output: features, then base
}

// readMaybeGzip reads path, or path.gz unpacked.
func readMaybeGzip(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		return data
	}
	packed, err := os.ReadFile(path + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	data, err = io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func readGolden(t testing.TB, name string) *golden {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	return readGoldenRows(t, &golden{name: name, text: readMaybeGzip(t, path+".txt")}, path+".csv")
}

// readGoldenRows reads what the library answered for a model.
func readGoldenRows(t testing.TB, g *golden, path string) *golden {
	t.Helper()
	lines, err := csv.NewReader(bytes.NewReader(readMaybeGzip(t, path))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines[1:] {
		var r goldenRow
		for i, cell := range line {
			v := math.NaN()
			if cell != "" {
				if v, err = strconv.ParseFloat(cell, 64); err != nil {
					t.Fatalf("%s: %v", g.name, err)
				}
			}
			switch lines[0][i][0] {
			case 'x':
				r.x = append(r.x, v)
			case 'm':
				r.margins = append(r.margins, v)
			case 's':
				r.scores = append(r.scores, v)
			default:
				r.contributions = append(r.contributions, v)
			}
		}
		g.rows = append(g.rows, r)
		g.table = len(r.contributions) > 0
	}
	return g
}

// goldenNames lists the goldens.
func goldenNames(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "*.txt*"))
	if err != nil || len(files) < 80 {
		t.Fatalf("only %d goldens: %v", len(files), err)
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(strings.TrimSuffix(filepath.Base(f), ".gz"), ".txt")
	}
	return names
}

func mustLoad(t testing.TB, data []byte) models.Model {
	t.Helper()
	m, err := models.Load(data, models.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestEqualsLightGBM: the margins are LightGBM's bit for bit, the scores within the last places of its
// libm, the contributions within 1e-9 of the largest of the row.
func TestEqualsLightGBM(t *testing.T) {
	for _, name := range goldenNames(t) {
		t.Run(name, func(t *testing.T) {
			g := readGolden(t, name)
			m := mustLoad(t, g.text)
			if len(g.rows) < 16 {
				t.Fatalf("only %d rows", len(g.rows))
			}
			if got := m.Info().Unexplainable == ""; got != g.table {
				t.Fatalf("explainable = %v, LightGBM gives contributions: %v (%s)", got, g.table, m.Info().Unexplainable)
			}
			var s models.Scratch
			for i, r := range g.rows {
				checkGoldenRow(t, m, &s, i, &r)
			}
		})
	}
}

// answered is what a model says of a row: sums and phi are Explain's, nil where it has none.
type answered struct{ margins, scores, sums, phi []float64 }

// answer asks a model for a golden row, and holds the margins to the library's bits and the scores to a tolerance.
func answer(t *testing.T, m models.Model, s *models.Scratch, i int, r *goldenRow, tolerance float64) answered {
	t.Helper()
	outputs, features := m.Info().Outputs, len(m.Info().Features)
	a := answered{margins: make([]float64, outputs), scores: make([]float64, outputs)}
	if err := m.Predict(r.x, s, a.margins); err != nil {
		t.Fatalf("row %d: %v", i, err)
	}
	if err := m.Score(a.margins, a.scores); err != nil {
		t.Fatalf("row %d: %v", i, err)
	}
	for k := range a.margins {
		if math.Float64bits(a.margins[k]) != math.Float64bits(r.margins[k]) {
			t.Errorf("row %d %v: margin %d = %v, the library has %v", i, r.x, k, a.margins[k], r.margins[k])
		}
		if off := math.Abs(a.scores[k] - r.scores[k]); !(off <= tolerance*max(1, math.Abs(r.scores[k]))) {
			t.Errorf("row %d: score %d = %v, the library has %v", i, k, a.scores[k], r.scores[k])
		}
		if m.Info().Probability && !(a.scores[k] >= 0 && a.scores[k] <= 1) {
			t.Errorf("row %d: score %d = %v is no probability", i, k, a.scores[k])
		}
	}
	if len(r.contributions) == 0 {
		return a
	}
	a.sums, a.phi = make([]float64, outputs), make([]float64, outputs*features)
	if err := m.Explain(r.x, s, a.sums, a.phi); err != nil {
		t.Fatalf("row %d: %v", i, err)
	}
	return a
}

func checkGoldenRow(t *testing.T, m models.Model, s *models.Scratch, i int, r *goldenRow) {
	t.Helper()
	a, features := answer(t, m, s, i, r, 1e-15), len(m.Info().Features)
	for k := range a.sums {
		if a.sums[k] != a.margins[k] {
			t.Errorf("row %d: Explain has margin %v, Predict %v", i, a.sums[k], a.margins[k])
		}
		want := r.contributions[k*(features+1):][:features+1]
		checkContributions(t, i, a.phi[k*features:][:features], m.Info().Base[k], want)
	}
}

// checkContributions compares with pred_contrib: features, then base.
func checkContributions(t *testing.T, row int, got []float64, base float64, want []float64) {
	t.Helper()
	largest := 0.0
	for _, c := range want {
		largest = max(largest, math.Abs(c))
	}
	for j := range got {
		if !(math.Abs(got[j]-want[j]) <= 1e-9*largest) {
			t.Errorf("row %d: contribution of feature %d = %v, LightGBM has %v", row, j, got[j], want[j])
		}
	}
	if w := want[len(got)]; !(math.Abs(base-w) <= 1e-9*max(1, math.Abs(w))) {
		t.Errorf("row %d: base = %v, LightGBM has %v", row, base, w)
	}
}
