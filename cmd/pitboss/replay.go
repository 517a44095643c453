package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/spf13/cobra"

	"pitboss/audit"
	"pitboss/features"
	"pitboss/journal"
)

func newReplayCmd() *cobra.Command {
	var config, tenant string
	var all bool
	cmd := &cobra.Command{
		Use:   "replay --config C ID | --all",
		Short: "Make recorded decisions again and compare them byte for byte",
		Long: `Recomputes what a decision put out (outcome, score, reasons, reactions) from what its record pins, by the bundle that
made it, and compares the bytes. Exit code 1 if any differ. The data directory must not be in use by a server.`,
		Example: "  pitboss replay --config pitboss.yaml --all\n  pitboss replay --config pitboss.yaml --tenant acme 6f1c…",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if config == "" || all == (len(args) == 1) {
				return &codedError{exitUsage, errors.New("give --config and either one decision id or --all")}
			}
			id := ""
			if len(args) == 1 {
				id = args[0]
			}
			return runReplay(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), config, tenant, id)
		},
	}
	cmd.Flags().StringVarP(&config, "config", "c", "", "configuration file")
	cmd.Flags().StringVar(&tenant, "tenant", "", "tenant of the decision; may be left out where there is one tenant")
	cmd.Flags().BoolVar(&all, "all", false, "every decision that the journal holds")
	return cmd
}

var decisionID = regexp.MustCompile(`^[0-9a-f]{32}$`)

func runReplay(ctx context.Context, stdout, stderr io.Writer, config, tenant, id string) (err error) {
	if id != "" && !decisionID.MatchString(id) {
		return &codedError{exitUsage, fmt.Errorf("%q is no decision's id: 32 hex digits, as answers have it in decision_id", id)}
	}
	cfg, err := LoadConfig(config)
	if err != nil {
		return err
	}
	err = cfg.needData()
	if err != nil {
		return err
	}
	a, err := openApp(ctx, cfg, newLogger(LogConfig{Level: "warn"}, stderr), appOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	auditor, err := a.newAuditor()
	if err != nil {
		return err
	}
	if id == "" {
		return replayAll(ctx, auditor, stdout, stderr)
	}
	if tenant == "" {
		if tenants := a.edge.Tenants(); len(tenants) == 1 {
			tenant = tenants[0]
		} else {
			return &codedError{exitUsage, fmt.Errorf("there are several tenants: say which with --tenant, of %v", tenants)}
		}
	}
	frame, err := a.engine.Record(ctx, tenant, id)
	if errors.Is(err, features.ErrNoRecord) {
		return fmt.Errorf("no decision %s of tenant %s: %w", id, tenant, err)
	}
	if err != nil {
		return err
	}
	res, err := auditor.Replay(ctx, frame)
	if err != nil {
		return err
	}
	for _, d := range res.Diffs {
		fmt.Fprintln(stdout, d)
	}
	if res.Within {
		fmt.Fprintf(stdout, "decision %s: the same to the tolerance of its model, whose bits depend on the machine\n", res.DecisionID)
		return nil
	}
	if !res.Same {
		return fmt.Errorf("decision %s does not replay: %d differences", res.DecisionID, len(res.Diffs))
	}
	fmt.Fprintf(stdout, "decision %s: the same bytes\n", res.DecisionID)
	return nil
}

func (a *app) newAuditor() (*audit.Auditor, error) {
	return audit.New(audit.Config{Journal: a.journal, Records: a.engine, Registry: a.registry, Kinds: a.cfg.Engine.Kinds})
}

// withinText says how many are the same to their model's tolerance only; nothing where none is.
func withinText(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d within the tolerance of a model whose bits depend on the machine, ", n)
}

// replayAll replays every decision in the journal.
func replayAll(ctx context.Context, auditor *audit.Auditor, stdout, stderr io.Writer) error {
	bar := newProgress(stderr, "replaying", 0, unitRows)
	sum, err := auditor.ReplayAll(ctx, journal.Pos{}, journal.Pos{}, func(s *audit.Summary) { bar.set(0, s.Decisions) })
	if err != nil {
		return err
	}
	bar.events = sum.Decisions
	bar.finish()
	for _, f := range sum.Findings {
		fmt.Fprintln(stdout, f)
	}
	fmt.Fprintf(stdout, "%d decisions in %d frames: %d the same bytes, %s%d different, %d could not be made again, %d erased\n",
		sum.Decisions, sum.Frames, sum.Same, withinText(sum.Within), sum.Different, sum.Failed, sum.Erased)
	if !sum.Identical() {
		return fmt.Errorf("%d of %d decisions do not replay", sum.Different+sum.Failed, sum.Decisions)
	}
	return nil
}
