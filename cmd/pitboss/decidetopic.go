package main

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	pb "pitboss/proto/pitboss/v1"
)

// topicFlags say which topic's events to ask about.
type topicFlags struct {
	brokers []string
	topic   string
	types   []string
	out     string
	workers int
	history bool
}

// topicRun asks about the events of a topic, as a game engine that listens to one would.
type topicRun struct {
	flags     topicFlags
	explain   pb.Explain
	decisions pb.DecisionServiceClient
	events    pb.EventServiceClient

	mu sync.Mutex // guards all below, and out
	loadResult
	published uint64
	out       io.Writer
}

// runDecideTopic reads a topic from its beginning to where it ended when the run began. Events of the given types are
// decided, the others published; those with one key keep their order.
func runDecideTopic(ctx context.Context, stdout, stderr io.Writer, f decideFlags, t topicFlags) (err error) {
	explain, err := parseExplain(f.explain)
	if err != nil {
		return err
	}
	out, closeOut, err := createOut(t.out, stdout)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeOut()) }()
	conn, err := dial(f.addr, f.key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeConn(conn)) }()
	client, total, err := openTopic(ctx, t)
	if err != nil {
		return err
	}
	defer client.Close()
	r := &topicRun{flags: t, explain: explain, decisions: pb.NewDecisionServiceClient(conn), events: pb.NewEventServiceClient(conn), out: out}
	r.latency, r.outcomes = hdrhistogram.New(1, 60_000_000, 3), map[pb.Outcome]uint64{}
	if err := r.run(ctx, client, total, stderr); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%d decisions and %d other events in %v: %.0f decisions/s; p50 %v p95 %v p99 %v max %v; %d degraded, %d failed\n",
		r.sent-r.failed, r.published, r.took.Round(time.Millisecond), r.rate(), r.quantile(50), r.quantile(95), r.quantile(99), r.quantile(100),
		r.degraded, r.failed)
	if r.failed > 0 {
		return &codedError{exitRejected, fmt.Errorf("%d events got no decision; the first: %w", r.failed, r.firstErr)}
	}
	return nil
}

// openTopic gives a client that reads the topic, and how many records there are.
func openTopic(ctx context.Context, t topicFlags) (*kgo.Client, int64, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(t.brokers...), kgo.ConsumeTopics(t.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, 0, fmt.Errorf("cannot make a kafka client: %w", err)
	}
	admin := kadm.NewClient(client)
	starts, err1 := admin.ListStartOffsets(ctx, t.topic)
	ends, err2 := admin.ListEndOffsets(ctx, t.topic)
	if err := errors.Join(err1, err2, starts.Error(), ends.Error()); err != nil {
		client.Close()
		return nil, 0, fmt.Errorf("cannot read the offsets of topic %q: %w", t.topic, err)
	}
	var total int64
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(end.Topic, end.Partition)
		total += end.Offset - start.Offset
	})
	return client, total, nil
}

func (r *topicRun) run(ctx context.Context, client *kgo.Client, total int64, stderr io.Writer) error {
	seed := maphash.MakeSeed()
	queues := make([]chan *kgo.Record, r.flags.workers)
	var wg sync.WaitGroup
	for i := range queues {
		queues[i] = make(chan *kgo.Record, 64)
		wg.Go(func() {
			for record := range queues[i] {
				r.one(ctx, record)
			}
		})
	}
	bar := newProgress(stderr, "asking", total, unitRows)
	began := time.Now()
	var read int64
	for read < total && ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil && ctx.Err() == nil {
			fmt.Fprintf(stderr, "kafka: %v\n", err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			if read++; read <= total {
				queues[maphash.Bytes(seed, record.Key)%uint64(len(queues))] <- record
				bar.set(read, uint64(read))
			}
		})
	}
	for _, q := range queues {
		close(q)
	}
	wg.Wait()
	r.took = time.Since(began)
	bar.finish()
	return ctx.Err()
}

// one asks about one record's event, or publishes it.
func (r *topicRun) one(ctx context.Context, record *kgo.Record) {
	ev := &pb.Event{}
	if err := proto.Unmarshal(record.Value, ev); err != nil {
		r.fail(fmt.Errorf("offset %d is no event: %w", record.Offset, err))
		return
	}
	if r.flags.history {
		ev.ReceivedAt = ev.GetOccurredAt()
	}
	if !slices.Contains(r.flags.types, ev.GetType()) {
		r.publish(ctx, ev)
		return
	}
	sent := time.Now()
	answer, err := r.decisions.Decide(ctx, &pb.DecisionRequest{Event: ev, Options: &pb.DecisionOptions{Explain: r.explain}})
	took := time.Since(sent)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(answer, took, err)
	if err == nil {
		if err := writeDecision(r.out, answer); err != nil && r.firstErr == nil {
			r.failed, r.firstErr = r.failed+1, err
		}
	}
}

func (r *topicRun) publish(ctx context.Context, ev *pb.Event) {
	res, err := r.events.Publish(ctx, &pb.PublishRequest{Events: []*pb.Event{ev}})
	if err == nil && res.GetResults()[0].GetError() != nil {
		err = errors.New(res.GetResults()[0].GetError().GetMessage())
	}
	if err != nil {
		r.fail(fmt.Errorf("event %q: %w", ev.GetEventId(), err))
		return
	}
	r.mu.Lock()
	r.published++
	r.mu.Unlock()
}

func (r *topicRun) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed++
	if r.firstErr == nil {
		r.firstErr = err
	}
}
