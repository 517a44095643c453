package timeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// Source is the feature source "timeline": what is missing of what an event's player and producer sent, now. It follows the
// journal, so a value can be of a moment ago; its version is the last frame inside. Without Run, as in evaluating history,
// its values are missing: those that were served are in the records.
//
// Keys: player_never_closed, player_bets_without_round, player_results_without_bet, player_scores_without_round and
// player_contributions_without_bet count the player's rounds of the last LiveConfig.Window that have settled; producer_gaps and producer_missing are of the producer's sequence numbers, its newest
// 256 gaps; producer_offset_ms and producer_slope_ppm are of its clock, as in Clock.
type Source struct{ live *live }

// NewSource makes a source; the error names the setting.
func NewSource(cfg LiveConfig) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Source{newLive(cfg)}, nil
}

// SourceName is how feature sets name the source.
const SourceName = "timeline"

// Name is "timeline".
func (*Source) Name() string { return SourceName }

func sourceKeys() []string {
	return []string{
		"player_bets_without_round", "player_contributions_without_bet", "player_never_closed", "player_results_without_bet",
		"player_scores_without_round",
		"producer_gaps", "producer_missing", "producer_offset_ms", "producer_slope_ppm",
	}
}

// Check says whether there are values by this key.
func (*Source) Check(key string) error {
	if slices.Contains(sourceKeys(), key) {
		return nil
	}
	return fmt.Errorf("no key %q; there are %s", key, strings.Join(sourceKeys(), ", "))
}

// Value reads what is known now.
func (s *Source) Value(ev *features.Event, key string) (value float64, status features.Status, version string) {
	l := s.live
	l.mu.Lock()
	defer l.mu.Unlock()
	ok := false
	status = features.Present
	switch {
	case !l.started:
	case strings.HasPrefix(key, "player_"):
		value, status, ok = l.ofPlayer(ev, key)
	default:
		value, ok = l.ofProducer(ev, key)
	}
	switch {
	case !ok:
		return math.NaN(), features.Missing, l.version
	case l.stale:
		return value, features.Stale, l.version
	}
	return value, status, l.version
}

func (l *live) ofPlayer(ev *features.Event, key string) (float64, features.Status, bool) {
	player, ok := ev.Entity("player")
	if !ok {
		return 0, features.Missing, false
	}
	var h holes
	list := l.players[entityKey{ev.Tenant, player.Alias}]
	settled := l.settled()
	for _, r := range list {
		l.count(&h, r, settled)
	}
	status := features.Present
	if len(list) == maxLacking {
		status = features.Capped
	}
	switch key {
	case "player_never_closed":
		return float64(h.neverClosed), status, true
	case "player_bets_without_round":
		return float64(h.betWithoutRound), status, true
	case "player_scores_without_round":
		return float64(h.scoreWithoutRound), status, true
	case "player_contributions_without_bet":
		return float64(h.contributionWithoutBet), status, true
	default:
		return float64(h.resultWithoutBet), status, true
	}
}

func (l *live) ofProducer(ev *features.Event, key string) (float64, bool) {
	p := l.producers[producerKey{ev.Tenant, ev.Msg.GetProducerId()}]
	if p == nil {
		return 0, false
	}
	switch key {
	case "producer_offset_ms":
		return float64(p.clock.OffsetUS) / 1000, true
	case "producer_slope_ppm":
		if p.clock.SlopePPM == nil {
			return 0, false
		}
		return *p.clock.SlopePPM, true
	}
	if len(p.sequence.runs) == 0 {
		return 0, false
	}
	_, gaps, missing := p.sequence.gaps(0)
	if key == "producer_gaps" {
		return float64(gaps), true
	}
	return float64(missing), true
}

// maxBehind is how many frames the source may be behind before its values are stale.
const maxBehind = 10_000

// Log is what the source reads; journal.Journal is one.
type Log interface {
	Head() journal.Pos
	Segments() []journal.Segment
	Read(from journal.Pos, opts ...journal.ReadOption) (journal.Cursor, error)
}

// Run follows the journal until ctx ends, beginning a window before now. It returns nil then, and otherwise why it cannot go
// on; the values are stale from then on.
func (s *Source) Run(ctx context.Context, log Log) (err error) {
	defer func() {
		s.live.mu.Lock()
		s.live.stale = true
		s.live.mu.Unlock()
	}()
	cursor, err := log.Read(s.live.begin(log.Segments()), journal.Follow())
	if err != nil {
		return fmt.Errorf("timeline: cannot read the journal: %w", err)
	}
	defer func() { err = errors.Join(err, cursor.Close()) }()
	frame, read := &pb.EventFrame{}, log.Head()
	s.live.open(read)
	for {
		f, err := cursor.Next(ctx)
		if ctx.Err() != nil || errors.Is(err, journal.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("timeline: cannot read the journal: %w", err)
		}
		proto.Reset(frame)
		if f.Kind == features.FrameEvent && !f.Erased {
			if err := proto.Unmarshal(f.Payload, frame); err != nil {
				return fmt.Errorf("timeline: cannot decode frame %v: %w", f.Pos, err)
			}
		}
		s.live.take(f.Pos, log.Head(), frame)
	}
}

// begin is where the first segment with frames of the window begins; the zero position is the tail.
func (l *live) begin(segments []journal.Segment) journal.Pos {
	if len(segments) == 0 {
		return journal.Pos{}
	}
	from := segments[len(segments)-1].MaxTime - l.cfg.Window.Microseconds()
	for _, s := range segments {
		if s.MaxTime >= from && !s.First.IsZero() {
			return s.First
		}
	}
	return journal.Pos{}
}

// open says that there are values, which are stale until the journal is read up to where it is now.
func (l *live) open(head journal.Pos) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.started, l.stale = true, !head.IsZero()
}

// take takes a frame in. A frame that adds a decision to an earlier event is no other event.
func (l *live) take(pos, head journal.Pos, frame *pb.EventFrame) {
	version := pos.String()
	l.mu.Lock()
	defer l.mu.Unlock()
	if frame.GetEvent() != nil && frame.GetAppliedAt() == nil {
		l.add(frame.GetEvent())
	}
	l.version = version
	behind := head.Offset - min(pos.Offset, head.Offset)
	l.stale = behind > maxBehind || l.stale && behind > 0
}

// LiveStats are figures for metrics, all of them gauges but Dropped.
type LiveStats struct {
	// Rounds are remembered; of those that have settled, the others lack something.
	Rounds, NeverClosed, BetWithoutRound, ResultWithoutBet, ScoreWithoutRound, ContributionWithoutBet int
	// Dropped counts rounds forgotten within their window because there were too many.
	Dropped uint64
	// Stale says that the journal is not read, or far behind.
	Stale bool
	// Producers are in the order of their names.
	Producers []Producer
}

// Stats reads the figures.
func (s *Source) Stats() LiveStats {
	l := s.live
	var h holes
	for i := 0; i >= 0; {
		i = l.countSome(i, &h)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	out := LiveStats{Rounds: len(l.rounds), Dropped: l.dropped, Stale: !l.started || l.stale}
	out.NeverClosed, out.BetWithoutRound, out.ResultWithoutBet = h.neverClosed, h.betWithoutRound, h.resultWithoutBet
	out.ScoreWithoutRound, out.ContributionWithoutBet = h.scoreWithoutRound, h.contributionWithoutBet
	for key, p := range l.producers {
		one := Producer{Tenant: key.tenant, Producer: key.producer, Events: p.events, Clock: p.clock}
		_, one.Gaps, one.Missing = p.sequence.gaps(0)
		out.Producers = append(out.Producers, one)
	}
	slices.SortFunc(out.Producers, func(a, b Producer) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Producer, b.Producer))
	})
	return out
}

var _ features.Source = (*Source)(nil)
