package models

import (
	"fmt"
	"slices"
)

// noCovers is why an ONNX file alone explains nothing.
const noCovers = "ONNX files have no training counts: a reference sample can stand in for them"

// maxReferenceSteps bounds how far all rows of a reference sample go in all trees together: two seconds or so.
const maxReferenceSteps = 1 << 30

// count puts where the rows of a reference sample went in the place of the training counts: Base is then the mean over these
// rows, and a feature that is not known takes the ways that they took. A node that none of them reached counts both of its
// sides the same.
func (f *forest) count(rows [][]float64, data []byte, limits Limits) error {
	if len(rows) == 0 {
		return nil
	}
	if why := f.unexplainable; why != "" && why != noCovers {
		return fmt.Errorf("there are no contributions for it to be the base of: %s", why)
	}
	for i := range f.trees {
		f.trees[i].splitCover, f.trees[i].leafCover = nil, nil
	}
	f.unexplainable = noCovers // where a row goes is found without the tables of contributions
	m, err := compile(f, data, limits)
	if err != nil {
		return err
	}
	f.unexplainable = ""
	if m.walk.steps*lanesOfTrees > maxReferenceSteps/len(rows) {
		return fmt.Errorf("%d rows through trees of %d splits: %w", len(rows), m.walk.steps*lanesOfTrees, ErrLimit)
	}
	for i := range f.trees {
		f.trees[i].leafCover = make([]float64, len(f.trees[i].leaves))
	}
	var s Scratch
	for i, row := range rows {
		if err := m.checkRow(row); err != nil {
			return fmt.Errorf("row %d: %w", i+1, err)
		}
		for t, leaf := range m.find(row, &s) {
			f.trees[t].leafCover[leaf-m.walk.first[t]]++
		}
	}
	w := newWalker(len(f.info.Features))
	for i := range f.trees {
		f.trees[i].sumCovers(w)
	}
	f.info.Reference = len(rows)
	return nil
}

// sumCovers makes the covers of the splits of those of the leaves.
func (t *tree) sumCovers(w *walker) {
	t.splitCover = make([]float64, len(t.splits))
	order := make([]int32, 0, len(t.splits))
	w.preorder(t, func(v int32) { order = append(order, v) })
	for _, v := range slices.Backward(order) {
		t.splitCover[v] = t.coverOf(t.splits[v].left) + t.coverOf(t.splits[v].right)
	}
}
