package sim

import pb "pitboss/proto/pitboss/v1"

// stake is what the player bets next, in minor units, and its step on the ladder.
func (s *Sim) stake(p *player) (int64, int) {
	rng, steps, w := &p.rng, s.steps, &p.wallet
	unit := float64(p.brand.unit)
	step := p.session.lastStake
	if w.wagerTotal > 0 && p.habit.boldness > 0 {
		step = stepBelow(steps, float64(w.total())/unit*100*p.habit.boldness)
	} else if rng.chance(p.habit.restless) {
		step += rng.intn(3) - 1
		if rng.chance(0.5) {
			step = p.habit.stake
		}
	}
	if p.habit.chases && p.session.losses >= 6 {
		step++
		p.session.losses = 0
	}
	step = min(max(step, 0), len(steps)-1)
	for w.wagerTotal > 0 && step > 0 && steps[step]*p.brand.unit/100 > w.maxBet {
		step--
	}
	stake := steps[step] * p.brand.unit / 100
	if stake > w.total() && rng.chance(0.5) {
		step = stepBelow(steps, float64(w.total())/unit*100)
		stake = steps[step] * p.brand.unit / 100
	}
	return stake, step
}

// round plays one round: started, bet, result, perhaps a win, closed; or a bet that is taken back.
func (s *Sim) round(p *player, now, stake int64) {
	rng, ses, g := &p.rng, &p.session, p.session.game
	ses.rounds++
	ses.clientSeq++
	key := rng.pcg.Uint64()
	mode := "manual"
	if p.habit.autoplay && p.brand.autoplay && g.autoplay {
		mode = "autoplay"
	}
	b := s.inRound(p, now, "round.started", key)
	b.ev.Payload = &pb.Event_RoundStarted{RoundStarted: &pb.RoundStarted{
		SeedCommitHash: keyText("", rng.pcg.Uint64()), Nonce: ses.clientSeq, InputMode: mode, ClientSeq: ses.clientSeq,
	}}
	p.tell(b)
	at := now + rng.micros(3*millisecond, 0.3)
	bet := s.bet(p, at, key, stake, mode)
	if rng.chance(s.cfg.Rollbacks) {
		s.rollBack(p, at, key, stake, bet)
		return
	}
	bonusBet := p.takeStake(stake)
	at += rng.micros(35*millisecond, 0.3)
	b = s.inRound(p, at, "round.result", key)
	b.ev.Payload = &pb.Event_RoundResult{RoundResult: &pb.RoundResult{
		ShownAt: timeOf(at + g.minCycle*9/10), OutcomeHash: keyText("", rng.pcg.Uint64()),
	}}
	p.tell(b)
	var win int64
	if rng.chance(g.hit) {
		win = stake * int64(g.wins.x100[rng.pick(g.wins.weights)]) / 100
	}
	if win > 0 {
		at += rng.micros(6*millisecond, 0.3)
		b = s.inRound(p, at, "win.credited", key)
		b.transaction(p)
		b.ev.ReferenceTransactionId = bet
		b.ev.Payload = &pb.Event_WinCredited{WinCredited: &pb.WinCredited{Amount: p.money(win)}}
		p.tell(b)
		ses.losses = 0
	} else {
		ses.losses++
	}
	p.takeWin(win, bonusBet)
	at += rng.micros(5*millisecond, 0.3)
	s.closeRound(p, at, key, stake, win, false)
	s.wager(p, at+rng.micros(20*millisecond, 0.3), stake)
	p.wake = max(now+p.habit.pace.wait(rng, g.minCycle), at+1)
}

func (s *Sim) inRound(p *player, at int64, kind string, key uint64) *eventBlock {
	b := s.news(p, at, kind, p.session.game.producer, aboutVisit|aboutSession|aboutGame)
	b.addRound(key)
	return b
}

// bet tells the debit and gives its transaction.
func (s *Sim) bet(p *player, at int64, key uint64, stake int64, mode string) string {
	rng, w, g := &p.rng, &p.wallet, p.session.game
	b := s.inRound(p, at, "bet.placed", key)
	b.told.act = p.session.rounds%25 == 1
	id := b.transaction(p)
	fromReal := min(w.real, stake)
	bet := &pb.BetPlaced{
		Amount: p.money(stake), Real: p.money(fromReal), Bonus: p.money(stake - fromReal), Selection: "spin",
		ClientTsMs: (at - rng.micros(60*millisecond, 0.4)) / millisecond, GestureId: keyText("", rng.pcg.Uint64()),
		BalanceBefore: p.money(w.total()), BalanceAfter: p.money(w.total() - stake), InputMode: mode,
	}
	if g.table {
		bet.Selection, bet.OddsPpm = [...]string{"red", "black"}[rng.intn(2)], 2_000_000
	}
	b.ev.Payload = &pb.Event_BetPlaced{BetPlaced: bet}
	p.tell(b)
	return id
}

// rollBack takes a bet back: the wallet did not answer in time.
func (s *Sim) rollBack(p *player, at int64, key uint64, stake int64, bet string) {
	at += 2*second + p.rng.micros(2*second, 0.5)
	b := s.inRound(p, at, "bet.rolled_back", key)
	b.transaction(p)
	b.ev.ReferenceTransactionId = bet
	b.ev.Payload = &pb.Event_BetRolledBack{BetRolledBack: &pb.BetRolledBack{Amount: p.money(stake), Reason: "timeout"}}
	p.tell(b)
	at += p.rng.micros(10*millisecond, 0.3)
	s.closeRound(p, at, key, 0, 0, true)
	p.wake = at + p.habit.pace.wait(&p.rng, p.session.game.minCycle)
}

func (s *Sim) closeRound(p *player, at int64, key uint64, stake, win int64, interrupted bool) {
	b := s.inRound(p, at, "round.closed", key)
	b.ev.Payload = &pb.Event_RoundClosed{RoundClosed: &pb.RoundClosed{
		TotalBet: p.money(stake), TotalWin: p.money(win), Interrupted: interrupted,
	}}
	p.tell(b)
}

// takeStake debits real money first, then the bonus, and says whether bonus money was in it.
func (p *player) takeStake(stake int64) bool {
	w := &p.wallet
	fromReal := min(w.real, stake)
	w.real -= fromReal
	w.bonus -= stake - fromReal
	return fromReal < stake
}

func (p *player) takeWin(win int64, bonusBet bool) {
	if bonusBet && p.wallet.wagerTotal > 0 {
		p.wallet.bonus += win
		return
	}
	p.wallet.real += win
}
