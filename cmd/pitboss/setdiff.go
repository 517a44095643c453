package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"pitboss/features"
	"pitboss/features/edge"
	"pitboss/features/files"
	"pitboss/features/states"
	"pitboss/features/tiles"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

func newDiffCmd() *cobra.Command {
	var f evalFlags
	var a, b string
	cmd := &cobra.Command{
		Use:   "diff --a SET1.yaml --b SET2.yaml --source events.jsonl|.csv|.parquet [--map MAP.yaml]",
		Short: "Compare two feature sets over the same events",
		Long: `Runs a file's events once through one engine that keeps both sets, and compares the features that have one name in both, at
every event: how often the values are the same (bit for bit, or missing in both) and the statuses, the first events where they
are not, and the median, the 95th percentile and the largest of how far they are apart. Over a million events the percentiles
are of every second one, over two million of every fourth, and so on.`,
		Example: `  pitboss features diff --a features.yaml --b new.yaml --source events.jsonl`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a == "" || b == "" || f.source == "" {
				return &codedError{exitUsage, errors.New("--a, --b and --source are needed: two feature sets, and a file of events")}
			}
			return runDiff(cmd.Context(), cmd.ErrOrStderr(), cmd.OutOrStdout(), f, a, b)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&a, "a", "", "feature set")
	fl.StringVar(&b, "b", "", "the other one")
	fl.StringVar(&f.source, "source", "", "file of events")
	fl.StringVar(&f.mapFor, "map", "", "which column is which field")
	fl.StringVarP(&f.config, "config", "c", "", "configuration, for its tenants, kinds, rates and lists")
	fl.StringVar(&f.currency, "base-currency", edge.DefaultBaseCurrency, "base currency of every tenant, without --config")
	return cmd
}

func runDiff(ctx context.Context, stderr, stdout io.Writer, f evalFlags, first, second string) (err error) {
	// The kinds of both sets: those that the first one names are declared to the second.
	f.set = first
	_, kinds, _, err := f.edge()
	if err != nil {
		return err
	}
	for _, k := range kinds.All() {
		f.kinds = append(f.kinds, k.Name)
	}
	f.set = second
	accept, kinds, sources, err := f.edge()
	if err != nil {
		return err
	}
	a, errA := loadSet(first, kinds, sources)
	b, errB := loadSet(second, kinds, sources)
	err = errors.Join(errA, errB)
	if err != nil {
		return err
	}
	d := newSetDiff(a, b)
	if len(d.pairs) == 0 {
		return errors.New("the sets have no feature of one name: there is nothing to compare")
	}
	p := pass{what: "comparing", source: f.source, mapFor: f.mapFor, sort: f.mapFor == "", edge: accept, stderr: stderr, each: d.each}
	err = p.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	cfg := features.DefaultEngineConfig()
	cfg.Kinds, cfg.Log = kinds, slog.New(slog.DiscardHandler)
	sets := []*features.Set{a}
	if a.Hash != b.Hash {
		sets = append(sets, b)
	}
	d.engine, err = features.OpenEngine(ctx, cfg, journal.NewMemory(journal.MemoryConfig{Forget: true}), states.NewMemory(), sets...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.engine.Close()) }()
	inner, stop := context.WithCancel(ctx)
	var group errgroup.Group
	group.Go(func() error { return d.engine.Run(inner) }) // its checkpoints keep memory bounded
	res, ran := p.run(ctx)
	stop()
	if err := errors.Join(ran, group.Wait()); err != nil {
		return err
	}
	if err := d.print(stdout); err != nil {
		return err
	}
	return res.err()
}

// setDiff compares two sets, event by event.
type setDiff struct {
	engine *features.Engine
	a, b   *features.Set
	va, vb features.Vector
	pairs  []*pairDiff
	alone  []string // features of one of the sets
	events int64
	frame  *pb.EventFrame
}

// pairDiff is one feature of both sets.
type pairDiff struct {
	name           string
	a, b           int
	same, statuses int64
	apart          sampled
	examples       []string
}

// maxExamples is how many differing events are named.
const maxExamples = 3

func newSetDiff(a, b *features.Set) *setDiff {
	d := &setDiff{a: a, b: b, frame: &pb.EventFrame{}}
	for i, f := range a.Features {
		at := slices.IndexFunc(b.Features, func(o features.FeatureInfo) bool { return o.Name == f.Name })
		if at < 0 {
			d.alone = append(d.alone, "only in a: "+f.Name)
			continue
		}
		d.pairs = append(d.pairs, &pairDiff{name: f.Name, a: i, b: at})
	}
	for _, f := range b.Features {
		if !slices.ContainsFunc(a.Features, func(o features.FeatureInfo) bool { return o.Name == f.Name }) {
			d.alone = append(d.alone, "only in b: "+f.Name)
		}
	}
	return d
}

func (d *setDiff) each(ctx context.Context, row *files.Row, ev *features.Event) error {
	slot, err := d.engine.Admit(ctx, ev)
	if err != nil {
		return rowErrorOf(err)
	}
	defer slot.Release()
	if _, known := slot.Known(); known {
		return nil
	}
	if !row.Label {
		err = errors.Join(d.engine.Vector(ctx, slot, d.a, &d.va), d.engine.Vector(ctx, slot, d.b, &d.vb))
		if err != nil {
			return err
		}
		d.events++
		for _, p := range d.pairs {
			p.note(ev, &d.va, &d.vb)
		}
	}
	d.frame.Event, d.frame.ContentHash = ev.Msg, ev.Content[:]
	_, err = d.engine.Append(ctx, slot, d.frame)
	return err
}

func (p *pairDiff) note(ev *features.Event, a, b *features.Vector) {
	x, y := a.Values[p.a], b.Values[p.b]
	if a.Status[p.a] == b.Status[p.b] {
		p.statuses++
	}
	if x == y || math.IsNaN(x) && math.IsNaN(y) {
		p.same++
		p.apart.add(0)
		return
	}
	if !math.IsNaN(x) && !math.IsNaN(y) {
		p.apart.add(math.Abs(x - y))
	}
	if len(p.examples) < maxExamples {
		p.examples = append(p.examples, fmt.Sprintf("%s at %s: %s (%s) and %s (%s)", ev.ID, time.UnixMicro(ev.OccurredAt).UTC().Format(time.RFC3339Nano),
			valueText(x), a.Status[p.a], valueText(y), b.Status[p.b]))
	}
}

// valueText writes a value as a table has it.
func valueText(v float64) string {
	if math.IsNaN(v) {
		return "missing"
	}
	return fmt.Sprintf("%.6g", v)
}

func (d *setDiff) print(out io.Writer) error {
	fmt.Fprintf(out, "%d events, %d features of both sets\n", d.events, len(d.pairs))
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "feature\tequal\tstatus equal\tapart p50\tp95\tmax")
	n := float64(max(d.events, 1))
	for _, p := range d.pairs {
		q := p.apart.quantiles(0.5, 0.95)
		fmt.Fprintf(t, "%s\t%.4f\t%.4f\t%s\t%s\t%s\n", p.name, float64(p.same)/n, float64(p.statuses)/n, valueText(q[0]), valueText(q[1]), valueText(p.apart.largest()))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("cannot print: %w", err)
	}
	for _, p := range d.pairs {
		for _, example := range p.examples {
			fmt.Fprintf(out, "%s differs: %s\n", p.name, example)
		}
	}
	for _, line := range d.alone {
		fmt.Fprintln(out, line)
	}
	return nil
}

// sampled keeps every value, and where there are more than maxSampled every second, fourth and so on: bounded, and the
// same for the same events.
type sampled struct {
	kept []float64
	step int
	n    int
	most float64
}

const maxSampled = 1 << 20

func (s *sampled) add(v float64) {
	s.step, s.most = max(s.step, 1), max(s.most, v)
	if s.n++; (s.n-1)%s.step != 0 {
		return
	}
	if len(s.kept) == maxSampled {
		for i := range maxSampled / 2 {
			s.kept[i] = s.kept[2*i]
		}
		s.kept, s.step = s.kept[:maxSampled/2], 2*s.step
		if (s.n-1)%s.step != 0 {
			return
		}
	}
	s.kept = append(s.kept, v)
}

// quantiles are the values at shares of the sample; NaN without one.
func (s *sampled) quantiles(shares ...float64) []float64 {
	sorted := slices.Sorted(slices.Values(s.kept))
	out := make([]float64, 0, len(shares))
	for _, q := range shares {
		if len(sorted) == 0 {
			out = append(out, math.NaN())
			continue
		}
		out = append(out, sorted[min(int(q*float64(len(sorted))), len(sorted)-1)])
	}
	return out
}

func (s *sampled) largest() float64 {
	if s.n == 0 {
		return math.NaN()
	}
	return s.most
}

// seconds writes a time as a person would.
func seconds(s float64) string { return tiles.DurationText(time.Duration(s * float64(time.Second))) }
