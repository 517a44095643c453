package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"pitboss/models"
	"pitboss/models/onnxruntime"
)

// Engines that a model file can be given to.
const (
	backendNative = "native"
	backendLeaves = "leaves"
	backendORT    = "onnxruntime"
)

// backendFlags choose the engine of the commands on a model file.
type backendFlags struct {
	backend, library, reference string
}

func (b *backendFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&b.backend, "backend", backendNative, "what scores: native, leaves (LightGBM, another implementation) or onnxruntime (any ONNX graph)")
	addReferenceFlag(cmd, &b.reference)
	cmd.Flags().StringVar(&b.library, "onnxruntime", "", "ONNX Runtime's shared library; default: PITBOSS_ONNXRUNTIME, or beside pitboss")
}

// load reads a model file into the engine.
func (b *backendFlags) load(path string) (models.Model, error) {
	limits := models.DefaultLimits()
	data, err := models.ReadFile(path, limits)
	if err != nil {
		return nil, err
	}
	if b.reference != "" && b.backend != backendNative {
		return nil, &codedError{exitUsage, fmt.Errorf("--reference goes with --backend %s: %s has no contributions", backendNative, b.backend)}
	}
	var m models.Model
	switch b.backend {
	case backendNative:
		if m, err = loadNative(data, b.reference); errors.Is(err, models.ErrUnsupported) && isONNX(data) {
			err = fmt.Errorf("%w; try --backend %s", err, backendORT)
		}
	case backendLeaves:
		m, err = models.LoadLeaves(data, limits)
	case backendORT:
		m, err = loadGraph(data, findLibrary(b.library))
	default:
		return nil, &codedError{exitUsage, fmt.Errorf("--backend %q is not %s, %s or %s", b.backend, backendNative, backendLeaves, backendORT)}
	}
	if err != nil {
		return nil, fmt.Errorf("model %q: %w", path, err)
	}
	return m, nil
}

// isONNX says whether a file is a graph of ONNX as far as it can be told without running it.
func isONNX(data []byte) bool {
	_, err := onnxruntime.Inspect(data, models.DefaultLimits())
	return err == nil
}
