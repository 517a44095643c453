package features

import (
	"fmt"
	"slices"

	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// pastView is what a follower knows of what was gathered before its journal. nil is a follower without, or no follower.
type pastView struct {
	start fillStart
	// erased is the engine's.
	erased func(EntityKey) (journal.Pos, int64, error)
}

// has says whether a frame was gathered.
func (v *pastView) has(p journal.Pos) bool { return v != nil && p.Offset <= v.start.frames }

// place gives the positions inside a frame of the journal as they are in the side. It is done once to each.
func (v *pastView) place(item *replayItem) {
	if v == nil || v.has(item.f.Pos) {
		return
	}
	move := func(p *pb.Position) {
		if p.GetOffset() != 0 {
			p.Offset += v.start.frames
		}
	}
	move(item.event.GetAppliedAt())
	for _, r := range item.event.GetCorrections() {
		move(r.GetOriginal())
	}
}

// before says whether the frame at a position of the side is one of the journal's that the journal had no longer when the
// rest was gathered.
func (v *pastView) before(p journal.Pos) bool {
	return v != nil && !v.has(p) && p.Offset < v.start.frames+v.start.first.Offset
}

// omit leaves out of a gathered event the entities that were erased after it was received, before the journal's first frame:
// nobody else would empty them. What it adds to others stays, as it does when an erasure comes later.
func (v *pastView) omit(p *prepared) error {
	var failed error
	gone := func(key EntityKey, received int64) bool {
		pos, at, err := v.erased(key)
		if err != nil {
			failed = fmt.Errorf("cannot find who was erased: %w", err)
		}
		return !pos.IsZero() && pos.Less(v.start.first) && received <= at
	}
	for i := range p.corrections {
		c := &p.corrections[i]
		c.entities = slices.DeleteFunc(c.entities, func(ce correctedEntity) bool { return gone(p.entities[ce.at].key, c.ev.ReceivedAt) })
	}
	for i := range p.entities[:p.own] {
		p.entities[i].omitted = gone(p.entities[i].key, p.ev.ReceivedAt)
	}
	return failed
}

// gatheredCorrection says whether what a correction of the journal takes back was gathered, and void from its beginning: the
// journal has not its original any more, or waited for it.
func (e *Engine) gatheredCorrection(pos journal.Pos, ev *Event, r *pb.Correction, applied journal.Pos) (bool, error) {
	original := positionOf(r.GetOriginal())
	if e.past == nil || e.past.has(pos) || r.GetLostAtUs() != 0 || !original.IsZero() && !e.past.before(original) {
		return false, nil
	}
	d := e.dedupe.Load()
	seen, ok, err := d.find(correctedKey(ev, r, applied))
	if err == nil && ok && applied.IsZero() && Void(r.GetCause()) == TakenBack && !seen.Event.IsZero() {
		seen, ok, err = d.find(EventKey(seen.Content))
	}
	if err != nil {
		return false, fmt.Errorf("cannot look up what event %q corrects: %w", ev.ID, err)
	}
	return ok && !seen.Event.IsZero() && e.past.has(seen.Event) && seen.Void&Void(r.GetCause()) != 0, nil
}
