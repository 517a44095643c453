package features

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// Void says why an event does not count: a sum of causes, 0 where it counts. The numbers are in the dedupe index and in
// frames (pb.Cause): never change one, only add.
type Void uint8

// The causes.
const (
	// TakenBack is an event that a later one takes back, or that pitboss blocked: it counts as attempted, not as placed.
	TakenBack = Void(pb.Cause_CAUSE_TAKEN_BACK)
	// Replaced is an event that a later one corrects, which counts in its place.
	Replaced = Void(pb.Cause_CAUSE_REPLACED)
)

// takenBackBy gives the type of event that an event of a type takes back by its reference_transaction_id. It is what
// event.proto says at that field.
func takenBackBy(eventType string) (original string, ok bool) {
	switch eventType {
	case "bet.rolled_back":
		return "bet.placed", true
	case "payment.withdrawal_cancelled":
		return "payment.withdrawal_requested", true
	}
	return "", false
}

// blockTakesBack says whether an event of a type does not take effect where pitboss blocks it: what can be taken back.
func blockTakesBack(eventType string) bool {
	return eventType == "bet.placed" || eventType == "payment.withdrawal_requested"
}

// voids says whether an event that is void for some causes is void in the group.
func (g *group) voids(v Void) bool {
	if g.attempted {
		return v&Replaced != 0
	}
	return v != 0
}

// correction is an earlier event that an event takes back or replaces, made ready to be applied.
type correction struct {
	cause, before Void
	// target is what the original is known by: its event, or while it has not come its transaction or event.
	target EventKey
	// seen is what the dedupe index will have of the target once the correction is applied.
	seen Seen
	// original is the frame that applied the original, zero where it has not come yet.
	original journal.Pos
	// key seals the original's frame.
	key journal.KeyID
	// lostAt is about when an original happened that nobody can read any more, 0 where it was read.
	lostAt int64

	ev Event
	// entities are those of the original that have state, in the places of prepared.entities.
	entities []correctedEntity
}

// correctedEntity is an entity that holds contributions of an original.
type correctedEntity struct {
	at       int // in prepared.entities
	from, to int // in prepared.groups
}

// changes says whether the correction makes the original void in the group.
func (c *correction) changes(g *group) bool {
	return g.voids(c.before|c.cause) && !g.voids(c.before)
}

// inside says whether the entity holds the original.
func (c *correction) inside(s *entityState) bool {
	return !s.pos.IsZero() && !s.pos.Less(c.original) && !c.original.Less(s.born)
}

// correctionsOf finds what the event takes back, for an event that is not known yet. It says which further slots must be
// held to be sure. The caller is inside the gate.
func (s *Slot) correctionsOf(ctx context.Context) (more []EventKey, err error) {
	ev := s.prepared.ev
	for _, wish := range [...]struct {
		cause Void
		key   EventKey
	}{{TakenBack, ev.TakesBack}, {Replaced, ev.Replaces}} {
		if wish.key.IsZero() {
			continue
		}
		target, seen, err := s.target(wish.cause, wish.key)
		switch {
		case err != nil:
			return nil, err
		case !slices.Contains(s.keys, target):
			more = append(more, target)
		default:
			if err := s.correct(ctx, wish.cause, target, seen); err != nil {
				return nil, err
			}
		}
	}
	return more, nil
}

// target finds the original by its event or its transaction. Where it has not come, target is what it is waited for by.
func (s *Slot) target(cause Void, key EventKey) (target EventKey, seen Seen, err error) {
	d, ev := s.engine.dedupe.Load(), s.prepared.ev
	seen, ok, err := d.find(key)
	if err == nil && ok && cause == TakenBack && !seen.expired(ev) && !seen.Event.IsZero() {
		key = EventKey(seen.Content)
		seen, ok, err = d.find(key)
	}
	if err != nil {
		return key, seen, fmt.Errorf("cannot look up what event %q corrects: %w", ev.ID, err)
	}
	if !ok || seen.expired(ev) {
		seen = Seen{}
	}
	return key, seen, nil
}

// correct makes one correction ready.
func (s *Slot) correct(ctx context.Context, cause Void, target EventKey, seen Seen) error {
	e, ev := s.engine, s.prepared.ev
	if i := slices.IndexFunc(s.prepared.corrections, func(c correction) bool { return c.target == target }); i >= 0 {
		seen = s.prepared.corrections[i].seen // both of an event's references name one original
	}
	if seen.Void&cause != 0 {
		return nil // it was corrected before: a correction counts once
	}
	c := correction{cause: cause, before: seen.Void, target: target, seen: seen, original: seen.Event}
	c.note(ev)
	if c.original.IsZero() {
		s.prepared.corrections = append(s.prepared.corrections, c)
		return nil
	}
	if err := e.writtenInside(ctx, Ticket{c.original, s.epoch}); err != nil {
		return err
	}
	err := e.readOriginal(&c)
	if err != nil && !isLost(err) {
		return fmt.Errorf("cannot read what event %q corrects: %w", ev.ID, err)
	}
	if err != nil || e.isDropped(c.key) {
		c.lose(ev)
	}
	s.prepared.addCorrection(e.plan(), c)
	return nil
}

// note enters the correction into what dedupe has of the original. What waits has the hour in which the first correction
// of its kind was received.
func (c *correction) note(ev *Event) {
	if hour := hourOf(ev.ReceivedAt); c.original.IsZero() && (c.seen.Void == 0 || hour < c.seen.Hour) {
		c.seen.Hour = hour
	}
	c.seen.Void |= c.cause
}

// readOriginal reads and decodes the original's frame. Errors are what readFrame returns.
func (e *Engine) readOriginal(c *correction) error {
	frame, key, err := e.readFrame(c.original)
	c.key = key
	if err != nil {
		return err
	}
	if len(frame.GetContentHash()) != 32 {
		return fmt.Errorf("BUG: frame %v has a content hash of %d bytes", c.original, len(frame.GetContentHash()))
	}
	return decode(e.cfg.Kinds, frame.GetEvent(), &c.ev, [32]byte(frame.GetContentHash()))
}

// isLost says that nobody can read a frame any more: its subject was erased, or the journal has dropped it.
func isLost(err error) bool {
	return errors.Is(err, ErrRecordErased) || errors.Is(err, journal.ErrGone)
}

// lose gives an original up. It may have happened at any time of its hour, but hardly after the event that corrects it.
func (c *correction) lose(ev *Event) {
	endOfHour := (int64(c.seen.Hour)+1)*microsPerHour - 1
	c.lostAt = max(min(endOfHour, ev.OccurredAt), 1)
	c.ev, c.entities = Event{}, nil
}

// isDropped says whether a key is going to be dropped.
func (e *Engine) isDropped(key journal.KeyID) bool {
	if key == 0 {
		return false
	}
	e.seq.Lock()
	defer e.seq.Unlock()
	return slices.Contains(e.sequencer.drops, key)
}

// addCorrection notes a correction, and prepares what the original contributed.
func (p *prepared) addCorrection(plan *plan, c correction) {
	for i := range c.ev.Entities { // none where the original is lost
		ref := &c.ev.Entities[i]
		kind, ok := plan.kinds[ref.Key.Kind]
		if !ok {
			continue
		}
		from := len(p.groups)
		p.contribute(kind, &c.ev)
		if from == len(p.groups) {
			continue
		}
		at := slices.IndexFunc(p.entities, func(pe preparedEntity) bool { return pe.key == ref.Key })
		if at < 0 {
			at = len(p.entities)
			p.entities = append(p.entities, preparedEntity{index: noEvent, key: ref.Key, kind: kind})
		}
		c.entities = append(c.entities, correctedEntity{at: at, from: from, to: len(p.groups)})
	}
	p.corrections = append(p.corrections, c)
}

// block is the taking back of an event by a decision that came after the event.
func (p *prepared) block(original journal.Pos, before Void) {
	c := correction{cause: TakenBack, before: before, original: original, target: p.ev.Key}
	for i := range p.entities[:p.own] {
		if pe := &p.entities[i]; pe.from < pe.to {
			c.entities = append(c.entities, correctedEntity{at: i, from: pe.from, to: pe.to})
		}
	}
	p.corrections = append(p.corrections, c)
}
