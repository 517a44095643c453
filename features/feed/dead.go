package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	pb "pitboss/proto/pitboss/v1"
)

// Headers of a dead letter. The key, the value and the headers of the record stay as they came, unless HeaderCut says
// otherwise.
const (
	// HeaderReason is the stable cause: UNDECODABLE, TOO_LARGE, EMPTY, WRONG_TENANT, CONFLICT, DUPLICATE_TRANSACTION, or
	// one of features/edge.
	HeaderReason = "pitboss-reason"
	// HeaderPath is the field's place as in JSON; empty where all of the record is meant.
	HeaderPath = "pitboss-path"
	// HeaderMessage says what is wrong and what would be right.
	HeaderMessage = "pitboss-message"
	// HeaderTopic, HeaderPartition and HeaderOffset say where the record is.
	HeaderTopic     = "pitboss-topic"
	HeaderPartition = "pitboss-partition"
	HeaderOffset    = "pitboss-offset"
	// HeaderCut names what was left out of the letter because it is too large: key, value, headers.
	HeaderCut = "pitboss-cut"
)

// What a letter keeps of its record. All together fits into a batch of the brokers' default size, 1 MB.
const (
	maxLetterKey     = 64 << 10
	maxLetterHeaders = 64 << 10
	maxLetterValue   = 768 << 10
)

// errNotBuried says that dead letters could not be written; the engine is not to blame.
var errNotBuried = errors.New("cannot write dead letters")

// letter makes the record that says what was wrong with r.
func (s *session) letter(it *item, bare bool) *kgo.Record {
	r := it.record
	l := &kgo.Record{Topic: s.cfg.DeadLetterTopic}
	cut := ""
	size := 0
	for _, h := range r.Headers {
		size += len(h.Key) + len(h.Value)
	}
	if !bare && len(r.Key) <= maxLetterKey {
		l.Key = r.Key
	} else if len(r.Key) > 0 {
		cut += " key"
	}
	if !bare && len(r.Value) <= maxLetterValue {
		l.Value = r.Value
	} else if len(r.Value) > 0 {
		cut += " value"
	}
	if !bare && size <= maxLetterHeaders {
		l.Headers = append(l.Headers, r.Headers...)
	} else if size > 0 {
		cut += " headers"
	}
	add := func(key, value string) {
		l.Headers = append(l.Headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	add(HeaderReason, it.refusal.reason)
	add(HeaderPath, it.refusal.path)
	add(HeaderMessage, it.refusal.message)
	add(HeaderTopic, r.Topic)
	add(HeaderPartition, strconv.Itoa(int(r.Partition)))
	add(HeaderOffset, strconv.FormatInt(r.Offset, 10))
	if cut != "" {
		add(HeaderCut, cut[1:])
	}
	return l
}

// bury writes the dead letters that are not safe yet, and returns when the brokers have them all: an offset is only
// passed once its letter is safe. A letter can be sent twice (a crash before its offset is noted), never not at all.
func (s *session) bury(ctx context.Context, b *batch) error {
	if len(b.owed) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	err := s.send(ctx, b, b.owed, false)
	if errors.Is(err, kerr.MessageTooLarge) {
		err = s.sendSingly(ctx, b, b.owed)
	}
	if err != nil {
		return fmt.Errorf("%w to topic %q: %w", errNotBuried, s.cfg.DeadLetterTopic, err)
	}
	s.buried(nil)
	return nil
}

// sendSingly sends letters that were too large together: first each as it is, then with nothing of the record but where
// it is. Otherwise whoever can write a large record could stop the feed.
func (s *session) sendSingly(ctx context.Context, b *batch, items []*item) error {
	for _, it := range items {
		err := s.send(ctx, b, []*item{it}, false)
		if errors.Is(err, kerr.MessageTooLarge) {
			err = s.send(ctx, b, []*item{it}, true)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// send sends letters, and takes those that are safe from the batch's owed ones.
func (s *session) send(ctx context.Context, b *batch, items []*item, bare bool) error {
	letters := make([]*kgo.Record, len(items))
	safe := make(map[*item]bool, len(items))
	from := make(map[*kgo.Record]*item, len(items))
	for i, it := range items {
		letters[i] = s.letter(it, bare)
		from[letters[i]] = it
	}
	var failed error
	for _, r := range s.client.ProduceSync(ctx, letters...) {
		switch {
		case r.Err == nil:
			safe[from[r.Record]] = true
		case failed == nil || errors.Is(failed, kerr.MessageTooLarge):
			failed = r.Err // whatever else is wrong comes before a letter's size
		}
	}
	b.owed = slices.DeleteFunc(slices.Clone(b.owed), func(it *item) bool { return safe[it] })
	return failed
}

// skipTooLarge passes batches of records that decompress to more than we hold in memory: a few kilobytes from whoever may
// write would stop the feed otherwise. The client gives such a batch up with an error, again and again while there are
// records before it in the same fetch; those are applied first.
func (s *session) skipTooLarge(ctx context.Context, fetches kgo.Fetches) error {
	var skipped error
	fetches.EachPartition(func(t kgo.FetchTopicPartition) {
		e, ok := errors.AsType[*kgo.ErrDecompressTooLarge](t.Err)
		if !ok || skipped != nil || s.isHeld(partition{e.Topic, e.Partition}) {
			return
		}
		skipped = fmt.Errorf("%w: %w", errAgain, e)
		if len(t.Records) > 0 {
			return
		}
		it := item{record: &kgo.Record{Topic: e.Topic, Partition: e.Partition, Offset: e.Offset}}
		it.refusal = &refusal{"TOO_LARGE", "", fmt.Sprintf("the batch of offsets %d to %d decompresses to more than %d bytes, and none of it is read", e.Offset, e.NextOffset-1, maxDecompressed)}
		id := s.topics[e.Topic]
		b := &batch{items: []item{it}, at: map[partition]*pb.KafkaOffset{
			{e.Topic, e.Partition}: offsetBefore(id, e.Topic, e.Partition, e.NextOffset),
		}}
		b.die(&b.items[0])
		if err := s.complete(ctx, b); err != nil {
			skipped = err
		}
	})
	return skipped
}

// ensureDeadLetterTopic makes the topic where it is missing, with the brokers' defaults. Where we may not, the first dead
// letter will wait for somebody who may.
func (s *session) ensureDeadLetterTopic(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	name := s.cfg.DeadLetterTopic
	topics, err := s.admin.ListTopics(ctx, name)
	if err == nil && topics.Has(name) {
		return
	}
	if err == nil {
		_, err = s.admin.CreateTopic(ctx, -1, -1, nil, name)
	}
	if err != nil {
		s.log.Warn("the dead-letter topic is not there; the first dead letter will wait for it", "topic", name, "error", err)
		return
	}
	s.log.Info("made the dead-letter topic, with the brokers' defaults", "topic", name)
}
