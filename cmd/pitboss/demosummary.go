package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	pb "pitboss/proto/pitboss/v1"
	"pitboss/sim"
)

// demoSummary counts the demo's decisions by who the player is, in the simulated truth, and what was decided.
type demoSummary struct {
	rows map[demoWho]*demoRow
}

// demoWho is a kind of player: a fraud by its typology, or an honest player, ordinary or of those who look like frauds.
type demoWho struct {
	fraud bool
	name  string
}

type demoRow struct {
	outcomes [pb.Outcome_OUTCOME_BLOCK + 1]uint64
	// players are those who were decided about, and whether any of their acts was stopped: one who plays for hours makes
	// a thousand decisions of the same mistake.
	players map[string]bool
}

func demoWhoOf(truth sim.Truth) demoWho {
	switch {
	case truth.Fraud:
		return demoWho{true, truth.Typology}
	case truth.Role != "":
		return demoWho{false, "honest: " + truth.Role}
	}
	return demoWho{false, "honest"}
}

// compare puts frauds first.
func (w demoWho) compare(other demoWho) int {
	if w.fraud != other.fraud && w.fraud {
		return -1
	}
	if w.fraud != other.fraud {
		return 1
	}
	return strings.Compare(w.name, other.name)
}

func (s *demoSummary) count(outcome pb.Outcome, truth sim.Truth) {
	if s.rows == nil {
		s.rows = map[demoWho]*demoRow{}
	}
	who := demoWhoOf(truth)
	row := s.rows[who]
	if row == nil {
		row = &demoRow{players: map[string]bool{}}
		s.rows[who] = row
	}
	row.outcomes[outcome]++
	row.players[truth.Player] = row.players[truth.Player] || outcome > pb.Outcome_OUTCOME_ALLOW
}

// add takes another row's counts too. No player is of two kinds.
func (r *demoRow) add(other *demoRow) {
	for outcome, n := range other.outcomes {
		r.outcomes[outcome] += n
	}
	if r.players == nil {
		r.players = map[string]bool{}
	}
	maps.Copy(r.players, other.players)
}

// decisions counts them, stopped those other than allow, met the players with such.
func (r *demoRow) decisions() (all, stopped, met uint64) {
	for outcome, n := range r.outcomes {
		all += n
		if pb.Outcome(outcome) > pb.Outcome_OUTCOME_ALLOW {
			stopped += n
		}
	}
	for _, stopped := range r.players {
		if stopped {
			met++
		}
	}
	return all, stopped, met
}

// write prints a line for each kind of player, then what that makes.
func (s *demoSummary) write(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "truth (simulated)\tdecisions\tallow\tchallenge\tlimit\thold\tblock\tplayers\tstopped\t")
	var honest, fraud demoRow
	for _, who := range slices.SortedFunc(maps.Keys(s.rows), demoWho.compare) {
		row, sum := s.rows[who], &honest
		if who.fraud {
			sum = &fraud
		}
		row.print(w, who.name)
		sum.add(row)
	}
	_ = w.Flush() // the demo's output; nothing else can be done about it
	ofHonest, wrongly, honestMet := honest.decisions()
	ofFraud, rightly, fraudMet := fraud.decisions()
	fmt.Fprintf(out, "Stopped %d of %d decisions about %d fraudulent players (%d of whom at least once), and %d of %d about %d honest ones (%d).\n",
		rightly, ofFraud, len(fraud.players), fraudMet, wrongly, ofHonest, len(honest.players), honestMet)
}

func (r *demoRow) print(w io.Writer, name string) {
	all, _, met := r.decisions()
	fmt.Fprintf(w, "%s\t%d\t", name, all)
	for o := pb.Outcome_OUTCOME_ALLOW; o <= pb.Outcome_OUTCOME_BLOCK; o++ {
		fmt.Fprintf(w, "%d\t", r.outcomes[o])
	}
	fmt.Fprintf(w, "%d\t%d\t\n", len(r.players), met)
}
