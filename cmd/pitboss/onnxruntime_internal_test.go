package main

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"pitboss/models/onnxruntime/onnxruntimetest"
)

// TestFindLibrary: what is named goes before the environment, and that before what lies beside the program.
func TestFindLibrary(t *testing.T) {
	t.Setenv("PITBOSS_ONNXRUNTIME", "")
	if got := findLibrary(""); got != "" {
		t.Errorf("found %q beside the test", got)
	}
	t.Setenv("PITBOSS_ONNXRUNTIME", "from-env.so")
	if got := findLibrary(""); got != "from-env.so" {
		t.Errorf("the environment's: %q", got)
	}
	if got := findLibrary("named.so"); got != "named.so" {
		t.Errorf("the named one: %q", got)
	}
	dir := t.TempDir()
	f := func(add, system, want string) {
		t.Helper()
		write(t, filepath.Join(dir, add), "")
		if got := libraryIn(dir, system); got != filepath.Join(dir, want) {
			t.Errorf("beside the program on %s: %q, want %q", system, got, want)
		}
	}
	if got := libraryIn(dir, "linux"); got != "" {
		t.Errorf("in an empty directory: %q", got)
	}
	f("libonnxruntime.so.1.24.4", "linux", "libonnxruntime.so.1.24.4")
	f("libonnxruntime.so.1.27.0", "linux", "libonnxruntime.so.1.27.0")
	f("libonnxruntime.so", "linux", "libonnxruntime.so")
	f("libonnxruntime.dylib", "darwin", "libonnxruntime.dylib")
	f("onnxruntime.dll", "windows", "onnxruntime.dll")
}

const tinyNet = "../../registry/testdata/onnxruntime"

func TestONNXBundleIsChecked(t *testing.T) {
	onnxruntimetest.Library(t)
	r := must(t, "check", "--bundle", tinyNet)
	for _, want := range []string{
		"model: onnx ai.onnx", "by onnxruntime 1.", "10 features", "no reasons from it: a graph that ONNX Runtime runs", "the same to 1e-06 from one machine",
		"not by an independent implementation",
	} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%v, want %q", r, want)
		}
	}
}

// TestBundleWithoutONNXRuntime: a build or a machine without it says what to do.
func TestBundleWithoutONNXRuntime(t *testing.T) {
	t.Setenv("PITBOSS_ONNXRUNTIME", "")
	refused(t, exitFailed, []string{"model.onnx", "ONNX Runtime is not available"}, "check", "--bundle", tinyNet)
}

const onnxGoldens = "../../models/testdata/onnxruntime/"

// TestONNXModelScore: what model score says of a graph is what Python's onnxruntime said, by the names of its inputs.
func TestONNXModelScore(t *testing.T) {
	onnxruntimetest.Library(t)
	golden := readCSV(t, onnxGoldens+"logistic_columns.csv")
	for i, name := range golden[0] {
		if n, ok := strings.CutPrefix(name, "x"); ok {
			golden[0][i] = "in_" + n
		}
	}
	out := filepath.Join(t.TempDir(), "out.csv")
	must(t, "model", "score", onnxGoldens+"logistic_columns.onnx", "--rows", writeCSV(t, golden), "--backend", "onnxruntime", "--out", out)
	got := readCSV(t, out)
	if strings.Join(got[0], ",") != "margin,score" || len(got) != len(golden) {
		t.Fatalf("header %v, %d rows, want %d", got[0], len(got), len(golden))
	}
	for row := range len(golden) - 1 {
		if g, w := got.number(t, row, "score"), golden.number(t, row, "p1"); math.Abs(g-w) > 2e-7 {
			t.Errorf("row %d: score is %v, Python has %v", row, g, w)
		}
	}
	refused(t, exitFailed, []string{"no exact contributions", "leave --contrib out"},
		"model", "score", onnxGoldens+"logistic_columns.onnx", "--rows", writeCSV(t, golden), "--backend", "onnxruntime", "--contrib")
}

// TestONNXModelThatFaults: a file that ends the process which runs it does not end ours; it is refused by what it did.
func TestONNXModelThatFaults(t *testing.T) {
	onnxruntimetest.Library(t)
	file := filepath.Join(t.TempDir(), "model.onnx")
	write(t, file, string(onnxruntimetest.Faulty()))
	rows := writeCSV(t, [][]string{{"f0", "f1"}, {"1", "2"}})
	words := []string{"model.onnx", "the trial of the graph failed", "SIGSEGV", "SHA-256 of the file"}
	refused(t, exitFailed, words, "model", "score", file, "--rows", rows, "--backend", "onnxruntime")
	refused(t, exitFailed, words, "model", "bench", file, "--backend", "onnxruntime")
	if r := must(t, "model", "inspect", file); !strings.Contains(r.out, "the trial of the graph failed") {
		t.Errorf("inspect: %v", r)
	}
}

func TestONNXModelInspect(t *testing.T) {
	onnxruntimetest.Library(t)
	r := must(t, "model", "inspect", onnxGoldens+"mlp_binary.onnx")
	for _, want := range []string{"onnx, written by skl2onnx 1.20.0", "X: float [any, 5]", "probabilities: float [any, 2]", "14: Add x2, Cast x2", "native         no: ",
		"onnxruntime    yes, 1.", "5 features, 1 outputs", "logistic of add_result1: scores are probabilities", "none: a graph that ONNX Runtime runs"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%v, want %q", r, want)
		}
	}
	r = must(t, "model", "bench", onnxGoldens+"net_sigmoid.onnx", "--backend", "onnxruntime", "--duration", "20ms")
	for _, want := range []string{"onnx ai.onnx 17 by onnxruntime 1.", "4096 rows spread evenly", "no attribution"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%v, want %q", r, want)
		}
	}
}

// TestModelCommandsWithoutONNXRuntime: what can be said of a graph is said, and what cannot be done says what would do it.
func TestModelCommandsWithoutONNXRuntime(t *testing.T) {
	t.Setenv("PITBOSS_ONNXRUNTIME", "")
	r := must(t, "model", "inspect", onnxGoldens+"mlp_binary.onnx")
	for _, want := range []string{"X: float [any, 5]", "ai.onnx.ml.Scaler x1", "not tried: "} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%v, want %q", r, want)
		}
	}
	rows := onnxGoldens + "mlp_binary.csv"
	refused(t, exitFailed, []string{"mlp_binary.onnx", "try --backend onnxruntime"}, "model", "score", onnxGoldens+"mlp_binary.onnx", "--rows", rows)
	refused(t, exitFailed, []string{"ONNX Runtime is not available"}, "model", "score", onnxGoldens+"mlp_binary.onnx", "--rows", rows, "--backend", "onnxruntime")
	refused(t, exitFailed, []string{"no ONNX: malformed ONNX file"}, "model", "score", goldenModel+".txt", "--rows", rows, "--backend", "onnxruntime")
	refused(t, exitUsage, []string{`--backend "torch" is not native, leaves or onnxruntime`}, "model", "bench", goldenModel+".txt", "--backend", "torch")
}
