package journal

import (
	"runtime"
	"syscall"
)

// lowerPriority binds the goroutine to its thread and gives that the lowest priority: two busy background goroutines
// otherwise cost a decision milliseconds on two cores. The thread ends with the goroutine, as it must: a priority
// cannot be raised again. Where it is not allowed the work is done all the same.
func lowerPriority() {
	const lowest = 19
	runtime.LockOSThread()
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), lowest)
}
