package timeline_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	"pitboss/features/timeline"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// follow writes events into a journal, lets a source read it, and gives the values of a player's event.
func follow(t *testing.T, cfg timeline.LiveConfig, events []*pb.Event, keys ...string) (values []float64, stats timeline.LiveStats) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := journal.NewMemory(journal.MemoryConfig{})
		s, err := timeline.NewSource(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ev := &features.Event{
			Tenant: "acme", Msg: &pb.Event{ProducerId: "p"}, Entities: []features.EntityRef{{Kind: "player", Alias: "me"}},
		}
		if v, status, _ := s.Value(ev, keys[0]); status != features.Missing || !math.IsNaN(v) {
			t.Errorf("before it runs: %v, %v", v, status)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx, log) }()
		for _, ev := range events {
			payload, err := proto.Marshal(&pb.EventFrame{Event: ev})
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := log.Seal(journal.Frame{Kind: features.FrameEvent, Payload: payload})
			if err != nil {
				t.Fatal(err)
			}
			pos, err := log.Append(sealed)
			if err != nil {
				t.Fatal(err)
			}
			if err := log.Written(t.Context(), pos); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		for _, key := range keys {
			v, status, version := s.Value(ev, key)
			if want := fmt.Sprint("0/", len(events)); version != want || status != features.Present && status != features.Missing {
				t.Errorf("%s: status %v, version %s, want %s", key, status, version, want)
			}
			values = append(values, v)
		}
		stats = s.Stats()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, status, _ := s.Value(ev, keys[0]); status != features.Stale {
			t.Errorf("when it no longer runs: %v, want stale", status)
		}
	})
	return values, stats
}

// TestSource holds the values against what was sent, in any order: two rounds never closed, a bet without a start, one that
// names no round, a result without a bet, and what is whole or has not settled.
func TestSource(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var events []*pb.Event
	add := func(minute int, kind, round, player string, seq uint64) {
		at := start.Add(time.Duration(minute) * time.Minute)
		ev := &pb.Event{
			EventId: fmt.Sprint("e", len(events)), Type: kind, Tenant: "acme", ProducerId: "p", ProducerSeq: seq,
			OccurredAt: timestamppb.New(at), ReceivedAt: timestamppb.New(at.Add(50 * time.Millisecond)),
			Entities: []*pb.Identifier{{Kind: "player", Value: player}},
		}
		if round != "" {
			ev.Entities = append(ev.Entities, &pb.Identifier{Kind: "round", Value: round})
		}
		events = append(events, ev)
	}
	for i, kind := range []string{"round.started", "bet.placed", "round.result", "round.closed"} {
		add(1, kind, "whole", "me", uint64(1+i))
	}
	add(2, "round.started", "open", "me", 5)
	add(2, "bet.placed", "open", "me", 6)
	add(3, "bet.placed", "no start", "me", 9) // 7 and 8 are missing
	add(3, "round.closed", "no start", "me", 10)
	add(4, "bet.placed", "", "me", 12) // 11 is missing
	add(5, "round.result", "no bet", "me", 13)
	add(5, "round.closed", "no bet", "me", 14)
	add(6, "round.started", "other", "somebody", 15)
	add(7, "tournament.score", "no start", "me", 18) // beside its bet
	add(7, "tournament.score", "", "me", 19)
	add(7, "jackpot.contribution", "no bet", "me", 20) // beside its result
	add(2, "jackpot.contribution", "open", "me", 21)
	add(29, "round.started", "young", "me", 16)
	add(30, "round.started", "youngest", "me", 17)
	add(1, "game.launched", "", "me", 22)
	last := events[len(events)-1]
	last.Entities = append(last.Entities, &pb.Identifier{Kind: "game", Value: "g"})
	launched(24 * time.Hour)(last)
	add(2, "round.started", "a day long", "me", 23)
	events[len(events)-1].Entities = append(events[len(events)-1].Entities, &pb.Identifier{Kind: "game", Value: "g"})
	keys := []string{
		"player_never_closed", "player_bets_without_round", "player_results_without_bet", "player_scores_without_round",
		"player_contributions_without_bet", "producer_missing", "producer_gaps", "producer_offset_ms",
	}
	want := fmt.Sprint([]float64{1, 2, 1, 2, 1, 3, 2, 50})
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		if seed > 0 {
			rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		}
		got, stats := follow(t, timeline.DefaultLiveConfig(), events, keys...)
		if fmt.Sprint(got) != want {
			t.Errorf("order %d: %v are %v, want %v", seed, keys, got, want)
		}
		if stats.Stale || stats.NeverClosed != 2 || stats.BetWithoutRound != 2 || stats.ResultWithoutBet != 1 || stats.ScoreWithoutRound != 2 || stats.ContributionWithoutBet != 1 || stats.Producers[0].Missing != 3 || stats.Dropped != 0 {
			t.Errorf("order %d: stats %+v", seed, stats)
		}
	}
	// A window later nothing of the rounds is left.
	add(200, "session.started", "", "me", 18)
	if got, stats := follow(t, timeline.DefaultLiveConfig(), events, keys...); fmt.Sprint(got[:3]) != "[0 0 0]" || stats.Rounds != 0 {
		t.Errorf("a window later: %v, %+v", got, stats)
	}
	few := timeline.DefaultLiveConfig()
	few.MaxRounds = 2
	if _, stats := follow(t, few, events[:len(events)-1], keys...); stats.Rounds != 2 || stats.Dropped == 0 {
		t.Errorf("at most two rounds: %+v", stats)
	}
}

func TestSourceKeys(t *testing.T) {
	s, err := timeline.NewSource(timeline.DefaultLiveConfig())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check("producer_gaps"); err != nil {
		t.Error(err)
	}
	if err := s.Check("gaps"); err == nil {
		t.Error("a key that does not exist compiles")
	}
}

// BenchmarkSource is what following costs a frame, and a value of a player whose list is full.
func BenchmarkSource(b *testing.B) {
	s, err := timeline.NewSource(timeline.DefaultLiveConfig())
	if err != nil {
		b.Fatal(err)
	}
	log := journal.NewMemory(journal.MemoryConfig{})
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	append100 := func(i int) {
		for j := range 100 {
			n := i*100 + j
			ev := &pb.Event{
				EventId: fmt.Sprint("e", n), Type: "bet.placed", Tenant: "acme", ProducerId: "p", ProducerSeq: uint64(1 + 2*n),
				OccurredAt: timestamppb.New(at.Add(time.Duration(n) * time.Millisecond)), ReceivedAt: timestamppb.New(at.Add(time.Duration(n) * time.Millisecond)),
				Entities: []*pb.Identifier{{Kind: "player", Value: fmt.Sprint(n % 400)}, {Kind: "round", Value: fmt.Sprint("r", n)}, {Kind: "game", Value: "g"}},
			}
			payload, err := proto.Marshal(&pb.EventFrame{Event: ev})
			if err != nil {
				b.Fatal(err)
			}
			sealed, err := log.Seal(journal.Frame{Kind: features.FrameEvent, Payload: payload})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := log.Append(sealed); err != nil {
				b.Fatal(err)
			}
		}
	}
	const frames = 200_000
	for i := range frames / 100 {
		append100(i)
	}
	began := time.Now()
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx, log) }()
	ev := &features.Event{Tenant: "acme", Msg: &pb.Event{ProducerId: "p"}, Entities: []features.EntityRef{{Kind: "player", Alias: "7"}}}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for status := features.Missing; status != features.Present; _, status, _ = s.Value(ev, "producer_gaps") {
		<-tick.C
	}
	took := time.Since(began)
	for _, key := range []string{"player_never_closed", "producer_missing"} {
		b.Run(key, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Value(ev, key)
			}
			b.ReportMetric(float64(took.Nanoseconds())/frames, "ns/frame")
		})
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
