package models

import (
	"fmt"

	"github.com/dmitryikh/leaves"
)

// leavesModel scores by leaves what this package has read and checked before.
type leavesModel struct {
	own   *ensemble
	other *leaves.Ensemble
	info  Info
}

var _ Model = (*leavesModel)(nil)

// LoadLeaves makes a Model whose margins are those of github.com/dmitryikh/leaves, to compare with: it is slower, allocates, explains
// nothing, and serves no decision. The file is loaded by Load first. It fails with ErrUnsupported for what leaves is known
// to score otherwise than the library that made the file (CheckWithLeaves), and for what it cannot read.
func LoadLeaves(data []byte, limits Limits) (Model, error) {
	m, err := Load(data, limits)
	if err != nil {
		return nil, err
	}
	own, ok := m.(*ensemble)
	if !ok {
		return nil, fmt.Errorf("cannot score by leaves: it is no ensemble of trees: %w", ErrUnsupported)
	}
	reason := notForLeaves(own.Info(), data)
	var other *leaves.Ensemble
	if reason == "" {
		other, reason = loadLeaves(data)
	}
	if reason != "" {
		return nil, fmt.Errorf("cannot score by leaves: %s: %w", reason, ErrUnsupported)
	}
	l := &leavesModel{own: own, other: other, info: *own.Info()}
	l.info.Backend, l.info.Unexplainable, l.info.Base = "leaves", "leaves computes no contributions", nil
	return l, nil
}

// Info implements Model.
func (m *leavesModel) Info() *Info { return &m.info }

// Predict implements Model, but for its promise not to allocate: leaves does. The length of the row is checked before leaves sees it, which
// answers 0 where one is too short, and counts no features at all in a model of one.
func (m *leavesModel) Predict(row []float64, s *Scratch, margins []float64) error {
	if err := m.own.checkSizes(margins, nil, false); err != nil {
		return err
	}
	if err := m.own.checkRow(row); err != nil {
		return err
	}
	if len(s.input) < len(row) {
		s.input = make([]float64, len(row))
	}
	leavesInput(&m.info, row, s.input)
	if reason := predictLeaves(m.other, s.input[:len(row)], margins); reason != "" {
		return fmt.Errorf("cannot score a row: %s", reason)
	}
	return nil
}

// Explain implements Model.
func (m *leavesModel) Explain([]float64, *Scratch, []float64, []float64) error {
	return fmt.Errorf("cannot explain: %s: %w", m.info.Unexplainable, ErrUnexplainable)
}

// Score implements Model, by this package's own link functions: those of leaves are wrong or missing for several objectives.
func (m *leavesModel) Score(margins, scores []float64) error { return m.own.Score(margins, scores) }
