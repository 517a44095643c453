//go:build unix

package main

import (
	"runtime"
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

// peakMemory gives the most that the process had resident, in bytes; 0 where it is not known.
func peakMemory() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return int64(u.Maxrss) //nolint:unconvert // is 32 bits wide on some machines
	}
	return int64(u.Maxrss) * 1024 //nolint:unconvert // is 32 bits wide on some machines
}
