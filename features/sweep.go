package features

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pitboss/features/tiles"
)

const (
	// lateBound is how late an event may be: the edge refuses older ones.
	lateBound = 30 * 24 * time.Hour
	// sweepSlack is how far the times of receipt of two sources may lie apart: Kafka that is read after a while away, and
	// calls meanwhile.
	sweepSlack = 24 * time.Hour
	// sweepEntities bounds what one step of a sweep reads, and sweepChanges what it writes.
	sweepEntities, sweepChanges = 1000, 200
	// metaSweep is where a sweep goes on after a restart.
	metaSweep = "sweep"
)

// sweeper is where the sweep of idle entities is. It belongs to checkpoints.
type sweeper struct {
	// after is the last key that was looked at; the zero key begins a round.
	after EntityKey
	// ended is when the last round ended, by this process's clock.
	ended time.Time
	// changed says that something was written since after was noted.
	changed bool
}

// retention is what must have passed since the newest event of an entity until no reading can tell a group of it from
// none: events may be late by so much, and are then read with windows that reach back further.
func (g *group) retention() time.Duration {
	late, reach := lateBound, g.ttl
	if g.ttl > 0 {
		late = g.ttl
	}
	for _, w := range g.windows.List() {
		reach = max(reach, w.Length()+w.Hop())
	}
	return late + reach + tiles.Grace + sweepSlack
}

// outlives says that a group keeps times that no window bounds.
func (g *group) outlives() bool { return g.last && g.ttl == 0 }

// Sweep goes once through all entities in States. What no reading can tell from nothing any more, by the received_at of
// the newest frame, is taken out: entities, groups of entities, and groups that no feature set has any more. What
// outlives windows stays: the first and last times where a group keeps them, and the key of a subject, without which
// nobody could erase its events. Run does it by itself, in small steps. Errors: what States returns.
func (e *Engine) Sweep(ctx context.Context) error {
	e.checkpoints.Lock()
	e.sweeper.after = EntityKey{}
	e.checkpoints.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if more, err := e.sweepStep(ctx); err != nil || !more {
			return err
		}
	}
}

// startSweeper goes on where the last process was.
func (e *Engine) startSweeper() error {
	data, err := e.states.Meta(metaSweep)
	if err != nil {
		return fmt.Errorf("cannot read where the sweep is: %w", err)
	}
	after, ok := parseEntityKey(data)
	if !ok {
		return fmt.Errorf("cannot read where the sweep is: %w: %d bytes", ErrStateCorrupt, len(data))
	}
	e.sweeper = sweeper{after: after, ended: time.Now()}
	return nil
}

// sweepDue says whether Run should make a step.
func (e *Engine) sweepDue() bool {
	e.checkpoints.Lock()
	defer e.checkpoints.Unlock()
	if e.follower || e.side.Load() != nil {
		return false
	}
	return e.sweeper.after != EntityKey{} || time.Since(e.sweeper.ended) >= e.cfg.SweepEvery
}

// errSweepStep ends the reading of a step.
var errSweepStep = errors.New("enough for a step")

// sweepStep looks at the next entities, and says whether there are more. It holds off checkpoints, and recoveries, for as
// long as it takes.
func (e *Engine) sweepStep(ctx context.Context) (more bool, err error) {
	e.checkpoints.Lock()
	defer e.checkpoints.Unlock()
	if shut := e.gate.enter(); shut != nil {
		return false, shut
	}
	defer e.gate.leave()
	e.seq.Lock()
	now := e.sequencer.received
	e.seq.Unlock()
	if now == 0 || e.side.Load() != nil {
		// Nothing came in since the start, so there is no time yet; or entities are not whole without the side.
		return false, nil
	}
	var found []EntityKey
	read := 0
	err = e.states.Each(ctx, e.sweeper.after, func(key EntityKey, blob []byte) error {
		if read == sweepEntities || len(found) == sweepChanges {
			return errSweepStep
		}
		read++
		e.sweeper.after = key
		if due, failed := e.sweepable(key, blob, now); failed != nil || !due {
			return failed
		}
		found = append(found, key)
		return nil
	})
	more = errors.Is(err, errSweepStep)
	if err != nil && !more {
		return false, fmt.Errorf("cannot sweep idle entities: %w", err)
	}
	for _, key := range found {
		if err := e.sweepEntity(ctx, key, now); err != nil {
			return false, fmt.Errorf("cannot sweep an idle entity: %w", err)
		}
	}
	if !more {
		e.sweeper.after, e.sweeper.ended = EntityKey{}, time.Now()
		e.stats.sweeps.Add(1)
	}
	return more, e.noteSweep(more)
}

// noteSweep writes where to go on. A round that changes nothing needs no note: it costs reading alone.
func (e *Engine) noteSweep(more bool) error {
	if !e.sweeper.changed {
		return nil
	}
	e.sweeper.changed = more
	if err := e.states.PutMeta(metaSweep, e.sweeper.after.append(nil)); err != nil {
		return fmt.Errorf("cannot note where the sweep is: %w", err)
	}
	return nil
}

// kindPlan gives the plan of a kind; one that no set reads any more has no groups.
func (p *plan) kindPlan(id KindID) *kindPlan {
	if k, ok := p.kinds[id]; ok {
		return k
	}
	return &kindPlan{kind: Kind{ID: id}}
}

// sweepable says whether something of an entity may go, from its blob alone.
func (e *Engine) sweepable(key EntityKey, blob []byte, now int64) (bool, error) {
	kind := e.plan().kindPlan(key.Kind)
	r := blobReader{rest: blob}
	h := r.head()
	// What a replay may still have to apply to it stays as it is.
	if e.checkpoint.pos.Less(h.pos) {
		return false, r.err
	}
	n := r.uvarint()
	empty := n == 0
	for ; n > 0 && r.err == nil; n-- {
		id, data := r.uvarint(), r.bytes()
		i, ok := kind.byID[uint32(id)]
		if r.err == nil && (!ok || kind.groups[i].idle(h.newest, now) && (!kind.groups[i].outlives() || kind.groups[i].layout.HasWindows(data))) {
			return true, nil
		}
	}
	if r.err == nil && len(r.rest) > 0 {
		var s entityState
		was := len(r.rest)
		kind.decodePushes(&r, &s)
		kind.forgetPushes(&s, now)
		return r.err == nil && len(appendPushes(nil, s.pushes)) < was, r.end()
	}
	return empty && h.subject == 0 && kind.idle(h.newest, now), r.end()
}

// idle says whether no reading can tell from anything that the entity was there: its newest event alone makes older
// times late.
func (k *kindPlan) idle(newest, now int64) bool {
	for _, g := range k.groups {
		if !g.idle(newest, now) {
			return false
		}
	}
	return true
}

// holdsNothing says whether an entity's blob has no group, no key and no pushed value.
func holdsNothing(blob []byte) bool {
	r := blobReader{rest: blob}
	return r.head().subject == 0 && r.uvarint() == 0 && len(r.rest) == 0
}

// idle says whether no reading can tell the group's windows from none.
func (g *group) idle(newest, now int64) bool {
	return time.Duration(now-newest)*time.Microsecond > g.retention()
}

// sweepEntity takes out of an entity what may go.
func (e *Engine) sweepEntity(ctx context.Context, key EntityKey, now int64) error {
	_, err := e.cache.Load().alone(key, func() error {
		kind := e.plan().kindPlan(key.Kind)
		s := kind.newState()
		blob, ok, err := e.states.Get(key, nil)
		if err == nil && ok {
			err = kind.decodeState(blob, &s)
		}
		if err != nil {
			return fmt.Errorf("cannot read it: %w", err)
		}
		if !ok {
			return nil
		}
		if e.checkpoint.pos.Less(s.pos) {
			return nil
		}
		for i, g := range kind.groups {
			switch {
			case !g.idle(s.newest, now):
				// some reading may still need all of it
			case g.outlives():
				s.groups[i].Compact(g.layout, now-(lateBound+sweepSlack+tiles.Grace).Microseconds())
			default:
				s.groups[i] = tiles.State{}
			}
		}
		kind.forgetPushes(&s, now)
		smaller := kind.appendState(nil, &s)
		if kind.idle(s.newest, now) && holdsNothing(smaller) {
			e.sweeper.changed = true
			e.stats.swept.Add(1)
			return e.states.Erase(key)
		}
		if len(smaller) >= len(blob) {
			return nil
		}
		e.sweeper.changed = true
		e.stats.shrunk.Add(1)
		return e.states.Put(ctx, []StatePut{{Key: key, Old: s.pos, New: s.pos, Blob: smaller}})
	})
	return err
}
