package models_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pitboss/models"
)

// TestBatchesHaveTheBitsOfRows: for every golden, of any number of rows, with one scratch for all.
func TestBatchesHaveTheBitsOfRows(t *testing.T) {
	var s, single models.Scratch
	check := func(g *golden) {
		m := mustLoad(t, g.text)
		outputs := m.Info().Outputs
		for _, n := range []int{0, 1, 15, 16, 17, len(g.rows)} {
			n = min(n, len(g.rows))
			var rows []float64
			for _, r := range g.rows[:n] {
				rows = append(rows, r.x...)
			}
			margins, want := make([]float64, n*outputs), make([]float64, outputs)
			if err := models.PredictBatch(m, rows, &s, margins); err != nil {
				t.Fatalf("%s, %d rows: %v", g.name, n, err)
			}
			for i, r := range g.rows[:n] {
				if err := m.Predict(r.x, &single, want); err != nil {
					t.Fatal(err)
				}
				for k, w := range want {
					if got := margins[i*outputs+k]; math.Float64bits(got) != math.Float64bits(w) {
						t.Fatalf("%s, row %d of %d: margin %d = %v, alone %v", g.name, i, n, k, got, w)
					}
				}
			}
		}
	}
	for _, name := range goldenNames(t) {
		check(readGolden(t, name))
	}
	for _, name := range xgboostNames(t) {
		check(readXGBoost(t, name))
	}
	for _, name := range onnxNames(t) {
		check(readONNX(t, name))
	}
}

// TestBatchRefusesByRow: what Predict refuses is refused with the number of the row.
func TestBatchRefusesByRow(t *testing.T) {
	m := mustLoad(t, readGolden(t, "binary").text)
	var s models.Scratch
	features := len(m.Info().Features)
	f := func(what string, rows []float64, margins int, want string) {
		t.Helper()
		err := models.PredictBatch(m, rows, &s, make([]float64, margins))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	rows := make([]float64, 20*features)
	f("half a row", rows[:features/2], 0, "no whole number of rows")
	f("too few margins", rows, 19, "cannot write 19 margins, 20 rows have 20")
	rows[17*features+1] = math.Inf(1)
	f("an infinite value", rows, 20, "row 17: ")
	if err := models.PredictBatch(m, rows, &s, make([]float64, 20)); !errors.Is(err, models.ErrRow) {
		t.Errorf("%v is not ErrRow", err)
	}
}

// TestBatchDoesNotAllocate once the scratch has grown.
func TestBatchDoesNotAllocate(t *testing.T) {
	m := mustLoad(t, readGolden(t, "bench_200x31x64").text)
	var rows []float64
	for _, row := range benchRows()[:100] {
		rows = append(rows, row...)
	}
	var s models.Scratch
	margins := make([]float64, 100)
	if n := testing.AllocsPerRun(10, func() {
		if err := models.PredictBatch(m, rows, &s, margins); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
