package timeline

import (
	"time"

	pb "pitboss/proto/pitboss/v1"
)

// round is what is known of one round.
type round struct {
	started, bet, result, closed, score, contribution bool
	first, last                                       time.Time
	// ended is when it was closed, the last time of several.
	ended time.Time
	// limit is how long it may stay open, by its own start; game is whose limit holds without.
	limit time.Duration
	game  string
}

// isOfRound says whether events of a type are what a round is made of.
func isOfRound(kind string) bool {
	switch kind {
	case "round.started", "bet.placed", "round.result", "round.closed", "tournament.score", "jackpot.contribution":
		return true
	}
	return false
}

// note notes an event of the round. What comes of several events does not depend on their order.
func (r *round) note(ev *pb.Event, at time.Time) {
	switch ev.GetType() {
	case "round.started":
		r.started = true
		r.limit = max(r.limit, milliseconds(ev.GetRoundStarted().GetMaxRoundMs()))
		r.game = max(r.game, entity(ev, "game"))
	case "bet.placed":
		r.bet = true
	case "round.result":
		r.result = true
	case "round.closed":
		r.closed = true
		if at.After(r.ended) {
			r.ended = at
		}
	case "tournament.score":
		r.score = true
	case "jackpot.contribution":
		r.contribution = true
	}
	if at.Before(r.first) {
		r.first = at
	}
	if at.After(r.last) {
		r.last = at
	}
}

// within gives the longest time that the round may stay open, 0 where nobody says.
func (r *round) within(tenant string, games map[entityKey]time.Duration) time.Duration {
	if r.limit != 0 || r.game == "" {
		return r.limit
	}
	return games[entityKey{tenant, r.game}]
}

// overdue says whether a round that is not closed should be: by the time that it may stay open, or where nobody says, by having
// been still. settled is the time before which all has come.
func (r *round) overdue(settled time.Time, limit time.Duration) bool {
	if r.closed {
		return false
	}
	if limit != 0 {
		return r.first.Add(limit).Before(settled)
	}
	return !r.last.After(settled)
}

// tooLong says whether the round was closed, and later than it may stay open.
func (r *round) tooLong(limit time.Duration) bool {
	return r.closed && limit != 0 && r.ended.Sub(r.first) > limit
}

// whole says whether a round lacks nothing, whatever its time.
func (r *round) whole() bool {
	return r.closed && (r.started || !r.bet && !r.score) && (r.bet || !r.result && !r.contribution)
}

// gameLimit gives the longest time that a round of a game may stay open, where the event is a launch that says it.
func gameLimit(ev *pb.Event) (game entityKey, limit time.Duration) {
	if ev.GetType() != "game.launched" {
		return entityKey{}, 0
	}
	return entityKey{ev.GetTenant(), entity(ev, "game")}, milliseconds(ev.GetGameLaunched().GetMaxRoundMs())
}

// maxLimit bounds what producers say: longer than any window.
const maxLimit = 366 * 24 * time.Hour

func milliseconds(ms int64) time.Duration {
	return time.Duration(min(max(ms, 0), maxLimit.Milliseconds())) * time.Millisecond
}
