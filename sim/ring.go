package sim

import "fmt"

const (
	smallestRing = 3
	largestRing  = 40
	// ringStop is the chance of a ring to stop growing: sizes are geometric from 3, about 9 on average.
	ringStop = 0.15
)

// populateRings makes bonus rings (domain.md §3.3, §5): accounts opened in a burst, a deposit that just earns the
// bonus, wagering on low variance, and everything out within half an hour to a shared card. docs/sim.md has the table of
// what mimicry moves.
func (s *Sim) populateRings(idx []int32) {
	size := func(rng *stream) int { return min(smallestRing+int(rng.failures(ringStop)), largestRing) }
	s.eachGroup(BonusRing, idx, size, s.populateRing)
}

// shared is what a ring's members have in common.
type shared struct {
	devices, lines, cards, names bool
}

func (s *Sim) populateRing(rng *stream, g *group) {
	m, idx := g.mimicry, g.idx
	var with shared
	if !rng.chance(0.1) { // a tenth share nothing but their timing
		hide := 1 - float64(0.5*m)
		with = shared{rng.chance(0.4 * hide), rng.chance(0.6 * hide), rng.chance(0.5 * hide), rng.chance(0.5 * (1 - m))}
	}
	head := &s.players[idx[0]]
	// From an hour to three days, evenly in the logarithm.
	burst := int64(float64(hour) * exp(float64(m*logarithm(72))))
	born := s.start + rng.uniform(max(s.cfg.span()-burst, 1))
	hosts, parks := 1+len(idx)/4, rng.chance(1.0/3)
	for n, i := range idx {
		p := &s.players[i]
		part := "member"
		if n == 0 {
			part = "organiser"
		}
		p.truth = g.role(part)
		p.brand = head.brand
		p.started = true
		s.unborn(p, born+rng.uniform(burst))
		if !rng.chance(m) {
			p.keys.partner = 0 // nobody sends a crude ring
		}
		s.shareOut(rng, p, head, &s.players[idx[n%hosts]], with)
		ringHabit(rng, p.habit, m)
		p.habit.parks = parks && rng.chance(lerp3(m, 1, 0.7, 0.4))
	}
}

// shareOut lets a member use the ring's things: the head's line, card and name, and one of the hosts' devices.
func (s *Sim) shareOut(rng *stream, p, head, host *player, with shared) {
	if with.devices {
		p.keys.devices = host.keys.devices
	}
	if with.lines {
		p.keys.carrier = 0
		p.keys.home = head.keys.home&^0xff | uint32(rng.intn(256))
	}
	if with.cards {
		p.keys.instruments[0] = host.keys.instruments[0]
		p.keys.instruments[1] = head.keys.instruments[0]
	}
	if with.names {
		stem := head.registration.nickname
		for len(stem) > 1 && stem[len(stem)-1] >= '0' && stem[len(stem)-1] <= '9' {
			stem = stem[:len(stem)-1]
		}
		p.registration.nickname = fmt.Sprintf("%s%02d", stem, rng.intn(100))
		p.registration.emailDomain = head.registration.emailDomain
	}
}

func ringHabit(rng *stream, h *habit, m float64) {
	h.activeShare, h.again = 0.9, 0.5
	h.sessionMedian, h.sessionSigma = 80*minute, 0.6
	h.exact = !rng.chance(0.8 * m)
	h.takesBonus = 1
	h.bonusTables = 1 - float64(m*rng.between(0.2, 0.8))
	h.boldness = lerp(0.1, 0.03, m)
	h.restless = lerp(0.02, 0.1, m)
	h.loyalty = lerp(0.99, 0.9, m)
	h.chases = false
	h.cashesIn = true
	// Under half an hour when crude, the best part of a day when careful.
	h.cashDelay = rng.micros(int64(float64(10*minute)*exp(float64(m*logarithm(60)))), 0.5)
	h.leaves = 1 - float64(0.7*m)
}
