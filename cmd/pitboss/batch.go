package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protojson"

	"pitboss/decide"
	"pitboss/features"
	"pitboss/features/files"
	pb "pitboss/proto/pitboss/v1"
)

// historyFlags are what commands that pass history through a data directory can be told.
type historyFlags struct {
	config, source, mapFor, out string
	explain                     string
	inOrder                     bool
	from, before, topic         string
}

func (f *historyFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVarP(&f.config, "config", "c", "", "configuration file")
	fl.StringVar(&f.source, "source", "", "file of events: .jsonl, .csv or .parquet")
	fl.StringVar(&f.from, "from", "", "only events from this time on (RFC 3339)")
	fl.StringVar(&f.before, "before", "", "only events before this time (RFC 3339)")
	fl.BoolVar(&f.inOrder, "in-order", false, "the JSON lines are in order of time: do not sort them first")
	fl.StringVar(&f.mapFor, "map", "", "which column is which field (CSV and Parquet; docs/mapping.md)")
}

// needAll refuses a command line that lacks what cannot be done without.
func needAll(flags map[string]string) error {
	var errs []error
	for name, value := range flags {
		if value == "" {
			errs = append(errs, fmt.Errorf("--%s is needed", name))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return &codedError{exitUsage, errors.Join(errs...)}
}

func newBatchCmd() *cobra.Command {
	var f historyFlags
	cmd := &cobra.Command{
		Use:   "batch --config C --source FILE [--map M] --out decisions.jsonl",
		Short: "Decide about every event of a file, in event time",
		Long: `Runs events from JSON lines, CSV or Parquet through the very Decider that serves, in event time, with the data directory
of the configuration; the decisions are recorded as always and written as JSON lines. No server may be running on it.

What is refused is shown with its row, counted by reason, and makes the exit code 3. Events that were decided before
give the same decision again, so an interrupted run can simply be started again.`,
		Example: "  pitboss batch --config pitboss.yaml --source payments.parquet --map map.yaml --out decisions.jsonl",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needAll(map[string]string{"config": f.config, "source": f.source, "out": f.out}); err != nil {
				return err
			}
			return runBatch(cmd.Context(), cmd.ErrOrStderr(), cmd.OutOrStdout(), f)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.out, "out", "", "file of decisions as JSON lines; - is standard output")
	cmd.Flags().StringVar(&f.explain, "explain", "top", "none, top or full")
	return cmd
}

func runBatch(ctx context.Context, stderr, stdout io.Writer, f historyFlags) (err error) {
	explain, err := parseExplain(f.explain)
	if err != nil {
		return err
	}
	err = notAnInput(f.out, f.source, f.mapFor, f.config)
	if err != nil {
		return err
	}
	var out io.Writer
	outcomes := map[pb.Outcome]uint64{}
	res, err := passHistory(ctx, stderr, f, "deciding", func(a *app) (rowFunc, endFunc, error) {
		var closeOut func() error
		var failed error
		out, closeOut, failed = createOut(f.out, stdout)
		if failed != nil {
			return nil, nil, failed
		}
		a.onClose(closeOut)
		return func(ctx context.Context, row *files.Row, ev *features.Event) error {
			if row.Label || ev.Type == "label.assigned" {
				return ingestOne(ctx, a, ev)
			}
			d, refusal := a.decider.Decide(ctx, ev, decide.Options{Unhurried: true, Explain: explain})
			if refusal != nil {
				return rowErrorOf(refusal)
			}
			if notKept(d) {
				return errors.New("the decision could not be recorded; start again to go on from there")
			}
			outcomes[d.GetOutcome()]++
			return writeDecision(out, d)
		}, nil, nil
	}, true)
	if err != nil {
		return err
	}
	for o := pb.Outcome_OUTCOME_ALLOW; o <= pb.Outcome_OUTCOME_BLOCK; o++ {
		if n := outcomes[o]; n > 0 {
			fmt.Fprintf(stderr, "  %8d  %s\n", n, outcomeName(o))
		}
	}
	return res.err()
}

type (
	rowFunc = func(context.Context, *files.Row, *features.Event) error
	endFunc = func(context.Context) error
)

// passHistory opens the data directory and runs the file through it. with gives what to do with each event and, unless
// nil, at the end. A file that cannot be read leaves nothing behind: it is opened before the data directory is made.
func passHistory(
	ctx context.Context, stderr io.Writer, f historyFlags, what string, with func(*app) (rowFunc, endFunc, error), history bool,
) (_ *passResult, err error) {
	p := pass{what: what, source: f.source, mapFor: f.mapFor, sort: f.mapFor == "" && !f.inOrder, stderr: stderr, live: !history}
	err = p.between(f.from, f.before)
	if err != nil {
		return nil, err
	}
	cfg, err := LoadConfig(f.config)
	if err != nil {
		return nil, err
	}
	err = p.open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	a, err := openApp(ctx, cfg, newLogger(LogConfig{Level: "warn"}, stderr), appOptions{history: history})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	var group errgroup.Group
	group.Go(func() error { return a.engine.Run(inner) })
	defer func() {
		stop()
		err = errors.Join(err, group.Wait())
	}()
	each, end, err := with(a)
	if err != nil {
		return nil, err
	}
	p.edge, p.each = a.edge, each
	res, err := p.run(ctx)
	if err == nil && end != nil {
		err = end(ctx)
	}
	return res, err
}

// ingestOne applies an event that needs no decision.
func ingestOne(ctx context.Context, a *app, ev *features.Event) error {
	results, err := a.engine.Ingest(ctx, []features.IngestItem{{Event: ev}})
	if err != nil {
		return err
	}
	return rowErrorOf(results[0].Err)
}

// notKept says that a decision was answered and could not be recorded.
func notKept(d *pb.Decision) bool {
	for _, g := range d.GetDegraded() {
		if g.GetStage() == "record" {
			return true
		}
	}
	return false
}

// writeDecision writes one decision as a line of JSON.
func writeDecision(w io.Writer, d *pb.Decision) error {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(d) // the names of the HTTP answer
	if err != nil {
		return fmt.Errorf("cannot write decision %s: %w", d.GetDecisionId(), err)
	}
	// protojson puts spaces where it likes; a line should not depend on that.
	var line bytes.Buffer
	if err := json.Compact(&line, text); err != nil {
		return fmt.Errorf("BUG: protojson wrote no JSON: %w", err)
	}
	line.WriteByte('\n')
	if _, err := w.Write(line.Bytes()); err != nil {
		return fmt.Errorf("cannot write decisions: %w", err)
	}
	return nil
}

func parseExplain(s string) (pb.Explain, error) {
	switch s {
	case "none":
		return pb.Explain_EXPLAIN_NONE, nil
	case "top":
		return pb.Explain_EXPLAIN_TOP, nil
	case "full":
		return pb.Explain_EXPLAIN_FULL, nil
	}
	return 0, &codedError{exitUsage, fmt.Errorf("--explain: %q is not none, top or full", s)}
}

func newIngestCmd() *cobra.Command {
	var f historyFlags
	var toKafka, history bool
	cmd := &cobra.Command{
		Use:   "ingest --config C --source FILE [--map M] [--kafka] [--history]",
		Short: "Bring events from a file into the feature store, without decisions",
		Long: `Applies events from JSON lines, CSV or Parquet to the data directory of the configuration (no server may be running on
it), or with --kafka sends them to the configured topic, where a running server reads them.

--history takes each event's own time as the time it came in, so that the bound on age holds in its time: for backfills.
Without it an event from more than 30 days ago is refused.`,
		Example: "  pitboss ingest --config pitboss.yaml --source lastmonth.jsonl --history",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needAll(map[string]string{"config": f.config, "source": f.source}); err != nil {
				return err
			}
			if toKafka {
				return runIngestKafka(cmd.Context(), cmd.ErrOrStderr(), f, history)
			}
			return runIngest(cmd.Context(), cmd.ErrOrStderr(), f, history)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.topic, "topic", "", "with --kafka: send to this topic; default: the configuration's first")
	cmd.Flags().BoolVar(&toKafka, "kafka", false, "send to the configured Kafka topic instead")
	cmd.Flags().BoolVar(&history, "history", false, "events came in when they happened")
	return cmd
}
