//go:build !linux

package journal

// lowerPriority does nothing: only Linux has priorities of threads that a process may set without a library.
func lowerPriority() {}
