package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	pb "pitboss/proto/pitboss/v1"
)

const (
	outOfRangeChoice = "set kafka.out_of_range for one start: earliest goes on with the oldest record there is, latest with the next that comes, and what lies between is not read"
	newTopicChoice   = "set kafka.new_topic to restart for one start to read the new topic; what was in the old one and not read is gone"
)

// view is what the brokers say of the configured topics at one moment.
type view struct {
	ids          map[string]kadm.TopicID
	starts, ends kadm.ListedOffsets
	missing      []string
}

// look asks the brokers.
func (s *session) look(ctx context.Context) (*view, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	topics, err := s.admin.ListTopics(ctx, s.cfg.Topics...)
	if err != nil {
		return nil, fmt.Errorf("cannot list topics: %w", err)
	}
	v := &view{ids: map[string]kadm.TopicID{}}
	var present []string
	for _, name := range s.cfg.Topics {
		t, ok := topics[name]
		switch {
		case !ok || errors.Is(t.Err, kerr.UnknownTopicOrPartition):
			v.missing = append(v.missing, name)
		case t.Err != nil:
			return nil, fmt.Errorf("topic %q: %w", name, t.Err)
		default:
			v.ids[name] = t.ID
			present = append(present, name)
		}
	}
	if len(present) == 0 {
		return v, nil
	}
	if v.starts, err = s.admin.ListStartOffsets(ctx, present...); err == nil {
		err = v.starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list start offsets: %w", err)
	}
	if v.ends, err = s.admin.ListEndOffsets(ctx, present...); err == nil {
		err = v.ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list end offsets: %w", err)
	}
	return v, nil
}

// begin starts reading the topics that are there and not read yet, after checking that the stored offsets fit them:
// without that a topic made anew, or one that lost its tail, would be read from a place that means something else. It
// says whether any topic is read now. A broker or an engine that cannot answer is no error: ask again.
func (s *session) begin(ctx context.Context) (bool, error) {
	v, err := s.look(ctx)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	s.looked(err)
	if err != nil {
		return false, nil //nolint:nilerr // it is in the status, and whoever called asks again
	}
	s.missing(v.missing)
	for _, topic := range v.missing {
		s.late[topic] = true
	}
	var fresh []string
	var pins []*pb.KafkaOffset
	for topic := range v.ids {
		if _, ok := s.topics[topic]; ok {
			continue
		}
		p, err := s.position(v, topic)
		if err != nil {
			return false, err
		}
		fresh, pins = append(fresh, topic), append(pins, p...)
	}
	if len(fresh) == 0 {
		return len(s.topics) > 0, nil
	}
	return s.start(ctx, v, fresh, pins)
}

// start notes the choices that were made, so that they are made once, and adds the topics.
func (s *session) start(ctx context.Context, v *view, fresh []string, pins []*pb.KafkaOffset) (bool, error) {
	if err := s.engine.Advance(ctx, pins); err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		return false, s.mustWait(err)
	}
	s.writing()
	for _, at := range pins {
		delete(s.lost, partition{at.GetTopic(), at.GetPartition()})
	}
	s.ensureDeadLetterTopic(ctx)
	s.mu.Lock()
	for _, topic := range fresh {
		s.topics[topic] = v.ids[topic]
	}
	s.mu.Unlock()
	s.client.AddConsumeTopics(fresh...)
	return true, nil
}

// position checks where a topic goes on. What it returns are offsets to be noted before, because somebody chose them.
func (s *session) position(v *view, topic string) ([]*pb.KafkaOffset, error) {
	id := v.ids[topic]
	var stored []*pb.KafkaOffset
	var before *pb.KafkaOffset // of a topic that had this name
	for _, at := range s.engine.Offsets() {
		switch {
		case at.GetTopic() != topic:
		case sameTopic(at, id):
			stored = append(stored, at)
		default:
			before = at
		}
	}
	switch {
	case len(stored) > 0:
		return s.inRange(v, stored)
	case before == nil:
		if s.cfg.Start == choiceLatest && !s.late[topic] {
			return v.pins(topic, v.ends), nil
		}
		return nil, nil
	case s.cfg.NewTopic != choiceRestart:
		return nil, &RefusedError{Topic: topic, Partition: -1,
			Why:    fmt.Sprintf("it is another topic than the one read so far (id %x, was %x)", id[:], before.GetTopicId()),
			Choice: newTopicChoice}
	case s.cfg.Start == choiceLatest:
		return v.pins(topic, v.ends), nil
	}
	// Its beginning is noted too, or the next start would refuse again if nothing comes until then.
	return v.pins(topic, v.starts), nil
}

// inRange checks the stored offsets of a topic.
func (s *session) inRange(v *view, stored []*pb.KafkaOffset) ([]*pb.KafkaOffset, error) {
	var pins []*pb.KafkaOffset
	for _, at := range stored {
		topic, id, next := at.GetTopic(), at.GetPartition(), at.GetOffset()+1
		start, ok1 := v.starts.Lookup(topic, id)
		end, ok2 := v.ends.Lookup(topic, id)
		why := s.lost[partition{topic, id}]
		switch {
		case !ok1 || !ok2:
			why = "it was read, and the topic has no such partition"
		case why == "" && (next < start.Offset || next > end.Offset):
			why = fmt.Sprintf("the next offset is %d, and the topic holds %d to %d", next, start.Offset, end.Offset-1)
		}
		switch {
		case why == "":
			continue
		case s.cfg.OutOfRange == choiceRefuse:
			return nil, &RefusedError{Topic: topic, Partition: id, Why: why, Choice: outOfRangeChoice}
		}
		to := start.Offset
		if s.cfg.OutOfRange == choiceLatest {
			to = end.Offset
		}
		s.log.Warn("kafka: going on elsewhere, as kafka.out_of_range says", "topic", topic, "partition", id, "why", why,
			"choice", s.cfg.OutOfRange, "next", to)
		pins = append(pins, offsetBefore(v.ids[topic], topic, id, to))
	}
	return pins, nil
}

// pins gives the offsets to be noted so that all partitions of a topic go on at the listed ones.
func (v *view) pins(topic string, at kadm.ListedOffsets) []*pb.KafkaOffset {
	var pins []*pb.KafkaOffset
	for id, o := range at[topic] {
		pins = append(pins, offsetBefore(v.ids[topic], topic, id, o.Offset))
	}
	slices.SortFunc(pins, func(a, b *pb.KafkaOffset) int { return int(a.GetPartition() - b.GetPartition()) })
	return pins
}

// offsetBefore is the note after which reading goes on at next.
func offsetBefore(id kadm.TopicID, topic string, p int32, next int64) *pb.KafkaOffset {
	return &pb.KafkaOffset{TopicId: id[:], Topic: topic, Partition: p, Offset: next - 1}
}

func sameTopic(at *pb.KafkaOffset, id kadm.TopicID) bool {
	return bytes.Equal(at.GetTopicId(), id[:])
}

// stored are the engine's offsets of the topics that are read.
func (s *session) stored() map[partition]*pb.KafkaOffset {
	offsets := s.engine.Offsets()
	s.mu.Lock()
	defer s.mu.Unlock()
	stored := map[partition]*pb.KafkaOffset{}
	for _, at := range offsets {
		if id, ok := s.topics[at.GetTopic()]; ok && sameTopic(at, id) {
			stored[partition{at.GetTopic(), at.GetPartition()}] = at
		}
	}
	return stored
}
