package sim

import pb "pitboss/proto/pitboss/v1"

// launch closes the game that is open and opens another.
func (s *Sim) launch(p *player, now int64) {
	s.closeGame(p, now)
	p.session.game = s.chooseGame(p, now)
	p.session.gameStart = now
	g := p.session.game
	at := now + p.rng.micros(900*millisecond, 0.4)
	b := s.news(p, at, "game.launched", g.producer, aboutVisit|aboutSession|aboutGame)
	b.ev.Payload = &pb.Event_GameLaunched{GameLaunched: &pb.GameLaunched{
		GameVersion: g.version, RtpPpm: g.rtp, Volatility: g.volatility, MinCycleMs: g.minCycle / millisecond,
		AutoplayAllowed: g.autoplay && p.brand.autoplay,
	}}
	p.tell(b)
	ready := now + p.rng.micros(5*second, 0.5)
	switch {
	case g.poker:
		s.takeSeat(p, at+p.rng.micros(2*second, 0.4))
	case g.live:
		s.sit(p, at+p.rng.micros(2*second, 0.4))
	case p.waiting() && p.feature.game == g:
		ready = max(ready, s.resume(p, at+p.rng.micros(second, 0.4)))
	default:
		ready = max(ready, s.offerFeature(p, at))
	}
	p.wake = max(p.wake, ready)
}

// chooseGame takes an even chance or one of the slots; the first are the most popular.
func (s *Sim) chooseGame(p *player, now int64) *game {
	rng := &p.rng
	tables, w := p.habit.tables, s.world
	if p.waiting() {
		return p.feature.game
	}
	if p.wallet.wagerTotal > 0 && p.habit.parks && p.feature == nil && p.wallet.parked != p.wallet.bonusKey {
		p.wallet.parked = p.wallet.bonusKey // once for each bonus
		return &w.games[w.slots[4*rng.intn(len(w.slots)/4)]]
	}
	switch {
	case p.wallet.wagerTotal > 0:
		tables = p.habit.bonusTables
	case rng.chance(p.habit.live):
		return &w.games[w.live]
	case rng.chance(p.habit.poker) && p.brand.index == pokerBrand && !p.session.noPoker:
		return &w.games[w.poker]
	}
	if f := p.habit.favourite; f > 0 && p.wallet.wagerTotal == 0 && (f-1 != w.poker || !p.session.noPoker) {
		return &w.games[f-1]
	}
	if rng.chance(tables) {
		return &w.games[w.tables[rng.intn(len(w.tables))]]
	}
	if u := rng.float(); u < s.novelty(now) {
		return &w.games[w.novelty]
	}
	u := rng.float()
	return &w.games[w.slots[int(u*u*float64(len(w.slots)))]]
}

func (s *Sim) closeGame(p *player, now int64) {
	if p.session.game == nil {
		return
	}
	s.rise(p, now)
	b := s.news(p, now, "game.closed", p.session.game.producer, aboutVisit|aboutSession|aboutGame)
	b.ev.Payload = &pb.Event_GameClosed{GameClosed: &pb.GameClosed{DurationMs: (now - p.session.gameStart) / millisecond}}
	p.tell(b)
	p.session.game = nil
}

// settings is what a player changes before leaving, now and then: a detail, a limit, or everything. It gives the time
// after it.
func (s *Sim) settings(p *player, at int64) int64 {
	rng := &p.rng
	u := rng.float()
	exclude := 0.0005
	if p.atRisk {
		exclude = 0.01
	}
	switch {
	case u < 0.005:
		at += rng.micros(20*second, 0.5)
		b := s.news(p, at, "account.detail_changed", producerAccounts, aboutVisit|aboutSession|aboutInstrument)
		b.told.act = true
		field := [...]string{"email", "phone", "payout"}[rng.pick([]int{4, 3, 3})]
		b.ev.Payload = &pb.Event_AccountDetailChanged{AccountDetailChanged: &pb.AccountDetailChanged{
			Field: field, OldHash: digestText(rng.pcg.Uint64()), NewHash: digestText(rng.pcg.Uint64()),
		}}
		p.tell(b)
	case u < 0.01:
		at += rng.micros(20*second, 0.5)
		s.setLimit(p, at)
	case u > 1-exclude && p.habit.dailyPlay == 0:
		at += rng.micros(30*second, 0.5)
		s.exclude(p, at)
	}
	return at
}

func (s *Sim) setLimit(p *player, at int64) {
	b := s.news(p, at, "rg.limit_set", producerAccounts, aboutVisit)
	oneDay := int64(86_400)
	b.ev.Payload = &pb.Event_RgLimitSet{RgLimitSet: &pb.RgLimitSet{
		Kind: "deposit", Amount: p.money(snapDeposit(2*p.habit.deposit) * p.brand.unit), PeriodS: &oneDay,
	}}
	p.tell(b)
}

// exclude shuts the player out, by the player's own wish.
func (s *Sim) exclude(p *player, at int64) {
	b := s.news(p, at, "rg.self_excluded", producerAccounts, aboutVisit)
	b.ev.Payload = &pb.Event_RgSelfExcluded{RgSelfExcluded: &pb.RgSelfExcluded{Kind: "brand", Until: timeOf(at + 180*day), Reason: "break"}}
	p.tell(b)
	p.tell(s.status(p, at+p.rng.micros(second, 0.4), "excluded", "own wish"))
	p.end = min(p.end, at)
}

// realityCheck tells the player once an hour how long the visit is. Some stop.
func (s *Sim) realityCheck(p *player, now int64) {
	ses := &p.session
	ses.checked = now
	answer, length := "continue", (now-ses.start)/millisecond
	stop := 0.15
	if p.atRisk || p.habit.dailyPlay > 0 {
		stop = 0.02
	}
	if p.rng.chance(stop) {
		answer, ses.end = "stop", now
	}
	b := s.news(p, now, "rg.reality_check", producerAccounts, aboutVisit|aboutSession)
	b.ev.Payload = &pb.Event_RgRealityCheck{RgRealityCheck: &pb.RgRealityCheck{ShownAt: timeOf(now), Answer: answer, DurationMs: &length}}
	p.tell(b)
}
