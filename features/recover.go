package features

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"google.golang.org/protobuf/proto"

	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// pendingSince marks a group whose start is not known yet: the recovery at which it was added did not end.
const pendingSince = math.MaxInt64

// OpenEngine recovers from States and the journal: it takes the last checkpoint and applies all frames after it. The
// engine keeps the groups of all sets. What others wrote into the journal is passed over.
//
// Groups that are new to a state that has seen events start empty, and say warming_up until a window has passed. A new
// state over a journal that is still whole is built from all of it.
//
// Run must run while the engine is used. The caller closes journal and states, after Close. Errors: ErrStateAhead,
// ErrStateBehind, ErrStateFormat, ErrStateCorrupt, what the journal and States return.
func OpenEngine(ctx context.Context, cfg EngineConfig, j journal.Journal, states States, sets ...*Set) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("cannot open the engine: %w", err)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{cfg: cfg, journal: j, states: states, log: cfg.Log, gate: newGate(), slots: newSlots(), wake: make(chan struct{}, 1)}
	e.fills.wake = make(chan struct{}, 1)
	e.prepareds.New = func() any { return &prepared{} }
	if err := e.makePlan(sets); err != nil {
		return nil, fmt.Errorf("cannot open the engine: %w", err)
	}
	e.checkpoints.Lock()
	defer e.checkpoints.Unlock()
	if err := errors.Join(e.startSweeper(), e.openSide()); err != nil {
		return nil, fmt.Errorf("cannot open the engine: %w", err)
	}
	if err := e.rebuild(ctx); err != nil {
		return nil, fmt.Errorf("cannot open the engine: %w", err)
	}
	if err := e.startGroups(); err != nil {
		return nil, fmt.Errorf("cannot open the engine: %w", err)
	}
	if len(e.sequencer.drops) > 0 {
		if err := e.makeCheckpoint(ctx); err != nil {
			return nil, fmt.Errorf("cannot open the engine: cannot finish an erasure: %w", err)
		}
	}
	return e, nil
}

// makePlan gives groups their ids, before anything is written by them.
func (e *Engine) makePlan(sets []*Set) error {
	data, err := e.states.Meta(metaPlan)
	if err != nil {
		return fmt.Errorf("cannot read the state's plan: %w", err)
	}
	var old planTable
	since := int64(0)
	if data != nil {
		if old, err = decodePlanTable(data); err != nil {
			return fmt.Errorf("cannot read the state's plan: %w", err)
		}
		since = pendingSince
	}
	p, err := newPlan(e.cfg.Kinds, e.cfg.SubjectKind, sets, old, since)
	if err != nil {
		return err
	}
	if e.cfg.Sides != nil {
		p.table.fill()
	}
	e.plans.Store(p)
	if p.table.filling() != 0 && e.cfg.Sides != nil {
		e.fills.at.Store(&journal.Pos{}) // the journal is kept until the backfill says how far it is
	}
	return e.putPlan(&p.table)
}

// putPlan writes a plan's table.
func (e *Engine) putPlan(t *planTable) error {
	if err := e.states.PutMeta(metaPlan, t.encode()); err != nil {
		return fmt.Errorf("cannot write the state's plan: %w", err)
	}
	if err := e.states.Sync(); err != nil {
		return fmt.Errorf("cannot write the state's plan: %w", err)
	}
	return nil
}

// startGroups notes since when new groups have seen everything: the newest event that there was before them.
func (e *Engine) startGroups() error {
	if !e.plan().start(e.sequencer.newest) {
		return nil
	}
	return e.putPlan(&e.plan().table)
}

// rebuild makes memory anew from the last checkpoint and the journal. The caller holds checkpoints, and nobody is inside
// the gate.
func (e *Engine) rebuild(ctx context.Context) error {
	data, err := e.states.Meta(metaCheckpoint)
	if err != nil {
		return fmt.Errorf("cannot read the checkpoint: %w", err)
	}
	c, err := decodeCheckpoint(data)
	if err != nil {
		return fmt.Errorf("cannot read the checkpoint: %w", err)
	}
	if e.high, err = e.checkPositions(c); err != nil {
		return err
	}
	c.at = time.Now()
	e.checkpoint = c
	e.plan().settle(e.high)
	e.seq.Lock()
	e.cache.Store(newCache(e))
	e.dedupe.Store(newDedupe(e.states))
	e.sequencer = sequencer{last: c.pos, newest: c.newest, drops: c.drops, received: c.producers.received, producers: c.producers.clone()}
	e.watermark.Store(e.lagged(c.producers.overall))
	for _, at := range c.offsets {
		e.sequencer.offsets.set(at)
	}
	e.seq.Unlock()
	e.behind.Store(0)
	return e.replay(ctx, c.pos)
}

// checkPositions refuses a journal that does not go with the state, and gives the highest position in the state.
func (e *Engine) checkPositions(c checkpoint) (journal.Pos, error) {
	data, err := e.states.Meta(metaHigh)
	if err != nil {
		return journal.Pos{}, fmt.Errorf("cannot read the state's highest position: %w", err)
	}
	high := c.pos
	if data != nil {
		r := blobReader{rest: data}
		if p := r.pos(); high.Less(p) {
			high = p
		}
		if err := r.end(); err != nil {
			return journal.Pos{}, fmt.Errorf("cannot read the state's highest position: %w", err)
		}
	}
	return high, e.fits(c, high)
}

func (e *Engine) fits(c checkpoint, high journal.Pos) error {
	head, tail := e.journal.Head(), e.journal.Tail()
	switch {
	case !high.IsZero() && high.Partition != head.Partition && !head.IsZero():
		return fmt.Errorf("%w: it was made from partition %d and the journal is partition %d: give each its own directory", ErrStateAhead, high.Partition, head.Partition)
	case head.Less(high):
		return fmt.Errorf("%w: it has frames up to %v and the journal ends at %v: bring the journal back that it was made from, or move the state's directory away, to build it anew", ErrStateAhead, high, head)
	case tail.Offset > c.pos.Offset+1 && (!e.follower || !c.pos.IsZero()): // a follower begins where the journal does
		return fmt.Errorf("%w: it has frames up to %v and the journal starts at %v: bring back the state or the segments that are missing", ErrStateBehind, c.pos, tail)
	}
	return nil
}

// readEvent reads one event frame.
func (e *Engine) readEvent(pos journal.Pos) (*pb.EventFrame, error) {
	frame, _, err := e.readFrame(pos)
	return frame, err
}

// readFrame reads one event frame and says which key seals it.
func (e *Engine) readFrame(pos journal.Pos) (*pb.EventFrame, journal.KeyID, error) {
	f, err := e.journal.Get(pos)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot read frame %v: %w", pos, err)
	}
	if f.Erased {
		return nil, f.KeyID, ErrRecordErased
	}
	frame := &pb.EventFrame{}
	if err := proto.Unmarshal(f.Payload, frame); err != nil {
		return nil, f.KeyID, fmt.Errorf("cannot decode frame %v: %w", pos, err)
	}
	return frame, f.KeyID, nil
}

// startRecovery shuts the gate and leaves the rest to Run.
func (e *Engine) startRecovery(cause error) {
	if !e.gate.state.CompareAndSwap(gateOpen, gateRecovering) {
		return
	}
	e.stats.recoveries.Add(1)
	e.log.Error("a journal write failed: nothing is accepted until the journal is usable again", "error", cause)
	e.wakeUp()
}

// recover makes the journal usable again and memory what the journal says. What was applied and not written is gone
// then, as if it had never been.
func (e *Engine) recover(ctx context.Context) error {
	e.checkpoints.Lock()
	defer e.checkpoints.Unlock()
	// Whoever is inside saw the failure, or will, and leaves.
	if err := e.gate.wait(ctx); err != nil {
		return err
	}
	if err := e.journal.Recover(ctx); err != nil {
		return fmt.Errorf("cannot recover the journal: %w", err)
	}
	if err := e.rebuild(ctx); err != nil {
		return err
	}
	e.epoch.Add(1)
	e.gate.state.CompareAndSwap(gateRecovering, gateOpen)
	e.checkpointed.fire()
	return nil
}
