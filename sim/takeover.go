package sim

import pb "pitboss/proto/pitboss/v1"

// populateTakeovers takes accounts of ordinary players over (domain.md §3.11): the thief's acts are fraud, the victim's
// before and after are not.
func (s *Sim) populateTakeovers(idx []int32) {
	s.eachAgent(AccountTakeover, idx, func(rng *stream, p *player, m float64) {
		thief := s.role(AccountTakeover, p, "thief", m)
		victim := *thief
		victim.role, victim.fraud = "victim", false
		p.truth = &victim
		s.settled(p)
		p.wallet.real += int64(rng.lognormal(150, 0.8) * float64(p.brand.unit))
		p.wallet.deposits = 5 + rng.intn(40)
		p.wake = s.nextVisit(p, s.start)
		t := &takeover{mimicry: m, thief: thief, victim: &victim, rng: *rng}
		p.plot, p.plotAt = t, s.start+rng.uniform(max(s.cfg.span(), 1))
	})
}

// takeover is a thief's visit, in three acts: in, the payout changed, and out with the money.
type takeover struct {
	mimicry       float64
	rng           stream
	thief, victim *role
	stage         int
	keys          keys
	client        clientProgram
	habit         *habit
	seen          uint8
	// leave is when the thief goes.
	leave int64
}

func (t *takeover) act(s *Sim, p *player, now int64) int64 {
	switch t.stage {
	case 0:
		if p.stage != away || !p.registered {
			return now + hour
		}
		t.stage = 1
		return t.enter(s, p, now)
	case 1:
		t.stage = 2
		b := s.news(p, now, "account.detail_changed", producerAccounts, aboutVisit|aboutSession|aboutInstrument)
		b.told.act = true
		b.ev.Payload = &pb.Event_AccountDetailChanged{AccountDetailChanged: &pb.AccountDetailChanged{
			Field: "payout", OldHash: digestText(t.keys.instruments[0]), NewHash: digestText(p.keys.instruments[0]),
		}}
		p.tell(b)
		wait := int64(logInterpolate(t.mimicry, float64(2*minute), float64(15*minute), float64(50*minute)))
		t.leave = now + t.rng.micros(wait, 0.3)
		if t.mimicry < 0.25 {
			p.wake = t.leave + minute // nothing is played
		}
		return t.leave
	default:
		part := lerp3(t.mimicry, 1, 0.9, 0.5)
		if p.stage == playing {
			s.withdraw(p, now, int64(float64(p.wallet.real)*part))
			s.leave(p, now+second)
		}
		p.keys, p.client, p.habit, p.truth = t.keys, t.client, t.habit, t.victim
		p.devicesSeen = t.seen
		p.wake = now + t.rng.micros(2*day, 0.7)
		return 0
	}
}

// enter logs in from somewhere else.
func (t *takeover) enter(s *Sim, p *player, now int64) int64 {
	t.keys, t.client, t.habit, t.seen = p.keys, p.client, p.habit, p.devicesSeen
	rng := &t.rng
	p.truth, p.devicesSeen = t.thief, 0
	p.keys.devices = [2]uint64{rng.pcg.Uint64(), rng.pcg.Uint64()}
	p.keys.instruments = [2]uint64{rng.pcg.Uint64(), rng.pcg.Uint64()}
	p.keys.carrier, p.keys.vpn = 0, false
	switch {
	case t.mimicry < 0.33:
		p.keys.fixed = hostingAddress(rng.pcg.Uint64(), rng.pcg.Uint64())
	case t.mimicry < 0.75:
		p.keys.fixed = abroadAddress(uint64(rng.intn(countriesAbroad)), rng.pcg.Uint64())
	default:
		p.keys.home = homeAddress(uint64(rng.intn(s.cfg.Players/4+1)), rng.pcg.Uint64())
	}
	p.client = newClient(rng)
	h := *p.habit
	h.stake = stepBelow(s.steps, float64(s.steps[h.stake])*lerp3(t.mimicry, 5, 5, 2))
	h.sessionMedian, h.sessionSigma, h.takesBonus, h.withdraws = 3*hour, 0.1, 0, 0
	h.failedLogins = 1 + int(lerp3(t.mimicry, 50, 10, 0))
	p.habit = &h
	s.visit(p, now)
	if t.mimicry < 0.25 {
		p.wake += 6 * hour
	}
	end := p.queue[len(p.queue)-1].at
	return end + rng.micros(40*second, 0.5)
}
