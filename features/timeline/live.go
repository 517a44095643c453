package timeline

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	pb "pitboss/proto/pitboss/v1"
)

// LiveConfig bounds what is kept of the present.
type LiveConfig struct {
	// Live switches it on: the journal is read a second time, as it is written, for the metrics. Default false: only where a
	// feature set reads the source timeline.
	Live bool `yaml:"live"`
	// Window is how long a round that lacks something is remembered, by event time, after the newest event of it. Default 1h. A
	// round that may stay open for longer (max_round_ms) is forgotten before it is never closed: give it more where that counts.
	Window time.Duration `yaml:"window"`
	// Settle is how long a round may be still before it counts as lacking what did not come. Default 10m.
	Settle time.Duration `yaml:"settle"`
	// MaxRounds bounds the rounds that are remembered, about 300 bytes each. Default 200,000; of more, the oldest are forgotten.
	MaxRounds int `yaml:"max_rounds"`
	// MaxProducers bounds the producers. Default 1024; what comes after has no values.
	MaxProducers int `yaml:"max_producers"`
}

// DefaultLiveConfig is switched off.
func DefaultLiveConfig() LiveConfig {
	return LiveConfig{Window: time.Hour, Settle: 10 * time.Minute, MaxRounds: 200_000, MaxProducers: 1024}
}

// Validate says what is wrong with a configuration.
func (c LiveConfig) Validate() error {
	switch {
	case c.Window <= 0:
		return fmt.Errorf("window: %v must be more than 0", c.Window)
	case c.Settle < 0 || c.Settle >= c.Window:
		return fmt.Errorf("settle: %v must be at least 0 and less than the window of %v", c.Settle, c.Window)
	case c.MaxRounds < 1:
		return fmt.Errorf("max_rounds: %d is less than 1", c.MaxRounds)
	case c.MaxProducers < 1:
		return errors.New("max_producers: must be at least 1")
	}
	return nil
}

// maxRuns bounds what is kept of a producer's numbers: as many gaps and one, the newest. maxLacking bounds the rounds that are
// listed of one player, and maxGames the games whose rounds may stay open for a time of their own.
const maxRuns, maxLacking, maxGames = 257, 256, 4096

// live is what is known of the present.
type live struct {
	cfg LiveConfig

	mu        sync.Mutex // guards all below; held for microseconds, in a decision's way
	newest    time.Time
	producers map[producerKey]*liveProducer
	rounds    map[entityKey]*liveRound
	games     map[entityKey]time.Duration
	// queue has the rounds in the order of their first sight, from next on; base is how many were before the queue.
	queue []entityKey
	next  int
	base  int
	// players have the rounds of theirs that lack something.
	players map[entityKey][]*liveRound
	dropped uint64
	version string
	started bool
	stale   bool
}

type liveProducer struct {
	producer

	minute int64
	clock  Clock
}

type liveRound struct {
	round

	tenant string
	player entityKey
	// lacks says that the round lacks something, settled or not.
	lacks bool
}

func newLive(cfg LiveConfig) *live {
	return &live{
		cfg: cfg, producers: map[producerKey]*liveProducer{}, rounds: map[entityKey]*liveRound{}, games: map[entityKey]time.Duration{},
		players: map[entityKey][]*liveRound{},
	}
}

// add takes an event in, once each.
func (l *live) add(ev *pb.Event) {
	at := ev.GetOccurredAt().AsTime()
	if at.After(l.newest) {
		l.newest = at
	}
	l.addProducer(ev)
	if game, limit := gameLimit(ev); limit > l.games[game] && (l.games[game] != 0 || len(l.games) < maxGames) {
		l.games[game] = limit
	}
	l.addRound(ev, at)
	for l.next < len(l.queue) && (len(l.rounds) > l.cfg.MaxRounds || l.past(l.queue[l.next])) {
		l.forget(l.queue[l.next])
		l.next++
	}
	if l.next > 1024 && l.next > len(l.queue)/2 {
		l.base += l.next
		l.queue, l.next = append(l.queue[:0], l.queue[l.next:]...), 0
	}
}

func (l *live) past(key entityKey) bool {
	r := l.rounds[key]
	return r == nil || r.last.Before(l.newest.Add(-l.cfg.Window))
}

func (l *live) forget(key entityKey) {
	r := l.rounds[key]
	if r == nil {
		return
	}
	if !l.past(key) {
		l.dropped++
	}
	delete(l.rounds, key)
	l.settle(r, false)
}

func (l *live) addProducer(ev *pb.Event) {
	if ev.GetProducerId() == "" {
		return
	}
	key := producerKey{ev.GetTenant(), ev.GetProducerId()}
	p := l.producers[key]
	if p == nil {
		if len(l.producers) >= l.cfg.MaxProducers {
			return
		}
		p = &liveProducer{}
		p.producer.clock.minutes = map[int64]int64{}
		l.producers[key] = p
	}
	p.events++
	if n := ev.GetProducerSeq(); n != 0 && (len(p.sequence.runs) < maxRuns || n > p.sequence.runs[0].last) {
		p.sequence.add(n)
		if len(p.sequence.runs) > maxRuns {
			p.sequence.runs = slices.Delete(p.sequence.runs, 0, 1)
		}
	}
	p.producer.clock.add(ev)
	// The line through a day of minutes is drawn once a minute, and not for each reading.
	if minute := ev.GetReceivedAt().GetSeconds() / 60; minute != p.minute {
		p.minute, p.clock = minute, p.producer.clock.read()
	}
}

func (l *live) addRound(ev *pb.Event, at time.Time) {
	kind, id := ev.GetType(), entity(ev, "round")
	if !isOfRound(kind) {
		return
	}
	if id == "" {
		id = "\x00" + ev.GetEventId() // a round of its own, of which nothing else will come
	}
	key := entityKey{ev.GetTenant(), id}
	r := l.rounds[key]
	if r == nil {
		r = &liveRound{round: round{first: at, last: at}, tenant: ev.GetTenant()}
		l.rounds[key] = r
		l.queue = append(l.queue, key)
	}
	r.note(ev, at)
	r.closed = r.closed || id[0] == 0
	if player := entity(ev, "player"); player != "" && r.player.value == "" {
		l.settle(r, false)
		r.player = entityKey{ev.GetTenant(), player}
	}
	l.settle(r, !r.whole())
}

// settle lists a round as one that lacks something, or not any more.
func (l *live) settle(r *liveRound, lacks bool) {
	if r.lacks == lacks {
		return
	}
	r.lacks = lacks
	list := l.players[r.player]
	if lacks {
		if r.player.value != "" && len(list) < maxLacking {
			l.players[r.player] = append(list, r)
		}
		return
	}
	if r.player.value == "" {
		return
	}
	if list = slices.DeleteFunc(list, func(have *liveRound) bool { return have == r }); len(list) > 0 {
		l.players[r.player] = list
	} else {
		delete(l.players, r.player)
	}
}

// holes counts what lacks something, of rounds that have settled.
type holes struct{ neverClosed, betWithoutRound, resultWithoutBet, scoreWithoutRound, contributionWithoutBet int }

// count counts what a round lacks. The caller holds mu.
func (l *live) count(h *holes, r *liveRound, settled time.Time) {
	if r.overdue(settled, r.within(r.tenant, l.games)) {
		h.neverClosed++
	}
	if r.last.After(settled) {
		return // more may come
	}
	if r.bet && !r.started {
		h.betWithoutRound++
	}
	if r.result && !r.bet {
		h.resultWithoutBet++
	}
	if r.score && !r.started {
		h.scoreWithoutRound++
	}
	if r.contribution && !r.bet {
		h.contributionWithoutBet++
	}
}

// countSome counts the holes of some rounds, from the i-th ever on, and says where to go on; -1 where that was all.
func (l *live) countSome(i int, h *holes) int {
	const some = 1000 // a decision may wait
	l.mu.Lock()
	defer l.mu.Unlock()
	i = max(i, l.base+l.next)
	to, settled := min(i+some, l.base+len(l.queue)), l.settled()
	for ; i < to; i++ {
		if r := l.rounds[l.queue[i-l.base]]; r != nil && r.lacks {
			l.count(h, r, settled)
		}
	}
	if i >= l.base+len(l.queue) {
		return -1
	}
	return i
}

func (l *live) settled() time.Time { return l.newest.Add(-l.cfg.Settle) }
