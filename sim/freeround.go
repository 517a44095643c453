package sim

import pb "pitboss/proto/pitboss/v1"

// freeRounds are rounds that the operator pays for: what they win is the player's. Nothing is staked, so that there is no bet
// and no credit; freeround.used says what one paid.
type freeRounds struct {
	key         uint64
	left, stake int64
}

const freeGrant, freeStake = 10, 10 // rounds, and hundredths of a unit

// freely is the chance of free rounds at a visit: one in fifty [A], one in ten while a campaign lasts.
func (s *Sim) freely(at int64) float64 {
	if s.scenarios.campaigning(at) {
		return 0.1
	}
	return 0.02
}

func (s *Sim) grantFree(p *player, at int64) {
	total := int64(freeGrant)
	p.session.free = freeRounds{key: p.rng.pcg.Uint64(), left: total, stake: freeStake * p.brand.unit / 100}
	b := s.news(p, at, "freeround.granted", producerBonus, aboutVisit|aboutSession)
	b.told.act = true
	b.ev.Payload = &pb.Event_FreeroundGranted{FreeroundGranted: &pb.FreeroundGranted{
		GrantId: keyText("fr-", p.session.free.key), RoundsTotal: &total, Stake: p.money(p.session.free.stake),
		ExpiresAt: timeOf(at + 7*day),
	}}
	p.tell(b)
}

// freeRound plays one of them.
func (s *Sim) freeRound(p *player, now int64) {
	free := &p.session.free
	free.left--
	key := p.rng.pcg.Uint64()
	at, win := s.unstaked(p, now, key, "free", free.stake)
	left := free.left
	b := s.inRound(p, at+1, "freeround.used", key)
	b.ev.Payload = &pb.Event_FreeroundUsed{FreeroundUsed: &pb.FreeroundUsed{
		GrantId: keyText("fr-", free.key), RoundsLeft: &left, Win: p.money(win),
	}}
	p.tell(b)
	p.wallet.real += win
	p.wake = max(now+p.habit.pace.wait(&p.rng, p.session.game.minCycle), at+2)
}

// unstaked tells a round without a bet of its own, and gives its end and what it wins.
func (s *Sim) unstaked(p *player, now int64, key uint64, mode string, stake int64) (at, win int64) {
	rng, ses := &p.rng, &p.session
	ses.rounds++
	t := &turn{key: key, mode: mode, clientSeed: ses.clientSeed, selection: "spin"}
	t.draw = newDraw(rng.pcg.Uint64(), rng.pcg.Uint64(), t.clientSeed, p.nextNonce())
	s.startRound(p, now, t)
	at = now + rng.micros(35*millisecond, 0.3)
	outcome, x100 := ses.game.result(t.draw.unit(), t.selection)
	s.showResult(p, at, t, outcome, x100)
	win = stake * int64(x100) / 100
	at += rng.micros(5*millisecond, 0.3)
	s.closeRound(p, at, key, 0, win, false)
	return at, win
}
