package sim_test

import (
	"math"
	"testing"
	"time"

	"pitboss/sim"
)

// The faults are as frequent as asked for, deliveries come in order, and the same seed has the same ones.
func TestWireHasTheFaultsAskedFor(t *testing.T) {
	const share = 0.02
	faults := sim.Faults{Duplicates: share, Late: share, Lost: share, RollbackFirst: 1, Clock: 50 * time.Millisecond, OneOff: 3 * time.Second}
	busy := func(c *sim.Config) { c.Players, c.Duration, c.Activity, c.Rollbacks = 150, 24*time.Hour, 3, 0.05 }
	w, err := sim.NewWire(newSim(t, busy), faults)
	if err != nil {
		t.Fatal(err)
	}
	same, err := sim.NewWire(newSim(t, busy), faults)
	if err != nil {
		t.Fatal(err)
	}
	var (
		delivered, again, late float64
		last                   time.Time
		highest                = map[string]uint64{}
		offsets                = map[string]int64{}
		rollbacks, first       float64
		bets                   = map[string]bool{}
	)
	for d, ok := w.Next(); ok; d, ok = w.Next() {
		if other, _ := same.Next(); other.Event.GetEventId() != d.Event.GetEventId() || !other.At.Equal(d.At) {
			t.Fatalf("the same seed delivers %s at %s and %s at %s", d.Event.GetEventId(), d.At, other.Event.GetEventId(), other.At)
		}
		if d.At.Before(last) {
			t.Fatalf("%s is delivered after %s", d.At, last)
		}
		last = d.At
		delivered++
		p := d.Event.GetProducerId()
		highest[p] = max(highest[p], d.Event.GetProducerSeq())
		offsets[p] = d.Event.GetClockQuality().GetNtpOffsetUs()
		if d.Again {
			again++
			continue
		}
		if d.At.Sub(d.Event.GetOccurredAt().AsTime()) > 2*time.Minute {
			late++
		}
		switch d.Event.GetType() {
		case "bet.placed":
			bets[d.Event.GetTransactionId()] = true
		case "bet.rolled_back":
			rollbacks++
			if !bets[d.Event.GetReferenceTransactionId()] {
				first++
			}
		}
	}
	told := 0.0
	for _, n := range highest {
		told += float64(n)
	}
	f := func(what string, got, low, high float64) {
		t.Helper()
		if got < low || got > high {
			t.Errorf("%s: got %.4f, want %v to %v (%v events)", what, got, low, high, told)
		}
	}
	f("delivered twice", again/told, 0.017, 0.023)
	f("late", late/told, 0.017, 0.024)
	f("lost", 1-(delivered-again)/told, 0.017, 0.023)
	f("rollbacks before their bet", first/rollbacks, 0.85, 1)
	f("the clock that is off, seconds", float64(offsets["rgs-2"])/1e6, 2.7, 3.3)
	f("another clock, seconds", math.Abs(float64(offsets["pam-1"])/1e6), 0.0001, 0.3)
}

// Without faults a wire delivers what the casino tells.
func TestWireWithoutFaults(t *testing.T) {
	w, err := sim.NewWire(newSim(t, func(c *sim.Config) { c.Duration = 4 * time.Hour }), sim.Faults{})
	if err != nil {
		t.Fatal(err)
	}
	s := newSim(t, func(c *sim.Config) { c.Duration = 4 * time.Hour })
	want := map[string]bool{}
	for ev, ok := s.Next(); ok; ev, ok = s.Next() {
		want[ev.GetEventId()] = true
	}
	for d, ok := w.Next(); ok; d, ok = w.Next() {
		if !want[d.Event.GetEventId()] || d.Again || d.Event.GetClockQuality() != nil || d.Truth.EventID != d.Event.GetEventId() {
			t.Fatalf("delivered %+v", d)
		}
		delete(want, d.Event.GetEventId())
	}
	if len(want) > 0 {
		t.Errorf("%d events were not delivered", len(want))
	}
}

func TestFaultsThatAreRefused(t *testing.T) {
	s := newSim(t, func(*sim.Config) {})
	for _, f := range []sim.Faults{{Lost: 2}, {Late: -1}, {Duplicates: nan()}, {Clock: -1}, {OneOff: 100 * time.Hour}} {
		if _, err := sim.NewWire(s, f); err == nil {
			t.Errorf("%+v was accepted", f)
		}
	}
}
