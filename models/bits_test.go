package models_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pitboss/models"
)

// bitsOfEverything hashes the bits of all margins, scores, contributions and calibrated probabilities of
// goldens, once for each kernel. Records hold such numbers, so the hash must be the same on every machine: make test-bits
// runs this with GOAMD64=v1 and v3 and with GODEBUG=cpu.fma=off, and make test-avx512 with AVX-512, as CI does.
func bitsOfEverything(t *testing.T, names []string, read func(testing.TB, string) *golden, kernels ...models.Kernel) []string {
	t.Helper()
	calibrations := []*models.Calibration{mustCalibration(t, `{"format":1,"kind":"platt","a":1.3,"b":-0.7}`),
		mustCalibration(t, `{"format":1,"kind":"isotonic","x":[-3.1,-1.7,0.3,2.9],"y":[0.013,0.21,0.67,0.97]}`),
		mustCalibration(t, `{"format":1,"kind":"beta","a":0.9,"b":1.2,"c":0.3}`)}
	hashes := make([]hash.Hash, len(kernels))
	for k := range kernels {
		hashes[k] = sha256.New()
	}
	for _, name := range names {
		g := read(t, name)
		m, err := models.LoadWith(g.text, models.Options{Reference: referenceOf(t, name)})
		if err != nil {
			t.Fatal(err)
		}
		for k, kernel := range kernels {
			hashGolden(t, hashes[k], g, m, kernel, calibrations)
		}
	}
	sums := make([]string, len(kernels))
	for k := range kernels {
		sums[k] = hex.EncodeToString(hashes[k].Sum(nil))
	}
	return sums
}

// hashGolden adds the bits of one golden.
func hashGolden(t *testing.T, h hash.Hash, g *golden, m models.Model, kernel models.Kernel, calibrations []*models.Calibration) {
	t.Helper()
	put := func(values []float64) {
		for _, v := range values {
			if v != v {
				t.Fatal("a result is NaN")
			}
			var b [8]byte
			binary.LittleEndian.PutUint64(b[:], math.Float64bits(v))
			h.Write(b[:])
		}
	}
	s := models.Scratch{Kernel: kernel}
	info := m.Info()
	margins, phi, scores := make([]float64, info.Outputs), make([]float64, info.Outputs*len(info.Features)), make([]float64, info.Outputs)
	put(info.Base)
	if kernel != models.KernelBlocks { // its bits are those of years ago, and the costs are today's
		put([]float64{info.Cost.PredictMicros, info.Cost.ExplainMicros})
	}
	for _, r := range g.rows {
		if err := m.Predict(r.x, &s, margins); err != nil {
			t.Fatal(err)
		}
		if err := m.Score(margins, scores); err != nil {
			t.Fatal(err)
		}
		put(margins)
		put(scores)
		if g.table {
			if err := m.Explain(r.x, &s, margins, phi); err != nil {
				t.Fatal(err)
			}
			put(phi)
		}
		for _, c := range calibrations {
			p, err := c.Apply(margins[0], 1/(1+math.Abs(margins[0])))
			if err != nil {
				t.Fatal(err)
			}
			put([]float64{p})
		}
	}
}

// TestBitsAreTheSameEverywhere compares with testdata/bits*.txt; PITBOSS_REWRITE=1 writes them anew, after a change that
// is meant to change bits (and that has to raise decide's logic_version). Those of KernelBlocks stay as they are. The scalar
// kernel is the reference; all others of this processor have to give its bits.
func TestBitsAreTheSameEverywhere(t *testing.T) {
	have := kernels(t)
	lightGBM := bitsOfEverything(t, goldenNames(t), readGolden, append(have, models.KernelBlocks)...)
	for file, sums := range map[string][]string{
		"bits.txt":         lightGBM,
		"bits_xgboost.txt": bitsOfEverything(t, xgboostNames(t), readXGBoost, have...),
		"bits_onnx.txt":    bitsOfEverything(t, onnxNames(t), readONNX, have...),
	} {
		for k, kernel := range have {
			compareBits(t, file, kernel, sums[k])
		}
	}
	compareBits(t, "bits_blocks.txt", models.KernelBlocks, lightGBM[len(have)])
	t.Logf("kernels %v", have)
}

func compareBits(t *testing.T, name string, kernel models.Kernel, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("PITBOSS_REWRITE") != "" {
		if err := os.WriteFile(path, []byte(got+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(want)) != got {
		t.Errorf("the bits of all goldens by the %v kernel hash to %s, testdata/%s has %s", kernel, got, name, want)
	}
}

// TestCompilesWithoutFusedMultiplyAdd reads the machine code for instruction sets that have fused
// multiply-add: none may be in it. PITBOSS_GOARCH names more of them ("arm64 s390x riscv64 ppc64le";
// each takes as long as compiling the standard library's part for it).
func TestCompilesWithoutFusedMultiplyAdd(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go tool to compile with")
	}
	fused := regexp.MustCompile(`(?m)^.*\t(VF(N?)M(ADD|SUB)\w*|F(N?)M(ADD|SUB)\w*)\t.*$`)
	for _, arch := range append([]string{"amd64"}, strings.Fields(os.Getenv("PITBOSS_GOARCH"))...) {
		build := exec.Command(goTool, "build", "-gcflags=-S", ".")
		build.Env = append(os.Environ(), "GOARCH="+arch, "GOAMD64=v3", "CGO_ENABLED=0")
		code, err := build.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", arch, err, code)
		}
		if !bytes.Contains(code, []byte("TEXT")) {
			t.Fatalf("%s: go build -gcflags=-S printed no code", arch)
		}
		for _, line := range fused.FindAll(code, 5) {
			t.Errorf("%s: %s", arch, line)
		}
	}
}
