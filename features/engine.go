package features

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

var errNotBuilt = errors.New("not built yet")

// EngineConfig sizes an Engine.
type EngineConfig struct {
	// SubjectKind is the kind of entity whose key seals an event's frame; events that name none are sealed with their
	// tenant's. Default player.
	SubjectKind string `yaml:"subject_kind"`
	// MaxEntities bounds the entities kept in memory. Default 1,000,000.
	MaxEntities int `yaml:"max_entities"`
	// MaxBytes bounds their memory, in bytes. Default 2 GiB.
	MaxBytes int64 `yaml:"max_bytes"`
	// CheckpointFrames is how many frames a restart may have to read again before a checkpoint is made. Default
	// 300,000.
	CheckpointFrames int `yaml:"checkpoint_frames"`
	// CheckpointEvery is the longest time between checkpoints while frames come in. Default 30s.
	CheckpointEvery time.Duration `yaml:"checkpoint_every"`

	// Kinds are the entity kinds; needed.
	Kinds *Kinds `yaml:"-"`
	// Log gets what an operator must know. Default: nothing is logged.
	Log *slog.Logger `yaml:"-"`
}

// Engine keeps the windows of every entity and reads vectors from them.
type Engine struct{}

// Slot is one event's way through the engine: while it is held, nobody else works on the same event or transaction.
type Slot struct{}

// Known is what the journal already has of an event.
type Known struct {
	// Event is the frame that applied it.
	Event journal.Pos
	// Decision is the frame with its decision; zero where none was asked for yet.
	Decision journal.Pos
}

// Ticket is an appended frame that is not known to be written yet.
type Ticket struct {
	// Pos is its position, good until a failed write.
	Pos journal.Pos

	epoch uint64
}

// IngestItem is an event to be applied, and where it came from if from Kafka.
type IngestItem struct {
	Event *Event
	Kafka *pb.KafkaOffset
}

// IngestResult is the fate of one item.
type IngestResult struct {
	// Pos is the frame that holds the event: this one's, or of a duplicate the first one's.
	Pos journal.Pos
	// Duplicate says that the same event was applied before.
	Duplicate bool
	// Err is ErrConflict or ErrDuplicateTransaction: the event can never be applied.
	Err error
}

// OpenEngine recovers from States and the journal.
func OpenEngine(ctx context.Context, cfg EngineConfig, j journal.Journal, states States, sets ...*Set) (*Engine, error) {
	return nil, errNotBuilt
}

// Run makes checkpoints, and recovers after a failed write, until ctx ends.
func (e *Engine) Run(ctx context.Context) error { return errNotBuilt }

// Close makes a last checkpoint.
func (e *Engine) Close() error { return errNotBuilt }

// Admit opens the event's slot.
func (e *Engine) Admit(ctx context.Context, ev *Event) (*Slot, error) { return nil, errNotBuilt }

// Known says what is recorded of the event already; false where nothing is.
func (s *Slot) Known() (Known, bool) { return Known{}, false }

// Release frees the slot. It is always deferred, and may be called more than once.
func (s *Slot) Release() {}

// Vector reads the set's features for the slot's event into dst.
func (e *Engine) Vector(ctx context.Context, s *Slot, set *Set, dst *Vector) error {
	return errNotBuilt
}

// Commit gives the event's frame a position, applies it and returns when it is written.
func (e *Engine) Commit(ctx context.Context, s *Slot, frame *pb.EventFrame) (journal.Pos, error) {
	return journal.Pos{}, errNotBuilt
}

// Append is Commit without waiting; nothing may be promised before Written.
func (e *Engine) Append(ctx context.Context, s *Slot, frame *pb.EventFrame) (Ticket, error) {
	return Ticket{}, errNotBuilt
}

// Written waits for an appended frame.
func (e *Engine) Written(ctx context.Context, t Ticket) error { return errNotBuilt }

// Ingest applies a batch in order, with one wait for the journal.
func (e *Engine) Ingest(ctx context.Context, items []IngestItem) ([]IngestResult, error) {
	return nil, errNotBuilt
}

// Advance notes Kafka offsets that no event carries.
func (e *Engine) Advance(ctx context.Context, offsets []*pb.KafkaOffset) error { return errNotBuilt }

// Offsets are the last Kafka offsets that the journal has, one per topic id and partition.
func (e *Engine) Offsets() []*pb.KafkaOffset { return nil }

// Record reads a decision by its id.
func (e *Engine) Record(ctx context.Context, tenant, decisionID string) (*pb.EventFrame, error) {
	return nil, errNotBuilt
}

// Features reads one entity's features at a time in microseconds; features of other kinds are missing.
func (e *Engine) Features(ctx context.Context, ref EntityRef, at int64, set *Set, dst *Vector) error {
	return errNotBuilt
}

// EngineStats are figures for metrics.
type EngineStats struct{}

// Stats reads the figures.
func (e *Engine) Stats() EngineStats { return EngineStats{} }
