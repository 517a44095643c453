package sim

import (
	"fmt"
	"math"
)

// Purposes of derived streams and keys. The numbers are part of what a seed means: never change one, only add.
const (
	purposePlayer = iota + 1
	purposeLayout
	purposeBot
	purposeRing
	purposeHousehold
	purposeIDs
	purposeLabels
	purposeKey
	purposeAgent
	purposeLive
	purposeLookAlikes
	purposeFaults
	purposePoker
)

// Kinds of keys under purposeKey.
const (
	keyPlayer = iota + 1
	keyAccount
	keyDevice
	keyInstrument
	keyPartner
	keyDocument
	keyPerson
)

// populate makes everybody. Who is what is drawn over a shuffle of the accounts, so that no number tells it.
func (s *Sim) populate() {
	rng := newStream(s.cfg.Seed, purposeLayout)
	order := rng.shuffle(s.cfg.Players)
	s.players = make([]player, s.cfg.Players)
	honest := &role{typology: honestTypology}
	for i := range s.players {
		s.newPlayer(int32(i), honest)
	}
	take := func(n int) []int32 {
		taken := order[:n]
		order = order[n:]
		return taken
	}
	builders := s.builders()
	for t, n := range s.cfg.accountsOf() {
		builders[t](take(n.Accounts))
	}
	s.populateLookAlikes(order)
	s.agenda = make(agenda, 0, len(s.players))
	for i := range s.players {
		p := &s.players[i]
		s.begin(p)
		if p.stage != gone && p.due() < s.end {
			s.agenda = append(s.agenda, p)
		}
	}
	s.agenda.init()
}

// builders are what makes the agents of each typology.
func (s *Sim) builders() [Typologies]func(idx []int32) {
	return [Typologies]func(idx []int32){
		MetronomeBot: s.populateBots, EmulatorFarm: s.populateFarms, BonusRing: s.populateRings, MultiAccount: s.populateMulti,
		LiveCollusion: s.populateCollusion, TournamentBooster: s.populateBoosters, JackpotTamper: s.populateJackpotTampers,
		Carousel: s.populateCarousels, AffiliateFraud: s.populateAffiliates, Chargeback: s.populateCards,
		AccountTakeover: s.populateTakeovers, TamperClient: s.populateTampered, Backdoor: s.populateBackdoors,
	}
}

// newPlayer makes an ordinary player, who may then be given another role.
func (s *Sim) newPlayer(idx int32, r *role) {
	p := &s.players[idx]
	id := uint64(idx)
	p.idx, p.truth = idx, r
	p.rng = newStream(s.cfg.Seed, purposePlayer, id)
	rng := &p.rng
	weights := make([]int, len(s.world.brands))
	for i := range weights {
		weights[i] = s.world.brands[i].weight
	}
	p.brand = &s.world.brands[rng.pick(weights)]
	p.keys.player = mix(s.cfg.Seed, purposeKey, keyPlayer, id)
	p.keys.account = mix(s.cfg.Seed, purposeKey, keyAccount, id)
	for i := range uint64(2) {
		p.keys.devices[i] = mix(s.cfg.Seed, purposeKey, keyDevice, id, i)
		p.keys.instruments[i] = mix(s.cfg.Seed, purposeKey, keyInstrument, id, i)
	}
	// About four homes share a /24, and fifty phones a carrier's.
	p.keys.home = homeAddress(uint64(rng.intn(s.cfg.Players/4+1)), rng.pcg.Uint64())
	carrier := uint64(rng.intn(s.cfg.Players/50 + 1))
	if rng.chance(s.cfg.Mix.Mobile) {
		p.keys.carrier = carrier + 1
	}
	if rng.chance(referredShare) {
		p.keys.partner = mix(s.cfg.Seed, purposeKey, keyPartner, uint64(rng.intn(partners)))
	}
	p.clickDelay = rng.micros(4*minute, 1)
	p.friend = -1
	if rng.chance(0.3) {
		p.friend = int32(rng.intn(s.cfg.Players))
	}
	if p.friend == idx {
		p.friend = -1
	}
	p.client = newClient(rng)
	p.registration = account{nickname: nickname(rng), emailDomain: emailDomain(rng)}
	p.habit = s.ordinaryHabit(rng)
	if rng.chance(0.1) && p.brand.index == pokerBrand {
		h := p.habit
		h.poker, h.hours, h.sessionMedian = rng.between(0.3, 0.8), evening, max(h.sessionMedian, 30*minute)
	}
	if rng.chance(atRiskShare) {
		s.loseHold(p)
	}
	p.end = s.end
	p.wallet.real = int64(rng.lognormal(6, 1.2)*float64(p.brand.unit) + 0.5)
	p.wallet.deposits = 1 + rng.intn(20)
}

// eagerStays is the correlation, in the logarithm, of how often and how long a player plays [A].
const eagerStays = 0.5

// ordinaryHabit is calibrated to domain.md §5: LaBrie 2008 for days and bets, UKGC for sessions, Forrest and McHale for
// stakes; what has no published source there is marked so in docs/sim.md.
func (s *Sim) ordinaryHabit(rng *stream) *habit {
	// Who comes often stays long: UKGC counts visits and finds 141 bets in one, LaBrie counts players and finds 116 on a
	// day of theirs. Both hold where visits are mostly those of the eager.
	eager, stays := rng.normal(), rng.normal()
	stays = float64(eagerStays*eager) + float64(math.Sqrt(1-eagerStays*eagerStays)*stays)
	h := &habit{
		activeShare:   min(0.074*spread(1.24, eager)*s.cfg.Activity, 0.95),
		again:         0.25,
		sessionMedian: int64(float64(190*second) * spread(1.31, stays)), sessionSigma: 0.92,
		pace:     pace{kind: paceHuman, base: rng.micros(2500*millisecond, 0.25), spread: rng.between(0.7, 1.1), pauses: 0.03},
		stake:    stepBelow(ladder(), rng.lognormal(40, 1.2)),
		restless: 0.1, chases: rng.chance(0.1),
		loyalty: rng.between(0.6, 0.98), tables: rng.float() * 0.3,
		deposit: rng.lognormal(25, 0.7), takesBonus: rng.between(0.1, 0.6),
		cashDelay: rng.micros(20*hour, 1), leaves: 0.02, withdraws: 0.1, regrets: 0.06, live: 0, cheat: honestCheat(),
	}
	if rng.chance(0.12) {
		h.live = rng.between(0.1, 0.6)
	}
	if rng.chance(0.08) {
		h.tournaments = 0.5
	}
	if rng.chance(0.4) {
		h.buys = rng.between(0.2, 0.6)
	}
	h.bonusTables = h.tables
	return h
}

// begin sets when a player is first heard of.
func (s *Sim) begin(p *player) {
	start := s.start
	p.dayStart = start
	if p.started {
		return
	}
	if p.rng.chance(s.cfg.NewShare) {
		s.unborn(p, start+p.rng.uniform(s.cfg.span()))
		return
	}
	p.registered, p.stage = true, away
	p.wake = s.nextVisit(p, start-day)
	if p.wake < start {
		p.wake = s.nextVisit(p, start)
	}
}

// unborn makes p a player who opens the account at a time.
func (s *Sim) unborn(p *player, at int64) {
	p.standUp()
	p.stage, p.wake, p.registered = unborn, at, false
	p.wallet = wallet{}
}

// nextVisit is when a player comes back after a time: another day, by the hours that people keep, or at a moment of the
// day that is the player's own.
func (s *Sim) nextVisit(p *player, after int64) int64 {
	rng, h := &p.rng, p.habit
	if h.slot > 0 {
		days := (after-s.start)/day + 1 + rng.failures(h.activeShare)
		return s.start + days*day + h.slot - 1 + rng.uniform(max(h.slotWidth, 1))
	}
	tz := int64(p.brand.tz) * minute
	local := (after + tz) / day * day
	local += (1 + rng.failures(min(h.activeShare*s.busy(local), 0.95))) * day
	return local + s.hourOf(rng, h) - tz
}

// hourOf draws the moment of the day, local, at which somebody plays.
func (s *Sim) hourOf(rng *stream, h *habit) int64 {
	within := rng.uniform(hour)
	switch h.hours {
	case evening:
		return int64(18+rng.intn(3))*hour + within
	case allDay:
		return int64(rng.intn(24))*hour + within
	case usual:
	}
	return int64((rng.pick(s.hours)+h.shift)%24)*hour + within
}

// usualHour moves a time to the hours that people keep, on the same day.
func (s *Sim) usualHour(rng *stream, p *player, at int64) int64 {
	tz := int64(p.brand.tz) * minute
	return max((at+tz)/day*day+s.hourOf(rng, p.habit)-tz, s.start)
}

func nickname(rng *stream) string {
	first := [...]string{"lucky", "happy", "night", "blue", "silver", "quick", "old", "big", "crazy", "sunny", "royal", "mad", "cool", "red", "iron", "baby"}
	second := [...]string{"fox", "star", "wolf", "queen", "spinner", "joker", "tiger", "ace", "rider", "panda", "viking", "bear", "duke", "moon", "shark", "cat"}
	return fmt.Sprintf("%s%s%d", first[rng.intn(len(first))], second[rng.intn(len(second))], rng.intn(1000))
}

func emailDomain(rng *stream) string {
	domains := [...]string{"mail.example", "post.example", "inbox.example", "quick.example", "home.example"}
	return domains[rng.pick([]int{45, 25, 15, 10, 5})]
}
