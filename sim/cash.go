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
	if p.waiting() && ses.game != p.feature.game {
		s.closeGame(p, now) // there is something left to win
		p.wake = now + second
		return
	}
	fresh := ses.rounds == 0
	stay := 0.6
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
	s.deposit(p, now, 0)
}

// deposit pays in units, and takes the bonus that is offered; 0 is the player's usual deposit.
func (s *Sim) deposit(p *player, now, units int64) {
	if units == 0 {
		units = bonusMinimum
		if !p.habit.exact {
			units = snapDeposit(p.rng.lognormal(p.habit.deposit*p.session.splurge, 0.6))
		}
	}
	s.pay(p, now, payment{units: units, declined: 0.08, country: p.brand.country, foreign: 0.02, unlike: 0.02})
}

// payment is one attempt to pay in.
type payment struct {
	units int64
	// declined is the chance that the bank says no.
	declined float64
	// country is the card's; foreign the chance that it is another one's.
	country string
	foreign float64
	// mismatch: the cardholder is not the player; unlike is the chance of it where it is not said.
	mismatch bool
	unlike   float64
}

// pay asks for a deposit, which is settled or fails some seconds later.
func (s *Sim) pay(p *player, now int64, pay payment) {
	rng, ses := &p.rng, &p.session
	amount := pay.units * p.brand.unit
	method := "card"
	if ses.instrument&7 == 0 {
		method = "wallet"
	}
	country := pay.country
	if rng.chance(pay.foreign) {
		country = foreignCards()[rng.intn(len(foreignCards()))]
	}
	id := keyText("y-", rng.pcg.Uint64())
	b := s.news(p, now, "payment.deposit_requested", producerCashier, aboutVisit|aboutSession|aboutInstrument)
	b.told.act = true
	ref := b.transaction(p)
	b.ev.Payload = &pb.Event_PaymentDepositRequested{PaymentDepositRequested: &pb.PaymentDepositRequested{
		Method: method, Amount: p.money(amount), BinCc: country, ThreeDs: rng.chance(0.7),
		HolderMatch: !pay.mismatch && !rng.chance(pay.unlike), PaymentId: id,
	}}
	b.told.undo = p.before(0, 0)
	done := &b.told.undo.deed
	p.tell(b)
	at := now + rng.micros(4*second, 0.5)
	p.wake = max(p.wake, at+rng.micros(6*second, 0.5))
	if rng.chance(pay.declined) {
		ses.declines++
		b = s.news(p, at, "payment.deposit_failed", producerCashier, aboutVisit|aboutSession|aboutInstrument)
		b.transaction(p)
		b.ev.ReferenceTransactionId = ref
		b.ev.Payload = &pb.Event_PaymentDepositFailed{PaymentDepositFailed: &pb.PaymentDepositFailed{
			Method: method, Amount: p.money(amount), PspCode: "psp-1", BinCc: country, PaymentId: id,
			DeclineCode: [...]string{"51", "05", "14", "43"}[rng.pick([]int{55, 30, 10, 5})],
		}}
		p.tell(b)
		return
	}
	b = s.news(p, at, "payment.deposit_settled", producerCashier, aboutVisit|aboutSession|aboutInstrument)
	b.transaction(p)
	b.ev.ReferenceTransactionId = ref
	b.ev.Payload = &pb.Event_PaymentDepositSettled{PaymentDepositSettled: &pb.PaymentDepositSettled{
		Method: method, Amount: p.money(amount), BinCc: country, PaymentId: id,
	}}
	p.tell(b)
	p.wallet.real += amount
	p.wallet.paidIn += amount
	p.wallet.deposits++
	s.qualify(p, at+1, amount, done)
	s.perhapsDisputed(p, at, amount, ref, id, done)
	if back := at + rng.micros(6*hour, 0.8); rng.chance(chargedTwice) {
		s.refund(p, back, amount, ref, id, done)
	}
	s.offer(p, at+rng.micros(second, 0.4), amount)
}

// disputedShare is how many ordinary deposits end in a chargeback: .3 %, under the schemes' cap of 1.5 % (domain.md §5).
const disputedShare = 0.003

// chargedTwice is how many deposits are, by mistake [A].
const chargedTwice = 0.004

// perhapsDisputed lets the cardholder's bank take a deposit back, weeks later.
func (s *Sim) perhapsDisputed(p *player, at, amount int64, ref, id string, done *deed) {
	rng := &p.rng
	share := max(p.habit.disputes, disputedShare)
	filed := at + rng.micros(20*day, 0.7)
	code := [...]string{"10.4", "4837", "13.1"}[rng.pick([]int{5, 3, 2})]
	if !rng.chance(share) || p.wallet.disputed >= 30 || filed >= s.end {
		return
	}
	p.wallet.disputed++
	if code != "13.1" && rng.chance(0.7) { // 13.1 is goods that did not come, which is nobody's fraud
		s.reportFraud(p, at+int64(float64(filed-at)*rng.between(0.3, 0.9)), amount, ref, id, done)
	}
	s.suspend(p, filed, done)
	b := s.news(p, filed, "payment.chargeback", producerCashier, aboutInstrument)
	b.told.act = true
	b.transaction(p)
	b.ev.ReferenceTransactionId = ref
	b.ev.Payload = &pb.Event_PaymentChargeback{PaymentChargeback: &pb.PaymentChargeback{
		Amount: p.money(amount), ReasonCode: code, FiledAt: timeOf(filed), PaymentId: id, Stage: "first",
	}}
	if p.truth.typology == Chargeback.String() {
		b.told.loss = amount
	}
	b.told.deed = done
	s.postpone(&b.told)
}

// offer is a bonus on a deposit: the whole of the first one, a quarter of some later ones.
func (s *Sim) offer(p *player, at, amount int64) {
	rng, w := &p.rng, &p.wallet
	first := w.deposits == 1
	offered := first || rng.chance(s.offered(at))
	if !offered || w.instant || w.wagerTotal > 0 || amount < bonusMinimum*p.brand.unit || !rng.chance(p.habit.takesBonus) {
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
	if p.waiting() {
		s.closeGame(p, at+200*millisecond) // and goes on with what was left open, before anything else
	}
	if p.habit.cashesIn {
		w.cashAt = at + p.habit.cashDelay
	}
}

// forfeit takes the bonus away: played out, or too old.
func (s *Sim) forfeit(p *player, at int64) {
	b := s.news(p, at, "bonus.forfeited", producerBonus, aboutVisit|aboutSession|aboutBonus)
	b.ev.Payload = &pb.Event_BonusForfeited{BonusForfeited: &pb.BonusForfeited{Amount: p.money(max(p.wallet.bonus, 0))}}
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

// withdraw asks for money, which is approved and paid some hours later.
func (s *Sim) withdraw(p *player, at, amount int64) {
	rng, w := &p.rng, &p.wallet
	amount -= amount % 100
	if amount <= 0 {
		return
	}
	before := p.before(0, 0)
	// Some take it back while it waits, most of all those who lose hold of it. In Britain nobody may.
	cancelled := p.brand.jurisdiction != "GB" && !p.habit.cashesIn && rng.chance(p.habit.regrets)
	w.real -= amount
	b := s.news(p, at, "payment.withdrawal_requested", producerCashier, aboutVisit|aboutSession|aboutInstrument)
	b.told.act = true
	if !cancelled {
		w.paidOut += amount
		b.told.loss = s.lost(p, amount)
	}
	ref, id := b.transaction(p), keyText("y-", rng.pcg.Uint64())
	kyc := "basic"
	if p.keys.account&1 == 0 {
		kyc = "full"
	}
	b.ev.Payload = &pb.Event_PaymentWithdrawalRequested{PaymentWithdrawalRequested: &pb.PaymentWithdrawalRequested{
		Method: "card", Amount: p.money(amount), KycLevel: kyc, PaymentId: id,
	}}
	b.told.undo = before
	p.tell(b)
	decided := at + rng.micros(25*minute, 0.7)
	if cancelled {
		s.takeBack(p, at+(decided-at)/2, amount, ref, id, &before.deed)
		return
	}
	automatic := amount < 500*p.brand.unit
	approved := s.news(p, decided, "payment.withdrawal_approved", producerCashier, aboutInstrument)
	approved.transaction(p)
	approved.ev.ReferenceTransactionId = ref
	approved.ev.Payload = &pb.Event_PaymentWithdrawalApproved{PaymentWithdrawalApproved: &pb.PaymentWithdrawalApproved{
		Method: "card", Amount: p.money(amount), PaymentId: id, Automatic: &automatic,
	}}
	approved.told.deed = &before.deed
	s.postpone(&approved.told)
	paid := s.news(p, decided+30*minute+rng.micros(5*hour, 1), "payment.withdrawal_paid", producerCashier, aboutInstrument)
	paid.transaction(p)
	paid.ev.ReferenceTransactionId = ref
	paid.ev.Payload = &pb.Event_PaymentWithdrawalPaid{PaymentWithdrawalPaid: &pb.PaymentWithdrawalPaid{
		Method: "card", Amount: p.money(amount), PaymentId: id,
	}}
	paid.told.deed = &before.deed
	s.postpone(&paid.told)
}

// takeBack cancels a withdrawal by the player's wish: the money is there again.
func (s *Sim) takeBack(p *player, at, amount int64, ref, id string, done *deed) {
	b := s.news(p, at, "payment.withdrawal_cancelled", producerCashier, aboutInstrument)
	b.transaction(p)
	b.ev.ReferenceTransactionId = ref
	b.ev.Payload = &pb.Event_PaymentWithdrawalCancelled{PaymentWithdrawalCancelled: &pb.PaymentWithdrawalCancelled{
		Amount: p.money(amount), Reason: "player", PaymentId: id,
	}}
	unit := p.brand.unit
	b.told.finish = func(*pb.Event) { p.wallet.real += amount * p.brand.unit / unit }
	b.told.deed = done
	s.postpone(&b.told)
}

// lost is how much of a fraud's withdrawal is money that the operator, or the account's owner, would have kept: all of a
// thief's, and of others what goes beyond what they paid in. Of a carousel nothing is: the operator loses a licence by it.
func (s *Sim) lost(p *player, amount int64) int64 {
	w := &p.wallet
	switch {
	case !p.truth.fraud || p.truth.typology == Carousel.String():
		return 0
	case p.truth.typology == AccountTakeover.String():
		return amount
	}
	loss := max(w.paidOut-w.paidIn-w.received+w.sent-w.lost, 0)
	w.lost += loss
	return loss
}
