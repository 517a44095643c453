package models_test

import (
	"bytes"
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pitboss/models"
)

// shapRow is a row with what the shap package answers (testdata/gen_shap.py).
type shapRow struct {
	x, contributions, interactions []float64
	base                           float64
}

func readShap(t *testing.T, path string) []shapRow {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	rows := make([]shapRow, len(lines)-1)
	for n, line := range lines[1:] {
		r := &rows[n]
		for i, cell := range line {
			v := math.NaN()
			if cell != "" {
				if v, err = strconv.ParseFloat(cell, 64); err != nil {
					t.Fatalf("%s: %v", path, err)
				}
			}
			switch lines[0][i][0] {
			case 'x':
				r.x = append(r.x, v)
			case 'p':
				r.contributions = append(r.contributions, v)
			case 'q':
				r.interactions = append(r.interactions, v)
			default:
				r.base = v
			}
		}
	}
	return rows
}

// TestEqualsShap: the matrix of interactions is that of the shap package to 1e-9 of the largest, and interventional
// contributions to 1e-6: the package takes those in float32 (explore_test.go has them by their definition).
func TestEqualsShap(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "shap", "*.csv"))
	if err != nil || len(files) < 5 {
		t.Fatalf("only %d goldens: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".csv")
		t.Run(name, func(t *testing.T) {
			rows := readShap(t, file)
			m := explorer(t, readGolden(t, name).text)
			n := len(rows[0].x)
			background := make([][]float64, len(rows))
			for i := range rows {
				background[i] = rows[i].x
			}
			var s models.Scratch
			base, margins, phi, matrix := make([]float64, 1), make([]float64, 1), make([]float64, n), make([]float64, n*n)
			for i, r := range rows {
				if err := m.Interventional(r.x, background, &s, base, margins, phi); err != nil {
					t.Fatal(err)
				}
				if !(math.Abs(base[0]-r.base) <= 1e-6*max(1, math.Abs(r.base))) {
					t.Errorf("row %d: base %v, shap has %v", i, base[0], r.base)
				}
				if err := m.Interactions(r.x, 0, &s, matrix); err != nil {
					t.Fatal(err)
				}
				compareShap(t, i, "contribution", phi, r.contributions, 1e-6)
				compareShap(t, i, "interaction", matrix, r.interactions, 1e-9)
			}
		})
	}
}

func compareShap(t *testing.T, row int, what string, got, want []float64, tolerance float64) {
	t.Helper()
	for j, w := range want {
		if !(math.Abs(got[j]-w) <= tolerance*largest(want)) {
			t.Errorf("row %d: %s %d = %v, shap has %v (largest %v)", row, what, j, got[j], w, largest(want))
		}
	}
}
