package models_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pitboss/models"
)

// smallXGBoost is a model of two trees: x0 < 0.5, then the category of x1; and a lone leaf. Node 5 was pruned.
const smallXGBoost = `{"learner":{"attributes":{"best_iteration":"0","mine":"\"x\""},"feature_names":["a","b","c"],"feature_types":["float","c","q"],
"gradient_booster":{"model":{"cats":{"enc":[],"feature_segments":[],"sorted_idx":[]},"gbtree_model_param":{"num_parallel_tree":"1","num_trees":"2"},
"iteration_indptr":[0,1,2],"tree_info":[0,0],"trees":[
{"base_weights":[0,NaN,-Infinity,0,0,0],"categories":[1,40],"categories_nodes":[2],"categories_segments":[0],"categories_sizes":[2],
"default_left":[1,0,false,0,0,0],"id":0,"left_children":[1,-1,3,-1,-1,-1],"loss_changes":[1,2,0,0,0,0],"parents":[2147483647,0,0,2,2,7],
"right_children":[2,-1,4,-1,-1,-1],"split_conditions":[5E-1,-1,NaN,2,4,9],"split_indices":[0,0,1,0,0,0],"split_type":[0,0,1,0,0,0],
"sum_hessian":[3E1,1E1,2E1,1.5E1,5,0],"tree_param":{"num_deleted":"1","num_feature":"3","num_nodes":"6","size_leaf_vector":"1"}},
{"base_weights":[1],"categories":[],"categories_nodes":[],"categories_segments":[],"categories_sizes":[],"default_left":[0],"id":1,
"left_children":[-1],"loss_changes":[0],"parents":[2147483647],"right_children":[-1],"split_conditions":[1E0],"split_indices":[0],"split_type":[0],
"sum_hessian":[3E1],"tree_param":{"num_deleted":"0","num_feature":"3","num_nodes":"1","size_leaf_vector":"1"}}]},"name":"gbtree"},
"learner_model_param":{"base_score":"[5E-1]","boost_from_average":"1","num_class":"0","num_feature":"3","num_target":"1"},
"objective":{"name":"binary:logistic","reg_loss_param":{"scale_pos_weight":"1"}}},"version":[3,2,0]}`

// TestXGBoostByHand: where rows go, worked out from XGBoost's own rules.
func TestXGBoostByHand(t *testing.T) {
	m := mustLoad(t, []byte(smallXGBoost))
	var s models.Scratch
	f := func(a, b, want float64) {
		t.Helper()
		var margin [1]float64
		if err := m.Predict([]float64{a, b, 0}, &s, margin[:]); err != nil || margin[0] != want {
			t.Errorf("Predict(%v, %v) = %v, %v, want %v", a, b, margin[0], err, want)
		}
	}
	f(0.49, 1, 0)
	f(0.5, 1, 5)                     // not below: right; the category is in the set: right
	f(math.Nextafter(0.5, 0), 1, 5)  // 0.5 as a float32
	f(0.5, 0, 3)                     // not in the set
	f(0.5, 40.9, 5)                  // 40
	f(0.5, 41, 3)                    //
	f(0.5, 0.9999999999, 5)          // 1 as a float32
	f(0.5, -0.5, 3)                  // no category
	f(0.5, 1<<24, 3)                 // no category
	f(0.5, math.NaN(), 5)            // default: right
	f(math.NaN(), 1, 0)              // default: left
	f(math.MaxFloat32, 3e38, 3)      //
	f(-math.MaxFloat32, math.Pi, 0)  //
	f(0.5, math.Copysign(0, -1), 3)  //
	f(0.5, math.Nextafter(1, 0), 5)  // 1 as a float32
	f(0.5, math.Nextafter(-1, 0), 3) //
	for _, x := range []float64{3.41e38, -3.41e38, math.Inf(1)} {
		if err := m.Predict([]float64{x, 0, 0}, &s, make([]float64, 1)); !errors.Is(err, models.ErrRow) {
			t.Errorf("Predict(%v): %v; XGBoost refuses what is infinite as a float32", x, err)
		}
	}
}

// TestXGBoostBaseScoreAtTheEnds: since 3.2 base_score is kept 1e-6 from 0 and 1, as a training set of one class has it; margins as
// 3.2.0 and 3.1.1 give them.
func TestXGBoostBaseScoreAtTheEnds(t *testing.T) {
	f := func(version, score string, want float64) {
		t.Helper()
		text := strings.Replace(strings.Replace(smallXGBoost, `"[5E-1]"`, `"[`+score+`]"`, 1), "[3,2,0]", version, 1)
		m, err := models.LoadXGBoost([]byte(text), models.DefaultLimits())
		if err != nil {
			t.Errorf("base_score %s: %v", score, err)
			return
		}
		margin := make([]float64, 1)
		if err := m.Predict([]float64{0, 0, 0}, new(models.Scratch), margin); err != nil || math.Abs(margin[0]-want) > 2e-6*math.Abs(want) {
			t.Errorf("base_score %s of %s: margin %v, %v, want %v", score, version, margin[0], err, want)
		}
	}
	// The leaves of this row add up to 0.
	f("[3,2,0]", "0E0", -13.81551)
	f("[3,2,0]", "1E-7", -13.81551)
	f("[3,2,0]", "1E0", 13.74516)
	f("[3,4,1]", "1E-30", -13.81551)
	f("[3,2,0]", "2E-6", -13.122361)
	f("[3,1,1]", "1E-7", -16.118095)
	f("[1,7,6]", "1E-30", -69.07755)
	_, err := models.LoadXGBoost([]byte(strings.Replace(strings.Replace(smallXGBoost, `"[5E-1]"`, `"[0E0]"`, 1), "[3,2,0]", "[3,1,1]", 1)), models.DefaultLimits())
	if err == nil || !strings.Contains(err.Error(), "base_score 0 has no margin with binary:logistic") {
		t.Errorf("0 of 3.1.1: %v", err)
	}
}

// TestOwnCodesAreNoNames: categories 0, 1, 2 … of a data frame are their own codes, so that a row holds what the model was trained on.
func TestOwnCodesAreNoNames(t *testing.T) {
	mustLoad(t, []byte(strings.Replace(smallXGBoost, `{"enc":[]`, `{"enc":[{"offsets":[],"values":[]},{"type":15,"values":[0,1,2]},{"values":[]}]`, 1)))
	mustLoad(t, []byte(strings.Replace(smallText(), "pandas_categorical:null", "pandas_categorical:[[0, 1.0, 2], [], [0]]", 1)))
}

// TestRefusesXGBoost: each line is one edit of a good file, and what the error must say.
func TestRefusesXGBoost(t *testing.T) {
	f := func(from, to string, kind error, want string) {
		t.Helper()
		if !strings.Contains(smallXGBoost, from) {
			t.Fatalf("the good file has no %q", from)
		}
		_, err := models.LoadXGBoost([]byte(strings.Replace(smallXGBoost, from, to, 1)), models.DefaultLimits())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q for %q: %v, want %q", to, from, err, want)
		}
		if kind != nil && !errors.Is(err, kind) {
			t.Errorf("%q for %q: %v, want it to be %v", to, from, err, kind)
		}
	}
	uns, lim := models.ErrUnsupported, models.ErrLimit
	f(`"version":[3,2,0]}`, `"version":[3,2,0]} x`, nil, "something follows the model")
	f(`"version":[3,2,0]}`, `"version":[3,2,0]`, nil, `want ','`)
	f(`,"version":[3,2,0]}`, `}`, nil, "version has 0 parts")
	f(`[3,2,0]`, `[4,0,0]`, uns, "version 4.0.0, known are 1.7 to 3")
	f(`[3,2,0]`, `[1,6,2]`, uns, "load it with one of those and save it again")
	f(`[3,2,0]`, `[3,2,]`, nil, `"" is no number`)
	f(`{"learner"`, `{"learner":{},"learner"`, nil, `key "learner" stands there twice`)
	f(`"attributes"`, `"qualities"`, uns, `unknown key "qualities"`)
	f(`"best_iteration":"0"`, `"best_iteration":"-1"`, nil, `"-1" is no integer`)
	f(`["a","b","c"]`, `["a","b"]`, nil, "3 features with 2 names")
	f(`["a","b","c"]`, `["a","b","a"]`, nil, `name 2 is empty, too long or there twice: "a"`)
	f(`["a","b","c"]`, `["a","b","\ud"]`, nil, "unusable string")
	f(`"num_feature":"3","num_target"`, `"num_feature":"0","num_target"`, nil, "0 features with 3 names")
	f(`"num_feature":"3","num_target"`, `"num_feature":"2000000000","num_target"`, lim, "2000000000 features")
	f(`"num_class":"0"`, `"num_class":"1000"`, lim, "1000 outputs")
	f(`"num_class":"0"`, `"num_class":"2"`, nil, "tree_info gives output 0 more trees than others")
	f(`"num_target":"1"`, `"num_target":"2"`, nil, "tree_info gives output 0 more trees than others")
	f(`"num_class":"0"`, `"num_class":"x"`, nil, `"x" is no integer`)
	f(`"num_parallel_tree":"1"`, `"num_parallel_tree":"3"`, nil, "no whole number of rounds")
	f(`"[5E-1]"`, `"[5E-1,5E-1]"`, nil, "base_score has 2 values for 1 outputs")
	f(`"[5E-1]"`, `"[nan]"`, nil, `base_score "nan" is no number`)
	f(`"[5E-1]"`, `"[1.1]"`, nil, "base_score 1.1")
	f(`{"enc":[]`, `{"enc":[{"offsets":[0,1],"values":[117]}]`, uns, "named categories")
	f(`{"enc":[]`, `{"enc":[{"type":15,"values":[1,2]}]`, uns, "named categories")
	f(`{"enc":[]`, `{"enc":[{"type":15,"values":[0,"1"]}]`, uns, "named categories")
	f(`{"enc":[]`, `{"enc":[{"sort":15}]`, uns, `unknown key "sort"`)
	f(`"[5E-1]"`, `"-0.1"`, nil, "base_score -0.10000000149011612 has no margin")
	f(`binary:logistic`, `binary:focal`, uns, `objective "binary:focal"`)
	f(`binary:logistic`, `reg:expectileerror`, uns, `objective "reg:expectileerror"`)
	f(`"name":"gbtree"`, `"name":"gblinear"`, uns, "gblinear")
	f(`"name":"gbtree"`, `"name":"gbforest"`, uns, `booster "gbforest"`)
	f(`"name":"gbtree"`, `"name":"dart"`, nil, "dart without weight_drop")
	f(`"name":"gbtree"`, `"name":"dart","weight_drop":[1]`, nil, "weight_drop has 1 values for 2 trees")
	f(`"name":"gbtree"`, `"name":"dart","weight_drop":[3e38,1]`, nil, "with weight")
	f(`,"name":"gbtree"`, ``, nil, "no gradient_booster with a name")
	f(`"enc":[]`, `"enc":[{"offsets":[0]}]`, uns, "train on their integer codes")
	f(`"iteration_indptr"`, `"weights"`, uns, "gblinear")
	f(`"tree_info":[0,0]`, `"tree_info":[0]`, nil, "tree_info has 1 values for 2 trees")
	f(`"tree_info":[0,0]`, `"tree_info":[0,1]`, nil, "tree_info value 1: 1 with 1 outputs")
	f(`"tree_info":[0,0]`, `"tree_info":[0,-1]`, nil, "value 1 is -1, want an integer")
	f(`"loss_changes"`, `"loss_chgs"`, uns, `tree 0: tree: unknown key "loss_chgs"`)
	f(`"loss_changes"`, `"leaf_weights"`, uns, "multi_strategy=multi_output_tree")
	f(`"size_leaf_vector":"1"`, `"size_leaf_vector":"3"`, uns, "leaves of several values")
	f(`"num_nodes":"6"`, `"num_nodes":"2147483647"`, nil, "num_nodes is 2147483647 with 6 left_children")
	f(`"left_children":[1,-1,3,-1,-1,-1]`, `"left_children":[1,-1,3,-1,-1]`, nil, "num_nodes is 6 with 5")
	f(`"left_children":[1,-1,3,-1,-1,-1]`, `"left_children":[1,-1,0,-1,-1,-1]`, nil, "node 0 is a child and no node of the tree, or hangs in two places")
	f(`"left_children":[1,-1,3,-1,-1,-1]`, `"left_children":[1,-1,4,-1,-1,-1]`, nil, "hangs in two places")
	f(`"left_children":[1,-1,3,-1,-1,-1]`, `"left_children":[1,-1,6,-1,-1,-1]`, nil, "node 6 is a child and no node")
	f(`"left_children":[1,-1,3,-1,-1,-1]`, `"left_children":[1,-1,-2,-1,-1,-1]`, nil, "value 2 is -2")
	f(`"left_children":[1,-1,3,-1,-1,-1]`, `"left_children":[1,-1,1.5,-1,-1,-1]`, nil, "value 2 is 1.5")
	f(`"left_children":[1,-1,3,-1,-1,-1]`, `"left_children":[1,-1,-1,-1,-1,-1]`, nil, "node 2: ")
	f(`"right_children":[2,-1,4,-1,-1,-1]`, `"right_children":[2,-1,-1,-1,-1,-1]`, nil, "node -1 is a child and no node")
	f(`"right_children":[2,-1,4,-1,-1,-1]`, `"right_children":[2,-1,4]`, nil, "right_children has 3 values for 6 nodes")
	f(`"split_indices":[0,0,1`, `"split_indices":[3,0,1`, nil, "tree 0 tests feature 3 of 3")
	f(`"split_indices":[0,0,1`, `"split_indices":[4294967296,0,1`, nil, "value 0 is 4.294967296e+09")
	f(`"split_conditions":[5E-1`, `"split_conditions":[NaN`, nil, "node 0: byte")
	f(`"split_conditions":[5E-1`, `"split_conditions":[-Infinity`, nil, "the threshold is -Inf")
	f(`"split_conditions":[5E-1`, `"split_conditions":[1e39`, nil, `"1e39" is no number`)
	f(`"split_conditions":[5E-1`, `"split_conditions":["5E-1"`, nil, "is no number")
	f(`"split_conditions":[5E-1,-1`, `"split_conditions":[5E-1,NaN`, nil, "the leaf is NaN")
	f(`"split_conditions":[5E-1,-1`, `"split_conditions":[5E-1,3e38`, lim, "the leaves add up to")
	f(`"split_type":[0,0,1,`, `"split_type":[0,0,2,`, nil, "value 2 is 2")
	f(`"split_type":[0,0,1,`, `"split_type":[1,0,1,`, nil, "a categorical split without categories")
	f(`"default_left":[1`, `"default_left":[null`, nil, "no number")
	f(`"sum_hessian":[3E1,`, `"sum_hessian":[`, nil, "sum_hessian has 5 values for 6 nodes")
	f(`"categories":[1,40]`, `"categories":[1,16777216]`, nil, "value 1 is 1.6777216e+07")
	f(`"categories":[1,40]`, `"categories":[1]`, nil, "2 categories from 0 on, the tree has 1")
	f(`"categories_segments":[0]`, `"categories_segments":[2147483647]`, nil, "2 categories from 2147483647 on")
	f(`"categories_segments":[0]`, `"categories_segments":[]`, nil, "have 1, 0 and 1 values")
	f(`"categories_nodes":[2]`, `"categories_nodes":[9]`, nil, "9 is no node")
	f(`"base_weights":[0`, `"base_weights":[`+strings.Repeat("[", 100), nil, "nested deeper than 32")
	f(`"mine"`, `"mine":"1","mine"`, nil, `key "mine" stands there twice`)
}

// TestXGBoostWithoutCovers scores, and says why it does not explain.
func TestXGBoostWithoutCovers(t *testing.T) {
	for _, edit := range [][2]string{{`"sum_hessian":[3E1,1E1,2E1,1.5E1,5,0],`, ""}, {"[3E1,1E1,", "[3E1,-1E1,"}, {"[3E1,1E1,", "[3E1,NaN,"}} {
		m := mustLoad(t, []byte(strings.Replace(smallXGBoost, edit[0], edit[1], 1)))
		if !strings.Contains(m.Info().Unexplainable, "tree 0 has no training counts") {
			t.Errorf("%q for %q: %q", edit[1], edit[0], m.Info().Unexplainable)
		}
		if err := m.Predict([]float64{0, 0, 0}, new(models.Scratch), make([]float64, 1)); err != nil {
			t.Error(err)
		}
	}
}

// ubjKey is an object's key as XGBoost writes it.
func ubjKey(key string) string {
	return "L" + string(binary.BigEndian.AppendUint64(nil, uint64(len(key)))) + key
}

// TestRefusesUBJ: what only this format can get wrong. Nothing takes memory for what is promised and not there.
func TestRefusesUBJ(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		start := time.Now()
		_, err := models.Load([]byte(text), models.DefaultLimits())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("%q took %v", text, took)
		}
	}
	version := func(array string) string { return "{" + ubjKey("version") + array }
	f("{}", "not a model of XGBoost")
	f("{#L\x7f\xff\xff\xff\xff\xff\xff\xff", "are promised")
	f("{#l\x00\x00\x00\x01", "are promised")
	f("{$U#U\x01", "want a length")
	f("{#U\x00", "not a model of XGBoost")
	f("{#U\x00}", "something follows the model")
	f("{L\xff\xff\xff\xff\xff\xff\xff\xff", "are promised")
	f("{d\x00\x00\x00\x00", "want a string")
	f(version("[$l#L\x00\x00\x00\x00\x7f\xff\xff\xff\x00"), "2.147483647e+09 elements or bytes are promised, no more than 0 can follow")
	f(version("[$d#i\xff"), "-1 elements")
	f(version("[$Z#l\x7f\xff\xff\xff"), `an array of type 'Z'`)
	f(version("[$T#l\x7f\xff\xff\xff"), `an array of type 'T'`)
	f(version("[$[#l\x7f\xff\xff\xff"), `an array of type '['`)
	f(version("[$l"), "ends early")
	f(version("[$l]"), "without a length")
	f(version("[#d\x00\x00\x00\x00"), "want a length")
	f(version("[U\x03U\x02U"), "ends early")
	f(version("[S"), "want a number")
	f(version("[H"), "want a number")
	f(version("SU\x01x"), "want '['")
	f(version(strings.Repeat("[", 1<<20)), "want a number")
	f("{"+ubjKey("Config")+strings.Repeat("[", 1<<20), "nested deeper than 32")
	f("{"+ubjKey("Config")+strings.Repeat("[#U\x01", 1<<18), "nested deeper than 32")
	f("{"+ubjKey("Config")+strings.Repeat("N", 1<<20), "ends early")
	f("{"+ubjKey("\xff\xfe"), "not UTF-8")
	f(version("[$U#U\x03\x03\x02\x00")+ubjKey("version"), "stands there twice")
	f(version("[$U#U\x03\x03\x02\x00")+"}", "not a model of XGBoost")
}

// TestXGBoostLimits: memory is bounded by the limits whatever the file says.
func TestXGBoostLimits(t *testing.T) {
	f := func(change func(*models.Limits), text, want string) {
		t.Helper()
		limits := models.DefaultLimits()
		change(&limits)
		if _, err := models.LoadXGBoost([]byte(text), limits); !errors.Is(err, models.ErrLimit) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f(func(l *models.Limits) { l.MaxFileBytes = 100 }, smallXGBoost, "MaxFileBytes is 100")
	f(func(l *models.Limits) { l.MaxFeatures = 2 }, smallXGBoost, "more than 2 names")
	f(func(l *models.Limits) { l.MaxTrees = 1 }, smallXGBoost, "more than 1 values")
	f(func(l *models.Limits) { l.MaxNodes = 2 }, smallXGBoost, "more than 5 values")
	f(func(l *models.Limits) { l.MaxBytes = 200 }, smallXGBoost, "MaxBytes is 200")
	// a few bytes that ask for two million bits
	f(func(l *models.Limits) { l.MaxBytes = 1 << 20 }, strings.Replace(smallXGBoost, "[1,40]", "[1,16777215]", 1), "the category sets take more than MaxBytes")
	var b bytes.Buffer
	for i := range 20_000 {
		fmt.Fprintf(&b, `"a%d":1,`, i)
	}
	_, err := models.LoadXGBoost([]byte(strings.Replace(smallXGBoost, `"attributes":{`, `"attributes":{`+b.String(), 1)), models.DefaultLimits())
	if err == nil || !strings.Contains(err.Error(), "an object has more than 10000 members") {
		t.Error(err)
	}
}

// TestXGBoostAllocatesNothing: like all models, once the Scratch has grown.
func TestXGBoostAllocatesNothing(t *testing.T) {
	g := readXGBoost(t, "v32_categorical_nan.ubj")
	m := mustLoad(t, g.text)
	var s models.Scratch
	margin, phi := make([]float64, 1), make([]float64, len(m.Info().Features))
	if n := testing.AllocsPerRun(100, func() {
		if m.Predict(g.rows[0].x, &s, margin) != nil || m.Explain(g.rows[0].x, &s, margin, phi) != nil {
			t.Fatal("no score")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
