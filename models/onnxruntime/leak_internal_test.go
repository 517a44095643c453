//go:build cgo

package onnxruntime

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"pitboss/models/onnxruntime/onnxruntimetest"
)

// resident is the process's memory in KB; 0 where the system does not tell.
func resident(t *testing.T) (kb int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kb); err == nil {
			return kb
		}
	}
	return 0
}

// TestONNXModelsAreGivenBack: models that nobody has any more leave nothing in C, nor do graphs that are refused there. It runs
// in a process with one arena of the C library: with one for each thread, what is free in one is not given to another,
// which looks like 40 KB lost a model.
func TestONNXModelsAreGivenBack(t *testing.T) {
	library := onnxruntimetest.Library(t)
	if os.Getenv("MALLOC_ARENA_MAX") != "1" {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
		child.Env = append(os.Environ(), "MALLOC_ARENA_MAX=1")
		if out, err := child.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	data, err := os.ReadFile(filepath.Join("..", "testdata", "onnxruntime", "mlp_three.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	broken := bytes.ReplaceAll(data, []byte("Relu"), []byte("Relx"))
	ten := func() {
		t.Helper()
		margins := make([]float64, 3)
		for range 10 {
			m, err := Load(data, Config{Library: library}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Predict(make([]float64, 5), nil, margins); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(broken, Config{Library: library}, Options{}); err == nil {
				t.Fatal("an unknown operator was loaded")
			}
		}
		for deadline := time.Now().Add(20 * time.Second); process.live.Load() > 0; runtime.GC() {
			if time.Now().After(deadline) {
				t.Fatalf("%d sessions are still there", process.live.Load())
			}
			runtime.Gosched()
		}
	}
	for range 3 {
		ten()
	}
	before := resident(t)
	for range 10 {
		ten()
	}
	if grown := resident(t) - before; grown > 5<<10 { // a session of this graph takes some 100 KB, and each model opens two
		t.Errorf("100 models, loaded and let go, left %d KB", grown)
	}
}

func TestONNXLibraryIsNamed(t *testing.T) {
	library := onnxruntimetest.Library(t)
	var e environment
	f := func(path, want string) {
		t.Helper()
		if err := e.open(Config{Library: path}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", path, err, want)
		}
	}
	f("", "no shared library is named")
	f(filepath.Join(t.TempDir(), "libonnxruntime.so"), "cannot find its shared library")
	f(t.TempDir(), "is no file")
	if err := process.open(Config{Library: library}); err != nil {
		t.Fatal(err)
	}
	if err := process.open(Config{Library: library + ".other"}); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a second library: %v", err)
	}
}
