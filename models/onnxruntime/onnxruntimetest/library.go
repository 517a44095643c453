// Package onnxruntimetest finds ONNX Runtime for tests that run it, and skips them where there is none.
//
// It holds no tests and opens no library. There is Library alone.
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
