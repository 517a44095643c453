package enginetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// await asks until it holds; a minute is for ever.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.After(time.Minute)
	for !holds() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// pause is a caller's own, before it asks again.
func pause() {
	t := time.NewTimer(100 * time.Microsecond)
	<-t.C
}

// insist commits an event however often it takes, as a caller does that asks again, and says at which position it is.
func (w *world) insist(e *features.Engine, ev *features.Event) (journal.Pos, error) {
	for {
		pos, err := once(e, ev)
		if errors.Is(err, features.ErrUnavailable) || errors.Is(err, features.ErrNotWritten) {
			pause()
			continue
		}
		return pos, err
	}
}

func once(e *features.Engine, ev *features.Event) (journal.Pos, error) {
	s, err := e.Admit(context.Background(), ev)
	if err != nil {
		return journal.Pos{}, err
	}
	defer s.Release()
	if known, ok := s.Known(); ok {
		return known.Event, nil
	}
	return e.Commit(context.Background(), s, &pb.EventFrame{})
}

// testFailedWrite loses one frame: it is gone from memory too, and its position is given to the next one.
func testFailedWrite(t *testing.T, subject Subject) {
	faults := &faultyJournal{}
	w := newWorld(t, subject, withFaults(faults))
	w.apply(w.bet("a", "p", 0))
	if err := w.e.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.apply(w.bet("b", "p", 1))

	faults.lose(1)
	lost := w.bet("lost", "p", 2)
	if _, err := w.tryCommit(lost, nil); !errors.Is(err, features.ErrNotWritten) {
		t.Fatalf("a frame that was not written: %v, want ErrNotWritten", err)
	}
	await(t, "recovery", func() bool { return !w.e.Stats().Recovering && faults.Failed() == nil })
	last := w.bet("last", "p", 3)
	w.wantValue(w.vector(last), "bets_1m", 3) // a, b and itself
	w.wantLikeJournal([]*features.Event{last})
	if pos := w.apply(lost); pos.Offset != 3 {
		t.Errorf("asked again, the event is at %v, want the third position", pos)
	}
	w.wantValue(w.vector(last), "bets_1m", 4)

	// A slot from before the failure must not write what it read then.
	s := w.admit(last)
	defer s.Release()
	faults.lose(1)
	if _, err := w.tryCommit(w.bet("lost too", "p", 2), nil); !errors.Is(err, features.ErrNotWritten) {
		t.Fatalf("a frame that was not written: %v, want ErrNotWritten", err)
	}
	await(t, "recovery", func() bool { return !w.e.Stats().Recovering && faults.Failed() == nil })
	if err := w.e.Vector(context.Background(), s, w.set, &features.Vector{}); !errors.Is(err, features.ErrUnavailable) {
		t.Errorf("a vector over a slot from before: %v, want ErrUnavailable", err)
	}
	if _, err := w.e.Commit(context.Background(), s, &pb.EventFrame{}); !errors.Is(err, features.ErrUnavailable) {
		t.Errorf("a commit over a slot from before: %v, want ErrUnavailable", err)
	}
}

// testTickets appends without waiting: a ticket from before a failure is not good after it, though its position may be
// another frame's by then. A full buffer is waited for.
func testTickets(t *testing.T, subject Subject) {
	faults := &faultyJournal{}
	w := newWorld(t, subject, withFaults(faults))
	appended := func(ev *features.Event) features.Ticket {
		t.Helper()
		s := w.admit(ev)
		defer s.Release()
		ticket, err := w.e.Append(context.Background(), s, &pb.EventFrame{})
		if err != nil {
			t.Fatalf("cannot append: %v", err)
		}
		return ticket
	}
	faults.fill(3)
	first := appended(w.bet("a", "p", 0))
	if err := w.e.Written(context.Background(), first); err != nil {
		t.Errorf("an appended frame: %v", err)
	}
	faults.lose(2)
	lost := appended(w.bet("b", "p", 1))
	if _, err := w.tryCommit(w.bet("c", "p", 2), nil); !errors.Is(err, features.ErrNotWritten) {
		t.Fatalf("a frame that was not written: %v, want ErrNotWritten", err)
	}
	if pos, err := w.insist(w.e, w.bet("d", "p", 3)); err != nil || pos != lost.Pos {
		t.Fatalf("the next frame is at %v, want the lost one's %v: %v", pos, lost.Pos, err)
	}
	for _, ticket := range []features.Ticket{first, lost} {
		if err := w.e.Written(context.Background(), ticket); !errors.Is(err, features.ErrNotWritten) {
			t.Errorf("a ticket from before the failure: %v, want ErrNotWritten", err)
		}
	}
	faults.fill(1 << 30)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s := w.admit(w.bet("e", "p", 4))
	defer s.Release()
	if _, err := w.e.Append(ctx, s, &pb.EventFrame{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a buffer that stays full: %v, want context.Canceled", err)
	}
	faults.fill(0)
}

// testFailedWriteUnderLoad loses frames again and again under many callers. Each event is there once in the end.
func testFailedWriteUnderLoad(t *testing.T, subject Subject) {
	faults := &faultyJournal{}
	w := newWorld(t, subject, withFaults(faults), withConfig(func(c *features.EngineConfig) { c.CheckpointFrames = 20 }))
	rng := rand.New(rand.NewPCG(seed(t, 0), 2))
	const callers, each, faultsWanted = 8, 60, 8
	var wg sync.WaitGroup
	// However fast the machine, the load goes on until the faults are through.
	var enough atomic.Bool
	var sent atomic.Int64
	for caller := range callers {
		wg.Go(func() {
			for n := 0; n < each || !enough.Load() && n < 100*each; n++ {
				sent.Add(1)
				ev := w.bet(fmt.Sprintf("e%d-%d", caller, n), fmt.Sprint("p", n%3), 1)
				if n%3 == 0 {
					w.insistBatch(ev)
					continue
				}
				if _, err := w.insist(w.e, ev); err != nil {
					t.Errorf("cannot commit: %v", err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for n := range uint64(faultsWanted) {
		faults.lose(1 + rng.IntN(5))
		await(t, "a failure", func() bool {
			select {
			case <-done:
				return true
			default:
				return w.e.Stats().Recoveries > n && faults.Failed() == nil
			}
		})
	}
	enough.Store(true)
	<-done
	faults.lose(0)
	await(t, "recovery", func() bool {
		_, err := w.e.Admit(context.Background(), w.bet("e0-0", "p0", 1))
		return err == nil
	})
	if n := w.e.Stats().Recoveries; n < faultsWanted/2 {
		t.Errorf("the journal failed %d times under load: the faults do not reach", n)
	}
	last := []*features.Event{w.bet("last0", "p0", 2), w.bet("last1", "p1", 2), w.bet("last2", "p2", 2)}
	total := 0.0
	for _, ev := range last {
		total += w.value(w.vector(ev), "bets_1m") - 1
	}
	if total != float64(sent.Load()) {
		t.Errorf("%v events are inside, want %d", total, sent.Load())
	}
	w.wantLikeJournal(last)
}

// insistBatch is insist by Ingest.
func (w *world) insistBatch(ev *features.Event) {
	for {
		results, err := w.e.Ingest(context.Background(), items([]*features.Event{ev}))
		if errors.Is(err, features.ErrUnavailable) || errors.Is(err, features.ErrNotWritten) {
			pause()
			continue
		}
		if err != nil || results[0].Err != nil {
			w.t.Errorf("cannot ingest: %v, %+v", err, results)
		}
		return
	}
}

// testStaysFull keeps the disk full for a while: everything is refused by name meanwhile, and goes on by itself after.
func testStaysFull(t *testing.T, subject Subject) {
	faults := &faultyJournal{}
	w := newWorld(t, subject, withFaults(faults))
	w.apply(w.bet("a", "p", 0))
	faults.stay(errDisk)
	faults.lose(1)
	if _, err := w.tryCommit(w.bet("b", "p", 1), nil); !errors.Is(err, features.ErrNotWritten) {
		t.Fatalf("a frame that was not written: %v, want ErrNotWritten", err)
	}
	for range 3 {
		if _, err := w.e.Admit(context.Background(), w.bet("c", "p", 2)); !errors.Is(err, features.ErrUnavailable) {
			t.Errorf("while the disk is full: %v, want ErrUnavailable", err)
		}
		if _, err := w.e.Ingest(context.Background(), items([]*features.Event{w.bet("c", "p", 2)})); !errors.Is(err, features.ErrUnavailable) {
			t.Errorf("while the disk is full: %v, want ErrUnavailable", err)
		}
		if err := w.e.Advance(context.Background(), []*pb.KafkaOffset{kafka(0, 1)}); !errors.Is(err, features.ErrUnavailable) {
			t.Errorf("while the disk is full: %v, want ErrUnavailable", err)
		}
		if !w.e.Stats().Recovering {
			t.Errorf("the engine does not say that it recovers")
		}
	}
	faults.stay(nil)
	if _, err := w.insist(w.e, w.bet("b", "p", 1)); err != nil {
		t.Fatalf("cannot commit after the disk has room again: %v", err)
	}
	w.wantValue(w.vector(w.bet("c", "p", 2)), "bets_1m", 3)
}
