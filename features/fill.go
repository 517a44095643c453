package features

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"pitboss/journal"
)

const (
	// fillNear is how many frames a backfill may be behind when it is handed over: they are read while everybody waits.
	fillNear = 1000
	// joinPause is between two steps of a join, fillLog between two lines about a backfill.
	joinPause, fillLog = 20 * time.Millisecond, 10 * time.Second
)

// fills is what an engine knows of its backfill.
type fills struct {
	// at is where it has still to read from, nil without one.
	at   atomic.Pointer[journal.Pos]
	done atomic.Uint64
	// before is how many frames come before the journal's: what was gathered from a Past.
	before atomic.Uint64
	// gathered is how many of a Past's events were read, past what became of all, once they were.
	gathered atomic.Uint64
	past     atomic.Pointer[PastCounts]
	// failed is why a Past cannot be gathered: nothing is backfilled until the next start.
	failed atomic.Pointer[error]
	// wake tells the one who fills that there is something to do.
	wake chan struct{}
}

func (f *fills) behind() *journal.Pos { return f.at.Load() }

// Use replaces the feature sets of a running engine. Groups that other sets had are kept, new ones are backfilled or
// warm up, those of no set any more are taken out by the sweep. Callers wait while it switches, which takes two small
// checkpoints; all entities are then read from States again. Errors: ErrUnavailable, ErrClosed, what journal and States
// return; the old sets are then in use.
func (e *Engine) Use(ctx context.Context, sets ...*Set) error {
	err := e.switchPlan(ctx, func() (*plan, error) {
		since := int64(pendingSince)
		if e.sequencer.newest == 0 {
			since = 0
		}
		p, err := newPlan(e.cfg.Kinds, e.cfg.SubjectKind, sets, e.plan().table.clone(), since)
		if err != nil {
			return nil, err
		}
		if e.cfg.Sides != nil {
			p.table.fill()
		}
		p.settle(e.sequencer.last)
		p.start(e.sequencer.newest)
		return p, nil
	})
	if err != nil {
		return fmt.Errorf("cannot change the feature sets: %w", err)
	}
	e.wakeFill()
	return nil
}

// switchPlan replaces the plan while nobody is inside the gate and everything is in States. Who comes meanwhile waits.
func (e *Engine) switchPlan(ctx context.Context, change func() (*plan, error)) error {
	e.checkpoints.Lock()
	defer e.checkpoints.Unlock()
	if err := e.makeCheckpoint(ctx); err != nil { // so that little is left to do while others wait
		return err
	}
	if !e.gate.state.CompareAndSwap(gateOpen, gateSwitching) {
		if e.gate.state.Load() == gateClosed {
			return ErrClosed
		}
		return ErrUnavailable
	}
	began := time.Now()
	defer func() {
		e.gate.state.CompareAndSwap(gateSwitching, gateOpen)
		e.gate.opened.fire()
	}()
	if err := e.gate.wait(ctx); err != nil {
		return err
	}
	if err := e.makeCheckpoint(ctx); err != nil {
		return err
	}
	p, err := change()
	if err != nil {
		return err
	}
	// From here on a start has the new plan, over a checkpoint that nothing is beyond. Should this fail, it is not known
	// which of the two plans a start would have: no checkpoint may be made until it is.
	if err := e.putPlan(&p.table); err != nil {
		e.planUnsure = true
		return err
	}
	e.plans.Store(p)
	e.cache.Store(newCache(e))
	e.log.Info("feature sets switched", "groups", len(p.table.groups), "waited", time.Since(began))
	return nil
}

func (e *Engine) wakeFill() {
	select {
	case e.fills.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// runFill joins and backfills until ctx ends.
func (e *Engine) runFill(ctx context.Context) {
	pause := backoff{base: e.cfg.RetryEvery}
	for ctx.Err() == nil {
		more, err := e.fillStep(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			e.log.Warn("a backfill is tried again", "error", err)
			pause.wait(ctx)
		case more:
			pause.attempts = 0
		default:
			select {
			case <-ctx.Done():
			case <-e.fills.wake:
			}
		}
	}
}

// fillStep does what is due, and says whether there may be more.
func (e *Engine) fillStep(ctx context.Context) (more bool, err error) {
	if e.side.Load() != nil {
		if _, err := e.joinStep(ctx); err != nil {
			return false, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(joinPause):
		}
		return true, nil
	}
	id := e.plan().table.filling()
	if id == 0 || e.cfg.Sides == nil || e.fills.failed.Load() != nil {
		return false, nil
	}
	return true, e.buildSide(ctx, id)
}

// errOtherFill says that what was backfilled is of no use: the plan changed, or the journal was cut.
var errOtherFill = errors.New("the backfill must begin anew")

// buildSide reads the journal from its beginning, or from where the last attempt was, into a side, and hands it over. What
// came before the journal's beginning is read first, where there is a Past.
func (e *Engine) buildSide(ctx context.Context, id uint32) (err error) {
	if unsure := e.makePlanSure(); unsure != nil {
		return unsure
	}
	name := sideName(id)
	states, err := e.cfg.Sides.Open(name)
	if err != nil {
		return fmt.Errorf("cannot open the state of a backfill: %w", err)
	}
	kept := false // by the engine, for the join
	defer func() {
		if kept {
			return
		}
		err = errors.Join(err, states.Close())
		if errors.Is(err, errOtherFill) || errors.Is(err, ErrStateBehind) || errors.Is(err, ErrStateAhead) {
			err = e.cfg.Sides.Keep() // it begins anew
		}
	}()
	start, err := e.fillStart(ctx, states, id)
	if err != nil {
		return err
	}
	log, err := e.layer(id, start)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	e.log.Info("a backfill begins", "groups", e.plan().fillCount(), "journal", e.journal.Tail(), "before_it", start.frames)
	f, epoch := e.follow(states, log, id, start), e.epoch.Load()
	if err := f.catchUp(ctx); err != nil {
		return fmt.Errorf("cannot backfill: %w", err)
	}
	if err := e.switchPlan(ctx, func() (*plan, error) {
		if e.epoch.Load() != epoch {
			return nil, errOtherFill
		}
		p, err := e.handOver(ctx, f, id, start)
		if err == nil {
			// Before the plan is written: should that fail, it is closed with the engine.
			e.side.Store(&side{name: name, states: states, start: start})
			kept = true
		}
		return p, err
	}); err != nil {
		if kept {
			kept = false
			e.side.Store(nil)
		}
		return fmt.Errorf("cannot hand a backfill over: %w", err)
	}
	e.fills.at.Store(nil)
	e.log.Info("a backfill is in use", "frames", f.stats.replayed.Load(), "since", start.since)
	return nil
}

// catchUp reads a follower's journal until it is near the end, and makes a checkpoint there.
func (e *Engine) catchUp(ctx context.Context) error {
	e.checkpoints.Lock()
	err := e.rebuild(ctx)
	e.checkpoints.Unlock()
	for err == nil && e.journal.Head().Offset > e.sequencer.last.Offset+fillNear {
		err = e.replay(ctx, e.sequencer.last)
	}
	if err != nil {
		return err
	}
	return e.Checkpoint(ctx)
}

// makePlanSure writes the plan again where it is not known which one States have. Until then a side must not go on: with the
// other plan a start would take it for what it was when that was written.
func (e *Engine) makePlanSure() error {
	e.checkpoints.Lock()
	defer e.checkpoints.Unlock()
	return e.putSurePlan()
}

// putSurePlan is makePlanSure for who holds checkpoints.
func (e *Engine) putSurePlan() error {
	if !e.planUnsure {
		return nil
	}
	if err := e.putPlan(&e.plan().table); err != nil {
		return err
	}
	e.planUnsure = false
	return nil
}

// handOver gives the plan in which the backfilled groups are the ones that are read. Nobody is inside the gate.
func (e *Engine) handOver(ctx context.Context, f *Engine, id uint32, start fillStart) (*plan, error) {
	if e.plan().table.filling() != id {
		return nil, errOtherFill
	}
	if err := f.replay(ctx, f.sequencer.last); err != nil {
		return nil, err
	}
	if start.inJournal(f.sequencer.last).Less(e.sequencer.last) {
		return nil, fmt.Errorf("BUG: a backfill has frames up to %v, the engine up to %v", f.sequencer.last, e.sequencer.last)
	}
	f.checkpoints.Lock()
	defer f.checkpoints.Unlock()
	if err := f.makeCheckpoint(ctx); err != nil {
		return nil, err
	}
	t := e.plan().table.clone()
	for i := range t.groups {
		if g := &t.groups[i]; g.fill != 0 {
			g.id, g.fill, g.since, g.from, g.joins = g.fill, 0, start.since, start.from, true
		}
	}
	return newPlan(e.cfg.Kinds, e.cfg.SubjectKind, e.plan().sets, t, 0)
}

// follow gives an engine over the same journal that keeps the groups to be backfilled, and nothing else.
func (e *Engine) follow(states States, log *layered, id uint32, start fillStart) *Engine {
	const share = 4 // of this engine's memory
	cfg := e.cfg
	cfg.MaxEntities, cfg.MaxBytes = max(64, cfg.MaxEntities/share), max(1<<20, cfg.MaxBytes/share)
	cfg.Sides, cfg.Past = nil, nil
	cfg.OnCheckpoint = func(pos journal.Pos) {
		pos = start.inJournal(pos)
		e.fills.at.Store(&pos)
	}
	f := &Engine{cfg: cfg, journal: log, states: states, log: e.log, gate: newGate(), slots: newSlots(), follower: true}
	if start.frames > 0 {
		f.past = &pastView{start: start, erased: e.erased}
	}
	f.prepareds.New = func() any { return &prepared{} }
	f.plans.Store(e.plan().filling(start))
	e.fills.at.Store(&journal.Pos{})
	e.fills.before.Store(start.frames)
	logged, epoch := time.Now(), e.epoch.Load()
	var pace pacer
	f.paced = func(ctx context.Context, took time.Duration) error {
		done, head := f.sequencer.last.Offset, log.Head().Offset
		e.fills.done.Store(done)
		if time.Since(logged) >= fillLog {
			logged = time.Now()
			e.log.Info("backfilling", "frame", done, "of", head)
		}
		// After a failed write, frames that were read may be no more.
		if e.plan().table.filling() != id || e.epoch.Load() != epoch {
			return errOtherFill
		}
		if !pace.rests(done, head) {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(took, time.Second)):
			return nil
		}
	}
	return f
}

// pacer says when a backfill rests: as long as it worked, since who decides comes first, but not where the journal grows
// about as fast as it reads.
type pacer struct {
	batches    int
	done, head uint64
	hurries    bool
}

func (p *pacer) rests(done, head uint64) bool {
	const look = 16 // batches between two looks
	if p.batches++; p.batches%look == 0 {
		p.hurries = 2*(head-p.head) > done-p.done
		p.done, p.head = done, head
	}
	return !p.hurries
}

// filling gives the plan of the groups to be backfilled, under the ids that they will have. It has no subject: keys are
// the engine's own business.
func (p *plan) filling(start fillStart) *plan {
	fill, from := map[uint32]uint32{}, start.from
	if start.frames > 0 {
		from = journal.Pos{} // what may be missing is said by replayCorrections: here, positions are others
	}
	for _, g := range p.table.groups {
		if g.fill != 0 {
			fill[g.id] = g.fill
		}
	}
	f := &plan{kinds: map[KindID]*kindPlan{}, bindings: map[[32]byte]*binding{}}
	for _, k := range p.kinds {
		for _, g := range k.groups {
			if fill[g.id] != 0 {
				at := f.kindOf(k.kind)
				at.groups = append(at.groups, &planGroup{group: g.group, id: fill[g.id], from: from})
			}
		}
	}
	for _, k := range f.kinds {
		k.index()
	}
	return f
}

// fillCount is how many groups are being backfilled.
func (p *plan) fillCount() (n int) {
	for _, g := range p.table.groups {
		if g.fill != 0 {
			n++
		}
	}
	return n
}

// start notes since when new groups have seen everything: the newest event that there was before them. It says whether
// there were any.
func (p *plan) start(newest int64) (started bool) {
	started = p.changed
	for i := range p.table.groups {
		if g := &p.table.groups[i]; g.since == pendingSince {
			g.since, started = newest, true
		}
	}
	for _, k := range p.kinds {
		for _, g := range k.groups {
			if g.since == pendingSince {
				g.since = newest
			}
		}
	}
	return started
}

func (t *planTable) clone() planTable {
	c := *t
	c.groups, c.kinds = slices.Clone(t.groups), slices.Clone(t.kinds)
	return c
}

// Backfill says how far a backfill is.
type Backfill struct {
	// Groups is how many are being built; Joining says that a finished one is being written into every entity.
	Groups  int
	Joining bool
	// Done and Total are frames of the journal, and of what was gathered from a Past.
	Done, Total uint64
	// Gathered is how many events of a Past were read, Past what became of them: nil until all were.
	Gathered uint64
	Past     *PastCounts
	// Failed is why the Past cannot be read. Nothing is built until the next start.
	Failed error
}

// Running says whether anything is left to do.
func (b Backfill) Running() bool { return b.Groups > 0 || b.Joining }

// Backfill says how far the engine's backfill is.
func (e *Engine) Backfill() Backfill {
	b := Backfill{Joining: e.side.Load() != nil}
	if e.cfg.Sides == nil {
		return b
	}
	b.Groups = e.plan().fillCount()
	if b.Groups > 0 {
		b.Done, b.Total = e.fills.done.Load(), e.journal.Head().Offset+e.fills.before.Load()
		b.Done = min(b.Done, b.Total)
	}
	b.Gathered, b.Past = e.fills.gathered.Load(), e.fills.past.Load()
	if err := e.fills.failed.Load(); err != nil {
		b.Failed = *err
	}
	return b
}
