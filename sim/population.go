package sim

import "fmt"

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
)

// Kinds of keys under purposeKey.
const (
	keyPlayer = iota + 1
	keyAccount
	keyDevice
	keyInstrument
)

// populate makes everybody. Who is what is drawn over a shuffle of the accounts, so that no number tells it.
func (s *Sim) populate() {
	rng := newStream(s.cfg.Seed, purposeLayout)
	order := rng.shuffle(s.cfg.Players)
	s.players = make([]player, s.cfg.Players)
	honest := &role{typology: "honest"}
	for i := range s.players {
		s.newPlayer(int32(i), honest)
	}
	take := func(n int) []int32 {
		taken := order[:n]
		order = order[n:]
		return taken
	}
	s.populateBots(take(accounts(s.cfg.Mix.Bots.Share, s.cfg.Players, 1)))
	s.populateRings(take(accounts(s.cfg.Mix.Rings.Share, s.cfg.Players, smallestRing)))
	left := len(order)
	s.populateAutoplay(take(accounts(s.cfg.Mix.Autoplay, left, 0)))
	s.populateHunters(take(accounts(s.cfg.Mix.Hunters, left, 0)))
	s.populateHouseholds(take(accounts(s.cfg.Mix.Households, left, 0)))
	s.agenda = make(agenda, 0, len(s.players))
	for i := range s.players {
		p := &s.players[i]
		s.begin(p)
		if p.stage != gone && p.wake < s.end {
			s.agenda = append(s.agenda, p)
		}
	}
	s.agenda.init()
}

// accounts is a share of n accounts, rounded; at least atLeast where the share is above 0.
func accounts(share float64, n, atLeast int) int {
	if share == 0 {
		return 0
	}
	return max(int(float64(share*float64(n))+0.5), atLeast)
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
	p.registration = account{nickname: nickname(rng), emailDomain: emailDomain(rng)}
	p.habit = s.ordinaryHabit(rng)
	p.end = s.end
	p.wallet.real = int64(rng.lognormal(6, 1.2)*float64(p.brand.unit) + 0.5)
	p.wallet.deposits = 1 + rng.intn(20)
}

// ordinaryHabit is calibrated to domain.md §5: LaBrie 2008 for days and bets, UKGC for sessions, Forrest and McHale for
// stakes; what has no published source there is marked so in docs/sim.md.
func (s *Sim) ordinaryHabit(rng *stream) *habit {
	h := &habit{
		activeShare:   min(rng.lognormal(0.074, 1.24)*s.cfg.Activity, 0.95),
		again:         0.25,
		sessionMedian: 330 * second, sessionSigma: 1.5,
		pace:     pace{kind: paceHuman, base: rng.micros(2500*millisecond, 0.25), spread: rng.between(0.7, 1.1), pauses: 0.05},
		stake:    stepBelow(ladder(), rng.lognormal(40, 1.2)),
		restless: 0.1, chases: rng.chance(0.1),
		loyalty: rng.between(0.6, 0.98), tables: rng.float() * 0.3,
		deposit: rng.lognormal(25, 0.7), takesBonus: rng.between(0.1, 0.6),
		cashDelay: rng.micros(20*hour, 1), leaves: 0.02,
	}
	h.bonusTables = h.tables
	if rng.chance(0.05) {
		h.shift = 8 + rng.intn(6)
	}
	return h
}

// populateAutoplay lets the machine press the button, where the regulator allows it: as even as a bot, but said so.
func (s *Sim) populateAutoplay(idx []int32) {
	truth := &role{typology: "honest", role: "autoplay"}
	for _, i := range idx {
		p := &s.players[i]
		p.truth = truth
		if !p.brand.autoplay {
			p.brand = &s.world.brands[1]
		}
		p.habit.autoplay = true
		p.habit.pace = pace{kind: paceFixed, base: p.rng.micros(2800*millisecond, 0.04), spread: 15 * float64(millisecond)}
		p.habit.sessionMedian = 600 * second
		p.habit.restless = 0.01
	}
}

// populateHunters takes every bonus and plays it out on low variance, inside the rules: alone, with one account.
func (s *Sim) populateHunters(idx []int32) {
	truth := &role{typology: "honest", role: "bonus_hunter"}
	for _, i := range idx {
		p := &s.players[i]
		rng := &p.rng
		p.truth = truth
		p.habit.takesBonus, p.habit.cashesIn = 0.95, true
		p.habit.bonusTables = rng.between(0.5, 1)
		p.habit.boldness = rng.between(0.02, 0.08)
		p.habit.cashDelay = rng.micros(2*hour, 1.5)
		p.habit.exact = rng.chance(0.3)
	}
}

// populateHouseholds lets two to four players live behind one line.
func (s *Sim) populateHouseholds(idx []int32) {
	truth := &role{typology: "honest", role: "household"}
	rng := newStream(s.cfg.Seed, purposeHousehold)
	for len(idx) >= 2 {
		n := min(2+rng.intn(3), len(idx))
		head := &s.players[idx[0]]
		device, card := rng.chance(0.3), rng.chance(0.15)
		for _, i := range idx[:n] {
			p := &s.players[i]
			p.truth = truth
			p.brand, p.keys.home, p.keys.carrier = head.brand, head.keys.home, 0
			if device {
				p.keys.devices[0] = head.keys.devices[0]
			}
			if card {
				p.keys.instruments[0] = head.keys.instruments[0]
			}
		}
		idx = idx[n:]
	}
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
	p.stage, p.wake, p.registered = unborn, at, false
	p.wallet = wallet{}
}

// nextVisit is when an ordinary player comes back after a time: another day, by the hours that people keep.
func (s *Sim) nextVisit(p *player, after int64) int64 {
	rng := &p.rng
	tz := int64(p.brand.tz) * minute
	local := (after + tz) / day * day
	local += (1 + rng.failures(p.habit.activeShare)) * day
	h := (rng.pick(s.hours) + p.habit.shift) % 24
	return local + int64(h)*hour + rng.uniform(hour) - tz
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
