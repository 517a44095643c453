package sim

import pb "pitboss/proto/pitboss/v1"

const (
	// bonusMinimum is the deposit that earns a bonus, bonusLimit its largest, both in units; bonusWagering is how often
	// it has to be staked, in hundredths; bonusMaxBet is the largest bet meanwhile, in units [A: usual terms].
	bonusMinimum  = 20
	bonusLimit    = 100
	bonusWagering = 3000
	bonusMaxBet   = 5
)

// broke is a player who cannot pay the next bet.
func (s *Sim) broke(p *player, now int64) {
	if p.wallet.wagerTotal > 0 && p.wallet.total() < s.steps[0]*p.brand.unit/100 {
		s.forfeit(p, now)
		now += 200 * millisecond
	}
	ses := &p.session
	fresh := ses.rounds == 0
	stay := 0.35
	if fresh || p.habit.dailyPlay > 0 {
		stay = 0.95
	}
	if p.truth.fraud && p.habit.cashesIn && p.wallet.deposits > 0 {
		stay = 1 - p.habit.leaves // the bonus is lost, and with it the reason to be here
	}
	if ses.declines >= 3 || !p.rng.chance(stay) {
		if p.wallet.deposits > 0 && p.rng.chance(p.habit.leaves) {
			p.end = min(p.end, now+day)
		}
		s.leave(p, now)
		return
	}
	s.deposit(p, now)
}

// deposit pays in, and takes the bonus that is offered.
func (s *Sim) deposit(p *player, now int64) {
	rng, ses := &p.rng, &p.session
	units := int64(bonusMinimum)
	if !p.habit.exact {
		units = snapDeposit(rng.lognormal(p.habit.deposit, 0.6))
	}
	amount := units * p.brand.unit
	method := "card"
	if ses.instrument&7 == 0 {
		method = "wallet"
	}
	b := s.news(p, now, "payment.deposit_requested", producerCashier, aboutVisit|aboutSession|aboutInstrument)
	b.told.act = true
	id := b.transaction(p)
	b.ev.Payload = &pb.Event_PaymentDepositRequested{PaymentDepositRequested: &pb.PaymentDepositRequested{
		Method: method, Amount: p.money(amount), BinCc: p.brand.country, ThreeDs: rng.chance(0.7), HolderMatch: !rng.chance(0.02),
	}}
	p.tell(b)
	at := now + rng.micros(4*second, 0.5)
	p.wake = at + rng.micros(6*second, 0.5)
	if rng.chance(0.08) {
		ses.declines++
		b = s.news(p, at, "payment.deposit_failed", producerCashier, aboutVisit|aboutSession|aboutInstrument)
		b.ev.TransactionId, b.ev.ReferenceTransactionId = keyText("t-", rng.pcg.Uint64()), id
		b.ev.Payload = &pb.Event_PaymentDepositFailed{PaymentDepositFailed: &pb.PaymentDepositFailed{
			Method: method, Amount: p.money(amount), PspCode: "51", DeclineCode: [...]string{"insufficient_funds", "do_not_honour"}[rng.intn(2)],
		}}
		p.tell(b)
		return
	}
	b = s.news(p, at, "payment.deposit_settled", producerCashier, aboutVisit|aboutSession|aboutInstrument)
	b.ev.TransactionId, b.ev.ReferenceTransactionId = keyText("t-", rng.pcg.Uint64()), id
	b.ev.Payload = &pb.Event_PaymentDepositSettled{PaymentDepositSettled: &pb.PaymentDepositSettled{Method: method, Amount: p.money(amount)}}
	p.tell(b)
	p.wallet.real += amount
	p.wallet.deposits++
	s.offer(p, at+rng.micros(second, 0.4), amount)
}

// offer is a bonus on a deposit: the whole of the first one, a quarter of some later ones.
func (s *Sim) offer(p *player, at, amount int64) {
	rng, w := &p.rng, &p.wallet
	first := w.deposits == 1
	offered := first || rng.chance(0.15)
	if !offered || w.wagerTotal > 0 || amount < bonusMinimum*p.brand.unit || !rng.chance(p.habit.takesBonus) {
		return
	}
	kind, bonus := "welcome", min(amount, bonusLimit*p.brand.unit)
	if !first {
		kind, bonus = "reload", min(amount/4, bonusLimit/4*p.brand.unit)
	}
	w.bonusKey, w.bonusAt = rng.pcg.Uint64(), at
	w.bonus, w.maxBet = bonus, bonusMaxBet*p.brand.unit
	w.wagerTotal = bonus * bonusWagering / 100
	w.wagerLeft = w.wagerTotal
	b := s.news(p, at, "bonus.granted", producerBonus, aboutVisit|aboutSession|aboutBonus)
	b.told.act = true
	b.ev.Payload = &pb.Event_BonusGranted{BonusGranted: &pb.BonusGranted{
		Kind: kind, Amount: p.money(bonus), WageringX100: bonusWagering, MaxBet: p.money(w.maxBet),
	}}
	p.tell(b)
	s.closeGame(p, at+200*millisecond) // who has a bonus chooses the game by it
}

// wager counts a stake towards the bonus and tells its tenths.
func (s *Sim) wager(p *player, at, stake int64) {
	w := &p.wallet
	if w.wagerTotal == 0 {
		return
	}
	before := w.wagerTotal - w.wagerLeft
	w.wagerLeft = max(w.wagerLeft-stake, 0)
	after := w.wagerTotal - w.wagerLeft
	if before*10/w.wagerTotal == after*10/w.wagerTotal {
		return
	}
	b := s.news(p, at, "bonus.progress", producerBonus, aboutVisit|aboutSession|aboutBonus)
	b.ev.Payload = &pb.Event_BonusProgress{BonusProgress: &pb.BonusProgress{Wagered: p.money(after), Remaining: p.money(w.wagerLeft)}}
	p.tell(b)
	if w.wagerLeft > 0 {
		return
	}
	at += p.rng.micros(50*millisecond, 0.3)
	b = s.news(p, at, "bonus.released", producerBonus, aboutVisit|aboutSession|aboutBonus)
	b.ev.Payload = &pb.Event_BonusReleased{BonusReleased: &pb.BonusReleased{Amount: p.money(w.bonus)}}
	p.tell(b)
	w.real += w.bonus
	w.bonus, w.wagerTotal = 0, 0
	if p.habit.cashesIn {
		w.cashAt = at + p.habit.cashDelay
	}
}

// forfeit takes the bonus away: played out, or too old.
func (s *Sim) forfeit(p *player, at int64) {
	b := s.news(p, at, "bonus.forfeited", producerBonus, aboutVisit|aboutSession|aboutBonus)
	b.ev.Payload = &pb.Event_BonusForfeited{BonusForfeited: &pb.BonusForfeited{Amount: p.money(p.wallet.bonus)}}
	p.tell(b)
	p.wallet.bonus, p.wallet.wagerTotal, p.wallet.wagerLeft = 0, 0, 0
}

// cashIn takes out what a bonus brought, now or when the time has come; who came for nothing else then leaves.
func (s *Sim) cashIn(p *player, now int64) {
	w := &p.wallet
	if wait := w.cashAt - now; wait > 0 && wait < 30*minute {
		p.wake = w.cashAt
		return
	} else if wait > 0 {
		s.leave(p, now)
		p.wake = w.cashAt
		return
	}
	w.cashAt = 0
	if w.real >= 10*p.brand.unit {
		s.withdraw(p, now, w.real)
	}
	if p.rng.chance(p.habit.leaves) {
		p.end = min(p.end, now+minute)
	}
	s.leave(p, now+p.rng.micros(20*second, 0.5))
}

// withdraw asks for money, which is paid some hours later.
func (s *Sim) withdraw(p *player, at, amount int64) {
	rng := &p.rng
	amount -= amount % 100
	if amount <= 0 {
		return
	}
	p.wallet.real -= amount
	b := s.news(p, at, "payment.withdrawal_requested", producerCashier, aboutVisit|aboutSession|aboutInstrument)
	b.told.act = true
	id := b.transaction(p)
	kyc := "basic"
	if p.keys.account&1 == 0 {
		kyc = "full"
	}
	b.ev.Payload = &pb.Event_PaymentWithdrawalRequested{PaymentWithdrawalRequested: &pb.PaymentWithdrawalRequested{
		Method: "card", Amount: p.money(amount), KycLevel: kyc,
	}}
	p.tell(b)
	paid := s.news(p, at+30*minute+rng.micros(5*hour, 1), "payment.withdrawal_paid", producerCashier, aboutInstrument)
	paid.ev.TransactionId, paid.ev.ReferenceTransactionId = keyText("t-", rng.pcg.Uint64()), id
	paid.ev.Payload = &pb.Event_PaymentWithdrawalPaid{PaymentWithdrawalPaid: &pb.PaymentWithdrawalPaid{Method: "card", Amount: p.money(amount)}}
	s.postpone(&paid.told)
}
