package models_test

import (
	"math"
	"slices"
	"testing"

	"pitboss/models"
)

// TestPropertySweepIsWhatPredictGives: the margin of every cell is what Predict gives for the row with a value of the
// cell, at both of its ends.
func TestPropertySweepIsWhatPredictGives(t *testing.T) {
	rng, rounds := seeded(t, 150)
	for range rounds {
		m, _, outputs := randomEnsemble(t, rng, 1+rng.IntN(6))
		features := len(m.Info().Features)
		for range 4 {
			checkSweep(t, m, randomRow(rng, features), rng.IntN(outputs))
		}
	}
}

// TestSweepOfGoldens: real models of both libraries, of every way with missing values, and zero that is missing.
func TestSweepOfGoldens(t *testing.T) {
	f := func(g *golden) {
		t.Helper()
		m := explorer(t, g.text)
		for i := 0; i < len(g.rows); i += 7 {
			checkSweep(t, m, g.rows[i].x, m.Info().Outputs-1)
		}
	}
	for _, name := range []string{"binary", "binary_nan", "zero_as_missing", "use_missing_false", "multiclass", "inf_threshold", "categorical_nan", "rf"} {
		f(readGolden(t, name))
	}
	for _, name := range []string{"v32_binary_nan.ubj", "v17_dart.json", "v34_dart_multiclass.ubj"} {
		f(readXGBoost(t, name))
	}
}

func checkSweep(t *testing.T, m models.Explorer, row []float64, output int) {
	t.Helper()
	var s models.Scratch
	var sweep models.Sweep
	if err := m.Sweep(row, output, &s, &sweep); err != nil {
		t.Fatal(err)
	}
	info := m.Info()
	if most := info.Nodes + info.MaxDepth*info.Trees; sweep.Visits > most {
		t.Fatalf("%d visits of a model with %d nodes, at most %d", sweep.Visits, info.Nodes, most)
	}
	margins := make([]float64, info.Outputs)
	predict := func(row []float64) float64 {
		if err := m.Predict(row, &s, margins); err != nil {
			t.Fatal(err)
		}
		return margins[output]
	}
	if got := predict(row); !(math.Abs(got-sweep.Margin) <= sweep.Slack) {
		t.Fatalf("the margin is %v, Predict has %v (slack %v)", sweep.Margin, got, sweep.Slack)
	}
	for i, x := range row {
		steps, ok := sweep.Steps(i)
		if unordered := info.Features[i].Categorical || info.Features[i].Splits == 0 || math.IsNaN(x); ok == unordered {
			t.Fatalf("feature %d of row %v: steps %v", i, row, ok)
		}
		if !ok {
			continue
		}
		if len(steps.Margins) != len(steps.Cuts)+1 || !slices.IsSorted(steps.Cuts) || steps.At < 0 || steps.At > len(steps.Cuts) {
			t.Fatalf("feature %d: %+v", i, steps)
		}
		changed := slices.Clone(row)
		for c, want := range steps.Margins {
			for _, v := range cellEnds(&sweep, i, c) {
				changed[i] = v
				if got := predict(changed); !(math.Abs(got-want) <= sweep.Slack) {
					t.Fatalf("row %v with feature %d = %v (cell %d of %v, own %d): margin %v, Predict has %v (slack %v)",
						row, i, v, c, steps.Cuts, steps.At, want, got, sweep.Slack)
				}
			}
		}
	}
}

// cellEnds are the smallest and the largest value of a cell that a row may have.
func cellEnds(sweep *models.Sweep, feature, c int) []float64 {
	low, high := sweep.Bounds(feature, c)
	if low, high = max(low, -1e38), min(high, 1e38); low > high {
		return nil
	}
	return []float64{low, high}
}

// BenchmarkSweep200x31x64 is what a counterfactual takes of the model.
func BenchmarkSweep200x31x64(b *testing.B) {
	m := explorer(b, readGolden(b, "bench_200x31x64").text)
	rows := benchRows()
	var s models.Scratch
	var sweep models.Sweep
	visits := 0
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := m.Sweep(rows[i%len(rows)], 0, &s, &sweep); err != nil {
			b.Fatal(err)
		}
		visits += sweep.Visits
	}
	b.ReportMetric(float64(visits)/float64(b.N), "visits/op")
}

// BenchmarkInterventional200x31x64 is for 100 background rows, BenchmarkInteractions200x31x64 for the whole matrix.
func BenchmarkInterventional200x31x64(b *testing.B) {
	m := explorer(b, readGolden(b, "bench_200x31x64").text)
	rows, one, margins, phi := benchRows(), make([]float64, 1), make([]float64, 1), make([]float64, 64)
	var s models.Scratch
	for i := 0; b.Loop(); i++ {
		if err := m.Interventional(rows[i%len(rows)], rows[:100], &s, one, margins, phi); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInteractions200x31x64(b *testing.B) {
	m := explorer(b, readGolden(b, "bench_200x31x64").text)
	rows, matrix := benchRows(), make([]float64, 64*64)
	var s models.Scratch
	for i := 0; b.Loop(); i++ {
		if err := m.Interactions(rows[i%len(rows)], 0, &s, matrix); err != nil {
			b.Fatal(err)
		}
	}
}
