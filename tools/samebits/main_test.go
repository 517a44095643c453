package main

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"
)

// The examples stand in testdata, with what is to be said beside each line.
func TestSameBits(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), newAnalyzer(), "features", "server")
}
