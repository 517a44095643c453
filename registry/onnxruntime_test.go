package registry_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pitboss/models"
	"pitboss/models/onnxruntime"
	"pitboss/models/onnxruntime/onnxruntimetest"
	"pitboss/registry"
)

const tinyNet = "testdata/onnxruntime"

// onnxConfig is config with the library that PITBOSS_ONNXRUNTIME names.
func onnxConfig(t testing.TB) registry.Config {
	t.Helper()
	c := config(t)
	c.ONNXRuntime = onnxruntime.Config{Library: onnxruntimetest.Library(t)}
	return c
}

// TestLoadONNXRuntime: a network in a bundle is loaded, tried on its golden rows and may decide, since its manifest allows it.
func TestLoadONNXRuntime(t *testing.T) {
	b, err := registry.Load(tinyNet, onnxConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	info := b.Model.Info()
	if info.Format != models.FormatONNX || info.Unexplainable == "" || info.Tolerance != onnxruntime.Tolerance || b.Leaves.Served || b.Leaves.Reason == "" {
		t.Errorf("%+v, checked with leaves: %+v", info, b.Leaves)
	}
	if got := b.Set.Features[b.Columns[0]].Name; got != "stake_1h" || info.Features[0].Name != "stake_1h" {
		t.Errorf("the first column is %q of the set and %q of the model", got, info.Features[0].Name)
	}
	if err = b.Servable(time.Second); err != nil {
		t.Errorf("servable: %v", err)
	}
	if err = b.Servable(time.Nanosecond); !errors.Is(err, registry.ErrNotServable) || !strings.Contains(err.Error(), "at most 1ns may be taken: a model cannot be interrupted") {
		t.Errorf("in a nanosecond: %v", err)
	}
	cfg := onnxConfig(t)
	cfg.MaxRow = time.Nanosecond
	r, err := registry.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Use(tinyNet); !errors.Is(err, registry.ErrNotServable) || r.Active() != nil {
		t.Errorf("used: %v", err)
	}
	if err := r.Activate(b); !errors.Is(err, registry.ErrNotServable) {
		t.Errorf("activated: %v", err)
	}
}

// TestLoadONNXRuntimeRefuses: golden rows of another model, and a manifest that does not fit the graph.
func TestLoadONNXRuntimeRefuses(t *testing.T) {
	cfg := onnxConfig(t)
	f := func(dir, want string) {
		t.Helper()
		if _, err := registry.Load(dir, cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	row := strings.Split(read(t, tinyNet, "golden.csv"), "\n")[3]
	cells := strings.Split(row, ",")
	margin, score := len(cells)-2, len(cells)-1
	changed := append([]string(nil), cells...)
	changed[margin] = cells[margin] + "1" // one digit more is within the tolerance
	if _, err := registry.Load(editedOf(t, tinyNet, "golden.csv", row, strings.Join(changed, ",")), cfg); err != nil {
		t.Errorf("a digit more: %v", err)
	}
	changed[margin] = "0.123"
	f(editedOf(t, tinyNet, "golden.csv", row, strings.Join(changed, ",")), "golden row 3: margin is")
	changed[margin], changed[score] = cells[margin], "0.123"
	f(editedOf(t, tinyNet, "golden.csv", row, strings.Join(changed, ",")), "golden row 3: score is")
	f(editedOf(t, tinyNet, "golden.csv", ",margin,score", ",margin,score,base"), "header: 13 columns; the model has 10 features, so that there must be 23")
	f(editedOf(t, tinyNet, "bundle.yaml", "stake_share, amount]", "stake_share]"), "has 10 columns, and 9 are named")
	f(editedOf(t, tinyNet, "bundle.yaml", "[stake_1h, ", "[stake_2h, "), `the model wants features that the feature set does not have: "stake_2h"`)
	b, err := registry.Load(editedOf(t, tinyNet, "bundle.yaml", "allow_unexplained: true\n", ""), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Servable(0); !errors.Is(err, registry.ErrNotServable) || !strings.Contains(err.Error(), "allow_unexplained: true in bundle.yaml allows it") {
		t.Errorf("unexplained: %v", err)
	}
}

// TestONNXIsTriedOnce: a graph is tried when its bundle is registered, and at a later start only where another version of the
// library would run it. What fails is not loaded, and not noted.
func TestONNXIsTriedOnce(t *testing.T) {
	cfg := onnxConfig(t)
	cfg.Store = t.TempDir()
	tried, broken := 0, error(nil)
	cfg.ONNXRuntime.Try = func(c onnxruntime.Candidate) error {
		tried++
		if len(c.Rows) != 24 || len(c.Rows[0]) != len(c.Options.Columns) {
			t.Errorf("tried on %d rows", len(c.Rows))
		}
		return broken
	}
	use := func(what string, want int) error {
		t.Helper()
		r, err := registry.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		tried = 0
		b, err := r.Use(tinyNet)
		if tried != want {
			t.Errorf("%s: tried %d times, want %d", what, tried, want)
		}
		if err == nil {
			_, err = r.Get(b.Hash)
		}
		return err
	}
	broken = errors.New("it died")
	if err := use("one that fails", 1); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	broken = nil
	for i, want := range []int{1, 0} {
		if err := use("again", want); err != nil {
			t.Errorf("start %d: %v", i, err)
		}
	}
	notes, err := filepath.Glob(filepath.Join(cfg.Store, "tried", "*"))
	if err != nil || len(notes) != 1 {
		t.Fatalf("notes %q, %v", notes, err)
	}
	if err := os.WriteFile(notes[0], []byte(strings.Replace(read(t, cfg.Store, "tried/"+filepath.Base(notes[0])), "Runtime 1.", "Runtime 0.", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := use("after another version", 1); err != nil {
		t.Error(err)
	}
	cfg.Store = ""
	for range 2 {
		if err := use("without a store", 1); err != nil {
			t.Error(err)
		}
	}
}

// TestONNXRuntimeIsNotThere: what a bundle of a network gives where nothing can run it.
func TestONNXRuntimeIsNotThere(t *testing.T) {
	if _, err := registry.Load(tinyNet, config(t)); !errors.Is(err, onnxruntime.ErrLibrary) || !strings.Contains(err.Error(), `cannot read "model.onnx"`) {
		t.Errorf("no library: %v", err)
	}
	f := func(dir, before, after, want string) {
		t.Helper()
		if _, err := registry.Load(editedOf(t, dir, registry.ManifestName, before, after), config(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q for %q: got %v, want %q", after, before, err, want)
		}
	}
	f(tinyNet, "backend: onnxruntime", "backend: native", "model.backend: onnxruntime may run it")
	f(tinyNet, "backend: onnxruntime", "backend: torch", `model.backend: "torch" is not native or onnxruntime`)
	f(tiny, "format: lightgbm}", "format: lightgbm, backend: onnxruntime}", "model.backend: onnxruntime runs format onnx, and this is lightgbm")
	f(tiny, "format: lightgbm}", "format: lightgbm, columns: [a]}", "model.columns: a file of lightgbm names its columns itself")
}

// TestLinearTreesAreUnexplained: LightGBM's linear trees score, and decide only where the manifest allows it.
func TestLinearTreesAreUnexplained(t *testing.T) {
	f := func(allow string, servable bool) {
		t.Helper()
		b, err := registry.Load(editedOf(t, tinyLinear, registry.ManifestName, "name: tinylinear\n", "name: tinylinear\n"+allow), config(t))
		if err != nil {
			t.Fatal(err)
		}
		if b.Model.Info().Unexplainable == "" || b.Leaves.Served {
			t.Errorf("%+v, %+v", b.Model.Info(), b.Leaves)
		}
		if err := b.Servable(0); (err == nil) != servable {
			t.Errorf("%q: %v", allow, err)
		}
	}
	f("", false)
	f("allow_unexplained: false\n", false)
	f("allow_unexplained: true\n", true)
}

const tinyLinear = "testdata/linear"
