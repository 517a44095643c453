package main

import (
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"pitboss/models/onnxruntime"
	"pitboss/models/onnxruntime/trial"
)

// tryGraph is the command that pitboss calls itself with.
const tryGraph = "try-graph"

func newTryGraphCmd() *cobra.Command {
	return &cobra.Command{
		Use:    tryGraph,
		Hidden: true,
		Short:  "Try an ONNX graph from standard input, for another process of pitboss",
		Long: `Reads a request and an ONNX graph from standard input, has ONNX Runtime open and run it within limits on memory and
time, and says on standard output what came of it. The server and the model commands call it before they load a graph.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return trial.Serve(cmd.InOrStdin(), cmd.OutOrStdout()) },
	}
}

// guarded is ONNX Runtime for a process that must live on: every graph is tried in another one first.
func (c *ONNXRuntimeConfig) guarded(library string) onnxruntime.Config {
	// The other process works elsewhere. A path that cannot be made whole is said to be missing when it is opened.
	if whole, err := filepath.Abs(library); err == nil && library != "" {
		library = whole
	}
	t := trial.Config{Command: []string{ownProgram(), tryGraph}, Timeout: c.MaxTrial, MaxBytes: c.MaxTrialBytes}
	return onnxruntime.Config{Library: library, MaxTensorBytes: c.MaxTensorBytes, Try: t.Try}
}

// ownProgram is this very program: on Linux also where another version has taken its place on the disk since it was started.
func ownProgram() string {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe"
	}
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}
