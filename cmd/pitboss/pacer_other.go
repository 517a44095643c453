//go:build !linux

package main

import "time"

// sleepThread sleeps as exactly as the runtime's timers do.
func sleepThread(d time.Duration) { <-time.After(d) }

func exactTimers() {}

func inexactTimers() {}
