//go:build !unix

package main

import "time"

// cpuTime gives what the process has used of the processors; 0 where it is not known.
func cpuTime() time.Duration { return 0 }

// peakMemory gives the most that the process had resident, in bytes; 0 where it is not known.
func peakMemory() int64 { return 0 }
