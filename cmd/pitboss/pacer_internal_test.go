package main

import (
	"context"
	"testing"
	"time"
)

// A pacer may wake late on a busy machine, and never early: a call that is sent before it is due would look quick.
func TestPacingIsNeverEarly(t *testing.T) {
	stop := startPacing()
	defer stop()
	for _, d := range []time.Duration{-time.Second, 0, 50 * time.Microsecond, 3 * time.Millisecond, pacerSlice + 3*time.Millisecond} {
		due := time.Now().Add(d)
		if !paceUntil(t.Context(), due) {
			t.Errorf("paceUntil(%v from now) = false, want true", d)
		}
		if early := time.Until(due); early > 0 {
			t.Errorf("paceUntil(%v from now) came back %v early", d, early)
		}
	}
}

func TestPacingEndsWithItsContext(t *testing.T) {
	stop := startPacing()
	defer stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	began := time.Now()
	if paceUntil(ctx, began.Add(time.Hour)) {
		t.Error("paceUntil = true with a context that has ended, want false")
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("paceUntil came back %v after its context ended", took)
	}
}
