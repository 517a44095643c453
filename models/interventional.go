package models

import (
	"errors"
	"fmt"
)

// Interventional implements Explorer.
//
// For one background row z, a leaf is worth its value to the coalitions that have all of the n features by which only the
// row comes to it, and none of the m by which only z does. So each of the n gets (n-1)!m!/(n+m)! of the value, each of the m
// gets -n!(m-1)!/(n+m)! (Lundberg et al. 2020, Algorithm 3), and one walk that forks where the two rows part
// finds all leaves that a mixture of them can come to.
func (m *ensemble) Interventional(row []float64, background [][]float64, s *Scratch, base, margins, contributions []float64) error {
	if err := m.checkInterventional(background, base, margins, contributions); err != nil {
		return fmt.Errorf("cannot explain against a background: %w", err)
	}
	if err := m.open(row, s); err != nil {
		return fmt.Errorf("cannot explain against a background: %w", err)
	}
	m.sum(row, m.find(row, s), margins)
	clear(base)
	clear(contributions)
	n := len(m.info.Features)
	var other Scratch
	other.grow(m)
	h := &hybrid{of: m.forks, x: s.bins, z: other.bins, side: make([]uint8, n), weights: mixWeights(m.info.MaxPathFeatures)}
	mean := make([]float64, m.info.Outputs)
	for i, z := range background {
		if err := m.checkRow(z); err != nil {
			return fmt.Errorf("cannot explain against background row %d: %w", i+1, err)
		}
		m.sum(z, m.find(z, &other), mean)
		for k, v := range mean {
			base[k] += v
		}
		for t, root := range m.forks.roots {
			h.phi = contributions[t%m.info.Outputs*n:][:n]
			h.walk(root, 0, 0)
		}
	}
	rows := float64(len(background))
	for i := range contributions {
		contributions[i] /= rows
	}
	for k := range base {
		base[k] /= rows
		if err := checkAdditivity(base[k], margins[k], contributions[k*n:][:n]); err != nil {
			return fmt.Errorf("model %x, output %d: %w", m.info.Hash[:8], k, err)
		}
	}
	return nil
}

func (m *ensemble) checkInterventional(background [][]float64, base, margins, contributions []float64) error {
	switch {
	case len(background) == 0:
		return errors.New("the background has no rows")
	case len(base) != m.info.Outputs:
		return fmt.Errorf("%d bases, the model has %d outputs", len(base), m.info.Outputs)
	case len(background) > maxHybridVisits/max(1, m.info.Nodes):
		return fmt.Errorf("%d background rows and %d nodes are %d visits, at most %d: use fewer rows: %w", len(background), m.info.Nodes,
			len(background)*m.info.Nodes, maxHybridVisits, ErrLimit)
	}
	return m.checkSizes(margins, contributions, true)
}

// mixWeights has (n-1)!m!/(n+m)! at [n][m], for n from 1 and n+m up to most.
func mixWeights(most int) [][]float64 {
	w := make([][]float64, most+1)
	for n := range w {
		w[n] = make([]float64, most+1-n)
		if n == 0 {
			continue
		}
		w[n][0] = 1 / float64(n)
		for m := 1; m < len(w[n]); m++ {
			w[n][m] = w[n][m-1] * float64(m) / float64(n+m)
		}
	}
	return w
}

// hybrid walks the mixtures of two rows.
type hybrid struct {
	of      *forks
	x, z    *binTable
	side    []uint8 // by feature: whose value decides, once the rows have parted at it
	weights [][]float64
	phi     []float64
}

const (
	sideOpen = iota
	sideX
	sideZ
)

// walk gives the sums, over the leaves below v, of what each feature that was taken from x gets, and of what each that was
// taken from z loses; nx and nz count them.
func (h *hybrid) walk(v int32, nx, nz int) (gain, loss float64) {
	for v >= 0 {
		n := &h.of.nodes[v]
		x, z := n.right, n.right
		if n.goesLeft(h.x) {
			x = n.left
		}
		if n.goesLeft(h.z) {
			z = n.left
		}
		side := &h.side[n.feature]
		switch {
		case *side == sideX || x == z:
			v = x
		case *side == sideZ:
			v = z
		default:
			*side = sideX
			gainX, lossX := h.walk(x, nx+1, nz)
			*side = sideZ
			gainZ, lossZ := h.walk(z, nx, nz+1)
			*side = sideOpen
			h.phi[n.feature] += gainX - lossZ
			return gainX + gainZ, lossX + lossZ
		}
	}
	value := h.of.leaves[^v]
	if nx > 0 {
		gain = float64(value * h.weights[nx][nz])
	}
	if nz > 0 {
		loss = float64(value * h.weights[nz][nx])
	}
	return gain, loss
}
