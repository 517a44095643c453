package features

import (
	"context"
	"errors"
	"fmt"

	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// IngestItem is an event to be applied, and where it came from if from Kafka.
type IngestItem struct {
	Event *Event
	Kafka *pb.KafkaOffset
}

// IngestResult is the fate of one item.
type IngestResult struct {
	// Pos is the frame that applied the event: this one's, or of a duplicate the first one's.
	Pos journal.Pos
	// Duplicate says that the same event was applied before.
	Duplicate bool
	// Err is ErrConflict or ErrDuplicateTransaction: the event can never be applied.
	Err error
}

// Ingest applies a batch in order, and returns when all of it is written, with the fate of each item. An error means
// that the batch is to be offered again: what was applied of it is then reported as duplicate. The events must not
// change until it returns. Errors: ErrNotWritten, ErrUnavailable, ErrClosed, what States returns, the context's.
func (e *Engine) Ingest(ctx context.Context, items []IngestItem) ([]IngestResult, error) {
	results := make([]IngestResult, len(items))
	var last Ticket
	for i, item := range items {
		t, err := e.ingest(ctx, item, &results[i])
		if err != nil {
			return nil, fmt.Errorf("cannot ingest event %q: %w", item.Event.ID, err)
		}
		if last.Pos.IsZero() {
			last.epoch = t.epoch
		}
		if !t.Pos.IsZero() && t.epoch != last.epoch {
			return nil, fmt.Errorf("cannot ingest: %w: the journal failed within the batch", ErrNotWritten)
		}
		if last.Pos.Less(t.Pos) {
			last = t
		}
	}
	if last.Pos.IsZero() {
		return results, nil
	}
	if err := e.Written(ctx, last); err != nil {
		return nil, fmt.Errorf("cannot ingest: %w", err)
	}
	return results, nil
}

// ingest admits and appends one item. The ticket is what must be written before the item's fate may be told.
func (e *Engine) ingest(ctx context.Context, item IngestItem, result *IngestResult) (Ticket, error) {
	s, err := e.admit(ctx, item.Event)
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrDuplicateTransaction) {
		result.Err = err
		return Ticket{}, nil
	}
	if err != nil {
		return Ticket{}, err
	}
	// The slot is freed before the frame is written: who comes next sees the event as known, and waits for its frame.
	defer s.Release()
	if known, ok := s.Known(); ok {
		result.Pos, result.Duplicate = known.Event, true
		s.NoteDuplicate()
		return Ticket{known.Event, s.epoch}, nil
	}
	t, err := e.Append(ctx, s, &pb.EventFrame{Kafka: item.Kafka})
	result.Pos = t.Pos
	return t, err
}
