package sim

import pb "pitboss/proto/pitboss/v1"

// step lets a player act at the time that it waits for.
func (s *Sim) step(p *player) {
	switch {
	case p.plotAt > 0 && p.plotAt < p.wake:
		now := max(p.plotAt, s.now)
		next := p.plot.act(s, p, now)
		if next > 0 {
			next = max(next, now+1)
		}
		p.plotAt = next
	case p.stage == gone || p.stage != playing && p.wake >= p.end:
		p.stage, p.plotAt = gone, 0
	case p.stage == unborn:
		s.register(p, p.wake)
	case p.stage == away:
		s.visit(p, p.wake)
	default:
		s.act(p, p.wake)
	}
	if n := len(p.queue); n > p.head {
		p.wake = max(p.wake, p.queue[n-1].at+1)
	}
}

// arrive takes a device and an address for a visit.
func (s *Sim) arrive(p *player, now int64) {
	rng := &p.rng
	which := rng.pick([]int{80, 20})
	p.session = session{
		key: rng.pcg.Uint64(), device: p.keys.devices[which], address: p.keys.home,
		instrument: p.keys.instruments[rng.pick([]int{85, 15})], lastStake: p.habit.stake, usualStake: p.habit.stake, splurge: 1,
		channel: "web",
	}
	p.session.address, p.session.clientSeed = s.address(p, now), keyText("", p.session.key)
	if which == 1 || p.keys.devices[0]&3 == 0 {
		p.session.channel = [...]string{"android", "ios"}[p.session.device>>8&1]
	}
	if rng.chance(p.habit.bursts) {
		times := rng.between(10, 50)
		p.session.usualStake = stepBelow(s.steps, float64(s.steps[p.habit.stake])*times)
		p.session.lastStake, p.session.splurge = p.session.usualStake, times/2
	}
}

// address is where a visit comes from.
func (s *Sim) address(p *player, now int64) uint32 {
	rng := &p.rng
	host := rng.pcg.Uint64()
	// One week in three, another for each traveller.
	week := uint64((now - s.start) / (7 * day))
	switch {
	case p.keys.fixed != 0:
		return p.keys.fixed
	case p.habit.travels && mix(p.keys.player, week)%3 == 0:
		return abroadAddress(mix(p.keys.player, week, 1)%countriesAbroad, mix(p.keys.player, week, 2))
	case p.keys.vpn:
		return exitAddress(host)
	case p.keys.carrier > 0:
		return carrierAddress(p.keys.carrier-1, host)
	}
	return p.keys.home
}

// firstUse says whether the player never used the session's device.
func (p *player) firstUse() bool {
	bit := uint8(1)
	if p.session.device == p.keys.devices[1] {
		bit = 2
	}
	first := p.devicesSeen&bit == 0
	p.devicesSeen |= bit
	return first
}

// register opens the account; the first visit follows.
func (s *Sim) register(p *player, now int64) {
	s.arrive(p, now)
	at := now
	if p.keys.partner != 0 {
		s.click(p, at)
		at += p.rng.micros(p.clickDelay, 0.6)
	}
	b := s.news(p, at, "account.registered", producerAccounts, aboutVisit|aboutPartner)
	b.told.act = true
	b.ev.Payload = &pb.Event_AccountRegistered{AccountRegistered: &pb.AccountRegistered{
		Nickname: p.registration.nickname, EmailDomain: p.registration.emailDomain, Locale: p.brand.locale, TzOffsetMin: p.brand.tz,
	}}
	p.tell(b)
	p.registered, p.stage = true, away
	s.identify(p, at)
	if p.rng.chance(0.1) {
		s.setLimit(p, at+p.rng.micros(5*second, 0.4))
	}
	p.wake = at + p.rng.micros(20*second, 0.5)
}

// visit logs in and opens the lobby.
func (s *Sim) visit(p *player, now int64) {
	rng := &p.rng
	s.arrive(p, now)
	at := s.login(p, now)
	b := s.news(p, at, "session.started", producerAccounts, aboutVisit|aboutSession)
	b.ev.Payload = &pb.Event_SessionStarted{SessionStarted: &pb.SessionStarted{Channel: p.session.channel, ClientBuild: "7.3.1"}}
	p.tell(b)
	p.session.start, p.session.beat, p.session.checked, p.session.guard.since = at, at, at, at
	p.session.end = min(at+rng.micros(p.habit.sessionMedian, p.habit.sessionSigma), at+12*hour)
	p.stage = playing
	if w := &p.wallet; w.wagerTotal > 0 && at-w.bonusAt > 7*day {
		s.forfeit(p, at+100*millisecond)
	}
	low := float64(p.wallet.real) < p.habit.deposit/2*float64(p.brand.unit)
	p.session.topUp = rng.chance(0.6) && low && p.wallet.wagerTotal == 0 && p.wallet.cashAt == 0 || p.session.splurge > 1
	if rng.chance(s.freely(at)) {
		s.grantFree(p, at+rng.micros(2*second, 0.5))
	}
	if rng.chance(p.habit.tournaments) {
		s.enter(p, at+rng.micros(4*second, 0.5))
	}
	p.wake = at + rng.micros(8*second, 0.6)
}

// login tells failed attempts and the one that went well, and gives the time after it.
func (s *Sim) login(p *player, at int64) int64 {
	rng := &p.rng
	failed := p.habit.failedLogins - 1
	pause := 2 * second
	if failed < 0 {
		failed, pause = 0, 7*second
		if rng.chance(0.03) {
			failed = 1 + rng.intn(2)
		}
	}
	for n := range failed {
		b := s.news(p, at, "auth.failed", producerAccounts, aboutVisit)
		b.ev.Payload = &pb.Event_AuthFailed{AuthFailed: &pb.AuthFailed{Method: "password", Reason: "credentials", FailCount: int64(n + 1)}}
		p.tell(b)
		at += rng.micros(pause, 0.6)
	}
	if failed > 0 && rng.chance(0.15) {
		b := s.news(p, at, "auth.password_reset", producerAccounts, aboutVisit)
		b.ev.Payload = &pb.Event_AuthPasswordReset{AuthPasswordReset: &pb.AuthPasswordReset{Method: "email", Result: "done"}}
		p.tell(b)
		at += rng.micros(90*second, 0.6)
	}
	unknown := p.firstUse()
	b := s.news(p, at, "auth.login", producerAccounts, aboutVisit)
	b.told.act = p.truth.typology == AccountTakeover.String()
	b.ev.Payload = &pb.Event_AuthLogin{AuthLogin: &pb.AuthLogin{
		Method: "password", NewDevice: unknown, RttMs: rng.micros(45*millisecond, 0.5) / millisecond,
	}}
	p.tell(b)
	if unknown {
		at = s.secondFactor(p, at)
	}
	return at + rng.micros(400*millisecond, 0.4)
}

// come makes sure that a player is here, for so long at least, and gives the time from which on they can act.
func (s *Sim) come(p *player, now, linger int64) int64 {
	if p.stage == away {
		s.visit(p, now)
		p.session.topUp = false
		p.session.end = p.session.start + 20*second + linger
	}
	at := now
	if n := len(p.queue); n > p.head {
		at = max(at, p.queue[n-1].at)
	}
	return at + p.rng.micros(5*second, 0.4)
}

// act is one moment of a session: cash in, leave, look into the lobby, pay in, or play a round.
func (s *Sim) act(p *player, now int64) {
	ses := &p.session
	if t := p.poker; t != nil && now < t.until {
		p.wake = t.until + p.rng.micros(3*second, 0.4) // nobody leaves a hand
		return
	}
	s.background(p, now)
	switch {
	case p.wallet.cashAt > 0 && !p.waiting():
		s.cashIn(p, now)
		return
	case now >= ses.end || now >= p.end:
		s.leave(p, now)
		return
	case ses.game == nil || p.rng.chance(0.04) && !p.rng.chance(p.habit.loyalty):
		s.launch(p, now)
		return
	}
	if p.poker != nil {
		s.playPoker(p, now)
		return
	}
	if ses.topUp {
		ses.topUp = false
		s.deposit(p, now, 0)
		return
	}
	if ses.free.left > 0 && !ses.game.table {
		s.freeRound(p, now)
		return
	}
	stake, step := s.stake(p)
	stake = p.capped(stake, now)
	if stake > p.wallet.total() || stake <= 0 {
		s.broke(p, now)
		return
	}
	ses.lastStake = step
	if ses.game.live {
		s.playLive(p, now, stake)
	} else {
		s.round(p, now, stake)
	}
	p.wake += p.throttled(now)
	if ses.rounds%batchRounds == 0 {
		s.report(p, s.lastTold(p, now)+1)
	}
}

// lastTold is the time of the last event that waits to be told, or now.
func (s *Sim) lastTold(p *player, now int64) int64 {
	if n := len(p.queue); n > p.head {
		return p.queue[n-1].at
	}
	return now
}

// background tells what a client tells by itself: that it lives, and that its address has changed.
func (s *Sim) background(p *player, now int64) {
	ses := &p.session
	if now-ses.beat > minute {
		ses.beat = now
		ses.beats++
		b := s.news(p, now, "session.heartbeat", producerAccounts, aboutVisit|aboutSession)
		b.ev.Payload = &pb.Event_SessionHeartbeat{SessionHeartbeat: &pb.SessionHeartbeat{Seq: ses.beats, Focus: !p.rng.chance(0.02)}}
		p.tell(b)
	}
	if now-ses.checked > hour {
		s.realityCheck(p, now)
	}
	if p.keys.carrier > 0 && p.keys.fixed == 0 && p.rng.chance(0.0005) {
		ses.address = carrierAddress(p.keys.carrier-1, p.rng.pcg.Uint64())
		b := s.news(p, now, "session.env_changed", producerAccounts, aboutVisit|aboutSession)
		b.ev.Payload = &pb.Event_SessionEnvChanged{SessionEnvChanged: &pb.SessionEnvChanged{Field: "ip"}}
		p.tell(b)
	}
}

// leave ends the visit and sets when the player comes back.
func (s *Sim) leave(p *player, now int64) {
	rng := &p.rng
	s.closeGame(p, now)
	at := now
	if p.session.guard.gaps > 0 {
		s.report(p, at+1)
	}
	if !p.habit.cashesIn && p.wallet.wagerTotal == 0 && p.wallet.real >= 20*p.brand.unit && rng.chance(p.habit.withdraws) {
		at += rng.micros(15*second, 0.5)
		s.withdraw(p, at, int64(float64(p.wallet.real)*rng.between(0.5, 1)))
	}
	if rng.chance(0.05) {
		s.gift(p, at+rng.micros(8*second, 0.5))
	}
	at = s.settings(p, at)
	at += rng.micros(3*second, 0.8)
	b := s.news(p, at, "session.ended", producerAccounts, aboutVisit|aboutSession)
	b.ev.Payload = &pb.Event_SessionEnded{SessionEnded: &pb.SessionEnded{Reason: "logout", DurationMs: (at - p.session.start) / millisecond}}
	p.tell(b)
	p.playedToday += at - p.session.start
	p.stage, p.texts = away, nil
	switch {
	case p.habit.dailyPlay > 0:
		p.wake = s.nextShift(p, at)
	case rng.chance(p.habit.again):
		p.wake = at + rng.micros(150*minute, 0.8)
	default:
		p.wake = s.nextVisit(p, at)
	}
}
