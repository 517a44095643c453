package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"pitboss/features"
)

func newBackfillCmd() *cobra.Command {
	var config string
	var past pastFlags
	cmd := &cobra.Command{
		Use:   "backfill --config FILE [--source FILE|kafka]",
		Short: "Build the groups that are new in a feature set from the journal, before a start",
		Long: `Groups that a bundle or feature_set has and the state does not are built from all events that the journal still has, and are
then what they would be had they been there from the start. A running server does the same by itself, beside its work;
this does it before one starts, as fast as it goes. It may be stopped at any time, and goes on where it was.

What is older than the journal comes from --source: a file of events (JSON lines; CSV and Parquet with a --map), or kafka, the
configured topics from their oldest records to where the journal begins. Of what the journal holds, the journal alone is
believed; the rest counts once, and what is taken back in either is taken back. An event of the source that was received
later than the journal's beginning is left out. The groups warm up since the source's first event, unless --whole says that
there was none before. Gathering begins anew where it is stopped; all after it goes on, with or without the source.`,
		Example: `  pitboss features backfill --config pitboss.yaml
  pitboss features backfill --config pitboss.yaml --source 2025.parquet --map map.yaml
  pitboss features backfill --config pitboss.yaml --source kafka`,
		Args: cobra.NoArgs,
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
			past.stderr = cmd.ErrOrStderr()
			return runBackfill(cmd.Context(), cfg, past, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVarP(&config, "config", "c", "", "configuration file")
	past.flags(cmd, "")
	return cmd
}

// backfillLook is how often the command looks how far it is.
const backfillLook = 50 * time.Millisecond

func runBackfill(ctx context.Context, cfg *Config, past pastFlags, stderr io.Writer) (err error) {
	a, err := openApp(ctx, cfg, newLogger(cfg.Log, stderr), appOptions{past: past})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	if !a.engine.Backfill().Running() {
		fmt.Fprintln(stderr, "there is nothing to backfill: the state has every group")
		return nil
	}
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() { failed = a.engine.Run(running) })
	var bar *progress
	for b := a.engine.Backfill(); b.Running() && b.Failed == nil && ctx.Err() == nil; b = a.engine.Backfill() {
		bar = showBackfill(stderr, bar, b)
		if !sleepUntil(ctx, time.Now().Add(backfillLook)) {
			break
		}
	}
	stop()
	wg.Wait()
	if err := a.engine.Backfill().Failed; err != nil {
		return err
	}
	if err := errors.Join(failed, ctx.Err()); err != nil {
		return fmt.Errorf("the backfill was stopped, and goes on from there the next time: %w", err)
	}
	if bar != nil {
		bar.finish()
	}
	showPast(stderr, a.engine.Backfill().Past)
	return nil
}

// showPast says what became of a source's events.
func showPast(stderr io.Writer, c *features.PastCounts) {
	if c == nil {
		return
	}
	fmt.Fprintf(stderr, "of %d events of the source:\n", c.Read)
	for _, line := range []struct {
		n    uint64
		what string
	}{
		{c.Taken, "taken"}, {c.Held, "in the journal, which was believed"}, {c.Again, "there twice"},
		{c.Later, "received after the journal's beginning, and left out"},
		{c.Refused, "refused: another event has the event_id or the transaction"},
	} {
		if line.n > 0 {
			fmt.Fprintf(stderr, "  %8d  %s\n", line.n, line.what)
		}
	}
}

// showBackfill shows how far a backfill is.
func showBackfill(stderr io.Writer, bar *progress, b features.Backfill) *progress {
	if b.Groups == 0 || b.Done == 0 {
		return bar // the groups are read from where they were built, and only copied
	}
	if bar == nil {
		bar = newProgress(stderr, "backfilling", int64(b.Total), unitRows)
	}
	bar.set(int64(b.Done), b.Done/256*256) // each time is worth showing
	return bar
}
