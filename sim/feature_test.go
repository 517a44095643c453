package sim_test

import (
	"testing"
	"time"

	pb "pitboss/proto/pitboss/v1"
	"pitboss/sim"
)

// shelf follows the features that players buy: every round of one belongs to it, and it is
// bought, left open, gone on with and finished in that order.
type shelf struct {
	t                *testing.T
	left             map[string]int64
	bonus            map[string]bool // who has one to play out
	bought, finished int
	resumed, parked  map[bool]int // by fraud
}

func (s *shelf) see(ev *pb.Event, truth sim.Truth) {
	p := truth.Player
	switch e := ev.GetPayload().(type) {
	case *pb.Event_BonusGranted:
		s.bonus[p] = true
	case *pb.Event_BonusReleased, *pb.Event_BonusForfeited:
		s.bonus[p] = false
	case *pb.Event_FeatureBought:
		s.bought++
		s.left[p] = e.FeatureBought.GetRoundsTotal()
		if s.bonus[p] {
			s.parked[truth.Fraud]++
		}
	case *pb.Event_RoundStarted:
		if e.RoundStarted.GetInputMode() == "bought" {
			if s.left[p]--; s.left[p] < 0 {
				s.t.Fatalf("%s plays a round of a feature that was not bought", p)
			}
		}
	case *pb.Event_FeatureResumed:
		s.resumed[truth.Fraud]++
		if got := e.FeatureResumed.GetRoundsLeft(); got != s.left[p] || e.FeatureResumed.GetSuspendedS() <= 0 {
			s.t.Fatalf("%s goes on with %d rounds after %d s, %d are left", p, got, e.FeatureResumed.GetSuspendedS(), s.left[p])
		}
		if s.bonus[p] {
			s.t.Fatalf("%s goes on with what was parked before the bonus was released", p)
		}
	case *pb.Event_FeatureFinished:
		s.finished++
		if s.left[p] != 0 {
			s.t.Fatalf("%s finishes a feature with %d rounds left", p, s.left[p])
		}
	}
}

func TestFeaturesAreBoughtAndParked(t *testing.T) {
	t.Parallel()
	s := newSim(t, func(c *sim.Config) {
		c.Players, c.Duration, c.Activity, c.NewShare = 400, 7*24*time.Hour, 3, 1
		c.Mix.Frauds, c.Mix.Autoplay, c.Mix.Hunters = only(sim.BonusRing, 0.2, 0), 0, 0.8
	})
	l := &shelf{
		t: t, left: map[string]int64{}, bonus: map[string]bool{}, resumed: map[bool]int{}, parked: map[bool]int{},
	}
	for ev, ok := s.Next(); ok; ev, ok = s.Next() {
		l.see(ev, s.Truth())
	}
	if l.bought < 20 || l.finished < 15 || l.parked[true] < 5 || l.resumed[true] < 3 || l.resumed[false] < 1 {
		t.Errorf("too few features: %d bought, %d finished, parked by frauds %d, gone on with by frauds %d and honest players %d",
			l.bought, l.finished, l.parked[true], l.resumed[true], l.resumed[false])
	}
}
