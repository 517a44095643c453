package trial

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// takeLimits bounds what this process may do from now on: no more memory than it has and most bytes, no files, no image of it when it
// faults; when memory ends for all it goes first, and who has work for the processor goes before it.
func takeLimits(most int64) error {
	// Both are favours to others: without them the trial is no worse.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), 10)
	has, err := addressSpace()
	if err != nil {
		return err
	}
	return errors.Join(limit(syscall.RLIMIT_AS, has+uint64(most)), limit(syscall.RLIMIT_FSIZE, 0), limit(syscall.RLIMIT_CORE, 0))
}

func limit(resource int, most uint64) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(resource, &l); err != nil {
		return fmt.Errorf("resource %d: %w", resource, err)
	}
	l.Max = min(l.Max, most)
	l.Cur = min(l.Cur, l.Max)
	if err := syscall.Setrlimit(resource, &l); err != nil {
		return fmt.Errorf("resource %d: %w", resource, err)
	}
	return nil
}

// addressSpace is what this process has mapped, of which Go's runtime reserves far more than it uses.
func addressSpace() (uint64, error) {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, fmt.Errorf("cannot find the size of this process: %w", err)
	}
	var pages uint64
	if _, err = fmt.Fscan(bytes.NewReader(statm), &pages); err != nil {
		return 0, fmt.Errorf("cannot find the size of this process: %w", err)
	}
	return pages * uint64(os.Getpagesize()), nil
}
