//go:build rivals

package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

// scorer does rows first to first+count (modulo all rows) and returns the processor time of this thread, in ns.
type scorer func(first, count int, margins []float64) int64

// contestant is one way of doing what a race measures.
type contestant struct {
	name  string
	score scorer
	ours  bool
}

// race is what is compared: every contestant does the same rows.
type race struct {
	what   string
	batch  int // rows that are done at one go, in turn
	rows   int // of one round
	rivals []contestant
	times  [][]float64 // by contestant and round: ns a row
}

// run measures: in each round the contestants take turns on every batch of rows, so that whatever else the machine does
// meets all of them. A round's figure is the median of its batches: what was disturbed does not count.
func (r *race) run(rounds int) {
	r.times = make([][]float64, len(r.rivals))
	margins := make([]float64, r.batch)
	for _, c := range r.rivals {
		c.score(0, r.batch, margins) // the first one pays for page faults
	}
	at := 0
	for range rounds {
		laps := make([][]float64, len(r.rivals))
		for range r.rows / r.batch {
			for i, c := range r.rivals {
				laps[i] = append(laps[i], float64(c.score(at, r.batch, margins))/float64(r.batch))
			}
			at += r.batch
		}
		for i := range laps {
			r.times[i] = append(r.times[i], median(laps[i]))
		}
	}
}

// print writes a row of the table for each contestant: its median over the rounds with the range, and how many times
// as long it takes as each of ours, round by round.
func (r *race) print(title string) {
	for i, c := range r.rivals {
		line := fmt.Sprintf("| %s | %s | %s | %s |", title, r.what, c.name, spread(r.times[i], 1000, "us"))
		var ratios []string
		for j, o := range r.rivals {
			if o.ours && j != i && !c.ours {
				ratios = append(ratios, fmt.Sprintf("%s of %s", spread(divide(r.times[i], r.times[j]), 1, "x"), o.name))
			}
			if o.ours && c.ours && j < i {
				ratios = append(ratios, fmt.Sprintf("%s is %s of it", o.name, spread(divide(r.times[j], r.times[i]), 1, "x")))
			}
		}
		fmt.Println(line, strings.Join(ratios, "; "), "|")
	}
}

func divide(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] / b[i]
	}
	return out
}

func median(values []float64) float64 {
	v := slices.Clone(values)
	slices.Sort(v)
	return v[len(v)/2]
}

// spread is a median with its range.
func spread(values []float64, scale float64, unit string) string {
	return fmt.Sprintf("%s%s (%s-%s)", short(median(values)/scale), unit, short(slices.Min(values)/scale), short(slices.Max(values)/scale))
}

// short is a number with three digits.
func short(x float64) string {
	switch {
	case x < 10:
		return fmt.Sprintf("%.2f", x)
	case x < 100:
		return fmt.Sprintf("%.1f", x)
	default:
		return fmt.Sprintf("%.0f", x)
	}
}

// printHeader says what is measured where.
func printHeader(l libraries) {
	cpu := "an unnamed processor"
	load := "unknown"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				cpu = strings.TrimSpace(strings.TrimLeft(name, "\t :"))
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(text))[:3], ", ")
	}
	fmt.Printf("%s, %d CPUs, load %s; %s; LightGBM %s; XGBoost %s; onnxruntime %s.\n", cpu, runtime.NumCPU(), load, runtime.Version(),
		version(l.lightGBM), version(l.xgboost), version(l.onnxruntime))
	fmt.Println("Processor time of one thread for a row; median of the rounds (least-most).")
	fmt.Println()
	fmt.Println("| model | what | by | a row | times as long |")
	fmt.Println("|---|---|---|---|---|")
}
