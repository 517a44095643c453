package models_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pitboss/models"
)

// smallTree has a numerical and a categorical split and three leaves.
func smallTree() *oracleNode {
	return &oracleNode{feature: 0, threshold: 0.5, missing: 2, cover: 30,
		left: &oracleNode{value: -1, cover: 10},
		right: &oracleNode{feature: 1, categories: []uint32{1, 40}, cover: 20,
			left: &oracleNode{value: 2, cover: 15}, right: &oracleNode{value: 3, cover: 5}}}
}

func smallText() string {
	return string(lightGBMText([]*oracleNode{smallTree(), smallTree()}, 3, 1, "binary sigmoid:1"))
}

func TestSmallTextLoads(t *testing.T) {
	m := mustLoad(t, []byte(smallText()))
	var s models.Scratch
	margins := make([]float64, 1)
	f := func(a, b, want float64) {
		t.Helper()
		if err := m.Predict([]float64{a, b, 0}, &s, margins); err != nil || margins[0] != want {
			t.Errorf("Predict(%v, %v) = %v, %v, want %v", a, b, margins[0], err, want)
		}
	}
	f(0.5, 0, -2)
	f(0.6, 1.9, 4)
	f(0.6, 40, 4)
	f(0.6, 41, 6)
	f(0.6, math.NaN(), 6)
	f(math.NaN(), 1, 4)
}

// TestRefusesMalformedText: each line is one edit of a good file, and what the error must say.
func TestRefusesMalformedText(t *testing.T) {
	good := smallText()
	f := func(from, to string, kind error, want string) {
		t.Helper()
		if !strings.Contains(good, from) {
			t.Fatalf("the good file has no %q", from)
		}
		_, err := models.LoadLightGBM([]byte(strings.Replace(good, from, to, 1)), models.DefaultLimits())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q for %q: %v, want %q", to, from, err, want)
		}
		if kind != nil && !errors.Is(err, kind) {
			t.Errorf("%q for %q: %v, want it to be %v", to, from, err, kind)
		}
	}
	uns, lim := models.ErrUnsupported, models.ErrLimit
	f("tree\nversion", "version", nil, `line 1: want "tree"`)
	f("version=v4", "version=v5", uns, `line 2: version "v5"`)
	f("version=v4\n", "", nil, `key "version" is missing`)
	f("version=v4", "version=v4\nversion=v3", nil, "line 3: version stands there twice")
	f("label_index=0", "label_idx=0", uns, `line 5: unknown key "label_idx"`)
	f("num_class=1", "num_class=0", nil, "line 3: num_class is 0, want 1 to 256")
	f("num_class=1", "num_class=1000", nil, "num_class is 1000")
	f("num_class=1", "num_class=2", nil, "num_class is 2 with 1 trees")
	f("num_class=1", "num_class=x", nil, "num_class is not an integer")
	f("max_feature_idx=2", "max_feature_idx=3", nil, "feature_names has 3 values, want 4")
	f("max_feature_idx=2", "max_feature_idx=1", nil, "feature_names has more than 2 values")
	f("max_feature_idx=2", "max_feature_idx=2000000000", lim, "2000000001 features")
	f("feature_names=f0 f1 f2", "feature_names=f0 f1 f0", nil, `feature_names value 2 is unusable: "f0"`)
	f("feature_infos=none", "feature_infos=[1:x]", nil, `feature_infos value 0 is unusable: "[1:x]"`)
	f("feature_infos=none", "feature_infos=[1:2", nil, "feature_infos value 0")
	f("objective=binary sigmoid:1", "objective=focal", uns, `objective "focal"`)
	f("objective=binary sigmoid:1", "objective=", nil, "objective is empty")
	f("objective=binary sigmoid:1", "objective=binary sigmoid:0", nil, "sigmoid that is no positive number")
	f("objective=binary sigmoid:1", "objective=binary sigmoid:nan", nil, "sigmoid that is no positive number")
	f("objective=binary sigmoid:1", "objective=multiclass num_class:3", nil, `num_class "3" with 1 outputs`)
	f("objective=binary sigmoid:1", "objective=gamma sqrt", uns, "with sqrt")
	f("Tree=0", "Tree=1", nil, `line 11: want "Tree=0"`)
	f("Tree=1", "Tree=7", nil, `want "Tree=1", have "Tree=7"`)
	f("Tree=1", "Trie=1", nil, `want "Tree=1"`)
	f("feature_infos=", "tree_sizes=1 2 3\nfeature_infos=", nil, "tree_sizes names 3 trees, the file has 2")
	f("end of trees\n\nfeature_importances:\n", "", nil, `want "Tree=2", have "parameters:"`)
	f("num_leaves=3", "num_leaves=0", nil, "tree 0: line 12: num_leaves is 0")
	f("num_leaves=3", "num_leaves=4", nil, "tree 0: line 19: leaf_value has fewer than 4 values")
	f("num_leaves=3", "num_leaves=2", nil, "leaf_value has more than 2 values")
	f("num_leaves=3", "num_leaves=2147483647", lim, "num_leaves is 2147483647")
	f("num_leaves=3", "num_leaves=3000000", nil, "leaf_value has fewer than 3000000 values")
	f("num_leaves=3\n", "", nil, `tree 0: line 11: key "num_leaves" is missing`)
	f("num_cat=1\n", "", nil, `key "num_cat" is missing`)
	f("num_cat=1", "num_cat=3", nil, "num_cat is 3, want 0 to 2")
	f("num_cat=1", "num_cat=0", nil, "no category set: 0 of 0")
	f("num_cat=1", "num_cat=2", nil, "cat_boundaries has fewer than 3 values")
	f("split_feature=0 1", "split_feature=0 3", nil, "tree 0: line 14: split_feature value 1 is unusable")
	f("split_feature=0 1", "split_feature=0 -1", nil, "split_feature value 1")
	f("split_feature=0 1\n", "", nil, `key "split_feature" is missing`)
	f("threshold=0.5 0", "threshold=nan 0", nil, `tree 0: line 15: threshold value 0 is unusable: "nan"`)
	f("threshold=0.5 0", "threshold=0x1p3 0", nil, "threshold value 0")
	f("threshold=0.5 0", "threshold=1_0 0", nil, "threshold value 0")
	f("threshold=0.5 0", "threshold=1e999 0", nil, "threshold value 0")
	f("threshold=0.5 0", "threshold=0.5 1", nil, "no category set: 1 of 1")
	f("threshold=0.5 0", "threshold=0.5 0.5", nil, "no category set: 0.5 of 1")
	f("threshold=0.5 0", "threshold=0.5 inf", nil, "no category set: +Inf")
	f("decision_type=8 1", "decision_type=1 1", nil, "no category set: 0.5 of 1")
	f("decision_type=8 1", "decision_type=12 1", nil, "unknown way with missing values: 12")
	f("decision_type=8 1", "decision_type=16 1", nil, "decision_type value 0")
	f("decision_type=8 1\n", "", nil, `key "decision_type" is missing`)
	f("left_child=-1 -2", "left_child=-1 -1", nil, "tree 0: line 17: left_child value 1: -1 hangs in two places")
	f("left_child=-1 -2", "left_child=-1 -4", nil, "left_child value 1 is unusable")
	f("left_child=-1 -2", "left_child=-1 0", nil, "left_child value 1: 0 hangs in two places or is the root")
	f("left_child=-1 -2", "left_child=-1 2", nil, "left_child value 1 is unusable")
	f("left_child=-1 -2\nright_child=1 -3", "left_child=-1 1\nright_child=-2 -3", nil, "cycle: 1 of 2 nodes")
	f("leaf_value=-1 2 3", "leaf_value=-1 inf 3", nil, `leaf_value value 1 is unusable: "inf"`)
	f("leaf_value=-1 2 3", "leaf_value=-1 1.7e308 3", lim, "the leaves add up to")
	f("leaf_value=-1 2 3", "leaf_value=-1 2", nil, "leaf_value has fewer than 3 values")
	f("leaf_count=10 15 5", "leaf_count=10  15   ", nil, "leaf_count has 2 values, want 3")
	f("leaf_count=10 15 5", "leaf_count=10 -15 5", nil, "leaf_count value 1")
	f("internal_count=30 20", "internal_count=30", nil, "internal_count has fewer than 2 values")
	f("cat_boundaries=0 3", "cat_boundaries=1 3", nil, "cat_boundaries value 0 is out of order")
	f("cat_boundaries=0 3", "cat_boundaries=0 4", nil, "cat_threshold has 3 values, want 4")
	f("cat_boundaries=0 3", "cat_boundaries=0 2000000000", nil, "cat_threshold has fewer than 2000000000 values")
	f("cat_threshold=2 256 0", "cat_threshold=2 4294967296 0", nil, "cat_threshold value 1")
	f("is_linear=0", "is_linear=1", nil, `key "leaf_const" is missing`)
	f("is_linear=0", "is_linear=1\nleaf_const=0 0 0\nnum_features=1 0 0\nleaf_features=5\nleaf_coeff=1", nil, "leaf_features value 0")
	f("is_linear=0", "is_linear=1\nleaf_const=0 0 0\nnum_features=3 3 3\nleaf_features=0\nleaf_coeff=1", nil, "leaf_features has fewer than 9")
	f("is_linear=0", "is_linear=2", nil, "is_linear is 2")
	f("is_linear=0", "shrinkage2=1", uns, `unknown key "shrinkage2"`)
	f("pandas_categorical:null", `pandas_categorical:[["a", "b"]]`, uns, "train on their integer codes")
	f("pandas_categorical:null", `pandas_categorical:[[0, 1, 2], [1, 2]]`, uns, "train on their integer codes")
	f("pandas_categorical:null", `pandas_categorical:[[false, true]]`, uns, "train on their integer codes")
	f("pandas_categorical:null", `pandas_categorical:[[`, nil, "pandas_categorical is not a JSON list")
}

// TestSharedCategorySet: a set that many splits name would be compared again and again.
func TestSharedCategorySet(t *testing.T) {
	tree := smallTree()
	tree.left = &oracleNode{feature: 1, categories: []uint32{5}, left: &oracleNode{cover: 1}, right: &oracleNode{cover: 1}}
	text := string(lightGBMText([]*oracleNode{tree}, 3, 1, ""))
	bad := strings.Replace(text, "threshold=0.5 0 1", "threshold=0.5 0 0", 1)
	if bad == text {
		t.Fatal("the file is not as expected")
	}
	if _, err := models.Load([]byte(bad), models.DefaultLimits()); err == nil || !strings.Contains(err.Error(), "which has a split already") {
		t.Errorf("two splits with one category set: %v", err)
	}
}

// TestEveryTruncationIsAnError: no prefix of a file loads, but for those that lack only the notes behind the trees.
func TestEveryTruncationIsAnError(t *testing.T) {
	text := smallText()
	end := strings.Index(text, "end of trees")
	for i := range end + len("end of trees") {
		if m, err := models.Load([]byte(text[:i]), models.DefaultLimits()); err == nil {
			t.Fatalf("the first %d bytes loaded: %d trees", i, m.Info().Trees)
		}
	}
}

func TestLineEndsDoNotMatter(t *testing.T) {
	for _, name := range []string{"binary_nan", "categorical_multiclass", "v2_rf", "linear_nan"} {
		g := readGolden(t, name)
		m := mustLoad(t, bytes.ReplaceAll(g.text, []byte("\n"), []byte("\r\n")))
		var s models.Scratch
		for i, r := range g.rows {
			checkGoldenRow(t, m, &s, i, &r)
		}
	}
}

// TestNamesKeepTabs: LightGBM forbids little in the name of a feature, and writes a tab as it is.
func TestNamesKeepTabs(t *testing.T) {
	m := mustLoad(t, []byte(strings.Replace(smallText(), "feature_names=f0 f1 f2", "feature_names=a\tb c\u00a0d e=f", 1)))
	if diff := cmp.Diff([]string{"a\tb", "c\u00a0d", "e=f"}, m.Info().FeatureNames()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestLimits(t *testing.T) {
	text := readGolden(t, "multiclass").text
	f := func(want string, change func(*models.Limits)) {
		t.Helper()
		limits := models.DefaultLimits()
		change(&limits)
		if _, err := models.Load(text, limits); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f("MaxFileBytes", func(l *models.Limits) { l.MaxFileBytes = 1000 })
	f("MaxFeatures", func(l *models.Limits) { l.MaxFeatures = 5 })
	f("want 1 to 2", func(l *models.Limits) { l.MaxOutputs = 2 })
	f("MaxTrees", func(l *models.Limits) { l.MaxTrees = 11 })
	f("MaxNodes", func(l *models.Limits) { l.MaxNodes = 80 })
	f("MaxBytes", func(l *models.Limits) { l.MaxBytes = 10_000 })
}

// TestMemoryFollowsTheFile: a line that is long takes no more than a few times its length, whatever it holds. With
// Limits at their defaults a file of 256 MiB must not take the process down.
func TestMemoryFollowsTheFile(t *testing.T) {
	good := smallText()
	const n = 1 << 20
	f := func(from, to, want string) {
		t.Helper()
		text := []byte(strings.Replace(good, from, to, 1))
		if len(text) < n {
			t.Fatalf("the good file has no %q", from)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := models.Load(text, models.DefaultLimits())
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 4*uint64(len(text)) {
			t.Errorf("%.20q of %d bytes: %d bytes were allocated", to, len(text), got)
		}
		if err == nil != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %.200v, want %q", to, err, want)
		}
	}
	f("feature_infos=", "tree_sizes="+strings.Repeat("1 ", n)+"\nfeature_infos=", "tree_sizes names 1048576 trees")
	f("sigmoid:1", strings.Repeat("a ", n), "objective has 2097159 bytes, at most 16384")
	f("feature_names=f0", "feature_names="+strings.Repeat("x", n), "feature_names value 0 is unusable")
	f("pandas_categorical:null", "pandas_categorical:[1"+strings.Repeat(",1", n)+"]", "train on their integer codes")
	f("pandas_categorical:null", "[boosting: "+strings.Repeat("x", n), "")
	f("cat_boundaries=0 3\ncat_threshold=2 256 0", fmt.Sprintf("cat_boundaries=0 %d\ncat_threshold=%s", n, strings.Repeat("1 ", n)), "")
}

// TestBytesAreWhatAModelTakes: what Info says is what the heap grows by, so nothing that only loading needed is kept.
func TestBytesAreWhatAModelTakes(t *testing.T) {
	text := readGolden(t, "bench_200x31x64").text
	heap := func() int {
		var s runtime.MemStats
		runtime.GC()
		runtime.GC() // what the first one's finalizers let go
		runtime.ReadMemStats(&s)
		return int(s.HeapAlloc)
	}
	before := heap()
	m := mustLoad(t, text)
	got, want := heap()-before, m.Info().Bytes
	if got < want*9/10 || got > want*11/10 {
		t.Errorf("a model of %d bytes made the heap grow by %d", want, got)
	}
	runtime.KeepAlive(text)
}

// TestMaxBytesCountsSetsAndLinearLeaves: both are kept as the file has them, so they belong to the model's memory.
func TestMaxBytesCountsSetsAndLinearLeaves(t *testing.T) {
	const n = 1 << 14
	limits := models.DefaultLimits()
	limits.MaxFeatures, limits.MaxBytes = n, 4*n-1
	f := func(features, least int, from, to, want string) {
		t.Helper()
		text := []byte(strings.Replace(string(lightGBMText([]*oracleNode{smallTree()}, features, 1, "")), from, to, 1))
		if _, err := models.Load(text, limits); !errors.Is(err, models.ErrLimit) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", to, err, want)
		}
		enough := limits
		enough.MaxBytes = 1 << 30
		m, err := models.Load(text, enough)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Info().Bytes; got < least {
			t.Errorf("%.20q: Info says %d bytes, want %d or more", to, got, least)
		}
	}
	f(3, 4*n, "cat_boundaries=0 3\ncat_threshold=2 256 0", fmt.Sprintf("cat_boundaries=0 %d\ncat_threshold=%s", n, strings.Repeat("1 ", n)),
		"line 22: cat_threshold takes 65536 bytes")
	ones := strings.Repeat("1 ", n)
	f(n, 84*n, "is_linear=0", fmt.Sprintf("is_linear=1\nleaf_const=0 0 0\nnum_features=%d 0 0\nleaf_features=%s\nleaf_coeff=%s", n, ones, ones),
		"line 26: leaf_features takes 196608 bytes")
}

func TestLoadKnowsFormats(t *testing.T) {
	f := func(data, want string) {
		t.Helper()
		if _, err := models.Load([]byte(data), models.DefaultLimits()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", data, err, want)
		}
	}
	f("", "the file is empty")
	f(`{"learner":{}}`, "XGBoost model: byte 14: version has 0 parts")
	f(`{"name":"tree","version":"v4"}`, `unknown key "name"`)
	f("{L\x00\x00", "XGBoost model: byte 2: the file ends early")
	f("\x08\x07\x12", "ONNX")
	f("binf\x00", "old binary")
	f("hello", `no known format starts with "hello"`)
}

func TestLoadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.txt")
	if _, err := models.LoadFile(path, models.DefaultLimits()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, []byte(smallText()), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := models.LoadFile(path, models.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	limits := models.DefaultLimits()
	limits.MaxFileBytes = 100
	if _, err := models.LoadFile(path, limits); !errors.Is(err, models.ErrLimit) {
		t.Errorf("a file over the limit: %v", err)
	}
	if m.Info().Trees != 2 {
		t.Errorf("%d trees, want 2", m.Info().Trees)
	}
}

// TestImportances: splits, gain and cover are what the library itself says (feature_importance of LightGBM 4.7.0,
// get_score of XGBoost 3.2.0: weight, total_gain, total_cover).
func TestImportances(t *testing.T) {
	f := func(m models.Model, splits []int, gains, covers []float64) {
		t.Helper()
		for i, got := range m.Info().Features {
			near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-6*max(1, math.Abs(b)) }
			if got.Splits != splits[i] || !near(got.Gain, gains[i]) || covers != nil && !near(got.Cover, covers[i]) {
				t.Errorf("%+v, want splits %d, gain %v, covers %v", got, splits[i], gains[i], covers)
			}
		}
	}
	f(mustLoad(t, readGolden(t, "categorical").text), []int{14, 8, 10, 0, 3, 7},
		[]float64{266.112886428833, 147.52218055725098, 339.50841188430786, 0, 27.48744010925293, 312.6939010620117}, nil)
	f(mustLoad(t, readXGBoost(t, "v32_pruned.json").text), []int{5, 3, 8, 0, 4, 10},
		[]float64{85.53417205810547, 25.193138122558594, 320.4140319824219, 0, 41.148193359375, 253.42318725585938},
		[]float64{233.04306030273438, 186.5540008544922, 693.6207885742188, 0, 62.3341064453125, 558.4149780273438})
	f(mustLoad(t, readXGBoost(t, "v32_categorical_nan.ubj").text), []int{7, 6, 5, 1, 3, 6},
		[]float64{110.9981918334961, 22.74498176574707, 162.02435302734375, 9.758739471435547, 30.28917121887207, 275.74383544921875},
		[]float64{228.9906463623047, 145.9550018310547, 379.96490478515625, 17.626792907714844, 138.5624542236328, 377.12896728515625})
	without := bytes.Replace(readGolden(t, "categorical").text, []byte("\nsplit_gain="), []byte("\nsplit_gain=x"), 1)
	if got := mustLoad(t, without).Info().Features[0]; !math.IsNaN(got.Gain) || got.Splits != 14 {
		t.Errorf("gains that are none: %+v", got)
	}
}

func TestInfo(t *testing.T) {
	m := mustLoad(t, readGolden(t, "categorical_multiclass").text)
	got := *m.Info()
	var zero [32]byte
	if got.Hash == zero || got.Bytes <= 0 || got.Cost.PredictMicros <= 0 || got.Cost.ExplainMicros <= got.Cost.PredictMicros || len(got.Base) != 3 {
		t.Errorf("%+v", got)
	}
	got.Hash, got.Bytes, got.Cost, got.Base, got.Features = zero, 0, models.Cost{}, nil, slices.Clone(got.Features[:3])
	for i := range got.Features {
		got.Features[i].Gain, got.Features[i].Cover = 0, 0 // TestImportances
	}
	want := models.Info{Format: models.FormatLightGBM, FormatVersion: "v4", Objective: "multiclass num_class:3", Boosting: "gbdt",
		Probability: true, Outputs: 3, Trees: 9, Iterations: 3, Nodes: 63, Leaves: 72, MaxDepth: 6, MaxPathFeatures: 5,
		Features: []models.Feature{{Name: "Column_0", Splits: 21, Min: 0.03, Max: 20}, {Name: "Column_1", Splits: 10, Max: 14},
			{Name: "Column_2", Splits: 10, Categorical: true, Max: 44}}}
	about := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) <= 8 })
	if diff := cmp.Diff(want, got, about); diff != "" {
		t.Error(diff)
	}
	if names := m.Info().FeatureNames(); len(names) != 6 || names[5] != "Column_5" {
		t.Errorf("names %v", names)
	}
}

func TestRefusesUnusableRows(t *testing.T) {
	m := mustLoad(t, []byte(smallText()))
	var s models.Scratch
	f := func(row []float64, want string) {
		t.Helper()
		margins, phi := make([]float64, 1), make([]float64, 3)
		for _, err := range []error{m.Predict(row, &s, margins), m.Explain(row, &s, margins, phi)} {
			if !errors.Is(err, models.ErrRow) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %v, want %q", row, err, want)
			}
		}
	}
	f(nil, "0 values, want 3")
	f([]float64{1, 2}, "2 values, want 3")
	f([]float64{1, 2, 3, 4}, "4 values, want 3")
	f([]float64{1, math.Inf(1), 3}, `"f1" is +Inf`)
	f([]float64{1, 2, math.Inf(-1)}, `"f2" is -Inf`)
	row := []float64{1, 2, 3}
	for _, err := range []error{m.Predict(row, &s, nil), m.Predict(row, &s, make([]float64, 2)), m.Explain(row, &s, make([]float64, 1), make([]float64, 2)),
		m.Score(make([]float64, 2), make([]float64, 1)), m.Score(make([]float64, 1), nil)} {
		if err == nil || errors.Is(err, models.ErrRow) {
			t.Errorf("a result of the wrong length: %v", err)
		}
	}
}

// TestAdditivityIsChecked: leaves of 1e12 that cancel leave contributions with errors far above 1e-9.
func TestAdditivityIsChecked(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var trees []*oracleNode
	for i := range 10 {
		tree := randomTree(rng, oracleShape{features: 4, leaves: 12})
		var shift func(*oracleNode)
		shift = func(n *oracleNode) {
			if n.left == nil {
				n.value += 1e12 * float64(1-2*(i%2))
				return
			}
			shift(n.left)
			shift(n.right)
		}
		shift(tree)
		trees = append(trees, tree)
	}
	m := mustLoad(t, lightGBMText(trees, 4, 1, "binary sigmoid:1"))
	var s models.Scratch
	err := m.Explain([]float64{1, 2, 0, -1}, &s, make([]float64, 1), make([]float64, 4))
	if !errors.Is(err, models.ErrAdditivity) || !strings.Contains(err.Error(), "off by") {
		t.Errorf("%v, want ErrAdditivity with numbers", err)
	}
}

func TestModelsWithoutContributions(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		m := mustLoad(t, []byte(text))
		var s models.Scratch
		margins := make([]float64, 1)
		if err := m.Predict([]float64{1, 1, 1}, &s, margins); err != nil || margins[0] == 0 {
			t.Errorf("Predict = %v, %v", margins[0], err)
		}
		err := m.Explain([]float64{1, 1, 1}, &s, margins, make([]float64, 3))
		if !errors.Is(err, models.ErrUnexplainable) || !strings.Contains(err.Error(), want) || m.Info().Base != nil {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f(strings.ReplaceAll(smallText(), "leaf_count=10 15 5\n", ""), "tree 0 has no training counts")
	linear := "is_linear=1\nleaf_const=1 1 1\nnum_features=1 0 2\nleaf_features=0  1 2\nleaf_coeff=1  1 2"
	f(strings.Replace(smallText(), "is_linear=0", linear, 1), "linear models in the leaves")
}

// TestLinearLeavesStayFinite: a row of finite values can overflow a linear leaf.
func TestLinearLeavesStayFinite(t *testing.T) {
	linear := "is_linear=1\nleaf_const=1 1 1\nnum_features=1 0 0\nleaf_features=0\nleaf_coeff=1e300"
	m := mustLoad(t, []byte(strings.Replace(smallText(), "is_linear=0", linear, 1)))
	var s models.Scratch
	if err := m.Predict([]float64{-1e300, 1, 1}, &s, make([]float64, 1)); !errors.Is(err, models.ErrRow) {
		t.Errorf("%v, want ErrRow", err)
	}
}

// TestHotPathDoesNotAllocate: nor does a Scratch that has served a larger model.
func TestHotPathDoesNotAllocate(t *testing.T) {
	var s models.Scratch
	for _, name := range []string{"bench_200x31x64", "categorical_multiclass", "rf", "deep40", "zero_as_missing"} {
		g := readGolden(t, name)
		m := mustLoad(t, g.text)
		margins, phi := make([]float64, m.Info().Outputs), make([]float64, m.Info().Outputs*len(m.Info().Features))
		i := 0
		run := func() {
			row := g.rows[i%len(g.rows)].x
			i++
			if err := errors.Join(m.Predict(row, &s, margins), m.Explain(row, &s, margins, phi), m.Score(margins, margins)); err != nil {
				t.Fatal(err)
			}
		}
		if n := testing.AllocsPerRun(50, run); n != 0 {
			t.Errorf("%s: %v allocations a row", name, n)
		}
	}
	m := mustLoad(t, readGolden(t, "linear_nan").text)
	row, margins := make([]float64, len(m.Info().Features)), make([]float64, 1)
	if n := testing.AllocsPerRun(50, func() { _ = m.Predict(row, &s, margins) }); n != 0 {
		t.Errorf("linear_nan: %v allocations a row", n)
	}
}

// TestOneModelServesManyGoroutines: under the race detector it also shows that a model is never written.
func TestOneModelServesManyGoroutines(t *testing.T) {
	g := readGolden(t, "categorical_multiclass")
	m := mustLoad(t, g.text)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var s models.Scratch
			margins, phi := make([]float64, 3), make([]float64, 3*len(m.Info().Features))
			for i, r := range g.rows {
				if err := m.Explain(r.x, &s, margins, phi); err != nil || !slices.Equal(margins, r.margins) {
					t.Errorf("row %d: %v, %v, want %v", i, margins, err, r.margins)
				}
			}
		})
	}
	wg.Wait()
}
