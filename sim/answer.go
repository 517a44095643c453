package sim

import pb "pitboss/proto/pitboss/v1"

// Outcome is what was decided about an event, as far as a casino acts on it.
type Outcome uint8

// The outcomes, by severity.
const (
	Allow Outcome = iota
	Challenge
	Limit
	Hold
	Block
)

// Answers counts what became of the answers, in players or acts.
type Answers struct {
	// Given counts answers; Stopped acts that did not happen; Challenged those that asked for a step-up.
	Given, Stopped, Challenged uint64
	// HonestStopped and HonestChallenged count those that hit honest players; HonestLeft the honest players who never came
	// back because of them.
	HonestStopped, HonestChallenged, HonestLeft uint64
	// Solved counts challenges that frauds passed, Gave those that they did not; Returned the accounts that stopped frauds
	// opened in their place.
	Solved, Gave, Returned uint64
	// SpentMinor is what frauds paid for solving challenges, in minor units; of all currencies together.
	SpentMinor int64
	// SavedMinor is what frauds did not get because an act was stopped, in minor units; of all currencies together.
	SavedMinor int64
}

// Answers gives what became of the answers so far.
func (s *Sim) Answers() Answers { return s.answers }

// mood is what answers made of a player.
type mood struct {
	// annoyed counts unjust answers; throttle is how much longer gaps are until throttledUntil; cappedUntil bounds stakes.
	annoyed                     int
	throttledUntil, cappedUntil int64
	// solved is what a fraud has spent on solving challenges, in units; banned says that the account is lost.
	solved float64
	banned bool
}

const (
	// A throttled player's gaps are longer by this; a capped one stakes at most capUnits.
	throttleBy = 6 * second
	capUnits   = 1
	// A limit holds for so long.
	limitFor = 30 * minute
	// A challenge costs a fraud this much to have solved, in units, out of a budget for each account.
	solverPrice, solverBudget = 0.5, 10.0
)

// throttled is how much longer the player waits for the next bet.
func (p *player) throttled(now int64) int64 {
	if now < p.mood.throttledUntil {
		return throttleBy
	}
	return 0
}

// capped is a stake under the cap that holds.
func (p *player) capped(stake, now int64) int64 {
	if now < p.mood.cappedUntil {
		return min(stake, capUnits*p.brand.unit)
	}
	return stake
}

// Answer lets the casino live with the decision about the event that Next gave last: a stopped bet or payment does not
// happen, a throttled player slows down, a challenged one solves it or does not, a blocked ring comes back with new
// accounts, and honest players are annoyed and some leave. The same seed and the same answers give the same casino. An
// answer to an event that is no act of a player's changes nothing.
func (s *Sim) Answer(o Outcome) {
	t := s.spoken
	if t == nil {
		return
	}
	s.spoken = nil
	s.answers.Given++
	if o == Allow || t.undo == nil {
		return
	}
	p := t.undo.player
	switch o {
	case Allow: // above
	case Limit:
		p.mood.throttledUntil, p.mood.cappedUntil = t.at+limitFor, t.at+limitFor
		if !t.truth.fraud {
			s.annoy(p, t, 0.02)
		}
	case Challenge:
		s.challenge(p, t)
	case Hold, Block:
		s.stop(p, t, o == Block)
	}
	s.agenda.fix(p)
}

// challenge asks for a step-up. Honest players pass nearly always; a fraud pays a solver while the budget lasts.
func (s *Sim) challenge(p *player, t *told) {
	s.answers.Challenged++
	rng := &p.rng
	passed, cost := rng.chance(0.97), int64(0)
	if t.truth.fraud {
		solver := p.mood.solved+solverPrice <= solverBudget // the solver is paid for a try, too
		passed = rng.chance(0.8) && solver
		if solver {
			p.mood.solved += solverPrice
			cost = int64(solverPrice * float64(p.brand.unit))
			s.answers.SpentMinor += cost
		}
	} else {
		s.answers.HonestChallenged++
		s.annoy(p, t, 0.01)
	}
	answer := "passed"
	if !passed {
		answer = "failed"
	}
	if t.truth.fraud && passed {
		s.answers.Solved++
	} else if t.truth.fraud {
		s.answers.Gave++
	}
	if !passed {
		s.stop(p, t, false)
	}
	solve := rng.micros(6*second, 0.6) / millisecond
	b := s.news(p, t.at+2, "guard.challenge", producerGuard, aboutVisit|aboutSession)
	b.told.truth, b.told.cost = t.truth, cost
	b.ev.Trust = pb.Trust_TRUST_CLIENT
	b.ev.Payload = &pb.Event_GuardChallenge{GuardChallenge: &pb.GuardChallenge{
		Kind: "captcha", ShownAt: timeOf(t.at + 1), Answer: answer, SolveMs: &solve,
	}}
	s.postpone(&b.told)
}

// stop takes an act back: what was to follow from it is not told. A blocked fraud is shut out, and comes back as somebody
// new where it can.
func (s *Sim) stop(p *player, t *told, blocked bool) {
	u := t.undo
	s.answers.Stopped++
	p.queue, p.head = p.queue[:p.head], min(p.head, len(p.queue))
	p.wallet, p.session.losses = u.wallet, u.losses
	u.deed.undone = true
	if t.loss > 0 {
		s.answers.SavedMinor += t.loss
	}
	if u.stake > 0 {
		s.reject(p, t)
	}
	p.wake = max(p.wake, t.at+20*second)
	if !t.truth.fraud {
		s.answers.HonestStopped++
		s.annoy(p, t, 0.1)
		return
	}
	if blocked && !p.mood.banned {
		p.mood.banned = true
		p.plotAt = 0
		s.comeBack(p, t.at)
	}
}

// reject says that a bet did not happen, and ends its round.
func (s *Sim) reject(p *player, t *told) {
	b := s.inRound(p, t.at+1, "bet.rejected", t.undo.key)
	b.told.truth = t.truth
	b.ev.Payload = &pb.Event_BetRejected{BetRejected: &pb.BetRejected{Amount: p.money(t.undo.stake), Reason: "risk"}}
	p.tell(b)
	s.closeRound(p, t.at+2, t.undo.key, 0, 0, true)
}

// annoy counts an unjust answer. Some leave for good, with the chance given for each.
func (s *Sim) annoy(p *player, t *told, leaves float64) {
	p.mood.annoyed++
	if p.rng.chance(leaves) && p.end > t.at {
		p.end = t.at + minute
		s.answers.HonestLeft++
	}
}

// comeBack opens a new account for a fraud whose account is lost: new names, device and card, the same person behind it.
func (s *Sim) comeBack(p *player, now int64) {
	if !p.rng.chance(0.7) {
		p.end = now
		return
	}
	s.answers.Returned++
	rng := &p.rng
	p.keys.player, p.keys.account = rng.pcg.Uint64(), rng.pcg.Uint64()
	p.keys.devices = [2]uint64{rng.pcg.Uint64(), rng.pcg.Uint64()}
	p.keys.instruments = [2]uint64{rng.pcg.Uint64(), rng.pcg.Uint64()}
	p.registration.nickname = nickname(rng)
	p.mood, p.devicesSeen, p.plot, p.feature = mood{}, 0, nil, nil
	s.unborn(p, now+rng.micros(6*hour, 0.8))
}
