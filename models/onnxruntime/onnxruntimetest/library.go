// Package onnxruntimetest is what tests of ONNX Runtime share: where the library is (they are skipped where there is none), and
// graphs written field by field.
//
// It holds no tests and opens no library. Start with Library and File.
package onnxruntimetest

import (
	"os"
	"testing"
)

// Library is the shared library that PITBOSS_ONNXRUNTIME names. Tests that need one are skipped without, but where
// PITBOSS_REQUIRE_ONNXRUNTIME is set: make test-onnxruntime sets both.
func Library(t testing.TB) string {
	t.Helper()
	library := os.Getenv("PITBOSS_ONNXRUNTIME")
	if library != "" {
		return library
	}
	if os.Getenv("PITBOSS_REQUIRE_ONNXRUNTIME") != "" {
		t.Fatal("PITBOSS_ONNXRUNTIME names no library")
	}
	t.Skip("needs ONNX Runtime: PITBOSS_ONNXRUNTIME names its shared library (make test-onnxruntime)")
	return ""
}
