package features

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"pitboss/features/derived"
	"pitboss/features/tiles"
	"pitboss/journal"
)

const microsPerSecond = 1_000_000

// Vector reads the set's features for the slot's event at its occurred_at. All entities are read in one pass, each
// under its own lock, and the event is combined on the fly where it is not inside them yet. It applies nothing. dst is
// overwritten and its slices are used again: a vector from memory then allocates nothing.
//
// Errors: ErrUnknownSet, ErrUnavailable (also where the state was rebuilt since Admit), what States returns for an
// entity that is not in memory, the context's.
func (e *Engine) Vector(ctx context.Context, s *Slot, set *Set, dst *Vector) error {
	if err := e.gate.enter(); err != nil {
		return err
	}
	defer e.gate.leave()
	b, ok := e.plan().bindings[set.Hash]
	if !ok {
		return fmt.Errorf("cannot read a vector of set %s %s: %w", set.Name, set.Version, ErrUnknownSet)
	}
	if s.epoch != e.epoch.Load() {
		return fmt.Errorf("cannot read a vector: %w: its state was rebuilt", ErrUnavailable)
	}
	p := s.prepared
	if err := s.renew(ctx); err != nil {
		return err
	}
	if err := p.pin(ctx, e.cache.Load()); err != nil {
		return err
	}
	at := p.ev.OccurredAt
	dst.reset(set, at)
	dst.Inside, dst.Watermark, dst.Lag = !s.known.Event.IsZero(), e.Watermark(), e.Lag()
	if dst.sampled = b.values.turn(); dst.sampled {
		dst.forgetNewest()
	}
	p.touch(b)
	for i := range b.kinds {
		kb := &b.kinds[i]
		if pe := p.entityOf(kb.kind); pe != nil {
			dst.readEntity(p, pe, kb, set, s.known.Event)
		}
	}
	dst.readOwn(p.ev, set)
	dst.readSources(p.ev, set)
	dst.finish(set, p.ev)
	if dst.sampled {
		b.values.note(dst, set)
	}
	e.stats.vectors.Add(1)
	return nil
}

// touch brings the groups of all entities into the processor's cache: two thirds of a vector's time would go by waiting
// for memory.
func (p *prepared) touch(b *binding) {
	for i := range b.kinds {
		kb := &b.kinds[i]
		pe := p.entityOf(kb.kind)
		if pe == nil {
			continue
		}
		pe.e.mu.Lock()
		for j := range kb.groups {
			p.touched ^= pe.e.groups[kb.groups[j].slot].Touch()
		}
		pe.e.mu.Unlock()
	}
}

// Features reads one entity's features at a time (microseconds), as they stand without any event in flight. Features
// of other entities, of the event itself and of sources are missing. Errors as Vector's.
func (e *Engine) Features(ctx context.Context, ref EntityRef, at int64, set *Set, dst *Vector) error {
	return e.FeaturesOf(ctx, []EntityRef{ref}, at, set, dst)
}

// FeaturesOf is Features of several entities at once, each of another kind. The pins' Entity is the place in refs; an entity
// that the set reads nothing of has none.
func (e *Engine) FeaturesOf(ctx context.Context, refs []EntityRef, at int64, set *Set, dst *Vector) error {
	return e.featuresOf(ctx, refs, at, set, dst, nil)
}

func (e *Engine) featuresOf(ctx context.Context, refs []EntityRef, at int64, set *Set, dst *Vector, explain *explainer) error {
	if err := e.gate.enter(); err != nil {
		return err
	}
	defer e.gate.leave()
	b, ok := e.plan().bindings[set.Hash]
	if !ok {
		return fmt.Errorf("cannot read features of set %s %s: %w", set.Name, set.Version, ErrUnknownSet)
	}
	dst.reset(set, at)
	dst.Watermark, dst.Lag = e.Watermark(), e.Lag()
	for i := range b.kinds {
		kb := &b.kinds[i]
		which := slices.IndexFunc(refs, func(ref EntityRef) bool { return ref.Key.Kind == kb.kind.kind.ID })
		if which < 0 {
			continue
		}
		entity, err := e.cache.Load().get(ctx, refs[which].Key, kb.kind)
		if err != nil {
			return err
		}
		p := &prepared{ev: &Event{OccurredAt: at}, explain: explain}
		dst.readEntity(p, &preparedEntity{index: noEvent, kind: kb.kind, e: entity}, kb, set, journal.Pos{})
		dst.Pins[len(dst.Pins)-1].Entity = which
		entity.unpin()
	}
	dst.finish(set, &Event{})
	return nil
}

// noEvent is the index of an entity that is read on its own account.
const noEvent = -1

func (p *prepared) entityOf(kind *kindPlan) *preparedEntity {
	for i := range p.entities[:p.own] {
		if p.entities[i].kind == kind {
			return &p.entities[i]
		}
	}
	return nil
}

// reset makes every value missing.
func (v *Vector) reset(set *Set, at int64) {
	n := len(set.Features)
	if cap(v.Values) < n {
		v.Values, v.Status, v.newest = make([]float64, n), make([]Status, n), make([]int64, n)
	}
	v.Values, v.Status = v.Values[:n], v.Status[:n]
	for i := range v.Values {
		v.Values[i], v.Status[i] = math.NaN(), Missing
	}
	if len(v.means) < set.baselines {
		v.means = make([]float64, set.baselines)
	}
	if len(v.pairs) < set.pairs {
		v.pairs = make([]slotPair, set.pairs)
	}
	for i := range v.pairs {
		v.pairs[i].half = false
	}
	if v.inputs == nil && len(set.derived) > 0 {
		v.inputs = &derived.Values{}
	}
	v.WarmingSince, v.sampled = 0, false
	v.At, v.Inside, v.Pins, v.Sourced, v.Watermark, v.Lag = at, false, v.Pins[:0], v.Sourced[:0], 0, NoLag
}

// readEntity reads all groups of one entity under its lock. known is where the event was applied, zero where it was not.
func (v *Vector) readEntity(p *prepared, pe *preparedEntity, kb *kindBinding, set *Set, known journal.Pos) {
	e := pe.e
	e.mu.Lock()
	defer e.mu.Unlock()
	v.Pins = append(v.Pins, Pin{Entity: max(0, pe.index), Pos: e.pos, Newest: e.newest})
	// The event is inside the entity iff born(entity) <= pos(event) <= pos(entity). It may be known and not inside: the
	// entity may have been erased since.
	inside := !known.IsZero() && !e.pos.Less(known) && !known.Less(e.born)
	// The windows are read as they would be once the event is applied.
	newest := e.newest
	if e.pos.IsZero() || p.ev.OccurredAt > newest && pe.index >= 0 {
		newest = p.ev.OccurredAt
	}
	for i := range kb.groups {
		gb := &kb.groups[i]
		if gb.group.expired(p.ev) {
			continue // to this event the entity is no more, whether it is still stored or not
		}
		newestOfGroup := tiles.NoTime
		if v.sampled {
			newestOfGroup = e.groups[gb.slot].Newest(gb.group.layout)
			gb.group.counts.note(v.At, newestOfGroup)
		}
		view := p.view(pe, gb, horizon(newest), inside)
		v.readGroup(p, set, gb.group, gb.reads.include, view.with, horizon(newest), view.plus, nil)
		v.readGroup(p, set, gb.group, gb.reads.exclude, view.without, horizon(newest), nil, view.minus)
		if v.sampled {
			v.freshen(gb.reads.include, newestOfGroup, &p.read)
			v.freshen(gb.reads.exclude, newestOfGroup, &p.read)
		}
	}
	for _, f := range kb.pushes {
		v.takePush(f, &set.plans[f], &e.entityState)
	}
}

// readGroup reads some features of one group of an entity.
func (v *Vector) readGroup(p *prepared, set *Set, g *planGroup, list []featureRead, s *tiles.State, horizon int64, plus, minus *tiles.Contribution) {
	if len(list) == 0 {
		return
	}
	r := &p.read
	s.Read(g.layout, v.At, horizon, plus, minus, r)
	p.newest.last = 0
	plain := g.since == 0 && g.exact == 0 && r.Plain()
	for i := range list {
		fr := &list[i]
		if p.explain != nil {
			p.explain.note(int(fr.feature), fr.f, g, v.At, r)
		}
		switch {
		case fr.agg.ofNewest():
			v.takeNewest(int(fr.feature), fr.f, g, r, &p.newest)
		case fr.agg == aggSameSlotShare:
			v.takeSlots(int(fr.feature), fr.f, set, g, r)
		default:
			v.take(fr, g, r, plain)
		}
	}
}

// take makes one feature's value out of what was read of its group. plain says that there is nothing to be said of any value
// but what its own reading says.
func (v *Vector) take(fr *featureRead, g *planGroup, r *tiles.Reading, plain bool) {
	value, status, flags := v.value(fr, g, r)
	if !plain || flags != 0 {
		status = v.worth(fr.f, g, r, status, flags)
	}
	v.Values[fr.feature], v.Status[fr.feature] = value, status
}

// value gives a feature's value, and what its own reading says of it.
func (v *Vector) value(fr *featureRead, g *planGroup, r *tiles.Reading) (value float64, status Status, flags tiles.Flags) {
	switch fr.agg {
	case aggCount:
		return float64(r.CountIn(fr.span)), Present, 0
	case aggSum:
		return r.SumIn(fr.span, int(fr.column)).Float64() / fr.scale, Present, 0
	case aggMean:
		if n := r.SumIn(fr.span, int(fr.present)).Float64(); n > 0 {
			return r.SumIn(fr.span, int(fr.column)).Float64() / n / fr.scale, Present, 0
		}
	case aggDistinct:
		n, flags := r.Distinct(fr.span.Window, int(fr.column))
		return float64(n), Present, flags
	case aggTimeSince:
		last, flags := r.Last()
		if last != tiles.NoTime && (g.ttl == 0 || v.At-last <= g.ttl.Microseconds()) {
			// What happened in the same second counts as having happened, even where it is the later by less than one.
			return float64(max(0, v.At-last)) / microsPerSecond, Present, flags
		}
		return math.NaN(), Missing, flags
	default:
		return v.rarer(fr.f, g, r)
	}
	return math.NaN(), Missing, 0
}

// rarer is value for what takes longer than to look the feature up.
func (v *Vector) rarer(f *feature, g *planGroup, r *tiles.Reading) (value float64, status Status, flags tiles.Flags) {
	value, status = math.NaN(), Missing
	switch f.agg {
	case aggStd, aggCV:
		value, status = f.spread(r)
	case aggZScore:
		value, status = v.baseline(f, r)
	case aggTopShare, aggEntropy:
		value, status = f.share(r)
	case aggQuantile:
		value, status = f.quantile(g.group, r)
	case aggDecayedCount:
		value, status = r.Decayed(f.window, -1, f.halfLife), Present
	case aggDecayedSum:
		value, status = r.Decayed(f.window, f.column, f.halfLife)/float64(f.scale), Present
	case aggMin, aggMax, aggRange:
		value, status, flags = f.extreme(r)
	case aggDistinctLarge:
		var n int64
		n, flags = r.Large(f.window, f.column)
		value, status = float64(n), Present
	case aggActiveHours:
		value, status = float64(r.ActiveHours(f.window)), Present
	case aggQuietGap:
		if hours, ok := r.QuietHours(f.window); ok {
			value, status = (time.Duration(hours) * time.Hour).Seconds(), Present
		}
	case aggFirstSeen:
		var first int64
		if first, flags = r.First(); first != tiles.NoTime {
			value, status = float64(max(0, v.At-first))/microsPerSecond, Present
		}
	default:
		panic("BUG: " + f.agg.String() + " reads no group")
	}
	return value, status, flags
}

// worth gives the worst of what is to be said of a value, and notes since when its group warms up.
func (v *Vector) worth(f *feature, g *planGroup, r *tiles.Reading, status Status, flags tiles.Flags) Status {
	exact := false
	switch {
	case f.agg == aggTimeSince:
		last, _ := r.Last()
		exact = last != tiles.NoTime && last >= min(g.since, v.At)
	case !f.windowed():
	case f.ofTiles():
		flags |= r.SpanFlags(f.span())
	default:
		exact = r.Exact(f.window)
		flags |= r.WindowFlags(f.window)
	}
	status = g.status(f, v.At, status, exact, flags)
	if status == WarmingUp {
		v.WarmingSince = max(v.WarmingSince, g.since)
	}
	return status
}

// ofTiles says that the value is made of tiles, also in a group that reads others exactly: of what its newest events do not
// reach, or what is no finer than a tile by itself.
func (f *feature) ofTiles() bool {
	switch f.agg {
	case aggDistinctLarge, aggActiveHours, aggQuietGap, aggSameSlotShare:
		return true
	default:
		return f.shift > 0
	}
}

// spread gives the standard deviation of the population, or what it is of the mean's size. The variance is made of
// integers: only its numerator n*sum(x*x) - sum(x)*sum(x) is rounded.
func (f *feature) spread(r *tiles.Reading) (float64, Status) {
	n, _ := r.SumIn(f.span(), f.present).Int64()
	sum := r.SumIn(f.span(), f.column)
	per := float64(float64(n) * float64(f.scale))
	if f.agg == aggCV {
		per = math.Abs(sum.Float64())
	}
	if n <= 0 || per == 0 {
		return math.NaN(), Missing
	}
	return math.Sqrt(tiles.Dispersion(n, sum, r.SquaresIn(f.span(), f.column))) / per, Present
}

// extreme gives the smallest value, the largest, or how far they are apart.
func (f *feature) extreme(r *tiles.Reading) (value float64, status Status, flags tiles.Flags) {
	low, high := int64(0), int64(0)
	if f.agg != aggMax {
		low, flags = r.Low(f.window, f.column)
	}
	if f.agg != aggMin {
		var more tiles.Flags
		high, more = r.High(f.window, f.column)
		flags |= more
	}
	if low == tiles.NoValue || high == tiles.NoValue {
		return math.NaN(), Missing, flags
	}
	between := tiles.MakeInt128(high)
	switch f.agg {
	case aggMin:
		between = tiles.MakeInt128(low)
	case aggRange:
		between = between.Add(tiles.MakeInt128(low).Neg())
	default: // the largest is there already
	}
	return between.Float64() / float64(f.scale), Present, flags
}

// status gives the worst of what is to be said of a value.
func (g *planGroup) status(f *feature, at int64, status Status, exact bool, flags tiles.Flags) Status {
	switch {
	case flags&tiles.CorrectionMissed != 0 && status == Present:
		return CorrectionMissed
	case flags&tiles.Late != 0:
		return Late
	case g.since != 0 && g.warming(f, at, exact):
		return WarmingUp
	case flags&tiles.Capped != 0 && status == Present:
		return Capped
	case g.exact > 0 && !exact && f.windowed() && status == Present:
		return FromTiles
	}
	return status
}

// warming says whether the group may lack events that happened before it was there.
func (g *planGroup) warming(f *feature, at int64, exact bool) bool {
	if f.agg == aggTimeSince {
		return !exact // an event that it has seen may be older than one that it has not
	}
	if f.agg == aggFirstSeen {
		return true // an older one may have been before the group was
	}
	if exact {
		return at-f.window.Length().Microseconds() < g.since
	}
	return at-f.shift.Microseconds()-f.window.Length().Microseconds()-f.window.Hop().Microseconds() < g.since
}

// readOwn reads the event's own values.
func (v *Vector) readOwn(ev *Event, set *Set) {
	for _, i := range set.own {
		f := &set.plans[i]
		switch f.field {
		case hourOfDay:
			v.Values[i], v.Status[i] = float64(floorMod(floorDiv(v.At, microsPerSecond*3600), 24)), Present
			continue
		case dayOfWeek:
			// The epoch was a Thursday: 3.
			v.Values[i], v.Status[i] = float64(floorMod(floorDiv(v.At, microsPerSecond*86400)+3, 7)), Present
			continue
		}
		field, ok := ev.Field(f.field)
		if !ok {
			continue
		}
		switch field.Type {
		case FieldInt, FieldBool:
			v.Values[i], v.Status[i] = float64(field.Int), Present
		case FieldNumber:
			v.Values[i], v.Status[i] = field.Number, Present
		default: // text is no number
		}
	}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func floorMod(a, b int64) int64 { return a - floorDiv(a, b)*b }

func (v *Vector) readSources(ev *Event, set *Set) {
	for _, i := range set.sourced {
		f := &set.plans[i]
		value, status, version := f.source.Value(ev, f.key)
		if status == Missing {
			value = math.NaN()
		}
		v.Values[i], v.Status[i] = value, status
		v.Sourced = append(v.Sourced, SourcedValue{Source: f.source.Name(), Version: version, Feature: i, Value: value, Status: status})
	}
}

// worst gives the status that says more against a value.
func worst(a, b Status) Status {
	rank := [...]uint8{Present: 0, FromTiles: 1, Default: 2, Capped: 3, Missing: 4, WarmingUp: 5, Stale: 6, Late: 7, CorrectionMissed: 8}
	if rank[a] >= rank[b] {
		return a
	}
	return b
}
