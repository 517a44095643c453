package sim

import pb "pitboss/proto/pitboss/v1"

const (
	// partners is how many affiliates there are; referredShare is the share of new accounts that one of them brings.
	partners      = 40
	referredShare = 0.2
	// commission is what an affiliate gets for a player whose first deposit is bonusMinimum or more, in units.
	commission = 30
)

// partnerText names an affiliate.
func partnerText(key uint64) string { return keyText("af-", key) }

// click is the visit to the affiliate's page that brought a player, before the account.
func (s *Sim) click(p *player, at int64) {
	p.keys.click = p.rng.pcg.Uint64()
	b := s.news(p, at, "affiliate.click", producerPartners, 0)
	ids := identifiers{block: b}
	ids.add("affiliate", partnerText(p.keys.partner))
	ids.addKey("click", "c-", p.keys.click)
	ids.addKey("device", "d-", p.session.device)
	ids.add("ip", addressText(p.session.address))
	b.ev.Payload = &pb.Event_AffiliateClick{AffiliateClick: &pb.AffiliateClick{SubId: "web"}}
	p.tell(b)
}

// qualify pays the affiliate for a player's first deposit.
func (s *Sim) qualify(p *player, at, amount int64, done *deed) {
	if p.keys.partner == 0 || p.wallet.deposits != 1 || p.keys.click == 0 || amount < bonusMinimum*p.brand.unit {
		return
	}
	b := s.news(p, at, "affiliate.qualified", producerPartners, 0)
	ids := identifiers{block: b, n: len(b.ev.Entities)}
	ids.add("affiliate", partnerText(p.keys.partner))
	b.ev.Payload = &pb.Event_AffiliateQualified{AffiliateQualified: &pb.AffiliateQualified{Rule: "first_deposit", SubId: "web"}}
	p.tell(b)
	b = s.news(p, at+p.rng.micros(6*hour, 0.5), "affiliate.commission", producerPartners, 0)
	ids = identifiers{block: b, n: len(b.ev.Entities)}
	ids.add("affiliate", partnerText(p.keys.partner))
	paid := commission * p.brand.unit
	b.ev.Payload = &pb.Event_AffiliateCommission{AffiliateCommission: &pb.AffiliateCommission{Model: "cpa", Amount: p.money(paid), SubId: "web"}}
	b.told.act = true
	if p.truth.typology == AffiliateFraud.String() {
		b.told.loss = paid
	}
	b.told.deed = done
	s.postpone(&b.told)
}

// transfer sends money to another player. Both sides tell it; the other side's wallet has it when its event comes.
func (s *Sim) transfer(p, to *player, at, amount int64, context string) {
	if amount <= 0 || amount > p.wallet.real {
		return
	}
	p.wallet.real -= amount
	p.wallet.sent += amount
	id := keyText("x-", p.rng.pcg.Uint64())
	b := s.news(p, at, "transfer.p2p", producerCashier, aboutVisit|aboutSession)
	b.told.act = true
	ids := identifiers{block: b, n: len(b.ev.Entities)}
	ids.addKey("counterparty", "p-", to.keys.player)
	b.transaction(p)
	b.ev.Payload = &pb.Event_TransferP2P{TransferP2P: &pb.TransferP2P{Direction: "out", Amount: p.money(amount), Context: context, TransferId: id}}
	p.tell(b)
	in := s.news(to, at+p.rng.micros(2*second, 0.4), "transfer.p2p", producerCashier, 0)
	ids = identifiers{block: in, n: len(in.ev.Entities)}
	ids.addKey("counterparty", "p-", p.keys.player)
	in.ev.TransactionId = keyText("t-", p.rng.pcg.Uint64())
	in.ev.Payload = &pb.Event_TransferP2P{TransferP2P: &pb.TransferP2P{Direction: "in", Amount: p.money(amount), Context: context, TransferId: id}}
	in.told.truth = to.truth
	unit := p.brand.unit
	in.told.finish = func(*pb.Event) {
		arrived := amount * to.brand.unit / unit // the brand may have changed its currency
		to.wallet.real += arrived
		to.wallet.received += arrived
	}
	s.postpone(&in.told)
}

// gift is an ordinary player's transfer to a friend of the same brand.
func (s *Sim) gift(p *player, at int64) {
	if p.friend < 0 || p.wallet.real < 10*p.brand.unit {
		return
	}
	to := &s.players[p.friend]
	if to.brand != p.brand || !to.registered || to.stage == gone {
		return
	}
	s.transfer(p, to, at, snapDeposit(p.rng.lognormal(10, 0.5))*p.brand.unit, "gift")
}

const smallestAffiliate = 20

// populateAffiliates makes accounts that one affiliate is paid for and nobody uses.
func (s *Sim) populateAffiliates(idx []int32) {
	size := func(rng *stream) int { return min(smallestAffiliate+int(rng.failures(0.01)), 500) }
	s.eachGroup(AffiliateFraud, idx, size, func(rng *stream, g *group) {
		m := g.mimicry
		partner := mix(s.cfg.Seed, purposeKey, keyPartner, rng.pcg.Uint64())
		head := &s.players[g.idx[0]]
		line, r := rng.chance(lerp3(m, 0.6, 0.3, 0.1)), g.role("referred")
		for _, i := range g.idx {
			p := &s.players[i]
			p.truth, p.brand, p.started = r, head.brand, true
			p.keys.partner = partner
			p.clickDelay = int64(logInterpolate(m, float64(2*second), float64(20*second), float64(3*minute)))
			if line {
				p.keys.home, p.keys.carrier = head.keys.home&^0xff|uint32(rng.intn(256)), 0
			}
			born := s.start + rng.uniform(max(s.cfg.span()*3/4, 1))
			if rng.chance(m) {
				born = s.usualHour(rng, p, born)
			}
			s.unborn(p, born)
			h := p.habit
			h.exact = rng.chance(lerp3(m, 1, 0.7, 0.4))
			h.deposit, h.takesBonus, h.chases = 22, 0, false
			h.activeShare, h.sessionMedian, h.sessionSigma = 0.5, 4*minute, 0.5
			p.end = min(s.end, born+int64(logInterpolate(m, float64(30*minute), float64(3*day), float64(7*day))))
		}
	})
}

const smallestCarousel = 3

// populateCarousels makes accounts that money goes round in.
func (s *Sim) populateCarousels(idx []int32) {
	size := func(rng *stream) int { return smallestCarousel + rng.intn(4) }
	s.eachGroup(Carousel, idx, size, func(rng *stream, g *group) {
		m, n := g.mimicry, len(g.idx)
		begin := s.start + rng.uniform(max(s.cfg.span()/2, 1))
		opened := int64(logInterpolate(m, float64(day), float64(7*day), float64(30*day)))
		head := &s.players[g.idx[0]]
		rounds := make([]*circuit, n)
		for k, i := range g.idx {
			p := &s.players[i]
			part := "node"
			switch k {
			case 0:
				part = "source"
			case n - 1:
				part = "exit"
			}
			p.truth, p.brand, p.started = g.role(part), head.brand, true
			if born := begin - rng.uniform(opened); born > s.start && m < 0.9 {
				s.unborn(p, born)
			} else {
				s.settled(p)
				p.wake = s.start + rng.uniform(day)
			}
			h := p.habit
			h.activeShare, h.takesBonus, h.chases = 0.3, 0, false
			h.sessionMedian = int64(lerp3(m, float64(minute), float64(5*minute), float64(10*minute)))
			rounds[k] = &circuit{laps: 0, linger: int64(lerp3(m, 0, float64(4*minute), float64(10*minute)))}
			p.plot = rounds[k]
		}
		s.hops(rng, g, rounds, begin)
	})
}

// hops plans who sends to whom when.
func (s *Sim) hops(rng *stream, g *group, rounds []*circuit, begin int64) {
	m, n := g.mimicry, len(rounds)
	laps := 1 + rng.intn(5)
	at := begin
	amount := rng.lognormal(400, 0.6)
	for k := range laps*n + n - 1 {
		who := k % n
		to := (who + 1) % n
		rounds[who].hops = append(rounds[who].hops, hop{at: at, to: g.idx[to], keep: rng.between(lerp3(m, 1, 0.95, 0.85), 1)})
		at += rng.micros(int64(logInterpolate(m, float64(10*minute), float64(40*minute), float64(160*minute))), 1)
	}
	rounds[0].deposit = amount
	rounds[n-1].exitAt = at
	for k, i := range g.idx {
		p := &s.players[i]
		p.plotAt = rounds[k].next()
	}
}

// circuit is one member's part of a carousel.
type circuit struct {
	hops []hop
	laps int
	// deposit, in units, is what the source brings.
	deposit float64
	// exitAt is when the exit withdraws; linger is how long a visit lasts beyond its purpose.
	exitAt, linger int64
}

type hop struct {
	at   int64
	to   int32
	keep float64
}

func (r *circuit) next() int64 {
	if r.laps < len(r.hops) {
		return r.hops[r.laps].at
	}
	return r.exitAt
}

func (r *circuit) act(s *Sim, p *player, now int64) int64 {
	if p.stage == unborn {
		return now + 10*minute
	}
	at := s.come(p, now, r.linger)
	if r.deposit > 0 {
		units := snapDeposit(r.deposit)
		r.deposit = 0
		s.deposit(p, at, units)
		return p.wake
	}
	if r.laps < len(r.hops) {
		h := r.hops[r.laps]
		r.laps++
		s.transfer(p, &s.players[h.to], at, int64(float64(p.wallet.real)*h.keep), "wallet")
		return r.next()
	}
	if p.wallet.real >= p.brand.unit {
		s.withdraw(p, at, p.wallet.real)
	}
	r.exitAt = 0
	return 0
}
