package models_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pitboss/models"
)

func ml(op string, in, out []string, attributes map[string]any) onnxOp {
	return onnxOp{op: op, domain: "ai.onnx.ml", in: in, out: out, attributes: attributes}
}

func plainOp(op, out string, in ...string) onnxOp {
	return onnxOp{op: op, in: in, out: []string{out}}
}

// TestONNXRefusals: what is not served is refused by name, what is wrong with a word on what it is.
func TestONNXRefusals(t *testing.T) {
	good := onnxRegressor("x", "y", onnxStump())
	f := func(name string, data []byte, want string, is error) {
		t.Helper()
		_, err := models.LoadONNX(data, models.DefaultLimits())
		if err == nil || !strings.Contains(err.Error(), want) || is != nil && !errors.Is(err, is) {
			t.Errorf("%s: got %v, want an error with %q", name, err, want)
		}
	}
	with := func(key string, v any) onnxOp {
		op := onnxRegressor("x", "y", onnxStump())
		op.attributes[key] = v
		return op
	}
	tree := func(nodes ...onnxBranch) []byte { return onnxFile(2, nil, onnxRegressor("x", "y", nodes)) }
	between := func(constants []onnxTensor, ops ...onnxOp) []byte {
		return onnxFile(2, constants, append([]onnxOp{onnxRegressor("x", "t", onnxStump())}, ops...)...)
	}
	one := onnxTensor{name: "c", values: []float32{2}, dims: []int{1}}
	f("another operator", onnxFile(2, nil, plainOp("MatMul", "y", "x", "w")), "operator MatMul", models.ErrUnsupported)
	f("another domain", between(nil, onnxOp{op: "Gelu", domain: "com.microsoft", in: []string{"t"}, out: []string{"y"}}), "com.microsoft.Gelu", models.ErrUnsupported)
	f("no trees", onnxFile(2, nil, plainOp("Identity", "y", "x")), "not made by trees", models.ErrUnsupported)
	f("two ensembles", onnxFile(2, nil, onnxRegressor("x", "t", onnxStump()), onnxRegressor("x", "u", onnxStump()), plainOp("Add", "y", "t", "u")), "more than one ensemble", models.ErrUnsupported)
	f("scores of scores", onnxFile(2, nil, onnxRegressor("x", "t", onnxStump()[:1]), plainOp("Identity", "y", "t")), "children", nil)
	f("a sigmoid in front", onnxFile(2, nil, plainOp("Sigmoid", "z", "x"), onnxRegressor("z", "y", onnxStump())), "before the trees", models.ErrUnsupported)
	f("after a softmax", between([]onnxTensor{one}, plainOp("Softmax", "s", "t"), plainOp("Add", "y", "s", "c")), "made together", models.ErrUnsupported)
	f("a column too few", onnxFile(1, nil, good), "tests column 1 of 1", nil)
	f("open width", onnxFile(0, nil, good), "how many columns", models.ErrUnsupported)
	f("unknown attribute", onnxFile(2, nil, with("nodes_magic", 1)), "nodes_magic", models.ErrUnsupported)
	f("unknown mode", onnxFile(2, nil, with("nodes_modes", []string{"BRANCH_LEQ", "LEAF", "BRANCH_MAYBE", "LEAF", "LEAF"})), "BRANCH_MAYBE", models.ErrUnsupported)
	f("short array", onnxFile(2, nil, with("nodes_truenodeids", []int{1, 0, 3, 0})), "nodes_truenodeids has 4 values, want 5", nil)
	f("huge ids", onnxFile(2, nil, with("nodes_treeids", []int{0, 0, 0, 0, 1 << 31})), "nodes_treeids", nil)
	f("negative ids", onnxFile(2, nil, with("nodes_nodeids", []int{0, 1, 2, 3, -1})), "nodes_nodeids", nil)
	f("doubled ids", onnxFile(2, nil, with("nodes_nodeids", []int{0, 1, 2, 3, 3})), "node 3 is there twice", nil)
	f("trees in pieces", onnxFile(2, nil, with("nodes_treeids", []int{0, 0, 1, 0, 0})), "do not stand together", nil)
	f("weight elsewhere", onnxFile(2, nil, with("target_nodeids", []int{1, 3, 9})), "node 9 of tree 0", nil)
	f("two weights", onnxFile(2, nil, with("target_nodeids", []int{1, 3, 3})), "a leaf has no weight", nil)
	f("infinite leaf", tree(onnxBranch{"", 0, float32(math.Inf(1)), 0, 0}), "is +Inf", nil)
	f("huge leaf", tree(onnxBranch{"", 0, 3e38, 0, 0}), "add up to", models.ErrLimit)
	f("NaN threshold", tree(onnxBranch{"LEQ", 0, float32(math.NaN()), 1, 1}, onnxBranch{}), "compares with NaN", nil)
	f("own child", tree(onnxBranch{"LEQ", 0, 1, 0, 1}, onnxBranch{}), "its own descendants", nil)
	f("a cycle", tree(onnxBranch{"EQ", 0, 1, 2, 1}, onnxBranch{"EQ", 0, 2, 2, 0}, onnxBranch{}), "its own descendants", nil)
	f("MIN without a target", onnxFile(2, nil, func() onnxOp {
		op := with("aggregate_function", "MIN")
		op.attributes["n_targets"] = 2
		return op
	}()), "nothing for output 1", models.ErrUnsupported)
	f("targets beyond the limit", onnxFile(2, nil, with("n_targets", 1<<30)), "MaxOutputs", models.ErrLimit)
	f("external data", between([]onnxTensor{{name: "c", values: []float32{1}, dims: []int{1}, extra: protoBuilder{}.varint(14, 1)}}, plainOp("Add", "y", "t", "c")), "outside of the file", models.ErrUnsupported)
	f("wrong dimensions", between([]onnxTensor{{name: "c", values: []float32{1}, dims: []int{1 << 30, 1 << 30}}}, plainOp("Add", "y", "t", "c")), "tensor \"c\"", models.ErrLimit)
	f("replaced number", onnxFile(2, nil, ml("Imputer", []string{"x"}, []string{"z"}, map[string]any{"imputed_value_floats": []float32{1}, "replaced_value_float": float32(-1)}),
		onnxRegressor("z", "y", onnxStump())), "replaces -1", models.ErrUnsupported)
	f("equality behind a scaler", onnxFile(2, nil, ml("Scaler", []string{"x"}, []string{"z"}, map[string]any{"offset": []float32{1}, "scale": []float32{2}}),
		onnxRegressor("z", "y", []onnxBranch{{"EQ", 0, 1, 1, 2}, {}, {}})), "behind a scaler", models.ErrUnsupported)
	f("overflow in front", onnxFile(2, []onnxTensor{{name: "c", values: []float32{1e38}, dims: []int{1}}, {name: "z", values: []float32{0}, dims: []int{1}}},
		plainOp("Mul", "a", "x", "c"), plainOp("Mul", "b", "a", "z"), onnxRegressor("b", "y", onnxStump())), "at its ends", models.ErrUnsupported)
	f("two of one name", between(nil, plainOp("Exp", "t", "t"), plainOp("Identity", "y", "t")), "there twice", nil)
	f("nothing but a version", protoBuilder{}.varint(1, 9), "no graph", nil)
}

// TestONNXTruncated: a file that ends early, or that has a byte changed, is refused or still a model; it is never a panic.
func TestONNXTruncated(t *testing.T) {
	for _, name := range []string{"sk_columns", "lgb_categories", "sk_boosted_binary"} {
		data := readONNX(t, name).text
		for n := range data {
			if _, err := models.LoadONNX(data[:n], models.DefaultLimits()); err == nil {
				t.Fatalf("%s: the first %d of %d bytes are a model", name, n, len(data))
			}
		}
	}
}

// TestONNXSharedNodes: nodes with several parents are unrolled as far as the limits go; a chain of tests for equality with one
// way out is one test.
func TestONNXSharedNodes(t *testing.T) {
	f := func(name string, nodes int) {
		t.Helper()
		if info := mustLoad(t, readONNX(t, name).text).Info(); info.Nodes != nodes {
			t.Errorf("%s: %d nodes, want %d", name, info.Nodes, nodes)
		}
	}
	f("hand_shared_nodes", 4) // the set, x2 <= 0, and the shared node twice
	f("hand_copied_nodes", 2)
	ladder := func(rungs int) []byte { // each rung leads to the next by both of its sides
		nodes := make([]onnxBranch, 0, rungs+1)
		for i := range rungs {
			nodes = append(nodes, onnxBranch{"LEQ", 0, float32(i), i + 1, i + 1})
		}
		return onnxFile(1, nil, onnxRegressor("x", "y", append(nodes, onnxBranch{value: 1})))
	}
	if info := mustLoad(t, ladder(10)).Info(); info.Nodes != 1<<10-1 {
		t.Errorf("10 rungs: %d nodes", info.Nodes)
	}
	limits := models.DefaultLimits()
	limits.MaxNodes = 100_000
	if _, err := models.LoadONNX(ladder(60), limits); !errors.Is(err, models.ErrLimit) {
		t.Errorf("60 rungs: %v", err)
	}
}

// TestONNXDeep: a tree of 50,000 splits in a row loads, scores, and says why it does not explain.
func TestONNXDeep(t *testing.T) {
	const depth = 50_000
	nodes := make([]onnxBranch, 0, 2*depth+1)
	for i := range depth {
		nodes = append(nodes, onnxBranch{"LEQ", i % 100, float32(i / 100), 2*i + 1, 2*i + 2}, onnxBranch{value: float32(i)})
	}
	m, err := models.LoadWith(onnxFile(100, nil, onnxRegressor("x", "y", append(nodes, onnxBranch{value: -1}))), models.Options{Reference: [][]float64{make([]float64, 100)}})
	if err != nil {
		t.Fatal(err)
	}
	row, margins := make([]float64, 100), []float64{0}
	for i := range row {
		row[i] = 400.5
	}
	var s models.Scratch
	if err := m.Predict(row, &s, margins); err != nil || margins[0] != 40_100 {
		t.Errorf("margin %v, error %v", margins, err)
	}
	if why := m.Info().Unexplainable; !strings.Contains(why, "100 different features") {
		t.Errorf("unexplainable: %q", why)
	}
}

// TestONNXBehindScalers: rows are scored as if they went through the arithmetic in front of the trees one value at a time, also beside the
// places where it carries them over a threshold.
func TestONNXBehindScalers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var s models.Scratch
	for i := range 200 {
		offset, scale, threshold := float32(r.NormFloat64()), float32(r.NormFloat64()*3), float32(r.NormFloat64())
		mode := []string{"LEQ", "LT", "GTE", "GT"}[i%4]
		m := mustLoad(t, onnxFile(1, nil, ml("Scaler", []string{"x"}, []string{"z"}, map[string]any{"offset": []float32{offset}, "scale": []float32{scale}}),
			onnxRegressor("z", "y", []onnxBranch{{mode, 0, threshold, 1, 2}, {value: 1}, {value: 2}})))
		x := threshold/scale + offset
		for range 20 {
			x = math.Nextafter32(x, float32(math.Inf(-1)))
		}
		for range 40 {
			z := float32(float32(x-offset) * scale)
			yes := map[string]bool{"LEQ": z <= threshold, "LT": z < threshold, "GTE": z >= threshold, "GT": z > threshold}[mode]
			margins := []float64{0}
			if err := m.Predict([]float64{float64(x)}, &s, margins); err != nil {
				t.Fatal(err)
			}
			if (margins[0] == 1) != yes {
				t.Fatalf("x = %v, (x - %v) * %v = %v %s %v: margin %v", x, offset, scale, z, mode, threshold, margins[0])
			}
			x = math.Nextafter32(x, float32(math.Inf(1)))
		}
	}
}

// TestONNXNames: columns are called what the graph calls them, or what the caller does.
func TestONNXNames(t *testing.T) {
	names := func(data []byte, given ...string) string {
		m, err := models.LoadWith(data, models.Options{Names: given})
		if err != nil {
			return err.Error()
		}
		return strings.Join(m.Info().FeatureNames(), ",")
	}
	file := onnxFile(2, nil, onnxRegressor("x", "y", onnxStump()))
	columns := readONNX(t, "sk_columns").text
	for _, test := range []struct{ got, want string }{
		{names(file), "f0,f1"},
		{names(file, "a", "b"), "a,b"},
		{names(file, "a"), "cannot load an ONNX model: it has 2 columns, and is given 1 names"},
		{names(file, "a", "a"), `cannot load an ONNX model: name 1 is empty, too long or there twice: "a"`},
		{names(columns), "bets_1h,amount,hour,age,deposits"},
		{names(columns, "a", "b", "c", "d", "e"), "cannot load an ONNX model: it names its columns itself, and must not be given names"},
	} {
		if test.got != test.want {
			t.Errorf("got %s, want %s", test.got, test.want)
		}
	}
}

// TestONNXInfo: what the files say of themselves.
func TestONNXInfo(t *testing.T) {
	f := func(name, want string) {
		t.Helper()
		i := mustLoad(t, readONNX(t, name).text).Info()
		got := fmt.Sprintf("%s, %s, %s; %d outputs, %d trees in %d, probability %v; %s", i.FormatVersion, i.Boosting, i.Objective, i.Outputs, i.Trees, i.Iterations, i.Probability, i.Unexplainable)
		if got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
		}
	}
	const none = "; ONNX files have no training counts: a reference sample can stand in for them"
	f("sk_forest_binary", "ai.onnx.ml 1, TreeEnsembleClassifier, none; 1 outputs, 4 trees in 4, probability true"+none)
	f("sk_forest_three", "ai.onnx.ml 1, TreeEnsembleClassifier, none; 3 outputs, 12 trees in 4, probability true"+none)
	f("sk_boosted_binary", "ai.onnx.ml 1, TreeEnsembleClassifier, logistic; 1 outputs, 5 trees in 5, probability true"+none)
	f("lgb_three", "ai.onnx.ml 1, TreeEnsembleClassifier, softmax; 3 outputs, 9 trees in 9, probability true"+none)
	f("lgb_poisson", "ai.onnx.ml 1, TreeEnsembleRegressor, exp; 1 outputs, 5 trees in 5, probability false"+none)
	f("linked_base", "ai.onnx.ml 5, TreeEnsemble, logistic; 1 outputs, 2 trees in 2, probability true"+none)
	f("hand_max", "ai.onnx.ml 3, TreeEnsembleRegressor, none; 1 outputs, 3 trees in 3, probability false; the smallest or largest of the trees has no exact path-dependent contributions")
}
