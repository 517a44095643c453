package features

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// Erase forgets a subject: the windows of its entity (of a player also those as a counterparty), and the key that seals its events and decisions, which nobody can
// read any more when Erase has returned. What its events added to other entities (an address, a game) stays: it is
// counts and sums. subject.value is the alias. Erasing what is not known does nothing but leave a note of it.
//
// The erasure is a frame, then a checkpoint beyond everything the key seals, then the key is dropped; whatever dies
// between is finished at the next start. Errors as Commit's, and those of Checkpoint: then ask again.
func (e *Engine) Erase(ctx context.Context, tenant string, subject *pb.Identifier) error {
	kind, ok := e.cfg.Kinds.Get(subject.GetKind())
	if !ok {
		return fmt.Errorf("cannot erase: %q is not an entity kind", subject.GetKind())
	}
	if kind.Name == "tenant" {
		return fmt.Errorf("cannot erase a whole tenant: remove its directories")
	}
	if err := e.eraseInMemory(ctx, tenant, kind, subject); err != nil {
		return fmt.Errorf("cannot erase a %s: %w", kind.Name, err)
	}
	if kind.Name == "player" { // what others gave to a player lies under the same alias, of another kind
		other := e.cfg.Kinds.byName["counterparty"]
		side := &pb.Identifier{Kind: other.Name, Value: subject.GetValue(), Form: subject.GetForm()}
		if err := e.eraseInMemory(ctx, tenant, other, side); err != nil {
			return fmt.Errorf("cannot erase a player as a %s: %w", other.Name, err)
		}
	}
	if err := e.Checkpoint(ctx); err != nil {
		return fmt.Errorf("cannot finish the erasure of a %s: %w", kind.Name, err)
	}
	return nil
}

func (e *Engine) eraseInMemory(ctx context.Context, tenant string, kind Kind, subject *pb.Identifier) error {
	if err := e.gate.enter(); err != nil {
		return err
	}
	defer e.gate.leave()
	epoch := e.epoch.Load()
	p := &prepared{}
	tenantKind, _ := e.cfg.Kinds.Get("tenant")
	p.prepare(e.plan(), &Event{Entities: []EntityRef{{MakeEntityKey(tenant, tenantKind, tenant), tenantKind.Name, tenant}}})
	defer p.unpin()
	if err := p.pin(ctx, e.cache.Load()); err != nil {
		return err
	}
	// The frame names an alias, so it is sealed too: with the tenant's key, which outlives the subject's.
	seal, err := e.subjectKey(p)
	if err != nil {
		return err
	}
	var target *entity // stays nil where the kind has no state
	if plan, ok := e.plan().kinds[kind.ID]; ok {
		if target, err = e.cache.Load().get(ctx, MakeEntityKey(tenant, kind, subject.GetValue()), plan); err != nil {
			return err
		}
		defer target.unpin()
	}
	frame := &pb.ErasureFrame{Tenant: tenant, Subject: subject, KeyId: uint64(target.keyOf())}
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(frame)
	if err != nil {
		return fmt.Errorf("cannot encode an erasure: %w", err)
	}
	e.seq.Lock()
	received := e.sequencer.received
	e.seq.Unlock()
	sealed, err := e.journal.Seal(journal.Frame{Kind: FrameErasure, KeyID: seal, Time: received, Payload: payload})
	if err != nil {
		return fmt.Errorf("cannot seal an erasure: %w", err)
	}
	defer sealed.Release()
	// A key that comes to be between is not in the frame. It seals what came after the wish to be erased, and another
	// erasure finds it.
	pos, err := e.sequence(ctx, &sealed, always, func(pos journal.Pos) {
		p.keepTenantKey(e, pos, seal)
		e.noteErasure(MakeEntityKey(tenant, kind, subject.GetValue()), pos, received)
		e.applyErasure(pos, target, journal.KeyID(frame.GetKeyId()))
	})
	if err != nil {
		return err
	}
	return e.writtenInside(ctx, Ticket{pos, epoch})
}

// keepTenantKey keeps a tenant's key that this erasure's frame is the first to be sealed with. The caller holds seq.
func (p *prepared) keepTenantKey(e *Engine, pos journal.Pos, key journal.KeyID) {
	if p.subject < 0 {
		return // a follower keeps none
	}
	entity := p.entities[p.subject].e
	entity.mu.Lock()
	fresh := entity.pos.IsZero()
	if fresh {
		entity.pos, entity.born, entity.subject = pos, pos, key
	}
	entity.mu.Unlock()
	if fresh {
		e.list(entity)
	}
}

// keyOf gives the entity's key, 0 without.
func (e *entity) keyOf() journal.KeyID {
	if e == nil {
		return 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.subject
}

// noteErasure keeps a mark of an erasure beyond its frame, which retention may remove: without it a backfill from elsewhere
// (past.go) would bring the entity back. The mark is a hash of the entity's key, under which nothing else is, and the time.
// The caller holds seq.
func (e *Engine) noteErasure(key EntityKey, pos journal.Pos, at int64) {
	seen := Seen{Event: pos, Hour: ForEver}
	binary.LittleEndian.PutUint64(seen.Content[:], uint64(at))
	e.dedupe.Load().put(erasureKey(key), seen)
}

func erasureKey(key EntityKey) EventKey {
	return hashKey("erasure", string(key.append(nil)))
}

// erased gives the last erasure of an entity: its frame, and the newest received_at of all frames before it. pos is zero
// where there was none.
func (e *Engine) erased(key EntityKey) (pos journal.Pos, at int64, err error) {
	seen, ok, err := e.dedupe.Load().find(erasureKey(key))
	if err != nil || !ok {
		return pos, 0, err
	}
	return seen.Event, int64(binary.LittleEndian.Uint64(seen.Content[:])), nil
}

// applyErasure empties the entity and has the key dropped by the next checkpoint. The caller holds seq.
func (e *Engine) applyErasure(pos journal.Pos, target *entity, key journal.KeyID) {
	e.advance(pos)
	if target != nil {
		target.mu.Lock()
		if target.pos.Less(pos) { // at a replay, States may have what came after already
			target.entityState = target.kind.newState()
			e.cache.Load().measure(target)
		}
		target.mu.Unlock()
		e.list(target)
	}
	if key != 0 && !e.follower && !slices.Contains(e.sequencer.drops, key) {
		e.sequencer.drops = append(e.sequencer.drops, key)
	}
	e.stats.erasures.Add(1)
}

func (e *Engine) replayErasure(ctx context.Context, f journal.Frame) error {
	var frame pb.ErasureFrame
	if err := proto.Unmarshal(f.Payload, &frame); err != nil {
		return fmt.Errorf("cannot decode an erasure: %w", err)
	}
	var target *entity
	kind, _ := e.cfg.Kinds.Get(frame.GetSubject().GetKind())
	if plan, ok := e.plan().kinds[kind.ID]; ok {
		var err error
		if target, err = e.cache.Load().get(ctx, MakeEntityKey(frame.GetTenant(), kind, frame.GetSubject().GetValue()), plan); err != nil {
			return err
		}
		defer target.unpin()
		if err := e.verifier.reach(ctx, target.key, f.Pos); err != nil {
			return err
		}
	}
	p := &prepared{}
	tenantKind, _ := e.cfg.Kinds.Get("tenant")
	p.prepare(e.plan(), &Event{Entities: []EntityRef{{MakeEntityKey(frame.GetTenant(), tenantKind, frame.GetTenant()), tenantKind.Name, frame.GetTenant()}}})
	defer p.unpin()
	if err := p.pin(ctx, e.cache.Load()); err != nil {
		return err
	}
	e.seq.Lock()
	defer e.seq.Unlock()
	p.keepTenantKey(e, f.Pos, f.KeyID)
	e.noteErasure(MakeEntityKey(frame.GetTenant(), kind, frame.GetSubject().GetValue()), f.Pos, f.Time)
	e.applyErasure(f.Pos, target, journal.KeyID(frame.GetKeyId()))
	return nil
}

// dropKeys drops what a written checkpoint allows to.
func (e *Engine) dropKeys(keys []journal.KeyID) error {
	for _, key := range keys {
		if err := e.journal.Keys().Drop(key); err != nil {
			return fmt.Errorf("cannot drop the key of an erased subject: %w", err)
		}
		e.seq.Lock()
		e.sequencer.drops = slices.DeleteFunc(e.sequencer.drops, func(k journal.KeyID) bool { return k == key })
		e.seq.Unlock()
	}
	return nil
}
