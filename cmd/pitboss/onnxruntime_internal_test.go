package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFindLibrary: what is named goes before the environment, and that before what lies beside the program.
func TestFindLibrary(t *testing.T) {
	t.Setenv("PITBOSS_ONNXRUNTIME", "")
	if got := findLibrary(""); got != "" {
		t.Errorf("found %q beside the test", got)
	}
	t.Setenv("PITBOSS_ONNXRUNTIME", "from-env.so")
	if got := findLibrary(""); got != "from-env.so" {
		t.Errorf("the environment's: %q", got)
	}
	if got := findLibrary("named.so"); got != "named.so" {
		t.Errorf("the named one: %q", got)
	}
	dir := t.TempDir()
	f := func(add, system, want string) {
		t.Helper()
		write(t, filepath.Join(dir, add), "")
		if got := libraryIn(dir, system); got != filepath.Join(dir, want) {
			t.Errorf("beside the program on %s: %q, want %q", system, got, want)
		}
	}
	if got := libraryIn(dir, "linux"); got != "" {
		t.Errorf("in an empty directory: %q", got)
	}
	f("libonnxruntime.so.1.24.4", "linux", "libonnxruntime.so.1.24.4")
	f("libonnxruntime.so.1.27.0", "linux", "libonnxruntime.so.1.27.0")
	f("libonnxruntime.so", "linux", "libonnxruntime.so")
	f("libonnxruntime.dylib", "darwin", "libonnxruntime.dylib")
	f("onnxruntime.dll", "windows", "onnxruntime.dll")
}

const tinyNet = "../../registry/testdata/onnxruntime"

// needONNXRuntime skips a test where no library is named; make test-onnxruntime names one.
func needONNXRuntime(t *testing.T) {
	t.Helper()
	if os.Getenv("PITBOSS_ONNXRUNTIME") != "" {
		return
	}
	if os.Getenv("PITBOSS_REQUIRE_ONNXRUNTIME") != "" {
		t.Fatal("PITBOSS_ONNXRUNTIME names no library")
	}
	t.Skip("needs ONNX Runtime: PITBOSS_ONNXRUNTIME names its shared library (make test-onnxruntime)")
}

func TestONNXBundleIsChecked(t *testing.T) {
	needONNXRuntime(t)
	r := must(t, "check", "--bundle", tinyNet)
	for _, want := range []string{
		"model: onnx ai.onnx", "by onnxruntime 1.", "10 features", "no reasons from it: a graph that ONNX Runtime runs", "the same to 1e-06 from one machine",
		"not by an independent implementation",
	} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%v, want %q", r, want)
		}
	}
}

// TestBundleWithoutONNXRuntime: a build or a machine without it says what to do.
func TestBundleWithoutONNXRuntime(t *testing.T) {
	t.Setenv("PITBOSS_ONNXRUNTIME", "")
	refused(t, exitFailed, []string{"model.onnx", "ONNX Runtime is not available"}, "check", "--bundle", tinyNet)
}
