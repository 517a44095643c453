package features

import (
	"context"
	"errors"
	"fmt"

	"pitboss/journal"
)

// Sides are States beside the engine's, by name, and journals. Implementations are in features/states.
type Sides interface {
	// Open opens a side, and makes it where there is none.
	Open(name string) (States, error)
	// Journal opens a journal that has no state, and makes it where there is none. Its name is that of no side.
	Journal(name string) (journal.Journal, error)
	// Keep removes every side and journal but the named ones. None of those removed is open.
	Keep(names ...string) error
}

// side is a finished backfill: the groups of every entity up to the frame at which the plan took them in. An entity whose
// blob does not have such a group gets it from here when it is read, once; meanwhile the join goes through all of them.
type side struct {
	name   string
	states States
	// start says how its positions are to be read.
	start fillStart
	// after is the last key that was joined. It belongs to checkpoints.
	after EntityKey
}

func sideName(id uint32) string { return fmt.Sprintf("fill-%d", id) }

// openSide opens the side that the plan's groups lie in, if any, and removes those that nobody needs.
func (e *Engine) openSide() error {
	if e.cfg.Sides == nil || e.follower {
		return nil
	}
	t := &e.plan().table
	joining, filling := t.joining(), t.filling()
	var keep []string
	switch {
	case joining != 0:
		keep = []string{sideName(joining)}
	case filling != 0:
		keep = []string{sideName(filling), pastName(filling)}
	}
	if err := e.cfg.Sides.Keep(keep...); err != nil {
		return fmt.Errorf("cannot remove what a backfill left: %w", err)
	}
	if joining == 0 {
		return nil
	}
	states, err := e.cfg.Sides.Open(keep[0])
	if err != nil {
		return fmt.Errorf("cannot open backfilled state: %w", err)
	}
	start, err := readFillStart(states)
	if err != nil {
		return errors.Join(err, states.Close())
	}
	e.side.Store(&side{name: keep[0], states: states, start: start})
	return nil
}

// join gives an entity the groups that its blob does not have and the side has, and says whether there may be any.
func (s *side) join(key EntityKey, kind *kindPlan, blob []byte, state *entityState) (bool, error) {
	var missing []int
	for i, g := range kind.groups {
		if g.joins && !hasGroup(blob, g.id) {
			missing = append(missing, i)
		}
	}
	if len(missing) == 0 {
		return false, nil
	}
	other, ok, err := s.states.Get(key, nil)
	if err != nil {
		return false, fmt.Errorf("cannot read backfilled state: %w", err)
	}
	if !ok {
		return false, nil
	}
	from := kind.newState()
	if err := kind.decodeState(other, &from); err != nil {
		return false, fmt.Errorf("backfilled: %w", err)
	}
	from.pos, from.born = s.start.inJournal(from.pos), s.start.bornInJournal(from.born)
	for _, i := range missing {
		state.groups[i] = from.groups[i]
	}
	if state.pos.IsZero() { // no other group has anything of it
		state.pos, state.born, state.newest, state.first = from.pos, from.born, from.newest, from.first
		return true, nil
	}
	// What was taken back while the groups were built is in them, though no group that was there had it.
	if state.pos.Less(from.pos) {
		state.pos = from.pos
	}
	// The entity is as old as the oldest of its groups: no other one had a part in it before, or what it had was swept.
	if from.born.Less(state.born) {
		state.born = from.born
	}
	state.newest, state.first = max(state.newest, from.newest), min(state.first, from.first)
	return true, nil
}

// joinStep joins the next entities, and says whether there are more.
func (e *Engine) joinStep(ctx context.Context) (more bool, err error) {
	e.checkpoints.Lock()
	defer e.checkpoints.Unlock()
	s := e.side.Load()
	if s == nil {
		return false, nil
	}
	if shut := e.gate.enter(); shut != nil {
		return false, shut
	}
	defer e.gate.leave()
	var found []EntityKey
	err = s.states.Each(ctx, s.after, func(key EntityKey, _ []byte) error {
		if len(found) == sweepChanges {
			return errSweepStep
		}
		found = append(found, key)
		return nil
	})
	if more = errors.Is(err, errSweepStep); err != nil && !more {
		return false, fmt.Errorf("cannot read backfilled state: %w", err)
	}
	for _, key := range found {
		if err := e.joinEntity(ctx, s, key); err != nil {
			return false, fmt.Errorf("cannot join backfilled state: %w", err)
		}
		s.after = key
	}
	if more {
		return true, nil
	}
	return false, e.endJoin(ctx, s)
}

// joinEntity writes an entity with what the side has of it. Who is in memory has it already, and is written by the next
// checkpoint.
func (e *Engine) joinEntity(ctx context.Context, s *side, key EntityKey) error {
	kind := e.plan().kindPlan(key.Kind)
	c := e.cache.Load()
	called, err := c.alone(key, func() error {
		blob, ok, err := e.states.Get(key, nil)
		state := kind.newState()
		if err == nil && ok {
			err = kind.decodeState(blob, &state)
		}
		if err != nil {
			return fmt.Errorf("cannot read it: %w", err)
		}
		saved := state.pos
		if joined, err := s.join(key, kind, blob, &state); err != nil || !joined {
			return err
		}
		e.stats.joined.Add(1)
		return e.states.Put(ctx, []StatePut{{Key: key, Old: saved, New: state.pos, Blob: kind.appendState(nil, &state)}})
	})
	if called || err != nil {
		return err
	}
	entity, err := c.get(ctx, key, kind)
	if err != nil {
		return err
	}
	defer entity.unpin()
	e.seq.Lock()
	e.list(entity)
	e.seq.Unlock()
	return nil
}

// endJoin lets the side go, once every entity has what it had.
func (e *Engine) endJoin(ctx context.Context, s *side) error {
	if err := e.makeCheckpoint(ctx); err != nil {
		return err
	}
	// From here on nobody needs the side, but until the table says so a start would go through it again.
	p := e.plan()
	joined := *p
	joined.table = p.table.clone()
	for i := range joined.table.groups {
		joined.table.groups[i].joins = false
	}
	if err := e.putPlan(&joined.table); err != nil {
		return err
	}
	e.plans.Store(&joined)
	e.side.Store(nil)
	if err := s.states.Close(); err != nil {
		return fmt.Errorf("cannot close backfilled state: %w", err)
	}
	if err := e.cfg.Sides.Keep(); err != nil {
		return fmt.Errorf("cannot remove backfilled state: %w", err)
	}
	e.log.Info("backfilled groups are in every entity", "entities", e.stats.joined.Load())
	return nil
}
