package timeline

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Report is what is missing.
type Report struct {
	// Events were looked at.
	Events    uint64     `json:"events"`
	Producers []Producer `json:"producers"`
	Rounds    Rounds     `json:"rounds"`
	Sessions  Sessions   `json:"sessions"`
}

// Producer is one producer's sequence and clock.
type Producer struct {
	Tenant   string `json:"tenant"`
	Producer string `json:"producer"`
	Events   uint64 `json:"events"`
	// First and Last are the lowest and the highest number that came; 0 where the producer gives none.
	First uint64 `json:"first_seq"`
	Last  uint64 `json:"last_seq"`
	// Missing is how many numbers between them did not come, in how many Gaps; Again counts those that came more than once.
	Missing uint64 `json:"missing"`
	Gaps    int    `json:"gaps"`
	Again   uint64 `json:"again"`
	// FirstGaps are the lowest of the gaps.
	FirstGaps []Gap `json:"first_gaps,omitempty"`
	Clock     Clock `json:"clock"`
}

// Rounds is what is missing of rounds.
type Rounds struct {
	Rounds int `json:"rounds"`
	// NeverClosed were begun, by whatever came of them, and did not end by the time that their game or Config.Settle gives.
	NeverClosed Holes `json:"never_closed"`
	// OpenTooLong were closed, and later than their game says that a round may stay open.
	OpenTooLong Holes `json:"open_too_long"`
	// BetWithoutRound have a bet and no start; HomelessBets are bets that name no round at all.
	BetWithoutRound Holes  `json:"bet_without_round"`
	HomelessBets    uint64 `json:"homeless_bets"`
	// ResultWithoutBet have a result and no bet.
	ResultWithoutBet Holes `json:"result_without_bet"`
	// ScoreWithoutRound have a tournament's score and no start; HomelessScores are scores that name no round.
	ScoreWithoutRound Holes  `json:"score_without_round"`
	HomelessScores    uint64 `json:"homeless_scores"`
	// ContributionWithoutBet have a jackpot's contribution and no bet; HomelessContributions name no round.
	ContributionWithoutBet Holes  `json:"contribution_without_bet"`
	HomelessContributions  uint64 `json:"homeless_contributions"`
}

// Holes are rounds that lack something.
type Holes struct {
	Count int `json:"count"`
	// First are the ones that began first.
	First []RoundRef `json:"first,omitempty"`
}

// RoundRef names a round and says when the first that came of it happened.
type RoundRef struct {
	Tenant string    `json:"tenant"`
	Round  string    `json:"round"`
	Began  time.Time `json:"began"`
}

// Sessions is what is missing of the numbers that clients give within a session: heartbeats, and the guard's batches.
type Sessions struct {
	// Streams are sessions by what is numbered in them.
	Streams int `json:"streams"`
	// Broken have gaps, Missing numbers together.
	Broken  int    `json:"broken"`
	Missing uint64 `json:"missing"`
}

// Report says what is missing, by the events so far.
func (f *Fold) Report() Report {
	r := Report{Events: f.events, Producers: []Producer{}}
	for key, p := range f.producer {
		out := Producer{Tenant: key.tenant, Producer: key.producer, Events: p.events, Again: p.sequence.again(), Clock: p.clock.read()}
		out.FirstGaps, out.Gaps, out.Missing = p.sequence.gaps(f.cfg.List)
		if runs := p.sequence.runs; len(runs) > 0 {
			out.First, out.Last = runs[0].first, runs[len(runs)-1].last
		}
		r.Producers = append(r.Producers, out)
	}
	slices.SortFunc(r.Producers, func(a, b Producer) int {
		return cmp.Or(cmp.Compare(b.Missing, a.Missing), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Producer, b.Producer))
	})
	f.reportRounds(&r.Rounds)
	for _, s := range f.sessions {
		r.Sessions.Streams++
		if _, gaps, missing := s.gaps(0); gaps > 0 {
			r.Sessions.Broken++
			r.Sessions.Missing += missing
		}
	}
	return r
}

func (f *Fold) reportRounds(out *Rounds) {
	settled := f.newest.Add(-f.cfg.Settle)
	keys := slices.SortedFunc(maps.Keys(f.rounds), func(a, b entityKey) int {
		return cmp.Or(f.rounds[a].first.Compare(f.rounds[b].first), cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.value, b.value))
	})
	out.HomelessBets, out.HomelessScores, out.HomelessContributions = f.homeless.bets, f.homeless.scores, f.homeless.contributions
	for _, key := range keys {
		r := f.rounds[key]
		if !f.inside(r.first, 0) {
			continue // it is of another report; it was read so that its later parts are none of this one's holes
		}
		out.Rounds++
		ref, limit := RoundRef{key.tenant, key.value, r.first}, r.within(key.tenant, f.games)
		f.hole(&out.NeverClosed, r.overdue(settled, limit), ref)
		f.hole(&out.OpenTooLong, r.tooLong(limit), ref)
		if r.last.After(settled) {
			continue // more may come
		}
		f.hole(&out.BetWithoutRound, r.bet && !r.started, ref)
		f.hole(&out.ResultWithoutBet, r.result && !r.bet, ref)
		f.hole(&out.ScoreWithoutRound, r.score && !r.started, ref)
		f.hole(&out.ContributionWithoutBet, r.contribution && !r.bet, ref)
	}
}

func (f *Fold) hole(h *Holes, is bool, ref RoundRef) {
	if !is {
		return
	}
	h.Count++
	if len(h.First) < f.cfg.List {
		h.First = append(h.First, ref)
	}
}
