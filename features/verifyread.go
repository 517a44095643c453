package features

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// verifier makes the vectors of decisions again while their journal is applied. Frames are read some way ahead, so that it
// is known which decisions wait for an entity to reach a position before a later frame takes the entity beyond it.
type verifier struct {
	cfg    VerifyConfig
	engine *Engine
	report VerifyReport
	// batches is how many are read ahead, ahead are those.
	batches int
	ahead   []*replayFrames
	ended   bool
	// waiting has, by entity, the decisions that are still to read it; made those that have their frame ahead.
	waiting map[EntityKey]*waitingPins
	made    map[journal.Pos]*remaking
	spare   []*remaking
	// warmsUntil has, by set, from where on no group of it warms up; since is the same for all, in event time, where the
	// journal is no longer whole.
	warmsUntil map[[32]byte]journal.Pos
	since      int64
}

// remaking is a decision whose vector is being made again, entity by entity.
type remaking struct {
	item *replayItem
	set  *Set
	// binding says how the set reads.
	binding *binding
	// prepared is the event as it is read with; ready says that it is there.
	prepared prepared
	ready    bool
	vector   Vector
	// taken are the features whose values are the record's.
	taken []bool
	// overtaken says that an entity was read before the decision's own frame came up.
	overtaken bool
	// failed says why the vector cannot be made again, missed which entities may have been read too late.
	failed, missed []string
}

// waitingPins are the decisions that wait for one entity, by the position that they pin.
type waitingPins struct {
	pins []waitingPin
}

type waitingPin struct {
	pos journal.Pos
	r   *remaking
	// entity is the place in the decision's event.
	entity int
}

// add keeps the order. Positions come nearly in order.
func (w *waitingPins) add(pin waitingPin) {
	at := len(w.pins)
	for at > 0 && pin.pos.Less(w.pins[at-1].pos) {
		at--
	}
	w.pins = slices.Insert(w.pins, at, pin)
}

// next gives the next batch to be applied, and has seen what comes after it.
func (v *verifier) next(r *replayer) *replayFrames {
	for !v.ended && len(v.ahead) <= v.batches {
		b := r.next()
		if b == nil {
			v.ended = true
			break
		}
		for i := range b.items {
			v.expect(&b.items[i])
		}
		v.ahead = append(v.ahead, b)
	}
	v.progress()
	if len(v.ahead) == 0 {
		return nil
	}
	b := v.ahead[0]
	v.ahead = append(v.ahead[:0], v.ahead[1:]...)
	v.report.Frames += uint64(len(b.items))
	v.report.Last = b.items[len(b.items)-1].f.Pos
	return b
}

// expect notes what a decision waits for.
func (v *verifier) expect(item *replayItem) {
	if item.err != nil || item.event.GetDecision() == nil {
		return
	}
	in := item.event.GetDecision().GetInputs()
	if len(in.GetVector()) == 0 {
		return
	}
	r := v.remaking(item)
	if r.failed = r.check(v.engine.plan(), in); len(r.failed) > 0 {
		return
	}
	for _, pin := range in.GetPins() {
		ref := &item.ev.Entities[pin.GetEntity()]
		if pos := positionOf(pin.GetPosition()); !pos.IsZero() {
			w := v.waiting[ref.Key]
			if w == nil {
				w = &waitingPins{}
				v.waiting[ref.Key] = w
			}
			w.add(waitingPin{pos, r, int(pin.GetEntity())})
		}
	}
}

func (v *verifier) remaking(item *replayItem) *remaking {
	r := &remaking{}
	if n := len(v.spare); n > 0 {
		r, v.spare = v.spare[n-1], v.spare[:n-1]
	}
	r.item, r.ready, r.overtaken, r.failed, r.missed = item, false, false, nil, nil
	v.made[item.f.Pos] = r
	return r
}

// check says why a record cannot be made again, from the record alone.
func (r *remaking) check(p *plan, in *pb.Inputs) []string {
	b, ok := (*binding)(nil), false
	if hash := in.GetFeatureSetHash(); len(hash) == 32 {
		b, ok = p.bindings[[32]byte(hash)]
	}
	switch {
	case !ok:
		return []string{fmt.Sprintf("its feature set %.16x is not known here", in.GetFeatureSetHash())}
	case len(in.GetVector()) != len(b.set.Features) || len(in.GetStatuses()) != len(b.set.Features):
		return []string{fmt.Sprintf("it has %d values and %d statuses, its feature set %d", len(in.GetVector()), len(in.GetStatuses()), len(b.set.Features))}
	case in.GetEventInside() != (r.item.event.GetAppliedAt() != nil):
		return []string{fmt.Sprintf("it says that its event was inside: %v; its frame says the opposite", in.GetEventInside())}
	}
	r.binding, r.set = b, b.set
	var missing []string
	for _, pin := range in.GetPins() {
		if int(pin.GetEntity()) >= len(r.item.ev.Entities) {
			return []string{fmt.Sprintf("it pins entity %d of %d", pin.GetEntity(), len(r.item.ev.Entities))}
		}
	}
	for i := range b.kinds {
		if at := r.entityOf(b.kinds[i].kind); at >= 0 && r.pinOf(at) == nil {
			missing = append(missing, fmt.Sprintf("it pins no %s", b.kinds[i].kind.kind.Name))
		}
	}
	return missing
}

// entityOf gives the place in the event of the first entity of a kind, -1 without.
func (r *remaking) entityOf(kind *kindPlan) int {
	return slices.IndexFunc(r.item.ev.Entities, func(ref EntityRef) bool { return ref.Key.Kind == kind.kind.ID })
}

func (r *remaking) pinOf(entity int) *pb.Pin {
	for _, pin := range r.item.event.GetDecision().GetInputs().GetPins() {
		if int(pin.GetEntity()) == entity {
			return pin
		}
	}
	return nil
}

// beforeEvent is called with an event's entities in memory, before it is applied to any.
func (v *verifier) beforeEvent(ctx context.Context, p *prepared, item *replayItem) error {
	if err := v.before(ctx, p, item.f.Pos); err != nil {
		return err
	}
	if item.event.GetDecision() == nil {
		return nil
	}
	r, ok := v.made[item.f.Pos]
	if !ok {
		v.report.Without++
		return nil
	}
	delete(v.made, item.f.Pos)
	v.report.Decisions++
	if len(r.failed) == 0 {
		if err := v.finish(ctx, r); err != nil {
			return err
		}
	}
	v.compare(r)
	r.item = nil
	v.spare = append(v.spare, r)
	return nil
}

// before is called with the entities that a frame may change.
func (v *verifier) before(ctx context.Context, p *prepared, pos journal.Pos) error {
	if v == nil {
		return nil
	}
	for i := range p.entities {
		if err := v.reach(ctx, p.entities[i].key, pos); err != nil {
			return err
		}
	}
	return nil
}

// reach is called before the frame at pos changes an entity: whoever waits for an earlier position reads the entity now. It
// stands at that position or at an earlier one, where only other feature sets' groups changed between.
func (v *verifier) reach(ctx context.Context, key EntityKey, pos journal.Pos) error {
	if v == nil || v.waiting[key] == nil {
		return nil
	}
	w := v.waiting[key]
	for len(w.pins) > 0 && w.pins[0].pos.Less(pos) {
		pin := w.pins[0]
		w.pins = w.pins[1:]
		if pos.Less(pin.r.item.f.Pos) {
			pin.r.overtaken = true
		}
		if err := v.read(ctx, pin.r, pin.entity, pin.pos); err != nil {
			return err
		}
	}
	if len(w.pins) == 0 {
		delete(v.waiting, key)
	}
	return nil
}

// begin makes an event ready to be read with, as it was when its vector was read.
func (v *verifier) begin(r *remaking) error {
	r.ready = true
	frame := r.item.event
	r.prepared.prepare(v.engine.plan(), &r.item.ev)
	r.vector.reset(r.set, frame.GetDecision().GetInputs().GetEvaluatedAtUs())
	r.vector.Inside = frame.GetAppliedAt() != nil
	r.taken = slices.Grow(r.taken[:0], len(r.set.Features))[:len(r.set.Features)]
	clear(r.taken)
	if !r.vector.Inside {
		return v.engine.replayCorrections(&r.prepared, r.item, journal.Pos{})
	}
	// What the decision did to the event was not done yet.
	r.prepared.void = Void(frame.GetVoid())
	if c := frame.GetCorrections(); len(c) > 0 {
		r.prepared.void = Void(c[0].GetBefore())
	}
	return nil
}

// read makes the features of one entity, which has all frames up to pos and none after it.
func (v *verifier) read(ctx context.Context, r *remaking, which int, pos journal.Pos) error {
	if !r.ready {
		if err := v.begin(r); err != nil {
			return err
		}
	}
	at := slices.IndexFunc(r.prepared.entities[:r.prepared.own], func(pe preparedEntity) bool { return pe.index == which })
	if at < 0 {
		return nil // no set reads this kind
	}
	pe := &r.prepared.entities[at]
	kb := slices.IndexFunc(r.binding.kinds, func(kb kindBinding) bool { return kb.kind == pe.kind })
	if kb < 0 {
		return nil // this one does not
	}
	var err error
	if pos.IsZero() { // nothing was known of the entity, or nothing any more
		pe.e = &entity{kind: pe.kind, entityState: pe.kind.newState()}
	} else if pe.e, err = v.engine.cache.Load().get(ctx, pe.key, pe.kind); err != nil {
		return err
	}
	if pos.Less(pe.e.pos) {
		r.missed = append(r.missed, fmt.Sprintf("its %s was read at frame %v and stands at %v: if its record was written more than %d frames later, read further ahead",
			pe.kind.kind.Name, pos, pe.e.pos, v.cfg.Ahead))
	}
	r.vector.readEntity(&r.prepared, pe, &r.binding.kinds[kb], r.set, positionOf(r.item.event.GetAppliedAt()))
	pe.e.unpin()
	pe.e = nil
	return nil
}

// finish makes what does not come from entities, and what is derived.
func (v *verifier) finish(ctx context.Context, r *remaking) error {
	in := r.item.event.GetDecision().GetInputs()
	for _, pin := range in.GetPins() {
		if positionOf(pin.GetPosition()).IsZero() {
			if err := v.read(ctx, r, int(pin.GetEntity()), journal.Pos{}); err != nil {
				return err
			}
		}
	}
	if !r.ready { // its event names no entity that the set reads
		if err := v.begin(r); err != nil {
			return err
		}
	}
	r.vector.readOwn(&r.item.ev, r.set)
	r.takeSources(in)
	v.takeWarming(r, in)
	r.vector.finish(r.set, &r.item.ev)
	r.prepared.unpin()
	return nil
}

// takeSources takes what lists gave from the record: they have changed since.
func (r *remaking) takeSources(in *pb.Inputs) {
	for _, i := range r.set.sourced {
		r.taken[i] = true
		value, status := math.NaN(), Status(in.GetStatuses()[i])
		for _, s := range in.GetSources() {
			if s.GetFeature() == r.set.Features[i].Name && s.Value != nil {
				value = s.GetValue()
			}
		}
		if status == Default {
			status = Missing
		}
		r.vector.Values[i], r.vector.Status[i] = value, status
	}
}

// takeWarming takes from the record what the journal cannot give: values of a group that did not see all of the journal
// when it was read, and those that reach back behind the journal's beginning.
func (v *verifier) takeWarming(r *remaking, in *pb.Inputs) {
	warms := r.item.f.Pos.Less(v.warmsUntil[r.set.Hash])
	for i := range r.set.Features {
		if r.set.Features[i].Group == "" {
			continue
		}
		status, remade := Status(in.GetStatuses()[i]), r.vector.Status[i]
		old := v.since != 0 && time.Duration(r.vector.At-v.since)*time.Microsecond < r.set.groups[r.set.plans[i].group].retention()
		if status == WarmingUp || remade == WarmingUp || warms && (hidesWarming(status) || hidesWarming(remade)) || old && hidesWarming(remade) {
			r.taken[i] = true
			r.vector.Values[i], r.vector.Status[i] = in.GetVector()[i], status
		}
	}
	// What is made of the values above comes out as it did. A z-score is taken whole, and what is made of it.
	for _, i := range r.set.derived {
		for _, n := range r.set.plans[i].needs {
			r.taken[i] = r.taken[i] || r.taken[n] && r.set.plans[n].derived()
		}
	}
}
