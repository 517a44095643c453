//go:build unix

package main

import (
	"syscall"
	"time"
)

// cpuTime gives what the process has used of the processors; 0 where it is not known.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
