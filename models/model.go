// Package models scores rows with gradient-boosted trees and says exactly why.
//
// It reads model files as their libraries wrote them (LightGBM text, XGBoost JSON and UBJSON, tree ensembles in ONNX), predicts with the same
// bits as the library does, and computes exact path-dependent Shapley contributions (TreeSHAP) at
// a price that is known when the model is loaded.
//
// It is floats in, floats out: it knows no feature sets, bundles, thresholds or reasons, imports
// nothing else of this module, reads no clock and draws no random numbers. Mapping names to
// columns, and probabilities to outcomes, is for its callers.
//
// Start reading at [Model] in model.go, then [Load] in load.go; the ensemble that all formats are
// compiled into is in ensemble.go, the contributions are in shap.go. [Explorer] in explore.go has the slower questions:
// what another value would change, contributions against a background, interactions.
package models

import "errors"

// Errors that a caller may branch on; all others mean that a file or an argument is wrong.
var (
	// ErrRow says that a row has the wrong length or holds an infinite value. NaN is not an error: it
	// means missing.
	ErrRow = errors.New("unusable row")
	// ErrAdditivity says that base + contributions missed the margin by more than
	// 1e-9*max(1, |margin|, largest |contribution|). The contributions must not be shown.
	ErrAdditivity = errors.New("contributions do not add up to the margin")
	// ErrUnexplainable says that the model scores but has no exact contributions; Info.Unexplainable
	// has the reason.
	ErrUnexplainable = errors.New("model has no exact contributions")
	// ErrUnsupported says that a file is well-formed as far as it was read, but of a variant that
	// this package does not serve; the message names the variant.
	ErrUnsupported = errors.New("unsupported model")
	// ErrLimit says that a file asks for more than Limits allow.
	ErrLimit = errors.New("model exceeds a limit")
)

// Model is one loaded model. It never changes, so it may be used from any number of goroutines at
// once, each with a Scratch of its own. No method allocates once the Scratch has grown to the model.
//
// Rows are len(Info().Features) values in the model's own order; NaN means missing.
type Model interface {
	// Info describes the model. The value is shared and must not be changed.
	Info() *Info
	// Predict writes the margin of each output (raw scores, before any link function) in the
	// arithmetic of the library that made the model. margins has Info().Outputs elements.
	Predict(row []float64, s *Scratch, margins []float64) error
	// Explain writes, for each output, the float64 sum of the leaves that the row reaches into
	// margins (the same as Predict's for LightGBM; XGBoost and ONNX Runtime sum in float32), and into contributions (Outputs x features, output-major) how much each feature moved
	// that sum away from Info().Base, in margin units. It fails with ErrUnexplainable or
	// ErrAdditivity rather than give contributions that are not exact.
	Explain(row []float64, s *Scratch, margins, contributions []float64) error
	// Score turns margins into what the library's own predict answers: a probability for a
	// classifier, the prediction otherwise (Info().Probability says which). The slices may be the
	// same. The probability is the model's own, before any Calibration.
	Score(margins, scores []float64) error
}

// Format names the kind of file a model came from.
type Format string

// The formats.
const (
	// FormatLightGBM is LightGBM's text format, headers v2 to v4.
	FormatLightGBM Format = "lightgbm"
	// FormatXGBoost is XGBoost's JSON or UBJSON, of versions 1.7 to 3.x.
	FormatXGBoost Format = "xgboost"
	// FormatONNX is ONNX: natively where the graph is one tree ensemble with little around it, else by ONNX Runtime.
	FormatONNX Format = "onnx"
)

// Info holds what is known about a model without running it.
type Info struct {
	// Format and FormatVersion say what the file is, such as "lightgbm" and "v4", or "xgboost" and
	// "3.2.0" (the library that wrote it).
	Format        Format
	FormatVersion string
	// Backend is the engine that scores where it is not this package's own, with its version: "onnxruntime 1.27.0", "leaves".
	Backend string
	// Tolerance is how far a margin may be from what another machine computes, relative to the larger of 1 and the margin; 0
	// for the same bits everywhere.
	Tolerance float64
	// Hash is the SHA-256 of the file's bytes.
	Hash [32]byte
	// Objective is the objective line of the file, such as "binary sigmoid:1"; empty when the file
	// has none (a custom objective, whose scores are the margins). For ONNX it says what is done to the margins.
	Objective string
	// Boosting is "gbdt", "dart", "rf" or "goss", as far as the file tells; for ONNX it is the operator.
	Boosting string
	// Probability says that every score is a probability in [0,1].
	Probability bool
	// Averaged says that scores are made from margin/Iterations (random forests).
	Averaged bool
	// Outputs is the number of margins of a row: 1, or the number of classes.
	Outputs int
	// Features are the columns of a row, in order.
	Features []Feature
	// Trees, Iterations (rounds of boosting), Nodes (internal) and Leaves count the whole ensemble.
	Trees, Iterations, Nodes, Leaves int
	// BestIterations is how many iterations early stopping found best, where the file says so, or 0. All of them are
	// scored all the same: to serve fewer, save a slice of the model (XGBoost: booster[:n]).
	BestIterations int
	// MaxDepth is the largest number of splits on a way from a root to a leaf, MaxPathFeatures the
	// largest number of distinct features there.
	MaxDepth, MaxPathFeatures int
	// Base is, for each output, the margin that contributions start from: the mean over the training
	// rows as the tree covers remember them, or over the rows of the reference sample. Nil when the model is unexplainable.
	Base []float64
	// Reference is how many rows of a reference sample Base and contributions go by (Options.Reference); 0 where they go by
	// the training rows that the file counted.
	Reference int
	// Unexplainable is why Explain refuses, or empty when it works.
	Unexplainable string
	// Cost is the predicted price of a row.
	Cost Cost
	// Bytes is the size of the compiled model in memory.
	Bytes int
}

// Feature is one column of a row.
type Feature struct {
	// Name is the column's name in the file.
	Name string
	// Splits counts the nodes that test the feature; 0 means that the model ignores it.
	Splits int
	// Gain is what its splits gained in training, all together, and Cover how much of the training data they saw: rows in
	// LightGBM, the sum of hessians in XGBoost, rows of the reference sample where there is one. NaN where nobody tells.
	Gain, Cover float64
	// Categorical says that at least one node tests it as a category.
	Categorical bool
	// Min and Max are the range seen in training, NaN when the file does not tell.
	Min, Max float64
}

// Cost is the predicted price of one row on one core, in microseconds. It is a function of the
// model's shape alone, fitted to measurements of the scalar kernel (docs/measurements.md), so that the same file
// has the same price everywhere and a registry can hold a budget against it.
type Cost struct {
	PredictMicros, ExplainMicros float64
}

// FeatureNames returns a new slice with the names of the columns of a row, in order.
func (i *Info) FeatureNames() []string {
	names := make([]string, len(i.Features))
	for j := range i.Features {
		names[j] = i.Features[j].Name
	}
	return names
}
