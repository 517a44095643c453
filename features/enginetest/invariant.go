package enginetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// testOrderFree applies the same events in order to one engine, and to another in any order, in batches or one by one,
// with and without decisions, sent again, with checkpoints and restarts between. Every vector is the same, bit for bit.
func testOrderFree(t *testing.T, subject Subject) {
	eachRound(t, subject, 3, func(t *testing.T, round int) {
		w := newWorld(t, subject, withConfig(func(c *features.EngineConfig) { c.MaxEntities = 64 }))
		wantEveryAggregate(t, w.set)
		c := newCasino(seed(t, round))
		events := c.correctable(w.events(c, 300))
		probes := w.probes(c, events, 60)
		w.block(c, events)

		inOrder := slices.Clone(events)
		slices.SortStableFunc(inOrder, func(a, b *features.Event) int { return int(a.OccurredAt - b.OccurredAt) })
		j := journal.NewMemory(journal.MemoryConfig{})
		reference := w.scratch(j)
		if _, err := reference.Ingest(context.Background(), items(inOrder)); err != nil {
			t.Fatalf("cannot ingest: %v", err)
		}
		w.applyAnyhow(c, events)
		for _, ev := range events {
			if w.blocked[ev.ID] {
				w.decideIfNew(ev)
				other := *w
				other.e = reference
				other.decideIfNew(ev)
			}
		}

		for _, ev := range probes {
			wantSame(t, w.set, "probe "+ev.ID, vectorOf(t, reference, w.set, ev), w.vector(ev))
		}
		// The applied events themselves, read again, are inside in both.
		for _, ev := range c.remembered(events)[:60] {
			v := w.vector(ev)
			if !v.Inside {
				t.Errorf("%s was applied and is not inside", ev.ID)
			}
			wantSame(t, w.set, "applied "+ev.ID, vectorOf(t, reference, w.set, ev), v)
		}
		w.wantLikeJournal(probes)
	})
}

// block has some of the events blocked that can still be decided on when all have come.
func (w *world) block(c *casino, events []*features.Event) {
	w.blocked = map[string]bool{}
	for _, ev := range c.remembered(events) {
		if c.rng.IntN(12) == 0 {
			w.blocked[ev.ID] = true
		}
	}
}

func items(events []*features.Event) []features.IngestItem {
	list := make([]features.IngestItem, 0, len(events))
	for _, ev := range events {
		list = append(list, features.IngestItem{Event: ev})
	}
	return list
}

// remembered gives the events that are not too old to be sent again: the edge refuses those.
func (c *casino) remembered(events []*features.Event) []*features.Event {
	return slices.DeleteFunc(slices.Clone(events), func(ev *features.Event) bool { return ev.OccurredAt < c.now-29*86400*1_000_000 })
}

// correctable leaves out the corrections that count by the time of their receipt, but that would not find their original,
// or be waited for, if they came after all the others: dedupe knows 30 days back from the newest event.
func (c *casino) correctable(events []*features.Event) []*features.Event {
	old := map[string]bool{}
	for _, ev := range events {
		if ev.OccurredAt < c.now-29*86400*1_000_000 {
			old[ev.ID], old[ev.Msg.GetTransactionId()] = true, true
		}
	}
	delete(old, "")
	return slices.DeleteFunc(events, func(ev *features.Event) bool {
		references := ev.Msg.GetReferenceTransactionId() + ev.Msg.GetSupersedesEventId()
		return references != "" && (old[references] || ev.ReceivedAt < c.now-29*86400*1_000_000)
	})
}

// applyAnyhow applies events in a random order and manner.
func (w *world) applyAnyhow(c *casino, events []*features.Event) {
	w.t.Helper()
	again := c.remembered(events)
	order := slices.Concat(events, again[:len(again)/2])
	c.rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for len(order) > 0 {
		n := min(1+c.rng.IntN(12), len(order))
		batch := order[:n]
		order = order[n:]
		switch c.rng.IntN(4) {
		case 0, 1:
			if _, err := w.e.Ingest(context.Background(), items(batch)); err != nil {
				w.t.Fatalf("cannot ingest: %v", err)
			}
		case 2:
			for _, ev := range batch {
				w.applyIfNew(ev)
			}
		default:
			for _, ev := range batch {
				w.decideIfNew(w.resend(ev))
			}
		}
		w.disturb(c)
	}
}

// disturb does what must not matter.
func (w *world) disturb(c *casino) {
	w.t.Helper()
	switch n := c.rng.IntN(40); {
	case n < 6:
		if err := w.e.Checkpoint(context.Background()); err != nil {
			w.t.Fatalf("cannot make a checkpoint: %v", err)
		}
	case n < 8:
		w.restart(true)
	case n < 10:
		w.restart(false)
	}
}

// resend gives the event as a producer sends it a second time: another trace and time of receipt.
func (w *world) resend(ev *features.Event) *features.Event {
	w.t.Helper()
	msg := proto.CloneOf(ev.Msg)
	msg.TraceId += "again"
	msg.ReceivedAt = timestamp(ev.ReceivedAt + 1000)
	return w.decode(msg)
}

func (w *world) applyIfNew(ev *features.Event) {
	w.t.Helper()
	s := w.admit(ev)
	defer s.Release()
	if _, ok := s.Known(); ok {
		return
	}
	if _, err := w.e.Commit(context.Background(), s, &pb.EventFrame{}); err != nil {
		w.t.Fatalf("cannot commit %q: %v", ev.ID, err)
	}
}

func (w *world) decideIfNew(ev *features.Event) {
	w.t.Helper()
	s := w.admit(ev)
	defer s.Release()
	if known, _ := s.Known(); !known.Decision.IsZero() {
		return
	}
	v := &features.Vector{}
	if err := w.e.Vector(context.Background(), s, w.set, v); err != nil {
		w.t.Fatalf("cannot read the vector of %q: %v", ev.ID, err)
	}
	if _, err := w.e.Commit(context.Background(), s, &pb.EventFrame{Decision: w.decision(ev, v)}); err != nil {
		w.t.Fatalf("cannot commit %q: %v", ev.ID, err)
	}
}

func wantEveryAggregate(t *testing.T, set *features.Set) {
	t.Helper()
	for _, aggregate := range []string{"count", "sum", "mean", "std", "cv", "min", "max", "range", "top_share", "entropy",
		"quantile", "decayed_count", "decayed_sum", "first_seen", "distinct", "distinct_large", "active_hours", "quiet_gap", "same_slot_share", "time_since",
		"last_value", "gap_mean", "gap_cv", "gap_mad", "gap_entropy", "gap_autocorrelation", "gap_share_under", "metronome",
		"ngram_count", "ratio", "value"} {
		if !slices.ContainsFunc(set.Features, func(f features.FeatureInfo) bool { return f.Aggregate == aggregate }) {
			t.Errorf("the set of the tests has no %s", aggregate)
		}
	}
}

// testInside compares an event that is read on the fly with the same event read when it is inside: as a call before the
// event came by Kafka and one after it.
func testInside(t *testing.T, subject Subject) {
	eachRound(t, subject, 2, func(t *testing.T, round int) {
		w := newWorld(t, subject)
		c := newCasino(seed(t, round))
		events := w.events(c, 120)
		if _, err := w.e.Ingest(context.Background(), items(events)); err != nil {
			t.Fatalf("cannot ingest: %v", err)
		}
		for range 12 {
			known := c.remembered(events)
			i := slices.Index(events, known[c.rng.IntN(len(known))])
			without := w.scratch(journal.NewMemory(journal.MemoryConfig{}))
			if _, err := without.Ingest(context.Background(), items(slices.Delete(slices.Clone(events), i, i+1))); err != nil {
				t.Fatalf("cannot ingest: %v", err)
			}
			fly, inside := vectorOf(t, without, w.set, events[i]), w.vector(events[i])
			if fly.Inside || !inside.Inside {
				t.Fatalf("%s: inside is %v and %v, want false and true", events[i].ID, fly.Inside, inside.Inside)
			}
			for f, status := range inside.Status {
				if status == features.CorrectionMissed {
					// Said so: the event is older than the newest that are kept as they came.
					inside.Values[f], inside.Status[f] = fly.Values[f], fly.Status[f]
				}
			}
			wantSame(t, w.set, events[i].ID, fly, inside)
		}
	})
}

// testAdmission is what Admit knows and refuses.
func testAdmission(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	ev := w.bet("a", "p", 0)
	pos, v := w.decide(ev)
	if v.Inside {
		t.Errorf("a new event is inside")
	}
	w.wantValue(v, "bets_1m", 1)

	s, err := w.e.Admit(context.Background(), w.resend(ev))
	if err != nil {
		t.Fatalf("the same event again: %v", err)
	}
	if known, ok := s.Known(); !ok || known.Event != pos || known.Decision != pos {
		t.Errorf("known is %+v, %v, want %v", known, ok, pos)
	}
	s.Release()
	s.Release() // twice does nothing

	other := w.bet("a", "p", 1)
	if _, err := w.e.Admit(context.Background(), other); !errors.Is(err, features.ErrConflict) {
		t.Errorf("other content: %v, want ErrConflict", err)
	}
	elsewhere := w.bet("a", "p", 0, func(m *pb.Event) { m.Tenant = "other" })
	w.wantValue(w.vector(elsewhere), "bets_1m", 1)
	for range 2 { // a refused event leaves no slot behind
		if _, err := w.e.Admit(context.Background(), other); !errors.Is(err, features.ErrConflict) {
			t.Errorf("other content: %v, want ErrConflict", err)
		}
	}
	if n := w.e.Stats().Slots; n != 0 {
		t.Errorf("%d slots are held", n)
	}
}

// testSecondCaller asks about an event that somebody works on: one waits for the first, and no longer than one wants to.
func testSecondCaller(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	s := w.admit(w.bet("b", "p", 2))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := w.e.Admit(ctx, w.bet("b", "p", 2)); !errors.Is(err, context.Canceled) {
		t.Errorf("a second caller: %v, want context.Canceled", err)
	}
	done := make(chan error)
	go func() {
		second, err := w.e.Admit(context.Background(), w.bet("b", "p", 2))
		if err == nil {
			if _, ok := second.Known(); !ok {
				err = errors.New("the event is not known to the second caller")
			}
			second.Release()
		}
		done <- err
	}()
	if _, err := w.e.Commit(context.Background(), s, &pb.EventFrame{}); err != nil {
		t.Fatal(err)
	}
	s.Release()
	if err := <-done; err != nil {
		t.Errorf("the second caller: %v", err)
	}
}

// testTransactions sends one wallet transaction under two event ids.
func testTransactions(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	transaction := func(id string) func(*pb.Event) { return func(m *pb.Event) { m.TransactionId = id } }
	pos := w.apply(w.bet("a", "p", 0, transaction("t1")))
	for _, cleanly := range []bool{true, false} {
		if _, err := w.e.Admit(context.Background(), w.bet("b", "p", 1, transaction("t1"))); !errors.Is(err, features.ErrDuplicateTransaction) {
			t.Errorf("the transaction again: %v, want ErrDuplicateTransaction", err)
		}
		results, err := w.e.Ingest(context.Background(), items([]*features.Event{w.bet("c", "p", 1, transaction("t1")), w.bet("a", "p", 0, transaction("t1"))}))
		if err != nil {
			t.Fatalf("cannot ingest: %v", err)
		}
		if !errors.Is(results[0].Err, features.ErrDuplicateTransaction) || !results[1].Duplicate || results[1].Pos != pos {
			t.Errorf("results are %+v", results)
		}
		w.restart(cleanly)
	}
	// Another type, another tenant, another transaction.
	w.apply(w.bet("d", "p", 2, transaction("t1"), func(m *pb.Event) {
		m.Type, m.Payload = "bet.rolled_back", &pb.Event_BetRolledBack{BetRolledBack: &pb.BetRolledBack{}}
	}))
	w.apply(w.bet("e", "p", 3, transaction("t1"), func(m *pb.Event) { m.Tenant = "other" }))
	w.apply(w.bet("f", "p", 4, transaction("t2")))
}
