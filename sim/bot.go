package sim

// populateBots makes metronome bots (domain.md §3.1, §5). Mimicry moves how even the gaps are, how long the days, how
// flat the stakes and how fixed the game; docs/sim.md has the table.
func (s *Sim) populateBots(idx []int32) {
	s.eachAgent(MetronomeBot, idx, func(rng *stream, p *player, m float64) {
		// It lives until somebody stops it, and appears at any time, with a new account or a bought one.
		born := s.start + rng.uniform(s.cfg.span())
		m = s.tierOf(m, born)
		p.truth = s.role(MetronomeBot, p, "bot", m)
		h := p.habit
		h.activeShare, h.again = 0.95, 0
		h.dailyPlay = int64(botHours(m) * float64(hour))
		h.sessionMedian, h.sessionSigma = 2*hour, 0.5
		h.pace = botPace(rng, m)
		h.stake = stepBelow(s.steps, rng.lognormal(40, 0.5))
		h.restless, h.chases, h.autoplay = float64(0.1*m), false, false
		h.loyalty = 1 - float64(0.1*m)
		h.tables, h.live, h.tournaments, h.buys = 0, 0, 0, 0
		h.deposit = rng.lognormal(100, 0.4)
		h.shift = rng.intn(24)
		gesturesOf(rng, p, m)
		if rng.chance(0.5) {
			s.unborn(p, born)
		} else {
			p.stage, p.registered, p.wake = away, true, born
		}
		p.started = true
		p.end = min(s.end, born+rng.micros(6*day, 0.7))
	})
}

// botHours is how long a bot plays a day: 20, 14 and 10 hours at mimicry 0, .5 and 1.
func botHours(m float64) float64 {
	if m < 0.5 {
		return lerp(20, 14, 2*m)
	}
	return lerp(14, 10, float64(2*m)-1)
}

// botPace is how even a bot is, in four tiers: fixed gaps of 2.5 to 3 s +- 20 ms, then even over +- 30 %, then gaussian
// with a growing variation (.25 at mimicry .5), then replayed human gaps (lognormal, .8 at mimicry 1).
func botPace(rng *stream, m float64) pace {
	base := int64(rng.between(2550, 3000)) * millisecond
	switch {
	case m < 0.25:
		return pace{kind: paceFixed, base: base, spread: 20 * float64(millisecond)}
	case m < 0.5:
		return pace{kind: paceUniform, base: base + rng.micros(900*millisecond, 0.2), spread: 0.3}
	case m < 0.75:
		return pace{kind: paceGaussian, base: base + rng.micros(1400*millisecond, 0.3), spread: lerp(0.25, 0.3, float64(4*m)-2)}
	default:
		return pace{kind: paceReplay, base: base + rng.micros(1500*millisecond, 0.3), spread: lerp(0.6, 0.8, float64(4*m)-3)}
	}
}

// nextShift is when a machine plays again: after a short break while the day has hours left, else the next day.
func (s *Sim) nextShift(p *player, now int64) int64 {
	h := p.habit
	if now-p.dayStart >= day {
		p.dayStart += (now - p.dayStart) / day * day
		p.playedToday = 0
	}
	if p.playedToday < h.dailyPlay {
		return now + p.rng.micros(12*minute, 0.6)
	}
	p.playedToday = 0
	p.dayStart += day
	return max(p.dayStart, now) + p.rng.micros(20*minute, 0.8)
}
