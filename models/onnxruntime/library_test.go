package onnxruntime_test

import (
	"os"
	"testing"

	"pitboss/models/onnxruntime"
)

// config names the library that PITBOSS_ONNXRUNTIME does. Tests that need one are skipped without, but where
// PITBOSS_REQUIRE_ONNXRUNTIME is set: make test-onnxruntime sets both.
func config(t testing.TB) onnxruntime.Config {
	t.Helper()
	library := os.Getenv("PITBOSS_ONNXRUNTIME")
	if library == "" {
		if os.Getenv("PITBOSS_REQUIRE_ONNXRUNTIME") != "" {
			t.Fatal("PITBOSS_ONNXRUNTIME names no library")
		}
		t.Skip("needs ONNX Runtime: PITBOSS_ONNXRUNTIME names its shared library (make test-onnxruntime)")
	}
	return onnxruntime.Config{Library: library}
}
