package enginetest

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// deciders is how many decide at once.
const deciders = 16

// testPinned decides from many goroutines at once on a few players, addresses and games, while a feed brings the same
// events, twice, and checkpoints are made. Each vector that was served is the one that is made again, from the journal
// alone, at the positions that its record pins: bit for bit, all of them, also after the process died in between.
func testPinned(t *testing.T, subject Subject) {
	eachRound(t, subject, 2, func(t *testing.T, round int) {
		w := newWorld(t, subject, withConfig(func(c *features.EngineConfig) { c.MaxEntities, c.CheckpointFrames = 64, 500 }))
		c := newCasino(seed(t, round))
		c.calm = true
		events := c.remembered(w.events(c, 2000))
		w.block(c, events)
		half := len(events) / 2
		w.decideAtOnce(events[:half])
		w.restart(false)
		w.decideAtOnce(events[half:])
		report := w.verify(w.j)
		t.Logf("%d vectors, %d values the same; %d with an entity that others changed before the record was written, %d of events that had come before",
			report.Same, report.Values, report.Overtaken, report.Inside)
		if report.Decisions != uint64(len(events)) || report.Same != report.Decisions || report.Taken != 0 {
			t.Errorf("%d decisions of %d events, %d the same, %d values taken: %v", report.Decisions, len(events), report.Same, report.Taken, report.Findings)
		}
		if report.Overtaken == 0 || report.Inside == 0 || report.Inside == report.Decisions {
			t.Errorf("%d decisions are overtaken and %d inside: nothing ran at once", report.Overtaken, report.Inside)
		}
		wantOnce(t, w.j)
	})
}

// decideAtOnce decides on all events, while a feed brings some of them, brings these again, and then all.
func (w *world) decideAtOnce(events []*features.Event) {
	w.t.Helper()
	var wg sync.WaitGroup
	for caller := range deciders {
		wg.Go(func() {
			for i := caller; i < len(events); i += deciders {
				if err := w.decideSlowly(w.resend(events[i])); err != nil {
					w.t.Errorf("cannot decide on %s: %v", events[i].ID, err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		var some []*features.Event
		for i := 0; i < len(events); i += 3 { // else nearly all would come by the feed first
			some = append(some, events[i])
		}
		for batch := range slices.Chunk(items(slices.Concat(some, some, events)), 7) {
			if _, err := w.e.Ingest(context.Background(), batch); err != nil {
				w.t.Errorf("cannot ingest: %v", err)
				return
			}
		}
	})
	wg.Wait()
}

// decideSlowly decides on an event, and lets others go first once it has its vector.
func (w *world) decideSlowly(ev *features.Event) error {
	ctx := context.Background()
	s, err := w.e.Admit(ctx, ev)
	if err != nil {
		return err
	}
	defer s.Release()
	v := &features.Vector{}
	if unread := w.e.Vector(ctx, s, w.set, v); unread != nil {
		return unread
	}
	for range 4 {
		runtime.Gosched()
	}
	_, err = w.e.Commit(ctx, s, &pb.EventFrame{Decision: w.decision(ev, v)})
	return err
}

// verify makes all vectors of a journal again.
func (w *world) verify(j journal.Journal) *features.VerifyReport {
	w.t.Helper()
	cfg := w.cfg
	cfg.OnCheckpoint, cfg.Sides = nil, nil
	served, err := features.ServedSets(context.Background(), j, nil)
	if err != nil {
		w.t.Fatalf("cannot look for feature sets: %v", err)
	}
	report, err := features.Verify(context.Background(), features.VerifyConfig{
		Journal: j, States: w.subject.Scratch(), Sets: w.sets, Served: served, Engine: cfg,
	})
	if err != nil {
		w.t.Fatalf("cannot verify: %v", err)
	}
	return report
}

// testPinnedErasure erases a player between decisions. What the erased frames counted at addresses and games nobody can make
// again, and is not taken for an error; the vectors before are.
func testPinnedErasure(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	c := newCasino(seed(t, 0))
	c.calm = true
	events := c.remembered(w.events(c, 600))
	w.decideAtOnce(events[:200])
	if err := w.e.Erase(context.Background(), "acme", &pb.Identifier{Kind: "player", Value: "p1", Form: pb.Form_FORM_ALIAS}); err != nil {
		t.Fatal(err)
	}
	w.decideAtOnce(events[200:])
	report := w.verify(w.j)
	if !report.Identical() || report.Erased == 0 || report.Unsure == 0 || report.Same == 0 {
		t.Errorf("%d the same, %d unsure, %d different, %d failed, %d frames erased: %v",
			report.Same, report.Unsure, report.Different, report.Failed, report.Erased, report.Findings)
	}
}

// testVerifyFinds changes one record of many, each in another way: it is found, and no other.
func testVerifyFinds(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	c := newCasino(seed(t, 0))
	c.calm = true
	events := c.remembered(w.events(c, 150))
	w.decideAtOnce(events)
	report := w.verify(w.j)
	if report.Same != report.Decisions || report.Decisions == 0 {
		t.Fatalf("%d of %d vectors are the same: %v", report.Same, report.Decisions, report.Findings)
	}
	f := func(what string, different, failed uint64, change func(in *pb.Inputs) bool) {
		t.Helper()
		changed, done := w.changedJournal(change)
		if !done {
			t.Fatalf("%s: no record is like that", what)
		}
		got := w.verify(changed)
		if got.Different != different || got.Failed != failed || got.Same != got.Decisions-1 || len(got.Findings) != 1 || got.Identical() {
			t.Errorf("%s: %d different and %d failed, want %d and %d; %d of %d the same: %v",
				what, got.Different, got.Failed, different, failed, got.Same, got.Decisions, got.Findings)
		}
	}
	f("a value", 1, 0, func(in *pb.Inputs) bool {
		in.Vector[0]++
		return true
	})
	f("a status", 1, 0, func(in *pb.Inputs) bool {
		in.Statuses[1] ^= byte(features.Stale)
		return true
	})
	f("a position", 1, 0, func(in *pb.Inputs) bool {
		for _, pin := range in.Pins {
			if pin.Entity == 1 && pin.Position.GetOffset() > 0 {
				pin.Position = nil // as if the game had been unknown
				return true
			}
		}
		return false
	})
	f("no position", 0, 1, func(in *pb.Inputs) bool {
		in.Pins = in.Pins[1:]
		return true
	})
	f("another set", 0, 1, func(in *pb.Inputs) bool {
		in.FeatureSetHash[0]++
		return true
	})
	f("a vector that is too short", 0, 1, func(in *pb.Inputs) bool {
		in.Vector = in.Vector[1:]
		return true
	})
	f("inside", 0, 1, func(in *pb.Inputs) bool {
		in.EventInside = !in.EventInside
		return true
	})
}

// changedJournal copies the journal, and changes the first record past the middle that change takes.
func (w *world) changedJournal(change func(in *pb.Inputs) bool) (_ journal.Journal, done bool) {
	w.t.Helper()
	cursor, err := w.j.Read(journal.Pos{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = cursor.Close() }()
	to := journal.NewMemory(journal.MemoryConfig{})
	for {
		f, err := cursor.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return to, done
		}
		if err != nil {
			w.t.Fatal(err)
		}
		frame := &pb.EventFrame{}
		if f.Kind == features.FrameEvent && !done && f.Pos.Offset > w.j.Head().Offset/2 {
			if err = proto.Unmarshal(f.Payload, frame); err != nil {
				w.t.Fatal(err)
			}
			if frame.GetDecision() != nil && change(frame.GetDecision().GetInputs()) {
				done = true
				if f.Payload, err = proto.Marshal(frame); err != nil {
					w.t.Fatal(err)
				}
			}
		}
		if err := appendFrame(to, f); err != nil {
			w.t.Fatal(err)
		}
	}
}
