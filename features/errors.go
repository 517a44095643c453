package features

import "errors"

// What a caller of the Engine branches on. The texts around them say what it was about and what to do.
var (
	// ErrConflict: another event was accepted under this event_id. The caller made a mistake; asking again gives the
	// same answer.
	ErrConflict = errors.New("another event was accepted under this event_id")
	// ErrDuplicateTransaction: the wallet transaction was accepted before under another event_id. Nothing was applied:
	// two rollbacks reverse once.
	ErrDuplicateTransaction = errors.New("this transaction was accepted under another event_id")
	// ErrNotWritten: the frame is not in the journal, or cannot be proven to be. Nothing may be promised; asking again
	// with the same event_id is always safe.
	ErrNotWritten = errors.New("the frame was not written")
	// ErrUnavailable: the engine rebuilds its memory after a failed write, or waits for a disk. Ask again later.
	ErrUnavailable = errors.New("the engine is recovering")
	// ErrClosed: the engine was closed.
	ErrClosed = errors.New("the engine is closed")
	// ErrStateAhead: the state knows frames that the journal does not have. Starting would count events twice.
	ErrStateAhead = errors.New("the state is ahead of the journal")
	// ErrStateBehind: the journal no longer has frames that the state has not seen. Starting would leave events out.
	ErrStateBehind = errors.New("the state is behind the journal's oldest frame")
	// ErrStateFormat: the state was written by a build with another format.
	ErrStateFormat = errors.New("the state is of another format")
	// ErrStateLocked: another process has the state's directory.
	ErrStateLocked = errors.New("the state is in use by another process")
	// ErrStateCorrupt: bytes of the state are not what was written.
	ErrStateCorrupt = errors.New("the state is corrupt")
	// ErrStatePos: an entity's stored position is not the expected one: a second writer, or a lost write.
	ErrStatePos = errors.New("the stored position is not the expected one")
	// ErrUnknownSet: the engine was opened without this feature set.
	ErrUnknownSet = errors.New("the engine does not keep this feature set")
	// ErrNoRecord: no decision is known by this id.
	ErrNoRecord = errors.New("no such decision")
	// ErrRecordErased: the decision was made, and its subject erased since.
	ErrRecordErased = errors.New("the decision's subject was erased")
)
