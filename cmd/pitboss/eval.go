package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"pitboss/features"
	"pitboss/features/edge"
	"pitboss/features/files"
	"pitboss/features/states"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// evalFlags are what `pitboss features eval` can be told.
type evalFlags struct {
	config, set, source, mapFor, out string
	kinds                            []string
	currency, from, before           string
	status, inOrder, arrived, final  bool
	decided, onDisk                  bool
	shuffle                          int64
	ramEntities                      int
}

const noShuffle = -1

func newFeaturesCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "features",
		Short: "Work with feature sets",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newEvalCmd(), newBackfillCmd(), newExportCmd(), newHolesCmd(), newDescribeCmd(), newDiffCmd(), newShowCmd(), newVerifyCmd())
	return cmd
}

func newEvalCmd() *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:   "eval --set SET.yaml (--source events.jsonl|.csv|.parquet [--map MAP.yaml] | --config C) --out vectors.parquet|.csv|.jsonl",
		Short: "Compute the vectors that a feature set would have served",
		Long: `Runs events, in event time, through the very engine that serves, and writes one row per event, in the source's order:
event_id, t (evaluation time), each feature by its name (nothing where it is missing), and the columns that the map keeps.
Label events change windows and give no row. No value is ever from the future.

From a file (--source), events are applied by (occurred_at, event_id), labels first at a moment, in whatever order the file
has them; --as-arrived keeps the file's order instead. CSV and Parquet need a map (docs/mapping.md), which also says whether
the file is in order of time; JSON lines are put in order. A file does not say what was decided: bets that were blocked count
here, and do not where they were served. Without --config, every tenant is accepted, and the entity kinds
that the set or the map name are declared by themselves.

Without --source, the journal of the configuration's data directory is read again, in the order in which its events came
in: what a set that was never served would have served. No server may be running on it. Decisions that were made side by
side saw one another's events or not; here each sees what is before it in the journal.

--final prints each entity's features at the last event's time instead of a row per event; it is the same, byte for byte,
whatever --shuffle, --on-disk and --ram-entities say.`,
		Example: `  pitboss features eval --set features.yaml --source payments.parquet --map map.yaml --out vectors.parquet
  pitboss features eval --set new.yaml --config pitboss.yaml --out vectors.parquet
  pitboss features eval --set features.yaml --source events.jsonl --shuffle 7 --final`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return &codedError{exitUsage, err}
			}
			if err := notAnInput(f.out, f.source, f.set, f.mapFor, f.config); err != nil {
				return err
			}
			return runEval(cmd.Context(), cmd.ErrOrStderr(), cmd.OutOrStdout(), f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.set, "set", "", "feature set")
	fl.StringVar(&f.source, "source", "", "file of events; without it, the journal of --config")
	fl.StringVar(&f.mapFor, "map", "", "which column is which field")
	fl.StringVar(&f.out, "out", "", "file of vectors; - is CSV to standard output, which --final does without it")
	fl.StringVarP(&f.config, "config", "c", "", "configuration, for its tenants, kinds, rates and lists")
	fl.StringArrayVar(&f.kinds, "kind", nil, "declare an entity kind; may be given again")
	fl.StringVar(&f.currency, "base-currency", edge.DefaultBaseCurrency, "base currency of every tenant, without --config")
	fl.BoolVar(&f.inOrder, "in-order", false, "the JSON lines are in order of time: do not sort them first")
	fl.BoolVar(&f.arrived, "as-arrived", false, "apply events in the file's order, whatever their times")
	fl.Int64Var(&f.shuffle, "shuffle", noShuffle, "permute the rows first, by this seed: changes nothing but the order of the rows")
	fl.BoolVar(&f.final, "final", false, "one row per entity, at the last event's time, by tenant, kind and alias")
	fl.BoolVar(&f.status, "status", false, "add a status column for each feature")
	fl.BoolVar(&f.decided, "decided", false, "from the journal: a row for each decision, and none for events without one")
	fl.StringVar(&f.from, "from", "", "rows of events at or after this time (RFC 3339); earlier ones are applied all the same")
	fl.StringVar(&f.before, "before", "", "rows of events before this time; later ones are not read")
	fl.BoolVar(&f.onDisk, "on-disk", false, "keep the state of entities that are not in memory in a temporary directory, not in memory")
	fl.IntVar(&f.ramEntities, "ram-entities", features.DefaultEngineConfig().MaxEntities, "entities kept in memory, at least 64")
	return cmd
}

// check says what is wrong with the words.
func (f *evalFlags) check() error {
	switch {
	case f.set == "" || f.out == "" && !f.final:
		return errors.New("--set and --out are needed, and --source or --config")
	case f.source == "" && f.config == "":
		return errors.New("say what to read: --source FILE, or --config C for the journal of its data directory")
	case f.source == "" && (f.shuffle != noShuffle || f.arrived || f.inOrder || f.mapFor != ""):
		return errors.New("--shuffle, --as-arrived, --in-order and --map are about a file: give --source")
	case f.source != "" && f.decided:
		return errors.New("--decided is about the journal: leave --source out")
	case f.arrived && f.inOrder:
		return errors.New("--as-arrived and --in-order say different things of the same file")
	case f.shuffle < noShuffle:
		return errors.New("--shuffle takes a seed of 0 or more")
	}
	if f.out == "" {
		f.out = "-"
	}
	return nil
}

func runEval(ctx context.Context, stderr, stdout io.Writer, f evalFlags) (err error) {
	accept, kinds, sources, err := f.edge()
	if err != nil {
		return err
	}
	set, err := loadSet(f.set, kinds, sources)
	if err != nil {
		return err
	}
	rest, drop, err := f.states()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop()) }()
	cfg := features.DefaultEngineConfig()
	cfg.Kinds, cfg.Log, cfg.MaxEntities = kinds, slog.New(slog.DiscardHandler), f.ramEntities
	// What an event takes back is read from the journal, however long ago it was.
	frames := journal.NewMemory(journal.MemoryConfig{Forget: true, SpillDir: os.TempDir()})
	defer func() { err = errors.Join(err, frames.Close()) }()
	engine, err := features.OpenEngine(ctx, cfg, frames, rest, set)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	e := &evaluation{engine: engine, set: set, kinds: kinds, frame: &pb.EventFrame{}, flags: &f, stdout: stdout}
	err = e.bounds()
	if err != nil {
		return err
	}
	inner, stop := context.WithCancel(ctx)
	var group errgroup.Group
	group.Go(func() error { return engine.Run(inner) }) // its checkpoints keep memory bounded
	rejected, err := e.read(ctx, accept, stderr)
	stop()
	err = errors.Join(err, group.Wait())
	if err == nil && f.final {
		err = e.writeFinal(ctx)
	}
	if err != nil {
		return errors.Join(err, e.rows.discard())
	}
	if err := e.rows.close(); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "wrote %d vectors of %d features to %s\n", e.rows.out.Rows(), len(set.Features), f.out)
	return rejected
}

// states gives where entities rest that are not in memory.
func (f *evalFlags) states() (rest features.States, drop func() error, err error) {
	if !f.onDisk {
		return states.NewMemory(), func() error { return nil }, nil
	}
	dir, err := os.MkdirTemp("", "pitboss-eval-*")
	if err != nil {
		return nil, nil, fmt.Errorf("cannot keep state on disk: %w", err)
	}
	b, err := states.OpenBadger(states.BadgerConfig{Dir: filepath.Join(dir, "state")})
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("cannot keep state on disk: %w", err), os.RemoveAll(dir))
	}
	return b, func() error { return errors.Join(b.Close(), os.RemoveAll(dir)) }, nil
}

// edge gives what accepts events, and what the set may refer to.
func (f *evalFlags) edge() (acceptor, *features.Kinds, []features.Source, error) {
	if f.config != "" {
		cfg, err := LoadConfig(f.config)
		if err != nil {
			return nil, nil, nil, err
		}
		cfg.Edge.History = true
		e, err := edge.New(cfg.Edge)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("edge: %w", err)
		}
		return e, cfg.Engine.Kinds, featureSources(e), nil
	}
	kinds, err := looseKinds(f.kinds, f.set, f.mapFor)
	if err != nil {
		return nil, nil, nil, err
	}
	return &looseEdge{kinds: kinds, currency: f.currency, tenants: map[string]*edge.Edge{}}, kinds, []features.Source{features.ListHits{}}, nil
}

// evaluation turns events into vectors.
type evaluation struct {
	engine *features.Engine
	set    *features.Set
	kinds  *features.Kinds
	flags  *evalFlags
	stdout io.Writer
	vec    features.Vector
	ev     features.Event // of a frame
	frame  *pb.EventFrame
	rows   vectorRows
	final  finalEntities
	// from and until bound the rows.
	from, until time.Time
}

func (e *evaluation) bounds() (err error) {
	var p pass
	err = p.between(e.flags.from, e.flags.before)
	e.from, e.until = p.from, p.until
	return err
}

// read runs all events through the engine. rejected says that some of them were refused.
func (e *evaluation) read(ctx context.Context, accept acceptor, stderr io.Writer) (rejected, err error) {
	if e.flags.source == "" {
		return nil, e.readJournal(ctx, stderr)
	}
	f := e.flags
	p := &pass{
		what: "evaluating", source: f.source, mapFor: f.mapFor, sort: f.mapFor == "" && !f.inOrder, arrived: f.arrived, edge: accept,
		stderr: stderr, each: e.each, opened: e.opened, until: e.until,
	}
	if f.shuffle != noShuffle {
		seed := uint64(f.shuffle)
		p.shuffle = &seed
	}
	err = p.open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	res, err := p.run(ctx)
	if err != nil {
		return nil, err
	}
	return res.err(), nil
}

func (e *evaluation) opened(events *files.Events) error {
	mode := rowsAtOnce
	switch {
	case e.flags.arrived:
	case events.Reordered():
		mode = rowsAtEnd
	default:
		mode = rowsByTime
	}
	return e.open(events.Columns(), mode)
}

// open makes the file of vectors.
func (e *evaluation) open(kept []files.Column, mode rowOrder) error {
	opt := files.VectorOptions{Status: e.flags.status, Kept: kept, To: e.stdout}
	if e.flags.final {
		opt.Kept, opt.Lead, mode = nil, []string{"tenant", "kind", "entity"}, rowsAtOnce
		e.final.start(e.set)
	}
	out, err := files.NewVectorWriter(e.flags.out, e.set, opt)
	if err != nil {
		return err
	}
	e.rows = vectorRows{out: out, order: mode}
	if mode != rowsAtOnce {
		e.rows.placed = files.NewPlacedVectors(out, "")
	}
	return nil
}

func (e *evaluation) each(ctx context.Context, row *files.Row, ev *features.Event) error {
	slot, err := e.engine.Admit(ctx, ev)
	if err != nil {
		return rowErrorOf(err)
	}
	defer slot.Release()
	if !row.Label {
		if err := e.vector(ctx, slot, row.Place, ev, row.Kept); err != nil {
			return err
		}
	}
	return e.apply(ctx, slot, ev, nil)
}

// vector writes the event's row, before the event is applied.
func (e *evaluation) vector(ctx context.Context, slot *features.Slot, place int64, ev *features.Event, kept []files.Cell) error {
	if ev.Type == "label.assigned" || e.flags.final || !e.from.IsZero() && ev.OccurredAt < e.from.UnixMicro() {
		return nil
	}
	if err := e.engine.Vector(ctx, slot, e.set, &e.vec); err != nil {
		return err
	}
	return e.rows.write(place, ev.ID, &e.vec, kept)
}

func (e *evaluation) apply(ctx context.Context, slot *features.Slot, ev *features.Event, decision *pb.DecisionRecord) error {
	if e.flags.final {
		e.final.note(ev)
	}
	if known, ok := slot.Known(); ok && (decision == nil || !known.Decision.IsZero()) {
		return nil
	}
	e.frame.Event, e.frame.ContentHash, e.frame.AppliedAt, e.frame.Decision = ev.Msg, ev.Content[:], nil, decision
	_, err := e.engine.Append(ctx, slot, e.frame)
	return err
}

// rowErrorOf makes an error of one event out of what refuses that event alone.
func rowErrorOf(err error) error {
	switch {
	case errors.Is(err, features.ErrConflict):
		return &rowError{"CONFLICT", err}
	case errors.Is(err, features.ErrDuplicateTransaction):
		return &rowError{"DUPLICATE_TRANSACTION", err}
	}
	return err
}
