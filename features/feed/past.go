package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"pitboss/features"
)

// ReadPast reads the configured topics from their oldest records up to where the journal takes over, as limits say, and is
// what features.Past.Read wants. Partitions that the journal never read are left out: it will. What cannot be decoded or
// accepted is passed over and counted; the feed made its dead letters when it read it. It belongs to no group, and notes no
// offsets anywhere.
//
// It returns since when the records are all there were: 0 where every partition begins at its first record, else a day after
// the first that is there. Errors: no topic that the journal has read, what the brokers answer; a schema registry that is
// away is waited for.
func (f *Feed) ReadPast(ctx context.Context, limits features.PastLimits, each func(*features.Event) error) (since int64, err error) {
	opts, err := f.cfg.dialing()
	if err != nil {
		return 0, err
	}
	defer f.decoder.Close()
	p := &past{Feed: f, each: each, next: map[partition]int64{}, limit: map[partition]int64{}}
	admin, err := kgo.NewClient(opts...)
	if err != nil {
		return 0, fmt.Errorf("cannot make a kafka client: %w", err)
	}
	defer admin.Close()
	if err = p.plan(ctx, kadm.NewClient(admin), limits); err != nil {
		return 0, fmt.Errorf("kafka: %w", err)
	}
	opts = append(opts, kgo.ConsumePartitions(p.offsets()), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// The end of a transaction has an offset too, and may be the last before the limit.
		kgo.KeepControlRecords(), kgo.FetchMaxBytes(maxFetch), kgo.MaxDecompressBatchBytes(maxDecompressed))
	if p.client, err = kgo.NewClient(opts...); err != nil {
		return 0, fmt.Errorf("cannot make a kafka client: %w", err)
	}
	defer p.client.Close()
	if err := p.read(ctx); err != nil {
		return 0, fmt.Errorf("kafka: %w", err)
	}
	f.log.Info("kafka: records of before the journal", "records", p.records, "refused", p.refused)
	return p.since, nil
}

// past reads what came before the journal.
type past struct {
	*Feed

	client *kgo.Client
	each   func(*features.Event) error
	// next is the offset that is read next, limit the first that is not to be read. A partition that is done has neither.
	next, limit map[partition]int64
	// cut says that records are gone from a partition's beginning; since is the newest first record's time among those, and
	// some more.
	cut              map[partition]bool
	since            int64
	records, refused uint64
}

// plan finds what is to be read.
func (p *past) plan(ctx context.Context, admin *kadm.Client, limits features.PastLimits) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	topics, err := admin.ListTopics(ctx, p.cfg.Topics...)
	if err != nil {
		return fmt.Errorf("cannot list topics: %w", err)
	}
	starts, err := admin.ListStartOffsets(ctx, p.cfg.Topics...)
	if err != nil {
		return fmt.Errorf("cannot list start offsets: %w", err)
	}
	p.cut = map[partition]bool{}
	for _, at := range limits.Kafka {
		t, ok := topics[at.GetTopic()]
		start, listed := starts.Lookup(at.GetTopic(), at.GetPartition())
		if !ok || t.Err != nil || !sameTopic(at, t.ID) || !listed || start.Err != nil {
			p.log.Warn("kafka: a partition that was read is not there to be read again", "topic", at.GetTopic(), "partition", at.GetPartition())
			continue
		}
		id := partition{at.GetTopic(), at.GetPartition()}
		p.cut[id] = start.Offset > 0
		switch {
		case start.Offset < at.GetOffset():
			p.next[id], p.limit[id] = start.Offset, at.GetOffset()
		case p.cut[id]: // none of its records of before the journal is left
			p.since = max(p.since, limits.Before)
		}
	}
	if len(p.cut) == 0 {
		return errors.New("the journal has read none of the topics that are there: there is nothing of before it")
	}
	return nil
}

func (p *past) offsets() map[string]map[int32]kgo.Offset {
	offsets := map[string]map[int32]kgo.Offset{}
	for id, at := range p.next {
		if offsets[id.topic] == nil {
			offsets[id.topic] = map[int32]kgo.Offset{}
		}
		offsets[id.topic][id.id] = kgo.NewOffset().At(at)
	}
	return offsets
}

// read reads until every partition is at its limit.
func (p *past) read(ctx context.Context) error {
	moved := time.Now()
	for len(p.limit) > 0 {
		polling, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
		fetches := p.client.PollRecords(polling, p.cfg.MaxBatch)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, context.DeadlineExceeded) {
				return fmt.Errorf("topic %q partition %d: %w", e.Topic, e.Partition, e.Err)
			}
		}
		if fetches.NumRecords() > 0 {
			moved = time.Now()
		} else if time.Since(moved) > 3*p.cfg.Timeout {
			return fmt.Errorf("no record comes any more, and %d partitions are not read to where the journal begins", len(p.limit))
		}
		if err := p.take(ctx, fetches.Records()); err != nil {
			return err
		}
	}
	return nil
}

// take hands the records of a poll over.
func (p *past) take(ctx context.Context, records []*kgo.Record) error {
	items := make([]item, 0, len(records))
	for _, r := range records {
		id := partition{r.Topic, r.Partition}
		limit, ok := p.limit[id]
		if !ok {
			continue
		}
		if p.cut[id] {
			p.cut[id] = false
			p.since = max(p.since, r.Timestamp.Add(24*time.Hour).UnixMicro())
		}
		if r.Offset < limit && !r.Attrs.IsControl() {
			items = append(items, item{record: r})
		}
		if r.Offset >= limit-1 {
			delete(p.limit, id)
			p.client.PauseFetchPartitions(map[string][]int32{id.topic: {id.id}})
		}
	}
	if err := p.lookUp(ctx, items); err != nil {
		return err
	}
	p.accept(items)
	for i := range items {
		p.records++
		if items[i].refusal != nil {
			p.refused++
			continue
		}
		if err := p.each(&items[i].event); err != nil {
			return err
		}
	}
	return nil
}

// lookUp finds the schemas that records name. A registry that is away is waited for.
func (p *past) lookUp(ctx context.Context, items []item) error {
	var ids []int
	for i := range items {
		if id, ok := p.decoder.SchemaID(items[i].record); ok {
			ids = append(ids, id)
		}
	}
	for {
		schemas, err := p.decoder.Schemas(ctx, ids)
		if err == nil {
			for i := range items {
				if id, ok := p.decoder.SchemaID(items[i].record); ok {
					items[i].schema = schemas[id]
				}
			}
			return nil
		}
		p.log.Warn("kafka: waiting for the schema registry", "error", err)
		if !pause(ctx, p.cfg.RetryEvery) {
			return ctx.Err()
		}
	}
}
