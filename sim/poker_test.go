package sim_test

import (
	"slices"
	"testing"
	"time"

	"pitboss/sim"
)

// dealt is a hand as its events tell it.
type dealt struct {
	in, net   map[string]int64
	role      map[string]string
	ring      map[string]string
	pot, rake int64
	actions   []string
}

func hands(t *testing.T, change func(*sim.Config)) []*dealt {
	t.Helper()
	s := newSim(t, func(c *sim.Config) {
		c.Players, c.Duration, c.Activity = 600, 48*time.Hour, 12
		c.Mix.Frauds = [sim.Typologies]sim.Fraud{}
		change(c)
	})
	byRound, out := map[string]*dealt{}, []*dealt(nil)
	for ev, ok := s.Next(); ok; ev, ok = s.Next() {
		action, result := ev.GetHandAction(), ev.GetHandResult()
		if action == nil && result == nil {
			continue
		}
		player, round := entityOf(ev, "player"), entityOf(ev, "round")
		h := byRound[round]
		if h == nil {
			h = &dealt{in: map[string]int64{}, net: map[string]int64{}, role: map[string]string{}, ring: map[string]string{}}
			byRound[round] = h
			out = append(out, h)
		}
		h.role[player], h.ring[player] = s.Truth().Role, s.Truth().Ring
		if action != nil {
			if action.GetPot().GetAmountMinor() != sum(h.in) {
				t.Fatalf("%s: the pot is %v after %v", round, action.GetPot(), h.in)
			}
			h.in[player] += action.GetAmount().GetAmountMinor()
			h.actions = append(h.actions, action.GetAction())
			continue
		}
		h.net[player] = result.GetNet().GetAmountMinor()
		h.pot = result.GetPot().GetAmountMinor()
		h.rake += result.GetRake().GetAmountMinor()
	}
	return slices.DeleteFunc(out, func(h *dealt) bool { return len(h.net) == 0 }) // the end came before the result
}

func sum(m map[string]int64) int64 {
	total := int64(0)
	for _, v := range m {
		total += v
	}
	return total
}

// What went in comes out, less the rake, whoever plays.
func TestPokerAddsUp(t *testing.T) {
	t.Parallel()
	all := hands(t, func(c *sim.Config) { c.Mix.Frauds = only(sim.LiveCollusion, 0.03, 0.5) })
	strangers, actions := 0, map[string]int{}
	for _, h := range all {
		if h.pot != sum(h.in) || sum(h.net) != -h.rake || h.rake*20 > h.pot {
			t.Fatalf("in %v, pot %d, net %v, rake %d", h.in, h.pot, h.net, h.rake)
		}
		for p, net := range h.net {
			if net < -h.in[p] {
				t.Fatalf("%s loses %d of %d", p, net, h.in[p])
			}
			if h.role[p] == "" {
				strangers++
			}
		}
		for _, a := range h.actions {
			actions[a]++
		}
	}
	if len(all) < 200 || strangers < 50 {
		t.Errorf("%d hands, honest players in %d seats of them: want more", len(all), strangers)
	}
	for _, a := range []string{"blind", "fold", "check", "call", "bet", "raise", "all_in"} {
		if actions[a] == 0 {
			t.Errorf("nobody ever plays %q: %v", a, actions)
		}
	}
}

// A mule wins what the partners lose: all of it when crude, much less when careful.
func TestChipsAreDumped(t *testing.T) {
	t.Parallel()
	flow := func(mimicry float64) float64 {
		won, together := 0.0, 0
		for _, h := range hands(t, func(c *sim.Config) { c.Mix.Frauds = only(sim.LiveCollusion, 0.05, mimicry) }) {
			partners := map[string]bool{}
			for p, role := range h.role {
				partners[h.ring[p]] = partners[h.ring[p]] || role == "player"
			}
			for p, role := range h.role {
				if role == "mule" && partners[h.ring[p]] {
					together++
					won += float64(h.net[p]) / float64(h.pot)
				}
			}
		}
		if together < 50 {
			t.Fatalf("mimicry %v: only %d hands together", mimicry, together)
		}
		t.Logf("mimicry %v: %d hands together, of a pot the mule wins %.3f", mimicry, together, won/float64(together))
		return won / float64(together)
	}
	crude, careful := flow(0), flow(1)
	if crude < 0.08 || careful > crude/2 {
		t.Errorf("of each pot a crude mule wins %.3f, a careful one %.3f", crude, careful)
	}
}
