package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pitboss/models"
)

// TestModelBench: the table has a line for what the engine can do, of rows made or given, and what is wrong with those is said.
func TestModelBench(t *testing.T) {
	bench := func(args ...string) string {
		t.Helper()
		return must(t, append([]string{"model", "bench", goldenModel + ".txt", "--duration", "10ms"}, args...)...).out
	}
	line := func(what string) *regexp.Regexp {
		return regexp.MustCompile(`(?m)^ *` + what + ` +[1-9]\d* +[1-9]\d* +[1-9]\d* +[1-9]\d* +\d+\.\d\d +\d+\.\d$`)
	}
	out := bench()
	for _, want := range []string{"lightgbm v4 by pitboss, 6 features, 1 outputs", "4096 rows made from its thresholds, each in its turn"} {
		if !strings.Contains(out, want) {
			t.Errorf("%s\nwant %q", out, want)
		}
	}
	for _, k := range models.Kernels() {
		if !line("attribution, " + k.String()).MatchString(out) {
			t.Errorf("no line of attribution by the %v kernel:\n%s", k, out)
		}
	}
	if chosen := regexp.MustCompile(`(?m)^decisions take the (scalar|AVX2|AVX-512) kernel(; AVX\S+ takes 1/\d+\.\d\d of the scalar one's time)*$`); !line("margin").MatchString(out) || !chosen.MatchString(out) {
		t.Errorf("no line of margin, or of the kernel that decisions take:\n%s", out)
	}
	golden := readCSV(t, goldenModel+".csv")
	for i, name := range golden[0] {
		golden[0][i] = strings.Replace(name, "x", "Column_", 1)
	}
	file := writeCSV(t, golden)
	out = bench("--rows", file, "--backend", "leaves")
	if !strings.Contains(out, "by leaves") || !strings.Contains(out, "no attribution: leaves computes no contributions") || !line("margin").MatchString(out) ||
		!strings.Contains(out, filepath.Base(file)) {
		t.Errorf("by leaves:\n%s", out)
	}
	golden[2][0] = "many"
	refused(t, exitFailed, []string{"row 2 (line 3)", `"many" is no number`}, "model", "bench", goldenModel+".txt", "--rows", writeCSV(t, golden))
	refused(t, exitFailed, []string{"there is no row in it"}, "model", "bench", goldenModel+".txt", "--rows", writeCSV(t, golden[:1]))
	refused(t, exitUsage, []string{"--duration"}, "model", "bench", goldenModel+".txt", "--duration", "0s")
}

// TestModelScoreByLeaves: the second engine gives the same file but for contributions, and refuses what it would score otherwise.
func TestModelScoreByLeaves(t *testing.T) {
	golden := readCSV(t, goldenModel+".csv")
	for i, name := range golden[0] {
		golden[0][i] = strings.Replace(name, "x", "Column_", 1)
	}
	rows := writeCSV(t, golden)
	native := must(t, "model", "score", goldenModel+".txt", "--rows", rows)
	leaves := must(t, "model", "score", goldenModel+".txt", "--rows", rows, "--backend", "leaves")
	if native.out != leaves.out || len(native.out) < 1000 {
		t.Errorf("by leaves:\n%s\nnative:\n%s", leaves.out, native.out)
	}
	refused(t, exitFailed, []string{"leaves ignores linear models in the leaves"},
		"model", "score", "../../models/testdata/golden/linear.txt", "--rows", rows, "--backend", "leaves")
}
