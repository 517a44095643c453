package features

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"pitboss/journal"
)

// Builder makes the state of entities straight from their events, without a journal, dedupe or a cache: what ingest would
// have made of the same events, but for the keys of subjects, which it leaves out. It is for States that have seen
// nothing, such as a fixture of a million players.
//
// NewBuilder, then a BuilderPart for each range of entities, then Finish. Parts may be made side by side.
type Builder struct {
	plan   *plan
	states States
	pos    journal.Pos
	newest atomic.Int64
	// now, if it is not 0, is when what a sweep would take out is left out.
	now int64
}

// NewBuilder gives a builder into empty States. Everything it makes is of the frame pos, which the journal that the
// state is opened with must have. Errors: what States returns.
func NewBuilder(cfg EngineConfig, states States, pos journal.Pos, sets ...*Set) (*Builder, error) {
	if pos.IsZero() {
		return nil, errors.New("cannot build state: it needs the position of a frame")
	}
	have, err := states.Meta(metaPlan)
	if err != nil {
		return nil, fmt.Errorf("cannot build state: %w", err)
	}
	if have != nil {
		return nil, errors.New("cannot build state: there is some already: give it an empty directory")
	}
	p, err := newPlan(cfg.Kinds, cfg.SubjectKind, sets, planTable{}, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot build state: %w", err)
	}
	return &Builder{plan: p, states: states, pos: pos}, nil
}

// LeaveOutIdle leaves out the entities that a sweep at a time (microseconds) would have taken out.
func (b *Builder) LeaveOutIdle(now int64) { b.now = now }

// Part gives a part of the building. No entity may be in two parts. A part belongs to one goroutine.
func (b *Builder) Part() *BuilderPart {
	return &BuilderPart{builder: b, entities: map[EntityKey]*entity{}, cache: &cache{}}
}

// Finish writes what makes the entities a state. Until then the States cannot be opened by an engine, or are empty to it.
func (b *Builder) Finish() error {
	e := &Engine{states: b.states}
	e.plans.Store(b.plan)
	if err := e.putPlan(&b.plan.table); err != nil {
		return err
	}
	return e.putCheckpoint(checkpoint{pos: b.pos, newest: b.newest.Load(), producers: producers{holder: -1}})
}

// BuilderPart holds the entities of some events until they are put.
type BuilderPart struct {
	builder  *Builder
	entities map[EntityKey]*entity
	cache    *cache // counts bytes, and nobody asks
	p        prepared
	newest   int64
}

// Add applies an event to every entity that it names. ev may be used again for the next one.
func (b *BuilderPart) Add(ev *Event) {
	b.p.prepare(b.builder.plan, ev)
	b.newest = max(b.newest, ev.OccurredAt)
	for i := range b.p.entities {
		pe := &b.p.entities[i]
		key := ev.Entities[pe.index].Key
		e, ok := b.entities[key]
		if !ok {
			e = &entity{key: key, kind: pe.kind, entityState: pe.kind.newState()}
			b.entities[key] = e
		}
		pe.e = e
		b.p.applyTo(b.cache, pe, b.builder.pos, 0)
		pe.e = nil
	}
	b.p.ev = nil
}

// Put writes the part's entities and forgets them. An entity that was put must not come again. Under the names of further
// tenants it writes the same once more: copies, which are as large and as many as theirs would be.
func (b *BuilderPart) Put(ctx context.Context, copies ...string) error {
	list := make([]*entity, 0, len(b.entities))
	for _, e := range b.entities {
		if b.builder.now == 0 || !e.kind.idle(e.newest, b.builder.now) || slices.ContainsFunc(e.kind.groups, func(g *planGroup) bool { return g.outlives() }) {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(x, y *entity) int { return compareEntityKeys(x.key, y.key) })
	if err := b.put(ctx, list); err != nil {
		return err
	}
	for _, tenant := range copies {
		for _, e := range list {
			e.key.Tenant = tenantPart(tenant)
		}
		if err := b.put(ctx, list); err != nil {
			return err
		}
	}
	clear(b.entities)
	for have := b.builder.newest.Load(); have < b.newest && !b.builder.newest.CompareAndSwap(have, b.newest); {
		have = b.builder.newest.Load()
	}
	return nil
}

func (b *BuilderPart) put(ctx context.Context, list []*entity) error {
	for len(list) > 0 {
		batch := putBatch{cache: b.cache}
		for len(list) > 0 && len(batch.puts) < putEntities && len(batch.arena) < putBytes {
			batch.add(list[0])
			list = list[1:]
		}
		batch.cut()
		if err := b.builder.states.Put(ctx, batch.puts); err != nil {
			return fmt.Errorf("cannot write built state: %w", err)
		}
	}
	return nil
}

// compareEntityKeys is the order of States.Each.
func compareEntityKeys(a, b EntityKey) int {
	return cmp.Or(bytes.Compare(a.Tenant[:], b.Tenant[:]), cmp.Compare(a.Kind, b.Kind), bytes.Compare(a.ID[:], b.ID[:]))
}
