package sim

import pb "pitboss/proto/pitboss/v1"

// What an operator does about accounts: who somebody is, whether they are on a list of sanctions, a second factor, and what
// they may do. All of it is the same for everybody [A].

// secondFactorShare is how many accounts of ten have a second factor, asked for on a new device.
const secondFactorShare = 3

// identify checks who a new player is, some minutes after the account was opened: who they are, and lists of sanctions.
func (s *Sim) identify(p *player, at int64) {
	rng := &p.rng
	result, level := "passed", "basic"
	switch rng.pick([]int{92, 5, 3}) {
	case 1:
		result, level = "pending", "0"
	case 2:
		result, level = "failed", "0"
	}
	at += rng.micros(10*minute, 1)
	person := mix(p.keys.account, keyPerson)
	b := s.news(p, at, "account.kyc_updated", producerAccounts, 0)
	ids := identifiers{block: b, n: len(b.ev.Entities)}
	ids.addKey("document", "doc-", mix(p.keys.account, keyDocument))
	ids.addKey("person", "n-", person)
	b.ev.Payload = &pb.Event_AccountKycUpdated{AccountKycUpdated: &pb.AccountKycUpdated{
		KycLevel: level, Result: result, DocCc: p.brand.country,
	}}
	s.postpone(&b.told)
	likeness, decision := int64(400_000*rng.float()), "clear"
	if rng.chance(0.005) { // a name like one on the list
		likeness, decision = 800_000+int64(150_000*rng.float()), "review"
	}
	b = s.news(p, at+rng.micros(2*second, 0.5), "sanctions.checked", producerRisk, 0)
	ids = identifiers{block: b, n: len(b.ev.Entities)}
	ids.addKey("person", "n-", person)
	b.ev.Payload = &pb.Event_SanctionsChecked{SanctionsChecked: &pb.SanctionsChecked{
		ListVersion: "2026-01-02", MatchScorePpm: &likeness, Decision: decision,
	}}
	s.postpone(&b.told)
}

// secondFactor asks for one after the password, and gives the time after it. Who is here for the password has it too.
func (s *Sim) secondFactor(p *player, at int64) int64 {
	rng := &p.rng
	if p.keys.account>>8%10 >= secondFactorShare {
		return at
	}
	failed := int64(0)
	if rng.chance(0.06) {
		failed = 1
	}
	for n := range failed + 1 {
		at += rng.micros(9*second, 0.5)
		solve, again := rng.micros(8*second, 0.5)/millisecond, n+1
		mfa := &pb.AuthMfa{Method: "totp", Result: "passed", SolveMs: &solve}
		if n < failed {
			mfa.Result, mfa.Reason, mfa.FailCount = "failed", "expired", &again
		}
		b := s.news(p, at, "auth.mfa", producerAccounts, aboutVisit)
		b.ev.Payload = &pb.Event_AuthMfa{AuthMfa: mfa}
		p.tell(b)
	}
	return at
}

// status tells what a player may do from now on.
func (s *Sim) status(p *player, at int64, status, reason string) *eventBlock {
	b := s.news(p, at, "player.status", producerAccounts, 0)
	b.ev.Payload = &pb.Event_PlayerStatus{PlayerStatus: &pb.PlayerStatus{Status: status, Reason: reason}}
	return b
}

// suspend shuts an account some hours after a chargeback on it, for half of them: the rest are looked at by somebody kinder.
func (s *Sim) suspend(p *player, filed int64, done *deed) {
	at := filed + p.rng.micros(3*hour, 0.6)
	if !p.rng.chance(0.5) {
		return
	}
	b := s.status(p, at, "suspended", "chargeback")
	ids := identifiers{block: b, n: len(b.ev.Entities)}
	ids.addKey("staff", "st-", mix(uint64(p.brand.index), p.rng.pcg.Uint64()%7))
	b.told.finish = func(*pb.Event) { p.end = min(p.end, at) }
	b.told.deed = done
	s.postpone(&b.told)
}

// refund gives back what a card was charged twice: the player's balance had it once.
func (s *Sim) refund(p *player, at, amount int64, ref, id string, done *deed) {
	b := s.news(p, at, "payment.refund", producerCashier, aboutInstrument)
	b.transaction(p)
	b.ev.ReferenceTransactionId = ref
	b.ev.Payload = &pb.Event_PaymentRefund{PaymentRefund: &pb.PaymentRefund{
		Amount: p.money(amount), ReasonCode: "duplicate", PaymentId: id,
	}}
	b.told.deed = done
	s.postpone(&b.told)
}

// reportFraud is what the cardholder's bank tells the scheme, days before the chargeback.
func (s *Sim) reportFraud(p *player, at, amount int64, ref, id string, done *deed) {
	b := s.news(p, at, "payment.fraud_report", producerCashier, aboutInstrument)
	b.ev.ReferenceTransactionId = ref
	b.ev.Payload = &pb.Event_PaymentFraudReport{PaymentFraudReport: &pb.PaymentFraudReport{
		Amount: p.money(amount), ReasonCode: "6", FiledAt: timeOf(at), PaymentId: id,
	}}
	b.told.deed = done
	s.postpone(&b.told)
}
