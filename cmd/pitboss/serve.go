package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"pitboss/features/feed"
	"pitboss/journal"
	"pitboss/server"
)

func newServeCmd() *cobra.Command {
	var config string
	var history bool
	var past pastFlags
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Run the server: decide by call, read Kafka, keep everything",
		Long: `Runs until SIGTERM or Ctrl-C, then drains: calls under way are finished, and what was accepted is on disk.

Every key of the configuration file is in examples/pitboss.yaml, with its default. ` + "`pitboss check`" + ` finds what is wrong
with one before a start does.`,
		Example: "  pitboss keys new --tenant acme\n  pitboss check --config pitboss.yaml\n  pitboss serve --config pitboss.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config == "" {
				return &codedError{exitUsage, errors.New("say which configuration: --config FILE")}
			}
			cfg, err := LoadConfig(config)
			if err != nil {
				return err
			}
			if err := past.check(); err != nil {
				return &codedError{exitUsage, err}
			}
			return runServe(cmd.Context(), cfg, appOptions{history: history, past: past}, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVarP(&config, "config", "c", "", "configuration file")
	cmd.Flags().BoolVar(&history, "history", false, "believe events that say when they came in: for passing history through a server, never for live play")
	past.flags(cmd, "backfill-")
	return cmd
}

func runServe(ctx context.Context, cfg *Config, opt appOptions, logTo io.Writer) (err error) {
	log := newLogger(cfg.Log, logTo)
	log.Info("starting", "build", buildString())
	stopProfiling, err := startProfiling(cfg.Profiling, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopProfiling()) }()
	if opt.history {
		log.Warn("events are believed when they say when they came in: nothing bounds their age")
	}
	a, err := openApp(ctx, cfg, log, opt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	s, err := newService(a)
	if err != nil {
		return err
	}
	return s.run(ctx, nil)
}

// service is an app that takes calls and reads Kafka.
type service struct {
	app    *app
	server *server.Server
	feed   *feed.Feed // nil without Kafka
	bundle *reloader
	log    *slog.Logger
}

func newService(a *app) (*service, error) {
	s := &service{app: a, bundle: newReloader(a), log: a.log}
	if len(a.cfg.Kafka.Brokers) > 0 {
		kafka := a.cfg.Kafka
		kafka.Dir = a.cfg.dir
		var err error
		if s.feed, err = feed.New(kafka, a.engine, a.edge, a.log); err != nil {
			return nil, err
		}
	}
	metrics := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &storeCollector{app: a, feed: s.feed, bundle: s.bundle},
	} {
		if err := metrics.Register(c); err != nil {
			return nil, fmt.Errorf("cannot register metrics: %w", err)
		}
	}
	store := server.Store{Engine: a.engine, Registry: a.registry, Kinds: a.cfg.Engine.Kinds, Set: a.set}
	set, err := store.FeatureSet()
	if err == nil { // else nobody is served any
		err = a.cfg.checkServices(set)
		if err != nil {
			return nil, err
		}
	}
	s.server, err = server.New(a.cfg.Server, server.Deps{
		Edge: a.edge, Kinds: a.cfg.Engine.Kinds, Decider: a.decider, Ingester: a.engine, Decisions: store, Features: store, Pusher: a.engine, Reloader: s.bundle,
		Readiness: s, Metrics: metrics, Log: a.log,
	})
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return s, nil
}

// run serves until ctx ends. serving, which may be nil, is told the addresses once the ports are open.
//
// Stopping goes from the outside in: first the server drains and Kafka is let go, and only when nobody can come in any
// more does the engine stop.
func (s *service) run(ctx context.Context, serving func(server.Listeners)) error {
	inner, stopInner := context.WithCancel(context.WithoutCancel(ctx))
	defer stopInner()
	var core, edge errgroup.Group
	core.Go(func() error { return s.app.engine.Run(inner) })
	core.Go(func() error { return s.bundle.run(inner) })
	if s.app.followed {
		core.Go(func() error {
			s.follow(inner)
			return nil
		})
	}

	outer, stopOuter := context.WithCancel(ctx)
	defer stopOuter()
	listeners, err := s.server.Listen(outer)
	if err != nil {
		stopInner()
		return errors.Join(err, core.Wait())
	}
	if serving != nil {
		serving(listeners)
	}
	edge.Go(func() error {
		defer stopOuter()
		return s.server.Serve(outer, listeners)
	})
	if s.feed != nil {
		// A feed that cannot go on by itself shows in readiness; calls are served on.
		edge.Go(func() error {
			var refused *feed.RefusedError
			if ended := s.feed.Run(outer); !errors.As(ended, &refused) {
				return ended
			}
			return nil
		})
	}
	err = edge.Wait()
	stopInner()
	return errors.Join(err, core.Wait())
}

// follow runs the timeline, and runs it again: reading the same frames twice changes nothing in it.
func (s *service) follow(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.app.timeline.Run(ctx, s.app.journal)
		if err == nil {
			return
		}
		s.log.Warn("the timeline is stale; it is tried again by itself", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// Components says how the parts are, for /readyz.
func (s *service) Components() []server.Component {
	j := server.Component{Name: "journal", Ready: true, Needed: true}
	if err := s.app.journal.Failed(); err != nil {
		j.Ready, j.Detail = false, "writing failed; it is tried again by itself"
		if errors.Is(err, journal.ErrNoSpace) {
			j.Detail = "the disk is full; it goes on by itself when there is room"
		}
	}
	e := server.Component{Name: "engine", Ready: true, Needed: true}
	if s.app.engine.Stats().Recovering {
		e.Ready, e.Detail = false, "recovering after a failed write"
	}
	m := server.Component{Name: "model", Ready: s.app.registry.Active() != nil}
	if !m.Ready {
		m.Detail = "no bundle: decisions are the default outcome"
	}
	parts := []server.Component{j, e, m}
	if s.feed != nil {
		st := s.feed.Status()
		// The error itself names brokers and topics: it is in the log, not on a page that everybody reads.
		detail := fmt.Sprintf("%s since %s", st.State, st.Since.UTC().Format(time.RFC3339))
		if st.Waiting > 0 {
			detail += fmt.Sprintf("; %d partitions wait for it, %d are read", st.Waiting, max(0, len(s.feed.Lags())-st.Waiting))
		}
		parts = append(parts, server.Component{Name: "kafka", Ready: st.State == feed.StateReading, Detail: detail})
	}
	return parts
}
