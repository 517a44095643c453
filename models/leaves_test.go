package models_test

import (
	"bytes"
	"strings"
	"testing"

	"pitboss/models"
)

// TestAgreesWithLeaves: an independent implementation gives the same bits on every golden that it can score.
func TestAgreesWithLeaves(t *testing.T) {
	served := 0
	for _, name := range goldenNames(t) {
		g := readGolden(t, name)
		m := mustLoad(t, g.text)
		rows := make([][]float64, len(g.rows))
		for i := range rows {
			rows[i] = g.rows[i].x
		}
		c, err := models.CheckWithLeaves(m, g.text, rows)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantServed := !strings.Contains(name, "linear") && !strings.HasSuffix(name, "rf")
		if c.Served != wantServed || c.Served != (c.Reason == "") || c.Served && c.Rows != len(rows) {
			t.Errorf("%s: %+v, want it served: %v", name, c, wantServed)
		}
		if c.Served {
			served++
		}
	}
	if served < 75 {
		t.Errorf("leaves scored %d goldens only", served)
	}
}

func TestLeavesCheckFindsADifference(t *testing.T) {
	g := readGolden(t, "binary")
	rows := [][]float64{g.rows[0].x, g.rows[1].x}
	m := mustLoad(t, g.text)
	c, err := models.CheckWithLeaves(disagrees{m}, g.text, rows)
	if err == nil || !strings.Contains(err.Error(), "row 0, output 0: the margin is") || !c.Served || c.Rows != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	other := bytes.Replace(g.text, []byte("[seed: 3]"), []byte("[seed: 4]"), 1)
	if _, err := models.CheckWithLeaves(m, other, rows); err == nil || !strings.Contains(err.Error(), "another file") {
		t.Errorf("another file: %v", err)
	}
	if _, err := models.CheckWithLeaves(m, g.text, [][]float64{{1}}); err == nil {
		t.Error("a short row passed")
	}
	bare := bytes.Replace(g.text, []byte("tree_sizes="), []byte("label_index="), 1)
	bare = bytes.Replace(bare, []byte("label_index=0\n"), nil, 1)
	if c, err := models.CheckWithLeaves(mustLoad(t, bare), bare, rows); err != nil || c.Served || !strings.Contains(c.Reason, "tree_sizes") {
		t.Errorf("no tree_sizes: %+v, %v", c, err)
	}
}

// TestLeavesIsSparedLargeFiles: what this package loads in a little more memory than the file takes leaves many times that.
func TestLeavesIsSparedLargeFiles(t *testing.T) {
	text := readGolden(t, "binary").text
	large := append(bytes.Clone(text), "[seed: "+strings.Repeat("3", 32<<20)+"]\n"...)
	f := func(text []byte, served bool) {
		t.Helper()
		m := mustLoad(t, text)
		c, err := models.CheckWithLeaves(m, text, [][]float64{make([]float64, len(m.Info().Features))})
		if err != nil || c.Served != served || !served && !strings.Contains(c.Reason, "more than 33554432 bytes") {
			t.Errorf("%d bytes: %+v, %v", len(text), c, err)
		}
	}
	f(text, true)
	f(large, false)
}

// disagrees is a model that is off by the last bit.
type disagrees struct{ models.Model }

func (d disagrees) Predict(row []float64, s *models.Scratch, margins []float64) error {
	err := d.Model.Predict(row, s, margins)
	margins[0] += 1e-15
	return err
}
