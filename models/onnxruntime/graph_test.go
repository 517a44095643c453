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
	weight := func(fields message) []byte { return onnx(takes2(operator("Relu", "y", "x")).bytes(5, fields)) }
	inAttribute := func(fields message) []byte {
		return onnx(takes2(operator("Constant", "c").bytes(5, message{}.text(1, "value").bytes(5, fields))))
	}
	inner := func(n message) message { return message{}.text(1, "then_branch").bytes(6, message{}.bytes(1, n)) }
	deep := operator("Relu", "y", "x")
	for range 10 {
		deep = operator("If", "y", "x").bytes(5, inner(deep))
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
	f("text", []byte("tree\nversion=v4\n"), models.ErrUnsupported, "it is no ONNX file")
	f("cut off", whole[:len(whole)-3], models.ErrUnsupported, "cut off")
	f("a graph cut off inside", onnx(takes2()[:20]), models.ErrUnsupported, "cut off")
	f("two graphs", append(onnx(takes2()), message{}.bytes(7, takes2())...), models.ErrUnsupported, "two graphs")
	f("external", weight(message{}.number(1, 4).number(2, elemFloat).text(8, "w").bytes(13, message{}.text(1, "location").text(2, "../../secret"))),
		models.ErrUnsupported, `constant "w" lies in another file`)
	f("external by its place", weight(message{}.text(8, "w").number(14, 1)), models.ErrUnsupported, "lies in another file")
	f("external in an attribute", inAttribute(message{}.number(14, 1)), models.ErrUnsupported, "lies in another file")
	f("sparse", onnx(takes2().bytes(15, message{}.number(3, 1<<40))), models.ErrUnsupported, "sparse")
	f("sparse in an attribute", onnx(takes2(operator("Constant", "c").bytes(5, message{}.bytes(22, message{}.number(3, 1<<40))))), models.ErrUnsupported, "sparse")
	f("elements", weight(message{}.number(1, 1<<20).number(1, 1<<20).number(2, elemFloat).text(8, "w")), models.ErrLimit, "claims 1099511627776 elements and has")
	f("packed elements", weight(message{}.bytes(1, []byte{0x80, 0x80, 0x80, 0x80, 0x08}).text(8, "w")), models.ErrLimit, "claims")
	f("elements beyond counting", weight(message{}.number(1, 1<<40).number(1, 1<<40)), models.ErrLimit, "than can be counted")
	f("negative", weight(message{}.number(1, math.MaxUint64)), models.ErrLimit, "negative dimension")
	f("two tensors", onnx(takes2(operator("Constant", "c").bytes(5, message{}.bytes(5, message{}.text(8, "w")).bytes(5, nil)))), models.ErrUnsupported, "its tensor twice")
	f("random", onnx(takes2(operator("RandomUniformLike", "y", "x"))), models.ErrUnsupported, "operator RandomUniformLike: it draws random numbers")
	f("loop", onnx(takes2(operator("Loop", "y", "x"))), models.ErrUnsupported, "operator Loop: how long it takes")
	f("a loop within", onnx(takes2(operator("If", "y", "x").bytes(5, inner(operator("Loop", "y", "x"))))), models.ErrUnsupported, "operator Loop")
	f("a loop in a function", append(onnx(takes2()), message{}.bytes(25, message{}.bytes(7, operator("Loop", "y", "x")))...), models.ErrUnsupported, "operator Loop")
	f("a domain", onnx(takes2(operator("Run", "y", "x").text(7, "com.example"))), models.ErrUnsupported, `operator "Run" of domain "com.example"`)
	f("no operator", onnx(takes2(operator("", "y", "x"))), models.ErrUnsupported, "no operator")
	classifier := func(labels int, packed bool) []byte {
		n := operator("LinearClassifier", "y", "x").text(7, "ai.onnx.ml").bytes(5, message{}.text(1, "intercepts").bytes(7, make([]byte, 8)))
		l := message{}.text(1, "classlabels_ints")
		if packed {
			l = l.bytes(8, make([]byte, labels))
		} else {
			for range labels {
				l = l.number(8, 1)
			}
		}
		return onnx(takes2(n.bytes(5, l)))
	}
	f("a class without a label", classifier(1, false), models.ErrUnsupported, "LinearClassifier has 1 labels and 2 intercepts")
	f("no labels", classifier(0, true), models.ErrUnsupported, "LinearClassifier has 0 labels and 2 intercepts")
	for _, packed := range []bool{false, true} {
		if _, err := onnxruntime.Inspect(classifier(2, packed), models.DefaultLimits()); err != nil {
			t.Errorf("a label for each class, packed %v: %v", packed, err)
		}
	}
	f("deep", onnx(takes2(deep)), models.ErrLimit, "nested deeper than 8")
	f("no inputs", onnx(message{}.bytes(12, valueInfo("y", elemFloat, 1, 1))), models.ErrUnsupported, "no inputs")
	f("no outputs", onnx(message{}.bytes(11, valueInfo("x", elemFloat, 1, 1))), models.ErrUnsupported, "no outputs")
	f("dimensions", onnx(message{}.bytes(11, valueInfo("x", elemFloat, 1, 1, 1, 1, 1, 1, 1, 1, 1))), models.ErrLimit, "more than 8 dimensions")
	f("a long name", onnx(message{}.bytes(11, valueInfo(strings.Repeat("x", 2000), elemFloat, 1))), models.ErrLimit, "has 2000 bytes")

	many := message{}
	for range 100_001 {
		many = many.bytes(1, operator("Relu", "y", "x"))
	}
	f("nodes", onnx(many), models.ErrLimit, "more than 100000 nodes")
	small := models.DefaultLimits()
	small.MaxFileBytes = 100
	if _, err := onnxruntime.Inspect(whole, small); !errors.Is(err, models.ErrLimit) {
		t.Errorf("a large file: %v", err)
	}
}

// TestLoadRefuses: graphs whose inputs or outputs are of no use are refused before there need be a library.
func TestLoadRefuses(t *testing.T) {
	io := func(values ...message) []byte {
		var g message
		for i, v := range values[:len(values)-1] {
			_ = i
			g = g.bytes(11, v)
		}
		return onnx(g.bytes(12, values[len(values)-1]).bytes(1, operator("Relu", "y", "x")))
	}
	out := valueInfo("y", elemFloat, 1, 1)
	f := func(name string, data []byte, columns []string, want string) {
		t.Helper()
		_, err := onnxruntime.Load(data, onnxruntime.Config{}, onnxruntime.Options{Columns: columns})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	f("strings", io(valueInfo("x", elemString, 1, 2), out), nil, `input "x" is of type string`)
	f("a rank of 1", io(valueInfo("x", elemFloat, 2), out), nil, `input "x" has the shape [2]`)
	f("a fixed batch", io(valueInfo("x", elemFloat, 16, 2), out), nil, `input "x" has the shape [16 2]`)
	f("two matrices", io(valueInfo("x", elemFloat, 1, 2), valueInfo("z", elemFloat, 1, 2), out), nil, "either one matrix or one input for each column")
	f("no columns", io(message{}.text(1, "x").bytes(2, message{}.bytes(1, message{}.number(1, elemFloat).bytes(2, message{}.bytes(1, nil).bytes(1, nil)))), out), nil, "name them")
	f("too few names", io(valueInfo("x", elemFloat, 1, 2), out), []string{"a"}, "has 2 columns, and 1 are named")
	f("other names", io(valueInfo("x", elemFloat, 1, 1), valueInfo("z", elemFloat, 1, 1), out), []string{"x", "y"}, "are said to be")
	f("a label alone", io(valueInfo("x", elemFloat, 1, 2), valueInfo("y", elemInt64, 1)), nil, "no output is a tensor of float or double")
	f("a sequence", io(valueInfo("x", elemFloat, 1, 2), message{}.text(1, "y").bytes(2, message{}.bytes(4, nil))), nil, "is a sequence that no ZipMap makes")
	two := takes2(operator("Relu", "y", "x")).bytes(12, valueInfo("z", elemDouble, 1, 1))
	f("two scores", onnx(two), nil, "are all numbers: leave one")
	f("no library", onnx(takes2(operator("Relu", "y", "x"))), nil, onnxruntime.ErrLibrary.Error())
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
	f.Add(onnx(takes2(operator("If", "y", "x").bytes(5, message{}.bytes(6, takes2())))))
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
