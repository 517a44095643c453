package features

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// The names of the engine's values in States.
const (
	metaCheckpoint = "checkpoint"
	metaPlan       = "plan"
	// metaHigh is the highest position that any entity in States may have.
	metaHigh = "high"
)

// checkpoint says that all frames up to pos are in States: recovery reads the journal from there.
type checkpoint struct {
	pos     journal.Pos
	newest  int64
	offsets []*pb.KafkaOffset
	// drops are keys to be dropped once the record is written: no frame after pos is sealed with them.
	drops []journal.KeyID
	// producers are how far each of them had come.
	producers producers
	// at is when it was made, a reading of this process's clock; it is not stored.
	at time.Time
}

// checkpointFormat 2 has producers, which 1 had not.
const checkpointFormat = 2

func (c *checkpoint) encode() ([]byte, error) {
	b := binary.AppendUvarint([]byte{checkpointFormat}, uint64(c.pos.Partition))
	b = binary.AppendUvarint(b, c.pos.Offset)
	b = binary.AppendVarint(b, c.newest)
	offsets, err := proto.MarshalOptions{Deterministic: true}.Marshal(&pb.OffsetAdvance{Offsets: c.offsets})
	if err != nil {
		return nil, fmt.Errorf("cannot encode a checkpoint: %w", err)
	}
	b = binary.AppendUvarint(b, uint64(len(offsets)))
	b = append(b, offsets...)
	b = binary.AppendUvarint(b, uint64(len(c.drops)))
	for _, key := range c.drops {
		b = binary.AppendUvarint(b, uint64(key))
	}
	return c.producers.append(b), nil
}

func decodeCheckpoint(data []byte) (checkpoint, error) {
	if data == nil {
		return checkpoint{producers: producers{holder: -1}}, nil
	}
	r := blobReader{rest: data}
	format := r.formatOr(checkpointFormat, 1)
	c := checkpoint{pos: r.pos(), newest: r.varint()}
	var offsets pb.OffsetAdvance
	if err := proto.Unmarshal(r.bytes(), &offsets); err != nil {
		r.fail("offsets: " + err.Error())
	}
	c.offsets = offsets.GetOffsets()
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		c.drops = append(c.drops, journal.KeyID(r.uvarint()))
	}
	c.producers.holder = -1
	if format != 1 {
		c.producers = decodeProducers(&r)
	}
	return c, r.end()
}

// The size of one write of entities.
const (
	putEntities = 1024
	putBytes    = 1 << 20
)

// Checkpoint writes what changed since the last one into States, so that a restart reads the journal from here. Run does
// it by itself.
func (e *Engine) Checkpoint(ctx context.Context) error {
	// The lock comes before the gate: a recovery holds it while it waits for the gate.
	e.checkpoints.Lock()
	defer e.checkpoints.Unlock()
	if err := e.gate.enter(); err != nil {
		return err
	}
	defer e.gate.leave()
	return e.makeCheckpoint(ctx)
}

// makeCheckpoint runs while others apply. Its position is taken first; what it then writes is each entity as it is when
// its turn comes, with its own position, which may be beyond. Recovery skips, for each entity, what is inside already.
func (e *Engine) makeCheckpoint(ctx context.Context) (err error) {
	if unsure := e.putSurePlan(); unsure != nil {
		return unsure
	}
	e.seq.Lock()
	next := checkpoint{pos: e.sequencer.last, newest: e.sequencer.newest, offsets: e.sequencer.offsets.copies()}
	next.drops, next.producers = slices.Clone(e.sequencer.drops), e.sequencer.producers.clone()
	dirty := e.sequencer.dirty
	e.sequencer.dirty = nil
	behind := e.behind.Swap(0)
	e.dedupe.Load().rotate()
	e.seq.Unlock()
	next.at = time.Now()
	if next.pos == e.checkpoint.pos && len(dirty)+len(next.drops) == 0 {
		e.checkpoint.at = next.at
		e.cache.Load().trim()
		e.checkpointed.fire()
		return nil
	}
	written := 0
	defer func() {
		if err != nil {
			e.relist(dirty[written:])
			e.behind.Add(behind)
			e.stats.checkpointErrors.Add(1)
		}
	}()
	// The state is never ahead of what the journal keeps, whatever dies.
	if err := e.journal.Sync(ctx); err != nil {
		return fmt.Errorf("cannot make a checkpoint: %w", e.notWritten(err))
	}
	for written < len(dirty) {
		n, err := e.putEntities(ctx, dirty[written:])
		if err != nil {
			return fmt.Errorf("cannot make a checkpoint: %w", err)
		}
		written += n
	}
	d := e.dedupe.Load()
	if err := d.waiting(ctx, func(batch []Noted) error { return e.states.Note(ctx, batch) }); err != nil {
		return fmt.Errorf("cannot write the dedupe index: %w", err)
	}
	if err := e.putCheckpoint(next); err != nil {
		return err
	}
	d.drop()
	e.cache.Load().trim()
	e.checkpoint = next
	e.stats.checkpoints.Add(1)
	e.stats.checkpointOffset.Store(next.pos.Offset)
	e.stats.checkpointAt.Store(next.at.UnixMicro())
	e.checkpointed.fire()
	e.onCheckpoint(next.pos)
	return e.dropKeys(next.drops)
}

// putCheckpoint writes the record, after all that it stands for is safe.
func (e *Engine) putCheckpoint(c checkpoint) error {
	if err := e.states.Sync(); err != nil {
		return fmt.Errorf("cannot sync the state: %w", err)
	}
	data, err := c.encode()
	if err != nil {
		return err
	}
	if err := e.states.PutMeta(metaCheckpoint, data); err != nil {
		return fmt.Errorf("cannot write a checkpoint: %w", err)
	}
	if err := e.states.Sync(); err != nil {
		return fmt.Errorf("cannot sync the state: %w", err)
	}
	return nil
}

func (e *Engine) onCheckpoint(pos journal.Pos) {
	if at := e.fills.behind(); at != nil && at.Less(pos) {
		pos = *at // a backfill has still to read from there
	}
	if e.cfg.OnCheckpoint != nil {
		e.cfg.OnCheckpoint(pos)
		return
	}
	e.journal.SetFloor(pos.Next())
}

// putEntities writes the first entities of a list and says how many.
func (e *Engine) putEntities(ctx context.Context, list []*entity) (int, error) {
	b := putBatch{cache: e.cache.Load()}
	taken := 0
	for taken < min(len(list), putEntities) && len(b.arena) < putBytes {
		if err := e.makeSure(list[taken]); err != nil {
			return 0, err
		}
		b.add(list[taken])
		taken++
	}
	b.cut()
	if err := e.eraseEntities(ctx, b.erased); err != nil {
		return 0, err
	}
	if err := e.putSafely(ctx, b.puts, b.high); err != nil {
		for i, entity := range b.entities {
			entity.unsure, entity.tried = true, b.puts[i].New
		}
		return 0, err
	}
	e.settle(b.entities, b.puts)
	e.settle(b.erased, make([]StatePut, len(b.erased)))
	return taken, nil
}

// makeSure finds out which of two positions States has, after a write that failed and may have been done in part.
func (e *Engine) makeSure(entity *entity) error {
	if !entity.unsure {
		return nil
	}
	blob, ok, err := e.states.Get(entity.key, nil)
	if err != nil {
		return fmt.Errorf("cannot read what a failed write left: %w", err)
	}
	var stored journal.Pos
	if ok {
		if stored, err = StatePos(blob); err != nil {
			return err
		}
	}
	entity.mu.Lock()
	defer entity.mu.Unlock()
	if stored == entity.tried {
		entity.saved = stored
	}
	entity.unsure = false
	return nil
}

// eraseEntities takes emptied entities out of States.
func (e *Engine) eraseEntities(ctx context.Context, list []*entity) error {
	if len(list) == 0 {
		return nil
	}
	// The erasures' frames may be younger than this checkpoint's first sync.
	if err := e.journal.Sync(ctx); err != nil {
		return e.notWritten(err)
	}
	for _, entity := range list {
		entity.unsure, entity.tried = true, journal.Pos{}
		// The side first: from a side it would come back.
		if side := e.side.Load(); side != nil {
			if err := side.states.Erase(entity.key); err != nil {
				return fmt.Errorf("cannot erase backfilled state: %w", err)
			}
		}
		if err := e.states.Erase(entity.key); err != nil {
			return fmt.Errorf("cannot erase state: %w", err)
		}
	}
	return nil
}

// putBatch is one write of entities.
type putBatch struct {
	cache    *cache
	puts     []StatePut
	entities []*entity // of puts, by index
	// starts and ends are where each blob lies in arena.
	starts, ends []int
	arena        []byte
	// erased are entities that were emptied.
	erased []*entity
	// high is the highest position among puts.
	high journal.Pos
}

// add encodes an entity as it is now.
func (b *putBatch) add(entity *entity) {
	entity.mu.Lock()
	defer entity.mu.Unlock()
	if entity.pos.IsZero() {
		b.erased = append(b.erased, entity)
		return
	}
	b.starts = append(b.starts, len(b.arena))
	b.arena = entity.kind.appendState(b.arena, &entity.entityState)
	b.ends = append(b.ends, len(b.arena))
	b.cache.measure(entity)
	b.entities = append(b.entities, entity)
	b.puts = append(b.puts, StatePut{Key: entity.key, Old: entity.saved, New: entity.pos})
	if b.high.Less(entity.pos) {
		b.high = entity.pos
	}
}

// cut gives each put its blob, once the arena has all of them.
func (b *putBatch) cut() {
	for i := range b.puts {
		b.puts[i].Blob = b.arena[b.starts[i]:b.ends[i]:b.ends[i]]
	}
}

// putSafely writes entities once the journal has what is in them.
func (e *Engine) putSafely(ctx context.Context, puts []StatePut, high journal.Pos) error {
	if len(puts) == 0 {
		return nil
	}
	if err := e.journal.Durable(ctx, high); err != nil {
		return e.notWritten(err)
	}
	if e.high.Less(high) {
		b := binary.AppendUvarint(nil, uint64(high.Partition))
		if err := e.states.PutMeta(metaHigh, binary.AppendUvarint(b, high.Offset)); err != nil {
			return fmt.Errorf("cannot write the state's highest position: %w", err)
		}
		e.high = high
	}
	if err := e.states.Put(ctx, puts); err != nil {
		return fmt.Errorf("cannot write state: %w", err)
	}
	return nil
}

// settle makes entities clean, or lists them again where they changed meanwhile.
func (e *Engine) settle(list []*entity, puts []StatePut) {
	c := e.cache.Load()
	var again []*entity
	for i, entity := range list {
		entity.mu.Lock()
		entity.saved, entity.unsure = puts[i].New, false
		if entity.pos == entity.saved {
			entity.listed.Store(false)
			c.dirty.Add(-1)
		} else {
			again = append(again, entity)
		}
		entity.mu.Unlock()
	}
	e.relist(again)
}

func (e *Engine) relist(list []*entity) {
	if len(list) == 0 {
		return
	}
	e.seq.Lock()
	e.sequencer.dirty = append(e.sequencer.dirty, list...)
	e.seq.Unlock()
}

// measure corrects what the entity is known to hold; the caller holds its lock.
func (c *cache) measure(e *entity) {
	n := entityBytes + e.memBytes()
	c.bytes.Add(int64(n - e.bytes))
	e.bytes = n
}

// broadcast tells everybody who waits that something happened.
type broadcast struct {
	mu sync.Mutex // guards ch
	ch chan struct{}
}

// wait gives a channel that is closed at the next fire.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) fire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

// How many times its bounds the engine may hold before appending waits for a checkpoint.
const (
	overloadFrames = 4
	overloadBytes  = 2
)

// overloaded says whether memory grows faster than checkpoints empty it.
func (e *Engine) overloaded() bool {
	c := e.cache.Load()
	return e.behind.Load() > overloadFrames*int64(e.cfg.CheckpointFrames) ||
		c.dirty.Load() > int64(e.cfg.MaxEntities) || c.bytes.Load() > overloadBytes*e.cfg.MaxBytes
}

// throttle waits for a checkpoint while the engine is overloaded. It is called outside the gate: the checkpoint may have
// to wait for a recovery, and that for the gate.
func (e *Engine) throttle(ctx context.Context) error {
	for attempt := 0; e.overloaded(); attempt++ {
		made := e.checkpointed.wait()
		if !e.overloaded() {
			return nil
		}
		e.stats.throttled.Add(1)
		if attempt == 0 {
			e.wakeUp() // after that Run looks by itself: asking at once what did not help would only spin
		}
		select {
		case <-made:
		case <-ctx.Done():
			return fmt.Errorf("%w: waiting for a checkpoint: %w", ErrUnavailable, ctx.Err())
		}
	}
	return nil
}

// wakeIfBehind asks for a checkpoint when one is due by the number of frames.
func (e *Engine) wakeIfBehind() {
	if e.behind.Load() >= int64(e.cfg.CheckpointFrames) {
		e.wakeUp()
	}
}

func (e *Engine) wakeUp() {
	select {
	case e.wake <- struct{}{}:
	default: // it will look anyway
	}
}
