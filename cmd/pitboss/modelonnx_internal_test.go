package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const goldenONNX = "../../models/testdata/onnx/"

// What model score says of a model in ONNX is what ONNX Runtime says of it, and by the training rows what its trainer says.
func TestModelScoreONNX(t *testing.T) {
	golden := readCSV(t, goldenONNX+"sk_boosted_binary.csv")
	for i, name := range golden[0] {
		if n, ok := strings.CutPrefix(name, "x"); ok {
			golden[0][i] = "f" + n // as columns without a name are called
		}
	}
	rows, out := writeCSV(t, golden), filepath.Join(t.TempDir(), "out.csv")
	must(t, "model", "score", goldenONNX+"sk_boosted_binary.onnx", "--rows", rows, "--contrib", "--reference", goldenONNX+"reference_plain.csv", "--out", out)
	got := readCSV(t, out)
	if len(got) != len(golden) {
		t.Fatalf("%d rows, want %d", len(got), len(golden))
	}
	for row := range len(golden) - 1 {
		if g, w := got.number(t, row, "margin"), golden.number(t, row, "margin0"); g != w {
			t.Errorf("row %d: margin %v, ONNX Runtime has %v", row, g, w)
		}
		for i := range 5 {
			theirs := fmt.Sprintf("c0_%d", i)
			if golden.cell(t, row, theirs) == "" {
				continue
			}
			if g, w := got.number(t, row, fmt.Sprintf("contrib_f%d", i)), golden.number(t, row, theirs); math.Abs(g-w) > 1e-6 {
				t.Errorf("row %d: contribution of feature %d is %v, shap has %v", row, i, g, w)
			}
		}
	}
	refused(t, exitFailed, []string{"a reference sample can stand in"}, "model", "score", goldenONNX+"sk_boosted_binary.onnx", "--rows", rows, "--contrib")
	refused(t, exitFailed, []string{"reference sample", "it has no rows"}, "model", "score", goldenONNX+"sk_boosted_binary.onnx", "--rows", rows,
		"--reference", writeCSV(t, golden[:1]))
	refused(t, exitFailed, []string{"reference sample", `line 2, column "f0": "x" is no number`}, "model", "score", goldenONNX+"sk_boosted_binary.onnx", "--rows", rows,
		"--reference", writeCSV(t, [][]string{{"f0", "f1", "f2", "f3", "f4"}, {"x", "", "", "", ""}}))
}

// What model inspect says of ONNX: what it is, and the name of the first operator that is in the way.
func TestModelInspectONNX(t *testing.T) {
	r := must(t, "model", "inspect", goldenONNX+"sk_columns.onnx")
	for _, want := range []string{"onnx ai.onnx.ml 1, TreeEnsembleClassifier", "none: scores are probabilities", "none: ONNX files have no training counts", "  bets_1h\n"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%v, want %q", r, want)
		}
	}
	r = must(t, "model", "inspect", goldenONNX+"sk_forest_three.onnx", "--reference", goldenONNX+"reference_plain.csv")
	if want := "exact, from base 0.0375, 0.2875, 0.675 over 400 rows of the reference sample"; !strings.Contains(r.out, want) {
		t.Errorf("%v, want %q", r, want)
	}
	data, err := os.ReadFile(goldenONNX + "post_sigmoid.onnx")
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other.onnx")
	write(t, other, strings.Replace(string(data), "Sigmoid", "Softsig", 1))
	r = must(t, "model", "inspect", other)
	if want := "node 2, Softsig: operator Softsig: unsupported model"; !strings.Contains(r.out, want) || !strings.Contains(r.out, other) {
		t.Errorf("%v, want %q", r, want)
	}
	r = must(t, "check", "--bundle", "../../registry/testdata/onnx")
	if want := "leaves cannot read the file's format"; !strings.Contains(r.out, want) {
		t.Errorf("%v, want %q", r, want)
	}
}
