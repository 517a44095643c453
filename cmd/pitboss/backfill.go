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
	cmd := &cobra.Command{
		Use:   "backfill --config FILE",
		Short: "Build the groups that are new in a feature set from the journal, before a start",
		Long: `Groups that a bundle or feature_set has and the state does not are built from all events that the journal still has, and are
then what they would be had they been there from the start. A running server does the same by itself, beside its work;
this does it before one starts, as fast as it goes. It may be stopped at any time, and goes on where it was.`,
		Example: "  pitboss features backfill --config pitboss.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config == "" {
				return &codedError{exitUsage, errors.New("say which configuration: --config FILE")}
			}
			cfg, err := LoadConfig(config)
			if err != nil {
				return err
			}
			return runBackfill(cmd.Context(), cfg, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVarP(&config, "config", "c", "", "configuration file")
	return cmd
}

// backfillLook is how often the command looks how far it is.
const backfillLook = 50 * time.Millisecond

func runBackfill(ctx context.Context, cfg *Config, stderr io.Writer) (err error) {
	a, err := openApp(ctx, cfg, newLogger(cfg.Log, stderr), appOptions{})
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
	for b := a.engine.Backfill(); b.Running() && ctx.Err() == nil; b = a.engine.Backfill() {
		bar = showBackfill(stderr, bar, b)
		if !sleepUntil(ctx, time.Now().Add(backfillLook)) {
			break
		}
	}
	stop()
	wg.Wait()
	if err := errors.Join(failed, ctx.Err()); err != nil {
		return fmt.Errorf("the backfill was stopped, and goes on from there the next time: %w", err)
	}
	if bar != nil {
		bar.finish()
	}
	return nil
}

// showBackfill shows how far a backfill is.
func showBackfill(stderr io.Writer, bar *progress, b features.Backfill) *progress {
	if b.Groups == 0 {
		return bar // the groups are read from where they were built, and only copied
	}
	if bar == nil {
		bar = newProgress(stderr, "backfilling", int64(b.Total), unitRows)
	}
	bar.set(int64(b.Done), b.Done/256*256) // each time is worth showing
	return bar
}
