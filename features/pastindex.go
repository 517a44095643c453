package features

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"google.golang.org/protobuf/proto"

	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// What the journal holds must not be taken from elsewhere a second time, and what its events take back of an earlier event
// must be known before that one is applied. So before a Past is read, both are noted in the gatherer's dedupe index: an event
// of the journal as one that has come, a correction as one that waits. The rest is what an engine does anyway.

// heldPartition marks entries of what the journal holds. No journal has that partition.
const heldPartition = math.MaxUint32

func isHeld(p journal.Pos) bool { return p.Partition == heldPartition }

// pastIndexer notes what the journal says.
type pastIndexer struct {
	g     *gatherer
	batch map[EventKey]Seen
	// starts are the first offsets that the journal has of each partition.
	starts kafkaOffsets
}

// noteJournal reads the journal once: of its events those that the past may have too, and all its corrections.
func (g *gatherer) noteJournal(ctx context.Context) (err error) {
	cursor, err := g.of.journal.Read(journal.Pos{})
	if err != nil {
		return fmt.Errorf("cannot read the journal: %w", err)
	}
	defer func() { err = errors.Join(err, cursor.Close()) }()
	x := &pastIndexer{g: g, batch: map[EventKey]Seen{}}
	for {
		item := &replayItem{}
		if item.f, err = cursor.Next(ctx); errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("cannot read the journal: %w", err)
		}
		if err := x.note(ctx, item); err != nil {
			return fmt.Errorf("frame %v: %w", item.f.Pos, err)
		}
	}
	if g.first.IsZero() { // retention took all of it
		g.of.seq.Lock()
		g.first, g.limits.Before = g.of.sequencer.last.Next(), g.of.sequencer.received+sweepSlack.Microseconds()
		g.of.seq.Unlock()
	}
	g.limits.Kafka = x.kafka()
	return x.flush(ctx)
}

func (x *pastIndexer) note(ctx context.Context, item *replayItem) error {
	g := x.g
	if g.first.IsZero() {
		g.first = item.f.Pos
		g.limits.Before = item.f.Time + 1
		if g.first.Offset > 1 { // frames are not in the order of their times: those before the first may be younger
			g.limits.Before += sweepSlack.Microseconds()
		}
	}
	if item.f.Kind == FrameOffsets {
		var advance pb.OffsetAdvance
		if err := proto.Unmarshal(item.f.Payload, &advance); err != nil {
			return fmt.Errorf("cannot decode offsets: %w", err)
		}
		for _, at := range advance.GetOffsets() {
			x.begins(at, at.GetOffset()+1)
		}
		return nil
	}
	if err := item.decode(g.of.cfg.Kinds); err != nil || item.event == nil {
		return err
	}
	if at := item.event.GetKafka(); at != nil {
		x.begins(at, at.GetOffset())
	}
	return x.noteEvent(ctx, item)
}

func (x *pastIndexer) noteEvent(ctx context.Context, item *replayItem) error {
	ev, applied := &item.ev, positionOf(item.event.GetAppliedAt())
	if applied.IsZero() && ev.OccurredAt < x.g.limits.Before+futureBound.Microseconds() {
		if err := x.hold(ctx, ev); err != nil {
			return err
		}
	}
	for _, r := range item.event.GetCorrections() {
		original := positionOf(r.GetOriginal())
		if r.GetLostAtUs() != 0 || !original.IsZero() && !original.Less(x.g.first) {
			continue // it was never taken back, or the journal says of what
		}
		if err := x.wait(ctx, correctedKey(ev, r, applied), Void(r.GetCause()), hourOf(ev.ReceivedAt)); err != nil {
			return err
		}
	}
	return nil
}

// futureBound is how much later than it was received an event may have happened, at the edge.
const futureBound = 5 * time.Second

// correctedKey is what an earlier event is looked for by that a correction takes back: itself, or its transaction.
func correctedKey(ev *Event, r *pb.Correction, applied journal.Pos) EventKey {
	switch {
	case !applied.IsZero():
		return ev.Key // a decision blocks its own event, which came before
	case Void(r.GetCause()) == TakenBack:
		return ev.TakesBack
	}
	return ev.Replaces
}

// hold notes an event that the journal holds. It says that everything is taken back of it: that is for the journal to say.
func (x *pastIndexer) hold(ctx context.Context, ev *Event) error {
	seen := Seen{
		Event: journal.Pos{Partition: heldPartition, Offset: 1}, Content: [16]byte(ev.Content[:16]), Hour: hourOf(ev.OccurredAt),
		Void: TakenBack | Replaced,
	}
	if err := x.put(ctx, ev.Key, seen); err != nil || ev.Transaction.IsZero() {
		return err
	}
	seen.Content = ev.Key
	return x.put(ctx, ev.Transaction, seen)
}

// wait notes a correction for an event that the journal does not hold.
func (x *pastIndexer) wait(ctx context.Context, key EventKey, cause Void, hour uint32) error {
	seen, ok := x.batch[key]
	if !ok {
		var err error
		if seen, ok, err = x.g.index.Seen(key); err != nil {
			return fmt.Errorf("cannot read the dedupe index: %w", err)
		}
	}
	switch {
	case ok && !seen.Event.IsZero():
		return nil
	case !ok || hour < seen.Hour:
		seen.Hour = hour
	}
	seen.Void |= cause
	return x.put(ctx, key, seen)
}

func (x *pastIndexer) put(ctx context.Context, key EventKey, seen Seen) error {
	const most = 4096
	x.batch[key] = seen
	if len(x.batch) < most {
		return nil
	}
	return x.flush(ctx)
}

func (x *pastIndexer) flush(ctx context.Context) error {
	batch := make([]Noted, 0, len(x.batch))
	for key, seen := range x.batch {
		batch = append(batch, Noted{key, seen})
	}
	clear(x.batch)
	if len(batch) == 0 {
		return nil
	}
	if err := x.g.index.Note(ctx, batch); err != nil {
		return fmt.Errorf("cannot write the dedupe index: %w", err)
	}
	return nil
}

// begins notes where the journal begins to have a partition's records.
func (x *pastIndexer) begins(at *pb.KafkaOffset, offset int64) {
	if !x.starts.has(at) {
		x.starts.set(&pb.KafkaOffset{TopicId: at.GetTopicId(), Topic: at.GetTopic(), Partition: at.GetPartition(), Offset: offset})
	}
}

// kafka gives where the journal begins, of every partition that was ever read: of those of which it has no record any more,
// after the last that was read.
func (x *pastIndexer) kafka() []*pb.KafkaOffset {
	for _, at := range x.g.of.Offsets() {
		x.begins(at, at.GetOffset()+1)
	}
	return x.starts.copies()
}
