// Package feed brings events from Kafka into the journal: the only consumer of Kafka in pitboss.
//
// What was read is known from the journal alone: every frame carries its record's topic id, partition and offset, runs
// of records that made no frame are noted each second, and reading starts after them. The group's own offsets are
// committed for lag monitors and never read. What cannot be decoded or accepted goes to a dead-letter topic with the
// reason, before the offset passes it, and reading goes on; what the engine cannot take now is offered again until it
// can.
//
// It is no place for the meaning of events: features/edge accepts them and features applies them. Start reading at
// Feed.Run, then session.go for one connection's life, batch.go for the way of one batch and positions.go for where
// reading starts.
package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"pitboss/features"
	"pitboss/features/wire"
	pb "pitboss/proto/pitboss/v1"
)

// Engine is where events go; *features.Engine is one. It has more methods than an interface should: a batch is applied
// event by event here and not by Ingest, because the dead letter of an event that the engine refuses must be safe before
// the next event's frame carries the offset past it.
type Engine interface {
	// Admit opens an event's slot, and says what is known of it or that it can never be applied.
	Admit(ctx context.Context, ev *features.Event) (*features.Slot, error)
	// Append applies the event and puts its frame into the journal's buffer.
	Append(ctx context.Context, s *features.Slot, frame *pb.EventFrame) (features.Ticket, error)
	// Written waits until an appended frame is written.
	Written(ctx context.Context, t features.Ticket) error
	// Advance notes offsets that no event carries, and returns when that is written.
	Advance(ctx context.Context, offsets []*pb.KafkaOffset) error
	// NoteLag tells how many records are not read yet, features.NoLag where that is not known.
	NoteLag(records int64)
	// Offsets are the last offsets applied, one per topic id and partition.
	Offsets() []*pb.KafkaOffset
}

var _ Engine = (*features.Engine)(nil)

// Edge accepts events; *edge.Edge is one.
type Edge interface {
	Accept(msg *pb.Event, receivedAt time.Time, dst *features.Event) error
}

// RefusedError says that reading cannot go on by itself: the offset to read next is not in the topic, the topic is
// another one under the same name, or another process took this one's place. Nothing is skipped and nothing is read
// twice until somebody chooses.
type RefusedError struct {
	// Topic is empty where all of the feed is meant, and Partition -1 where all of the topic is.
	Topic     string
	Partition int32
	// Why says what is wrong, Choice what goes on and what that costs.
	Why    string
	Choice string
}

// Error names the place, what is wrong and the choice.
func (e *RefusedError) Error() string {
	switch {
	case e.Topic == "":
		return fmt.Sprintf("kafka: %s; %s", e.Why, e.Choice)
	case e.Partition < 0:
		return fmt.Sprintf("kafka topic %q: %s; %s", e.Topic, e.Why, e.Choice)
	}
	return fmt.Sprintf("kafka topic %q partition %d: %s; %s", e.Topic, e.Partition, e.Why, e.Choice)
}

// Feed reads Kafka. Make one with New, run it with Run, once.
type Feed struct {
	cfg    Config
	engine Engine
	edge   Edge
	log    *slog.Logger
	// decoder knows the topics' formats and the schema registry.
	decoder *wire.Decoder

	condition condition
	counts    counters
	lags      lags

	// late are topics that were not there when we first looked: all that is in them came since. Run's goroutine alone
	// touches it.
	late map[string]bool
	// lost says of partitions that Kafka lost records which we had read, until somebody chose. Run's goroutine alone
	// touches it.
	lost map[partition]string
}

// partition is a partition of a topic by the topic's name.
type partition struct {
	topic string
	id    int32
}

// New makes a feed; it connects in Run. The error names the setting, or the file that cannot be read.
func New(cfg Config, engine Engine, edge Edge, log *slog.Logger) (*Feed, error) {
	if err := errors.Join(cfg.Validate(), cfg.checkFiles()); err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	decoder, err := wire.New(wire.Config{Formats: cfg.Formats, Registry: cfg.SchemaRegistry, Dir: cfg.Dir})
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return &Feed{
		cfg: cfg, engine: engine, edge: edge, log: log, decoder: decoder, condition: condition{state: StateConnecting, since: time.Now()},
		late: map[string]bool{}, lost: map[partition]string{},
	}, nil
}

var (
	// errAgain ends a session whose client must be made anew: what it holds is of the past.
	errAgain = errors.New("reading starts anew")
	// errStopping says that a batch was given up because the feed is to stop; its records are read again at the next
	// start.
	errStopping = errors.New("the feed stops")
)

// Run reads until ctx ends, then returns nil after what was read is applied, as far as Config.Timeout allows. It returns
// *RefusedError where reading cannot go on by itself, and features.ErrClosed where the engine was closed under it; a
// broker that is away is waited for, and so is an engine that cannot write.
func (f *Feed) Run(ctx context.Context) (err error) {
	defer func() { f.stopped(err) }()
	defer f.decoder.Close()
	for ctx.Err() == nil {
		err := f.connect(ctx)
		if !errors.Is(err, errAgain) {
			return endsCleanly(ctx, err)
		}
		f.log.Warn("kafka: starting anew from the stored offsets", "cause", err)
		pause(ctx, f.cfg.RetryEvery)
	}
	return nil
}

func endsCleanly(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, errStopping)) {
		return nil
	}
	return err
}

// pause waits, and says whether to go on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// lingering gives a context that outlives ctx by d: what was begun is finished, but not at any price.
func lingering(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		pause(inner, d)
		cancel()
	})
	return inner, func() {
		stop()
		cancel()
	}
}
