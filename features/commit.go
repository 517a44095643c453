package features

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// Ticket is an appended frame that is not known to be written yet.
type Ticket struct {
	// Pos is its position, good until a failed write.
	Pos journal.Pos

	epoch uint64
}

// Commit gives the event's frame a position, applies it and returns when it is written: from then on it survives the
// death of the process. The frame may carry a decision; event, content hash and applied_at are filled in here. An event
// that was applied before (Slot.Known) can get its decision, once.
//
// Errors: ErrNotWritten (nothing may be promised; the caller may ask again), ErrUnavailable, ErrClosed. An error of the
// context after the frame was appended leaves open whether it is written; Admit will know.
func (e *Engine) Commit(ctx context.Context, s *Slot, frame *pb.EventFrame) (journal.Pos, error) {
	t, err := e.Append(ctx, s, frame)
	if err != nil {
		return journal.Pos{}, err
	}
	if err := e.Written(ctx, t); err != nil {
		return journal.Pos{}, err
	}
	return t.Pos, nil
}

// Append is Commit without waiting. Nothing may be promised before Written.
func (e *Engine) Append(ctx context.Context, s *Slot, frame *pb.EventFrame) (Ticket, error) {
	if err := e.throttle(ctx); err != nil {
		return Ticket{}, err
	}
	if err := e.gate.enter(); err != nil {
		return Ticket{}, err
	}
	defer e.gate.leave()
	return e.append(ctx, s, frame)
}

// append runs inside the gate.
func (e *Engine) append(ctx context.Context, s *Slot, frame *pb.EventFrame) (Ticket, error) {
	p := s.prepared
	switch {
	case s.epoch != e.epoch.Load():
		return Ticket{}, fmt.Errorf("cannot append event %q: %w: its state was rebuilt", p.ev.ID, ErrUnavailable)
	case !s.known.Decision.IsZero():
		return Ticket{}, fmt.Errorf("BUG: cannot append event %q: it has a decision at %v", p.ev.ID, s.known.Decision)
	case !s.known.Event.IsZero() && frame.GetDecision() == nil:
		return Ticket{}, fmt.Errorf("BUG: cannot append event %q: it was applied at %v", p.ev.ID, s.known.Event)
	}
	if err := s.renew(ctx); err != nil {
		return Ticket{}, err
	}
	if err := p.pin(ctx, e.cache.Load()); err != nil {
		return Ticket{}, err
	}
	frame.Event, frame.ContentHash = p.ev.Msg, p.ev.Content[:]
	s.correctByDecision(frame)
	if !s.known.Event.IsZero() {
		frame.AppliedAt = &pb.Position{Partition: s.known.Event.Partition, Offset: s.known.Event.Offset}
	}
	pos, err := e.sealAndSequence(ctx, p, frame, s.known.Event)
	if err != nil {
		return Ticket{}, err
	}
	s.known = known(pos, s.known.Event, frame)
	return Ticket{pos, s.epoch}, nil
}

// known is what an appended frame makes known of its event.
func known(pos, applied journal.Pos, frame *pb.EventFrame) Known {
	k := Known{Event: pos}
	if !applied.IsZero() {
		k.Event = applied
	}
	if frame.GetDecision() != nil {
		k.Decision = pos
	}
	return k
}

// sealAndSequence makes the record outside any lock, and appends it. A subject that is erased meanwhile gets a new key,
// and the record is made again.
func (e *Engine) sealAndSequence(ctx context.Context, p *prepared, frame *pb.EventFrame, applied journal.Pos) (journal.Pos, error) {
	for {
		key, err := e.subjectKey(p)
		if err != nil {
			return journal.Pos{}, err
		}
		frame.Corrections = p.record()
		sealed, err := e.seal(p, frame, key)
		if errors.Is(err, journal.ErrErased) {
			p.forgetKey(key)
			continue
		}
		if err != nil {
			return journal.Pos{}, err
		}
		pos, err := e.sequence(ctx, &sealed,
			func() bool { return p.hasKey(key) && !e.loseErased(p) },
			func(pos journal.Pos) { e.apply(p, pos, key, frame, applied) })
		sealed.Release()
		if !errors.Is(err, errKeyChanged) {
			return pos, err
		}
	}
}

// errKeyChanged says that the record is sealed with a key that its subject no longer has.
var errKeyChanged = errors.New("the subject's key changed")

func (e *Engine) seal(p *prepared, frame *pb.EventFrame, key journal.KeyID) (journal.Sealed, error) {
	payload, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(p.payload[:0], frame)
	if err != nil {
		return journal.Sealed{}, fmt.Errorf("cannot encode event %q: %w", p.ev.ID, err)
	}
	p.payload = payload
	sealed, err := e.journal.Seal(journal.Frame{Kind: FrameEvent, KeyID: key, Time: p.ev.ReceivedAt, Payload: payload})
	if err != nil {
		return journal.Sealed{}, fmt.Errorf("cannot seal event %q: %w", p.ev.ID, err)
	}
	return sealed, nil
}

// sequence is the critical section: position, journal buffer, dedupe and memory change together. apply is called inside
// it, with the frame's position, if ready holds. Where the journal's buffer is full it waits for the disk, outside the
// section.
func (e *Engine) sequence(ctx context.Context, sealed *journal.Sealed, ready func() bool, apply func(journal.Pos)) (journal.Pos, error) {
	for {
		e.seq.Lock()
		if !ready() {
			e.seq.Unlock()
			return journal.Pos{}, errKeyChanged
		}
		pos, err := e.journal.Append(*sealed)
		if err == nil {
			apply(pos)
		}
		e.seq.Unlock()
		switch {
		case err == nil:
			e.wakeIfBehind()
			return pos, nil
		case errors.Is(err, journal.ErrFull):
			if waited := e.journal.Written(ctx, e.journal.Head()); waited != nil {
				return journal.Pos{}, e.notWritten(waited)
			}
		default:
			return journal.Pos{}, e.notWritten(err)
		}
	}
}

// apply changes memory for a frame that has its position, now or at a replay. The caller holds seq, and nothing in here
// waits: the entities are in memory and pinned.
func (e *Engine) apply(p *prepared, pos journal.Pos, key journal.KeyID, frame *pb.EventFrame, applied journal.Pos) {
	e.advance(pos)
	if kafka := frame.GetKafka(); kafka != nil {
		e.sequencer.offsets.set(kafka)
	}
	e.sequencer.received = max(e.sequencer.received, p.ev.ReceivedAt)
	e.note(p.ev, known(pos, applied, frame), Void(frame.GetVoid()))
	e.noteCorrections(p)
	if !applied.IsZero() {
		e.touchSubject(p, pos, key)
		e.correctFrom(p, 0, pos)
		return // an earlier frame applied the event
	}
	e.sequencer.newest = max(e.sequencer.newest, p.ev.OccurredAt)
	e.noteProducer(p.ev)
	c := e.cache.Load()
	late := false
	for i := range p.entities[:p.own] {
		entity := p.entities[i].e
		entity.mu.Lock()
		if entity.pos.Less(pos) && !p.entities[i].omitted { // at a replay, States may have the entity after this frame already
			p.correctEntity(c, i) // while its position still says what was inside before
			late = p.applyTo(c, &p.entities[i], pos, Void(frame.GetVoid())) || late
			if i == p.subject {
				entity.subject = key
			}
		}
		entity.mu.Unlock()
		e.list(entity)
	}
	e.correctFrom(p, p.own, pos)
	e.stats.applied.Add(1)
	e.countVoid(frame)
	e.stats.countAge(p.ev.ReceivedAt - p.ev.OccurredAt)
	if late {
		e.stats.late.Add(1)
	}
}

// touchSubject keeps the key of a frame that applies nothing where the subject has no state to keep it in: it was erased
// between the event and its decision. Nobody could erase the decision otherwise.
func (e *Engine) touchSubject(p *prepared, pos journal.Pos, key journal.KeyID) {
	if p.subject < 0 {
		return
	}
	entity := p.entities[p.subject].e
	entity.mu.Lock()
	fresh := entity.pos.IsZero()
	if fresh {
		entity.pos, entity.born, entity.subject = pos, pos, key
		entity.newest, entity.first = p.ev.OccurredAt, p.ev.OccurredAt
	}
	entity.mu.Unlock()
	if fresh {
		e.list(entity)
	}
}

// list puts an entity on the list of the next checkpoint. The caller holds seq and has the entity pinned.
func (e *Engine) list(entity *entity) {
	if !entity.listed.Load() {
		entity.listed.Store(true)
		e.cache.Load().dirty.Add(1)
		e.sequencer.dirty = append(e.sequencer.dirty, entity)
	}
}

// applyTo applies the event to one entity, whose lock the caller holds. It says whether the event came late to it: what
// was read at its time meanwhile did not know of it.
func (p *prepared) applyTo(c *cache, pe *preparedEntity, pos journal.Pos, void Void) bool {
	s := &pe.e.entityState
	at := p.ev.OccurredAt
	if s.pos.IsZero() {
		s.born = pos
	}
	if s.newest == 0 {
		s.newest, s.first = at, at // the first event; a frame without one may have kept a key here before
	}
	s.pos, s.newest, s.first = pos, max(s.newest, at), min(s.first, at)
	late := at < horizon(s.newest)
	for i := pe.from; i < pe.to; i++ {
		slot := p.groups[i].slot
		c.add(pe.e, slot, &p.groups[i].c, void)
		counts := &pe.kind.groups[slot].counts
		counts.events.Add(1)
		if late {
			counts.late.Add(1)
		}
	}
	return late
}

// advance moves the sequencer to a frame; the caller holds seq.
func (e *Engine) advance(pos journal.Pos) {
	e.sequencer.last = pos
	e.behind.Add(1)
}

// note enters the event into dedupe; the caller holds seq.
func (e *Engine) note(ev *Event, k Known, void Void) {
	d := e.dedupe.Load()
	hour := hourOf(ev.OccurredAt)
	d.put(ev.Key, Seen{Event: k.Event, Decision: k.Decision, Content: [16]byte(ev.Content[:16]), Hour: hour, Void: void})
	if !ev.Transaction.IsZero() {
		d.put(ev.Transaction, Seen{Event: k.Event, Content: ev.Key, Hour: hour})
	}
}

// Written waits until an appended frame is written. Errors as Commit's.
func (e *Engine) Written(ctx context.Context, t Ticket) error { return e.written(ctx, t) }

func (e *Engine) written(ctx context.Context, t Ticket) error {
	if err := e.gate.enter(); err != nil {
		return fmt.Errorf("frame %v: %w: %w", t.Pos, ErrNotWritten, err)
	}
	defer e.gate.leave()
	return e.writtenInside(ctx, t)
}

// writtenInside is written inside the gate, which keeps the journal from giving positions away a second time.
func (e *Engine) writtenInside(ctx context.Context, t Ticket) error {
	if t.epoch != e.epoch.Load() {
		return fmt.Errorf("frame %v: %w: the journal failed since", t.Pos, ErrNotWritten)
	}
	wait := e.journal.Written
	if e.cfg.Durable {
		wait = e.journal.Durable
	}
	if err := wait(ctx, t.Pos); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("cannot wait for frame %v: %w", t.Pos, ctx.Err())
		}
		return e.notWritten(err)
	}
	return nil
}

// notWritten names an error of the journal, and starts a recovery where it needs one.
func (e *Engine) notWritten(err error) error {
	if errors.Is(err, journal.ErrFailed) {
		e.startRecovery(err)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("cannot append: %w", err)
	}
	return fmt.Errorf("%w: %w", ErrNotWritten, err)
}

// subjectKey gives the key that seals the event's frame, making one at the first sight of its subject. It may write the
// key's file, so it comes before the critical section.
func (e *Engine) subjectKey(p *prepared) (journal.KeyID, error) {
	if p.subject < 0 {
		return 0, nil // no tenant: only tests have such events
	}
	entity := p.entities[p.subject].e
	entity.mu.Lock()
	key := entity.subject
	entity.mu.Unlock()
	if key != 0 {
		return key, nil
	}
	// Two events of a new subject must not make two keys: one would be left over, and the erasure would miss it.
	e.keyMaking.Lock()
	defer e.keyMaking.Unlock()
	entity.mu.Lock()
	key = entity.subject
	entity.mu.Unlock()
	if key != 0 {
		return key, nil
	}
	key, err := e.journal.Keys().New()
	if err != nil {
		return 0, fmt.Errorf("cannot make the key of %s: %w", entity.kind.kind.Name, err)
	}
	entity.mu.Lock()
	entity.subject = key
	entity.mu.Unlock()
	return key, nil
}

// hasKey says whether a key is still the subject's. It is asked in the critical section: an erasure takes the key away
// there, so no frame after an erasure is sealed with what it drops.
func (p *prepared) hasKey(key journal.KeyID) bool {
	if p.subject < 0 {
		return true
	}
	entity := p.entities[p.subject].e
	entity.mu.Lock()
	defer entity.mu.Unlock()
	return entity.subject == key
}

// forgetKey makes the next subjectKey make a new key.
func (p *prepared) forgetKey(key journal.KeyID) {
	entity := p.entities[p.subject].e
	entity.mu.Lock()
	if entity.subject == key {
		entity.subject = 0
	}
	entity.mu.Unlock()
}

func parseEventKey(s string) (EventKey, bool) {
	var key EventKey
	if len(s) != hex.EncodedLen(len(key)) {
		return key, false
	}
	_, err := hex.Decode(key[:], []byte(s))
	return key, err == nil
}
