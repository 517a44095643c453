package features

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// EngineConfig sizes an Engine.
type EngineConfig struct {
	// SubjectKind is the kind of entity whose key seals an event's frame; events that name none are sealed with their
	// tenant's. Default player.
	SubjectKind string `yaml:"subject_kind"`
	// MaxEntities bounds the entities kept in memory. Default 1,000,000. More makes fewer reads of cold entities.
	MaxEntities int `yaml:"max_entities"`
	// MaxBytes bounds their memory, in bytes. Default 2 GiB. Entities that changed since the last checkpoint stay, up to
	// twice this.
	MaxBytes int64 `yaml:"max_bytes"`
	// CheckpointFrames is how many frames a restart may have to read again before a checkpoint is made. Default
	// 300,000: some seconds of reading. At four times as many, appending waits for the checkpoint.
	CheckpointFrames int `yaml:"checkpoint_frames"`
	// CheckpointEvery is the longest time between checkpoints while frames come in. Default 30s.
	CheckpointEvery time.Duration `yaml:"checkpoint_every"`
	// SweepEvery is the pause between two rounds through the entities on disk, which take out what no reading needs any
	// more. Default 1h. A round reads all of them, some 4,000 a second.
	SweepEvery time.Duration `yaml:"sweep_every"`
	// RetryEvery is the pause between attempts to recover from a failed write, doubled up to 30 times its length. Default
	// 100ms.
	RetryEvery time.Duration `yaml:"retry_every"`
	// WatermarkLag is how far a producer's watermark lies behind its newest event. Default 2m: events of one producer that
	// are out of order by more are late to what waits for the watermark.
	WatermarkLag time.Duration `yaml:"watermark_lag"`
	// ProducerActive is how long a producer that is silent holds the watermark of all back. Default 10m.
	ProducerActive time.Duration `yaml:"producer_active"`
	// MaxProducers bounds the producers that are told apart. Default 1024; of more, the longest silent is forgotten.
	MaxProducers int `yaml:"max_producers"`
	// Durable makes answers wait until their frame survives the death of the machine, not of the process alone: an fsync
	// a batch. Default false.
	Durable bool `yaml:"-"`

	// Sides opens States beside the engine's, in which groups that are new to a state that has seen events are built from
	// the journal. Default: none, and new groups warm up.
	Sides Sides `yaml:"-"`
	// Past is where a backfill finds what happened before the journal's first frame. Default: nowhere.
	Past *Past `yaml:"-"`
	// Kinds are the entity kinds; needed.
	Kinds *Kinds `yaml:"-"`
	// Log gets what an operator must know. Default: nothing is logged.
	Log *slog.Logger `yaml:"-"`
	// OnCheckpoint is told each checkpoint's position: frames up to it are in the state. Default: it is the journal's
	// floor. Give one where others need older frames.
	OnCheckpoint func(journal.Pos) `yaml:"-"`
}

// DefaultEngineConfig gives the defaults, without Kinds.
func DefaultEngineConfig() EngineConfig {
	return EngineConfig{
		SubjectKind: "player", MaxEntities: 1_000_000, MaxBytes: 2 << 30, CheckpointFrames: 300_000,
		CheckpointEvery: 30 * time.Second, SweepEvery: time.Hour, RetryEvery: 100 * time.Millisecond,
		WatermarkLag: 2 * time.Minute, ProducerActive: 10 * time.Minute, MaxProducers: 1024,
	}
}

// Validate says what is wrong with a configuration.
func (c EngineConfig) Validate() error {
	switch {
	case c.Kinds == nil:
		return errors.New("the engine needs entity kinds")
	case c.MaxEntities < 64 || c.MaxEntities > 1<<31:
		return fmt.Errorf("max_entities: %d is not in 64 to 2147483648", c.MaxEntities)
	case c.MaxBytes < 1<<20:
		return fmt.Errorf("max_bytes: %d is less than 1 MiB", c.MaxBytes)
	case c.CheckpointFrames < 1:
		return fmt.Errorf("checkpoint_frames: %d is less than 1", c.CheckpointFrames)
	case c.CheckpointEvery <= 0:
		return fmt.Errorf("checkpoint_every: %v must be more than 0", c.CheckpointEvery)
	case c.SweepEvery <= 0:
		return fmt.Errorf("sweep_every: %v must be more than 0", c.SweepEvery)
	case c.WatermarkLag < 0:
		return fmt.Errorf("watermark_lag: %v is less than 0", c.WatermarkLag)
	case c.ProducerActive <= 0:
		return fmt.Errorf("producer_active: %v must be more than 0", c.ProducerActive)
	case c.MaxProducers < 1 || c.MaxProducers > 65536:
		return fmt.Errorf("max_producers: %d is not in 1 to 65536", c.MaxProducers)
	case c.RetryEvery <= 0:
		return fmt.Errorf("retry_every: %v must be more than 0", c.RetryEvery)
	}
	if _, ok := c.Kinds.Get(c.SubjectKind); !ok {
		return fmt.Errorf("subject_kind: %q is not an entity kind", c.SubjectKind)
	}
	return nil
}

// Engine keeps the windows of every entity and reads vectors from them. It is the only writer of its States and of the
// journal's event frames. All methods may be called by many goroutines at once.
//
// Lock order: seq, then an entity's lock; seq, then a dedupe shard's; checkpoints before seq. A cache shard's lock and a
// slot shard's are taken alone. Nothing reads or writes a file under any of them but checkpoints.
type Engine struct {
	cfg     EngineConfig
	journal journal.Journal
	states  States
	log     *slog.Logger
	// plans has the plan; Use replaces it while nobody is inside the gate.
	plans atomic.Pointer[plan]
	// side is where groups lie that were backfilled and are not joined to every entity yet; nil without.
	side atomic.Pointer[side]
	// follower says that the engine builds the state of a backfill: it follows the journal, and keeps no keys.
	follower bool
	fills    fills
	// past is what a follower knows of what came before its journal; nil elsewhere.
	past *pastView
	// verifier looks at a follower's entities before each frame changes them; nil elsewhere.
	verifier *verifier
	// paced is called after each batch of a follower's replay, with how long it took.
	paced func(ctx context.Context, took time.Duration) error
	// planUnsure says that writing a plan failed: States may have that one. It belongs to checkpoints.
	planUnsure bool

	gate  *gate
	slots *slots
	// epoch counts how often the memory was rebuilt: positions compare within one epoch only.
	epoch atomic.Uint64
	// watermark is what Watermark gives.
	watermark atomic.Int64
	// lag is what Lag gives and one more, so that 0 is NoLag.
	lag atomic.Int64
	// cache and dedupe are replaced when the memory is rebuilt.
	cache  atomic.Pointer[cache]
	dedupe atomic.Pointer[dedupe]

	seq       sync.Mutex // guards sequencer
	sequencer sequencer

	checkpoints sync.Mutex // guards checkpoint, high and sweeper; held through the making of one, a step of a sweep and a recovery
	checkpoint  checkpoint
	sweeper     sweeper
	// high is the highest position that any entity in States may have.
	high journal.Pos

	keyMaking sync.Mutex // guards the making of keys; a key's file is written under it

	// behind counts frames since the last checkpoint began.
	behind atomic.Int64
	// wake tells Run that there is something to do; checkpointed tells who waits that a checkpoint was made.
	wake         chan struct{}
	checkpointed broadcast

	prepareds sync.Pool
	stats     engineCounters
}

// sequencer is what changes with each appended frame.
type sequencer struct {
	// last is the last frame that is applied.
	last journal.Pos
	// newest is the newest event time of all frames.
	newest int64
	// offsets are the last Kafka offsets, in the order of their first appearance.
	offsets kafkaOffsets
	// received is the newest received_at of all frames.
	received int64
	// producers keep how far each of them has come.
	producers producers
	// dirty are the entities that wait for a checkpoint.
	dirty []*entity
	// drops are keys of erased subjects, to be dropped when a checkpoint is beyond all frames that they seal.
	drops []journal.KeyID
}

func (e *Engine) plan() *plan { return e.plans.Load() }

// Known is what the journal already has of an event.
type Known struct {
	// Event is the frame that applied it.
	Event journal.Pos
	// Decision is the frame with its decision; zero where none was asked for yet.
	Decision journal.Pos
}

// Slot is one event's way through the engine: while it is held, nobody else works on the same event or transaction. It
// belongs to one goroutine.
type Slot struct {
	engine   *Engine
	prepared *prepared
	known    Known
	epoch    uint64
	// keys are what the slot holds, sorted.
	keys  []EventKey
	space [4]EventKey
}

// Admit opens the event's slot, waiting for whoever holds it. Release must follow. ev must not change until then.
//
// Errors: ErrConflict (other content under the same event_id), ErrDuplicateTransaction, ErrUnavailable, ErrClosed, what
// States returns, the context's.
func (e *Engine) Admit(ctx context.Context, ev *Event) (*Slot, error) {
	s, err := e.admit(ctx, ev)
	if err != nil {
		return nil, err
	}
	// What is known must be in the journal before anybody acts on it.
	if pos := s.known.newest(); !pos.IsZero() {
		if err := e.written(ctx, Ticket{pos, s.epoch}); err != nil {
			s.Release()
			return nil, err
		}
	}
	return s, nil
}

func (k Known) newest() journal.Pos {
	if k.Decision.IsZero() {
		return k.Event
	}
	return k.Decision
}

func (e *Engine) admit(ctx context.Context, ev *Event) (*Slot, error) {
	s := &Slot{engine: e}
	s.want(ev.Key, ev.Transaction, ev.TakesBack, ev.Replaces)
	s.prepared, _ = e.prepareds.Get().(*prepared)
	s.prepared.prepare(e.plan(), ev)
	for {
		if err := s.acquire(ctx); err != nil {
			s.keys = nil
			s.Release()
			return nil, fmt.Errorf("cannot admit event %q: %w", ev.ID, err)
		}
		more, err := s.lookUp(ctx)
		if err != nil {
			s.Release()
			return nil, err
		}
		if len(more) == 0 {
			return s, nil
		}
		// The original's event is known by its transaction now. To wait for it, what is held must be given back first.
		s.free()
		s.prepared.forgetCorrections()
		s.want(append(more, s.keys...)...)
	}
}

// want sets the keys that the slot holds once acquire has taken them.
func (s *Slot) want(keys ...EventKey) {
	s.keys = s.space[:0]
	for _, key := range keys {
		if !key.IsZero() && !slices.Contains(s.keys, key) {
			s.keys = append(s.keys, key)
		}
	}
	slices.SortFunc(s.keys, func(a, b EventKey) int { return bytes.Compare(a[:], b[:]) })
}

// acquire takes all keys or none. Everybody takes them in their order and waits for none that comes before one that is
// held: there is no circle. Waiting happens outside the gate: the holder may need it to finish.
func (s *Slot) acquire(ctx context.Context) error {
	for i, key := range s.keys {
		if err := s.engine.slots.acquire(ctx, key); err != nil {
			s.keys = s.keys[:i]
			s.free()
			return err
		}
	}
	return nil
}

func (s *Slot) free() {
	for _, key := range s.keys {
		s.engine.slots.release(key)
	}
}

// lookUp finds what is known of the event, and of what it corrects. It says which further slots must be held for that.
func (s *Slot) lookUp(ctx context.Context) (more []EventKey, err error) {
	e := s.engine
	if err := e.gate.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	s.epoch = e.epoch.Load()
	if err := s.lookUpEvent(); err != nil {
		return nil, err
	}
	if !s.known.Event.IsZero() {
		return nil, nil // what it corrects is corrected
	}
	return s.correctionsOf(ctx)
}

// renew prepares the event anew where the plan is another one than when it was admitted. The caller is inside the gate,
// where the plan stays.
func (s *Slot) renew(ctx context.Context) error {
	p, now := s.prepared, s.engine.plan()
	if p.plan == now {
		return nil
	}
	ev := p.ev
	p.unpin()
	p.prepare(now, ev)
	if err := s.lookUpEvent(); err != nil || !s.known.Event.IsZero() {
		return err
	}
	more, err := s.correctionsOf(ctx)
	if err == nil && len(more) > 0 {
		err = fmt.Errorf("event %q: %w: what it corrects changed", ev.ID, ErrUnavailable)
	}
	return err
}

// lookUpEvent finds what is known of the event.
func (s *Slot) lookUpEvent() error {
	e, ev := s.engine, s.prepared.ev
	d := e.dedupe.Load()
	seen, ok, err := d.find(ev.Key)
	if err != nil {
		return fmt.Errorf("cannot look event %q up: %w", ev.ID, err)
	}
	if ok && seen.holds(ev) {
		s.prepared.void = seen.Void
	}
	if ok && !seen.expired(ev) && !seen.Event.IsZero() {
		if seen.Content != [16]byte(ev.Content[:16]) {
			e.stats.conflicts.Add(1)
			return fmt.Errorf("event %q: %w", ev.ID, ErrConflict)
		}
		s.known = Known{Event: seen.Event, Decision: seen.Decision}
		return nil
	}
	if ev.Transaction.IsZero() {
		return nil
	}
	seen, ok, err = d.find(ev.Transaction)
	if err != nil {
		return fmt.Errorf("cannot look the transaction of event %q up: %w", ev.ID, err)
	}
	if ok && seen.Event.IsZero() {
		if seen.holds(ev) {
			s.prepared.void |= seen.Void
		}
		return nil
	}
	if ok && !seen.expired(ev) {
		e.stats.transactions.Add(1)
		return fmt.Errorf("event %q, transaction %q: %w: %x", ev.ID, ev.Msg.GetTransactionId(), ErrDuplicateTransaction, seen.Content)
	}
	return nil
}

const microsPerHour = 3600 * microsPerSecond

// expired says whether the entry is older than what dedupe promises, by the event's own time of receipt: whether
// States has dropped it yet must not matter.
func (s *Seen) expired(ev *Event) bool {
	return floorDiv(ev.ReceivedAt, microsPerHour) > int64(s.Hour)+SeenForHours
}

// holds says whether the entry's corrections hold for the event: those of an event that has come, and those that came no
// later than the event is remembered, so that it does not matter which of the two was first.
func (s *Seen) holds(ev *Event) bool {
	if s.Event.IsZero() {
		return int64(s.Hour) <= floorDiv(ev.OccurredAt, microsPerHour)+SeenForHours
	}
	return !s.expired(ev)
}

func hourOf(at int64) uint32 { return uint32(floorDiv(at, microsPerHour)) }

// Known says what is recorded of the event already; false where nothing is.
func (s *Slot) Known() (Known, bool) { return s.known, !s.known.Event.IsZero() }

// Release frees the slot. It is always deferred, and may be called more than once.
func (s *Slot) Release() {
	p := s.prepared
	if p == nil {
		return
	}
	s.prepared = nil
	p.unpin()
	s.engine.prepareds.Put(p)
	s.free()
}

// Record reads a decision by its id, which is Event.Key in hex. Errors: ErrNoRecord, ErrRecordErased, what the journal
// returns.
func (e *Engine) Record(ctx context.Context, tenant, decisionID string) (*pb.EventFrame, error) {
	key, ok := parseEventKey(decisionID)
	if !ok {
		return nil, fmt.Errorf("decision %q: %w", decisionID, ErrNoRecord)
	}
	if err := e.gate.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	epoch := e.epoch.Load()
	seen, ok, err := e.dedupe.Load().find(key)
	if err != nil {
		return nil, fmt.Errorf("cannot look decision %q up: %w", decisionID, err)
	}
	if !ok || seen.Decision.IsZero() {
		return nil, fmt.Errorf("decision %q: %w", decisionID, ErrNoRecord)
	}
	if unwritten := e.writtenInside(ctx, Ticket{seen.Decision, epoch}); unwritten != nil {
		return nil, unwritten
	}
	frame, err := e.readEvent(seen.Decision)
	if err != nil {
		return nil, fmt.Errorf("cannot read decision %q: %w", decisionID, err)
	}
	// Another tenant's decision does not exist.
	if frame.GetEvent().GetTenant() != tenant || frame.GetDecision() == nil {
		return nil, fmt.Errorf("decision %q: %w", decisionID, ErrNoRecord)
	}
	return frame, nil
}
