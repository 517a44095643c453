package feed

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"pitboss/features"
	"pitboss/features/edge"
	"pitboss/features/wire"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// batch is what one poll brought. Its items keep the order of their partitions.
type batch struct {
	items []item
	// at is the offset of the last record of every partition in the poll.
	at map[partition]*pb.KafkaOffset
	// owed are the dead letters that are not safe yet.
	owed []*item
}

// item is one record on its way.
type item struct {
	record *kgo.Record
	at     *pb.KafkaOffset
	event  features.Event
	// schema is what its value was written by, where it names one.
	schema *wire.Schema
	// refusal says why the record is a dead letter; nil where it is none.
	refusal *refusal
	fate    fate
}

// fate is what became of an item. It holds over attempts: what a first attempt applied, a second finds to be a duplicate.
type fate uint8

const (
	undecided fate = iota
	applied
	duplicate
	dead
)

// apply brings one poll into the engine: decode and accept every record, make the dead letters safe, apply the events,
// and remember the offsets that no frame carries.
func (s *session) apply(ctx context.Context, fetches kgo.Fetches) error {
	b, err := s.sort(fetches)
	if err != nil {
		return err
	}
	s.lookUp(ctx, b)
	if len(b.items) == 0 {
		return nil
	}
	s.accept(b.items)
	for i := range b.items {
		if it := &b.items[i]; it.refusal != nil {
			b.die(it)
		}
	}
	return s.complete(ctx, b)
}

// complete brings a batch to its end, even when ctx ends, as far as Config.Timeout allows: its records would be read
// again, which is harmless, but a stop should leave nothing undone that a moment more can do.
func (s *session) complete(ctx context.Context, b *batch) error {
	inner, cancel := lingering(ctx, s.cfg.Timeout)
	defer cancel()
	if err := s.finish(ctx, inner, b); err != nil {
		return err
	}
	s.count(b)
	for p, at := range b.at {
		s.lags.next(p, at.GetOffset()+1)
	}
	s.noteLag()
	return nil
}

// sort lists the records of a poll.
func (s *session) sort(fetches kgo.Fetches) (*batch, error) {
	n := fetches.NumRecords()
	b := &batch{items: s.heldItems(), at: map[partition]*pb.KafkaOffset{}}
	for i := range b.items {
		it := &b.items[i]
		b.at[partition{it.record.Topic, it.record.Partition}] = it.at
	}
	b.items = slices.Grow(b.items, n)
	offsets := make([]pb.KafkaOffset, n)
	var err error
	fetches.EachTopic(func(t kgo.FetchTopic) {
		id := s.topics[t.Topic] // only Run's goroutine changes the map
		if t.TopicID != [16]byte{} && t.TopicID != id {
			err = fmt.Errorf("%w: topic %q was made anew", errAgain, t.Topic)
			return
		}
		t.EachPartition(func(p kgo.FetchPartition) {
			for _, r := range p.Records {
				at := &offsets[0]
				offsets = offsets[1:]
				at.TopicId, at.Topic, at.Partition, at.Offset = id[:], r.Topic, r.Partition, r.Offset
				b.items = append(b.items, item{record: r, at: at})
				b.at[partition{r.Topic, r.Partition}] = at
			}
		})
	})
	for p := range b.at {
		s.fetched(p)
	}
	return b, err
}

// accept decodes and accepts every record, on two goroutines where there are as many processors: it is pure work, and
// 44 % of what a record costs (BenchmarkIngest).
func (f *Feed) accept(items []item) {
	const few = 64 // less is not worth a goroutine
	if len(items) < few || runtime.GOMAXPROCS(0) == 1 {
		f.acceptAll(items)
		return
	}
	var other sync.WaitGroup
	half := len(items) / 2
	other.Go(func() { f.acceptAll(items[half:]) })
	f.acceptAll(items[:half])
	other.Wait()
}

func (f *Feed) acceptAll(items []item) {
	for i := range items {
		it := &items[i]
		it.refusal = f.acceptOne(it)
	}
}

func (f *Feed) acceptOne(it *item) *refusal {
	msg := &pb.Event{}
	if err := f.decoder.Decode(it.record, it.schema, msg); err != nil {
		return refusalOf(err)
	}
	if why := f.ofTenant(msg); why != nil {
		return why
	}
	// The record's timestamp, not now: a topic that is read again gives the same events.
	if err := f.edge.Accept(msg, it.record.Timestamp, &it.event); err != nil {
		return refusalOf(err)
	}
	return nil
}

// finish makes dead letters safe and applies events until all of the batch is done: while the disk is full, say, or the
// brokers are away, reading waits and nothing is lost. inner lives somewhat longer than ctx.
func (s *session) finish(ctx, inner context.Context, b *batch) error {
	for {
		err := s.try(inner, b)
		switch {
		case err == nil:
			s.writing()
			return nil
		case errors.Is(err, errNotBuried):
			s.buried(err)
		default:
			if fatal := s.mustWait(err); fatal != nil {
				return fatal
			}
		}
		if !pause(ctx, s.cfg.RetryEvery) {
			return fmt.Errorf("%w: %w", errStopping, err)
		}
	}
}

// try is one attempt at a batch. It starts from the first item each time: what was applied is found to be known.
func (s *session) try(ctx context.Context, b *batch) error {
	// The letters of what cannot be decoded come first, all at once.
	if err := s.bury(ctx, b); err != nil {
		return err
	}
	framed := map[partition]*pb.KafkaOffset{}
	var first, last features.Ticket
	for i := range b.items {
		it := &b.items[i]
		if it.refusal != nil {
			continue
		}
		t, err := s.applyOne(ctx, b, it)
		if err != nil {
			return err
		}
		if t.Pos.IsZero() {
			continue
		}
		framed[partition{it.at.GetTopic(), it.at.GetPartition()}] = it.at
		if first.Pos.IsZero() {
			first = t
		}
		last = t
	}
	if err := s.bury(ctx, b); err != nil {
		return err
	}
	if err := s.written(ctx, first, last); err != nil {
		return err
	}
	s.pass(b, framed)
	return nil
}

// written waits for a batch. If the journal failed and was mended in between, the first ticket is of the past; all
// between the two are good if both are.
func (s *session) written(ctx context.Context, first, last features.Ticket) error {
	if last.Pos.IsZero() {
		return nil
	}
	for _, t := range []features.Ticket{last, first} {
		if err := s.engine.Written(ctx, t); err != nil {
			return fmt.Errorf("cannot wait for a batch: %w", err)
		}
	}
	return nil
}

// applyOne admits and appends one item. The ticket is zero where there was nothing to append. Dead letters that
// the engine's answers made must be safe before this one's frame carries the offset past them.
func (s *session) applyOne(ctx context.Context, b *batch, it *item) (features.Ticket, error) {
	for {
		t, again, err := s.offer(ctx, b, it)
		if err != nil || !again {
			return t, err
		}
		if err := s.bury(ctx, b); err != nil {
			return features.Ticket{}, err
		}
	}
}

// offer is applyOne, but for the letters that must be written first: again says so. The slot is not held meanwhile: a
// call with the same event would wait for it as long as the brokers are away.
func (s *session) offer(ctx context.Context, b *batch, it *item) (_ features.Ticket, again bool, _ error) {
	slot, err := s.engine.Admit(ctx, &it.event)
	if err != nil {
		return features.Ticket{}, false, b.judge(it, err)
	}
	defer slot.Release()
	if _, known := slot.Known(); known {
		if it.fate == undecided {
			it.fate = duplicate
			slot.NoteDuplicate()
		}
		return features.Ticket{}, false, nil
	}
	if len(b.owed) > 0 {
		return features.Ticket{}, true, nil
	}
	t, err := s.engine.Append(ctx, slot, &pb.EventFrame{Kafka: it.at})
	if err != nil {
		return features.Ticket{}, false, b.judge(it, err)
	}
	it.fate = applied
	// What was noted to be noted is behind this frame now, and would take the offset back.
	s.mu.Lock()
	delete(s.pending, partition{it.at.GetTopic(), it.at.GetPartition()})
	s.mu.Unlock()
	return t, false, nil
}

// judge sorts an error of the engine: what can never be applied becomes a dead letter, everything else is returned.
func (b *batch) judge(it *item, err error) error {
	switch {
	case errors.Is(err, features.ErrConflict):
		it.refusal = &refusal{"CONFLICT", "event.event_id", "another event was accepted under this event_id"}
	case errors.Is(err, features.ErrDuplicateTransaction):
		it.refusal = &refusal{"DUPLICATE_TRANSACTION", "event.transaction_id", "the transaction was accepted under another event_id"}
	case errors.Is(err, journal.ErrTooLarge):
		it.refusal = &refusal{"TOO_LARGE", "", "the event is larger than a frame of the journal may be"}
	default:
		return err
	}
	b.die(it)
	return nil
}

// die makes an item a dead letter that is owed.
func (b *batch) die(it *item) {
	it.fate = dead
	b.owed = append(b.owed, it)
}

// pass remembers the last offset of each partition that no frame carries. An event's frame carries its own, and with it
// all before.
func (s *session) pass(b *batch, framed map[partition]*pb.KafkaOffset) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, at := range b.at {
		if framed[p] != at {
			s.pending[p] = at
		}
	}
}

func (s *session) count(b *batch) {
	var n [dead + 1]uint64
	var newer uint64
	for i := range b.items {
		n[b.items[i].fate]++
		if r := b.items[i].refusal; r != nil && r.reason == string(edge.NewerSchema) {
			newer++
		}
	}
	s.counts.records.Add(uint64(len(b.items)))
	s.counts.applied.Add(n[applied])
	s.counts.duplicates.Add(n[duplicate])
	s.counts.dead.Add(n[dead])
	s.counts.quarantined.Add(newer)
}
