package features

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// kafkaOffsets are the last offsets of every partition read.
type kafkaOffsets struct {
	list  []*pb.KafkaOffset
	index map[kafkaPartition]int
}

// kafkaPartition is a partition of a topic by its id: a topic made anew under its name is another one.
type kafkaPartition struct {
	topic     [16]byte
	partition int32
}

// set notes an offset. The last frame counts, not the highest offset: who had to go back goes back.
func (k *kafkaOffsets) set(at *pb.KafkaOffset) {
	p := kafkaPartition{partition: at.GetPartition()}
	copy(p.topic[:], at.GetTopicId())
	if i, ok := k.index[p]; ok {
		k.list[i].Offset, k.list[i].Topic = at.GetOffset(), at.GetTopic()
		return
	}
	if k.index == nil {
		k.index = map[kafkaPartition]int{}
	}
	k.index[p] = len(k.list)
	k.list = append(k.list, proto.CloneOf(at))
}

// has says whether anything is noted of an offset's partition.
func (k *kafkaOffsets) has(at *pb.KafkaOffset) bool {
	p := kafkaPartition{partition: at.GetPartition()}
	copy(p.topic[:], at.GetTopicId())
	_, ok := k.index[p]
	return ok
}

// copies gives offsets that nobody changes.
func (k *kafkaOffsets) copies() []*pb.KafkaOffset {
	list := make([]*pb.KafkaOffset, 0, len(k.list))
	for _, at := range k.list {
		list = append(list, proto.CloneOf(at))
	}
	return list
}

// Offsets are the last Kafka offsets that frames carry, one per topic id and partition: of each, the last record that
// needs not be read again. Frames not written yet are among them.
func (e *Engine) Offsets() []*pb.KafkaOffset {
	e.seq.Lock()
	defer e.seq.Unlock()
	return e.sequencer.offsets.copies()
}

// Advance notes Kafka offsets that no event carries (duplicates, dead letters) and returns when that is written. The
// last word counts: noting a lower offset goes back to it. Errors as Commit's.
func (e *Engine) Advance(ctx context.Context, offsets []*pb.KafkaOffset) error {
	if len(offsets) == 0 {
		return nil
	}
	if err := e.throttle(ctx); err != nil {
		return err
	}
	if err := e.gate.enter(); err != nil {
		return err
	}
	defer e.gate.leave()
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(&pb.OffsetAdvance{Offsets: offsets})
	if err != nil {
		return fmt.Errorf("cannot encode offsets: %w", err)
	}
	e.seq.Lock()
	received := e.sequencer.received
	e.seq.Unlock()
	sealed, err := e.journal.Seal(journal.Frame{Kind: FrameOffsets, Time: received, Payload: payload})
	if err != nil {
		return fmt.Errorf("cannot seal offsets: %w", err)
	}
	defer sealed.Release()
	epoch := e.epoch.Load()
	pos, err := e.sequence(ctx, &sealed, always, func(pos journal.Pos) { e.applyOffsets(pos, offsets) })
	if err != nil {
		return err
	}
	return e.writtenInside(ctx, Ticket{pos, epoch})
}

// always is a sequence's ready where nothing can change before.
func always() bool { return true }

// applyOffsets changes memory for an offset frame; the caller holds seq.
func (e *Engine) applyOffsets(pos journal.Pos, offsets []*pb.KafkaOffset) {
	e.advance(pos)
	for _, at := range offsets {
		e.sequencer.offsets.set(at)
	}
}
