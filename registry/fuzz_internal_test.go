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

// FuzzProfile holds that no profile.json panics, and that what is accepted ranks every value, the higher never lower.
func FuzzProfile(f *testing.F) {
	f.Add([]byte(`{"format":1,"rows":10,"features":[{"name":"a","missing":1,"x":[0,1.5],"below":[0,4],"at_most":[3,9]}]}`))
	f.Add([]byte(`{"format":1,"rows":2,"features":[{"name":"a","missing":2,"x":[],"below":[],"at_most":[]}]}`))
	f.Add([]byte(`{"format":1,"rows":2,"features":[{"name":"a","missing":0,"x":[-1.7e308,1.7e308],"below":[0,1],"at_most":[1,2]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parseProfile("profile.json", data, []string{"a"})
		if err != nil {
			return
		}
		last := 0.0
		for _, v := range []float64{-1.7e308, -1, 0, 0.5, 1.5, 2, 1e300, 1.7e308} {
			rank, ok := p.Percentile(0, v)
			if ok && (!(rank >= last-1e-9) || rank > 100) {
				t.Errorf("%v is at %v after %v", v, rank, last)
			}
			last = rank
		}
	})
}

// FuzzReference holds that no reference.csv panics.
func FuzzReference(f *testing.F) {
	f.Add([]byte("a,b\n1,\n,2\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := parseReference("reference.csv", data, []string{"a", "b"})
		if err == nil && (len(rows) == 0 || len(rows) > maxReferenceRows || len(rows[0]) != 2) {
			t.Errorf("rows %v", rows)
		}
	})
}
