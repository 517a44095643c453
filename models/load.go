package models

// Limits bound what a model file may ask for. A file beyond one is refused with ErrLimit before
// memory is taken for it.
type Limits struct {
	// MaxFileBytes bounds the file. Default 256 MiB.
	MaxFileBytes int
	// MaxFeatures bounds the columns of a row. Default 10,000.
	MaxFeatures int
	// MaxOutputs bounds the classes. Default 256.
	MaxOutputs int
	// MaxTrees bounds the trees. Default 50,000.
	MaxTrees int
	// MaxNodes bounds the internal nodes of all trees together. Default 4,000,000.
	MaxNodes int
	// MaxBytes bounds the compiled model in memory. Default 512 MiB.
	MaxBytes int
}

// DefaultLimits are far above what a decision in milliseconds can use and far below what
// would hurt the process.
func DefaultLimits() Limits {
	return Limits{
		MaxFileBytes: 256 << 20,
		MaxFeatures:  10_000,
		MaxOutputs:   256,
		MaxTrees:     50_000,
		MaxNodes:     4_000_000,
		MaxBytes:     512 << 20,
	}
}
