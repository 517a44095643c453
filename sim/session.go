package sim

import pb "pitboss/proto/pitboss/v1"

// step lets a player act at the time that it waits for.
func (s *Sim) step(p *player) {
	now := p.wake
	switch {
	case p.stage == gone || p.stage != playing && now >= p.end:
		p.stage = gone
	case p.stage == unborn:
		s.register(p, now)
	case p.stage == away:
		s.visit(p, now)
	default:
		s.act(p, now)
	}
	if n := len(p.queue); n > p.head {
		p.wake = max(p.wake, p.queue[n-1].at+1)
	}
}

// arrive takes a device and an address for a visit.
func (s *Sim) arrive(p *player) {
	rng := &p.rng
	which := rng.pick([]int{80, 20})
	p.session = session{
		key: rng.pcg.Uint64(), device: p.keys.devices[which], address: p.keys.home,
		instrument: p.keys.instruments[rng.pick([]int{85, 15})], lastStake: p.habit.stake, channel: "web",
	}
	if p.keys.carrier > 0 {
		p.session.address = carrierAddress(p.keys.carrier-1, rng.pcg.Uint64())
	}
	if which == 1 || p.keys.devices[0]&3 == 0 {
		p.session.channel = [...]string{"android", "ios"}[p.session.device>>8&1]
	}
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
	s.arrive(p)
	b := s.news(p, now, "account.registered", producerAccounts, aboutVisit)
	b.told.act = true
	b.ev.Payload = &pb.Event_AccountRegistered{AccountRegistered: &pb.AccountRegistered{
		Nickname: p.registration.nickname, EmailDomain: p.registration.emailDomain, Locale: p.brand.locale, TzOffsetMin: p.brand.tz,
	}}
	p.tell(b)
	p.registered, p.stage = true, away
	p.wake = now + p.rng.micros(20*second, 0.5)
}

// visit logs in and opens the lobby.
func (s *Sim) visit(p *player, now int64) {
	rng := &p.rng
	s.arrive(p)
	at := now
	if rng.chance(0.03) {
		for n := range int64(1 + rng.intn(2)) {
			b := s.news(p, at, "auth.failed", producerAccounts, aboutVisit)
			b.ev.Payload = &pb.Event_AuthFailed{AuthFailed: &pb.AuthFailed{Method: "password", Reason: "credentials", FailCount: n + 1}}
			p.tell(b)
			at += rng.micros(7*second, 0.6)
		}
	}
	b := s.news(p, at, "auth.login", producerAccounts, aboutVisit)
	b.ev.Payload = &pb.Event_AuthLogin{AuthLogin: &pb.AuthLogin{
		Method: "password", NewDevice: p.firstUse(), RttMs: rng.micros(45*millisecond, 0.5) / millisecond,
	}}
	p.tell(b)
	at += rng.micros(400*millisecond, 0.4)
	b = s.news(p, at, "session.started", producerAccounts, aboutVisit|aboutSession)
	b.ev.Payload = &pb.Event_SessionStarted{SessionStarted: &pb.SessionStarted{Channel: p.session.channel, ClientBuild: "7.3.1"}}
	p.tell(b)
	p.session.start, p.session.beat = at, at
	p.session.end = min(at+rng.micros(p.habit.sessionMedian, p.habit.sessionSigma), at+12*hour)
	p.stage = playing
	if w := &p.wallet; w.wagerTotal > 0 && at-w.bonusAt > 7*day {
		s.forfeit(p, at+100*millisecond)
	}
	low := float64(p.wallet.real) < p.habit.deposit/2*float64(p.brand.unit)
	p.session.topUp = rng.chance(0.6) && low && p.wallet.wagerTotal == 0 && p.wallet.cashAt == 0
	p.wake = at + rng.micros(8*second, 0.6)
}

// act is one moment of a session: cash in, leave, look into the lobby, pay in, or play a round.
func (s *Sim) act(p *player, now int64) {
	ses := &p.session
	s.background(p, now)
	switch {
	case p.wallet.cashAt > 0:
		s.cashIn(p, now)
		return
	case now >= ses.end || now >= p.end:
		s.leave(p, now)
		return
	case ses.game == nil || p.rng.chance(0.04) && !p.rng.chance(p.habit.loyalty):
		s.launch(p, now)
		return
	}
	if ses.topUp {
		ses.topUp = false
		s.deposit(p, now)
		return
	}
	stake, step := s.stake(p)
	if stake > p.wallet.total() {
		s.broke(p, now)
		return
	}
	ses.lastStake = step
	s.round(p, now, stake)
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
	if p.keys.carrier > 0 && p.rng.chance(0.0005) {
		ses.address = carrierAddress(p.keys.carrier-1, p.rng.pcg.Uint64())
		b := s.news(p, now, "session.env_changed", producerAccounts, aboutVisit|aboutSession)
		b.ev.Payload = &pb.Event_SessionEnvChanged{SessionEnvChanged: &pb.SessionEnvChanged{Field: "ip"}}
		p.tell(b)
	}
}

// launch closes the game that is open and opens another.
func (s *Sim) launch(p *player, now int64) {
	s.closeGame(p, now)
	p.session.game = s.chooseGame(p)
	p.session.gameStart = now
	g := p.session.game
	b := s.news(p, now+p.rng.micros(900*millisecond, 0.4), "game.launched", g.producer, aboutVisit|aboutSession|aboutGame)
	b.ev.Payload = &pb.Event_GameLaunched{GameLaunched: &pb.GameLaunched{
		GameVersion: g.version, RtpPpm: g.rtp, Volatility: g.volatility, MinCycleMs: g.minCycle / millisecond,
		AutoplayAllowed: g.autoplay && p.brand.autoplay,
	}}
	p.tell(b)
	p.wake = now + p.rng.micros(5*second, 0.5)
}

// chooseGame takes an even chance or one of the slots; the first are the most popular.
func (s *Sim) chooseGame(p *player) *game {
	rng := &p.rng
	tables := p.habit.tables
	if p.wallet.wagerTotal > 0 {
		tables = p.habit.bonusTables
	}
	if rng.chance(tables) {
		return &s.world.games[s.world.tables[rng.intn(len(s.world.tables))]]
	}
	u := rng.float()
	return &s.world.games[s.world.slots[int(u*u*float64(len(s.world.slots)))]]
}

func (s *Sim) closeGame(p *player, now int64) {
	if p.session.game == nil {
		return
	}
	b := s.news(p, now, "game.closed", p.session.game.producer, aboutVisit|aboutSession|aboutGame)
	b.ev.Payload = &pb.Event_GameClosed{GameClosed: &pb.GameClosed{DurationMs: (now - p.session.gameStart) / millisecond}}
	p.tell(b)
	p.session.game = nil
}

// leave ends the visit and sets when the player comes back.
func (s *Sim) leave(p *player, now int64) {
	rng := &p.rng
	s.closeGame(p, now)
	at := now
	if !p.habit.cashesIn && p.wallet.wagerTotal == 0 && p.wallet.real >= 20*p.brand.unit && rng.chance(0.1) {
		at += rng.micros(15*second, 0.5)
		s.withdraw(p, at, int64(float64(p.wallet.real)*rng.between(0.5, 1)))
	}
	at += rng.micros(3*second, 0.8)
	b := s.news(p, at, "session.ended", producerAccounts, aboutVisit|aboutSession)
	b.ev.Payload = &pb.Event_SessionEnded{SessionEnded: &pb.SessionEnded{Reason: "logout", DurationMs: (at - p.session.start) / millisecond}}
	p.tell(b)
	p.playedToday += at - p.session.start
	p.stage = away
	switch {
	case p.habit.dailyPlay > 0:
		p.wake = s.nextShift(p, at)
	case rng.chance(p.habit.again):
		p.wake = at + rng.micros(150*minute, 0.8)
	default:
		p.wake = s.nextVisit(p, at)
	}
}
