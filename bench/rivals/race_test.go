//go:build rivals

package main

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRaceTakesTurns: all do the same rows, a round's figure is the median of its batches, and ratios are taken round by
// round.
func TestRaceTakesTurns(t *testing.T) {
	var rows [2][]int
	timed := func(i int, laps ...int64) scorer {
		n := -1 // the first call is not measured
		return func(first, count int, _ []float64) int64 {
			if n++; n == 0 {
				return 0
			}
			rows[i] = append(rows[i], first)
			return laps[n-1] * int64(count)
		}
	}
	r := race{batch: 10, rows: 30, rivals: []contestant{
		{name: "a", score: timed(0, 1, 900, 2, 3, 3, 3), ours: true}, {name: "b", score: timed(1, 20, 20, 20, 60, 60, 600)},
	}}
	r.run(2)
	for i, want := range [2][2]float64{{2, 3}, {20, 60}} {
		if r.times[i][0] != want[0] || r.times[i][1] != want[1] {
			t.Errorf("%s: %v, want %v", r.rivals[i].name, r.times[i], want)
		}
	}
	for i := range rows {
		for k, first := range rows[i] {
			if first != 10*k {
				t.Errorf("%s did rows from %v, want every tenth", r.rivals[i].name, rows[i])
			}
		}
	}
	if got := spread(divide(r.times[1], r.times[0]), 1, "x"); got != "20.0x (10.0-20.0)" {
		t.Errorf("the ratios are %s", got)
	}
}
