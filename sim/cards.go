package sim

// populateCards makes card testers, who try stolen cards, and disputers, who play and then dispute what they lost
// (domain.md §3.10).
func (s *Sim) populateCards(idx []int32) {
	s.eachAgent(Chargeback, idx, func(rng *stream, p *player, m float64) {
		h := p.habit
		s.regular(rng, h)
		if rng.chance(0.5) {
			p.truth = s.role(Chargeback, p, "disputer", m)
			s.settled(p)
			p.wake = s.start + rng.uniform(day)
			h.disputes = lerp3(m, 1, 0.7, 0.4)
			h.deposit = rng.lognormal(80, 0.5)
			return
		}
		p.truth = s.role(Chargeback, p, "card_tester", m)
		born := s.start + rng.uniform(max(s.cfg.span()*3/4, 1))
		s.unborn(p, born)
		p.started = true
		h.takesBonus, h.disputes, h.deposit = 0, 0.9, 5
		h.activeShare, h.again = 0.1, 0
		p.wallet.instant = true
		t := &tester{mimicry: m, left: 3 + int(lerp3(m, 12, 6, 0)+0.5)}
		t.plays = lerp3(m, 0, 0.3, 1)
		p.plot, p.plotAt = t, born+10*minute
		p.end = min(s.end, born+5*day)
	})
}

// tester tries one card after another within a day, small amounts first, then takes out what came in.
type tester struct {
	mimicry, plays float64
	left           int
	// waiting says that all that is left is to withdraw.
	waiting bool
}

func (t *tester) act(s *Sim, p *player, now int64) int64 {
	if p.stage == unborn {
		return now + 10*minute
	}
	rng, m := &p.rng, t.mimicry
	if t.waiting {
		at := s.come(p, now, 0)
		if p.wallet.real >= 10*p.brand.unit {
			s.withdraw(p, at, p.wallet.real)
		}
		return 0
	}
	linger := int64(float64(t.plays) * float64(10*minute))
	at := s.come(p, now, linger)
	key, foreign := rng.pcg.Uint64(), rng.chance(lerp3(m, 0.9, 0.5, 0.1))
	p.session.instrument = key
	units := int64(100 + 50*rng.intn(5))
	if t.left > 2 {
		units = max(int64(float64(units)*lerp3(m, 0.05, 0.2, 0.5)), 5)
	}
	pay := payment{units: units, declined: lerp3(m, 0.8, 0.6, 0.4), country: p.brand.country, mismatch: true}
	if foreign {
		pay.country = foreignCards()[rng.intn(len(foreignCards()))]
	}
	s.pay(p, at, pay)
	t.left--
	if t.left > 0 {
		return at + rng.micros(int64(logInterpolate(m, float64(2*minute), float64(20*minute), float64(4*hour))), 0.7)
	}
	t.waiting = true
	return at + rng.micros(int64(logInterpolate(m, float64(5*minute), float64(hour), float64(12*hour))), 0.5)
}

func foreignCards() []string { return []string{"BR", "MX", "PL", "TR", "US", "VN"} }
