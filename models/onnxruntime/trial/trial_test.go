package trial_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pitboss/models"
	"pitboss/models/onnxruntime"
	"pitboss/models/onnxruntime/onnxruntimetest"
	"pitboss/models/onnxruntime/trial"
)

// TestMain makes the test binary the other process of a trial.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "trial" {
		if err := trial.Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func self() trial.Config { return trial.Config{Command: []string{os.Args[0], "trial"}} }

func candidate(library string, data []byte) onnxruntime.Candidate {
	return onnxruntime.Candidate{
		Data: data, Hash: sha256.Sum256(data), Version: "1.27.0", Config: onnxruntime.Config{Library: library},
		Options: onnxruntime.Options{Limits: models.DefaultLimits()},
	}
}

// chain is a tree of so many nodes, each below the one before: the library goes down it by calling itself.
func chain(depth int) []byte {
	ints := func(name string, value func(i int) int) onnxruntimetest.Message {
		a := onnxruntimetest.Message{}.Text(1, name).Number(20, 7)
		for i := range 2*depth + 1 {
			a = a.Number(8, uint64(value(i)))
		}
		return a
	}
	inner := func(i, of int) int {
		if i < depth {
			return of
		}
		return 0
	}
	modes := onnxruntimetest.Message{}.Text(1, "nodes_modes").Number(20, 8)
	for i := range 2*depth + 1 {
		modes = modes.Text(9, map[bool]string{true: "BRANCH_LEQ", false: "LEAF"}[i < depth])
	}
	floats := func(name string, n int) onnxruntimetest.Message {
		return onnxruntimetest.Message{}.Text(1, name).Number(20, 6).Bytes(7, make([]byte, 4*n))
	}
	one := func(name string, v uint64) onnxruntimetest.Message {
		return onnxruntimetest.Message{}.Text(1, name).Number(20, 7).Number(8, v)
	}
	n := onnxruntimetest.Operator("TreeEnsembleRegressor", "y", "x").Text(7, "ai.onnx.ml")
	for _, a := range []onnxruntimetest.Message{
		ints("nodes_treeids", func(int) int { return 0 }), ints("nodes_nodeids", func(i int) int { return i }), ints("nodes_featureids", func(int) int { return 0 }),
		ints("nodes_truenodeids", func(i int) int { return inner(i, depth+1+i) }), ints("nodes_falsenodeids", func(i int) int { return inner(i, i+1) }),
		modes, floats("nodes_values", 2*depth+1), floats("target_weights", 1), one("target_ids", 0), one("target_treeids", 0), one("target_nodeids", uint64(depth)),
		onnxruntimetest.Message{}.Text(1, "n_targets").Number(3, 1).Number(20, 2),
	} {
		n = n.Bytes(5, a)
	}
	return onnxruntimetest.Message(onnxruntimetest.File(onnxruntimetest.Takes2(n))).Bytes(8, onnxruntimetest.Message{}.Text(1, "ai.onnx.ml").Number(2, 3))
}

// products multiplies a large constant by itself again and again, when the graph is opened: hours of work in 2 KB.
func products(rows uint64, times int) []byte {
	g := onnxruntimetest.Takes2(onnxruntimetest.Operator("ConstantOfShape", "c0", "shape")).
		Bytes(5, onnxruntimetest.Constant("shape", onnxruntimetest.Int64, onnxruntimetest.Int64s(rows, rows), 2)).Bytes(5, onnxruntimetest.Constant("one", onnxruntimetest.Int64, onnxruntimetest.Int64s(1, 1), 2))
	for i := range times {
		g = g.Bytes(1, onnxruntimetest.Operator("MatMul", fmt.Sprintf("c%d", i+1), fmt.Sprintf("c%d", i), "c0"))
	}
	keep := onnxruntimetest.Message{}.Text(1, "keepdims").Number(20, 2)
	return onnxruntimetest.File(g.Bytes(1, onnxruntimetest.Operator("ReduceSum", "s", fmt.Sprintf("c%d", times)).Bytes(5, keep.Number(3, 0))).
		Bytes(1, onnxruntimetest.Operator("Reshape", "s2", "s", "one")).Bytes(1, onnxruntimetest.Operator("Mul", "p", "x", "s2")).
		Bytes(1, onnxruntimetest.Operator("ReduceSum", "y", "p").Bytes(5, keep.Number(3, 1))))
}

// slowAtSeven multiplies matrices for hours where the larger of its two columns is 7, and none elsewhere.
func slowAtSeven(times int) []byte {
	op, constant := onnxruntimetest.Operator, onnxruntimetest.Constant
	ints, float := onnxruntimetest.Int64s, binary.LittleEndian.AppendUint32(nil, math.Float32bits(7))
	keep := func(v uint64) onnxruntimetest.Message {
		return onnxruntimetest.Message{}.Text(1, "keepdims").Number(20, 2).Number(3, v)
	}
	g := onnxruntimetest.Takes2(op("ReduceMax", "m", "x").Bytes(5, keep(0)), op("Equal", "is", "m", "seven"), op("Where", "n", "is", "many", "one"),
		op("Mul", "shape", "n", "square"), op("ConstantOfShape", "c0", "shape")).
		Bytes(5, constant("seven", onnxruntimetest.Float, float)).Bytes(5, constant("many", onnxruntimetest.Int64, ints(6000))).
		Bytes(5, constant("one", onnxruntimetest.Int64, ints(1))).Bytes(5, constant("square", onnxruntimetest.Int64, ints(1, 1), 2))
	for i := range times {
		g = g.Bytes(1, op("MatMul", fmt.Sprintf("c%d", i+1), fmt.Sprintf("c%d", i), "c0"))
	}
	return onnxruntimetest.File(g.Bytes(1, op("ReduceSum", "s", fmt.Sprintf("c%d", times)).Bytes(5, keep(0))).
		Bytes(1, op("Reshape", "s2", "s", "square")).Bytes(1, op("Mul", "p", "x", "s2")).Bytes(1, op("ReduceSum", "y", "p").Bytes(5, keep(1))))
}

// TestONNXTrialOfRows: what a graph does on rows that it is going to be run on is found too.
func TestONNXTrialOfRows(t *testing.T) {
	c, quick := candidate(onnxruntimetest.Library(t), slowAtSeven(40)), self()
	quick.Timeout = 3 * time.Second
	if err := self().Try(c); err != nil {
		t.Errorf("without such a row: %v", err)
	}
	c.Rows = [][]float64{{1, 2}, {7, math.NaN()}, {3, 7}}
	if err := quick.Try(c); !errors.Is(err, trial.ErrFailed) {
		t.Errorf("with such a row: %v", err)
	}
}

// TestONNXTrial: a graph that ends the process of the real library, holds it up or wants its memory is an error of this one.
func TestONNXTrial(t *testing.T) {
	library := onnxruntimetest.Library(t)
	good, err := os.ReadFile(filepath.Join("..", "..", "testdata", "onnxruntime", "mlp_binary.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	if err = self().Try(candidate(library, good)); err != nil {
		t.Errorf("a good graph: %v", err)
	}
	f := func(name string, c trial.Config, data []byte, sentinel error, words ...string) {
		t.Helper()
		began := time.Now()
		err := c.Try(candidate(library, data))
		if err == nil || sentinel != nil && !errors.Is(err, sentinel) || errors.Is(err, trial.ErrFailed) != (sentinel != nil && errors.Is(sentinel, trial.ErrFailed)) {
			t.Fatalf("%s: got %v, want %v", name, err, sentinel)
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: got %v, want %q", name, err, w)
			}
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
	hash := func(data []byte) string { return fmt.Sprintf("SHA-256 of the file: %x", sha256.Sum256(data)) }
	f("a fault", self(), onnxruntimetest.Faulty(), trial.ErrFailed, "was ended by SIGSEGV: segmentation violation", hash(onnxruntimetest.Faulty()), "Export the model anew", "ONNX Runtime 1.27.0")
	f("a stack that overflows", self(), chain(300_000), trial.ErrFailed, "was ended by SIGSEGV")
	hours := products(6000, 40)
	if len(hours) > 3000 {
		t.Errorf("%d bytes", len(hours))
	}
	quick := self()
	quick.Timeout = 2 * time.Second
	f("hours", quick, hours, trial.ErrFailed, "it was not done after 2s", "onnxruntime.max_trial")
	small := self()
	small.MaxBytes = 100 << 20
	f("memory", small, products(8000, 1), nil, "it does not score a row of ones: the graph fails", "allocate", "its trial may take 100 MiB: onnxruntime.max_trial_bytes")
	f("another operator", self(), onnxruntimetest.File(onnxruntimetest.Takes2(onnxruntimetest.Operator("Nonsense", "y", "x"))), models.ErrUnsupported, "ONNX Runtime refuses it")
	none := candidate(filepath.Join(t.TempDir(), "none.so"), good)
	if err := self().Try(none); !errors.Is(err, onnxruntime.ErrLibrary) || errors.Is(err, trial.ErrFailed) {
		t.Errorf("no library: %v", err)
	}
}

// TestONNXIsTriedFirst: a graph that must not be run here is not.
func TestONNXIsTriedFirst(t *testing.T) {
	cfg := onnxruntime.Config{Library: onnxruntimetest.Library(t), Try: self().Try}
	if _, err := onnxruntime.Load(onnxruntimetest.Faulty(), cfg, onnxruntime.Options{}); !errors.Is(err, trial.ErrFailed) {
		t.Errorf("got %v", err)
	}
	asked := onnxruntime.Candidate{}
	cfg.Try = func(c onnxruntime.Candidate) error {
		asked = c
		return nil
	}
	data := onnxruntimetest.File(onnxruntimetest.Takes2(onnxruntimetest.Operator("Nonsense", "y", "x")))
	if _, err := onnxruntime.Load(data, cfg, onnxruntime.Options{}); !errors.Is(err, models.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	if asked.Hash != sha256.Sum256(data) || !strings.HasPrefix(asked.Version, "1.") || asked.Options.Limits != models.DefaultLimits() {
		t.Errorf("asked of %+v", asked)
	}
}

// TestTrialOfAnotherProgram: whatever the other process does, this one has an error, and it knows nothing of our environment.
func TestTrialOfAnotherProgram(t *testing.T) {
	t.Setenv("PITBOSS_SECRET", "hunter2")
	f := func(script string, sentinel error, words ...string) {
		t.Helper()
		c := trial.Config{Command: []string{"/bin/sh", "-c", script}, Timeout: time.Second}
		err := c.Try(candidate("none.so", []byte("no graph")))
		if err == nil || errors.Is(err, trial.ErrFailed) != (sentinel != nil) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", script, err)
			return
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: got %v, want %q", script, err, w)
			}
		}
	}
	f("cat >/dev/null; env >&2; exit 3", trial.ErrFailed, "ended with exit status 3", "GOTRACEBACK=none")
	f("exit 0", trial.ErrFailed, "it ended without an answer")
	f("cat >/dev/null; echo '{}'", trial.ErrFailed, "it ended without an answer")
	f("cat >/dev/null; echo '{\"tried\":true,\"error\":\"no\",\"kind\":\"limit\"}'", nil, "no")
	f("cat >/dev/null; echo '{\"tried\":true}'; exit 1", trial.ErrFailed, "exit status 1")
	f("kill -ABRT $$", trial.ErrFailed, "abort")
	f("yes", trial.ErrFailed, "it was not done after 1s")
	c := trial.Config{Command: []string{filepath.Join(t.TempDir(), "none")}}
	if err := c.Try(candidate("none.so", nil)); err == nil || errors.Is(err, trial.ErrFailed) || !strings.Contains(err.Error(), "cannot start the process") {
		t.Errorf("no program: %v", err)
	}
}

func TestServeRefuses(t *testing.T) {
	var out strings.Builder
	if err := trial.Serve(strings.NewReader("no request"), &out); err == nil || !strings.Contains(err.Error(), "cannot read a request") || out.Len() > 0 {
		t.Errorf("got %v and %q", err, out.String())
	}
}
