package features

import (
	"errors"
	"fmt"

	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// blocks says whether a frame's decision takes its event back.
func blocks(frame *pb.EventFrame) bool {
	return frame.GetDecision().GetOutputs().GetOutcome() == pb.Outcome_OUTCOME_BLOCK && blockTakesBack(frame.GetEvent().GetType())
}

// correctByDecision says in the frame whether the event is void: for what waited for it, or because the decision blocks
// it. A block that comes after the event takes it back.
func (s *Slot) correctByDecision(frame *pb.EventFrame) {
	p := s.prepared
	void := p.void
	if frame.Event = p.ev.Msg; blocks(frame) {
		void |= TakenBack
	}
	frame.Void = uint32(void)
	if s.known.Event.IsZero() {
		return
	}
	p.forgetCorrections() // the event's own frame has them
	if void != p.void {
		p.block(s.known.Event, p.void)
	}
}

// record gives the corrections as the frame keeps them.
func (p *prepared) record() []*pb.Correction {
	var list []*pb.Correction
	for i := range p.corrections {
		c := &p.corrections[i]
		r := &pb.Correction{Cause: pb.Cause(c.cause), Before: uint32(c.before), LostAtUs: c.lostAt}
		if !c.original.IsZero() {
			r.Original = &pb.Position{Partition: c.original.Partition, Offset: c.original.Offset}
		}
		list = append(list, r)
	}
	return list
}

func positionOf(p *pb.Position) journal.Pos {
	return journal.Pos{Partition: p.GetPartition(), Offset: p.GetOffset()}
}

// replayCorrections makes the corrections of a frame ready as it says, whatever is known now: what States has may be of
// later frames.
func (e *Engine) replayCorrections(p *prepared, item *replayItem, applied journal.Pos) error {
	for _, r := range item.event.GetCorrections() {
		if done, err := e.gatheredCorrection(item.f.Pos, p.ev, r, applied); done || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		c := correction{cause: Void(r.GetCause()), before: Void(r.GetBefore()), original: positionOf(r.GetOriginal()), lostAt: r.GetLostAtUs()}
		if !applied.IsZero() && e.past.before(applied) { // what a decision blocked is not in what was gathered
			c.lostAt, c.target = p.ev.OccurredAt, p.ev.Key
			p.corrections = append(p.corrections, c)
			continue
		}
		if !applied.IsZero() {
			p.block(c.original, c.before)
			continue
		}
		if err := e.replayOriginal(p.ev, &c); err != nil {
			return fmt.Errorf("cannot read what event %q corrects: %w", p.ev.ID, err)
		}
		seen, _, err := e.dedupe.Load().find(c.target)
		if err != nil {
			return fmt.Errorf("cannot look up what event %q corrects: %w", p.ev.ID, err)
		}
		if seen.Event != c.original || seen.expired(p.ev) {
			seen = Seen{Event: c.original}
			if c.ev.Msg != nil {
				seen.Content, seen.Hour = [16]byte(c.ev.Content[:16]), hourOf(c.ev.OccurredAt)
			}
		}
		c.seen = seen
		c.note(p.ev)
		c.seen.Void = c.before | c.cause
		p.addCorrection(e.plan(), c)
	}
	return nil
}

// replayOriginal reads the original of a recorded correction, and finds what it is known by.
func (e *Engine) replayOriginal(ev *Event, c *correction) error {
	c.target = ev.Replaces
	if c.cause == TakenBack {
		c.target = ev.TakesBack
	}
	if c.original.IsZero() {
		return nil
	}
	err := e.readOriginal(c)
	switch {
	case err == nil:
		c.target = c.ev.Key
	case !isLost(err):
		return err
	case c.cause == TakenBack:
		seen, _, unread := e.dedupe.Load().find(c.target)
		if unread != nil {
			return unread
		}
		if c.target = (EventKey{}); seen.Event == c.original {
			c.target = EventKey(seen.Content)
		}
	}
	if c.lostAt != 0 {
		c.ev = Event{} // it was lost then, and stays so
		return nil
	}
	// One that was read then and is erased now is in no state: it went before the state that is built now. One that
	// retention took between is still inside.
	if errors.Is(err, journal.ErrGone) {
		c.lostAt = ev.OccurredAt
	}
	return nil
}
