package models

import "fmt"

// batchRows is how many rows go through a group of trees before the next group: enough that the trees are read from the
// first cache, and few enough that the rows stay there too.
const batchRows = 16

// PredictBatch writes the margins of many rows, with the bits of Predict. rows holds them one after the other, features
// values each, and margins Outputs values for each. It runs in the caller's goroutine: who has several cores gives
// each a part of the rows and a Scratch. An error names the row, counted from 0; the margins are of no use then.
func PredictBatch(m Model, rows []float64, s *Scratch, margins []float64) error {
	features, outputs := len(m.Info().Features), m.Info().Outputs
	if features == 0 || len(rows)%features != 0 {
		return fmt.Errorf("%w: %d values are no whole number of rows of %d", ErrRow, len(rows), features)
	}
	n := len(rows) / features
	if len(margins) != n*outputs {
		return fmt.Errorf("cannot write %d margins, %d rows have %d", len(margins), n, n*outputs)
	}
	e, trees := m.(*ensemble)
	if !trees || e.linear != nil {
		for i := range n {
			if err := m.Predict(rows[i*features:][:features], s, margins[i*outputs:][:outputs]); err != nil {
				return fmt.Errorf("row %d: %w", i, err)
			}
		}
		return nil
	}
	for i := 0; i < n; i += batchRows {
		end := min(i+batchRows, n)
		if at, err := e.predictBlock(rows[i*features:end*features], s, margins[i*outputs:end*outputs]); err != nil {
			return fmt.Errorf("row %d: %w", i+at, err)
		}
	}
	return nil
}

// predictBlock does up to batchRows rows, group of trees by group. With an error comes the row's number.
func (m *ensemble) predictBlock(rows []float64, s *Scratch, margins []float64) (int, error) {
	features, trees := len(m.info.Features), m.info.Trees
	n := len(rows) / features
	s.growBatch(m)
	for i := range n {
		row := rows[i*features:][:features]
		if err := m.checkRow(row); err != nil {
			return i, err
		}
		m.bins.fill(row, &s.batch[i])
	}
	for g := range m.walk.groups {
		for i := range n {
			m.walk.findGroup(&m.walk.groups[g], &s.batch[i], s.leaves[i*trees:][:trees])
		}
	}
	for i := range n {
		leaves, out := s.leaves[i*trees:][:trees], margins[i*m.info.Outputs:][:m.info.Outputs]
		switch {
		case m.own != nil:
			if err := m.own.margins(m.walk.values, leaves, out); err != nil {
				return i, err
			}
		case m.bins.single:
			m.sumSingle(leaves, out)
		default:
			m.sum(rows[i*features:][:features], leaves, out)
		}
	}
	return 0, nil
}

// growBatch makes room for a block of rows.
func (s *Scratch) growBatch(m *ensemble) {
	if s.batch == nil {
		s.batch = new([batchRows]binTable) // 2 MB, of which a model touches the first pages of each
	}
	if n := batchRows * m.info.Trees; len(s.leaves) < n {
		s.leaves = make([]uint32, n)
	}
}
