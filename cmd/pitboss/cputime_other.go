//go:build !unix

package main

import "time"

// cpuTime gives what the process has used of the processors; 0 where it is not known.
func cpuTime() time.Duration { return 0 }
