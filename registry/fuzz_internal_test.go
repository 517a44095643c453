package registry

import (
	"os"
	"testing"

	"pitboss/features"
)

func seed(f *testing.F, names ...string) {
	f.Helper()
	for _, name := range names {
		data, err := os.ReadFile("testdata/tiny/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
}

// FuzzManifest holds that no bundle.yaml panics, and that what is accepted has plain names only.
func FuzzManifest(f *testing.F) {
	seed(f, "bundle.yaml", "thresholds.yaml")
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseManifest(data, 1<<20)
		if err != nil {
			return
		}
		for _, r := range m.roles(1 << 20) {
			if !fileName.MatchString(r.file) {
				t.Errorf("%s has the file %q", r.name, r.file)
			}
		}
	})
}

// FuzzPolicy holds that no thresholds.yaml panics, and that what is accepted answers every event.
func FuzzPolicy(f *testing.F) {
	seed(f, "thresholds.yaml")
	f.Add(fallbackYAML)
	kinds, err := features.NewKinds(nil)
	if err != nil {
		f.Fatal(err)
	}
	ev := &features.Event{Type: "bet.placed"}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parsePolicy("thresholds.yaml", data, kinds)
		if err != nil {
			return
		}
		if d := p.Default(ev); d.Outcome == 0 {
			t.Error("no default")
		}
		last := p.Segment(ev).Outcome(0)
		for _, score := range []float64{0.1, 0.5, 0.9, 1} {
			o := p.Segment(ev).Outcome(score)
			if o < last {
				t.Errorf("score %v is milder than a lower one", score)
			}
			last = o
		}
	})
}

// FuzzReasons holds that no reasons.yaml panics, and that what is accepted has every feature once.
func FuzzReasons(f *testing.F) {
	seed(f, "reasons.yaml")
	f.Add([]byte("format: 1\nreasons:\n  - {code: A, features: [a_1, b], text: {en: \"{feature} {value}\"}, player_text: {en: x}}\n"))
	set := []features.FeatureInfo{{Name: "a_1"}, {Name: "b"}, {Name: "c"}}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseReasons("reasons.yaml", data, set, []int{1, 0}, true)
		if err != nil {
			return
		}
		seen := map[int]int{}
		for i := range r.List {
			for _, m := range r.List[i].Members {
				seen[m]++
			}
			if text := r.List[i].Text.In("xx").Execute(func(string) string { return "<v>" }); text == "" {
				t.Error("an empty text")
			}
		}
		if len(seen) != 2 || seen[0] != 1 || seen[1] != 1 {
			t.Errorf("members %v", seen)
		}
	})
}

// FuzzGolden holds that no golden.csv panics.
func FuzzGolden(f *testing.F) {
	seed(f, "golden.csv")
	f.Add([]byte("a,b,margin,score,base,contrib_a,contrib_b\n1,,0.5,0.5,0.1,0.2,0.2\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := parseGolden("golden.csv", data, []string{"a", "b"}, 1, true)
		if err == nil && (len(rows) != 1 || len(rows[0].row) != 2 || len(rows[0].contributions) != 2) {
			t.Errorf("rows %v", rows)
		}
	})
}
