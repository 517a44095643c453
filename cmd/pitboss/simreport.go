package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"pitboss/sim"
)

func newSimReportCmd() *cobra.Command {
	f := simFlags{cfg: sim.DefaultConfig()}
	var out string
	cmd := &cobra.Command{
		Use:   "report --out report.html",
		Short: "Simulate a casino and show it on one page",
		Long: `Simulates a casino and writes a page about it, one HTML file that needs nothing else: players, money and agents over time,
the gaps and stakes of honest players and of each fraud by how well it hides, and the published figures beside the
simulated ones.`,
		Example: `  pitboss sim report --players 4000 --out report.html
  pitboss sim report --only --agent metronome_bot=0.05 --mimicry 1 --out bots.html`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runSimReport(cmd.Context(), cmd.ErrOrStderr(), f, out)
		},
	}
	f.worldFlags(cmd)
	cmd.Flags().StringVar(&out, "out", "", "file of the page; is replaced")
	if err := cmd.MarkFlagRequired("out"); err != nil {
		panic("BUG: " + err.Error())
	}
	return cmd
}

func runSimReport(ctx context.Context, stderr io.Writer, f simFlags, out string) (err error) {
	err = f.completeWorld()
	if err != nil {
		return err
	}
	casino, err := sim.New(f.cfg)
	if err != nil {
		return err
	}
	file, err := os.Create(out)
	if err != nil {
		return fmt.Errorf("cannot make the page: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	report := sim.NewReport(f.cfg)
	bar := newProgress(stderr, "simulating", f.cfg.Duration.Milliseconds(), unitSimTime)
	defer bar.finish()
	for casino.Events() < f.events || f.events == 0 {
		ev, ok := casino.Next()
		if !ok {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		report.See(ev, casino.Truth())
		bar.set(ev.GetOccurredAt().AsTime().Sub(f.cfg.Start).Milliseconds(), casino.Events())
	}
	buf := bufio.NewWriter(file)
	return errors.Join(report.WriteHTML(buf), buf.Flush())
}
