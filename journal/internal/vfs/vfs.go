// Package vfs is the seam between the journal and the file system, so that a full disk, a failed fsync, a torn write
// and a power cut are inputs of a test like any other. It holds what the journal needs and no more: one directory,
// files written and read at an offset, fsync of both.
//
// It is not a general file system abstraction. OS is the real one, Mem one in RAM that knows what a power cut
// leaves, Faulty lets a test make any operation fail.
package vfs

import "io"

// FS is one file system.
type FS interface {
	// MkdirAll makes a directory and its parents, and fsyncs the parent of each that it made.
	MkdirAll(dir string) error
	// List returns the names in a directory, sorted.
	List(dir string) ([]string, error)
	// Open opens a file for reading and writing.
	Open(path string) (File, error)
	// Create makes an empty file, or empties the one that is there.
	Create(path string) (File, error)
	// Rename puts a file in the place of another, or of nothing, in one step.
	Rename(from, to string) error
	// Remove removes a file.
	Remove(path string) error
	// SyncDir makes the names in a directory survive a power cut.
	SyncDir(dir string) error
	// Lock takes a file for this process until the Closer is closed or the process ends. The error of a lock that
	// another process has is a *LockedError.
	Lock(path string) (io.Closer, error)
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Truncate sets the size in bytes.
	Truncate(size int64) error
	// Sync makes the content survive a power cut.
	Sync() error
	// Size is in bytes.
	Size() (int64, error)
}

// LockedError says that another process has the lock.
type LockedError struct {
	// Holder is the process id that the lock file names, or "" if it names none.
	Holder string
}

// Error names the holder if it is known.
func (e *LockedError) Error() string {
	if e.Holder == "" {
		return "locked by another process"
	}
	return "locked by process " + e.Holder
}
