package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	pb "pitboss/proto/pitboss/v1"
)

// decideFlags are what `pitboss decide` can be told.
type decideFlags struct {
	addr, key, event, explain, language string
	dryRun, json                        bool
	deadline                            uint32
}

// apiKeyEnv is where the key is looked for, so that it need not stand in a command line that others can list.
const apiKeyEnv = "PITBOSS_API_KEY" //nolint:gosec // a name, not a key

func newDecideCmd() *cobra.Command {
	var f decideFlags
	var t topicFlags
	cmd := &cobra.Command{
		Use:   "decide --event event.json [--addr HOST:PORT] [--key KEY]",
		Short: "Ask a running server for one decision and show its reasons",
		Long: `Sends one event (JSON as in proto/pitboss/v1/event.proto; - is standard input) and shows the answer. The key comes from
--key or from ` + apiKeyEnv + `.

With --topic it asks about every event of a Kafka topic that is of one of --types, publishes the others, and measures.`,
		Example: "  pitboss decide --event bet.json --dry-run --explain full\n" +
			"  pitboss decide --brokers 127.0.0.1:9092 --topic bets --types bet.placed --out decisions.jsonl",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.key == "" {
				f.key = os.Getenv(apiKeyEnv)
			}
			if t.topic != "" {
				if err := needAll(map[string]string{"brokers": strings.Join(t.brokers, ","), "key": f.key, "out": t.out}); err != nil {
					return err
				}
				t.workers = min(max(t.workers, 1), maxTopicWorkers)
				return runDecideTopic(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), f, t)
			}
			if err := needAll(map[string]string{"event": f.event, "key": f.key}); err != nil {
				return err
			}
			return runDecide(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.addr, "addr", "127.0.0.1:9090", "the server's gRPC address")
	fl.StringVar(&f.key, "key", "", "API key")
	fl.StringVar(&f.event, "event", "", "file of the event; - is standard input")
	fl.StringVar(&f.explain, "explain", "top", "none, top or full")
	fl.StringVar(&f.language, "language", "", "of the texts: en, de, pt-BR (default: the key's own)")
	fl.BoolVar(&f.dryRun, "dry-run", false, "decide and keep nothing")
	fl.BoolVar(&f.json, "json", false, "print the answer as JSON")
	fl.StringSliceVar(&t.brokers, "brokers", nil, "Kafka's addresses, with --topic")
	fl.StringVar(&t.topic, "topic", "", "ask about the events of this Kafka topic")
	fl.StringSliceVar(&t.types, "types", []string{"bet.placed", "payment.deposit_requested", "payment.withdrawal_requested"}, "types to ask about, with --topic")
	fl.StringVar(&t.out, "out", "", "file of decisions as JSON lines, with --topic")
	fl.IntVar(&t.workers, "workers", 4, "calls at once, with --topic; events with one key keep their order")
	fl.BoolVar(&t.history, "history", false, "events came in when they happened; for a server run with --history")
	fl.Uint32Var(&f.deadline, "deadline-ms", 0, "how long to wait, 1 to 50; 0 is the server's default")
	return cmd
}

const (
	maxEventFile    = 1 << 20
	maxTopicWorkers = 256
)

func runDecide(ctx context.Context, stdin io.Reader, out io.Writer, f decideFlags) (err error) {
	explain, err := parseExplain(f.explain)
	if err != nil {
		return err
	}
	data, err := readEvent(stdin, f.event)
	if err != nil {
		return err
	}
	ev := &pb.Event{}
	if err = protojson.Unmarshal(data, ev); err != nil {
		return fmt.Errorf("%s is no event: %w", f.event, err)
	}
	conn, err := dial(f.addr, f.key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	d, err := pb.NewDecisionServiceClient(conn).Decide(ctx, &pb.DecisionRequest{
		Event: ev, Options: &pb.DecisionOptions{DeadlineMs: f.deadline, DryRun: f.dryRun, Explain: explain, Language: f.language},
	})
	if err != nil {
		return fmt.Errorf("no decision: %w", err)
	}
	if f.json {
		_, err := fmt.Fprintln(out, protojson.MarshalOptions{UseProtoNames: true, Multiline: true}.Format(d))
		return err
	}
	return showDecision(out, d)
}

func readEvent(stdin io.Reader, path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(stdin, maxEventFile))
	}
	return readBounded(path)
}

// outcomeName is an outcome as people read it: hold.
func outcomeName(o pb.Outcome) string {
	return strings.ToLower(strings.TrimPrefix(o.String(), "OUTCOME_"))
}

// showDecision prints an answer for people.
func showDecision(out io.Writer, d *pb.Decision) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "outcome\t%s", outcomeName(d.GetOutcome()))
	if d.GetReview() {
		fmt.Fprint(w, ", for review")
	}
	fmt.Fprintf(w, "\nstatus\t%s\n", strings.ToLower(strings.TrimPrefix(d.GetStatus().String(), "STATUS_")))
	if d.Score != nil {
		fmt.Fprintf(w, "score\t%.4f (%s, segment %s)\n", d.GetScore(), d.GetRiskLevel(), d.GetSegment())
	}
	fmt.Fprintf(w, "decision\t%s\n", d.GetDecisionId())
	if m := d.GetModel(); m != nil {
		fmt.Fprintf(w, "model\t%s %s\n", m.GetName(), m.GetVersion())
	}
	for _, g := range d.GetDegraded() {
		fmt.Fprintf(w, "degraded\t%s: %s\n", g.GetStage(), g.GetCause())
	}
	fmt.Fprintf(w, "took\t%d us\n", d.GetTimingsUs().GetTotal())
	if err := w.Flush(); err != nil {
		return err
	}
	for _, r := range d.GetReasons() {
		fmt.Fprintf(out, "\n%-24s %s\n", r.GetCode(), r.GetText())
		if r.Contribution != nil {
			fmt.Fprintf(out, "%-24s %s %s the margin by %.3f", "", r.GetFeature(), r.GetDirection(), abs(r.GetContribution()))
			if r.Percentile != nil {
				fmt.Fprintf(out, "; percentile %.1f", r.GetPercentile())
			}
			fmt.Fprintln(out)
		}
	}
	for _, c := range d.GetCounterfactuals() {
		fmt.Fprintf(out, "\n%-24s %s (it is %g)\n", "IF", c.GetText(), c.GetValue())
	}
	for i, v := range d.GetFeatures() {
		if i == 0 {
			fmt.Fprintln(out)
		}
		value := v.GetStatus()
		if v.Value != nil {
			value = fmt.Sprintf("%g", v.GetValue())
		}
		fmt.Fprintf(out, "%-40s %16s %+.4f\n", v.GetName(), value, v.GetContribution())
	}
	return nil
}

func abs(v float64) float64 { return max(v, -v) }
