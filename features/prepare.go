package features

import (
	"context"
	"slices"

	"pitboss/features/tiles"
)

// prepared is an event made ready to be applied and to be read with: its entities that have state, pinned, and what it
// contributes to each of their groups. All that can be done outside the sequencer's critical section is done here.
type prepared struct {
	ev       *Event
	entities []preparedEntity
	groups   []preparedGroup
	// subject is the entity whose key seals the event's frame: its place in entities.
	subject int

	// values and categories are what the contributions' slices lie in.
	values     []int64
	categories []uint64
	payload    []byte        // scratch of the frame's encoding
	read       tiles.Reading // scratch of a vector
}

type preparedEntity struct {
	// index is the entity's place in Event.Entities.
	index int
	kind  *kindPlan
	e     *entity
	// groups[from:to] are its contributions, by slot.
	from, to int
}

type preparedGroup struct {
	slot int
	c    tiles.Contribution
}

// prepare finds what the event touches. It pins nothing yet.
func (p *prepared) prepare(plan *plan, ev *Event) {
	p.ev, p.subject = ev, -1
	p.entities, p.groups = p.entities[:0], p.groups[:0]
	p.values, p.categories = p.values[:0], p.categories[:0]
	tenant := -1
	for i := range ev.Entities {
		kind, ok := plan.kinds[ev.Entities[i].Key.Kind]
		if !ok {
			continue
		}
		switch kind {
		case plan.subject:
			p.subject = len(p.entities)
		case plan.tenant:
			tenant = len(p.entities)
		}
		p.entities = append(p.entities, preparedEntity{index: i, kind: kind})
		p.contribute(&p.entities[len(p.entities)-1])
	}
	if p.subject < 0 {
		p.subject = tenant
	}
	p.forgetTenant(plan, tenant)
}

// forgetTenant leaves the tenant out where it would only be touched: it has no windows, and its key is not needed. Else
// every event of a tenant would change one entity for nothing.
func (p *prepared) forgetTenant(plan *plan, tenant int) {
	if tenant < 0 || tenant == p.subject || len(plan.tenant.groups) > 0 {
		return
	}
	p.entities = slices.Delete(p.entities, tenant, tenant+1)
	if p.subject > tenant {
		p.subject--
	}
}

func (p *prepared) contribute(pe *preparedEntity) {
	pe.from = len(p.groups)
	for _, slot := range pe.kind.candidates(p.ev.Type) {
		g := pe.kind.groups[slot]
		if !g.matches(p.ev) {
			continue
		}
		p.groups = append(p.groups, preparedGroup{slot: slot})
		c := &p.groups[len(p.groups)-1].c
		v, k := len(p.values), len(p.categories)
		p.values = slices.Grow(p.values, g.values())[:v+g.values()]
		p.categories = slices.Grow(p.categories, len(g.distincts))[:k+len(g.distincts)]
		c.Values, c.Categories = p.values[v:v:v+g.values()], p.categories[k:k:k+len(g.distincts)]
		g.fill(p.ev, c)
	}
	pe.to = len(p.groups)
}

// contribution gives what the event adds to a group of an entity, nil for nothing.
func (p *prepared) contribution(pe *preparedEntity, slot int) *tiles.Contribution {
	for i := pe.from; i < pe.to; i++ {
		if p.groups[i].slot == slot {
			return &p.groups[i].c
		}
	}
	return nil
}

// pin brings every entity into memory, which may read States.
func (p *prepared) pin(ctx context.Context, c *cache) error {
	for i := range p.entities {
		pe := &p.entities[i]
		if pe.e != nil {
			continue
		}
		e, err := c.get(ctx, p.ev.Entities[pe.index].Key, pe.kind)
		if err != nil {
			return err
		}
		pe.e = e
	}
	return nil
}

func (p *prepared) unpin() {
	for i := range p.entities {
		if e := p.entities[i].e; e != nil {
			e.unpin()
			p.entities[i].e = nil
		}
	}
	p.ev = nil
	if cap(p.payload) > 64<<10 {
		p.payload = nil // one large event must not stay in the pool
	}
}
