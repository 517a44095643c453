package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	"pitboss/features/files"
	pb "pitboss/proto/pitboss/v1"
)

const ingestBatch = 512

// ingester applies events in batches: one wait for the disk for each.
type ingester struct {
	app   *app
	items []features.IngestItem
	dups  uint64
	fails uint64
}

func (g *ingester) add(ctx context.Context, ev *features.Event) error {
	kept := *ev
	*ev = features.Event{} // its slices are the kept one's now
	g.items = append(g.items, features.IngestItem{Event: &kept})
	if len(g.items) < ingestBatch {
		return nil
	}
	return g.flush(ctx)
}

func (g *ingester) flush(ctx context.Context) error {
	if len(g.items) == 0 {
		return nil
	}
	results, err := g.app.engine.Ingest(ctx, g.items)
	if err != nil {
		return err
	}
	for _, r := range results {
		switch {
		case r.Err != nil:
			g.fails++
		case r.Duplicate:
			g.dups++
		}
	}
	g.items = g.items[:0]
	return nil
}

func runIngest(ctx context.Context, stderr io.Writer, f historyFlags, history bool) error {
	var g *ingester
	res, err := passHistory(ctx, stderr, f, "ingesting", func(a *app) (rowFunc, endFunc, error) {
		g = &ingester{app: a}
		return func(ctx context.Context, row *files.Row, ev *features.Event) error { return g.add(ctx, ev) }, g.flush, nil
	}, history)
	if err != nil {
		return err
	}
	if g.dups+g.fails > 0 {
		fmt.Fprintf(stderr, "  %8d  had been applied before\n  %8d  refused: another event has the event_id or the transaction\n", g.dups, g.fails)
	}
	res.rejected += g.fails
	return res.err()
}

// kafkaAcceptor lets a pass send events as they are: the server's edge accepts them.
type kafkaAcceptor struct{}

func (kafkaAcceptor) Accept(msg *pb.Event, _ time.Time, dst *features.Event) error {
	*dst = features.Event{Msg: msg, Type: msg.GetType()}
	return nil
}

func runIngestKafka(ctx context.Context, stderr io.Writer, f historyFlags, history bool) (err error) {
	cfg, err := LoadConfig(f.config)
	if err != nil {
		return err
	}
	if len(cfg.Kafka.Brokers) == 0 {
		return errors.New("the configuration has no kafka.brokers")
	}
	topic := f.topic
	if topic == "" {
		topic = cfg.Kafka.Topics[0]
	}
	var sink *kafkaSink
	p := pass{what: "sending", source: f.source, mapFor: f.mapFor, sort: f.mapFor == "", edge: kafkaAcceptor{}, stderr: stderr,
		each: func(_ context.Context, _ *files.Row, ev *features.Event) error {
			msg := proto.CloneOf(ev.Msg)
			if !history {
				msg.ReceivedAt = (*timestamppb.Timestamp)(nil)
			}
			return sink.write(msg)
		}}
	err = p.between(f.from, f.before)
	if err != nil {
		return err
	}
	err = p.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	sink, err = newKafkaSink(ctx, cfg.Kafka.Brokers, topic)
	if err != nil {
		return err
	}
	sink.history = history
	defer func() { err = errors.Join(err, sink.close()) }()
	res, err := p.run(ctx)
	if err != nil {
		return err
	}
	return res.err()
}
