package main

import (
	"context"
	"runtime"
	"time"
)

// pacerSlice bounds one sleep of a thread, which does not see that its context ends.
const pacerSlice = 50 * time.Millisecond

// startPacing gives the goroutine a thread of its own for paceUntil, until stop. The runtime's timers are kept by whoever
// polls the network, to the millisecond, which is as much as a load generator measures.
func startPacing() (stop func()) {
	runtime.LockOSThread()
	exactTimers()
	return func() {
		inexactTimers()
		runtime.UnlockOSThread()
	}
}

// paceUntil waits for a moment and says whether to go on. Where it can, the thread sleeps, between startPacing and stop.
func paceUntil(ctx context.Context, t time.Time) bool {
	for ctx.Err() == nil {
		d := time.Until(t)
		if d <= 0 {
			return true
		}
		sleepThread(min(d, pacerSlice))
	}
	return false
}
