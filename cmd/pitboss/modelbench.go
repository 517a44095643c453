package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/spf13/cobra"

	"pitboss/models"
)

// benchRowCount is how many rows are made where none are given: enough that neither caches nor the branch predictor know them by
// heart. maxBenchRows bounds those of a file.
const (
	benchRowCount = 4096
	maxBenchRows  = 65536
)

func newModelBenchCmd() *cobra.Command {
	var rows string
	var duration time.Duration
	var backend backendFlags
	cmd := &cobra.Command{
		Use:   "bench MODEL [--rows rows.csv]",
		Short: "What a row costs here: time and allocations of margin and attribution",
		Long: `Scores rows on one thread, one after the other, each in its turn, for a time: margins alone, then exact contributions by every
kernel that this processor has (scalar, AVX2, AVX-512), which take turns batch by batch. All kernels give the same bits; below the
table stands which one decisions take, and what part of the scalar one's time the others do. GODEBUG=cpu.avx512f=off does without
AVX-512, here and in the server. The first figure is the median over
batches of 256 rows without a clock between them; the percentiles are of a second run in which each row is timed by itself, which
adds some 50 ns to each. Allocations are those of 256 rows.

Rows are those of a CSV file as model score reads it (the first 65536), or 4096 made from the model's own thresholds: values of
every way through its trees, not distributed as real ones are. One and the same row again and again would look several
times as fast.`,
		Example: "  pitboss model bench model.txt\n  pitboss model bench model.txt --rows rows.csv --backend leaves",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if duration <= 0 {
				return &codedError{exitUsage, fmt.Errorf("--duration %v is not positive", duration)}
			}
			model, err := backend.load(args[0])
			if err != nil {
				return err
			}
			sample, said, err := benchRows(model, rows)
			if err != nil {
				return err
			}
			b := modelBench{model: model, rows: sample, duration: duration, log: cmd.ErrOrStderr()}
			return b.run(cmd.Context(), cmd.OutOrStdout(), args[0], said)
		},
	}
	cmd.Flags().StringVar(&rows, "rows", "", "CSV file with a header; default: rows made from the model")
	cmd.Flags().DurationVar(&duration, "duration", 2*time.Second, "how long each of the measurements takes")
	backend.add(cmd)
	return cmd
}

// benchRows reads the rows, or makes them, and says which.
func benchRows(model models.Model, file string) (rows [][]float64, said string, err error) {
	if file == "" {
		how := "made from its thresholds"
		if model.Info().Trees == 0 {
			how = "spread evenly over [-4, 4], since the model has no thresholds to make them from"
		}
		return models.SampleRows(model, benchRowCount), fmt.Sprintf("%d rows %s", benchRowCount, how), nil
	}
	in, err := os.Open(file)
	if err != nil {
		return nil, "", fmt.Errorf("cannot open the rows: %w", err)
	}
	defer func() { _ = in.Close() }() // it was only read
	r, err := newRowReader(in)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", file, err)
	}
	s, err := newScorer(model, r.header, false)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", file, err)
	}
	var b scoreBlock
	for more := true; more && len(rows) < maxBenchRows; {
		more = b.fill(r, s.columns, len(rows)+1)
		if s.score(&b); b.err != nil {
			return nil, "", fmt.Errorf("%s: %w", file, b.err)
		}
		block := slices.Clone(s.rows)
		for i := range b.lines {
			rows = append(rows, block[i*len(s.names):][:len(s.names)])
		}
	}
	if len(rows) == 0 {
		return nil, "", fmt.Errorf("%s: there is no row in it", file)
	}
	return rows, fmt.Sprintf("%d rows of %s", len(rows), file), nil
}

// modelBench measures a model.
type modelBench struct {
	model    models.Model
	rows     [][]float64
	duration time.Duration
	log      io.Writer
}

// benchLine is one line of the table.
type benchLine struct {
	what          string
	call          func(row []float64) error
	at            int             // the next row
	batches       []time.Duration // what each took
	nanos         float64         // of a row, the median over batches
	allocs, bytes float64         // of a row
	latency       *hdrhistogram.Histogram
}

func (b *modelBench) run(ctx context.Context, out io.Writer, name, rows string) error {
	info := b.model.Info()
	var s models.Scratch
	margins := make([]float64, info.Outputs)
	lines := []*benchLine{{what: "margin", call: func(row []float64) error { return b.model.Predict(row, &s, margins) }}}
	kernels := b.attributions()
	for _, group := range [][]*benchLine{lines, kernels} {
		if err := b.measure(ctx, group); err != nil {
			return err
		}
	}
	lines = append(lines, kernels...)
	fmt.Fprintf(out, "%s: %s %s by %s, %d features, %d outputs%s\n", printable(name), info.Format, printable(info.FormatVersion), backendText(info), len(info.Features),
		info.Outputs, treesText(info))
	fmt.Fprintf(out, "%s, each in its turn, one thread of %d, %s/%s\n\n", printable(rows), runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tns a row\tp50\tp99\tmax\tallocations\tbytes\t")
	for _, r := range lines {
		fmt.Fprintf(t, "%s\t%.0f\t%d\t%d\t%d\t%.2f\t%.1f\t\n", r.what, r.nanos, r.latency.ValueAtQuantile(50), r.latency.ValueAtQuantile(99), r.latency.Max(),
			r.allocs, r.bytes)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	if info.Unexplainable != "" {
		fmt.Fprintf(out, "no attribution: %s\n", printable(info.Unexplainable))
	}
	if kernel, ok := models.KernelOf(b.model); ok {
		fmt.Fprintf(out, "decisions take the %v kernel", kernel)
		for i, k := range models.Kernels()[1:] {
			fmt.Fprintf(out, "; %v takes 1/%.2f of the scalar one's time", k, kernels[0].nanos/kernels[1+i].nanos)
		}
		fmt.Fprintln(out)
	}
	return nil
}

// attributions are a line for each kernel, the scalar one first, or one for an engine of its own.
func (b *modelBench) attributions() []*benchLine {
	info := b.model.Info()
	if info.Unexplainable != "" {
		return nil
	}
	margins, parts := make([]float64, info.Outputs), make([]float64, info.Outputs*len(info.Features))
	line := func(what string, k models.Kernel) *benchLine {
		s := models.Scratch{Kernel: k}
		return &benchLine{what: what, call: func(row []float64) error { return b.model.Explain(row, &s, margins, parts) }}
	}
	if _, ok := models.KernelOf(b.model); !ok {
		return []*benchLine{line("attribution", models.KernelAuto)}
	}
	kernels := models.Kernels()
	lines := make([]*benchLine, len(kernels))
	for i, k := range kernels {
		lines[i] = line(fmt.Sprintf("attribution, %v", k), k)
	}
	return lines
}

// backendText names the engine.
func backendText(info *models.Info) string {
	if info.Backend == "" {
		return "pitboss"
	}
	return printable(info.Backend)
}

func treesText(info *models.Info) string {
	if info.Trees == 0 {
		return ""
	}
	return fmt.Sprintf(", %d trees with %d leaves", info.Trees, info.Leaves)
}

// measure goes over the rows with each of some lines: a pass that warms up and finds what cannot be scored, rows for what they
// allocate, passes for the median, and passes in which each row is timed. In the last two the lines take turns.
func (b *modelBench) measure(ctx context.Context, lines []*benchLine) error {
	if len(lines) == 0 {
		return nil
	}
	for _, l := range lines {
		l.latency = hdrhistogram.New(1, time.Minute.Nanoseconds(), 3)
		l.batches = make([]time.Duration, 0, 1<<12)
		if err := l.countAllocations(b.rows); err != nil {
			return err
		}
	}
	what, _, _ := strings.Cut(lines[0].what, ",")
	total := 2 * b.duration * time.Duration(len(lines))
	bar := newProgress(b.log, "measuring "+what, total.Milliseconds(), unitRows)
	n, began := uint64(0), time.Now()
	shown := func() { bar.step(time.Since(began).Milliseconds(), n) }
	for _, batch := range []func(*benchLine, [][]float64) error{(*benchLine).timeBatch, (*benchLine).timeRows} {
		for i, start := 0, time.Now(); time.Since(start) < total/2; i++ {
			for _, l := range lines {
				if err := batch(l, b.rows); err != nil {
					return err
				}
				n += benchBatch
			}
			if i%64 == 0 {
				shown()
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	for _, l := range lines {
		slices.Sort(l.batches)
		l.nanos = float64(l.batches[len(l.batches)/2].Nanoseconds()) / benchBatch
	}
	bar.step(total.Milliseconds(), n)
	bar.finish()
	return nil
}

// countAllocations goes over all rows, so that what grows has grown, and counts over the first of them.
func (l *benchLine) countAllocations(rows [][]float64) error {
	var before, after runtime.MemStats
	first := rows[:min(benchBatch, len(rows))]
	for _, some := range [][][]float64{rows, first} {
		runtime.ReadMemStats(&before)
		for i, row := range some {
			if err := l.call(row); err != nil {
				return fmt.Errorf("%s: row %d: %w", l.what, i+1, err)
			}
		}
		runtime.ReadMemStats(&after)
	}
	n := float64(len(first))
	l.allocs, l.bytes = float64(after.Mallocs-before.Mallocs)/n, float64(after.TotalAlloc-before.TotalAlloc)/n
	return nil
}

// benchBatch is how many rows go by between two looks at the clock.
const benchBatch = 256

// timeBatch times the next rows as a whole.
func (l *benchLine) timeBatch(rows [][]float64) error {
	start := time.Now()
	for range benchBatch {
		if err := l.call(l.next(rows)); err != nil {
			return fmt.Errorf("%s: %w", l.what, err)
		}
	}
	l.batches = append(l.batches, time.Since(start))
	return nil
}

// timeRows times each of the next rows.
func (l *benchLine) timeRows(rows [][]float64) error {
	for range benchBatch {
		row, start := l.next(rows), time.Now()
		if err := l.call(row); err != nil {
			return fmt.Errorf("%s: %w", l.what, err)
		}
		_ = l.latency.RecordValue(max(1, min(time.Since(start).Nanoseconds(), time.Minute.Nanoseconds()))) // it is inside the bounds
	}
	return nil
}

// next is the row whose turn it is.
func (l *benchLine) next(rows [][]float64) []float64 {
	row := rows[l.at]
	if l.at++; l.at == len(rows) {
		l.at = 0
	}
	return row
}
