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

// Options are what a file does not say of a model.
type Options struct {
	// Limits bound the file; the zero value means DefaultLimits.
	Limits Limits
	// Names are the columns of a row, for a file that does not name them (ONNX with one input for all of them, XGBoost trained
	// without names). Empty for the file's own, or f0, f1 ….
	Names []string
	// Reference are rows that stand in for the training rows: contributions then start from the mean over them, and go by
	// where they went. Empty for the training rows, as far as the file has counted them.
	Reference [][]float64
	// ReferenceFrom gives Reference once the names of a row's columns are known, for who reads the sample by them.
	ReferenceFrom func(columns []string) ([][]float64, error)
}

// Load reads a model file of any format this package knows, which it finds out from the first bytes.
// Other formats are refused by name with ErrUnsupported.
func Load(data []byte, limits Limits) (Model, error) {
	return LoadWith(data, Options{Limits: limits})
}

// LoadWith is Load for a model of which more is known than its file says.
func LoadWith(data []byte, o Options) (Model, error) {
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits()
	}
	what, parse, err := formatOf(data)
	if err != nil {
		return nil, fmt.Errorf("cannot load a model: %w", err)
	}
	return loadAs(what, parse, data, o)
}

// parser reads a file of one format.
type parser func(data []byte, limits Limits) (*forest, error)

// formatOf finds out what a file is from its first bytes.
func formatOf(data []byte) (what string, _ parser, _ error) {
	switch {
	case len(data) == 0:
		return "", nil, errors.New("the file is empty")
	case bytes.HasPrefix(data, []byte("tree\n")), bytes.HasPrefix(data, []byte("tree\r\n")):
		return "a LightGBM", parseLightGBM, nil
	case data[0] == '{':
		return "an XGBoost", parseXGBoost, nil
	case data[0] == 0x08: // the first field of an ONNX file is a number, its version
		return "an ONNX", parseONNX, nil
	case bytes.HasPrefix(data, []byte("binf")), bytes.HasPrefix(data, []byte("bs64")):
		return "", nil, fmt.Errorf("it looks like XGBoost's old binary format; load it with XGBoost 1.7 to 3.0 and save it as .json or .ubj: %w", ErrUnsupported)
	default:
		return "", nil, fmt.Errorf("no known format starts with %.16q: %w", data, ErrUnsupported)
	}
}

// loadAs reads a file of a known format and compiles what is in it.
func loadAs(what string, parse parser, data []byte, o Options) (Model, error) {
	if len(data) > o.Limits.MaxFileBytes {
		return nil, fmt.Errorf("cannot load %s model of %d bytes, MaxFileBytes is %d: %w", what, len(data), o.Limits.MaxFileBytes, ErrLimit)
	}
	f, err := parse(data, o.Limits)
	if err != nil {
		return nil, fmt.Errorf("cannot load %s model: %w", what, err)
	}
	if err = f.rename(o.Names); err != nil {
		return nil, fmt.Errorf("cannot load %s model: %w", what, err)
	}
	if o.ReferenceFrom != nil {
		if o.Reference, err = o.ReferenceFrom(f.info.FeatureNames()); err != nil {
			return nil, err
		}
	}
	if err = f.count(o.Reference, data, o.Limits); err != nil {
		return nil, fmt.Errorf("cannot load %s model: reference sample: %w", what, err)
	}
	m, err := compile(f, data, o.Limits)
	if err != nil {
		return nil, fmt.Errorf("cannot load %s model: %w", what, err)
	}
	return m, nil
}

// rename gives the columns their names.
func (f *forest) rename(names []string) error {
	if len(names) == 0 {
		return nil
	}
	if !f.unnamed {
		return errors.New("it names its columns itself, and must not be given names")
	}
	if len(names) != len(f.info.Features) {
		return fmt.Errorf("it has %d columns, and is given %d names", len(f.info.Features), len(names))
	}
	seen := map[string]bool{}
	for i, name := range names {
		if name == "" || len(name) > maxTextBytes || seen[name] {
			return fmt.Errorf("name %d is empty, too long or there twice: %.64q", i, name)
		}
		seen[name] = true
		f.info.Features[i].Name = name
	}
	return nil
}

// LoadFile reads a model file from disk, never more of it than the limits allow.
func LoadFile(path string, limits Limits) (Model, error) {
	data, err := ReadFile(path, limits)
	if err != nil {
		return nil, err
	}
	m, err := Load(data, limits)
	if err != nil {
		return nil, fmt.Errorf("model %q: %w", path, err)
	}
	return m, nil
}

// ReadFile reads the bytes of a model file, never more of it than the limits allow. Errors name the file.
func ReadFile(path string, limits Limits) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot load a model: %w", err)
	}
	data, err := readUpTo(f, int64(limits.MaxFileBytes))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("cannot load model %q: %w", path, err)
	}
	return data, nil
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
