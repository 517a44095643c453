package models_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pitboss/models"
)

// benchRows are 4,096 different rows shaped like the training data of bench_200x31x64 (gen_goldens.py):
// one row again and again would be 4 to 7 times too fast, because branches and caches learn it.
func benchRows() [][]float64 {
	rng := rand.New(rand.NewPCG(7, 11))
	rows := make([][]float64, 4096)
	for i := range rows {
		row := make([]float64, 64)
		for j := range row {
			row[j] = rng.NormFloat64()
			if j%3 == 0 {
				row[j] = math.Exp(row[j])
			}
			if j%8 == 1 {
				row[j] = math.Round(math.Abs(row[j]) * 7)
			}
			if j%4 == 0 && rng.Float64() < 0.1 {
				row[j] = math.NaN()
			}
		}
		rows[i] = row
	}
	return rows
}

func BenchmarkPredict200x31x64(b *testing.B) {
	m := mustLoad(b, readGolden(b, "bench_200x31x64").text)
	rows, margins := benchRows(), make([]float64, 1)
	var s models.Scratch
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := m.Predict(rows[i%len(rows)], &s, margins); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(m.Info().Cost.PredictMicros, "predicted-us")
}

func BenchmarkExplain200x31x64(b *testing.B) {
	m := mustLoad(b, readGolden(b, "bench_200x31x64").text)
	rows, margins, phi := benchRows(), make([]float64, 1), make([]float64, 64)
	var s models.Scratch
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := m.Explain(rows[i%len(rows)], &s, margins, phi); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(m.Info().Cost.ExplainMicros, "predicted-us")
}

func BenchmarkLoad200x31x64(b *testing.B) {
	text := readGolden(b, "bench_200x31x64").text
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		mustLoad(b, text)
	}
}

func BenchmarkPredictBatch200x31x64(b *testing.B) {
	m := mustLoad(b, readGolden(b, "bench_200x31x64").text)
	var rows []float64
	for _, row := range benchRows() {
		rows = append(rows, row...)
	}
	margins := make([]float64, len(rows)/64)
	var s models.Scratch
	b.ReportAllocs()
	for b.Loop() {
		if err := models.PredictBatch(m, rows, &s, margins); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(margins)), "ns/row")
}
