package decide_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pitboss/decide"
	"pitboss/models/onnxruntime"
	"pitboss/models/onnxruntime/onnxruntimetest"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// loadAllowed loads a copy of a bundle whose manifest allows a model without contributions.
func loadAllowed(t *testing.T, dir string, cfg registry.Config) *registry.Bundle {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(to, registry.ManifestName)
	text, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "allow_unexplained: true") {
		if err = os.WriteFile(manifest, append(text, "allow_unexplained: true\n"...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := registry.Load(to, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// decideUnexplained: a model without exact contributions scores, its answers say that reasons are unavailable, and that is no
// stage that was missing.
func decideUnexplained(t *testing.T, b *registry.Bundle) {
	t.Helper()
	r := newRig(t, memory(), b)
	for i := range 12 {
		d := r.decide(numbered(t, i), decide.Options{Explain: pb.Explain_EXPLAIN_FULL})
		if d.Score == nil || d.Margin == nil || d.BaseValue != nil || d.ReasonsStatus != "unavailable" || len(d.Degraded) > 0 || len(d.Reasons) > 0 {
			t.Fatalf("got %v", d)
		}
		if len(d.Features) != len(b.Set.Features) || d.Features[0].Contribution != nil {
			t.Errorf("features %v", d.Features)
		}
		frame := r.record(d)
		same(t, "the answer and the record", decide.Answer(frame), r.decide(numbered(t, i), decide.Options{}))
	}
	if s := r.decider.Stats(); s.Degraded+s.ModelErrors+s.Panics+s.Additivity != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestLinearTreesDecideWithoutReasons(t *testing.T) {
	decideUnexplained(t, loadAllowed(t, "../registry/testdata/linear", registry.Config{Kinds: newKinds(t)}))
}

func TestONNXDecidesWithoutReasons(t *testing.T) {
	cfg := registry.Config{Kinds: newKinds(t), ONNXRuntime: onnxruntime.Config{Library: onnxruntimetest.Library(t)}}
	decideUnexplained(t, loadAllowed(t, "../registry/testdata/onnxruntime", cfg))
}
