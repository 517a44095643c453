package models

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

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

// Load reads a model file of any format this package knows, which it finds out from the first bytes.
// Other formats are refused by name with ErrUnsupported.
func Load(data []byte, limits Limits) (Model, error) {
	if len(data) == 0 {
		return nil, errors.New("cannot load a model: the file is empty")
	}
	switch {
	case bytes.HasPrefix(data, []byte("tree\n")), bytes.HasPrefix(data, []byte("tree\r\n")):
		return LoadLightGBM(data, limits)
	case data[0] == '{':
		return LoadXGBoost(data, limits)
	case data[0] == 0x08:
		return nil, fmt.Errorf("cannot load a model: it looks like ONNX: %w", ErrUnsupported)
	case bytes.HasPrefix(data, []byte("binf")), bytes.HasPrefix(data, []byte("bs64")):
		return nil, fmt.Errorf("cannot load a model: it looks like XGBoost's old binary format; load it with XGBoost 1.7 to 3.0 and save it as .json or .ubj: %w", ErrUnsupported)
	default:
		return nil, fmt.Errorf("cannot load a model: no known format starts with %.16q: %w", data, ErrUnsupported)
	}
}

// LoadFile reads a model file from disk, never more of it than the limits allow.
func LoadFile(path string, limits Limits) (Model, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot load a model: %w", err)
	}
	data, err := readUpTo(f, int64(limits.MaxFileBytes))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("cannot load model %q: %w", path, err)
	}
	m, err := Load(data, limits)
	if err != nil {
		return nil, fmt.Errorf("model %q: %w", path, err)
	}
	return m, nil
}

// readUpTo reads a file of at most limit bytes. The size that the file system gives only spares growing.
func readUpTo(f *os.File, limit int64) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot ask for its size: %w", err)
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("it has %d bytes, MaxFileBytes is %d: %w", info.Size(), limit, ErrLimit)
	}
	b := bytes.NewBuffer(make([]byte, 0, info.Size()+bytes.MinRead))
	n, err := io.Copy(b, io.LimitReader(f, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("it has more than MaxFileBytes (%d) bytes: %w", limit, ErrLimit)
	}
	return b.Bytes(), err
}
