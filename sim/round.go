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
			step = p.session.usualStake
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

// turn is one round as it is played.
type turn struct {
	key   uint64
	draw  draw
	stake int64
	mode  string
	// bet is the bet's transaction.
	bet, selection, clientSeed string
	// pressed is when the bet was placed, shown when the result is known.
	pressed, shown int64
}

// round plays one round: started, bet, result, perhaps a win, closed; or a bet that is taken back.
func (s *Sim) round(p *player, now, stake int64) {
	rng, ses, g := &p.rng, &p.session, p.session.game
	t := &turn{key: rng.pcg.Uint64(), stake: stake, mode: "manual"}
	if p.habit.autoplay && p.brand.autoplay && g.autoplay {
		t.mode = "autoplay"
	}
	t.clientSeed = ses.clientSeed
	t.draw = newDraw(rng.pcg.Uint64(), rng.pcg.Uint64(), t.clientSeed, p.nextNonce())
	if g.table {
		t.selection = [...]string{"red", "black"}[rng.intn(2)]
	} else {
		t.selection = "spin"
	}
	t.pressed = now + rng.micros(3*millisecond, 0.3)
	t.shown = t.pressed + rng.micros(35*millisecond, 0.3)
	at := s.playOut(p, now, t)
	p.wake = max(p.wake, now+p.habit.pace.wait(rng, g.minCycle), at+1)
}

// playOut tells a round from its beginning to its end, and gives the end.
func (s *Sim) playOut(p *player, now int64, t *turn) int64 {
	rng, ses := &p.rng, &p.session
	ses.rounds++
	s.startRound(p, now, t)
	bet := s.bet(p, t)
	if rng.chance(s.cfg.Rollbacks) {
		bet.takenBack = true
		return s.rollBack(p, t.pressed+2*second+rng.micros(2*second, 0.5), t)
	}
	bonusBet := p.takeStake(t.stake)
	at := t.pressed
	if ses.game.live {
		s.accept(p, t)
	}
	if ses.game.jackpot > 0 {
		at = s.contribute(p, at, t)
	}
	at = max(at+1, t.shown)
	outcome, x100 := ses.game.result(t.draw.unit(), t.selection)
	outcome, x100 = s.forced(p, t, outcome, x100)
	s.showResult(p, at, t, outcome, x100)
	win := t.stake * int64(x100) / 100
	if win == 0 && rng.chance(p.habit.cheat.takesBack) {
		p.giveBack(t.stake, bonusBet)
		return s.rollBack(p, at+rng.micros(400*millisecond, 0.4), t)
	}
	if win > 0 {
		at += rng.micros(6*millisecond, 0.3)
		s.win(p, at, t, win)
		ses.losses = 0
	} else {
		ses.losses++
	}
	p.takeWin(win, bonusBet)
	if ses.game.jackpot > 0 {
		at = s.perhapsJackpot(p, at, t)
	}
	at += rng.micros(5*millisecond, 0.3)
	s.closeRound(p, at, t.key, t.stake, win, false)
	s.score(p, at+rng.micros(15*millisecond, 0.3), t, x100)
	s.wager(p, at+rng.micros(20*millisecond, 0.3), t.stake)
	return s.ghosts(p, at)
}

func (s *Sim) startRound(p *player, now int64, t *turn) {
	b := s.inRound(p, now, "round.started", t.key)
	b.ev.Payload = &pb.Event_RoundStarted{RoundStarted: &pb.RoundStarted{
		SeedCommitHash: hexText(t.draw.commit[:]), Nonce: p.session.nonce, InputMode: t.mode, ClientSeq: p.session.clientSeq,
	}}
	p.tell(b)
}

// accept says that the wallet has taken a bet at a live table, before the window closes.
func (s *Sim) accept(p *player, t *turn) {
	b := s.inRound(p, t.pressed+p.rng.micros(25*millisecond, 0.4), "bet.accepted", t.key)
	b.ev.TransactionId = t.bet
	b.ev.Payload = &pb.Event_BetAccepted{BetAccepted: &pb.BetAccepted{Amount: p.money(t.stake), BalanceAfter: p.money(p.wallet.total())}}
	p.tell(b)
}

// nextNonce counts the rounds of a session; a tampered client repeats one now and then, or leaves one out.
func (p *player) nextNonce() uint64 {
	ses, c := &p.session, p.habit.cheat
	ses.clientSeq++
	ses.nonce++
	if c.repeats > 0 && ses.nonce > 1 && p.rng.chance(c.repeats) {
		ses.nonce--
	}
	if c.holes > 0 && p.rng.chance(c.holes) {
		ses.clientSeq++
	}
	return ses.nonce
}

func (s *Sim) inRound(p *player, at int64, kind string, key uint64) *eventBlock {
	b := s.news(p, at, kind, p.session.game.producer, aboutVisit|aboutSession|aboutGame)
	b.addRound(p, key)
	return b
}

// bet tells the debit.
func (s *Sim) bet(p *player, t *turn) *told {
	rng, w, g := &p.rng, &p.wallet, p.session.game
	b := s.inRound(p, t.pressed, "bet.placed", t.key)
	b.told.act = p.session.rounds%25 == 1
	t.bet = b.transaction(p)
	fromReal := min(w.real, t.stake)
	bet := &pb.BetPlaced{
		Amount: p.money(t.stake), Real: p.money(fromReal), Bonus: p.money(t.stake - fromReal), Selection: t.selection,
		ClientTsMs:    (t.pressed - rng.micros(60*millisecond, 0.4)) / millisecond,
		BalanceBefore: p.money(w.total()), BalanceAfter: p.money(w.total() - t.stake), InputMode: t.mode,
	}
	if g.table {
		bet.OddsPpm = 2_000_000
	}
	gesture := rng.pcg.Uint64()
	if s.gesture(p, t.pressed, t.mode) {
		bet.GestureId = keyText("", gesture)
	}
	b.ev.Payload = &pb.Event_BetPlaced{BetPlaced: bet}
	b.told.undo = p.before(t.key, t.stake)
	p.tell(b)
	return &b.told
}

func (s *Sim) showResult(p *player, at int64, t *turn, outcome string, x100 int) {
	payout := int64(x100) * 10_000
	shown := at + p.session.game.minCycle*9/10
	b := s.inRound(p, at, "round.result", t.key)
	b.ev.Payload = &pb.Event_RoundResult{RoundResult: &pb.RoundResult{
		ShownAt: timeOf(shown), OutcomeHash: hexText(t.draw.digest[:]), ServerSeed: string(t.draw.seed[:]),
		ClientSeed: t.clientSeed, Outcome: outcome, PayoutPpm: &payout,
	}}
	p.tell(b)
}

func (s *Sim) win(p *player, at int64, t *turn, win int64) {
	b := s.inRound(p, at, "win.credited", t.key)
	b.transaction(p)
	b.ev.ReferenceTransactionId = t.bet
	b.ev.Payload = &pb.Event_WinCredited{WinCredited: &pb.WinCredited{Amount: p.money(win)}}
	p.tell(b)
}

// rollBack takes a bet back at a time, and gives the round's end: the wallet did not answer in time, or so it is said.
func (s *Sim) rollBack(p *player, at int64, t *turn) int64 {
	b := s.inRound(p, at, "bet.rolled_back", t.key)
	b.transaction(p)
	b.ev.ReferenceTransactionId = t.bet
	b.ev.Payload = &pb.Event_BetRolledBack{BetRolledBack: &pb.BetRolledBack{Amount: p.money(t.stake), Reason: "timeout"}}
	p.tell(b)
	at += p.rng.micros(10*millisecond, 0.3)
	s.closeRound(p, at, t.key, 0, 0, true)
	return at
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

// giveBack is the credit of a stake that is taken back.
func (p *player) giveBack(stake int64, bonusBet bool) { p.takeWin(stake, bonusBet) }

func (p *player) takeWin(win int64, bonusBet bool) {
	if bonusBet && p.wallet.wagerTotal > 0 {
		p.wallet.bonus += win
		return
	}
	p.wallet.real += win
}
