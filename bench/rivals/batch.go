//go:build rivals

package main

// #include <stdlib.h>
// #include "rivals.h"
import "C"

import (
	"fmt"
	"sync"
	"time"
	"unsafe"

	"pitboss/models"
)

const (
	batchOfRows  = 100_000
	batchThreads = 2
)

// batch measures many rows on two threads, by the clock on the wall: in turn with LightGBM's prediction of a matrix.
func (f *field) batch(rounds int) error {
	n := batchOfRows * f.features
	memory := C.malloc(C.size_t(8 * n))
	defer C.free(memory)
	rows := unsafe.Slice((*float64)(memory), n)
	for i := range batchOfRows {
		copy(rows[i*f.features:][:f.features], f.rows[i%len(f.rows)])
	}
	mine, theirs := make([]float64, batchOfRows), make([]float64, batchOfRows)
	var scratch [batchThreads]models.Scratch
	r := race{rivals: []contestant{{name: "pitboss", ours: true}, {name: "LightGBM, C API"}}, what: "100,000 rows, 2 threads, elapsed",
		times: make([][]float64, 2)}
	for round := range rounds + 1 {
		start := time.Now()
		if err := f.predictBatch(rows, &scratch, mine); err != nil {
			return err
		}
		between := time.Now()
		C.run_batch(f.boost, (*C.double)(&rows[0]), batchOfRows, batchThreads, (*C.double)(&theirs[0]))
		if round > 0 { // the first one pays for page faults
			r.times[0] = append(r.times[0], float64(between.Sub(start).Nanoseconds())/batchOfRows)
			r.times[1] = append(r.times[1], float64(time.Since(between).Nanoseconds())/batchOfRows)
		}
	}
	for i := range mine {
		if mine[i] != theirs[i] {
			return fmt.Errorf("row %d: in a batch it is %v, LightGBM has %v", i, mine[i], theirs[i])
		}
	}
	r.print(f.title)
	return nil
}

// predictBatch gives each goroutine one part of the rows.
func (f *field) predictBatch(rows []float64, scratch *[batchThreads]models.Scratch, margins []float64) error {
	var wait sync.WaitGroup
	errs := make([]error, batchThreads)
	part := batchOfRows / batchThreads
	for i := range batchThreads {
		wait.Go(func() {
			errs[i] = models.PredictBatch(f.light, rows[i*part*f.features:][:part*f.features], &scratch[i], margins[i*part:][:part])
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
