package sim

import (
	"strconv"

	pb "pitboss/proto/pitboss/v1"
)

// jackpot is a progressive one, of one brand, in minor units of its currency. What its events say of the meters is set
// when their turn comes, so that the meters only ever go forward in the order of the stream.
type jackpot struct {
	id    string
	brand *brand
	// base is what it starts from; display is shown, reserve pays for the next base.
	base, display, reserve int64
	inMeter, hits          uint64
	wins, staked           int64
	metered                int64
}

const (
	// A hundredth of a bet goes into the pool that is shown, half of that into the reserve.
	jackpotRate, reserveRate = 10_000, 5_000
	// jackpotSpan is how many units are staked from hit to hit on average, jackpotBase what a jackpot starts from.
	jackpotSpan, jackpotBase = 40_000, 200
)

func (s *Sim) openJackpots() {
	for i := range s.world.brands {
		br := &s.world.brands[i]
		base := jackpotBase * br.unit
		s.jackpots = append(s.jackpots, jackpot{id: "grand-" + br.name, brand: br, base: base, display: base})
	}
}

// part is a share of a bet in parts per million, such that the parts of all bets add up to the share of their sum.
func part(staked, bet, ppm int64) int64 { return (staked+bet)*ppm/1_000_000 - staked*ppm/1_000_000 }

// aboutJackpot makes an event of a jackpot's, which is about a player only where told so.
func (s *Sim) aboutJackpot(p *player, at int64, kind string, j *jackpot, withPlayer bool) *eventBlock {
	b := s.news(p, at, kind, producerJackpots, 0)
	n := len(b.ev.Entities)
	if !withPlayer {
		n = 0
	}
	ids := identifiers{block: b, n: n}
	ids.add("jackpot", j.id)
	return b
}

// contribute takes the jackpot's part of a bet, and gives the time after it.
func (s *Sim) contribute(p *player, at int64, t *turn) int64 {
	c, rng := &p.habit.cheat, &p.rng
	at += rng.micros(4*millisecond, 0.3)
	factor := 1.0
	if c.wrongPart > 0 && rng.chance(c.wrongPart) {
		factor = c.partFactor
	}
	s.contribution(p, at, t.key, t.stake, factor)
	if c.orphans > 0 && rng.chance(c.orphans) {
		at += rng.micros(20*millisecond, 0.4)
		s.contribution(p, at, rng.pcg.Uint64(), t.stake, 1)
	}
	return at
}

func (s *Sim) contribution(p *player, at int64, round uint64, bet int64, factor float64) {
	j := &s.jackpots[p.brand.index]
	b := s.aboutJackpot(p, at, "jackpot.contribution", j, true)
	b.addRound(p, round)
	b.told.finish = func(ev *pb.Event) {
		shown, kept := part(j.staked, bet, jackpotRate), part(j.staked, bet, reserveRate)
		shown = int64(float64(shown) * factor)
		j.staked += bet
		j.display += shown
		j.reserve += kept
		j.inMeter++
		counted, rate := j.inMeter, int64(jackpotRate)
		ev.Payload = &pb.Event_JackpotContribution{JackpotContribution: &pb.JackpotContribution{
			Amount: j.money(shown), Reserve: j.money(kept), PoolAfter: j.money(j.display), InMeter: &counted, Bet: j.money(bet),
			RatePpm: &rate,
		}}
	}
	p.tell(b)
	if at-j.metered >= hour {
		j.metered = at
		p.tell(s.meter(p, at+1, j))
		if p.rng.chance(0.1) {
			s.changeParameter(p, at+2, j, 1+int64(p.rng.intn(2)))
		}
	}
}

// meter tells a jackpot's counters as they stand.
func (s *Sim) meter(p *player, at int64, j *jackpot) *eventBlock {
	b := s.aboutJackpot(p, at, "jackpot.meter", j, false)
	b.told.truth = truthOfMeter(p)
	b.told.finish = func(ev *pb.Event) {
		hits, counted := j.hits, j.inMeter
		ev.Payload = &pb.Event_JackpotMeter{JackpotMeter: &pb.JackpotMeter{
			BaseLevel: j.money(j.base), Display: j.money(j.display), Reserve: j.money(j.reserve), Hits: &hits, Wins: j.money(j.wins),
			InMeter: &counted,
		}}
	}
	return b
}

// truthOfMeter: an hour's meter is honest, whoever's bet it came after, but where its step back is this player's doing.
func truthOfMeter(p *player) *role {
	if _, ok := p.plot.(*meterStep); ok {
		return p.truth
	}
	return &role{typology: honestTypology}
}

// changeParameter is a change of a jackpot's rate by somebody, with the approval of so many others.
func (s *Sim) changeParameter(p *player, at int64, j *jackpot, approvals int64) {
	b := s.aboutJackpot(p, at, "jackpot.param_changed", j, false)
	ids := identifiers{block: b, n: len(b.ev.Entities)}
	ids.addKey("staff", "st-", mix(uint64(p.brand.index), p.rng.pcg.Uint64()%7))
	if approvals > 0 {
		b.told.truth = &role{typology: honestTypology}
	}
	b.ev.Payload = &pb.Event_JackpotParamChanged{JackpotParamChanged: &pb.JackpotParamChanged{
		Field: "rtp_ppm", OldValue: strconv.Itoa(955_000), NewValue: strconv.Itoa(955_000 + 1000*p.rng.intn(10)), Approvals: &approvals,
	}}
	p.tell(b)
}

// perhapsJackpot pays the jackpot where the round's chance says so, and gives the time after it.
func (s *Sim) perhapsJackpot(p *player, at int64, t *turn) int64 {
	if t.draw.jackpotUnit() >= float64(t.stake)/float64(jackpotSpan*p.brand.unit) {
		return at
	}
	j := &s.jackpots[p.brand.index]
	at += p.rng.micros(200*millisecond, 0.3)
	won := int64(0)
	b := s.aboutJackpot(p, at, "jackpot.won", j, true)
	b.addRound(p, t.key)
	b.told.finish = func(ev *pb.Event) {
		won = j.display
		j.hits++
		j.wins += won
		j.display = 0
		hits := j.hits
		ev.Payload = &pb.Event_JackpotWon{JackpotWon: &pb.JackpotWon{Amount: j.money(won), PoolAfter: j.money(0), Hits: &hits}}
	}
	p.tell(b)
	b = s.aboutJackpot(p, at+1, "jackpot.reset", j, false)
	b.told.truth = &role{typology: honestTypology}
	b.told.finish = func(ev *pb.Event) {
		fromReserve := min(j.reserve, j.base)
		j.reserve -= fromReserve
		j.display += j.base
		ev.Payload = &pb.Event_JackpotReset{JackpotReset: &pb.JackpotReset{
			BaseLevel: j.money(j.base), Reserve: j.money(fromReserve), PoolAfter: j.money(j.display),
		}}
	}
	p.tell(b)
	b = s.inRound(p, at+2, "win.credited", t.key)
	b.transaction(p)
	b.ev.ReferenceTransactionId = t.bet
	b.told.finish = func(ev *pb.Event) {
		p.wallet.real += won
		ev.Payload = &pb.Event_WinCredited{WinCredited: &pb.WinCredited{Amount: j.money(won), Jackpot: j.money(won)}}
	}
	p.tell(b)
	return at + 2
}

func (j *jackpot) money(minor int64) *pb.Money { return j.brand.money(minor) }
