package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"pitboss/features"
)

// Latency are times of one operation, sorted.
type Latency []time.Duration

// Quantile gives the q-th quantile, q from 0 to 1.
func (l Latency) Quantile(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return l[min(int(q*float64(len(l))), len(l)-1)]
}

// VectorResult is what reading vectors cost.
type VectorResult struct {
	Took Latency
	// Allocations is how many there were for each vector.
	Allocations float64
}

// Vectors reads the vectors of n bets of players at random, one after the other. Making and admitting the bets is not
// counted.
func (p *Players) Vectors(ctx context.Context, e *features.Engine, set *features.Set, players, n int) (VectorResult, error) {
	var res VectorResult
	var v features.Vector
	var ev features.Event
	var before, after runtime.MemStats
	allocations := uint64(0)
	for i := range n {
		if err := features.Decode(p.kinds, p.Bet(i*7919%players, fmt.Sprint("probe-", i)), &ev); err != nil {
			return res, fmt.Errorf("cannot decode a bet: %w", err)
		}
		s, err := e.Admit(ctx, &ev)
		if err != nil {
			return res, fmt.Errorf("cannot admit a bet: %w", err)
		}
		// Reading the counters stops the world: of a few vectors, after the first, which makes the scratch.
		counted := i > 0 && i%64 == 1
		if counted {
			runtime.ReadMemStats(&before)
		}
		began := time.Now()
		err = e.Vector(ctx, s, set, &v)
		took := time.Since(began)
		if counted {
			runtime.ReadMemStats(&after)
			allocations += after.Mallocs - before.Mallocs
			res.Allocations++
		} else {
			res.Took = append(res.Took, took)
		}
		s.Release()
		if err != nil {
			return res, fmt.Errorf("cannot read a vector: %w", err)
		}
	}
	if res.Allocations > 0 {
		res.Allocations = float64(allocations) / res.Allocations
	}
	slices.Sort(res.Took)
	return res, nil
}

// Batches decodes the first n events of the first players, in batches as they come from Kafka.
func (p *Players) Batches(players, n int) ([][]features.IngestItem, error) {
	var batches [][]features.IngestItem
	msgs, err := p.arrivals(players, n)
	if err != nil {
		return nil, err
	}
	for len(msgs) > 0 {
		size := min(len(msgs), batchEvents)
		batch := make([]features.IngestItem, size)
		for i, ev := range msgs[:size] {
			batch[i].Event = ev
		}
		batches, msgs = append(batches, batch), msgs[size:]
	}
	return batches, nil
}

var errEnough = errors.New("enough")

// arrivals gives n events in the order in which they happened.
func (p *Players) arrivals(players, n int) ([]*features.Event, error) {
	var list []*features.Event
	for player := range players {
		err := p.events(player, func(ev *features.Event) error {
			if len(list) == n {
				return errEnough
			}
			list = append(list, ev)
			return nil
		})
		if errors.Is(err, errEnough) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(list, func(a, b *features.Event) int { return int(a.OccurredAt - b.OccurredAt) })
	return list, nil
}

// Apply ingests batches by some callers at once and gives how many events a second that were.
func Apply(ctx context.Context, e *features.Engine, batches [][]features.IngestItem, callers int) (float64, error) {
	events := 0
	for _, b := range batches {
		events += len(b)
	}
	began := time.Now()
	done := make(chan error)
	for c := range callers {
		go func() {
			for i := c; i < len(batches); i += callers {
				if _, err := e.Ingest(ctx, batches[i]); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	var errs []error
	for range callers {
		errs = append(errs, <-done)
	}
	return float64(events) / time.Since(began).Seconds(), errors.Join(errs...)
}
