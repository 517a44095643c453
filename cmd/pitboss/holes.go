package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"pitboss/features"
	"pitboss/features/timeline"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// holesFlags are the flags of `features holes`.
type holesFlags struct {
	config, from, to string
	asJSON           bool
	fold             timeline.Config
}

func newHolesCmd() *cobra.Command {
	f := holesFlags{fold: timeline.DefaultConfig()}
	cmd := &cobra.Command{
		Use:   "holes --config C",
		Short: "Say what producers did not send, and how their clocks run",
		Long: `Reads the journal and says, for the events that happened from --from to --to (default: all),
  by producer   which of its sequence numbers did not come, and how its clock compares with ours: the offset is
                received_at - occurred_at at its smallest, so the shortest way is in it; the slope is how it changes
  of rounds     which were never closed, or later than their game allows (max_round_ms of game.launched or round.started);
                which have a bet or a tournament's score and no start, a result or a jackpot's contribution and no bet
  of sessions   how many have gaps in the numbers of their heartbeats or of the guard's batches

What comes late closes the hole that it left: the answer does not depend on the order of the events. Rounds are read an
hour beyond --from and --to, so that a bound that goes through a round makes no hole. The events of erased subjects cannot
be read, and their numbers count as missing. No server may be running on the data directory.`,
		Example: `  pitboss features holes --config pitboss.yaml
  pitboss features holes --config pitboss.yaml --from 2026-11-22T00:00:00Z --to 2026-11-23T00:00:00Z --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return &codedError{exitUsage, err}
			}
			return runHoles(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), f)
		},
	}
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "configuration file")
	cmd.Flags().StringVar(&f.from, "from", "", "first moment, such as 2026-11-22T00:00:00Z")
	cmd.Flags().StringVar(&f.to, "to", "", "first moment that is not in it any more")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	cmd.Flags().DurationVar(&f.fold.Settle, "settle", f.fold.Settle, "how long a round may be still, or open beyond its game's limit, before it counts as a hole")
	cmd.Flags().IntVar(&f.fold.List, "list", f.fold.List, "how many gaps and rounds of each sort to name")
	cmd.Flags().IntVar(&f.fold.MaxItems, "max-items", f.fold.MaxItems, "how many rounds, sessions and gaps to keep in memory, about 250 bytes each")
	return cmd
}

// check reads the times and refuses what makes no sense.
func (f *holesFlags) check() error {
	if f.config == "" {
		return errors.New("give --config")
	}
	if err := readTimes(timeFlag{"--from", f.from, &f.fold.From}, timeFlag{"--to", f.to, &f.fold.To}); err != nil {
		return err
	}
	switch {
	case f.from != "" && f.to != "" && !f.fold.From.Before(f.fold.To):
		return errors.New("--from is not before --to: nothing lies between")
	case f.fold.Settle < 0:
		return fmt.Errorf("--settle: %v is negative", f.fold.Settle)
	case f.fold.List < 0:
		return fmt.Errorf("--list: %d is negative", f.fold.List)
	case f.fold.MaxItems < 1:
		return fmt.Errorf("--max-items: %d is less than 1", f.fold.MaxItems)
	}
	return nil
}

func runHoles(ctx context.Context, stdout, stderr io.Writer, f holesFlags) (err error) {
	a, err := openJournalAlone(f.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	fold := timeline.New(f.fold)
	read := journalRead{what: "looking for holes", journal: a.journal, stderr: stderr}
	if err := read.each(ctx, func(frame *journal.Frame) error { return addFrame(fold, frame) }); err != nil {
		return err
	}
	if read.erased > 0 {
		fmt.Fprintf(stderr, "%d frames of erased subjects could not be read; their numbers count as missing\n", read.erased)
	}
	report := fold.Report()
	if f.asJSON {
		out := json.NewEncoder(stdout)
		out.SetIndent("", "  ")
		return out.Encode(report)
	}
	return printHoles(stdout, &report)
}

// addFrame takes the event of a frame in. A frame that adds a decision to an earlier event is no other event.
func addFrame(fold *timeline.Fold, f *journal.Frame) error {
	if f.Kind != features.FrameEvent {
		return nil
	}
	var frame pb.EventFrame
	if err := proto.Unmarshal(f.Payload, &frame); err != nil {
		return fmt.Errorf("cannot decode an event: %w", err)
	}
	if frame.GetAppliedAt() != nil {
		return nil
	}
	return fold.Add(frame.GetEvent())
}

func printHoles(out io.Writer, r *timeline.Report) error {
	fmt.Fprintf(out, "%d events\n", r.Events)
	if len(r.Producers) > 0 {
		fmt.Fprintln(out)
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(w, "tenant\tproducer\tevents\tfirst\tlast\tmissing\tgaps\tagain\toffset\tslope\tntp\t")
		for i := range r.Producers {
			p := &r.Producers[i]
			slope, ntp := "-", "-"
			if p.Clock.SlopePPM != nil {
				slope = strconv.FormatFloat(*p.Clock.SlopePPM, 'f', 1, 64) + " ppm"
			}
			if p.Clock.NTPOffsetUS != nil {
				ntp = fmt.Sprintf("%v %s", micros(*p.Clock.NTPOffsetUS), p.Clock.Reference)
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%v\t%s\t%s\t\n", p.Tenant, printable(p.Producer), p.Events, p.First, p.Last,
				p.Missing, p.Gaps, p.Again, micros(p.Clock.OffsetUS), slope, printable(ntp))
		}
		if err := w.Flush(); err != nil {
			return err
		}
		for i := range r.Producers {
			printGaps(out, &r.Producers[i])
		}
	}
	fmt.Fprintf(out, "\n%d rounds\n", r.Rounds.Rounds)
	printRounds(out, "never closed", r.Rounds.NeverClosed)
	printRounds(out, "open for longer than the game allows", r.Rounds.OpenTooLong)
	printRounds(out, "with a bet and no start", r.Rounds.BetWithoutRound)
	printRounds(out, "with a result and no bet", r.Rounds.ResultWithoutBet)
	printRounds(out, "with a score and no start", r.Rounds.ScoreWithoutRound)
	printRounds(out, "with a jackpot's contribution and no bet", r.Rounds.ContributionWithoutBet)
	fmt.Fprintf(out, "  %d bets, %d scores and %d contributions name no round\n", r.Rounds.HomelessBets, r.Rounds.HomelessScores, r.Rounds.HomelessContributions)
	_, err := fmt.Fprintf(out, "\n%d numbered streams of sessions, %d with gaps, %d numbers missing\n",
		r.Sessions.Streams, r.Sessions.Broken, r.Sessions.Missing)
	return err
}

func printGaps(out io.Writer, p *timeline.Producer) {
	for _, g := range p.FirstGaps {
		if g.First == g.Last {
			fmt.Fprintf(out, "  %s %s: %d is missing\n", p.Tenant, printable(p.Producer), g.First)
			continue
		}
		fmt.Fprintf(out, "  %s %s: %d to %d are missing\n", p.Tenant, printable(p.Producer), g.First, g.Last)
	}
	if more := p.Gaps - len(p.FirstGaps); more > 0 {
		fmt.Fprintf(out, "  %s %s: and %d more gaps\n", p.Tenant, printable(p.Producer), more)
	}
}

func printRounds(out io.Writer, what string, h timeline.Holes) {
	fmt.Fprintf(out, "  %d %s\n", h.Count, what)
	for _, ref := range h.First {
		fmt.Fprintf(out, "    %s %s, from %s\n", ref.Tenant, printable(ref.Round), ref.Began.UTC().Format(time.RFC3339))
	}
	if more := h.Count - len(h.First); more > 0 {
		fmt.Fprintf(out, "    and %d more\n", more)
	}
}

// printable makes a producer's text safe to print on a terminal.
func printable(text string) string {
	quoted := strconv.QuoteToGraphic(text)
	return quoted[1 : len(quoted)-1]
}

func micros(us int64) time.Duration { return time.Duration(us) * time.Microsecond }
