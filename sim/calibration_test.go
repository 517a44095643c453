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

// visits gathers what the published figures are about, of ordinary honest players in euros and pounds.
type visits struct {
	sessions, gaps, stakes, betsADay []float64
	last                             map[string]time.Time
	perDay                           map[[2]string]int
	lost, staked                     float64
}

func (v *visits) see(ev *pb.Event) {
	player := ev.GetEntities()[0].GetValue()
	at := ev.GetOccurredAt().AsTime()
	switch p := ev.GetPayload().(type) {
	case *pb.Event_SessionEnded:
		v.sessions = append(v.sessions, float64(p.SessionEnded.GetDurationMs())/60_000)
	case *pb.Event_BetPlaced:
		stake := float64(p.BetPlaced.GetAmount().GetAmountMinor()) / 100
		v.stakes = append(v.stakes, stake)
		if gap := at.Sub(v.last[player]).Seconds(); gap < 300 {
			v.gaps = append(v.gaps, gap)
		}
		v.last[player] = at
		v.perDay[[2]string{player, at.Format(time.DateOnly)}]++
		v.staked += stake
		v.lost += stake
	case *pb.Event_WinCredited:
		v.lost -= float64(p.WinCredited.GetAmount().GetAmountMinor()) / 100
	}
}

// The figures are those of domain.md §5 (UKGC 2023, LaBrie 2008, Forrest and McHale 2018); the intervals say how near
// an ordinary player must come.
func TestOrdinaryPlayersAreLikeThePublished(t *testing.T) {
	s := newSim(t, func(c *sim.Config) {
		c.Players, c.Duration = 3000, 72*time.Hour
		c.Mix = sim.Mix{Mobile: 0.4}
	})
	v := &visits{last: map[string]time.Time{}, perDay: map[[2]string]int{}}
	for ev, ok := s.Next(); ok; ev, ok = s.Next() {
		if ev.GetBrand() != "nordspin-se" {
			v.see(ev)
		}
	}
	for _, n := range v.perDay {
		v.betsADay = append(v.betsADay, float64(n))
	}
	for _, values := range [][]float64{v.sessions, v.gaps, v.stakes, v.betsADay} {
		slices.Sort(values)
	}
	long, _ := slices.BinarySearch(v.sessions, 60)
	small, _ := slices.BinarySearch(v.stakes, 1)
	f := func(name string, got, low, high float64) {
		t.Helper()
		if got < low || got > high {
			t.Errorf("%s: got %.3f, want %v to %v", name, got, low, high)
		}
	}
	f("session minutes, median (5.5)", median(v.sessions), 4, 7)
	f("session minutes, mean (17 to 19)", mean(v.sessions), 10, 20)
	f("sessions over an hour (.056 to .078)", 1-float64(long)/float64(len(v.sessions)), 0.03, 0.08)
	f("seconds between bets, mean (7.2)", mean(v.gaps), 6, 10)
	f("bets of an active day, median (49)", median(v.betsADay), 30, 70)
	f("bets of an active day, mean (116)", mean(v.betsADay), 80, 160)
	f("stakes under 1 (.78)", float64(small)/float64(len(v.stakes)), 0.65, 0.9)
	f("loss per stake (.04 to .06)", v.lost/v.staked, -0.05, 0.15)
	t.Logf("%d sessions, %d bets", len(v.sessions), len(v.stakes))
}

// Frauds do what the table of docs/sim.md says, at both ends of mimicry and in the middle.
func TestBotsAreAsEvenAsTheirMimicryAllows(t *testing.T) {
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
