package models_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pitboss/models"
)

// TestSampleRows: the same rows each time, usable, some values missing, and many different ways through the trees.
func TestSampleRows(t *testing.T) {
	for _, name := range goldenNames(t) {
		m := mustLoad(t, readGolden(t, name).text)
		rows, again := models.SampleRows(m, 512), models.SampleRows(m, 512)
		var s models.Scratch
		margins := make([]float64, m.Info().Outputs)
		seen, missing := map[float64]bool{}, 0
		for i, row := range rows {
			for j, x := range row {
				if math.Float64bits(x) != math.Float64bits(again[i][j]) {
					t.Fatalf("%s: row %d column %d is %v, and %v the second time", name, i, j, x, again[i][j])
				}
				if math.IsNaN(x) {
					missing++
				}
			}
			if err := m.Predict(row, &s, margins); err != nil {
				t.Fatalf("%s: row %d: %v", name, i, err)
			}
			seen[margins[0]] = true
		}
		// A stump has two leaves; others have as many margins as rows, nearly.
		if want := min(m.Info().Leaves-m.Info().Trees+1, 15); len(seen) < want || m.Info().Nodes > 0 && missing == 0 {
			t.Errorf("%s: %d different margins of 512 rows, want %d; %d missing values", name, len(seen), want, missing)
		}
	}
}

// TestLoadLeaves: the second engine gives the same margins, refuses what it would score otherwise, and is never asked about a row
// of another length.
func TestLoadLeaves(t *testing.T) {
	limits := models.DefaultLimits()
	var s models.Scratch
	for _, name := range []string{"binary_nan", "categorical_multiclass", "regression"} {
		g := readGolden(t, name)
		own := mustLoad(t, g.text)
		m, err := models.LoadLeaves(g.text, limits)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		k := own.Info().Outputs
		want, got := make([]float64, k), make([]float64, k)
		for i := range g.rows {
			if err := errors.Join(own.Predict(g.rows[i].x, &s, want), m.Predict(g.rows[i].x, &s, got)); err != nil {
				t.Fatal(err)
			}
			for j := range want {
				if want[j] != got[j] {
					t.Errorf("%s row %d: %v by leaves, %v here", name, i, got, want)
				}
			}
		}
		if err := m.Predict([]float64{1}, &s, got); !errors.Is(err, models.ErrRow) {
			t.Errorf("%s: a short row: %v", name, err)
		}
		if err := m.Explain(g.rows[0].x, &s, got, nil); !errors.Is(err, models.ErrUnexplainable) {
			t.Errorf("%s: explained: %v", name, err)
		}
		if m.Info().Backend != "leaves" || m.Info().Trees != own.Info().Trees || own.Info().Backend != "" {
			t.Errorf("%s: %+v", name, m.Info())
		}
		if rows := models.SampleRows(m, 4); len(rows) != 4 || len(rows[0]) != len(own.Info().Features) {
			t.Errorf("%s: sampled %v", name, rows)
		}
	}
	for name, want := range map[string]string{"linear": "ignores linear models", "rf": "random forest"} {
		if _, err := models.LoadLeaves(readGolden(t, name).text, limits); !errors.Is(err, models.ErrUnsupported) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
