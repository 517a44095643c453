package models_test

import (
	"testing"

	"pitboss/models"
)

// TestSweepOfONNX: graphs round their margins in many ways.
func TestSweepOfONNX(t *testing.T) {
	swept := 0
	for _, name := range onnxNames(t) {
		g := readONNX(t, name)
		m, err := models.LoadWith(g.text, models.Options{Reference: referenceOf(t, name)})
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := m.(models.Explorer); ok && m.Info().Unexplainable == "" {
			swept++
			for i := 0; i < len(g.rows); i += 9 {
				checkSweep(t, e, g.rows[i].x, m.Info().Outputs-1)
			}
		}
	}
	if swept < 10 {
		t.Errorf("only %d models", swept)
	}
}
