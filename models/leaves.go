package models

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"

	"github.com/dmitryikh/leaves"
)

// maxLeavesBytes bounds the files that leaves sees: while it loads one it allocates 15 times the file's size.
const maxLeavesBytes = 32 << 20

// LeavesCheck is what an independent scorer, github.com/dmitryikh/leaves, could say of a model.
type LeavesCheck struct {
	// Served says that leaves can score the model as its library does. If not, Reason says why, and nothing
	// was compared: that is no fault of the model.
	Served bool
	Reason string
	// Rows counts the rows whose margins had the same bits.
	Rows int
}

// CheckWithLeaves scores rows with leaves as well and fails at the first whose margins differ in a single
// bit. m must have been loaded from data: leaves trusts files blindly (a bad index panics, a cycle
// hangs, a huge count takes the process down), so that it only sees what this package has checked.
//
// Only margins are compared; leaves' own link functions are wrong or missing for several objectives.
func CheckWithLeaves(m Model, data []byte, rows [][]float64) (LeavesCheck, error) {
	info := m.Info()
	if sha256.Sum256(data) != info.Hash {
		return LeavesCheck{}, errors.New("cannot check with leaves: the model was loaded from another file")
	}
	if reason := notForLeaves(info, data); reason != "" {
		return LeavesCheck{Reason: reason}, nil
	}
	other, reason := loadLeaves(data)
	if reason != "" {
		return LeavesCheck{Reason: reason}, nil
	}
	var s Scratch
	mine, theirs := make([]float64, info.Outputs), make([]float64, info.Outputs)
	input := make([]float64, len(info.Features))
	for i, row := range rows {
		if err := m.Predict(row, &s, mine); err != nil {
			return LeavesCheck{}, fmt.Errorf("cannot check row %d with leaves: %w", i, err)
		}
		leavesInput(info, row, input)
		if reason := predictLeaves(other, input, theirs); reason != "" {
			return LeavesCheck{Reason: reason}, nil
		}
		for k := range mine {
			if mine[k] != theirs[k] {
				return LeavesCheck{Served: true, Rows: i}, fmt.Errorf("row %d, output %d: the margin is %v, by leaves it is %v", i, k, mine[k], theirs[k])
			}
		}
	}
	return LeavesCheck{Served: true, Rows: len(rows)}, nil
}

// notForLeaves names what leaves is known to score wrongly, without an error, or not at all.
func notForLeaves(info *Info, data []byte) string {
	header, _, _ := bytes.Cut(data, []byte("\nTree="))
	switch {
	case len(data) > maxLeavesBytes:
		return fmt.Sprintf("the file has more than %d bytes, and leaves takes many times as much memory", maxLeavesBytes)
	case info.Format != FormatLightGBM:
		return "leaves cannot read the file's format"
	case bytes.Contains(data, []byte("\nis_linear=1")):
		return "leaves ignores linear models in the leaves"
	case info.Averaged:
		return "leaves takes the mean of a random forest for its raw score"
	case info.Trees == 0:
		return "leaves wants at least one tree"
	case !bytes.Contains(header, []byte("\ntree_sizes=")):
		return "leaves needs the key tree_sizes"
	default:
		return ""
	}
}

// leavesInput prepares a row as LightGBM's prediction API does, which leaves does not: tiny values are zero,
// and what is no category at all is the same as a negative one.
func leavesInput(info *Info, row, input []float64) {
	for i, x := range row {
		if math.Abs(x) <= zeroThreshold {
			x = 0
		}
		if info.Features[i].Categorical && !(x > -1 && x < 1<<31) {
			x = -1
		}
		input[i] = x
	}
}

// loadLeaves hands the file over, with header v4 called v3, which leaves reads and which is the same otherwise. It
// gives a reason when leaves cannot read the file.
func loadLeaves(data []byte) (e *leaves.Ensemble, reason string) {
	defer func() {
		if p := recover(); p != nil {
			e, reason = nil, fmt.Sprintf("leaves panicked on the file: %v", p)
		}
	}()
	text := bytes.Replace(data, []byte("\nversion=v4"), []byte("\nversion=v3"), 1)
	e, err := leaves.LGEnsembleFromReader(bufio.NewReader(bytes.NewReader(text)), false)
	if err != nil {
		return nil, fmt.Sprintf("leaves cannot load the file: %v", err)
	}
	return e, ""
}

// predictLeaves scores a row of the right length. It gives a reason when leaves cannot.
func predictLeaves(e *leaves.Ensemble, row, margins []float64) (reason string) {
	defer func() {
		if p := recover(); p != nil {
			reason = fmt.Sprintf("leaves panicked on a row: %v", p)
		}
	}()
	if err := e.Predict(row, 0, margins); err != nil {
		return fmt.Sprintf("leaves cannot score a row: %v", err)
	}
	return ""
}
