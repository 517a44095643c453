package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"pitboss/models"
	"pitboss/models/onnxruntime"
	"pitboss/models/onnxruntime/trial"
)

// ONNXRuntimeConfig says where ONNX Runtime is and what a model may take there.
type ONNXRuntimeConfig struct {
	// Library is the path of its shared library, version 1.24 or later. Default empty: the file that PITBOSS_ONNXRUNTIME names, or
	// libonnxruntime.so beside pitboss (.dylib on macOS, onnxruntime.dll on Windows).
	Library string `yaml:"library"`
	// MaxRow is how long a row of a model may take, by a measurement when it is loaded; a bundle above it does not become the one
	// that decides. A row cannot be interrupted, and decisions have about 30ms. Default 10ms. 0: any time.
	MaxRow time.Duration `yaml:"max_row"`
	// MaxTensorBytes bounds the memory of all models' tensors together. Default 1 GiB.
	MaxTensorBytes int64 `yaml:"max_tensor_bytes"`
	// MaxTrial is how long a graph may take in the process of its own in which it is opened and run before the server loads it: a
	// file can make the library fault or go on for ever. Default 30s.
	MaxTrial time.Duration `yaml:"max_trial"`
	// MaxTrialBytes bounds the memory that the trial may take, on Linux. Default 2 GiB.
	MaxTrialBytes int64 `yaml:"max_trial_bytes"`
}

func defaultONNXRuntime() ONNXRuntimeConfig {
	return ONNXRuntimeConfig{
		MaxRow: 10 * time.Millisecond, MaxTensorBytes: onnxruntime.DefaultTensorBytes,
		MaxTrial: trial.DefaultTimeout, MaxTrialBytes: trial.DefaultMaxBytes,
	}
}

// Validate checks what needs no file.
func (c *ONNXRuntimeConfig) Validate() error {
	var errs []error
	if c.MaxRow < 0 {
		errs = append(errs, fmt.Errorf("max_row: %v is negative; 0 is any time", c.MaxRow))
	}
	if c.MaxTensorBytes < 1<<20 || c.MaxTensorBytes > 1<<40 {
		errs = append(errs, fmt.Errorf("max_tensor_bytes: %d is not 1 MiB to 1 TiB", c.MaxTensorBytes))
	}
	if c.MaxTrial < time.Second || c.MaxTrial > time.Hour {
		errs = append(errs, fmt.Errorf("max_trial: %v is not 1s to 1h", c.MaxTrial))
	}
	if c.MaxTrialBytes < 64<<20 || c.MaxTrialBytes > 1<<40 {
		errs = append(errs, fmt.Errorf("max_trial_bytes: %d is not 64 MiB to 1 TiB", c.MaxTrialBytes))
	}
	return errors.Join(errs...)
}

// onnxRuntime is the configuration with the library that is there.
func (c *Config) onnxRuntime() onnxruntime.Config {
	return c.ONNXRuntime.guarded(findLibrary(c.path(c.ONNXRuntime.Library)))
}

// loadGraph loads a graph for a command that has no configuration.
func loadGraph(data []byte, library string) (models.Model, error) {
	c := defaultONNXRuntime()
	return onnxruntime.Load(data, c.guarded(library), onnxruntime.Options{})
}

// findLibrary finds ONNX Runtime's shared library: the one that is named, or that the environment names, or beside the program.
// It is empty where there is none.
func findLibrary(named string) string {
	if named == "" {
		named = os.Getenv("PITBOSS_ONNXRUNTIME")
	}
	if named != "" {
		return named
	}
	program, err := os.Executable()
	if err != nil {
		return ""
	}
	return libraryIn(filepath.Dir(program), runtime.GOOS)
}

// libraryIn finds it in a directory: by its plain name, or the last of those with a version behind.
func libraryIn(dir, system string) string {
	name := "libonnxruntime.so"
	switch system {
	case "darwin":
		name = "libonnxruntime.dylib"
	case "windows":
		name = "onnxruntime.dll"
	}
	plain := filepath.Join(dir, name)
	if info, err := os.Stat(plain); err == nil && info.Mode().IsRegular() {
		return plain
	}
	versions, err := filepath.Glob(filepath.Join(dir, name+".1.*"))
	if err != nil || len(versions) == 0 {
		return ""
	}
	return slices.Max(versions)
}
