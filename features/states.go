package features

import (
	"context"
	"math"

	"pitboss/journal"
)

// States is where entities rest between checkpoints, with the dedupe index and the checkpoint itself. It knows bytes and
// positions, not windows. Implementations are in features/states; features/statestest.Run is the contract all keep.
//
// Nothing written is lost by the death of the process. By the death of the machine, any part of what was written after
// the last Sync may be. All methods may be called by many goroutines at once; reads do not wait for writes.
type States interface {
	// Get reads an entity's blob into buf, which it may grow, and returns it; ok is false where there is none.
	Get(key EntityKey, buf []byte) (blob []byte, ok bool, err error)
	// Put writes blobs. Each replaces the one whose position is Old (zero: there must be none), or Put fails with
	// ErrStatePos. A batch may be torn between its entities by a death of the process, never within one.
	Put(ctx context.Context, batch []StatePut) error
	// Erase removes an entity. Erasing what is not there does nothing.
	Erase(key EntityKey) error
	// Each calls f with every entity after a key, in the order of keys, until it fails; the zero key is before all. The blob
	// is valid during the call alone. What is written meanwhile may be seen or not.
	Each(ctx context.Context, after EntityKey, f func(key EntityKey, blob []byte) error) error

	// Seen reads one entry of the dedupe index.
	Seen(key EventKey) (seen Seen, ok bool, err error)
	// Note writes entries of the dedupe index; an entry replaces the one before. Entries may be dropped when they are
	// older than SeenForHours, those of the hour ForEver never.
	Note(ctx context.Context, batch []Noted) error

	// Meta reads a named value; nil where there is none.
	Meta(name string) ([]byte, error)
	// PutMeta writes a named value.
	PutMeta(name string, value []byte) error
	// Sync returns nil when everything written before survives the death of the machine.
	Sync() error
	// Close gives everything free. Unsynced writes are synced.
	Close() error
}

// StatePut is one entity to be written.
type StatePut struct {
	Key EntityKey
	// Old is the position that the stored blob must have, zero where there must be none.
	Old journal.Pos
	// New is the position inside Blob.
	New journal.Pos
	// Blob starts with what AppendStatePos makes of New.
	Blob []byte
}

// SeenForHours is how long an event_id is remembered, in hours after the hour of its occurred_at: the 30 days that an
// event may be late, and one hour for the clock's future bound.
const SeenForHours = 30*24 + 1

// ForEver is the Seen.Hour of an entry that is never dropped.
const ForEver = math.MaxUint32

// Seen is what the dedupe index knows of an event or of a transaction.
type Seen struct {
	// Event is the position of the frame that applied the event.
	Event journal.Pos
	// Decision is the position of the frame with its decision, zero where none was asked for.
	Decision journal.Pos
	// Content is the start of the event's content hash; of a transaction, the key of its event.
	Content [16]byte
	// Hour is the hour of occurred_at, since the Unix epoch.
	Hour uint32
	// Void says why the event does not count. Where Event is zero nothing has come yet but a correction, which waits for it;
	// Hour is then that of the correction's receipt.
	Void Void
}

// Noted is one entry of the dedupe index to be written.
type Noted struct {
	Key  EventKey
	Seen Seen
}
