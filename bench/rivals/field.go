//go:build rivals

package main

// #cgo LDFLAGS: -ldl -lm
// #include <stdlib.h>
// #include "rivals.h"
import "C"

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"github.com/dmitryikh/leaves"

	"pitboss/models"
)

// xgboostBatch is how many rows XGBoost explains at one go.
const xgboostBatch = 600

// shape is one size of model.
type shape struct {
	name, title string
	features    int
}

// field is all that is measured of one shape.
type field struct {
	shape
	rows  [][]float64
	want  []float64 // LightGBM's margins
	light models.Model
	boost *C.rival // LightGBM, for batches
	races []*race
}

// version finds a library's version in the metadata that pip wrote beside it.
func version(library string) string {
	dir := filepath.Dir(library)
	for range 3 {
		found, err := filepath.Glob(filepath.Join(dir, "*.dist-info"))
		name := filepath.Base(filepath.Dir(filepath.Dir(library)))
		for _, f := range found {
			base := strings.TrimSuffix(filepath.Base(f), ".dist-info")
			if at := strings.LastIndex(base, "-"); err == nil && at > 0 && strings.HasPrefix(strings.ReplaceAll(base, "_cpu", ""), name) {
				return base[at+1:]
			}
		}
		dir = filepath.Dir(dir)
	}
	return "of unknown version"
}

// openField loads the models of a shape with every library, and checks that all of them mean the same.
func openField(data string, s shape, l libraries) (*field, error) {
	f := &field{shape: s}
	path := func(suffix string) string { return filepath.Join(data, s.name+suffix) }
	flat, err := readFloats(path(".rows"))
	if err != nil {
		return nil, err
	}
	if f.want, err = readFloats(path(".want")); err != nil {
		return nil, err
	}
	for i := range f.want {
		f.rows = append(f.rows, flat[i*s.features:][:s.features])
	}
	if f.light, err = load(path(".txt")); err != nil {
		return nil, err
	}
	xgb, err := load(path(".json"))
	if err != nil {
		return nil, err
	}
	in := rowsForC(flat, s.features)
	other, err := leaves.LGEnsembleFromFile(path(".v3.txt"), false)
	if err != nil {
		return nil, fmt.Errorf("leaves: %w", err)
	}
	f.boost = C.open_lightgbm(C.CString(l.lightGBM), C.CString(path(".txt")), in, 0)
	margin := &race{what: "margin", batch: 512, rows: len(f.rows), rivals: []contestant{
		{name: "pitboss", score: predicts(f.light, f.rows), ours: true},
		{name: "LightGBM, C API", score: inC(f.boost)},
		{name: "onnxruntime, C API", score: inC(C.open_onnxruntime(C.CString(l.onnxruntime), C.CString(path(".onnx")), in))},
		{name: "leaves", score: leavesScore(other, f.rows)},
	}}
	contrib := &race{what: "contributions", batch: 64, rows: len(f.rows) / 10 / 64 * 64, rivals: append(ours(f.light, f.rows),
		contestant{name: "LightGBM, C API", score: inC(C.open_lightgbm(C.CString(l.lightGBM), C.CString(path(".txt")), in, 1))})}
	batched := &race{what: "contributions of an XGBoost model", batch: xgboostBatch, rows: len(f.rows) / xgboostBatch * xgboostBatch,
		rivals: append(ours(xgb, f.rows),
			contestant{name: "XGBoost, batch of 600", score: inC(C.open_xgboost(C.CString(l.xgboost), C.CString(path(".json")), in, xgboostBatch))})}
	f.races = []*race{margin, contrib, batched}
	return f, f.check(margin, contrib)
}

// ours are the kernels of a model.
func ours(m models.Model, rows [][]float64) []contestant {
	return []contestant{
		{name: "pitboss, scalar", score: explains(m, rows, models.KernelScalar), ours: true},
		{name: "pitboss", score: explains(m, rows, models.KernelAuto), ours: true},
	}
}

func load(path string) (models.Model, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read a model: %w", err)
	}
	m, err := models.Load(data, models.DefaultLimits())
	if err != nil {
		return nil, fmt.Errorf("cannot load %s: %w", path, err)
	}
	return m, nil
}

func readFloats(path string) ([]float64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read rows: %w", err)
	}
	out := make([]float64, len(data)/8)
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
	}
	return out, nil
}

// rowsForC copies the rows to memory that C may keep.
func rowsForC(flat []float64, features int) *C.rows {
	wide := unsafe.Slice((*float64)(C.malloc(C.size_t(8*len(flat)))), len(flat))
	narrow := unsafe.Slice((*float32)(C.malloc(C.size_t(4*len(flat)))), len(flat))
	copy(wide, flat)
	for i, x := range flat {
		narrow[i] = float32(x)
	}
	in := (*C.rows)(C.malloc(C.size_t(unsafe.Sizeof(C.rows{}))))
	*in = C.rows{wide: (*C.double)(&wide[0]), narrow: (*C.float)(&narrow[0]), features: C.int(features), count: C.int(len(flat) / features)}
	return in
}

func inC(r *C.rival) scorer {
	return func(first, count int, margins []float64) int64 {
		start := C.thread_nanoseconds()
		C.run(r, C.int(first), C.int(count), (*C.double)(&margins[0]))
		return int64(C.thread_nanoseconds() - start)
	}
}

func predicts(m models.Model, rows [][]float64) scorer {
	var s models.Scratch
	return func(first, count int, margins []float64) int64 {
		start := C.thread_nanoseconds()
		for i := range count {
			if err := m.Predict(rows[(first+i)%len(rows)], &s, margins[i:i+1]); err != nil {
				panic(err)
			}
		}
		return int64(C.thread_nanoseconds() - start)
	}
}

func explains(m models.Model, rows [][]float64, kernel models.Kernel) scorer {
	s := models.Scratch{Kernel: kernel}
	phi := make([]float64, len(m.Info().Features))
	return func(first, count int, margins []float64) int64 {
		start := C.thread_nanoseconds()
		for i := range count {
			if err := m.Explain(rows[(first+i)%len(rows)], &s, margins[i:i+1], phi); err != nil {
				panic(err)
			}
		}
		return int64(C.thread_nanoseconds() - start)
	}
}

func leavesScore(e *leaves.Ensemble, rows [][]float64) scorer {
	return func(first, count int, margins []float64) int64 {
		start := C.thread_nanoseconds()
		for i := range count {
			if err := e.Predict(rows[(first+i)%len(rows)], 0, margins[i:i+1]); err != nil {
				panic(err)
			}
		}
		return int64(C.thread_nanoseconds() - start)
	}
}

// check compares what the contestants of races say of the first rows with LightGBM's margins.
func (f *field) check(races ...*race) error {
	var got [1]float64
	for _, r := range races {
		for _, c := range r.rivals {
			for i := range 64 {
				c.score(i, 1, got[:])
				want := f.want[i]
				if strings.HasPrefix(c.name, "onnxruntime") {
					want = 1 / (1 + math.Exp(-want))
				}
				if math.Abs(got[0]-want) > 1e-5 {
					return fmt.Errorf("row %d: by %s it is %v, LightGBM has %v", i, c.name, got[0], want)
				}
			}
		}
	}
	return nil
}

// printModel tells the size of the compiled model, as it was counted.
func (f *field) printModel() {
	fmt.Printf("| %s | compiled model | pitboss | %.2f MB | |\n", f.title, float64(f.light.Info().Bytes)/1e6)
}
