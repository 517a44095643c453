// Package sim is a seeded casino: it makes the events that a game engine would send, of honest players and of frauds,
// and knows the truth about each. The same Config gives the same events on any machine and under any Go release: its
// chance, its logarithms and its exponentials are its own.
//
// It is not a model of any operator, and what is measured on it is said to be measured on simulated data. It has no
// clock and sends nothing: whoever uses it decides how fast, and where to.
//
// Start reading at Sim.Next; then session.go for a visit, population.go for who plays, and plot.go, bot.go
// and ring.go for frauds. docs/sim.md has every parameter with its source.
package sim

import (
	"fmt"
	"time"

	pb "pitboss/proto/pitboss/v1"
)

// Sim is a casino under way. It is used by one goroutine.
type Sim struct {
	cfg        Config
	world      *world
	hours      []int
	steps      []int64
	start, end int64

	jackpots    []jackpot
	tournaments [3]*tournament
	tables      []liveTable
	poker       []pokerTable

	players   []player
	scenarios scenarios
	// now is the time of the last act.
	now int64
	// agenda has every player with something still to do, later what comes by itself after hours or days.
	agenda agenda
	later  later

	ids    stream
	labels stream
	seq    [producers]uint64
	names  [producers]string
	last   Truth
	// spoken is the event that Next gave last, for an answer to it; answers counts what became of them.
	spoken  *told
	answers Answers
	// events counts what was told, postponed what was put into later.
	events, postponed uint64
}

// Truth is what nobody in the casino knows about an event. It is kept apart from the events: nothing of it is in them.
type Truth struct {
	// EventID is the event's.
	EventID string
	// Player is the raw player identifier.
	Player string
	// Fraud says whether a fraudulent account made it.
	Fraud bool
	// Typology is honest or a fraud's: see Typology. What happened to the victim of a takeover has the fraud's, and is none.
	Typology string
	// Ring names the agents that work together; empty for honest players.
	Ring string
	// Role is the part in the fraud; for honest players empty or the look-alike: autoplay, household, traveller, ...
	Role string
	// Mimicry is how well the agent hides, 0 to 1; 0 for honest players.
	Mimicry float64
	// AtRisk players lose hold of their play. It has nothing to do with fraud.
	AtRisk bool
	// LossMinor is the money that this act costs the operator or the account's owner, in minor units of Currency: what is
	// saved where it is stopped. 0 for all that costs nothing by itself.
	LossMinor int64
	// CostMinor is what this act costs the fraud, where somebody else solves a challenge for money.
	CostMinor int64
	// Currency is that of LossMinor and CostMinor; empty where both are 0.
	Currency string
}

// New makes a casino, with everybody in it. It refuses impossible parameters by name.
func New(cfg Config) (*Sim, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("cannot simulate: %w", err)
	}
	s := &Sim{
		cfg: cfg, world: newWorld(), hours: hourWeights(), steps: ladder(),
		start: cfg.Start.UnixMicro(), end: cfg.end(), scenarios: cfg.scenarioTimes(),
		ids: newStream(cfg.Seed, purposeIDs), labels: newStream(cfg.Seed, purposeLabels),
	}
	for i := range s.names {
		s.names[i] = producerName(uint8(i))
	}
	s.openJackpots()
	s.openTables()
	s.openPoker()
	s.populate()
	return s, nil
}

// Next gives the next event, in the order of occurred_at, and false after the last one. The event is the caller's to
// change.
func (s *Sim) Next() (*pb.Event, bool) {
	for {
		if len(s.later) > 0 && (len(s.agenda) == 0 || s.later[0].at <= s.agenda[0].due()) {
			if s.later[0].at >= s.end {
				return nil, false
			}
			t := s.later.pop()
			if t.deed != nil && t.deed.undone {
				continue
			}
			s.now = max(s.now, t.at)
			return s.emit(t), true
		}
		if len(s.agenda) == 0 {
			return nil, false
		}
		p := s.agenda[0]
		if p.due() >= s.end {
			return nil, false
		}
		s.now = max(s.now, p.due())
		if s.scenarios.currency > 0 && s.now >= s.scenarios.currency {
			s.convert()
		}
		if p.head < len(p.queue) {
			t := p.queue[p.head]
			p.queue[p.head] = nil
			p.head++
			s.agenda.settle()
			return s.emit(t), true
		}
		s.step(p)
		if p.stage == gone && p.head == len(p.queue) {
			p.queue = nil
			s.agenda.drop()
			continue
		}
		s.agenda.settle()
	}
}

// emit gives an event what only its place in the stream decides.
func (s *Sim) emit(t *told) *pb.Event {
	ev := t.ev
	ev.EventId = uuid(&s.ids)
	s.seq[t.producer]++
	ev.ProducerId, ev.ProducerSeq = s.names[t.producer], s.seq[t.producer]
	s.events++
	if t.finish != nil {
		t.finish(ev)
	}
	p := &s.players[t.player]
	s.last = Truth{
		EventID: ev.EventId, Player: t.name, Fraud: t.truth.fraud, Typology: t.truth.typology,
		Ring: t.truth.ring, Role: t.truth.role, Mimicry: t.truth.mimicry, AtRisk: p.atRisk, LossMinor: t.loss, CostMinor: t.cost,
	}
	if t.loss != 0 || t.cost != 0 {
		s.last.Currency = p.brand.currency
	}
	if t.act {
		s.label(t)
	}
	s.spoken = t
	return ev
}

// postpone keeps an event for its time.
func (s *Sim) postpone(t *told) {
	s.postponed++
	s.later.push(t, s.postponed)
}

// Truth gives the truth about the event that Next gave last.
func (s *Sim) Truth() Truth { return s.last }

// Events gives how many events Next has given.
func (s *Sim) Events() uint64 { return s.events }

// Key gives the key that an event is partitioned by: its player, so that a player's events keep their order.
func Key(ev *pb.Event) []byte {
	for _, id := range ev.GetEntities() {
		if id.GetKind() == "player" {
			return []byte(id.GetValue())
		}
	}
	return []byte(ev.GetEventId())
}

// Due gives how long after the casino's start what happens at a time is to be sent, at a speed: 1 is real time, 60 an hour
// a minute, 0 at once.
func (c Config) Due(at time.Time, speed float64) time.Duration {
	if speed <= 0 {
		return 0
	}
	return time.Duration(float64(at.Sub(c.Start)) / speed)
}
