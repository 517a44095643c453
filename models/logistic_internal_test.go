package models

import (
	"math"
	"testing"
)

func TestLogisticStaysAProbability(t *testing.T) {
	f := func(x, want float64) {
		t.Helper()
		if got := logistic(x); got != want {
			t.Errorf("logistic(%v) = %v, want %v", x, got, want)
		}
	}
	f(0, 0.5)
	f(1e6, 1)
	f(-1e6, 0)
	f(math.MaxFloat64, 1)
	f(-math.MaxFloat64, 0)
}
