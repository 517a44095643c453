package models_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pitboss/models"
)

// xgboostNames lists the files of testdata/xgboost (gen_xgboost.py).
func xgboostNames(t testing.TB) []string {
	t.Helper()
	var names []string
	for _, ending := range []string{"*.json", "*.ubj"} {
		files, err := filepath.Glob(filepath.Join("testdata", "xgboost", ending))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if name := filepath.Base(f); name != "versions.json" {
				names = append(names, name)
			}
		}
	}
	if len(names) < 70 {
		t.Fatalf("only %d goldens", len(names))
	}
	return names
}

func readXGBoost(t testing.TB, name string) *golden {
	t.Helper()
	path := filepath.Join("testdata", "xgboost", name)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return readGoldenRows(t, &golden{name: name, text: data}, strings.TrimSuffix(path, filepath.Ext(path))+".csv")
}

// TestEqualsXGBoost: the margins are XGBoost's bit for bit, in its float32; scores and contributions, which it computes
// in float32 too, are within that; and what Explain says adds up in float64.
func TestEqualsXGBoost(t *testing.T) {
	for _, name := range xgboostNames(t) {
		t.Run(name, func(t *testing.T) {
			g := readXGBoost(t, name)
			m := mustLoad(t, g.text)
			if len(g.rows) < 16 {
				t.Fatalf("only %d rows", len(g.rows))
			}
			if why := m.Info().Unexplainable; why != "" || m.Info().Format != models.FormatXGBoost {
				t.Fatalf("%s, unexplainable: %s", m.Info().Format, why)
			}
			var s models.Scratch
			for i, r := range g.rows {
				checkXGBoostRow(t, m, &s, i, &r)
			}
		})
	}
}

func checkXGBoostRow(t *testing.T, m models.Model, s *models.Scratch, i int, r *goldenRow) {
	t.Helper()
	a, features := answer(t, m, s, i, r, 1e-6), len(m.Info().Features)
	for k, margin := range a.margins {
		if off := math.Abs(a.sums[k] - margin); !(off <= 1e-5*max(1, math.Abs(margin))) {
			t.Errorf("row %d: the sum in float64 is %v, the margin %v", i, a.sums[k], margin)
		}
		want := r.contributions[k*(features+1):][:features+1]
		total, base := m.Info().Base[k], want[features]
		for j, c := range a.phi[k*features:][:features] {
			total += c
			if off := math.Abs(c - want[j]); !(off <= 2e-5*largest(want)) {
				t.Errorf("row %d: contribution of feature %d = %v, XGBoost has %v", i, j, c, want[j])
			}
		}
		if off := math.Abs(m.Info().Base[k] - base); !(off <= 2e-5*max(1, math.Abs(base))) {
			t.Errorf("row %d: base = %v, XGBoost has %v", i, m.Info().Base[k], base)
		}
		if off := math.Abs(total - a.sums[k]); !(off <= 1e-9*max(1, largest(want))) {
			t.Errorf("row %d: base and contributions add up to %v of %v", i, total, a.sums[k])
		}
	}
}

func largest(values []float64) float64 {
	l := 0.0
	for _, v := range values {
		l = max(l, math.Abs(v))
	}
	return l
}

// TestXGBoostInfo: what the files say of themselves.
func TestXGBoostInfo(t *testing.T) {
	f := func(name, version, objective, boosting string, outputs, trees, iterations, best int, features string) {
		t.Helper()
		info := mustLoad(t, readXGBoost(t, name).text).Info()
		if info.FormatVersion != version || info.Objective != objective || info.Boosting != boosting || info.Outputs != outputs ||
			info.Trees != trees || info.Iterations != iterations || info.BestIterations != best || strings.Join(info.FeatureNames(), ",") != features {
			t.Errorf("%s: %+v", name, info)
		}
	}
	const six = "f0,f1,f2,f3,f4,f5"
	f("v17_binary.json", "1.7.6", "binary:logistic", "gbtree", 1, 4, 4, 4, six)
	f("v17_dart.json", "1.7.6", "binary:logistic", "dart", 1, 6, 6, 6, six)
	f("v21_binary_nan.ubj", "2.1.4", "binary:logistic", "gbtree", 1, 4, 4, 0, six)
	f("v32_forest_multiclass.json", "3.2.0", "multi:softprob", "gbtree", 3, 12, 2, 0, six)
	f("v32_named.json", "3.2.0", "binary:logistic", "gbtree", 1, 4, 4, 0, "bets_1h,Käse,a b,f9,x_y,q")
	f("v34_dart_multiclass.ubj", "3.4.1", "multi:softprob", "dart", 3, 12, 4, 0, six)
	stopped := mustLoad(t, readXGBoost(t, "v34_early_stopped.json").text).Info()
	if stopped.BestIterations != stopped.Iterations-2 {
		t.Errorf("%d iterations, the best were %d", stopped.Iterations, stopped.BestIterations)
	}
}
