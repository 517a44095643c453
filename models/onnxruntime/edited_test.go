package onnxruntime_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"pitboss/models"
	"pitboss/models/onnxruntime"
)

// TestPropertyONNXEdited: graphs with a few bytes changed are refused or score, and do not end the process. PITBOSS_SEED and
// PITBOSS_ROUNDS say which changes and how many. What a long run finds belongs into Inspect (see checkLabels).
func TestPropertyONNXEdited(t *testing.T) {
	cfg := config(t)
	number := func(name string, other int) int {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
			return n
		}
		return other
	}
	seed, rounds := number("PITBOSS_SEED", 1), number("PITBOSS_ROUNDS", 100)
	t.Logf("PITBOSS_SEED=%d PITBOSS_ROUNDS=%d", seed, rounds)
	names, err := filepath.Glob(filepath.Join(testdata, "*.onnx"))
	if err != nil || len(names) == 0 {
		t.Fatal("no graphs", err)
	}
	r := rand.New(rand.NewPCG(uint64(seed), 7))
	refusedHere, refusedThere, scored := 0, 0, 0
	for range rounds {
		data, err := os.ReadFile(names[r.IntN(len(names))])
		if err != nil {
			t.Fatal(err)
		}
		data = bytes.Clone(data)
		for range 1 + r.IntN(3) {
			data[r.IntN(len(data))] = byte(r.IntN(256))
		}
		if _, err = onnxruntime.Inspect(data, models.DefaultLimits()); err != nil {
			refusedHere++
			continue
		}
		m, err := onnxruntime.Load(data, cfg, onnxruntime.Options{})
		if err != nil {
			refusedThere++
			continue
		}
		row, margins := make([]float64, len(m.Info().Features)), make([]float64, m.Info().Outputs)
		if err = m.Predict(row, nil, margins); err == nil {
			scored++
		}
	}
	t.Logf("%d refused by Inspect, %d by ONNX Runtime or for what they give, %d score", refusedHere, refusedThere, scored)
}
