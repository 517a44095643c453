package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// What a caller branches on. The texts around them name the file and say what to do.
var (
	// ErrFull: the write buffer is full; the disk is slower than the callers. Try again later.
	ErrFull = errors.New("journal buffer is full")
	// ErrFailed: a write or fsync failed; nothing is accepted until Recover succeeds.
	ErrFailed = errors.New("journal has failed")
	// ErrClosed: the journal was closed.
	ErrClosed = errors.New("journal is closed")
	// ErrTooLarge: the payload is above Config.MaxPayloadBytes.
	ErrTooLarge = errors.New("payload is too large")
	// ErrNotFound: there is no such frame, or it is not written yet.
	ErrNotFound = errors.New("no such frame")
	// ErrGone: retention removed the frame.
	ErrGone = errors.New("frame was removed by retention")
	// ErrNoKey: there is no such key.
	ErrNoKey = errors.New("no such key")
	// ErrErased: the key was dropped, nothing can be sealed with it.
	ErrErased = errors.New("key was dropped")
	// ErrLocked: another process has the directory.
	ErrLocked = errors.New("journal directory is locked")
	// ErrFormat: the file is not a journal's, or of a format version that this build does not read.
	ErrFormat = errors.New("not a journal of this format")
	// ErrWrongKey: the master key is not the one that the keys were wrapped with.
	ErrWrongKey = errors.New("wrong master key")
	// ErrCorrupt: bytes that were once right are wrong now; see CorruptError.
	ErrCorrupt = errors.New("journal is corrupt")
	// ErrForeign: a file, a sealed record or a position belongs to another journal or partition.
	ErrForeign = errors.New("belongs to another journal")
	// ErrNoSpace: the disk (or the quota) is full.
	ErrNoSpace = errors.New("no space left")
	// ErrReadOnly: the directory or its file system cannot be written.
	ErrReadOnly = errors.New("not writable")
	// ErrIO: the disk reported an error.
	ErrIO = errors.New("input/output error")
)

// CorruptError says where and how a file is wrong. errors.Is(err, ErrCorrupt) holds.
type CorruptError struct {
	// File is the path, Byte the place in it.
	File string
	Byte int64
	// Pos is the frame that should be there; zero if the place is no frame.
	Pos Pos
	// Reason is what is wrong, and what to do about it.
	Reason string
	// Unsynced says that as far as the log itself can tell, no frame from Pos on had been fsynced: what a power cut
	// leaves when the disk wrote a later page and not an earlier one. Config.AcceptUnsyncedLoss cuts there.
	Unsynced bool
}

// Error names file, byte and frame.
func (e *CorruptError) Error() string {
	at := ""
	if !e.Pos.IsZero() {
		at = fmt.Sprintf(" (frame %v)", e.Pos)
	}
	return fmt.Sprintf("%q is corrupt at byte %d%s: %s", e.File, e.Byte, at, e.Reason)
}

// Is makes errors.Is(err, ErrCorrupt) hold.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// ioError wraps a failed operation with what it was tried on and the class a caller can branch on.
func ioError(op, path string, err error) error {
	class := ErrIO
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		class = ErrNoSpace
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		class = ErrReadOnly
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok { // it names operation and path again
		err = pe.Err
	}
	return fmt.Errorf("cannot %s %q: %w: %w", op, path, class, err)
}
