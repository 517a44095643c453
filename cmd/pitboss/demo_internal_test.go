package main

import (
	"strings"
	"testing"

	pb "pitboss/proto/pitboss/v1"
	"pitboss/sim"
)

func TestDemoSummaryCountsByTruth(t *testing.T) {
	var s demoSummary
	for _, d := range []struct {
		outcome pb.Outcome
		truth   sim.Truth
	}{
		{pb.Outcome_OUTCOME_ALLOW, sim.Truth{Player: "a", Typology: "honest"}},
		{pb.Outcome_OUTCOME_ALLOW, sim.Truth{Player: "b", Typology: "honest", Role: "vip"}},
		{pb.Outcome_OUTCOME_CHALLENGE, sim.Truth{Player: "b", Typology: "honest", Role: "vip"}},
		{pb.Outcome_OUTCOME_BLOCK, sim.Truth{Player: "c", Typology: "bonus_ring", Role: "member", Fraud: true}},
		{pb.Outcome_OUTCOME_ALLOW, sim.Truth{Player: "c", Typology: "bonus_ring", Role: "member", Fraud: true}},
		{pb.Outcome_OUTCOME_ALLOW, sim.Truth{Player: "d", Typology: "metronome_bot", Fraud: true}},
		{pb.Outcome_OUTCOME_ALLOW, sim.Truth{Player: "e", Typology: "account_takeover", Role: "victim"}},
	} {
		s.count(d.outcome, d.truth)
	}
	var out strings.Builder
	s.write(&out)
	want := []string{
		"truth (simulated) decisions allow challenge limit hold block players stopped",
		"bonus_ring 2 1 0 0 0 1 1 1",
		"metronome_bot 1 1 0 0 0 0 1 0",
		"honest 1 1 0 0 0 0 1 0",
		"honest: victim 1 1 0 0 0 0 1 0",
		"honest: vip 2 1 1 0 0 0 1 1",
		"Stopped 1 of 3 decisions about 2 fraudulent players (1 of whom at least once), and 1 of 4 about 3 honest ones (1).",
	}
	for i, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		if got := strings.Join(strings.Fields(line), " "); i >= len(want) || got != want[i] {
			t.Errorf("line %d is %q, want %q", i, got, want[min(i, len(want)-1)])
		}
	}
}
