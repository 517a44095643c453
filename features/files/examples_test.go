package files_test

import (
	"os"
	"slices"
	"testing"

	"github.com/goccy/go-yaml"

	"pitboss/features"
)

// The examples' feature sets compile, and their reason catalogues name each feature exactly once (train/BUNDLE.md).
func TestExampleSetsAndReasons(t *testing.T) {
	f := func(dir string, atLeast int) {
		t.Helper()
		kinds, err := features.NewKinds([]features.KindConfig{{Name: "terminal"}})
		if err != nil {
			t.Fatal(err)
		}
		source, err := os.ReadFile("../../examples/" + dir + "/features.yaml")
		if err != nil {
			t.Fatal(err)
		}
		set, err := features.CompileSet(source, dir+"/features.yaml", features.CompileOptions{Kinds: kinds})
		if err != nil {
			t.Fatal(err)
		}
		if len(set.Features) < atLeast {
			t.Errorf("%s has %d features, want at least %d", dir, len(set.Features), atLeast)
		}
		source, err = os.ReadFile("../../examples/" + dir + "/reasons.yaml")
		if err != nil {
			t.Fatal(err)
		}
		var catalogue struct {
			Reasons []struct {
				Code     string
				Features []string
			}
		}
		if err := yaml.Unmarshal(source, &catalogue); err != nil {
			t.Fatal(err)
		}
		var reasoned []string
		for _, r := range catalogue.Reasons {
			reasoned = append(reasoned, r.Features...)
		}
		for _, feature := range set.Features {
			i := slices.Index(reasoned, feature.Name)
			if i < 0 {
				t.Errorf("%s: no reason names feature %s", dir, feature.Name)
				continue
			}
			reasoned = slices.Delete(reasoned, i, i+1)
		}
		if len(reasoned) > 0 {
			t.Errorf("%s: reasons name %v, which the set lacks or which another reason has", dir, reasoned)
		}
	}
	f("cards", 30)
	f("casino", 30)
}

// The cards' exact set has every window in exact mode.
func TestExactCards(t *testing.T) {
	kinds, err := features.NewKinds([]features.KindConfig{{Name: "terminal"}})
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../../examples/cards/exact.yaml")
	if err != nil {
		t.Fatal(err)
	}
	set, err := features.CompileSet(source, "exact.yaml", features.CompileOptions{Kinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Features) != 15 {
		t.Errorf("%d features, want the twelve published and three that they are made of", len(set.Features))
	}
	for _, f := range set.Features {
		if f.Window != "" && f.Exact != 256 {
			t.Errorf("%s is exact with %d events, want 256", f.Name, f.Exact)
		}
	}
}
