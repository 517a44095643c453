package registry_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pitboss/models"
	"pitboss/registry"
)

const (
	tinyONNX  = "testdata/onnx"
	wrongONNX = "testdata/onnx_wrong"
)

// relisted copies a bundle with some of its files replaced, each listed anew in the manifest. An empty text takes the file away.
func relisted(t testing.TB, bundle string, files map[string]string, edits ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(bundle)); err != nil {
		t.Fatal(err)
	}
	manifest := read(t, dir, registry.ManifestName)
	for name, text := range files {
		line := regexp.MustCompile(`  - \{name: ` + regexp.QuoteMeta(name) + `, .*\n`)
		if text == "" {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			manifest = line.ReplaceAllString(manifest, "")
			continue
		}
		write(t, dir, name, text)
		manifest = line.ReplaceAllString(manifest, fmt.Sprintf("  - {name: %s, size: %d, sha256: \"%x\"}\n", name, len(text), sha256.Sum256([]byte(text))))
	}
	write(t, dir, registry.ManifestName, strings.NewReplacer(edits...).Replace(manifest))
	return dir
}

// shortGolden leaves base and contributions out of golden.csv.
func shortGolden(t testing.TB, bundle string, features int) string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(read(t, bundle, "golden.csv")) {
		lines = append(lines, strings.Join(strings.Split(strings.TrimSpace(line), ",")[:features+2], ","))
	}
	return strings.Join(lines, "\n") + "\n"
}

// A bundle may have trees in ONNX, with the names of its columns in the manifest. The golden rows are LightGBM's own, of the model
// before it was converted; contributions go by the reference sample, here the training rows.
func TestLoadONNX(t *testing.T) {
	b, err := registry.Load(tinyONNX, config(t))
	if err != nil {
		t.Fatal(err)
	}
	if info := b.Model.Info(); info.Format != models.FormatONNX || info.Reference != 1000 || info.Unexplainable != "" || info.Features[9].Name != "amount" || b.Leaves.Served {
		t.Errorf("%+v, checked with leaves: %+v", info, b.Leaves)
	}
	without, err := registry.Load(relisted(t, tinyONNX, map[string]string{"reference.csv": "", "golden.csv": shortGolden(t, tinyONNX, 10)},
		"reference: {file: reference.csv}\n", ""), config(t))
	if err != nil {
		t.Fatal(err)
	}
	if info := without.Model.Info(); info.Unexplainable == "" || info.Reference != 0 {
		t.Errorf("without a reference sample: %+v", info)
	}
}

// Another sample is another baseline, for LightGBM as well; golden rows then need no contributions.
func TestBaselineByReference(t *testing.T) {
	sample := read(t, tinyONNX, "reference.csv")
	list := fmt.Sprintf("files:\n  - {name: reference.csv, size: %d, sha256: \"%x\"}\n", len(sample), sha256.Sum256([]byte(sample)))
	dir := relisted(t, tiny, map[string]string{"golden.csv": shortGolden(t, tiny, 10)}, "format: lightgbm}", "format: lightgbm, baseline: reference}")
	write(t, dir, "reference.csv", sample)
	manifest := read(t, dir, registry.ManifestName)
	line := regexp.MustCompile(` {2}- \{name: thresholds`)
	manifest = line.ReplaceAllString(manifest, strings.TrimPrefix(list, "files:\n")+"  - {name: thresholds")
	write(t, dir, registry.ManifestName, strings.Replace(manifest, "files:\n", "reference: {file: reference.csv}\nfiles:\n", 1))
	b, err := registry.Load(dir, config(t))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := registry.Load(tiny, config(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, own := b.Model.Info(), plain.Model.Info(); got.Reference != 1000 || got.Base[0] == own.Base[0] {
		t.Errorf("by %d rows: base %v, by the training rows %v", got.Reference, got.Base, own.Base)
	}
}

// What onnxmltools converts wrongly, without a word, is found by the golden rows of the library that trained it.
func TestWronglyConvertedModelsAreRefused(t *testing.T) {
	for _, name := range []string{"zero_as_missing", "linear", "forest"} {
		dir := relisted(t, tinyONNX, map[string]string{"model.onnx": read(t, wrongONNX, name+".onnx"), "golden.csv": read(t, wrongONNX, name+".csv")})
		_, err := registry.Load(dir, config(t))
		var golden *registry.GoldenError
		if !errors.As(err, &golden) || golden.Value != "margin" {
			t.Errorf("%s: got %v, want a golden margin that is missed", name, err)
		}
	}
}

func TestLoadONNXRefuses(t *testing.T) {
	f := func(want string, edits ...string) {
		t.Helper()
		_, err := registry.Load(relisted(t, tinyONNX, nil, edits...), config(t))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", edits, err, want)
		}
	}
	f("it has 10 columns, and is given 9 names", ", amount]", "]")
	f(`features that the feature set does not have: "amounts"`, ", amount]", ", amounts]")
	f("model.baseline: a file of onnx has counted no training rows", "format: onnx,", "format: onnx, baseline: model,")
	f(`model.baseline: "rows" is not model or reference`, "format: onnx,", "format: onnx, baseline: rows,")
	f("model.baseline: reference, and there is no reference sample", "format: onnx,", "format: onnx, baseline: reference,", "reference: {file: reference.csv}\n", "")
	f("model.columns: a file of lightgbm names its columns itself", "format: onnx,", "format: lightgbm,")
	_, err := registry.Load(relisted(t, tinyONNX, map[string]string{"reference.csv": "a,b\n1,2\n"}), config(t))
	if err == nil || !strings.Contains(err.Error(), `cannot read "reference.csv"`) {
		t.Errorf("another header: %v", err)
	}
}
