package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleepThread puts the thread to sleep. A signal, which the runtime sends for its own ends, may wake it before.
func sleepThread(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil) // an interrupted sleep is a shorter one
}

// exactTimers has the kernel wake this thread when it asked to be, and not up to 50 us later together with others.
func exactTimers() { setTimerSlack(1) }

// inexactTimers gives the thread the slack that the process began with.
func inexactTimers() { setTimerSlack(0) }

func setTimerSlack(nanos uintptr) {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, nanos, 0, 0, 0) // without it a sleep is 50 us less exact
}
