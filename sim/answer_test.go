package sim_test

import (
	"hash/fnv"
	"maps"
	"slices"
	"testing"
	"time"

	pb "pitboss/proto/pitboss/v1"
	"pitboss/sim"
)

// judge answers by the event alone: mostly about frauds, sometimes unjustly.
func judge(ev *pb.Event, fraud bool) sim.Outcome {
	h := fnv.New32a()
	h.Write([]byte(ev.GetEventId()))
	n := h.Sum32() % 1000
	switch {
	case fraud && n < 20:
		return sim.Block
	case fraud && n < 200 || n < 40:
		return sim.Challenge
	case fraud && n < 300 || n < 60:
		return sim.Limit
	case fraud && n < 320 || n < 70:
		return sim.Hold
	}
	return sim.Allow
}

func liveWith(t *testing.T, see func(ev *pb.Event, truth sim.Truth)) (sim.Answers, uint64) {
	t.Helper()
	s := newSim(t, func(c *sim.Config) {
		c.Players, c.Activity, c.Duration, c.Rollbacks = 200, 2, 24*time.Hour, 0.01
		for i := range c.Mix.Frauds {
			c.Mix.Frauds[i].Share = 0.01
		}
		c.Mix.Frauds[sim.Backdoor].Share = 0 // its wins without a bet do not add up
	})
	for ev, ok := s.Next(); ok; ev, ok = s.Next() {
		see(ev, s.Truth())
		s.Answer(judge(ev, s.Truth().Fraud))
	}
	return s.Answers(), s.Events()
}

// What is stopped does not happen: money, sequences and transactions still add up, nothing follows from a stopped act, and
// the same answers give the same casino.
func TestCasinoLivesWithAnswers(t *testing.T) {
	l := &ledger{t: t, ids: map[string]bool{}, seq: map[string]uint64{}, bets: map[string]int64{}}
	var ids []string
	count := map[string]int{}
	spent := int64(0)
	a, n := liveWith(t, func(ev *pb.Event, truth sim.Truth) {
		if truth.CostMinor != 0 && (!truth.Fraud || truth.Currency == "" || ev.GetType() != "guard.challenge") {
			t.Fatalf("a %s of %+v costs a fraud money", ev.GetType(), truth)
		}
		spent += truth.CostMinor
		l.see(ev)
		delete(l.ids, "")
		ids = append(ids, ev.GetEventId()+ev.GetType())
		count[ev.GetType()]++
	})
	if a.Given != n {
		t.Errorf("%d answers were taken to %d events", a.Given, n)
	}
	if a.Stopped < 50 || a.Challenged < 100 || a.HonestStopped == 0 || a.HonestChallenged == 0 || a.HonestLeft == 0 || a.Solved == 0 ||
		a.Gave == 0 || a.Returned == 0 {
		t.Errorf("answers did less than expected: %+v", a)
	}
	if spent != a.SpentMinor || spent == 0 {
		t.Errorf("frauds spent %d on solvers, the truth has %d", a.SpentMinor, spent)
	}
	if count["bet.rejected"] == 0 || count["guard.challenge"] != int(a.Challenged) {
		t.Errorf("%d rejected bets, %d challenges told of %d", count["bet.rejected"], count["guard.challenge"], a.Challenged)
	}
	i := 0
	again, _ := liveWith(t, func(ev *pb.Event, _ sim.Truth) {
		if i < len(ids) && ids[i] != ev.GetEventId()+ev.GetType() {
			t.Fatalf("event %d is another one the second time: %s", i, ev.GetType())
		}
		i++
	})
	if again != a {
		t.Errorf("the same answers: first %+v, then %+v", a, again)
	}
}

// Limits slow a bot down, and blocks take its money back.
func TestAnswersHurtFrauds(t *testing.T) {
	bets := func(answer sim.Outcome) int {
		s := newSim(t, func(c *sim.Config) {
			c.Players, c.Duration, c.Activity = 40, 12*time.Hour, 0.05
			c.Mix = sim.Mix{Frauds: only(sim.MetronomeBot, 0.2, 0)}
		})
		n := 0
		for ev, ok := s.Next(); ok; ev, ok = s.Next() {
			if ev.GetType() == "bet.placed" && s.Truth().Fraud {
				n++
				s.Answer(answer)
			}
		}
		return n
	}
	free, limited, blocked := bets(sim.Allow), bets(sim.Limit), bets(sim.Block)
	if free < 1000 || limited*2 > free || blocked*20 > free {
		t.Errorf("bets of bots: %d free, %d limited, %d blocked", free, limited, blocked)
	}
}

// All of the catalogue is told but what pitboss and its users say themselves.
func TestTellsTheCatalogue(t *testing.T) {
	missing := map[string]bool{}
	payload := (&pb.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("payload").Fields()
	for i := range payload.Len() {
		missing[string(payload.Get(i).Name())] = true
	}
	for _, ours := range []string{"appeal_resolved", "case_closed", "case_opened", "decision_made", "decision_overridden"} {
		if !missing[ours] {
			t.Fatalf("the catalogue has no %s", ours)
		}
		delete(missing, ours)
	}
	t.Parallel()
	s := newSim(t, func(c *sim.Config) {
		c.Players, c.Duration, c.Mix.Bursts = 400, 30*24*time.Hour, 0.4 // who stakes so much that a jackpot comes
		for i := range c.Mix.Frauds {
			c.Mix.Frauds[i].Share = 0.002
		}
		c.Mix.Frauds[sim.Chargeback].Share, c.Mix.Frauds[sim.LiveCollusion].Share = 0.05, 0.05
		c.Mix.Frauds[sim.BonusRing].Share = 0.05
	})
	for ev, ok := s.Next(); ok && len(missing) > 0; ev, ok = s.Next() {
		m := ev.ProtoReflect()
		delete(missing, string(m.WhichOneof(m.Descriptor().Oneofs().ByName("payload")).Name()))
		s.Answer(judge(ev, false))
	}
	if len(missing) > 0 {
		t.Errorf("never told: %v", slices.Sorted(maps.Keys(missing)))
	}
}
