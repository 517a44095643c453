package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	pb "pitboss/proto/pitboss/v1"
	"pitboss/sim"
)

// kafkaSink sends events to a topic, keyed by player, with the time they came up as the record's.
type kafkaSink struct {
	ctx    context.Context //nolint:containedctx // the command's own, for sends that block when the buffer is full
	client *kgo.Client
	topic  string
	failed chan error
	// history gives records the event's own time.
	history bool
	// written counts records, lowest is the first that failed, plus one.
	written uint64
	lowest  atomic.Uint64
}

func newKafkaSink(ctx context.Context, brokers []string, topic string, more ...kgo.Opt) (*kafkaSink, error) {
	client, err := kgo.NewClient(append(more, kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic), kgo.AllowAutoTopicCreation(),
		kgo.MaxBufferedRecords(20_000))...)
	if err != nil {
		return nil, fmt.Errorf("cannot make a kafka client: %w", err)
	}
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("cannot reach kafka at %v: %w", brokers, err)
	}
	return &kafkaSink{ctx: ctx, client: client, topic: topic, failed: make(chan error, 1)}, nil
}

func (k *kafkaSink) write(ev *pb.Event) error {
	value, err := proto.Marshal(ev)
	if err != nil {
		return fmt.Errorf("cannot encode event %q: %w", ev.GetEventId(), err)
	}
	record := &kgo.Record{Topic: k.topic, Key: sim.Key(ev), Value: value}
	if k.history {
		record.Timestamp = ev.GetOccurredAt().AsTime()
	}
	k.written++
	n := k.written
	k.client.Produce(k.ctx, record, func(_ *kgo.Record, err error) {
		if err != nil {
			k.fail(n)
			select {
			case k.failed <- err:
			default: // the first one is enough
			}
		}
	})
	select {
	case err := <-k.failed:
		return fmt.Errorf("cannot send to topic %q: %w", k.topic, err)
	default:
		return nil
	}
}

// fail notes the lowest record that failed: all before it have arrived, once nothing is under way.
func (k *kafkaSink) fail(n uint64) {
	for {
		old := k.lowest.Load()
		if old != 0 && old <= n || k.lowest.CompareAndSwap(old, n) {
			return
		}
	}
}

func (k *kafkaSink) close() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(k.ctx), 30*time.Second)
	defer cancel()
	err := k.client.Flush(ctx)
	k.client.Close()
	select {
	case sendErr := <-k.failed:
		err = errors.Join(err, sendErr)
	default:
	}
	if n := k.lowest.Load(); n > 0 {
		return fmt.Errorf("cannot send to topic %q: the first %d events of this run have arrived, go on with --skip: %w", k.topic, n-1, err)
	}
	if err != nil {
		return fmt.Errorf("cannot send to topic %q: %w", k.topic, err)
	}
	return nil
}
