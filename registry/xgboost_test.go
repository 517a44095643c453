package registry_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pitboss/models"
	"pitboss/registry"
)

const tinyXGBoost = "testdata/xgboost"

// A bundle may have a model of XGBoost, whose figures are believed as far as float32 goes and no farther.
func TestLoadXGBoost(t *testing.T) {
	b, err := registry.Load(tinyXGBoost, config(t))
	if err != nil {
		t.Fatal(err)
	}
	if info := b.Model.Info(); info.Format != models.FormatXGBoost || info.Trees != 20 || b.Leaves.Served {
		t.Errorf("%+v, checked with leaves: %+v", info, b.Leaves)
	}
	for _, test := range []struct {
		column string
		by     float64
		bad    bool
	}{
		{"margin", 2e-7, false}, // the last bit of a float32: the trainer's machine has another logarithm
		{"margin", 1e-5, true},
		{"base", 1e-5, false},
		{"base", 1e-3, true},
		{"contrib_amount", 1e-5, false},
		{"contrib_amount", 1e-3, true},
	} {
		_, err := registry.Load(xgboostWith(t, test.column, test.by), config(t))
		var golden *registry.GoldenError
		if errors.As(err, &golden) != test.bad || test.bad && golden.Value != test.column || !test.bad && err != nil {
			t.Errorf("%s off by %v: got %v, want an error: %v", test.column, test.by, err, test.bad)
		}
	}
}

// xgboostWith copies the bundle with one figure of the third golden row moved, and listed anew in the manifest.
func xgboostWith(t *testing.T, column string, by float64) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(tinyXGBoost)); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(read(t, dir, "golden.csv"), "\n")
	cells := strings.Split(lines[3], ",")
	for i, name := range strings.Split(lines[0], ",") {
		if name == column {
			v, err := strconv.ParseFloat(cells[i], 64)
			if err != nil {
				t.Fatal(err)
			}
			cells[i] = strconv.FormatFloat(v+by, 'g', -1, 64)
		}
	}
	lines[3] = strings.Join(cells, ",")
	text := strings.Join(lines, "\n")
	write(t, dir, "golden.csv", text)
	listed := regexp.MustCompile(`name: golden\.csv, size: \d+, sha256: "\w+"`)
	write(t, dir, "bundle.yaml", listed.ReplaceAllString(read(t, dir, "bundle.yaml"),
		fmt.Sprintf("name: golden.csv, size: %d, sha256: %q", len(text), fmt.Sprintf("%x", sha256.Sum256([]byte(text))))))
	return dir
}
