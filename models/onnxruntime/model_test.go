package onnxruntime_test

import (
	"encoding/csv"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pitboss/models"
	"pitboss/models/onnxruntime"
	"pitboss/models/onnxruntime/onnxruntimetest"
)

func config(t testing.TB) onnxruntime.Config {
	t.Helper()
	return onnxruntime.Config{Library: onnxruntimetest.Library(t)}
}

// golden is a row with what Python's onnxruntime made of it.
type golden struct {
	x, output, margins []float64
}

func readGolden(t testing.TB, name string) []golden {
	t.Helper()
	f, err := os.Open(filepath.Join(testdata, name+".csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []golden
	for _, r := range records[1:] {
		var g golden
		for i, cell := range r {
			v := math.NaN()
			if cell != "" {
				if v, err = strconv.ParseFloat(cell, 64); err != nil {
					t.Fatal(err)
				}
			}
			switch records[0][i][0] {
			case 'x':
				g.x = append(g.x, v)
			case 'p':
				g.output = append(g.output, v)
			default:
				g.margins = append(g.margins, v)
			}
		}
		rows = append(rows, g)
	}
	return rows
}

func mustLoad(t testing.TB, name string) models.Model {
	t.Helper()
	m, err := onnxruntime.Load(readModel(t, name), config(t), onnxruntime.Options{})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return m
}

// TestONNXGoldens: margins and scores are those of Python's onnxruntime, by every kind of input and output.
func TestONNXGoldens(t *testing.T) {
	f := func(name, objective, column string, outputs int) {
		t.Helper()
		m := mustLoad(t, name)
		info := m.Info()
		if info.Objective != objective || info.Outputs != outputs || info.Features[1].Name != column || info.Probability != (objective != "") {
			t.Errorf("%s: objective %q, %d outputs, column %q, probability %v", name, info.Objective, info.Outputs, info.Features[1].Name, info.Probability)
		}
		var s models.Scratch
		margins, scores := make([]float64, outputs), make([]float64, outputs)
		for i, g := range readGolden(t, name) {
			if err := m.Predict(g.x, &s, margins); err != nil {
				t.Errorf("%s row %d: %v", name, i, err)
				continue
			}
			if err := m.Score(margins, scores); err != nil {
				t.Fatal(err)
			}
			want := g.output[len(g.output)-outputs:]
			for k := range scores {
				if !(math.Abs(scores[k]-want[k]) <= 2e-7*math.Max(1, math.Abs(want[k]))) {
					t.Errorf("%s row %d output %d: score %v, want %v", name, i, k, scores[k], want[k])
				}
			}
			if g.margins == nil {
				continue
			}
			wantMargins := g.margins
			if outputs == 1 && len(wantMargins) == 2 {
				wantMargins = []float64{wantMargins[1] - wantMargins[0]}
			}
			for k := range margins {
				if margins[k] != wantMargins[k] { // the same library on the same machine
					if math.Abs(margins[k]-wantMargins[k]) > onnxruntime.Tolerance*math.Max(1, math.Abs(wantMargins[k])) {
						t.Errorf("%s row %d output %d: margin %v, want %v", name, i, k, margins[k], wantMargins[k])
					}
				}
			}
		}
	}
	f("logistic_zipmap", "probabilities, margins by its logit", "f1", 1)
	f("logistic_tensor", "probabilities, margins by its logit", "f1", 1)
	f("logistic_columns", "probabilities, margins by its logit", "in_1", 1)
	f("svm_imputed", "probabilities, margins by its logit", "f1", 1)
	f("mlp_binary", "logistic of add_result1", "f1", 1)
	f("mlp_three", "softmax of add_result1", "f1", 3)
	f("mlp_regressor", "", "f1", 1)
	f("mlp_double", "", "f1", 1)
	f("net_sigmoid", "logistic of logits", "f1", 1)
	f("net_double", "logistic of logits", "f1", 1)
	f("net_softmax", "softmax of logits", "f1", 1)
	f("net_softmax3", "softmax of logits", "f1", 3)
	f("net_logits", "", "f1", 1)
}

func TestONNXRows(t *testing.T) {
	m := mustLoad(t, "net_sigmoid")
	margins := make([]float64, 1)
	f := func(row []float64, want error, text string) {
		t.Helper()
		if err := m.Predict(row, nil, margins); !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
			t.Errorf("%v: got %v, want %v with %q", row, err, want, text)
		}
	}
	f([]float64{1, 2, 3}, models.ErrRow, "a row of 3 values")
	f([]float64{1, 2, 3, 4, math.Inf(1)}, models.ErrRow, `column 4 ("f4") is +Inf`)
	f([]float64{1, 2, 1e39, 4, 5}, models.ErrRow, `column 2 ("f2") is 1e+39: the graph takes float32`)
	if err := m.Predict([]float64{1, 2, 3, 4, math.NaN()}, nil, margins); err == nil || !strings.Contains(err.Error(), "the graph gives NaN") {
		t.Errorf("missing, which this graph does not know: %v", err)
	}
	if err := m.Explain(make([]float64, 5), nil, margins, make([]float64, 5)); !errors.Is(err, models.ErrUnexplainable) {
		t.Errorf("explained: %v", err)
	}
	if info := m.Info(); info.Unexplainable == "" || info.Tolerance != onnxruntime.Tolerance || !strings.HasPrefix(info.Backend, "onnxruntime 1.") ||
		!(info.Cost.PredictMicros > 0) || info.Format != models.FormatONNX || info.FormatVersion != "ai.onnx 17" {
		t.Errorf("%+v", info)
	}
	double := mustLoad(t, "net_double")
	if err := double.Predict([]float64{1, 2, math.Inf(-1), 4, 5}, nil, margins); !errors.Is(err, models.ErrRow) {
		t.Errorf("infinite into double: %v", err)
	}
	if err := double.Predict([]float64{1, 2, 1e39, 4, 5}, nil, margins); err != nil {
		t.Errorf("1e39 into double: %v", err)
	}
}

// TestONNXColumnsAreNamed: a matrix has the names that its caller gives.
func TestONNXColumnsAreNamed(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e"}
	m, err := onnxruntime.Load(readModel(t, "net_sigmoid"), config(t), onnxruntime.Options{Columns: names})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(m.Info().FeatureNames(), ""); got != "abcde" {
		t.Errorf("the columns are %q", got)
	}
}

// TestONNXLinkIsTried: a graph that only looks as if a Sigmoid made its two columns is taken as it is.
func TestONNXLinkIsTried(t *testing.T) {
	// y = [2 - sigmoid(x), sigmoid(x)]: no probabilities, which shows when a row is scored.
	two := onnxruntimetest.Message{}.Number(1, 1).Number(1, 1).Number(2, onnxruntimetest.Float).Bytes(4, []byte{0, 0, 0, 0x40}).Text(8, "two")
	concat := onnxruntimetest.Operator("Concat", "p", "rest", "s").Bytes(5, onnxruntimetest.Message{}.Text(1, "axis").Number(3, 1).Number(20, 2))
	g := onnxruntimetest.Message{}.Text(2, "g").Bytes(11, onnxruntimetest.ValueInfo("x", onnxruntimetest.Float, 1, 1)).Bytes(12, onnxruntimetest.ValueInfo("label", onnxruntimetest.Int64, 1)).Bytes(12, onnxruntimetest.ValueInfo("p", onnxruntimetest.Float, 1, 2)).
		Bytes(5, two).Bytes(1, onnxruntimetest.Operator("Sigmoid", "s", "x")).Bytes(1, onnxruntimetest.Operator("Sub", "rest", "two", "s")).Bytes(1, concat).
		Bytes(1, onnxruntimetest.Operator("ArgMax", "label", "p").Bytes(5, onnxruntimetest.Message{}.Text(1, "axis").Number(3, 1).Number(20, 2)).Bytes(5, onnxruntimetest.Message{}.Text(1, "keepdims").Number(3, 0).Number(20, 2)))
	m, err := onnxruntime.Load(onnxruntimetest.File(g), config(t), onnxruntime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Info().Objective; got != "p, margins by its logit" {
		t.Errorf("the objective is %q", got)
	}
	if err := m.Predict([]float64{1}, nil, make([]float64, 1)); err == nil || !strings.Contains(err.Error(), "the graph gives") {
		t.Errorf("a sum of 2: %v", err)
	}
}

// TestONNXHostile: what passes Inspect and is wrong all the same is an error of ONNX Runtime, not the end of the process.
func TestONNXHostile(t *testing.T) {
	f := func(name string, data []byte, want string) {
		t.Helper()
		if _, err := onnxruntime.Load(data, config(t), onnxruntime.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	f("an unknown operator", onnxruntimetest.File(onnxruntimetest.Takes2(onnxruntimetest.Operator("Nonsense", "y", "x"))), "ONNX Runtime refuses it")
	f("a ring", onnxruntimetest.File(onnxruntimetest.Takes2(onnxruntimetest.Operator("Relu", "y", "z"), onnxruntimetest.Operator("Relu", "z", "y"))), "ONNX Runtime refuses it")
	f("no maker", onnxruntimetest.File(onnxruntimetest.Takes2(onnxruntimetest.Operator("Relu", "z", "x"))), "ONNX Runtime refuses it")
	f("nothing but an opset", onnxruntimetest.File(onnxruntimetest.Takes2()), "ONNX Runtime refuses it")
	// y = sum of as many ones as the row says: 8 GB for a value of 1e9, which the arena does not give.
	toInt := onnxruntimetest.Operator("Cast", "n", "x").Bytes(5, onnxruntimetest.Message{}.Text(1, "to").Number(3, onnxruntimetest.Int64).Number(20, 2))
	reshape := onnxruntimetest.Operator("Reshape", "shape", "n", "flat")
	flat := onnxruntimetest.Message{}.Number(1, 1).Number(2, onnxruntimetest.Int64).Bytes(7, []byte{1}).Text(8, "flat")
	sum := onnxruntimetest.Operator("ReduceSum", "y", "many").Bytes(5, onnxruntimetest.Message{}.Text(1, "keepdims").Number(3, 0).Number(20, 2))
	g := onnxruntimetest.Message{}.Text(2, "g").Bytes(11, onnxruntimetest.ValueInfo("x", onnxruntimetest.Float, 1, 1)).Bytes(12, onnxruntimetest.Message{}.Text(1, "y").Bytes(2, onnxruntimetest.Message{}.Bytes(1, onnxruntimetest.Message{}.Number(1, onnxruntimetest.Float)))).
		Bytes(5, flat).Bytes(1, toInt).Bytes(1, reshape).Bytes(1, onnxruntimetest.Operator("ConstantOfShape", "many", "shape")).
		Bytes(1, sum).Bytes(1, onnxruntimetest.Operator("Reshape", "z", "y", "flat")).Bytes(12, onnxruntimetest.ValueInfo("probabilities", onnxruntimetest.Float, 1)).
		Bytes(1, onnxruntimetest.Operator("Identity", "probabilities", "z"))
	m, err := onnxruntime.Load(onnxruntimetest.File(g), config(t), onnxruntime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Predict([]float64{1e9}, nil, make([]float64, 1)); err == nil || !strings.Contains(err.Error(), "the graph fails") {
		t.Errorf("4 GB for one row: %v", err)
	}
	if err := m.Predict([]float64{12}, nil, make([]float64, 1)); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// TestONNXTogether: many goroutines get their own rows' margins.
func TestONNXTogether(t *testing.T) {
	m := mustLoad(t, "net_sigmoid")
	rows := readGolden(t, "net_sigmoid")
	want := make([]float64, len(rows))
	for i := range rows {
		if err := m.Predict(rows[i].x, nil, want[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			margin := make([]float64, 1)
			for n := range 400 {
				i := (n*7 + g) % len(rows)
				if err := m.Predict(rows[i].x, nil, margin); err != nil || margin[0] != want[i] {
					t.Errorf("row %d: %v, %v, want %v", i, margin[0], err, want[i])
					return
				}
			}
		})
	}
	group.Wait()
}

// TestONNXPredictTakesNoMemory: tensors are made when the model is loaded.
func TestONNXPredictTakesNoMemory(t *testing.T) {
	for _, name := range []string{"net_sigmoid", "logistic_zipmap", "logistic_columns", "net_double"} {
		m := mustLoad(t, name)
		row, margins := readGolden(t, name)[0].x, make([]float64, 1)
		if n := testing.AllocsPerRun(100, func() {
			if err := m.Predict(row, nil, margins); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations a row", name, n)
		}
	}
}

func BenchmarkONNXPredict(b *testing.B) {
	for _, name := range []string{"net_sigmoid", "logistic_zipmap", "svm_imputed"} {
		b.Run(name, func(b *testing.B) {
			m := mustLoad(b, name)
			rows, margins := readGolden(b, name), make([]float64, 1)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := m.Predict(rows[i%12].x, nil, margins); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
