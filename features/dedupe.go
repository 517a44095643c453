package features

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

const dedupeShards = 16

// dedupe knows every event and transaction of the last 30 days: what came after the last checkpoint in memory, all
// before in States, where a key that is not there costs about a microsecond behind Badger's filters. See
// docs/decisions/003-dedupe-index.md.
type dedupe struct {
	states States
	shards [dedupeShards]dedupeShard
}

type dedupeShard struct {
	mu sync.RWMutex // guards generations
	// generations hold what States may not have yet, the newest first. The first one is written to; the others wait for
	// a checkpoint, of which there is more than one only after a failure.
	generations []map[EventKey]Seen
}

func newDedupe(states States) *dedupe {
	d := &dedupe{states: states}
	for i := range d.shards {
		d.shards[i].generations = []map[EventKey]Seen{{}}
	}
	return d
}

func (d *dedupe) shard(key EventKey) *dedupeShard { return &d.shards[key[0]%dedupeShards] }

// find looks a key up in memory, then in States. The caller holds the key's slot, so that what is not there cannot come
// meanwhile.
func (d *dedupe) find(key EventKey) (Seen, bool, error) {
	s := d.shard(key)
	s.mu.RLock()
	for _, g := range s.generations {
		if seen, ok := g[key]; ok {
			s.mu.RUnlock()
			return seen, true, nil
		}
	}
	s.mu.RUnlock()
	// A checkpoint drops a generation only after States has it, so nothing falls between the two looks.
	seen, ok, err := d.states.Seen(key)
	if err != nil {
		return seen, false, fmt.Errorf("cannot read the dedupe index: %w", err)
	}
	return seen, ok, nil
}

// put notes a key. It is part of the sequencer's critical section: what a checkpoint's rotate leaves behind is exactly
// what frames up to its position noted.
func (d *dedupe) put(key EventKey, seen Seen) {
	s := d.shard(key)
	s.mu.Lock()
	s.generations[0][key] = seen
	s.mu.Unlock()
}

// rotate starts a new generation; the caller is in the sequencer's critical section.
func (d *dedupe) rotate() {
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.Lock()
		if len(s.generations[0]) > 0 {
			s.generations = append([]map[EventKey]Seen{{}}, s.generations...)
		}
		s.mu.Unlock()
	}
}

// waiting gives the entries of all but the newest generation, newer ones after older.
func (d *dedupe) waiting(ctx context.Context, write func([]Noted) error) error {
	var batch []Noted
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.RLock()
		generations := s.generations[1:]
		s.mu.RUnlock()
		// Waiting generations are never written to, so they can be read without the lock.
		for _, generation := range slices.Backward(generations) {
			for key, seen := range generation {
				batch = append(batch, Noted{key, seen})
				if len(batch) < 4096 {
					continue
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := write(batch); err != nil {
					return err
				}
				batch = batch[:0]
			}
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return write(batch)
}

// drop forgets all but the newest generation: States has them.
func (d *dedupe) drop() {
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.Lock()
		s.generations = s.generations[:1:1]
		s.mu.Unlock()
	}
}

// len is the number of entries in memory.
func (d *dedupe) len() int {
	n := 0
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.RLock()
		for _, g := range s.generations {
			n += len(g)
		}
		s.mu.RUnlock()
	}
	return n
}
