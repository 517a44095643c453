package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/goccy/go-yaml"
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
	currency                         string
	status, inOrder                  bool
}

func newFeaturesCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "features",
		Short: "Work with feature sets",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newEvalCmd())
	return cmd
}

func newEvalCmd() *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:   "eval --set SET.yaml --source events.jsonl|.csv|.parquet [--map MAP.yaml] --out vectors.parquet|.csv|.jsonl",
		Short: "Compute the vectors that a feature set would have served",
		Long: `Runs events from a file, in event time, through the very engine that serves, and writes one row per event: event_id,
t (evaluation time), each feature by its name (nothing where it is missing), and the columns that the map keeps. Label
events change windows and give no row. No value is ever from the future.

CSV and Parquet need a map (docs/mapping.md), which also says whether the file is in order of time; events in JSON lines
are put in order. Without --config, every tenant is accepted, and the entity kinds that the
set or the map name are declared by themselves.`,
		Example: "  pitboss features eval --set features.yaml --source payments.parquet --map map.yaml --out vectors.parquet",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.set == "" || f.source == "" || f.out == "" {
				return &codedError{exitUsage, errors.New("--set, --source and --out are needed")}
			}
			return runEval(cmd.Context(), cmd.ErrOrStderr(), f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.set, "set", "", "feature set")
	fl.StringVar(&f.source, "source", "", "file of events")
	fl.StringVar(&f.mapFor, "map", "", "which column is which field")
	fl.StringVar(&f.out, "out", "", "file of vectors")
	fl.StringVarP(&f.config, "config", "c", "", "configuration, for its tenants, kinds, rates and lists")
	fl.StringArrayVar(&f.kinds, "kind", nil, "declare an entity kind; may be given again")
	fl.StringVar(&f.currency, "base-currency", edge.DefaultBaseCurrency, "base currency of every tenant, without --config")
	fl.BoolVar(&f.inOrder, "in-order", false, "the JSON lines are in order of time: do not sort them first")
	fl.BoolVar(&f.status, "status", false, "add a status column for each feature")
	return cmd
}

func runEval(ctx context.Context, stderr io.Writer, f evalFlags) (err error) {
	accept, kinds, sources, err := f.edge()
	if err != nil {
		return err
	}
	set, err := loadSet(f.set, kinds, sources)
	if err != nil {
		return err
	}
	cfg := features.DefaultEngineConfig()
	cfg.Kinds, cfg.Log = kinds, slog.New(slog.DiscardHandler)
	engine, err := features.OpenEngine(ctx, cfg, journal.NewMemory(journal.MemoryConfig{Forget: true}), states.NewMemory(), set)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()

	e := evaluation{engine: engine, set: set, frame: &pb.EventFrame{}, open: func(kept []files.Column) (*files.VectorWriter, error) {
		return files.NewVectorWriter(f.out, set, files.VectorOptions{Status: f.status, Kept: kept})
	}}
	p := pass{what: "evaluating", source: f.source, mapFor: f.mapFor, sort: f.mapFor == "" && !f.inOrder, edge: accept, stderr: stderr, each: e.each, opened: e.opened}
	inner, stop := context.WithCancel(ctx)
	var group errgroup.Group
	group.Go(func() error { return engine.Run(inner) }) // its checkpoints keep memory bounded
	res, err := p.run(ctx)
	stop()
	err = errors.Join(err, group.Wait())
	if err != nil {
		return errors.Join(err, e.discard())
	}
	if err := e.out.Close(); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "wrote %d vectors of %d features to %s\n", e.out.Rows(), len(set.Features), f.out)
	return res.err()
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
	vec    features.Vector
	frame  *pb.EventFrame
	open   func([]files.Column) (*files.VectorWriter, error)
	out    *files.VectorWriter
}

func (e *evaluation) opened(events *files.Events) (err error) {
	e.out, err = e.open(events.Columns())
	return err
}

func (e *evaluation) discard() error {
	if e.out == nil {
		return nil
	}
	return e.out.Discard()
}

func (e *evaluation) each(ctx context.Context, row *files.Row, ev *features.Event) error {
	slot, err := e.engine.Admit(ctx, ev)
	if err != nil {
		return rowErrorOf(err)
	}
	defer slot.Release()
	_, known := slot.Known()
	if !row.Label && ev.Type != "label.assigned" {
		err = e.engine.Vector(ctx, slot, e.set, &e.vec)
		if err != nil {
			return err
		}
		err = e.out.Write(ev.ID, &e.vec, row.Kept)
		if err != nil {
			return err
		}
	}
	if known {
		return nil
	}
	e.frame.Event, e.frame.ContentHash = ev.Msg, ev.Content[:]
	_, err = e.engine.Append(ctx, slot, e.frame)
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

// looseKinds declares every kind that the set and the map name, so that a set can be tried without a configuration.
func looseKinds(extra []string, setFile, mapFile string) (*features.Kinds, error) {
	builtin, err := features.NewKinds(nil)
	if err != nil {
		return nil, err
	}
	var declared []features.KindConfig
	declare := func(name string) {
		_, have := builtin.Get(name)
		twice := slices.ContainsFunc(declared, func(k features.KindConfig) bool { return k.Name == name })
		if name != "" && !have && !twice {
			declared = append(declared, features.KindConfig{Name: name})
		}
	}
	for _, name := range extra {
		declare(name)
	}
	// Both files are read for their kinds only: what else is wrong with them is found, and said, when they are compiled.
	var set struct {
		Groups map[string]struct {
			Entity string `yaml:"entity"`
		} `yaml:"groups"`
	}
	if data, err := readBounded(setFile); err == nil && yaml.Unmarshal(data, &set) == nil {
		names := make([]string, 0, len(set.Groups))
		for _, g := range set.Groups {
			names = append(names, g.Entity)
		}
		slices.Sort(names)
		for _, name := range names {
			declare(name)
		}
	}
	var mapping struct {
		Event struct {
			Entities []struct {
				Kind string `yaml:"kind"`
			} `yaml:"entities"`
		} `yaml:"event"`
	}
	if data, err := readBounded(mapFile); mapFile != "" && err == nil && yaml.Unmarshal(data, &mapping) == nil {
		for _, entity := range mapping.Event.Entities {
			declare(entity.Kind)
		}
	}
	return features.NewKinds(declared)
}
