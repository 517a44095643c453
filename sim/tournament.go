package sim

import (
	"cmp"
	"fmt"
	"slices"

	pb "pitboss/proto/pitboss/v1"
)

// tournament is one evening's board of one brand: from 18 to 22 h local, points for what rounds pay.
type tournament struct {
	id    string
	brand *brand
	// from and until are its time.
	from, until int64
	entries     []*entry
	pool        int64
}

// entry is one player's part in a tournament.
type entry struct {
	p      *player
	points int64
	// owed are the points that a second device still has to bring.
	owed []int64
}

// spliceAfter is how many scores a booster gathers before the second device goes on with them.
const spliceAfter = 80

const (
	tournamentBuyIn, tournamentFee = 200, 20 // hundredths of a unit
	tournamentStart, tournamentEnd = 18 * hour, 22 * hour
)

// tonight gives the tournament that runs at a time, if any does.
func (s *Sim) tonight(br *brand, now int64) *tournament {
	tz := int64(br.tz) * minute
	midnight := (now+tz)/day*day - tz
	if now < midnight+tournamentStart || now >= midnight+tournamentEnd-minute {
		return nil
	}
	t := s.tournaments[br.index]
	if t == nil || t.from != midnight+tournamentStart {
		t = &tournament{
			id: fmt.Sprintf("cup-%s-%d", br.name, (midnight+tz)/day), brand: br,
			from: midnight + tournamentStart, until: midnight + tournamentEnd,
		}
		s.tournaments[br.index] = t
	}
	return t
}

// enter lets a player take part tonight.
func (s *Sim) enter(p *player, now int64) {
	t := s.tonight(p.brand, now)
	price := (tournamentBuyIn + tournamentFee) * p.brand.unit / 100
	if t == nil || p.wallet.real < price || slices.ContainsFunc(t.entries, func(e *entry) bool { return e.p == p }) {
		return
	}
	if len(t.entries) == 0 {
		s.closeLater(p, t)
	}
	p.wallet.real -= price
	buyIn, fee := tournamentBuyIn*p.brand.unit/100, tournamentFee*p.brand.unit/100
	t.pool += buyIn
	e := &entry{p: p}
	t.entries = append(t.entries, e)
	p.session.entry = e
	first := int64(1)
	b := s.inTournament(p, now, "tournament.registered", t)
	b.ev.Payload = &pb.Event_TournamentRegistered{TournamentRegistered: &pb.TournamentRegistered{Buyin: p.money(buyIn), Fee: p.money(fee)}}
	p.tell(b)
	b = s.inTournament(p, now+1, "tournament.entry", t)
	b.transaction(p)
	b.ev.Payload = &pb.Event_TournamentEntry{TournamentEntry: &pb.TournamentEntry{
		Buyin: p.money(buyIn), Fee: p.money(fee), EntryNo: &first,
	}}
	p.tell(b)
}

func (s *Sim) inTournament(p *player, at int64, kind string, t *tournament) *eventBlock {
	b := s.news(p, at, kind, producerCups, aboutVisit|aboutSession)
	ids := identifiers{block: b, n: len(b.ev.Entities)}
	ids.add("tournament", t.id)
	return b
}

// score gives the points of a round: one, and what it pays in stakes.
func (s *Sim) score(p *player, at int64, t *turn, x100 int) {
	cup := s.tournaments[p.brand.index]
	if p.session.entry == nil || cup == nil || at >= cup.until-second {
		return
	}
	c, rng := &p.habit.cheat, &p.rng
	points := int64(1 + min(x100/100, 100))
	s.scored(p, at, cup, t.key, points)
	if c.replays == 0 {
		return
	}
	extra := int(c.replays)
	if rng.chance(c.replays - float64(extra)) {
		extra++
	}
	e := p.session.entry
	for range extra {
		at += rng.micros(120*millisecond, 0.5)
		if rng.chance(c.spliced) {
			e.owed = append(e.owed, points)
		} else {
			s.scored(p, at, cup, t.key, points)
		}
	}
	if len(e.owed) >= spliceAfter {
		s.splice(p, at, cup)
	}
}

// splice lets the second device bring what is owed, after a pause; the first one waits until it is done.
func (s *Sim) splice(p *player, at int64, cup *tournament) {
	rng, ses := &p.rng, &p.session
	device := ses.device
	ses.device = p.keys.devices[1]
	at += rng.micros(p.habit.cheat.pause, 0.3)
	for _, points := range ses.entry.owed {
		s.scored(p, at, cup, rng.pcg.Uint64(), points)
		at += rng.micros(120*millisecond, 0.5)
	}
	ses.entry.owed, ses.device = nil, device
	p.wake = max(p.wake, at+rng.micros(p.habit.cheat.pause, 0.3))
}

// scored tells points, which count when they are told.
func (s *Sim) scored(p *player, at int64, cup *tournament, round uint64, points int64) {
	if at >= cup.until-second {
		return
	}
	b := s.inTournament(p, at, "tournament.score", cup)
	b.addRound(p, round)
	e := p.session.entry
	b.told.finish = func(ev *pb.Event) {
		e.points += points
		total, first := e.points, int64(1)
		ev.Payload = &pb.Event_TournamentScore{TournamentScore: &pb.TournamentScore{
			PointsDelta: &points, PointsTotal: &total, EntryNo: &first,
		}}
	}
	p.tell(b)
}

// closeLater ends the tournament at its time: the board, and the prizes for the first three.
func (s *Sim) closeLater(p *player, t *tournament) {
	b := s.news(p, t.until, "tournament.ended", producerCups, 0)
	ids := identifiers{block: b}
	ids.add("tournament", t.id)
	b.told.truth = &role{typology: honestTypology}
	b.told.finish = func(ev *pb.Event) {
		slices.SortFunc(t.entries, func(a, b *entry) int {
			return cmp.Or(cmp.Compare(b.points, a.points), cmp.Compare(a.p.idx, b.p.idx))
		})
		points := int64(0)
		for i, e := range t.entries {
			points += e.points
			s.place(t, e, i)
		}
		n := int64(len(t.entries))
		ev.Payload = &pb.Event_TournamentEnded{TournamentEnded: &pb.TournamentEnded{
			Entries: &n, PointsTotal: &points, PrizePool: t.brand.money(t.pool),
		}}
		if s.tournaments[t.brand.index] == t {
			s.tournaments[t.brand.index] = nil
		}
	}
	s.postpone(&b.told)
}

// prizeShare is what of the pool a place gets, in hundredths.
func prizeShare(place int) int64 {
	switch place {
	case 0:
		return 50
	case 1:
		return 30
	case 2:
		return 20
	}
	return 0
}

// place tells one entry's rank, and pays half, three tenths and a fifth of the pool.
func (s *Sim) place(t *tournament, e *entry, i int) {
	p, rank, total, first := e.p, int64(i+1), e.points, int64(1)
	at := t.until + second + int64(i)*millisecond
	b := s.news(p, at, "tournament.rank", producerCups, 0)
	ids := identifiers{block: b, n: len(b.ev.Entities)}
	ids.add("tournament", t.id)
	b.ev.Payload = &pb.Event_TournamentRank{TournamentRank: &pb.TournamentRank{Rank: &rank, PointsTotal: &total, EntryNo: &first}}
	s.postpone(&b.told)
	prize := t.pool * prizeShare(i) / 100
	if prize == 0 {
		return
	}
	b = s.news(p, at+2*second, "tournament.paid", producerCups, 0)
	ids = identifiers{block: b, n: len(b.ev.Entities)}
	ids.add("tournament", t.id)
	b.transaction(p)
	b.ev.Payload = &pb.Event_TournamentPaid{TournamentPaid: &pb.TournamentPaid{Amount: p.money(prize), Rank: &rank, EntryNo: &first}}
	b.told.act = true
	if p.truth.typology == TournamentBooster.String() {
		b.told.loss = prize
	}
	b.told.finish = func(*pb.Event) { p.wallet.real += prize }
	s.postpone(&b.told)
}
