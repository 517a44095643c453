// Package onnxruntime scores rows with ONNX graphs of any kind (neural networks, pipelines) by ONNX Runtime, a library in C++.
//
// It is the second engine beside package models, which reads trees itself: what models can load, models should. A graph
// has no exact contributions, its margins are the same from one machine to another to [Tolerance] only, and the library
// must be there: cgo when pitboss was built, and the shared library when it runs. Without one of them [Load] says what to
// do, and everything else works.
//
// A file is walked here, in Go and within bounds, before C++ sees a byte of it: see [Inspect] in graph.go for what is refused.
// What cannot be refused from outside, a fault in the library itself, is met by [Config.Try], for which package trial has
// a process of its own.
//
// It names no features, opens no files but the library, reads no environment. Start reading at [Load], then plan.go (which
// output is the score, and of what kind) and model.go (how rows go through C).
package onnxruntime

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"

	"pitboss/models"
)

// LibraryVersion is the version of ONNX Runtime that is tested; MinorVersion is the least minor version that has the C API
// which the binding asks for (github.com/yalue/onnxruntime_go v1.27.0, C API 24).
const (
	LibraryVersion = "1.27.0"
	MinorVersion   = 24
)

// Tolerance is how far a margin may be from the one that another machine or version computes, relative to the larger of 1 and
// the margin: kernels add float32 in an order that depends on the processor.
const Tolerance = 1e-6

// ErrLibrary says that the shared library is not there, cannot be opened or is too old, or that pitboss was built without
// cgo. The model may be sound.
var ErrLibrary = errors.New("ONNX Runtime is not available")

// Config is how ONNX Runtime runs. It is the process's: the first one to load a model decides.
type Config struct {
	// Library is the path of the shared library. Empty: none is used, and Load fails with ErrLibrary.
	Library string
	// MaxTensorBytes bounds the memory of all tensors and weights together that ONNX Runtime takes from its arena.
	// Default DefaultTensorBytes. A model that would take more fails with an error.
	MaxTensorBytes int64
	// Try is asked of every graph before this process runs it, and its error is Load's. Default nil: it is run at once. A server
	// has trial.Config.Try here, since a fault in C++ would end it.
	Try func(Candidate) error
}

// Candidate is a graph that is to be run in this process.
type Candidate struct {
	Data []byte
	// Hash is the SHA-256 of Data.
	Hash [32]byte
	// Version is that of the library which will run it.
	Version string
	// Config and Options are those of the Load that asks.
	Config  Config
	Options Options
	// Rows are what Options.TryOn gave.
	Rows [][]float64
}

// DefaultTensorBytes is 1 GiB.
const DefaultTensorBytes = 1 << 30

// Options are what a caller knows of a graph that the graph does not say.
type Options struct {
	// Columns names the columns of a graph that takes one matrix, in order. Default f0, f1 and so on. A graph that takes
	// one input for each column has names of its own, which these must be where they are given.
	Columns []string
	// Limits bound the file. Default models.DefaultLimits.
	Limits models.Limits
	// TryOn gives, once the columns are known, rows that the graph is going to be run on: Config.Try has them tried too. Default: none.
	TryOn func(columns []string) [][]float64
}

func (o *Options) limits() models.Limits {
	if o.Limits == (models.Limits{}) {
		return models.DefaultLimits()
	}
	return o.Limits
}

// Load makes a Model of a graph. It fails with models.ErrUnsupported or models.ErrLimit for a file that must not reach C++ or
// whose inputs or outputs are of no use, and with ErrLibrary where there is no library to run it.
//
// The model takes a row of finite float64 or NaN. Values are rounded to float32 where the graph takes float32; one too
// large for that is models.ErrRow. Margins are the graph's own where it has them (the input of a closing Sigmoid or Softmax),
// else the logit of its probability, which is first held inside the numbers of its type between 0 and 1; of more than two
// classes the logarithms. A graph that ends in neither has its output for margin and score.
//
// Explain fails with models.ErrUnexplainable. Info().Cost is measured when the model is loaded, on this machine. The memory in
// C++ is given back when the model is garbage.
func Load(data []byte, cfg Config, opt Options) (models.Model, error) {
	m, err := load(data, cfg, opt)
	if err != nil {
		return nil, fmt.Errorf("cannot load an ONNX graph: %w", err)
	}
	return m, nil
}

func load(data []byte, cfg Config, opt Options) (*model, error) {
	opt.Limits = opt.limits()
	g, err := Inspect(data, opt.Limits)
	if err != nil {
		return nil, err
	}
	p, err := g.plan(opt.Columns, opt.Limits)
	if err != nil {
		return nil, err
	}
	version, err := openLibrary(cfg)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(data)
	if cfg.Try != nil {
		c := Candidate{Data: data, Hash: hash, Version: version, Config: cfg, Options: opt}
		if opt.TryOn != nil {
			c.Rows = opt.TryOn(p.columns)
		}
		if err := cfg.Try(c); err != nil {
			return nil, err
		}
	}
	return newModel(data, hash, version, g, p)
}

// Try loads a graph, runs it on rows that are none and on these, and lets it go: what another process does for this one
// (Config.Try). That it refuses a row is no error.
func Try(data []byte, cfg Config, opt Options, rows [][]float64) error {
	m, err := load(data, cfg, opt)
	if err != nil {
		return err
	}
	row, margins := make([]float64, len(m.info.Features)), make([]float64, m.info.Outputs)
	for _, x := range []float64{math.NaN(), math.MaxFloat32, -math.MaxFloat32, 0x1p-149, 1e9, -1e9} {
		for i := range row {
			row[i] = x
		}
		_ = m.Predict(row, nil, margins) // what counts is to be here afterwards
	}
	for _, row := range rows {
		_ = m.Predict(row, nil, margins)
	}
	m.session.destroy() // with the process still there to see it
	return nil
}
