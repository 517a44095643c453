package feed

import (
	"context"
	"maps"
	"slices"
	"time"

	"pitboss/features/wire"
)

// Nothing is known of a record whose schema cannot be looked up: it is no dead letter, and what comes after it in its
// partition must wait, for offsets pass everything before them. So its partition is paused, and its records are held here
// until the registry answers; the other partitions are read on.

// schemaPatience is how long all partitions wait for an answer of a registry that answered before: usually it comes, and
// nothing need be paused.
const schemaPatience = 250 * time.Millisecond

// question is one attempt at asking the registry, beside Run's goroutine.
type question struct {
	// answered ends when there is an answer or none, over when the registry may be asked again.
	answered, over context.Context //nolint:containedctx // they are what waiting ends by, and belong to nobody's call
	// schemas are the answer, nil without one; to be read when answered has ended.
	schemas map[int]*wire.Schema
}

// lookUp finds the schemas that a batch's records name, and holds the records that must wait for one.
func (s *session) lookUp(ctx context.Context, b *batch) {
	var ids []int
	for i := range b.items {
		if id, ok := s.decoder.SchemaID(b.items[i].record); ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	schemas, all := s.decoder.Known(ids)
	if s.question != nil && s.question.answered.Err() != nil {
		// Kept or not: of more schemas than are kept, some of an answer are gone again by now.
		maps.Copy(schemas, s.question.schemas)
	}
	if s.question != nil && s.question.over.Err() != nil {
		s.question = nil
	}
	all = all || !slices.ContainsFunc(ids, func(id int) bool { return schemas[id] == nil })
	if !all && s.question == nil {
		s.ask(ctx, ids)
		maps.Copy(schemas, s.patiently(ctx))
	}
	for i := range b.items {
		if id, ok := s.decoder.SchemaID(b.items[i].record); ok {
			b.items[i].schema = schemas[id]
		}
	}
	s.hold(b)
}

// ask begins a question. It names all ids of a batch: those that are kept cost nothing.
func (s *session) ask(ctx context.Context, ids []int) {
	answered, answer := context.WithCancel(ctx)
	over, end := context.WithCancel(ctx)
	q := &question{answered: answered, over: over}
	s.question = q
	s.asks.Go(func() {
		defer end()
		schemas, err := s.decoder.Schemas(ctx, ids)
		q.schemas = schemas
		answer()
		if ctx.Err() != nil {
			return
		}
		s.asked(err)
		if err != nil {
			pause(ctx, s.cfg.RetryEvery)
		}
	})
}

// patiently waits a little for an answer, unless the registry is known to be away.
func (s *session) patiently(ctx context.Context) map[int]*wire.Schema {
	s.mu.Lock()
	away := len(s.held) > 0
	s.mu.Unlock()
	if away {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, schemaPatience)
	defer cancel()
	select {
	case <-waiting.Done():
		return nil
	case <-s.question.answered.Done():
		return s.question.schemas
	}
}

// hold takes out of a batch what must wait: of each partition all from the first record on whose schema is not known. What
// was held is part of the batch.
func (s *session) hold(b *batch) {
	waiting := map[partition][]item{}
	kept := b.items[:0]
	clear(b.at)
	for _, it := range b.items {
		p := partition{it.record.Topic, it.record.Partition}
		_, framed := s.decoder.SchemaID(it.record)
		if _, waits := waiting[p]; waits || framed && it.schema == nil {
			waiting[p] = append(waiting[p], it)
			continue
		}
		b.at[p] = it.at
		kept = append(kept, it)
	}
	b.items = kept
	s.mu.Lock()
	none := len(waiting)+len(s.held) == 0
	s.mu.Unlock()
	if none {
		return
	}
	s.pauseAll(waiting)
}

// pauseAll pauses the partitions that wait, and resumes those that waited before.
func (s *session) pauseAll(waiting map[partition][]item) {
	pause, resume := map[string][]int32{}, map[string][]int32{}
	s.mu.Lock()
	for p := range waiting {
		pause[p.topic] = append(pause[p.topic], p.id)
	}
	for p := range s.held {
		if _, still := waiting[p]; !still {
			resume[p.topic] = append(resume[p.topic], p.id)
		}
	}
	s.held = waiting
	s.mu.Unlock()
	if len(pause) > 0 { // for none it would list all
		s.client.PauseFetchPartitions(pause)
	}
	s.client.ResumeFetchPartitions(resume)
	s.waitForSchemas(len(waiting))
}

// heldItems gives all records that are held, each partition's in their order.
func (s *session) heldItems() (items []item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, held := range s.held {
		items = append(items, held...)
	}
	return items
}

// letGo forgets what is held of partitions that are no longer ours. Whoever reads them next starts at the offset that is
// stored, which is before it.
func (s *session) letGo(partitions map[string][]int32) {
	s.mu.Lock()
	for topic, ids := range partitions {
		for _, id := range ids {
			delete(s.held, partition{topic, id})
		}
	}
	n := len(s.held)
	s.mu.Unlock()
	s.client.ResumeFetchPartitions(partitions) // should they come back
	s.waitForSchemas(n)
}

// isHeld says whether a partition waits.
func (s *session) isHeld(p partition) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, held := s.held[p]
	return held
}
