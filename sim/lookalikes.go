package sim

// The honest players who look like frauds: without them every rule looks good (docs/sim.md).

// honestTypology is what the truth says of everybody who is not a fraud.
const honestTypology = "honest"

// populateLookAlikes deals the honest players' kinds out, in the order of docs/sim.md.
func (s *Sim) populateLookAlikes(order []int32) {
	left := len(order)
	build := map[string]func(idx []int32){
		"mix.autoplay": s.populateAutoplay, "mix.households": s.populateHouseholds, "mix.hunters": s.populateHunters,
		"mix.travellers": s.populateTravellers, "mix.bursts": s.populateBursts, "mix.night": s.populateNight,
		"mix.streamers": s.populateStreamers, "mix.vpn": s.populateVPN, "mix.metronomic": s.populateMetronomic,
	}
	for _, share := range s.cfg.Mix.honest() {
		n := min(int(float64(share.value*float64(left))+0.5), len(order))
		build[share.name](order[:n])
		order = order[n:]
	}
}

// each gives players a role and changes what makes them so.
func (s *Sim) each(idx []int32, name string, change func(p *player, rng *stream)) {
	truth := &role{typology: honestTypology, role: name}
	for _, i := range idx {
		p := &s.players[i]
		p.truth = truth
		change(p, &p.rng)
	}
}

// populateAutoplay lets the machine press the button, where the regulator allows it: as even as a bot, but said so.
func (s *Sim) populateAutoplay(idx []int32) {
	s.each(idx, "autoplay", func(p *player, rng *stream) {
		if !p.brand.autoplay {
			p.brand = &s.world.brands[1]
		}
		p.habit.autoplay = true
		p.habit.pace = pace{kind: paceFixed, base: rng.micros(2800*millisecond, 0.04), spread: 15 * float64(millisecond)}
		p.habit.sessionMedian = p.habit.sessionMedian * 3 / 2
		p.habit.restless = 0.01
	})
}

// populateHunters takes every bonus and plays it out on low variance, inside the rules: alone, with one account.
func (s *Sim) populateHunters(idx []int32) {
	s.each(idx, "bonus_hunter", func(p *player, rng *stream) {
		p.habit.takesBonus, p.habit.cashesIn = 0.95, true
		p.habit.bonusTables = rng.between(0.5, 1)
		p.habit.boldness = rng.between(0.02, 0.08)
		p.habit.cashDelay = rng.micros(2*hour, 1.5)
		p.habit.exact, p.habit.parks = rng.chance(0.3), rng.chance(0.3)
	})
}

// populateHouseholds lets two to four players live behind one line.
func (s *Sim) populateHouseholds(idx []int32) {
	truth := &role{typology: honestTypology, role: "household"}
	rng := newStream(s.cfg.Seed, purposeHousehold)
	for len(idx) >= 2 {
		n := min(2+rng.intn(3), len(idx))
		head := &s.players[idx[0]]
		device, card := rng.chance(0.3), rng.chance(0.15)
		for _, i := range idx[:n] {
			p := &s.players[i]
			p.truth = truth
			p.brand, p.keys.home, p.keys.carrier = head.brand, head.keys.home, 0
			if device {
				p.keys.devices[0] = head.keys.devices[0]
			}
			if card {
				p.keys.instruments[0] = head.keys.instruments[0]
			}
		}
		idx = idx[n:]
	}
}

// populateTravellers lets players be abroad one week in three.
func (s *Sim) populateTravellers(idx []int32) {
	s.each(idx, "traveller", func(p *player, _ *stream) { p.habit.travels = true })
}

// populateBursts lets one visit in five be at ten to fifty times the usual stake.
func (s *Sim) populateBursts(idx []int32) {
	s.each(idx, "vip", func(p *player, rng *stream) {
		p.habit.bursts = 0.2
		p.habit.activeShare = max(p.habit.activeShare, 0.3)
		p.habit.deposit = rng.lognormal(100, 0.5)
	})
}

// populateNight lets players work in shifts.
func (s *Sim) populateNight(idx []int32) {
	s.each(idx, "night_shift", func(p *player, rng *stream) { p.habit.shift = 8 + rng.intn(6) })
}

// populateStreamers lets players play one game for hours every evening, while others watch.
func (s *Sim) populateStreamers(idx []int32) {
	s.each(idx, "streamer", func(p *player, rng *stream) {
		h := p.habit
		h.activeShare, h.again, h.hours = 0.9, 0, evening
		h.sessionMedian, h.sessionSigma = 4*hour, 0.35
		h.favourite, h.loyalty, h.restless = 1+s.world.slots[rng.intn(len(s.world.slots))], 1, 0.02
		h.deposit = rng.lognormal(200, 0.4)
	})
}

// populateVPN lets players come from one of few exits, for the sake of their privacy.
func (s *Sim) populateVPN(idx []int32) {
	s.each(idx, "vpn", func(p *player, _ *stream) { p.keys.vpn, p.keys.carrier = true, 0 })
}

// populateMetronomic lets players press a switch, which is as even as a machine and yet by hand.
func (s *Sim) populateMetronomic(idx []int32) {
	s.each(idx, "metronomic_input", func(p *player, rng *stream) {
		p.habit.pace = pace{kind: paceGaussian, base: 2500*millisecond + rng.micros(1200*millisecond, 0.3), spread: 0.04}
		p.habit.sessionMedian, p.habit.live = 900*second, 0
		p.client.blocked = false
	})
}

// atRiskShare is how many players lose hold of it, honest or not: independent of fraud, and no fraud itself [A].
const atRiskShare = 0.04

// loseHold makes a player chase losses, in long visits, and pay in more than before.
func (s *Sim) loseHold(p *player) {
	h := p.habit
	p.atRisk = true
	h.chases, h.restless = true, 0.2
	h.sessionMedian, h.again = 3*h.sessionMedian, 0.5
	h.activeShare = min(3*h.activeShare, 0.95)
	h.deposit *= 2
	h.withdraws, h.regrets = 0.03, 0.4
}
