package models_test

import (
	"bytes"
	"errors"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pitboss/models"
)

// FuzzLoad: whatever the file, loading ends with a model that scores and explains, or with an error; never with a
// panic, a hang, or memory beyond the limits.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(smallText()))
	f.Add(lightGBMText([]*oracleNode{smallTree(), {value: 1}, smallTree()}, 3, 3, "multiclass num_class:3"))
	f.Add([]byte("tree\r\nversion=v2\r\nnum_class=1\r\nnum_tree_per_iteration=1\r\nmax_feature_idx=0\r\nfeature_names=a\r\naverage_output\r\n\r\nend of trees\r\n"))
	for _, name := range []string{"linear_nan", "categorical_zero_as_missing", "v2_rf", "v3_multiclass", "one_leaf", "inf_threshold"} {
		f.Add(readGolden(f, name).text)
	}
	f.Fuzz(fuzzFile)
}

// FuzzLoadEdited changes the values of two lines of a good file, which gets further than changing bytes.
func FuzzLoadEdited(f *testing.F) {
	tree := smallTree()
	tree.left = &oracleNode{feature: 2, threshold: math.Inf(1), missing: 1, cover: 10, defaultLeft: true,
		left: &oracleNode{value: -1, cover: 4}, right: &oracleNode{value: 1, cover: 6}}
	lines := strings.Split(string(lightGBMText([]*oracleNode{tree, smallTree(), {value: 1}}, 3, 1, "binary sigmoid:1")), "\n")
	for i, line := range lines {
		_, value, _ := strings.Cut(line, "=")
		f.Add(uint8(i), value, uint8(i+1), "0 1 2")
		f.Add(uint8(i), "-1 -2 -3", uint8(i+7), "1")
	}
	f.Fuzz(func(t *testing.T, one uint8, oneValue string, two uint8, twoValue string) {
		edited := slices.Clone(lines)
		for i, v := range map[uint8]string{one: oneValue, two: twoValue} {
			line := &edited[int(i)%len(lines)]
			key, _, _ := strings.Cut(*line, "=")
			*line = key + "=" + v
		}
		fuzzFile(t, []byte(strings.Join(edited, "\n")))
	})
}

// FuzzXGBoostJSON: the same for XGBoost's files as text.
func FuzzXGBoostJSON(f *testing.F) {
	f.Add([]byte(smallXGBoost))
	for _, name := range []string{"v17_dart.json", "v32_one_leaf.json", "v32_targets.json", "v34_dart.json", "v32_pruned.json"} {
		f.Add(readXGBoost(f, name).text)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || data[0] != '{' {
			return
		}
		fuzzFile(t, data)
	})
}

// FuzzXGBoostEdited changes two values of a good file, which gets further than changing bytes.
func FuzzXGBoostEdited(f *testing.F) {
	value := regexp.MustCompile(`"[^":\\]*"|-?\d[0-9.E]*|NaN|-Infinity|false`)
	places := value.FindAllStringIndex(smallXGBoost, -1)
	for i := range places {
		f.Add(uint8(i), "-1", uint8(i+1), "2")
		f.Add(uint8(i), "16777215", uint8(i+9), `"x"`)
		f.Add(uint8(i), "[]", uint8(i+20), "3E38")
	}
	f.Fuzz(func(t *testing.T, one uint8, oneValue string, two uint8, twoValue string) {
		first, second := int(one)%len(places), int(two)%len(places)
		if first > second {
			first, second = second, first
		}
		a, b := places[first], places[second]
		text := smallXGBoost[:a[0]] + oneValue
		if first != second {
			text += smallXGBoost[a[1]:b[0]] + twoValue
		}
		fuzzFile(t, []byte(text+smallXGBoost[b[1]:]))
	})
}

// FuzzUBJ: the same for XGBoost's files as UBJSON.
func FuzzUBJ(f *testing.F) {
	f.Add([]byte("{" + ubjKey("version") + "[$U#U\x03\x03\x02\x00}"))
	f.Add([]byte("{#U\x01" + ubjKey("Config") + "[{U\x01aZU\x01bT}[#U\x02SU\x01xCy[$d#i\x01\x00\x00\x00\x00]"))
	for _, name := range []string{"v17_binary_nan.ubj", "v21_categorical_nan.ubj", "v32_softmax.ubj", "v34_dart_multiclass.ubj"} {
		f.Add(readXGBoost(f, name).text)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzFile(t, append([]byte("{"), bytes.TrimPrefix(data, []byte("{"))...))
	})
}

// FuzzONNX: the same for ONNX.
func FuzzONNX(f *testing.F) {
	for _, name := range []string{"sk_columns", "sk_forest_three_zipmap", "lgb_categories", "linked_sum", "linked_base", "hand_shared_nodes", "hand_double_average",
		"hand_softmax_zero_three_classes", "post_linear", "front_some_cast", "front_imputed_twice"} {
		f.Add(readONNX(f, name).text)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzFile(t, append([]byte{8}, bytes.TrimPrefix(data, []byte{8})...))
	})
}

// FuzzONNXTree makes the arrays of one tree of bytes, which gets further than changing bytes of a file.
func FuzzONNXTree(f *testing.F) {
	f.Add([]byte{0, 0, 1, 1, 2, 6, 0, 0, 0, 0, 6, 0, 9, 0, 0})
	f.Add([]byte{4, 0, 1, 2, 1, 4, 0, 3, 2, 3, 3, 1, 250, 4, 2, 6, 0, 7, 0, 0, 6, 0, 8, 0, 0})
	f.Add([]byte{4, 0, 1, 1, 1, 4, 0, 3, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		modes := []string{"LEQ", "LT", "GTE", "GT", "EQ", "NEQ", ""}
		var nodes []onnxBranch
		for n := range slices.Chunk(data, 5) {
			if len(n) == 5 {
				nodes = append(nodes, onnxBranch{modes[int(n[0])%len(modes)], int(n[1]), float32(int8(n[2])) / 4, int(n[3]), int(n[4])})
			}
		}
		scaler := ml("Scaler", []string{"x"}, []string{"z"}, map[string]any{"offset": []float32{0.1}, "scale": []float32{-3}})
		fuzzFile(t, onnxFile(3, nil, onnxRegressor("x", "y", nodes)))
		fuzzFile(t, onnxFile(3, nil, scaler, onnxRegressor("z", "y", nodes)))
	})
}

func fuzzFile(t *testing.T, data []byte) {
	t.Helper()
	limits := models.Limits{MaxFileBytes: 1 << 16, MaxFeatures: 1000, MaxOutputs: 20, MaxTrees: 1000, MaxNodes: 5000, MaxBytes: 8 << 20}
	m, err := models.Load(data, limits)
	if err != nil {
		return
	}
	info := m.Info()
	if info.Bytes > limits.MaxBytes || info.Nodes > limits.MaxNodes || len(info.Features) > limits.MaxFeatures {
		t.Fatalf("over the limits: %+v", info)
	}
	var s models.Scratch
	margins, phi := make([]float64, info.Outputs), make([]float64, info.Outputs*len(info.Features))
	row := make([]float64, len(info.Features))
	huge := 1e300
	if info.Format != models.FormatLightGBM {
		huge = 3e38
	}
	for _, x := range []float64{0, math.NaN(), 1, -huge, huge, 39.7} {
		for i := range row {
			row[i] = x + float64(i%2)
		}
		fuzzRow(t, m, &s, row, margins, phi)
	}
}

func fuzzRow(t *testing.T, m models.Model, s *models.Scratch, row, margins, phi []float64) {
	t.Helper()
	if err := m.Predict(row, s, margins); err != nil && !errors.Is(err, models.ErrRow) {
		t.Fatal(err)
	}
	for _, x := range margins {
		if math.IsNaN(x) && m.Info().Unexplainable == "" {
			t.Fatalf("margin %v", x)
		}
	}
	err := m.Explain(row, s, margins, phi)
	switch {
	case err == nil, errors.Is(err, models.ErrAdditivity):
	case errors.Is(err, models.ErrUnexplainable):
		return
	default:
		t.Fatal(err)
	}
	if err := m.Score(margins, margins); err != nil {
		if m.Info().Format != models.FormatONNX { // whose graphs may raise e to anything
			t.Fatal(err)
		}
		return
	}
	for _, p := range margins {
		if m.Info().Probability && !(p >= 0 && p <= 1) {
			t.Fatalf("probability %v", p)
		}
	}
}
