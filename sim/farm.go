package sim

import "fmt"

const (
	smallestFarm, largestFarm = 10, 200
	// farmStop is the chance of a farm to stop growing, beyond its smallest.
	farmStop = 0.03
)

// populateFarms makes emulator farms (domain.md §3.2): many accounts on a few hosts, which log in one after another.
func (s *Sim) populateFarms(idx []int32) {
	size := func(rng *stream) int { return min(smallestFarm+int(rng.failures(farmStop)), largestFarm) }
	s.eachGroup(EmulatorFarm, idx, size, func(rng *stream, g *group) {
		m := g.mimicry
		head := &s.players[g.idx[0]]
		hosts := min(3+rng.intn(8), len(g.idx))
		every, net := rng.between(30, 300), rng.pcg.Uint64()
		first, r := s.start+rng.uniform(max(s.cfg.span()/2, 1)), g.role("bot")
		at := float64(first)
		cv := lerp3(m, 0.05, 0.3, 1)
		for n, i := range g.idx {
			p := &s.players[i]
			host := &s.players[g.idx[n%hosts]]
			p.truth, p.brand, p.started = r, head.brand, true
			at += float64(every * float64(second) * max(1+float64(cv*rng.normal()), 0.05))
			born := int64(at)
			s.unborn(p, born)
			if rng.chance(lerp3(m, 1, 0.5, 0)) {
				p.keys.devices = host.keys.devices
			}
			if rng.chance(lerp3(m, 1, 0.5, 0)) {
				p.client.renderer = "software"
				p.client.platform, p.client.browser, p.client.touch = "android", "chrome", 0
			}
			if rng.chance(lerp3(m, 1, 0.5, 0)) {
				p.keys.carrier, p.keys.fixed = 0, hostingAddress(net, rng.pcg.Uint64())
			}
			p.keys.instruments[0] = host.keys.instruments[0]
			s.farmHabit(rng, p, m, born)
		}
	})
}

func (s *Sim) farmHabit(rng *stream, p *player, m float64, born int64) {
	h := p.habit
	h.activeShare, h.again = 0.9, 0
	h.sessionMedian, h.sessionSigma = 40*minute, 0.3
	h.pace = botPace(rng, m)
	h.exact, h.takesBonus, h.chases = true, 1, false
	h.bonusTables, h.boldness = 1, lerp(0.1, 0.03, m)
	h.restless, h.loyalty = 0.02, 0.99
	h.cashesIn, h.cashDelay, h.leaves = true, rng.micros(20*minute, 0.5), 1-float64(0.7*m)
	// The same second of every day, as the list of accounts is worked through.
	h.slot, h.slotWidth = (born-s.start)%day+1, int64(lerp3(m, float64(2*second), float64(minute), float64(hour)))
	gesturesOf(rng, p, m)
}

// gesturesOf is what a bot's client reports: nothing when crude, untrusted ones, then replayed ones.
func gesturesOf(rng *stream, p *player, m float64) {
	p.client.gestures = lerp3(m, 0, 0.5, 1)
	p.client.trusted = m >= 0.75
	p.client.blocked = rng.chance(0.03)
	if m < 0.5 && rng.chance(0.8) {
		p.client.flags = 1 // webdriver
	}
}

// populateMulti makes persons with several accounts: the first is excluded or limited, the others follow.
func (s *Sim) populateMulti(idx []int32) {
	size := func(rng *stream) int { return 2 + rng.intn(3) }
	s.eachGroup(MultiAccount, idx, size, func(rng *stream, g *group) {
		m := g.mimicry
		head := &s.players[g.idx[0]]
		out := s.start + rng.uniform(max(s.cfg.span()/2, 1))
		next := out
		for n, i := range g.idx {
			p := &s.players[i]
			h := p.habit
			h.activeShare, h.sessionMedian = 0.6, 20*minute
			if n == 0 {
				p.truth = g.role("first")
				s.settled(p)
				p.wake = s.start + rng.uniform(max(out-s.start, 1))
				p.plot, p.plotAt = &exclusion{}, out
				continue
			}
			p.truth, p.brand, p.started = g.role("second"), head.brand, true
			next += rng.micros(int64(logInterpolate(m, float64(hour), float64(12*hour), float64(7*day))), 0.5)
			s.unborn(p, next)
			if rng.chance(lerp3(m, 1, 0.6, 0.2)) {
				p.keys.devices = head.keys.devices
				p.client = head.client
			}
			if rng.chance(lerp3(m, 1, 0.8, 0.5)) {
				p.keys.home, p.keys.carrier = head.keys.home, head.keys.carrier
			}
			if rng.chance(lerp3(m, 0.8, 0.4, 0.1)) {
				p.keys.instruments = head.keys.instruments
			}
			if rng.chance(lerp3(m, 0, 0.5, 1)) {
				h.shift = 12
			}
			h.takesBonus = lerp3(m, 1, 0.8, 0.6)
			p.registration.nickname = fmt.Sprintf("%s%d", head.registration.nickname, n)
			if m > 0.3 {
				p.registration.nickname = nickname(rng)
			}
		}
	})
}

// exclusion shuts a player out, by the player's own wish.
type exclusion struct{}

func (*exclusion) act(s *Sim, p *player, now int64) int64 {
	if p.stage != playing {
		s.come(p, now, 0)
		return now + 30*second
	}
	s.exclude(p, now)
	return 0
}
