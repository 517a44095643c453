package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
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
		Long: `Scores rows on one thread, one after the other, each in its turn, for a time: first margins alone, then exact contributions.
The first figure is the median over batches of 256 rows without a clock between them; the percentiles are of a second run in which each
row is timed by itself, which adds some 50 ns to each.

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

// benchResult is one line of the table.
type benchResult struct {
	what          string
	nanos         float64 // of a row, the median over batches
	allocs, bytes float64 // of a row
	latency       *hdrhistogram.Histogram
}

func (b *modelBench) run(ctx context.Context, out io.Writer, name, rows string) error {
	info := b.model.Info()
	var s models.Scratch
	margins, parts := make([]float64, info.Outputs), make([]float64, info.Outputs*len(info.Features))
	margin, err := b.measure(ctx, "margin", func(row []float64) error { return b.model.Predict(row, &s, margins) })
	if err != nil {
		return err
	}
	results := []*benchResult{margin}
	if info.Unexplainable == "" {
		attribution, err := b.measure(ctx, "attribution", func(row []float64) error { return b.model.Explain(row, &s, margins, parts) })
		if err != nil {
			return err
		}
		results = append(results, attribution)
	}
	fmt.Fprintf(out, "%s: %s %s by %s, %d features, %d outputs%s\n", printable(name), info.Format, printable(info.FormatVersion), backendText(info), len(info.Features),
		info.Outputs, treesText(info))
	fmt.Fprintf(out, "%s, each in its turn, one thread of %d, %s/%s\n\n", printable(rows), runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tns a row\tp50\tp99\tmax\tallocations\tbytes\t")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%.0f\t%d\t%d\t%d\t%.2f\t%.1f\t\n", r.what, r.nanos, r.latency.ValueAtQuantile(50), r.latency.ValueAtQuantile(99), r.latency.Max(),
			r.allocs, r.bytes)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	if info.Unexplainable != "" {
		fmt.Fprintf(out, "no attribution: %s\n", printable(info.Unexplainable))
	}
	return nil
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

// measure runs a call over the rows three times over: a pass that warms up and finds what cannot be scored, whole passes for the
// average and for what they allocate, and passes in which each row is timed.
func (b *modelBench) measure(ctx context.Context, what string, call func([]float64) error) (*benchResult, error) {
	for i, row := range b.rows {
		if err := call(row); err != nil {
			return nil, fmt.Errorf("%s: row %d: %w", what, i+1, err)
		}
	}
	r := &benchResult{what: what, latency: hdrhistogram.New(1, time.Minute.Nanoseconds(), 3)}
	bar := newProgress(b.log, "measuring "+what, 2*b.duration.Milliseconds(), unitRows)
	began := time.Now()
	shown := func(n uint64) { bar.step(time.Since(began).Milliseconds(), n) }
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, batches, err := b.passes(ctx, shown, call)
	if err != nil {
		return nil, err
	}
	runtime.ReadMemStats(&after)
	slices.Sort(batches)
	r.nanos = float64(batches[len(batches)/2].Nanoseconds()) / benchBatch
	r.allocs, r.bytes = float64(after.Mallocs-before.Mallocs)/float64(n), float64(after.TotalAlloc-before.TotalAlloc)/float64(n)
	m, _, err := b.passes(ctx, shown, func(row []float64) error {
		start := time.Now()
		failed := call(row)
		_ = r.latency.RecordValue(max(1, min(time.Since(start).Nanoseconds(), time.Minute.Nanoseconds()))) // it is inside the bounds
		return failed
	})
	if err != nil {
		return nil, err
	}
	bar.step(2*b.duration.Milliseconds(), n+m)
	bar.finish()
	return r, nil
}

// benchBatch is how many rows go by between two looks at the clock.
const benchBatch = 256

// passes goes over all rows until the time is up, and gives how many it did and how long each batch of them took.
func (b *modelBench) passes(ctx context.Context, shown func(uint64), call func([]float64) error) (n uint64, batches []time.Duration, err error) {
	batches = make([]time.Duration, 0, 1<<12)
	for at, spent := 0, time.Duration(0); spent < b.duration; {
		start := time.Now()
		for range benchBatch {
			if err := call(b.rows[at]); err != nil {
				return n, batches, fmt.Errorf("row %d: %w", at+1, err)
			}
			if at++; at == len(b.rows) {
				at = 0
			}
		}
		took := time.Since(start)
		spent += took
		batches = append(batches, took)
		if n += benchBatch; len(batches)%64 == 0 {
			shown(n)
		}
		if err := ctx.Err(); err != nil {
			return n, batches, err
		}
	}
	return n, batches, nil
}
