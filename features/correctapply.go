package features

import (
	"slices"

	"pitboss/features/tiles"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// loseErased gives the originals up whose subjects are being erased, and says whether there are any. It is asked in the
// critical section; the frame is made again then.
func (e *Engine) loseErased(p *prepared) (lost bool) {
	for i := range p.corrections {
		c := &p.corrections[i]
		if c.lostAt == 0 && c.key != 0 && slices.Contains(e.sequencer.drops, c.key) {
			c.lose(p.ev)
			lost = true
		}
	}
	return lost
}

// correctEntity applies the corrections to one entity, whose lock the caller holds, and says whether it holds any of the
// originals.
func (p *prepared) correctEntity(c *cache, at int) (touched bool) {
	e := p.entities[at].e
	for i := range p.corrections {
		cor := &p.corrections[i]
		switch {
		case cor.lostAt != 0 && at < p.own:
			p.missEntity(c, at, cor)
			continue
		case cor.original.IsZero() || !cor.inside(&e.entityState):
			continue
		}
		for _, ce := range cor.entities {
			if ce.at != at {
				continue
			}
			touched = true
			for g := ce.from; g < ce.to; g++ {
				if group := e.kind.groups[p.groups[g].slot]; cor.changes(group.group) {
					c.take(e, group, &p.groups[g], cor.original)
				}
			}
		}
	}
	return touched
}

// take takes a contribution back; the caller holds the entity's lock. A group that is younger than the original may hold
// it or not, which is said by what is too young to be whole anyway.
func (c *cache) take(e *entity, group *planGroup, pg *preparedGroup, original journal.Pos) {
	c.change(e, pg.slot, func(s *tiles.State) {
		if !group.from.Less(original) {
			s.Miss(pg.c.At, horizon(e.newest))
			return
		}
		s.Void(group.layout, &pg.c, horizon(e.newest))
	})
}

// missEntity notes in the groups that may hold a lost original that they may. Whom it named is not known: it stands to
// reason that the event that takes it back names the same.
func (p *prepared) missEntity(c *cache, at int, cor *correction) {
	e := p.entities[at].e
	for slot := range e.kind.groups {
		if p.mayHold(e.kind, slot, cor) {
			c.change(e, slot, func(s *tiles.State) { s.Miss(cor.lostAt, horizon(e.newest)) })
		}
	}
}

// mayHold says whether a group may hold a lost original, by its type: of one that is replaced, it is taken to be that of
// the event in its place.
func (p *prepared) mayHold(kind *kindPlan, slot int, cor *correction) bool {
	eventType := p.ev.Type
	if original, ok := takenBackBy(eventType); ok && cor.cause == TakenBack {
		eventType = original
	}
	return cor.changes(kind.groups[slot].group) && slices.Contains(kind.candidates(eventType), slot)
}

// noteCorrections enters what the event corrects into dedupe; the caller holds seq.
func (e *Engine) noteCorrections(p *prepared) {
	d := e.dedupe.Load()
	for i := range p.corrections {
		c := &p.corrections[i]
		if c.target == p.ev.Key {
			e.stats.blocked.Add(1) // it is noted with the event
			continue
		}
		if !c.target.IsZero() {
			d.put(c.target, c.seen)
		}
		switch {
		case c.original.IsZero():
			e.stats.correctionsWaiting.Add(1)
		case c.lostAt != 0:
			e.stats.correctionsLost.Add(1)
		default:
			e.stats.corrections.Add(1)
		}
	}
}

// countVoid counts an event that is void from its beginning.
func (e *Engine) countVoid(frame *pb.EventFrame) {
	void := Void(frame.GetVoid())
	if blocks(frame) {
		e.stats.blocked.Add(1)
		void &^= TakenBack
	}
	if void != 0 {
		e.stats.correctionsMet.Add(1)
	}
}

// correctFrom applies the corrections to the entities that the event does not name. The caller holds seq.
func (e *Engine) correctFrom(p *prepared, first int, pos journal.Pos) {
	c := e.cache.Load()
	for i := first; i < len(p.entities); i++ {
		entity := p.entities[i].e
		entity.mu.Lock()
		// One that does not hold the original was erased since, and stays as it is.
		touched := entity.pos.Less(pos) && p.correctEntity(c, i)
		if touched {
			entity.pos = pos
		}
		entity.mu.Unlock()
		if touched {
			e.list(entity)
		}
	}
}
