// Package journal is the one append-only log of pitboss: everything that changes anything is one frame in it.
//
// It knows bytes, not meaning: a frame has a position, a kind that its writer chose, a time, the key that seals its
// payload, and the payload. What a kind means, what a payload holds, dedupe, state and replay belong to the packages
// above. It imports nothing else of pitboss.
//
// It is not a message broker (one process writes, cursors of the same process read), not a database (a frame is
// found by its position alone) and not a place for data that must be changed: the one thing that can be taken back
// is a key, after which every frame sealed with it reads as Erased.
//
// Start with the interface Journal below. OpenFile (files.go) is the implementation in files, NewMemory (memory.go)
// the one in RAM, journaltest.Run the contract both keep. The format on disk is described byte by byte in format.go.
package journal

import (
	"context"
	"sync"
	"time"
)

// Kind tells a reader what a payload is. Its meaning belongs to the caller; the journal only keeps it.
type Kind uint8

// KeyID names the key that seals a payload. Zero means that the payload is not sealed: it must hold no personal data.
type KeyID uint64

// Frame is one entry of the journal.
type Frame struct {
	// Pos is the frame's place. Seal ignores it: Append gives a frame its position.
	Pos Pos
	// Kind is the caller's.
	Kind Kind
	// KeyID is the key that seals the payload, or 0.
	KeyID KeyID
	// Time is in microseconds since 1970 UTC: the caller's received_at. The journal uses it for retention only.
	Time int64
	// Payload is the plain content. A payload that was read belongs to the reader.
	Payload []byte
	// Erased says that the key was dropped: the frame was there, its Payload is nil and will never be readable again.
	Erased bool
}

// Journal is the log. All methods may be called by many goroutines at once.
//
// The way of a frame is Seal (outside any lock), Append (inside the caller's critical section; no I/O), then Written
// before anything is promised to anybody outside. A frame whose Written returned nil survives the death of the
// process; one whose Durable returned nil survives the death of the machine.
type Journal interface { //nolint:interfacebloat // one log has one owner, who needs all of it; a reader declares the few methods it uses
	// Seal makes a frame ready to be copied: encrypted, with all checksums but for its position. It takes no lock
	// that Append takes. Errors: ErrTooLarge, ErrNoKey (the key was never made), ErrErased (it was dropped).
	Seal(f Frame) (Sealed, error)

	// Append gives the record the next position and copies it into the write buffer. It never does I/O and never
	// waits for any. Errors: ErrFull when the bounded buffer is full (the caller may try again), ErrFailed after a
	// failed write or fsync until Recover, ErrClosed.
	Append(s Sealed) (Pos, error)

	// Written returns nil after the frame at p was handed to the operating system by write(2), with its whole batch.
	// It returns an error that wraps ErrFailed and the cause if the frame did not get written, ErrNotFound if p was
	// never appended, or the context's error (the frame may still get written then). A frame that did not get written
	// is gone after Recover or Close; if the process dies before them, opening may find what arrived of its batch.
	Written(ctx context.Context, p Pos) error

	// Durable is Written, then fsync of the frame, of its key and of its directory entry. A caller that waits makes
	// the fsync start at once.
	Durable(ctx context.Context, p Pos) error

	// Sync returns nil when everything appended before the call is written and fsynced.
	Sync(ctx context.Context) error

	// Head is the position of the last appended frame, zero in an empty journal.
	Head() Pos

	// Tail is the position of the oldest kept frame, zero in an empty journal.
	Tail() Pos

	// Get reads one written frame. Errors: ErrGone below the Tail, ErrNotFound for what was never appended or is
	// not written yet, ErrCorrupt.
	Get(p Pos) (Frame, error)

	// Read returns a cursor whose first frame is the one at from; the zero Pos means the Tail. Errors: ErrGone,
	// ErrNotFound if from is more than one beyond the Head.
	Read(from Pos, opts ...ReadOption) (Cursor, error)

	// Recover makes a failed journal usable again: it cuts the file after the last frame that was really written,
	// opens it anew and fsyncs it. The positions of frames that did not get written are given to the next ones, so
	// the caller rebuilds what it keeps in RAM from the journal. It must not run while a caller is between Append
	// and the end of Written (Epoch lets such a caller notice), nor beside Close. Without a failure it does nothing, and
	// after an error of its own it may be tried again.
	Recover(ctx context.Context) error

	// Failed is nil, or why the journal accepts nothing (wraps ErrFailed and the cause).
	Failed() error

	// Epoch counts the times that Recover succeeded. Positions compare across epochs only up to the Head of a Recover: a
	// caller that sees the same Epoch before Append and after Written knows that its position was not given away.
	Epoch() uint64

	// SetFloor tells that frames at and above p are still needed; retention removes only below the floor. The zero
	// Pos, which is the state after opening, keeps everything.
	SetFloor(p Pos)

	// Segments lists what the journal is made of, oldest first.
	Segments() []Segment

	// Keys are the keys that seal payloads.
	Keys() Keys

	// Stats are counters since opening.
	Stats() Stats

	// Close writes and fsyncs everything appended, ends all goroutines and gives the directory free. Cursors return
	// ErrClosed afterwards. The error is that of the last write or fsync, if it failed.
	Close() error
}

// Cursor reads frames in the order of their positions. It sees written frames only, so that nobody acts on a frame
// that is lost later. It belongs to one goroutine.
type Cursor interface {
	// Next returns the next frame, or io.EOF at the end (a later call may find more). With the option Follow it
	// waits for more instead, until the context ends. Errors: ErrGone if retention overtook the cursor, ErrCorrupt
	// (it stays at that frame), ErrClosed.
	Next(ctx context.Context) (Frame, error)

	// Stored returns the bytes of the last frame as they lie in the journal: sealed, perhaps compressed. They are
	// what a Merkle leaf hashes: of a compact segment a leaf is a parcel, the frames of one key in a chunk, with their
	// heads (chunk.go), so that frames of one parcel give the same bytes. They are valid until the next call of Next.
	// Memory has no stored form: nil.
	Stored() []byte

	// Close gives the cursor's file free. It may be called more than once.
	Close() error
}

// ReadOption changes what a cursor does.
type ReadOption func(*readOptions)

type readOptions struct {
	follow      bool
	onlyDurable bool
}

// Follow makes Next wait for more frames at the end instead of returning io.EOF.
func Follow() ReadOption { return func(o *readOptions) { o.follow = true } }

// OnlyDurable shows the cursor fsynced frames only: for what leaves the machine, which must not know of an event
// that a power cut could still undo.
func OnlyDurable() ReadOption { return func(o *readOptions) { o.onlyDurable = true } }

// Keys are random 256-bit keys, one per subject, kept wrapped under the master key of the configuration.
type Keys interface {
	// New returns a fresh key. It is fsynced already: a frame whose key is not on the disk cannot exist. Keys are made
	// in batches ahead of need, so New seldom waits for the disk; it may, so call it outside critical sections. A
	// process that dies leaves up to 256 keys that nobody was given.
	New() (KeyID, error)

	// Drop erases a key for ever, by overwriting it in place and fsync: from its return on, every frame under it
	// reads as Erased, after a restart as well. Dropping a dropped key does nothing. Error: ErrNoKey.
	Drop(id KeyID) error

	// Has says whether the key was made and not dropped.
	Has(id KeyID) bool

	// Sync returns nil if all keys given and dropped so far are fsynced, which they are unless the disk failed.
	Sync() error
}

// Sealed is a record that is ready to be copied into the log. It is good for the journal that made it, until Release.
type Sealed struct {
	owner any    // the journal that made it: another one has other keys
	rec   []byte // Files: the frame without crc and position
	crc   uint32 // Files: over rec
	frame Frame  // Memory: the frame itself
	buf   *sealBuf
	pool  *sync.Pool // where buf came from
}

// Release gives the record's memory to later calls of Seal. Optional; the record and its copies must not be used
// afterwards.
func (s *Sealed) Release() {
	if s.buf != nil {
		s.pool.Put(s.buf)
	}
	*s = Sealed{}
}

// Segment describes one file of the journal.
type Segment struct {
	// First and Last are the positions of its frames; Last is zero in an empty segment.
	First, Last Pos
	// Path is the file's.
	Path string
	// Bytes is the size of the file.
	Bytes int64
	// MinTime and MaxTime bound the times of its frames (microseconds since 1970 UTC); both 0 when there are none.
	MinTime, MaxTime int64
	// Compact says that the segment is finished: compressed, with index and SHA256. It never changes again.
	Compact bool
	// SHA256 is over the bytes of all frames or chunks of a compact segment, as they lie in the file.
	SHA256 [32]byte
}

// Stats are counters since opening, and gauges where said.
type Stats struct {
	// Frames and Bytes count what was appended.
	Frames, Bytes uint64
	// Batches counts calls of write(2); Frames/Batches is what group commit saves.
	Batches uint64
	// Fsyncs counts fsyncs of the log; FsyncTime is their sum, FsyncMax the longest of them.
	Fsyncs    uint64
	FsyncTime time.Duration
	FsyncMax  time.Duration
	// Full counts appends refused with ErrFull.
	Full uint64
	// Failures counts the times the journal became failed; Recoveries how often Recover ended that.
	Failures, Recoveries uint64
	// Failed is a gauge: the journal accepts nothing now.
	Failed bool
	// Segments and SegmentBytes are gauges: files of the log, and their size.
	Segments     int
	SegmentBytes int64
	// PendingBytes is a gauge: appended and not written yet.
	PendingBytes int
	// Written and Durable are gauges: the last position that is written, fsynced.
	Written, Durable Pos
	// Compacted counts segments compressed; CompactedIn and CompactedOut are their bytes before and after.
	Compacted                 uint64
	CompactedIn, CompactedOut int64
	// CompactErrors counts segments that could not be compressed and stay as they are; CompactError is the last cause.
	CompactErrors uint64
	CompactError  string
	// Removed counts segments that retention removed; RemoveErrors those it could not remove.
	Removed, RemoveErrors uint64
	// Tail and Floor are gauges: the oldest kept frame, and the first that is still needed (SetFloor).
	Tail, Floor Pos
	// Keys counts live keys (after a crash with those that nobody was given) and KeysDropped dropped ones; both are
	// gauges.
	Keys, KeysDropped uint64
}
