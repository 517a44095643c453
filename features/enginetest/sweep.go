package enginetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

// newMovingCasino gives a casino whose players, addresses and games come and go, over months.
func newMovingCasino(seed uint64) *casino {
	c := newCasino(seed)
	c.moving = true
	return c
}

// recent makes events that are only read with, at times that an event may have when it comes in now.
func (w *world) recent(c *casino, n int) []*features.Event {
	w.t.Helper()
	list := make([]*features.Event, 0, n)
	for i := range n {
		at := c.now - c.rng.Int64N(30*86400*1_000_000)
		if i%3 == 0 {
			at = c.now + c.rng.Int64N(35*86400*1_000_000)
		}
		list = append(list, w.decode(c.at(fmt.Sprint("probe", i), at)))
	}
	return list
}

// testSweep takes idle entities out at random, with late events, restarts and checkpoints between: no reading tells.
func testSweep(t *testing.T, subject Subject) {
	eachRound(t, subject, 3, func(t *testing.T, round int) {
		w := newWorld(t, subject, withConfig(func(c *features.EngineConfig) { c.MaxEntities = 64 }))
		c := newMovingCasino(seed(t, round))
		var swept, shrunk uint64
		for range 12 {
			if _, err := w.e.Ingest(context.Background(), items(w.events(c, 40))); err != nil {
				t.Fatalf("cannot ingest: %v", err)
			}
			w.disturb(c)
			before := w.e.Stats()
			if err := w.e.Sweep(context.Background()); err != nil {
				t.Fatalf("cannot sweep: %v", err)
			}
			after := w.e.Stats()
			swept, shrunk = swept+after.Swept-before.Swept, shrunk+after.Shrunk-before.Shrunk
			w.disturb(c)
			w.wantLikeJournal(w.recent(c, 12))
		}
		if swept == 0 || shrunk == 0 {
			t.Errorf("%d entities were taken out and %d made smaller: the test does not reach", swept, shrunk)
		}
		t.Logf("%d entities were taken out and %d made smaller", swept, shrunk)
	})
}

// testSweepKeepsKeys sweeps players who are long gone: each can still be erased.
func testSweepKeepsKeys(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	pos := w.apply(w.bet("a", "p", 0))
	w.apply(w.bet("b", "q", 200*86400))
	if err := w.e.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := w.e.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s := w.e.Stats(); s.Shrunk == 0 {
		t.Errorf("nobody was made smaller: %+v", s)
	}
	w.restart(true)
	f, err := w.j.Get(pos)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.e.Erase(context.Background(), "acme", &pb.Identifier{Kind: "player", Value: "p", Form: pb.Form_FORM_ALIAS}); err != nil {
		t.Fatal(err)
	}
	if w.j.Keys().Has(f.KeyID) {
		t.Errorf("the key of somebody who was swept is still there after the erasure")
	}
}

// testTornSweep breaks a sweep at each of its writes, and kills the process there.
func testTornSweep(t *testing.T, subject Subject) {
	faults := &faultyStates{left: -1}
	w := newWorld(t, subject, withFaultyStates(faults), withConfig(func(c *features.EngineConfig) { c.CheckpointFrames = 1 << 30 }))
	c := newMovingCasino(seed(t, 0))
	if _, err := w.e.Ingest(context.Background(), items(w.events(c, 500))); err != nil {
		t.Fatal(err)
	}
	for step := 0; ; step++ {
		if _, err := w.e.Ingest(context.Background(), items(w.events(c, 60))); err != nil {
			t.Fatal(err)
		}
		if err := w.e.Checkpoint(context.Background()); err != nil {
			t.Fatal(err)
		}
		faults.arm(step)
		err := w.e.Sweep(context.Background())
		faults.arm(-1)
		if err != nil && !errors.Is(err, errDisk) {
			t.Fatalf("step %d: a broken sweep: %v", step, err)
		}
		w.restart(step%2 == 0)
		w.wantLikeJournal(w.recent(c, 6))
		if err == nil {
			if step < 4 {
				t.Errorf("only %d sweeps were broken: the faults do not reach", step)
			}
			return
		}
	}
}

// testSweepBesideLoad sweeps without pause while callers apply and read, old players among them.
func testSweepBesideLoad(t *testing.T, subject Subject) {
	w := newWorld(t, subject, withConfig(func(c *features.EngineConfig) { c.MaxEntities, c.CheckpointFrames = 64, 50 }))
	const callers, each = 4, 60
	old := int64(-150 * 86400)
	for n := range callers * each {
		w.apply(w.bet(fmt.Sprint("old", n), fmt.Sprint("p", n), float64(old+int64(n))))
	}
	w.apply(w.bet("new", "somebody", 0))
	if err := w.e.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	for caller := range callers {
		go func() {
			for n := range each {
				ev := w.bet(fmt.Sprint("new", caller, "-", n), fmt.Sprint("p", caller*each+n), float64(n))
				if _, err := w.tryCommit(ev, nil); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for left := callers; left > 0; {
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("beside a sweep: %v", err)
			}
			left--
		default:
			if err := w.e.Sweep(context.Background()); err != nil {
				t.Errorf("cannot sweep: %v", err)
			}
		}
	}
	var probes []*features.Event
	for n := range callers * each / 4 {
		probes = append(probes, w.bet(fmt.Sprint("probe", n), fmt.Sprint("p", n*4), 70))
	}
	w.wantLikeJournal(probes)
}

// testFlood asks for more entities that nobody knows than fit, as one who makes names up would.
func testFlood(t *testing.T, subject Subject) {
	const entities, names = 128, 20_000
	w := newWorld(t, subject, withConfig(func(c *features.EngineConfig) { c.MaxEntities, c.MaxBytes = entities, 1<<20 }))
	w.apply(w.bet("a", "somebody", 0))
	for n := range names {
		w.vector(w.bet(fmt.Sprint("flood", n), fmt.Sprint("nobody", n), 1))
		if s := w.e.Stats(); s.Entities > entities+64 || s.EntityBytes > 1<<20+1<<18 {
			t.Fatalf("after %d names %d entities of %d bytes are in memory", n, s.Entities, s.EntityBytes)
		}
	}
	kept := 0
	if err := w.s.Each(context.Background(), features.EntityKey{}, func(features.EntityKey, []byte) error { kept++; return nil }); err != nil {
		t.Fatal(err)
	}
	if kept > 8 {
		t.Errorf("%d entities are stored that were only asked for", kept)
	}
	w.wantValue(w.vector(w.bet("b", "somebody", 2)), "bets_1m", 2)
}
