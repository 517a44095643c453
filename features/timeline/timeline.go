// Package timeline finds what is missing from what producers sent: gaps in their sequences, rounds that were never closed or
// open for too long, bets and scores without a round, results and contributions without a bet, and how far their clocks are from
// ours.
//
// Fold is a fold of the journal, beside the windows and not one of them. What it finds depends on the set of events alone,
// never on their order, so that what comes late closes the hole it left. Source has the same of the present, within bounds,
// as values for features: these are not of the set, and pinned in the record. Start reading at Fold.Add, then report.go for
// what is made of it, and source.go.
package timeline

import (
	"errors"
	"fmt"
	"time"

	pb "pitboss/proto/pitboss/v1"
)

// Config bounds a fold and says what it is about.
type Config struct {
	// From and To bound occurred_at: what happened in [From, To) is reported. Zero: no bound.
	From, To time.Time
	// Margin is how far outside of From and To events are still read for the rounds that lie across a bound. Default 1h.
	Margin time.Duration
	// Settle is how long a round may be still before it counts as lacking what did not come, against the newest event. A round
	// whose game says how long one may stay open (max_round_ms) counts as never closed only that much later than it began.
	// Default 10m.
	Settle time.Duration
	// MaxItems bounds what is kept: rounds, sessions, producers, gaps and minutes of clocks. Default 2,000,000, about 500 MB.
	MaxItems int
	// List is how many gaps and rounds of each sort are named. Default 20.
	List int
}

// DefaultConfig is about everything there is.
func DefaultConfig() Config {
	return Config{Margin: time.Hour, Settle: 10 * time.Minute, MaxItems: 2_000_000, List: 20}
}

// ErrTooMuch says that the events need more memory than Config.MaxItems allows. A report that left something out would
// depend on the order of the events, so there is none.
var ErrTooMuch = errors.New("too many rounds, sessions and gaps to keep")

// Fold takes events in, in any order. It is for one goroutine.
type Fold struct {
	cfg      Config
	newest   time.Time
	events   uint64
	items    int
	producer map[producerKey]*producer
	rounds   map[entityKey]*round
	sessions map[sessionKey]*sequence
	// games have the longest time that a round of theirs may stay open.
	games map[entityKey]time.Duration
	// homeless name no round.
	homeless struct{ bets, scores, contributions uint64 }
}

type (
	producerKey struct{ tenant, producer string }
	entityKey   struct{ tenant, value string }
	sessionKey  struct{ tenant, session, stream string }
)

// New makes an empty fold.
func New(cfg Config) *Fold {
	return &Fold{cfg: cfg, producer: map[producerKey]*producer{}, rounds: map[entityKey]*round{}, sessions: map[sessionKey]*sequence{},
		games: map[entityKey]time.Duration{}}
}

// Add takes one accepted event in. Each event once: what the journal has is free of duplicates, but a frame that only adds
// a decision to an event is not another event. The error is ErrTooMuch.
func (f *Fold) Add(ev *pb.Event) error {
	at := ev.GetOccurredAt().AsTime()
	inside := f.inside(at, 0)
	if !inside && !f.inside(at, f.cfg.Margin) {
		return nil
	}
	if inside {
		f.events++
		f.addProducer(ev)
		f.addSession(ev)
		if at.After(f.newest) {
			f.newest = at
		}
	}
	f.addGame(ev)
	f.addRound(ev, at, inside)
	if f.items > f.cfg.MaxItems {
		return fmt.Errorf("%w: more than %d; give a shorter time", ErrTooMuch, f.cfg.MaxItems)
	}
	return nil
}

// inside says whether a time lies within the bounds, widened by margin.
func (f *Fold) inside(at time.Time, margin time.Duration) bool {
	return (f.cfg.From.IsZero() || !at.Before(f.cfg.From.Add(-margin))) && (f.cfg.To.IsZero() || at.Before(f.cfg.To.Add(margin)))
}

func (f *Fold) addProducer(ev *pb.Event) {
	if ev.GetProducerId() == "" {
		return
	}
	key := producerKey{ev.GetTenant(), ev.GetProducerId()}
	p := f.producer[key]
	if p == nil {
		p = &producer{clock: clock{minutes: map[int64]int64{}}}
		f.producer[key] = p
		f.items++
	}
	p.events++
	if ev.GetProducerSeq() != 0 {
		f.items += p.sequence.add(ev.GetProducerSeq())
	}
	f.items += p.clock.add(ev)
}

// addSession notes the numbers that a client gives its heartbeats and its guard's batches within a session.
func (f *Fold) addSession(ev *pb.Event) {
	session := entity(ev, "session")
	seq := max(ev.GetSessionHeartbeat().GetSeq(), ev.GetGuardBatch().GetSeq())
	if session == "" || seq == 0 {
		return
	}
	key := sessionKey{ev.GetTenant(), session, ev.GetType()}
	s := f.sessions[key]
	if s == nil {
		s = &sequence{}
		f.sessions[key] = s
		f.items++
	}
	f.items += s.add(seq)
}

// addGame notes how long a round of a game may stay open; of several answers the longest.
func (f *Fold) addGame(ev *pb.Event) {
	key, limit := gameLimit(ev)
	if limit == 0 {
		return
	}
	if _, ok := f.games[key]; !ok {
		f.items++
	}
	f.games[key] = max(f.games[key], limit)
}

func (f *Fold) addRound(ev *pb.Event, at time.Time, inside bool) {
	kind := ev.GetType()
	if !isOfRound(kind) {
		return
	}
	id := entity(ev, "round")
	if id == "" {
		if inside {
			f.addHomeless(kind)
		}
		return
	}
	key := entityKey{ev.GetTenant(), id}
	r := f.rounds[key]
	if r == nil {
		r = &round{first: at, last: at}
		f.rounds[key] = r
		f.items++
	}
	r.note(ev, at)
}

// addHomeless counts what names no round; the other types need one.
func (f *Fold) addHomeless(kind string) {
	switch kind {
	case "bet.placed":
		f.homeless.bets++
	case "tournament.score":
		f.homeless.scores++
	case "jackpot.contribution":
		f.homeless.contributions++
	}
}

func entity(ev *pb.Event, kind string) string {
	for _, id := range ev.GetEntities() {
		if id.GetKind() == kind {
			return id.GetValue()
		}
	}
	return ""
}
