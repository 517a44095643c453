package enginetest

import (
	"context"
	"slices"
	"testing"

	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// testUpgradeInMidStream is testOrderFree with the feature sets changed on the way: groups are new to a state that has half
// of the events, and are built from the journal while the rest comes in, with checkpoints, ends of the process and sweeps
// between. In the end no vector can be told from one of an engine that had the groups from the start. Nor can one that was
// served on the way, but for what said that it was warming up.
func testUpgradeInMidStream(t *testing.T, subject Subject) {
	eachRound(t, subject, 3, func(t *testing.T, round int) {
		w, all := newFewerWorld(t, subject, withConfig(func(c *features.EngineConfig) { c.MaxEntities, c.CheckpointFrames = 64, 100 }))
		few := w.set
		c := newCasino(seed(t, round))
		events := c.correctable(w.events(c, 300))
		probes := w.probes(c, events, 60)
		w.block(c, events)
		mixed := slices.Clone(events)
		c.rng.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		at := 20 + c.rng.IntN(len(mixed)-40)
		w.applyAnyhow(c, mixed[:at])
		w.upgrade(c, few, all)
		w.applyAnyhow(c, slices.Concat(mixed[at:], c.remembered(mixed[:at])))
		w.awaitBackfill()

		reference := *w
		reference.e = w.scratch(journal.NewMemory(journal.MemoryConfig{}))
		if _, err := reference.e.Ingest(context.Background(), items(events)); err != nil {
			t.Fatalf("cannot ingest: %v", err)
		}
		for _, ev := range events {
			if w.blocked[ev.ID] {
				w.decideIfNew(ev)
				reference.decideIfNew(ev)
			}
		}
		for _, ev := range slices.Concat(probes, c.remembered(events)[:60]) {
			wantSame(t, w.set, ev.ID, reference.vector(ev), w.vector(ev))
		}
		w.wantLikeJournal(probes)
		if report := w.verify(w.j); !report.Identical() || report.Same != report.Decisions || report.Same == 0 {
			t.Errorf("%d of %d served vectors are the same, with %d values taken: %v", report.Same, report.Decisions, report.Taken, report.Findings)
		} else {
			t.Logf("%d served vectors, %d values compared, %d of groups that warmed up", report.Same, report.Values, report.Taken)
		}
	})
}

// upgrade changes the feature sets, in a running engine or by a new start.
func (w *world) upgrade(c *casino, few, all *features.Set) {
	w.t.Helper()
	w.sets, w.set = []*features.Set{few, all}, all
	if c.rng.IntN(2) == 0 {
		w.halt(c.rng.IntN(2) == 0)
		w.start()
		return
	}
	if err := w.e.Use(context.Background(), few, all); err != nil {
		w.t.Fatalf("cannot change the sets: %v", err)
	}
}

// heldSides do not open before they are released.
type heldSides struct {
	features.Sides
	release chan struct{}
}

func (s *heldSides) Open(name string) (features.States, error) {
	<-s.release
	return s.Sides.Open(name)
}

// testPinAcrossBackfill takes an event back while the groups that hold it are built beside: what changed last is inside the
// game then, and its position says so, though the game's groups that were there knew nothing of either.
func testPinAcrossBackfill(t *testing.T, subject Subject) {
	w, all := newFewerWorld(t, subject)
	held := &heldSides{w.sides.Sides, make(chan struct{})}
	w.sides.Sides = held
	game := func(m *pb.Event) {
		m.Entities = append(m.Entities, &pb.Identifier{Kind: "game", Value: "slots", Form: pb.Form_FORM_RAW})
		m.TransactionId = "t-" + m.EventId
	}
	w.apply(w.bet("a", "p1", 0, game))
	if err := w.e.Use(context.Background(), w.set, all); err != nil {
		t.Fatal(err)
	}
	w.apply(w.bet("b", "p2", 1, game))
	back := w.apply(w.bet("back", "p1", 2, func(m *pb.Event) {
		m.Type, m.Payload = "bet.rolled_back", &pb.Event_BetRolledBack{BetRolledBack: &pb.BetRolledBack{}}
		m.ReferenceTransactionId = "t-a"
	}))
	close(held.release)
	w.awaitBackfill()
	w.sets, w.set = []*features.Set{w.set, all}, all
	for range 2 {
		v := w.vector(w.bet("x", "p3", 3, game))
		w.wantValue(v, "exact_game_1h", 2)
		if at := slices.IndexFunc(v.Pins, func(p features.Pin) bool { return p.Entity == 2 }); at < 0 || v.Pins[at].Pos != back {
			t.Errorf("the pins are %v, want the game at %v", v.Pins, back)
		}
		w.restart(false)
	}
}
