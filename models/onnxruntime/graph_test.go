package onnxruntime_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pitboss/models"
	"pitboss/models/onnxruntime"
	"pitboss/models/onnxruntime/onnxruntimetest"
)

const testdata = "../testdata/onnxruntime"

func readModel(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testdata, name+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestInspect(t *testing.T) {
	g, err := onnxruntime.Inspect(readModel(t, "mlp_binary"), models.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	want := &onnxruntime.Graph{
		Producer: "skl2onnx 1.20.0",
		Opsets:   []onnxruntime.Opset{{Domain: "ai.onnx.ml", Version: 1}, {Domain: "ai.onnx", Version: 17}},
		Inputs:   []onnxruntime.Value{{Name: "X", Type: "float", Dims: []int64{-1, 5}}},
		Outputs:  []onnxruntime.Value{{Name: "label", Type: "int64", Dims: []int64{-1}}, {Name: "probabilities", Type: "float", Dims: []int64{-1, 2}}},
		Ops: []onnxruntime.OpCount{
			{Op: "Add", Count: 2}, {Op: "Cast", Count: 2}, {Op: "MatMul", Count: 2}, {Op: "ArgMax", Count: 1}, {Op: "Concat", Count: 1},
			{Op: "Relu", Count: 1}, {Op: "Reshape", Count: 1}, {Op: "Sigmoid", Count: 1}, {Op: "Sub", Count: 1},
			{Op: "ai.onnx.ml.ArrayFeatureExtractor", Count: 1}, {Op: "ai.onnx.ml.Scaler", Count: 1},
		},
		Nodes: 14, Weights: g.Weights, WeightBytes: g.WeightBytes,
	}
	if diff := cmp.Diff(want, g, cmpopts.IgnoreUnexported(onnxruntime.Graph{}), cmpopts.SortSlices(func(a, b onnxruntime.Opset) bool { return a.Domain < b.Domain })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if g.Weights < 5 || g.WeightBytes < 4*(5*8+8+8+1) {
		t.Errorf("%d constants of %d bytes", g.Weights, g.WeightBytes)
	}
}

// TestInspectRefuses: what must not reach C++ is refused by name.
func TestInspectRefuses(t *testing.T) {
	weight := func(fields onnxruntimetest.Message) []byte {
		return onnxruntimetest.File(onnxruntimetest.Takes2(onnxruntimetest.Operator("Relu", "y", "x")).Bytes(5, fields))
	}
	inAttribute := func(fields onnxruntimetest.Message) []byte {
		return onnxruntimetest.File(onnxruntimetest.Takes2(onnxruntimetest.Operator("Constant", "c").Bytes(5, onnxruntimetest.Message{}.Text(1, "value").Bytes(5, fields))))
	}
	inner := func(n onnxruntimetest.Message) onnxruntimetest.Message {
		return onnxruntimetest.Message{}.Text(1, "then_branch").Bytes(6, onnxruntimetest.Message{}.Bytes(1, n))
	}
	deep := onnxruntimetest.Operator("Relu", "y", "x")
	for range 10 {
		deep = onnxruntimetest.Operator("If", "y", "x").Bytes(5, inner(deep))
	}
	f := func(name string, data []byte, sentinel error, want string) {
		t.Helper()
		_, err := onnxruntime.Inspect(data, models.DefaultLimits())
		if !errors.Is(err, sentinel) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %v with %q", name, err, sentinel, want)
		}
	}
	whole := readModel(t, "mlp_three")
	f("empty", nil, models.ErrUnsupported, "no graph in it")
	f("text", []byte("tree\nversion=v4\n"), models.ErrUnsupported, "no ONNX")
	f("cut off", whole[:len(whole)-3], models.ErrUnsupported, "cut off")
	f("a graph cut off inside", onnxruntimetest.File(onnxruntimetest.Takes2()[:20]), models.ErrUnsupported, "cut off")
	f("two graphs", append(onnxruntimetest.File(onnxruntimetest.Takes2()), onnxruntimetest.Message{}.Bytes(7, onnxruntimetest.Takes2())...), models.ErrUnsupported, "two graphs")
	f("external", weight(onnxruntimetest.Message{}.Number(1, 4).Number(2, onnxruntimetest.Float).Text(8, "w").Bytes(13, onnxruntimetest.Message{}.Text(1, "location").Text(2, "../../secret"))),
		models.ErrUnsupported, `constant "w" lies in another file`)
	f("external by its place", weight(onnxruntimetest.Message{}.Text(8, "w").Number(14, 1)), models.ErrUnsupported, "lies in another file")
	f("external in an attribute", inAttribute(onnxruntimetest.Message{}.Number(14, 1)), models.ErrUnsupported, "lies in another file")
	f("sparse", onnxruntimetest.File(onnxruntimetest.Takes2().Bytes(15, onnxruntimetest.Message{}.Number(3, 1<<40))), models.ErrUnsupported, "sparse")
	f("sparse in an attribute", onnxruntimetest.File(onnxruntimetest.Takes2(onnxruntimetest.Operator("Constant", "c").Bytes(5, onnxruntimetest.Message{}.Bytes(22, onnxruntimetest.Message{}.Number(3, 1<<40))))), models.ErrUnsupported, "sparse")
	f("elements", weight(onnxruntimetest.Message{}.Number(1, 1<<20).Number(1, 1<<20).Number(2, onnxruntimetest.Float).Text(8, "w")), models.ErrLimit, "claims 1099511627776 elements and has")
	f("packed elements", weight(onnxruntimetest.Message{}.Bytes(1, []byte{0x80, 0x80, 0x80, 0x80, 0x08}).Text(8, "w")), models.ErrLimit, "claims")
	f("elements beyond counting", weight(onnxruntimetest.Message{}.Number(1, 1<<40).Number(1, 1<<40)), models.ErrLimit, "than can be counted")
	f("negative", weight(onnxruntimetest.Message{}.Number(1, math.MaxUint64)), models.ErrLimit, "negative dimension")
	f("two tensors", onnxruntimetest.File(onnxruntimetest.Takes2(onnxruntimetest.Operator("Constant", "c").Bytes(5, onnxruntimetest.Message{}.Bytes(5, onnxruntimetest.Message{}.Text(8, "w")).Bytes(5, nil)))), models.ErrUnsupported, "its tensor twice")
	f("random", onnxruntimetest.File(onnxruntimetest.Takes2(onnxruntimetest.Operator("RandomUniformLike", "y", "x"))), models.ErrUnsupported, "operator RandomUniformLike: it draws random numbers")
	f("loop", onnxruntimetest.File(onnxruntimetest.Takes2(onnxruntimetest.Operator("Loop", "y", "x"))), models.ErrUnsupported, "operator Loop: how long it takes")
	f("a loop within", onnxruntimetest.File(onnxruntimetest.Takes2(onnxruntimetest.Operator("If", "y", "x").Bytes(5, inner(onnxruntimetest.Operator("Loop", "y", "x"))))), models.ErrUnsupported, "operator Loop")
	f("a loop in a function", append(onnxruntimetest.File(onnxruntimetest.Takes2()), onnxruntimetest.Message{}.Bytes(25, onnxruntimetest.Message{}.Bytes(7, onnxruntimetest.Operator("Loop", "y", "x")))...), models.ErrUnsupported, "operator Loop")
	f("a domain", onnxruntimetest.File(onnxruntimetest.Takes2(onnxruntimetest.Operator("Run", "y", "x").Text(7, "com.example"))), models.ErrUnsupported, `operator "Run" of domain "com.example"`)
	f("no operator", onnxruntimetest.File(onnxruntimetest.Takes2(onnxruntimetest.Operator("", "y", "x"))), models.ErrUnsupported, "no operator")
	classifier := func(labels int, packed bool) []byte {
		n := onnxruntimetest.Operator("LinearClassifier", "y", "x").Text(7, "ai.onnx.ml").Bytes(5, onnxruntimetest.Message{}.Text(1, "intercepts").Bytes(7, make([]byte, 8)))
		l := onnxruntimetest.Message{}.Text(1, "classlabels_ints")
		if packed {
			l = l.Bytes(8, make([]byte, labels))
		} else {
			for range labels {
				l = l.Number(8, 1)
			}
		}
		return onnxruntimetest.File(onnxruntimetest.Takes2(n.Bytes(5, l)))
	}
	f("a class without a label", classifier(1, false), models.ErrUnsupported, "LinearClassifier has 1 labels and 2 intercepts")
	f("no labels", classifier(0, true), models.ErrUnsupported, "LinearClassifier has 0 labels and 2 intercepts")
	for _, packed := range []bool{false, true} {
		if _, err := onnxruntime.Inspect(classifier(2, packed), models.DefaultLimits()); err != nil {
			t.Errorf("a label for each class, packed %v: %v", packed, err)
		}
	}
	f("deep", onnxruntimetest.File(onnxruntimetest.Takes2(deep)), models.ErrLimit, "nested deeper than 8")
	f("no inputs", onnxruntimetest.File(onnxruntimetest.Message{}.Bytes(12, onnxruntimetest.ValueInfo("y", onnxruntimetest.Float, 1, 1))), models.ErrUnsupported, "no inputs")
	f("no outputs", onnxruntimetest.File(onnxruntimetest.Message{}.Bytes(11, onnxruntimetest.ValueInfo("x", onnxruntimetest.Float, 1, 1))), models.ErrUnsupported, "no outputs")
	f("dimensions", onnxruntimetest.File(onnxruntimetest.Message{}.Bytes(11, onnxruntimetest.ValueInfo("x", onnxruntimetest.Float, 1, 1, 1, 1, 1, 1, 1, 1, 1))), models.ErrUnsupported, "more than 8 dimensions")
	f("a long name", onnxruntimetest.File(onnxruntimetest.Message{}.Bytes(11, onnxruntimetest.ValueInfo(strings.Repeat("x", 20_000), onnxruntimetest.Float, 1))), models.ErrUnsupported, "no string of at most 16384 bytes")

	many := onnxruntimetest.Message{}
	for range 100_001 {
		many = many.Bytes(1, onnxruntimetest.Operator("Relu", "y", "x"))
	}
	f("nodes", onnxruntimetest.File(many), models.ErrLimit, "more than 100000 nodes")
	small := models.DefaultLimits()
	small.MaxFileBytes = 100
	if _, err := onnxruntime.Inspect(whole, small); !errors.Is(err, models.ErrLimit) {
		t.Errorf("a large file: %v", err)
	}
}

// TestLoadRefuses: graphs whose inputs or outputs are of no use are refused before there need be a library.
func TestLoadRefuses(t *testing.T) {
	io := func(values ...onnxruntimetest.Message) []byte {
		var g onnxruntimetest.Message
		for i, v := range values[:len(values)-1] {
			_ = i
			g = g.Bytes(11, v)
		}
		return onnxruntimetest.File(g.Bytes(12, values[len(values)-1]).Bytes(1, onnxruntimetest.Operator("Relu", "y", "x")))
	}
	out := onnxruntimetest.ValueInfo("y", onnxruntimetest.Float, 1, 1)
	f := func(name string, data []byte, columns []string, want string) {
		t.Helper()
		_, err := onnxruntime.Load(data, onnxruntime.Config{}, onnxruntime.Options{Columns: columns})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	f("strings", io(onnxruntimetest.ValueInfo("x", onnxruntimetest.String, 1, 2), out), nil, `input "x" is of type string`)
	f("a rank of 1", io(onnxruntimetest.ValueInfo("x", onnxruntimetest.Float, 2), out), nil, `input "x" has the shape [2]`)
	f("a fixed batch", io(onnxruntimetest.ValueInfo("x", onnxruntimetest.Float, 16, 2), out), nil, `input "x" has the shape [16 2]`)
	f("two matrices", io(onnxruntimetest.ValueInfo("x", onnxruntimetest.Float, 1, 2), onnxruntimetest.ValueInfo("z", onnxruntimetest.Float, 1, 2), out), nil, "either one matrix or one input for each column")
	f("no columns", io(onnxruntimetest.Message{}.Text(1, "x").Bytes(2, onnxruntimetest.Message{}.Bytes(1, onnxruntimetest.Message{}.Number(1, onnxruntimetest.Float).Bytes(2, onnxruntimetest.Message{}.Bytes(1, nil).Bytes(1, nil)))), out), nil, "name them")
	f("too few names", io(onnxruntimetest.ValueInfo("x", onnxruntimetest.Float, 1, 2), out), []string{"a"}, "has 2 columns, and 1 are named")
	f("other names", io(onnxruntimetest.ValueInfo("x", onnxruntimetest.Float, 1, 1), onnxruntimetest.ValueInfo("z", onnxruntimetest.Float, 1, 1), out), []string{"x", "y"}, "are said to be")
	f("a label alone", io(onnxruntimetest.ValueInfo("x", onnxruntimetest.Float, 1, 2), onnxruntimetest.ValueInfo("y", onnxruntimetest.Int64, 1)), nil, "no output is a tensor of float or double")
	f("a sequence", io(onnxruntimetest.ValueInfo("x", onnxruntimetest.Float, 1, 2), onnxruntimetest.Message{}.Text(1, "y").Bytes(2, onnxruntimetest.Message{}.Bytes(4, nil))), nil, "is a sequence that no ZipMap makes")
	two := onnxruntimetest.Takes2(onnxruntimetest.Operator("Relu", "y", "x")).Bytes(12, onnxruntimetest.ValueInfo("z", onnxruntimetest.Double, 1, 1))
	f("two scores", onnxruntimetest.File(two), nil, "are all numbers: leave one")
	f("no library", onnxruntimetest.File(onnxruntimetest.Takes2(onnxruntimetest.Operator("Relu", "y", "x"))), nil, onnxruntime.ErrLibrary.Error())
}

// FuzzInspect: no file takes more than its size allows, and none panics. C++ is not asked.
func FuzzInspect(f *testing.F) {
	names, err := filepath.Glob(filepath.Join(testdata, "*.onnx"))
	if err != nil || len(names) == 0 {
		f.Fatal("no graphs to begin with", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(onnxruntimetest.File(onnxruntimetest.Takes2(onnxruntimetest.Operator("If", "y", "x").Bytes(5, onnxruntimetest.Message{}.Bytes(6, onnxruntimetest.Takes2())))))
	f.Fuzz(func(t *testing.T, data []byte) {
		limits := models.DefaultLimits()
		if g, err := onnxruntime.Inspect(data, limits); err == nil && (len(g.Inputs) == 0 || g.Nodes > len(data)) {
			t.Errorf("%d inputs, %d nodes in %d bytes", len(g.Inputs), g.Nodes, len(data))
		}
		if _, err := onnxruntime.Load(data, onnxruntime.Config{}, onnxruntime.Options{Limits: limits}); err == nil {
			t.Error("a graph was loaded without a library")
		}
	})
}
