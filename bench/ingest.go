package bench

import (
	"context"
	"fmt"

	"pitboss/features"
)

// batchEvents is how many events are ingested together: a batch from Kafka.
const batchEvents = 500

// Ingester passes players' events through an engine, in batches.
type Ingester struct {
	Engine  *features.Engine
	Players *Players
	// Applied counts the events.
	Applied int

	batch []features.IngestItem
}

// Add ingests everything that a player did, but for what waits for a batch to be full.
func (in *Ingester) Add(ctx context.Context, player int) error {
	return in.Players.events(player, func(ev *features.Event) error {
		in.batch = append(in.batch, features.IngestItem{Event: ev})
		if len(in.batch) < batchEvents {
			return nil
		}
		return in.Flush(ctx)
	})
}

// Flush ingests what waits.
func (in *Ingester) Flush(ctx context.Context) error {
	results, err := in.Engine.Ingest(ctx, in.batch)
	if err != nil {
		return fmt.Errorf("cannot ingest the fixture: %w", err)
	}
	for i := range results {
		if results[i].Duplicate || results[i].Err != nil {
			return fmt.Errorf("BUG: event %q of the fixture: %+v", in.batch[i].Event.ID, results[i])
		}
	}
	in.Applied += len(in.batch)
	in.batch = in.batch[:0]
	return nil
}
