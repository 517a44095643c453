package sim

import (
	"fmt"

	pb "pitboss/proto/pitboss/v1"
)

// liveTable is a table with a dealer. Its rounds go on whether anybody bets or not: a round's time, seeds and outcome
// follow from the table and the round's number, so that nothing has to be kept.
type liveTable struct {
	id, dealer string
	game       *game
	// told is the number of the last round whose window was told.
	told int64
}

const (
	livePeriod = 40 * second
	liveWindow = 15 * second
	liveResult = 24 * second
	liveTables = 3
)

func (s *Sim) openTables() {
	for i := range liveTables {
		s.tables = append(s.tables, liveTable{
			id: fmt.Sprintf("live-%d", i+1), dealer: keyText("st-", mix(0xdea1e5, uint64(i))), game: &s.world.games[s.world.live],
		})
	}
}

// liveRound is one round of a live table.
type liveRound struct {
	number, opened int64
	key            uint64
}

// nextRound is the first round of a table whose window opens at or after a time.
func (s *Sim) nextRound(table int32, at int64) liveRound {
	n := (at + livePeriod - 1) / livePeriod
	return liveRound{number: n, opened: n * livePeriod, key: mix(s.cfg.Seed, purposeLive, uint64(table), uint64(n))}
}

// playLive plays one round at the table where the player sits, or waits for it.
func (s *Sim) playLive(p *player, now, stake int64) {
	rng, ses := &p.rng, &p.session
	r := s.nextRound(ses.table, now)
	if now < r.opened {
		now = r.opened
	}
	act := now + rng.micros(5*second, 0.4)
	selection, skip := [...]string{"red", "black"}[rng.intn(2)], rng.chance(0.15)
	if c := p.habit.collusion; c != nil {
		if joint, side := c.bets(r); joint {
			selection, skip = side, false
			stake = min(p.wallet.total(), max(p.brand.unit/10, int64(float64(stake)*rng.between(1-c.differ, 1+c.differ))))
		}
	}
	if skip || act >= r.opened+liveWindow || stake <= 0 {
		p.wake = r.opened + livePeriod
		return
	}
	t := &turn{
		key: r.key, stake: stake, mode: "manual", selection: selection, pressed: act, clientSeed: s.tables[ses.table].id,
		shown: r.opened + liveResult + rng.micros(30*millisecond, 0.3),
	}
	ses.clientSeq++
	ses.nonce = uint64(r.number)
	t.draw = newDraw(mix(r.key, 1), mix(r.key, 2), t.clientSeed, ses.nonce)
	s.window(p, r)
	s.playOut(p, act-rng.micros(800*millisecond, 0.3), t)
	p.wake = r.opened + livePeriod + 1
}

// window tells once when bets were taken.
func (s *Sim) window(p *player, r liveRound) {
	t := &s.tables[p.session.table]
	if t.told >= r.number {
		return
	}
	t.told = r.number
	closed := r.opened + liveWindow
	b := s.news(p, closed, "live.bet_window", producerStudio, 0)
	b.told.truth = &role{typology: honestTypology}
	ids := identifiers{block: b}
	ids.add("table", t.id)
	ids.addKey("round", "r-", r.key)
	ids.add("game", t.game.id)
	ids.add("staff", t.dealer)
	offset := int64(1200)
	b.ev.Payload = &pb.Event_LiveBetWindow{LiveBetWindow: &pb.LiveBetWindow{
		OpenedAt: timeOf(r.opened), ClosedAt: timeOf(closed), ClockId: "studio-1", OffsetUs: &offset,
	}}
	s.postpone(&b.told)
}

// sit takes a seat at a live table when its game is launched.
func (s *Sim) sit(p *player, at int64) {
	ses := &p.session
	ses.table = int32(p.rng.intn(liveTables))
	if c := p.habit.collusion; c != nil {
		ses.table = c.table
	}
	seat, wait := int64(1+p.rng.intn(7)), p.rng.micros(9*second, 0.8)/millisecond
	b := s.atTable(p, at, "table.joined", s.tables[ses.table].id)
	b.ev.Payload = &pb.Event_TableJoined{TableJoined: &pb.TableJoined{Seat: &seat, Stack: p.money(p.wallet.total()), WaitMs: &wait}}
	p.tell(b)
	ses.seated = at
}

// rise leaves the table.
func (s *Sim) rise(p *player, at int64) {
	if p.session.seated == 0 {
		return
	}
	length := (at - p.session.seated) / millisecond
	id, stack := s.tables[p.session.table].id, p.wallet.total()
	if p.poker != nil {
		id, stack = p.poker.id, p.chips
		p.standUp()
	}
	b := s.atTable(p, at, "table.left", id)
	b.ev.Payload = &pb.Event_TableLeft{TableLeft: &pb.TableLeft{Stack: p.money(stack), DurationMs: &length}}
	p.tell(b)
	p.session.seated = 0
}

func (s *Sim) atTable(p *player, at int64, kind, table string) *eventBlock {
	b := s.news(p, at, kind, p.session.game.producer, aboutVisit|aboutSession|aboutGame)
	ids := identifiers{block: b, n: len(b.ev.Entities)}
	ids.add("table", table)
	return b
}

// collusion is what the members of a pair or trio agree on.
type collusion struct {
	key   uint64
	table int32
	// member is 0 or 1: the side.
	member uint64
	// share of rounds are played against each other, with stakes that differ by at most differ.
	share, differ float64
	// At a poker table share is that of hands in which they do not bet against each other; dumps is that of hands in which the
	// mule is given chips, dumpPart how much of a stack.
	dumps, dumpPart float64
}

// bets says whether a round is played jointly, and on what.
func (c *collusion) bets(r liveRound) (joint bool, side string) {
	h := mix(c.key, uint64(r.number))
	if float64(h>>11)*0x1p-53 >= c.share {
		return false, ""
	}
	return true, [...]string{"red", "black"}[(h^c.member)&1]
}

// populateCollusion makes pairs and trios that bet against each other at one live table, or play softly and dump chips at one
// of poker.
func (s *Sim) populateCollusion(idx []int32) {
	size := func(rng *stream) int { return 2 + rng.pick([]int{2, 1}) }
	s.eachGroup(LiveCollusion, idx, size, func(rng *stream, g *group) {
		m := g.mimicry
		head := &s.players[g.idx[0]]
		poker := rng.chance(0.4)
		key, table := rng.pcg.Uint64(), int32(rng.intn(liveTables))
		device := rng.chance(lerp3(m, 0.5, 0.2, 0))
		line := rng.chance(lerp3(m, 0.8, 0.4, 0.1))
		stake := stepBelow(s.steps, rng.lognormal(200, 0.5))
		within := int64(logInterpolate(m, float64(20*second), float64(2*minute), float64(12*minute)))
		begin := s.start + int64(18+rng.intn(4))*hour
		for n, i := range g.idx {
			p := &s.players[i]
			part := "player"
			if n == 0 {
				part = mule
			}
			p.truth, p.brand = g.role(part), head.brand
			s.settled(p)
			h := p.habit
			h.collusion = &collusion{key: key, table: table, member: uint64(n & 1), share: lerp3(m, 1, 0.8, 0.6), differ: lerp3(m, 0, 0.1, 0.3)}
			h.favourite, h.loyalty, h.chases = 1+s.world.live, 1, false
			if poker {
				p.brand = &s.world.brands[pokerBrand]
				h.favourite, h.live, h.takesBonus = 1+s.world.poker, 0, 0
				h.collusion.dumps, h.collusion.dumpPart = logInterpolate(m, 0.3, 0.1, 0.03), lerp3(m, 1, 0.5, 0.25)
				p.wallet.real = max(p.wallet.real, 150*p.brand.unit)
			}
			h.stake, h.deposit = stake, rng.lognormal(150, 0.3)
			h.sessionMedian, h.sessionSigma, h.again = 90*minute, 0.1, 0
			// They come every evening at the same time, a little after one another.
			h.slot, h.slotWidth = (begin-s.start)%day+1, within
			h.withdraws = 0.1
			if n == 0 {
				h.withdraws = 0.9
			}
			if device {
				p.keys.devices = head.keys.devices
			}
			if line {
				p.keys.home, p.keys.carrier = head.keys.home&^0xff|uint32(rng.intn(256)), 0
			}
			p.wake, p.started = begin+rng.uniform(within), true
		}
	})
}

// settled makes an agent one who has been here before.
func (s *Sim) settled(p *player) {
	p.registered, p.stage, p.started = true, away, true
	p.wallet.real = max(p.wallet.real, 30*p.brand.unit)
}
