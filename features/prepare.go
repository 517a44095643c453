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
	plan     *plan
	entities []preparedEntity
	groups   []preparedGroup
	// own is how many of entities the event names, ownGroups how many of groups it contributes to. The others belong to the
	// originals of corrections.
	own, ownGroups int
	// void says why the event itself does not count: before it is applied, what waits for it.
	void Void
	// corrections are what the event takes back.
	corrections []correction
	// subject is the entity whose key seals the event's frame: its place in entities.
	subject int

	// values, categories and slots are what the contributions' slices lie in.
	values     []int64
	categories []uint64
	slots      []int32
	payload    []byte        // scratch of the frame's encoding
	read       tiles.Reading // scratch of a vector
	newest     newestScratch // the same
	touched    uint64        // keeps the compiler from leaving touch out
	// explain notes what values are made of, nil for nobody.
	explain *explainer
}

type preparedEntity struct {
	// index is the entity's place in Event.Entities, noEvent where the event does not name it.
	index int
	key   EntityKey
	kind  *kindPlan
	e     *entity
	// groups[from:to] are the event's contributions, by slot.
	from, to int
	// omitted says that nothing of the event goes into the entity.
	omitted bool
}

type preparedGroup struct {
	slot int
	c    tiles.Contribution
}

// prepare finds what the event touches. It pins nothing yet.
func (p *prepared) prepare(plan *plan, ev *Event) {
	p.ev, p.plan, p.subject = ev, plan, -1
	p.entities, p.groups = p.entities[:0], p.groups[:0]
	p.values, p.categories, p.slots = p.values[:0], p.categories[:0], p.slots[:0]
	p.void, p.corrections = 0, p.corrections[:0]
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
		from := len(p.groups)
		p.contribute(kind, ev)
		p.entities = append(p.entities, preparedEntity{index: i, key: ev.Entities[i].Key, kind: kind, from: from, to: len(p.groups)})
	}
	if p.subject < 0 {
		p.subject = tenant
	}
	p.forgetTenant(plan, tenant)
	p.own, p.ownGroups = len(p.entities), len(p.groups)
}

// forgetCorrections takes away what addCorrection added.
func (p *prepared) forgetCorrections() {
	for i := range p.entities[p.own:] {
		if e := p.entities[p.own+i].e; e != nil {
			e.unpin()
		}
	}
	clear(p.corrections)
	p.corrections = p.corrections[:0]
	p.entities, p.groups = p.entities[:p.own], p.groups[:p.ownGroups]
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

// contribute appends what an event adds to the groups of one entity.
func (p *prepared) contribute(kind *kindPlan, ev *Event) {
	for _, slot := range kind.candidates(ev.Type) {
		g := kind.groups[slot]
		if !g.matches(ev) {
			continue
		}
		p.groups = append(p.groups, preparedGroup{slot: slot})
		c := &p.groups[len(p.groups)-1].c
		v, k := len(p.values), len(p.categories)
		p.values = slices.Grow(p.values, g.values())[:v+g.values()]
		p.categories = slices.Grow(p.categories, g.categories())[:k+g.categories()]
		c.Values, c.Categories = p.values[v:v:v+g.values()], p.categories[k:k:k+g.categories()]
		n := len(p.slots)
		p.slots = slices.Grow(p.slots, len(g.tables))[:n+len(g.tables)]
		c.Slots = p.slots[n : n : n+len(g.tables)]
		g.fill(ev, c)
	}
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
		e, err := c.get(ctx, pe.key, pe.kind)
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
	clear(p.corrections)
	p.corrections = p.corrections[:0]
	if cap(p.payload) > 64<<10 {
		p.payload = nil // one large event must not stay in the pool
	}
}
