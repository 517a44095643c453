package sim

import pb "pitboss/proto/pitboss/v1"

// cheat is what a manipulated client, script or meter changes in a round. Chances are for each round, but where said. An
// honest player has honestCheat.
type cheat struct {
	// takesBack: a lost bet is taken back once its result is known.
	takesBack float64
	// repeats uses a nonce again, holes skips a number of the client's sequence.
	repeats, holes float64
	// badHash, for each batch: the client's program is not the one that was delivered.
	badHash float64
	// forced shows a win that does not follow from the seeds.
	forced float64
	// ghosts credits a win without a bet.
	ghosts float64
	// wrongPart takes the jackpot's part of the bet times partFactor; orphans adds a part of no bet.
	wrongPart, partFactor, orphans float64
	// replays are extra tournament scores for each round; spliced is the share of them that a second device brings, after a
	// pause.
	replays, spliced float64
	pause            int64
}

// honestCheat is a client with nothing wrong but a browser extension now and then.
func honestCheat() cheat { return cheat{badHash: 0.002, partFactor: 1} }

// forced turns a lost round into a win where a script was manipulated.
func (s *Sim) forced(p *player, t *turn, outcome string, x100 int) (string, int) {
	c, g := &p.habit.cheat, p.session.game
	if c.forced == 0 || x100 > 0 || !p.rng.chance(c.forced) {
		return outcome, x100
	}
	if g.table {
		return t.selection, 200
	}
	for i := len(g.wins.x100) - 1; i > 0; i-- {
		if g.wins.x100[i] <= 500 {
			return g.wins.names[i], g.wins.x100[i]
		}
	}
	return outcome, x100
}

// ghosts credits a win that no bet stands behind, and gives the time after it.
func (s *Sim) ghosts(p *player, at int64) int64 {
	c := &p.habit.cheat
	if c.ghosts == 0 || !p.rng.chance(c.ghosts) {
		return at
	}
	at += p.rng.micros(300*millisecond, 0.4)
	win := s.steps[p.session.usualStake] * p.brand.unit / 100 * 5
	b := s.inRound(p, at, "win.credited", p.rng.pcg.Uint64())
	b.transaction(p)
	b.ev.ReferenceTransactionId = keyText("t-", p.rng.pcg.Uint64())
	b.ev.Payload = &pb.Event_WinCredited{WinCredited: &pb.WinCredited{Amount: p.money(win)}}
	b.told.loss = win
	p.tell(b)
	p.wallet.real += win
	return at
}

// populateTampered gives accounts a client that takes lost bets back.
func (s *Sim) populateTampered(idx []int32) {
	s.eachAgent(TamperClient, idx, func(rng *stream, p *player, m float64) {
		h := p.habit
		s.regular(rng, h)
		h.withdraws = 0.6
		h.cheat.takesBack = logInterpolate(m, 0.5, 0.2, 0.05)
		h.cheat.badHash = logInterpolate(m, 1, 0.5, 0.05)
		h.cheat.repeats = logInterpolate(m, 0.05, 0.02, 0.005)
		h.cheat.holes = logInterpolate(m, 0.1, 0.04, 0.01)
		p.client.blocked = false
		p.client.gestures = 1 - logInterpolate(m, 1, 0.5, 0.05)
		p.client.slope = int64(logInterpolate(m, 3000, 1200, 500))
		p.truth = s.role(TamperClient, p, "tamperer", m)
	})
}

// populateBackdoors makes outsiders with a manipulated script, and insiders who win where one person changed a setting.
func (s *Sim) populateBackdoors(idx []int32) {
	s.eachAgent(Backdoor, idx, func(rng *stream, p *player, m float64) {
		h := p.habit
		s.regular(rng, h)
		delay := int64(logInterpolate(m, float64(10*minute), float64(2*hour), float64(20*hour)))
		p.plot, p.plotAt = &cashing{delay: delay}, s.start+delay
		part := "outsider"
		if rng.chance(0.5) {
			part = "insider"
			// A win of five stakes for a lost round: so often that the payout rate is this many times its setting.
			h.cheat.forced = (logInterpolate(m, 2, 1.4, 1.1) - 1) / 5 / 0.75
			h.favourite = 1 + s.world.linked[rng.intn(len(s.world.linked))]
			if rng.chance(logInterpolate(m, 1, 0.5, 0.1)) {
				p.plot = &cashing{delay: delay, changes: true}
			}
		} else {
			h.cheat.forced = logInterpolate(m, 0.2, 0.1, 0.04)
			h.cheat.ghosts = lerp3(m, 0.05, 0.01, 0)
		}
		p.truth = s.role(Backdoor, p, part, m)
	})
}

// cashing withdraws what was won again and again.
type cashing struct {
	delay int64
	// changes says that the insider's setting is still to be changed by one person alone.
	changes bool
}

func (c *cashing) act(s *Sim, p *player, now int64) int64 {
	if p.stage == unborn {
		return now + hour
	}
	if c.changes {
		c.changes = false
		s.changeParameter(p, now, &s.jackpots[p.brand.index], 0)
	}
	if p.stage == playing && p.wallet.real >= 50*p.brand.unit && p.wallet.wagerTotal == 0 {
		s.withdraw(p, now, p.wallet.real*9/10)
	}
	return now + p.rng.micros(c.delay, 0.6)
}

// populateJackpotTampers makes players whose rounds move a jackpot's meter as they should not.
func (s *Sim) populateJackpotTampers(idx []int32) {
	s.eachAgent(JackpotTamper, idx, func(rng *stream, p *player, m float64) {
		h := p.habit
		s.regular(rng, h)
		h.withdraws = 0.5
		h.favourite = 1 + s.world.linked[rng.intn(len(s.world.linked))]
		h.cheat.wrongPart = logInterpolate(m, 0.2, 0.05, 0.01)
		h.cheat.partFactor = logInterpolate(m, 5, 2, 1.2)
		h.cheat.orphans = logInterpolate(m, 0.05, 0.01, 0.002)
		p.plot, p.plotAt = &meterStep{left: int(lerp3(m, 3, 1, 0) + 0.5)}, s.start+rng.uniform(max(s.cfg.span()/4, 1))
		p.truth = s.role(JackpotTamper, p, "tamperer", m)
	})
}

// meterStep sets a jackpot's meter back.
type meterStep struct{ left int }

func (m *meterStep) act(s *Sim, p *player, now int64) int64 {
	if m.left == 0 {
		return 0
	}
	if p.stage != playing {
		return now + hour
	}
	m.left--
	j := &s.jackpots[p.brand.index]
	b := s.meter(p, now, j)
	was := b.told.finish
	b.told.finish = func(ev *pb.Event) {
		j.inMeter -= min(j.inMeter, 50)
		was(ev)
	}
	p.tell(b)
	return now + p.rng.micros(8*hour, 0.5)
}

// populateBoosters makes players with more points than their rounds are worth, some with a friend who buys in to lose: the
// pool grows, and one place less of the board is a stranger's.
func (s *Sim) populateBoosters(idx []int32) {
	var friend *role
	s.eachAgent(TournamentBooster, idx, func(rng *stream, p *player, m float64) {
		h := p.habit
		s.regular(rng, h)
		h.tournaments, h.hours = 1, evening
		if friend != nil && rng.chance(0.4) {
			loser := *friend
			loser.role, friend = "loser", nil
			p.truth = &loser
			h.stake, h.restless, h.sessionMedian = 0, 0.02, 12*minute
			return
		}
		h.cheat.replays = logInterpolate(m, 8, 5, 3) - 1
		h.cheat.spliced = lerp3(m, 0, 0.5, 0.9)
		h.cheat.pause = int64(logInterpolate(m, float64(3*second), float64(15*second), float64(45*second)))
		p.truth = s.role(TournamentBooster, p, "booster", m)
		friend = p.truth
	})
}
