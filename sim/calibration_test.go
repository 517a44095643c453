package sim_test

import (
	"math"
	"slices"
	"testing"
	"time"

	pb "pitboss/proto/pitboss/v1"
	"pitboss/sim"
)

// median of sorted values.
func median(sorted []float64) float64 { return sorted[len(sorted)/2] }

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// The figures are those of domain.md §5 (UKGC 2023, LaBrie 2008, Forrest and McHale 2018); the intervals say how near
// honest players must come. UKGC counts visits and LaBrie players: four weeks, so that nearly all of them are seen.
func TestHonestPlayersAreLikeThePublished(t *testing.T) {
	t.Parallel()
	var r *sim.Report
	s := newSim(t, func(c *sim.Config) {
		c.Players, c.Duration = 300, 28*24*time.Hour
		c.Mix.Frauds = [sim.Typologies]sim.Fraud{}
		r = sim.NewReport(*c)
	})
	for ev, ok := s.Next(); ok; ev, ok = s.Next() {
		r.See(ev, s.Truth())
	}
	within := map[string][2]float64{
		"session, median minutes":                    {4.5, 7.5},
		"session, mean minutes":                      {15, 22},
		"sessions over an hour, %":                   {4.5, 8.5},
		"seconds between bets, mean":                 {6.5, 9.5},
		"bets in a session, mean":                    {110, 170},
		"a player's bets on a day with play, median": {38, 62},
		"a player's bets on a day with play, mean":   {92, 140},
		"stakes under a unit, %":                     {70, 90},
		"kept of stakes, %":                          {-4, 14},
	}
	for _, f := range r.Figures() {
		if w := within[f.Name]; !(f.Got >= w[0] && f.Got <= w[1]) {
			t.Errorf("%s: got %.3f, want %v (published: %v to %v, %s)", f.Name, f.Got, w, f.Low, f.High, f.Source)
		}
	}
}

// Frauds do what the table of docs/sim.md says, at both ends of mimicry and in the middle.
func TestBotsAreAsEvenAsTheirMimicryAllows(t *testing.T) {
	t.Parallel()
	f := func(mimicry, low, high float64) {
		t.Helper()
		s := newSim(t, func(c *sim.Config) {
			c.Players, c.Duration, c.NewShare, c.Rollbacks = 40, 14*time.Hour, 0, 0
			c.Mix = sim.Mix{Frauds: only(sim.MetronomeBot, 0.2, mimicry)}
		})
		last, gaps := map[string]time.Time{}, map[string][]float64{}
		for ev, ok := s.Next(); ok; ev, ok = s.Next() {
			if !s.Truth().Fraud || ev.GetType() != "bet.placed" {
				continue
			}
			player, at := s.Truth().Player, ev.GetOccurredAt().AsTime()
			// One game's gaps, without the pauses of a look into the lobby.
			if gap := at.Sub(last[player]).Seconds(); gap < 15 {
				gaps[player] = append(gaps[player], gap)
			}
			last[player] = at
		}
		var cvs []float64
		for _, g := range gaps {
			if len(g) > 200 {
				cvs = append(cvs, variation(g))
			}
		}
		slices.Sort(cvs)
		if len(cvs) < 3 {
			t.Fatalf("mimicry %v: only %d bots were at work", mimicry, len(cvs))
		}
		if cv := median(cvs); cv < low || cv > high {
			t.Errorf("mimicry %v: the median variation of %d bots' gaps is %.4f, want %v to %v", mimicry, len(cvs), cv, low, high)
		}
	}
	f(0, 0.001, 0.05) // .004 but for its pauses to pay in
	f(0.5, 0.15, 0.27)
	f(1, 0.3, 0.85)
}

// variation is the coefficient of variation.
func variation(values []float64) float64 {
	m, sq := mean(values), 0.0
	for _, v := range values {
		sq += (v - m) * (v - m)
	}
	return math.Sqrt(sq/float64(len(values))) / m
}

// A crude ring is what the sources describe: accounts in a burst, the least deposit, the bonus, and out.
func TestRingsTakeTheBonusAndLeave(t *testing.T) {
	s := newSim(t, func(c *sim.Config) {
		c.Players, c.Duration = 100, 6*24*time.Hour
		c.Mix = sim.Mix{Frauds: only(sim.BonusRing, 0.3, 0)}
	})
	count := map[string]int{}
	registered := map[string]time.Time{}
	first, last := map[string]time.Time{}, map[string]time.Time{}
	released := map[string]time.Time{}
	var waits []float64
	for ev, ok := s.Next(); ok; ev, ok = s.Next() {
		truth, at := s.Truth(), ev.GetOccurredAt().AsTime()
		if !truth.Fraud {
			continue
		}
		count[ev.GetType()]++
		switch p := ev.GetPayload().(type) {
		case *pb.Event_AccountRegistered:
			registered[truth.Player] = at
			if first[truth.Ring].IsZero() {
				first[truth.Ring] = at
			}
			last[truth.Ring] = at
		case *pb.Event_PaymentDepositRequested:
			if got := p.PaymentDepositRequested.GetAmount(); got.GetAmountMinor() != 2000 && got.GetAmountMinor() != 20000 {
				t.Errorf("a crude ring deposits %v, not the least that earns a bonus", got)
			}
		case *pb.Event_BonusReleased:
			released[truth.Player] = at
		case *pb.Event_PaymentWithdrawalRequested:
			waits = append(waits, at.Sub(released[truth.Player]).Minutes())
		}
	}
	if n := count["account.registered"]; n != 30 || count["bonus.granted"] < 20 || len(waits) < 3 {
		t.Errorf("%d accounts, %d bonuses, %d withdrawals: want 30, most, some", n, count["bonus.granted"], len(waits))
	}
	for ring := range first {
		if burst := last[ring].Sub(first[ring]); burst > time.Hour {
			t.Errorf("%s opened its accounts over %s, want an hour", ring, burst)
		}
	}
	slices.Sort(waits)
	if w := median(waits); w > 30 {
		t.Errorf("the median withdrawal comes %.0f minutes after the release, want under 30", w)
	}
}
