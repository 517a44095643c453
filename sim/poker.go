package sim

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	pb "pitboss/proto/pitboss/v1"
)

// Poker is played by one brand, in euros, for chips that a player brings to the table and takes away again. Who acts first
// after a hand deals the next one: all that happens in it is decided then, by the hand's own chance, and told at its time.
// Cards are a strength from 0 to 1 that moves from street to street; whoever has the highest in the end wins.

// pokerTable is a table of hold'em.
type pokerTable struct {
	id    string
	index uint64
	// blind is the big one, in minor units.
	blind int64
	seats [6]*player
	// hands counts them; the last one is over at until.
	hands uint64
	until int64
}

const (
	pokerBrand = 1
	// A player brings a hundred big blinds, twenty at the least, and needs two to be dealt in.
	fullStack, leastStack, leastHand = 100, 20, 2
	// The house takes a twentieth of the pot, three big blinds at most, where a flop was seen.
	rakePart, rakeLimit = 20, 3
)

func (s *Sim) openPoker() {
	for i, blind := range []int64{20, 50, 100} {
		s.poker = append(s.poker, pokerTable{
			id: fmt.Sprintf("holdem-%d", i+1), index: uint64(i), blind: blind * s.world.brands[pokerBrand].unit / 100,
		})
	}
}

// takeSeat sits down with chips at the agreed table, or at that of the player's stakes. Who has too few, or finds no seat,
// plays something else on this visit.
func (s *Sim) takeSeat(p *player, at int64) {
	t := &s.poker[min(p.habit.stake/4, len(s.poker)-1)]
	if c := p.habit.collusion; c != nil {
		t = &s.poker[int(c.table)%len(s.poker)]
	}
	seat := slices.Index(t.seats[:], nil)
	chips := min(p.wallet.real, fullStack*t.blind)
	if seat < 0 || chips < leastStack*t.blind || p.wallet.wagerTotal > 0 {
		s.closeGame(p, at)
		again := 0.5
		if p.habit.collusion != nil {
			again = 0.95
		}
		p.session.noPoker = seat < 0 || p.wallet.wagerTotal > 0 || p.session.declines >= 3 || !p.rng.chance(again)
		if !p.session.noPoker {
			s.deposit(p, at+p.rng.micros(5*second, 0.5), 0)
		}
		return
	}
	p.wallet.real -= chips
	p.poker, p.chips, t.seats[seat] = t, chips, p
	number, wait := int64(seat+1), p.rng.micros(9*second, 0.8)/millisecond
	b := s.atTable(p, at, "table.joined", t.id)
	b.ev.Payload = &pb.Event_TableJoined{TableJoined: &pb.TableJoined{Seat: &number, Stack: p.money(chips), WaitMs: &wait}}
	p.tell(b)
	p.session.seated = at
}

// standUp takes the chips back to the wallet.
func (p *player) standUp() {
	if p.poker == nil {
		return
	}
	p.poker.seats[slices.Index(p.poker.seats[:], p)] = nil
	p.wallet.real += p.chips
	p.poker, p.chips = nil, 0
}

// playPoker deals a hand where enough are there to play it, or waits.
func (s *Sim) playPoker(p *player, now int64) {
	t := p.poker
	h := hand{sim: s, table: t, at: now}
	for i, q := range t.seats {
		if q != nil && q.chips >= leastHand*t.blind {
			h.in = append(h.in, holder{p: q, seat: int64(i + 1)})
		}
	}
	p.wake = now + p.rng.micros(15*second, 0.5)
	switch {
	case p.chips < leastHand*t.blind:
		s.closeGame(p, now) // and perhaps brings new chips
	case len(h.in) < 2 && p.habit.collusion == nil && p.rng.chance(0.05):
		s.closeGame(p, now)
		p.session.noPoker = true
	case len(h.in) >= 2:
		t.hands++
		button := int(t.hands) % len(h.in)
		h.in = append(h.in[button:], h.in[:button]...)
		h.key = mix(s.cfg.Seed, purposePoker, t.index, t.hands)
		h.rng = newStream(h.key)
		h.play()
		t.until = h.at
		p.wake = h.at + p.rng.micros(3*second, 0.4)
	}
}

// hand is one hand while it is decided.
type hand struct {
	sim   *Sim
	table *pokerTable
	key   uint64
	rng   stream
	at    int64
	in    []holder
	pot   int64
	// street is its name; level is what everybody has to put in on it, raises how often that went up.
	street string
	level  int64
	raises int
}

// holder is one player's part in a hand.
type holder struct {
	p    *player
	seat int64
	// strength is that of the cards; put is all that went in, on this street of it.
	strength float64
	put, on  int64
	out      bool
}

func (h *hand) play() {
	for i := range h.in {
		h.in[i].strength = h.rng.float()
	}
	h.street, h.level = "preflop", h.table.blind
	h.put(&h.in[0], h.table.blind/2, "blind")
	h.put(&h.in[1], h.table.blind, "blind")
	streets := 0
	for _, street := range []string{"preflop", "flop", "turn", "river"} {
		if h.live() < 2 {
			break
		}
		streets++
		h.street = street
		h.bet()
		h.level, h.raises = 0, 0
		for i := range h.in {
			h.in[i].on = 0
			h.in[i].strength = min(max(h.in[i].strength+float64(0.12*h.rng.normal()), 0), 1)
		}
	}
	h.settle(streets > 1)
}

// bet goes round the table until everybody has put in as much as the last raise, or is out of chips.
func (h *hand) bet() {
	for round := range 3 {
		for i := range h.in {
			q := &h.in[i]
			if q.out || q.p.chips == 0 || h.live() < 2 || q.on >= h.level && (round > 0 || h.withChips() < 2) {
				continue
			}
			h.act(q, round < 2)
		}
	}
}

func (h *hand) live() int {
	n := 0
	for i := range h.in {
		if !h.in[i].out {
			n++
		}
	}
	return n
}

// withChips is how many of those still in can put in more.
func (h *hand) withChips() int {
	n := 0
	for i := range h.in {
		if !h.in[i].out && h.in[i].p.chips > 0 {
			n++
		}
	}
	return n
}

// act is one turn.
func (h *hand) act(q *holder, mayRaise bool) {
	due := h.level - q.on
	plan, chips := h.plan(q)
	switch {
	case plan == dumpChips && q.p.truth.role != mule && (h.street == "river" || due >= q.p.chips):
		q.out = true
		h.tell(q, "fold", 0)
	case plan == dumpChips && mayRaise && h.raises < 2 && q.p.truth.role == mule:
		h.raises++
		h.put(q, due+max(int64(float64(chips)*q.p.habit.collusion.dumpPart*0.4), h.table.blind), "raise")
	case due == 0 && (plan != playFair || q.strength < 0.7 && h.rng.float() > 0.08):
		h.tell(q, "check", 0)
	case due == 0 && mayRaise:
		h.put(q, max(h.pot/2, h.table.blind), "bet")
	case plan == playFair && q.strength < 0.35+float64(0.4*float64(due)/float64(h.pot+due)):
		q.out = true
		h.tell(q, "fold", 0)
	case plan == playFair && q.strength > 0.9 && mayRaise && h.raises < 2:
		h.raises++
		h.put(q, due+h.pot/2, "raise")
	case due > 0:
		h.put(q, due, "call")
	}
}

// What a pair plans for a hand that both are in.
const (
	playFair = iota
	playSoft
	dumpChips
)

// mule is the role of who takes the winnings of a group out.
const mule = "mule"

// plan is how a player plays a hand: fairly, but for those who work together while nobody else, or for a dump also somebody
// else, is left in it. chips are what the poorest partner still has.
func (h *hand) plan(q *holder) (plan int, chips int64) {
	c := q.p.habit.collusion
	if c == nil {
		return playFair, 0
	}
	partners, others := false, false
	chips = math.MaxInt64
	for i := range h.in {
		o := &h.in[i]
		if o.out || o.p == q.p {
			continue
		}
		if oc := o.p.habit.collusion; oc != nil && oc.key == c.key {
			partners = partners || q.p.truth.role == mule || o.p.truth.role == mule
			chips = min(chips, o.p.chips)
		} else {
			others = true
		}
	}
	u := float64(mix(c.key, h.key)>>11) * 0x1p-53
	switch {
	case partners && u < c.dumps:
		return dumpChips, chips
	case partners && !others && u < c.share:
		return playSoft, chips
	}
	return playFair, 0
}

// put moves chips into the pot.
func (h *hand) put(q *holder, amount int64, action string) {
	amount = min(amount, q.p.chips)
	if amount == q.p.chips && action != "blind" {
		action = "all_in"
	}
	h.tell(q, action, amount)
	q.p.chips -= amount
	q.put += amount
	q.on += amount
	h.pot += amount
	h.level = max(h.level, q.on)
}

func (h *hand) event(q *holder, kind string) *eventBlock {
	b := h.sim.atTable(q.p, h.at, kind, h.table.id)
	b.addRound(q.p, h.key)
	return b
}

func (h *hand) tell(q *holder, action string, amount int64) {
	think := h.rng.micros(3*second, 0.7)
	if action == "blind" {
		think = h.rng.micros(400*millisecond, 0.3)
	}
	h.at += think
	ms, seat := think/millisecond, q.seat
	b := h.event(q, "hand.action")
	b.ev.Payload = &pb.Event_HandAction{HandAction: &pb.HandAction{
		Street: h.street, Action: action, Amount: q.p.money(amount), ThinkMs: &ms, Seat: &seat, Pot: q.p.money(h.pot),
	}}
	h.sim.postpone(&b.told)
}

// settle gives the pot to the strongest, to each no more from anybody than what that one put in.
func (h *hand) settle(flop bool) {
	rake := int64(0)
	if flop {
		rake = min(h.pot/rakePart, rakeLimit*h.table.blind)
	}
	order, rest, won := make([]int, len(h.in)), make([]int64, len(h.in)), make([]int64, len(h.in))
	for i := range h.in {
		order[i], rest[i] = i, h.in[i].put
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(h.in[b].strength, h.in[a].strength) })
	for _, w := range order {
		if h.in[w].out {
			continue
		}
		limit := rest[w]
		for i := range rest {
			part := min(rest[i], limit)
			rest[i] -= part
			won[w] += part
		}
	}
	// What the fold of everybody who put in more leaves over goes to the last one in.
	for i := range rest {
		for _, w := range order {
			if !h.in[w].out {
				won[w] += rest[i]
				rest[i] = 0
				break
			}
		}
	}
	shown := h.live() > 1
	h.at += second
	for i := range h.in {
		q := &h.in[i]
		if won[i] > rake {
			won[i] -= rake
			h.result(q, won[i]-q.put, rake, shown && !q.out)
			rake = 0
		} else {
			h.result(q, won[i]-q.put, 0, shown && !q.out)
		}
		q.p.chips += won[i]
	}
	h.passed(won)
}

func (h *hand) result(q *holder, net, rake int64, shown bool) {
	seat := q.seat
	h.at++
	b := h.event(q, "hand.result")
	b.told.act = h.table.hands%10 == 0
	b.ev.Payload = &pb.Event_HandResult{HandResult: &pb.HandResult{
		Pot: q.p.money(h.pot), Rake: q.p.money(rake), Net: q.p.money(net), Seat: &seat, Shown: &shown,
	}}
	h.sim.postpone(&b.told)
}

// passed notes what a mule has from partners: their money, and nobody's loss.
func (h *hand) passed(won []int64) {
	for i := range h.in {
		m := &h.in[i]
		c := m.p.habit.collusion
		if c == nil || m.p.truth.role != mule || won[i] <= m.put {
			continue
		}
		for k := range h.in {
			if o := &h.in[k]; k != i && o.p.habit.collusion != nil && o.p.habit.collusion.key == c.key {
				o.p.wallet.sent += o.put
				m.p.wallet.received += o.put
			}
		}
	}
}
