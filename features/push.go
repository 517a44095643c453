package features

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"pitboss/features/tiles"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// pushSource is how a feature set names values that are pushed.
const pushSource = "push"

// Push is values of one entity that were computed elsewhere: by a batch, by SQL.
type Push struct {
	// Tenant is whose entity it is, Entity the entity by its alias.
	Tenant string
	Entity EntityRef
	// AsOf is what the values are computed for, microseconds: no vector of an earlier time sees them.
	AsOf int64
	// Values are by key, each key once.
	Values []PushedValue
}

// PushedValue is one value; NaN takes the one away that is there.
type PushedValue struct {
	Key    string
	Number float64
}

// PushResult is the fate of one push.
type PushResult struct {
	// Outdated counts values that changed nothing: a newer one was there.
	Outdated int
	// Err is ErrUnknownPush: no feature set has a value by this key, or one of another type.
	Err error
}

// ErrUnknownPush says that no feature set names the pushed value so.
var ErrUnknownPush = errors.New("no feature set has this pushed value")

// pushed is a value as the state of its entity has it.
type pushed struct {
	key    string
	asOf   int64
	number float64
}

// CheckPush says whether the values are ones that the engine's feature sets name, of their types.
func (e *Engine) CheckPush(kind Kind, values []PushedValue) error {
	plan, ok := e.plan().kinds[kind.ID]
	for _, v := range values {
		var typ FieldType
		if ok {
			typ = plan.pushes[v.Key].typ
		}
		switch {
		case typ == 0:
			return fmt.Errorf("value %q of a %s: %w", v.Key, kind.Name, ErrUnknownPush)
		case math.IsNaN(v.Number):
		case math.IsInf(v.Number, 0):
			return fmt.Errorf("value %q of a %s: %w: it is infinite", v.Key, kind.Name, ErrUnknownPush)
		case typ == FieldBool && v.Number != 0 && v.Number != 1:
			return fmt.Errorf("value %q of a %s: %w: it is a flag", v.Key, kind.Name, ErrUnknownPush)
		case typ == FieldInt && v.Number != math.Trunc(v.Number):
			return fmt.Errorf("value %q of a %s: %w: it is an integer", v.Key, kind.Name, ErrUnknownPush)
		}
	}
	return nil
}

// Push keeps values of entities and returns when they are written. A frame holds the values of one entity; of one key, the
// value with the newer AsOf stays, and of two for the same time the later one. An error means that the batch is to be
// offered again, which does no harm. Errors as Ingest's.
func (e *Engine) Push(ctx context.Context, items []Push) ([]PushResult, error) {
	results := make([]PushResult, len(items))
	var last Ticket
	for i := range items {
		kind, ok := e.cfg.Kinds.Get(items[i].Entity.Kind)
		if !ok {
			results[i].Err = fmt.Errorf("%q: %w", items[i].Entity.Kind, ErrUnknownPush)
			continue
		}
		if results[i].Err = e.CheckPush(kind, items[i].Values); results[i].Err != nil {
			continue
		}
		t, err := e.push(ctx, &items[i], &results[i])
		if err != nil {
			return nil, fmt.Errorf("cannot keep pushed values: %w", err)
		}
		if !last.Pos.IsZero() && t.epoch != last.epoch {
			return nil, fmt.Errorf("cannot keep pushed values: %w: the journal failed within the batch", ErrNotWritten)
		}
		last = t
	}
	if last.Pos.IsZero() {
		return results, nil
	}
	if err := e.Written(ctx, last); err != nil {
		return nil, fmt.Errorf("cannot keep pushed values: %w", err)
	}
	return results, nil
}

// push appends one frame.
func (e *Engine) push(ctx context.Context, item *Push, result *PushResult) (Ticket, error) {
	if err := e.throttle(ctx); err != nil {
		return Ticket{}, err
	}
	if err := e.gate.enter(); err != nil {
		return Ticket{}, err
	}
	defer e.gate.leave()
	epoch := e.epoch.Load()
	frame := &pb.PushFrame{
		Tenant: item.Tenant, Entity: &pb.Identifier{Kind: item.Entity.Kind, Value: item.Entity.Alias, Form: pb.Form_FORM_ALIAS}, AsOfUs: item.AsOf,
	}
	for _, v := range item.Values {
		kept := &pb.PushedValue{Key: v.Key}
		if number := v.Number; !math.IsNaN(number) {
			kept.Number = &number
		}
		frame.Values = append(frame.Values, kept)
	}
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(frame)
	if err != nil {
		return Ticket{}, fmt.Errorf("cannot encode a push: %w", err)
	}
	p, err := e.preparePush(ctx, frame)
	defer p.unpin()
	if err != nil {
		return Ticket{}, err
	}
	e.seq.Lock()
	received := e.sequencer.received
	e.seq.Unlock()
	// A subject that is erased meanwhile gets a new key, as with an event.
	for {
		key, err := e.subjectKey(p)
		if err != nil {
			return Ticket{}, err
		}
		sealed, err := e.journal.Seal(journal.Frame{Kind: FramePush, KeyID: key, Time: received, Payload: payload})
		if errors.Is(err, journal.ErrErased) {
			p.forgetKey(key)
			continue
		}
		if err != nil {
			return Ticket{}, fmt.Errorf("cannot seal a push: %w", err)
		}
		pos, err := e.sequence(ctx, &sealed, func() bool { return p.hasKey(key) }, func(pos journal.Pos) { result.Outdated = e.applyPush(p, pos, key, frame) })
		sealed.Release()
		if !errors.Is(err, errKeyChanged) {
			return Ticket{pos, epoch}, err
		}
	}
}

// preparePush pins the entity and whoever's key seals the frame: the entity itself, or its tenant. Unpin must follow.
func (e *Engine) preparePush(ctx context.Context, frame *pb.PushFrame) (*prepared, error) {
	p := &prepared{}
	kind, ok := e.cfg.Kinds.Get(frame.GetEntity().GetKind())
	if !ok {
		return p, fmt.Errorf("cannot keep pushed values: %q is not an entity kind", frame.GetEntity().GetKind())
	}
	tenant, _ := e.cfg.Kinds.Get("tenant")
	refs := []EntityRef{{MakeEntityKey(frame.GetTenant(), kind, frame.GetEntity().GetValue()), kind.Name, frame.GetEntity().GetValue()}}
	if kind.ID != tenant.ID {
		refs = append(refs, EntityRef{MakeEntityKey(frame.GetTenant(), tenant, frame.GetTenant()), tenant.Name, frame.GetTenant()})
	}
	p.prepare(e.plan(), &Event{Entities: refs})
	err := p.pin(ctx, e.cache.Load())
	return p, err
}

// applyPush changes memory for a push that has its position, now or at a replay, and says how many values were outdated. The
// caller holds seq.
func (e *Engine) applyPush(p *prepared, pos journal.Pos, key journal.KeyID, frame *pb.PushFrame) (outdated int) {
	e.advance(pos)
	if p.subject >= 0 {
		p.keepTenantKey(e, pos, key)
	}
	for i := range p.entities {
		pe := &p.entities[i]
		if pe.index != 0 {
			continue // the tenant, for its key
		}
		entity := pe.e
		entity.mu.Lock()
		// keepTenantKey may have put this very frame's position there.
		if !pos.Less(entity.pos) && (entity.pos.Less(pos) || entity.born == pos) {
			if entity.pos.IsZero() {
				entity.born = pos
			}
			entity.pos = pos
			outdated = entity.merge(entity.kind, frame)
			e.cache.Load().measure(entity)
		}
		entity.mu.Unlock()
		e.list(entity)
	}
	e.stats.pushes.Add(1)
	return outdated
}

// merge takes over the values that are not older than what is there.
func (s *entityState) merge(kind *kindPlan, frame *pb.PushFrame) (outdated int) {
	for _, v := range frame.GetValues() {
		if kind.pushes[v.GetKey()].typ == 0 {
			continue // at a replay: no feature set names it any more
		}
		i, found := slices.BinarySearchFunc(s.pushes, v.GetKey(), func(p pushed, key string) int { return strings.Compare(p.key, key) })
		if found && s.pushes[i].asOf > frame.GetAsOfUs() {
			outdated++
			continue
		}
		value := pushed{v.GetKey(), frame.GetAsOfUs(), math.NaN()}
		if v.Number != nil {
			value.number = v.GetNumber()
		}
		if found {
			s.pushes[i] = value
		} else {
			s.pushes = slices.Insert(s.pushes, i, value)
		}
	}
	return outdated
}

func (e *Engine) replayPush(ctx context.Context, f journal.Frame) error {
	frame := &pb.PushFrame{}
	if err := proto.Unmarshal(f.Payload, frame); err != nil {
		return fmt.Errorf("cannot decode a push: %w", err)
	}
	p, err := e.preparePush(ctx, frame)
	defer p.unpin()
	if err != nil {
		return err
	}
	if err := e.verifier.before(ctx, p, f.Pos); err != nil {
		return err
	}
	e.seq.Lock()
	defer e.seq.Unlock()
	e.applyPush(p, f.Pos, f.KeyID, frame)
	return nil
}

// staleFor is how long a value that has outlived its time to live is still known to have been there: it is stale, and then
// missing, as if nobody had ever pushed it. So it may leave the state.
const staleFor = lateBound

// gone says whether no reading can tell a value from none any more: readings may be late.
func (p *pushed) gone(ttl, now int64) bool {
	return now-p.asOf > ttl+(staleFor+lateBound+tiles.Grace+sweepSlack).Microseconds()
}

// forgetPushes takes out what no reading can tell from nothing.
func (k *kindPlan) forgetPushes(s *entityState, now int64) {
	s.pushes = slices.DeleteFunc(s.pushes, func(p pushed) bool { return p.gone(k.pushes[p.key].ttl, now) })
}

// takePush makes a feature of a pushed value: one of a later time than the vector's is not there yet, one that has
// outlived its time to live is stale and has no number, and long after that there is none.
func (v *Vector) takePush(i int, f *feature, s *entityState) {
	at, found := slices.BinarySearchFunc(s.pushes, f.key, func(p pushed, key string) int { return strings.Compare(p.key, key) })
	if !found || s.pushes[at].asOf > v.At || math.IsNaN(s.pushes[at].number) {
		return
	}
	p := &s.pushes[at]
	if v.At-p.asOf > f.ttl+staleFor.Microseconds() {
		return
	}
	value, status := p.number, Present
	if v.At-p.asOf > f.ttl {
		value, status = math.NaN(), Stale
	}
	v.Values[i], v.Status[i] = value, status
	if v.sampled {
		v.newest[i] = p.asOf
	}
	v.Sourced = append(v.Sourced, SourcedValue{
		Source: pushSource, Version: strconv.FormatInt(p.asOf, 10), Feature: i, Value: value, Status: status, AsOf: p.asOf,
	})
}

// sectionPushes begins the section of pushed values in an entity's blob.
const sectionPushes = 1

// appendPushes encodes pushed values: the section's number, how many, then each: key, as_of varint, the number's 8 bytes.
// Without any there is nothing.
func appendPushes(dst []byte, list []pushed) []byte {
	if len(list) == 0 {
		return dst
	}
	dst = binary.AppendUvarint(append(dst, sectionPushes), uint64(len(list)))
	for _, p := range list {
		dst = append(binary.AppendUvarint(dst, uint64(len(p.key))), p.key...)
		dst = binary.AppendVarint(dst, p.asOf)
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(p.number))
	}
	return dst
}

// decodePushes reads what appendPushes wrote. Values that no feature set names any more are left out.
func (k *kindPlan) decodePushes(r *blobReader, s *entityState) {
	if r.err != nil || len(r.rest) == 0 {
		return
	}
	if section := r.take(1)[0]; section != sectionPushes {
		r.fail("an unknown section")
		return
	}
	last, n := "", r.uvarint()
	if n == 0 {
		r.fail("no pushed values where there must be some")
	}
	for ; n > 0 && r.err == nil; n-- {
		p := pushed{key: string(r.bytes()), asOf: r.varint()}
		p.number = math.Float64frombits(binary.LittleEndian.Uint64(r.take(8)))
		if r.err == nil && p.key <= last {
			r.fail("pushed values out of order")
		}
		last = p.key
		if r.err == nil && k.pushes[p.key].typ != 0 {
			s.pushes = append(s.pushes, p)
		}
	}
}
