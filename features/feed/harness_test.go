package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	"pitboss/features/edge"
	"pitboss/features/feed"
	"pitboss/features/states"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// start is when the events of these tests happen. It is in the past everywhere: brokers refuse records of the future.
var start = time.Date(2025, 3, 3, 10, 0, 0, 0, time.UTC)

const tenant = "demo"

const testKeys = `
format: 1
tenants:
  demo: {keys: [{id: "1", secret: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", active: true}]}
  other: {keys: [{id: "1", secret: "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", active: true}]}
`

// broker is a Kafka under test: kfake in this process, or a real one.
type broker struct {
	addrs []string
	fake  *kfake.Cluster // nil where it is a real one
	// client writes and reads beside the feed, admin prepares and looks.
	client *kgo.Client
	admin  *kadm.Client
	// suffix makes names of topics and groups unique on a broker that lives on.
	suffix string
}

func newFake(t *testing.T) *broker {
	t.Helper()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	b := dial(t, fake.ListenAddrs())
	b.fake = fake
	return b
}

// realKafka gives the Kafka that PITBOSS_KAFKA names. Without it the test is skipped, unless PITBOSS_REQUIRE_KAFKA is set.
func realKafka(t *testing.T) *broker {
	t.Helper()
	addr := os.Getenv("PITBOSS_KAFKA")
	if addr == "" {
		if os.Getenv("PITBOSS_REQUIRE_KAFKA") != "" {
			t.Fatal("PITBOSS_REQUIRE_KAFKA is set, and PITBOSS_KAFKA names no broker")
		}
		t.Skip("PITBOSS_KAFKA names no broker: make test-kafka starts one")
	}
	b := dial(t, []string{addr})
	b.suffix = fmt.Sprintf("-%x", time.Now().UnixNano())
	return b
}

func dial(t *testing.T, addrs []string, opts ...kgo.Opt) *broker {
	t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0), kgo.MetadataMinAge(10*time.Millisecond))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &broker{addrs: addrs, client: client, admin: kadm.NewClient(client)}
}

func (b *broker) create(t *testing.T, partitions int32, topic string) {
	t.Helper()
	keep := "-1" // the records of these tests are old
	until(t, "topic "+topic+" to be made", func() bool {
		_, err := b.admin.CreateTopic(t.Context(), partitions, 1, map[string]*string{"retention.ms": &keep}, topic)
		return err == nil
	})
}

func (b *broker) delete(t *testing.T, topic string) {
	t.Helper()
	if _, err := b.admin.DeleteTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	until(t, "topic "+topic+" to be gone", func() bool {
		topics, err := b.admin.ListTopics(t.Context(), topic)
		return err == nil && !topics.Has(topic)
	})
	b.client.PurgeTopicsFromClient(topic) // it would hold on to the old topic's id
}

// send writes records, each to the partition it names.
func (b *broker) send(t *testing.T, records ...*kgo.Record) {
	t.Helper()
	if err := b.client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatalf("cannot write to the test's topic: %v", err)
	}
}

// ends are the end offsets of a topic.
func (b *broker) ends(t *testing.T, topic string) map[int32]int64 {
	t.Helper()
	listed, err := b.admin.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	ends := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return ends
}

// all reads a whole topic.
func (b *broker) all(t *testing.T, topic string) []*kgo.Record {
	t.Helper()
	want := int64(0)
	for _, end := range b.ends(t, topic) {
		want += end
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.addrs...), kgo.ConsumeTopics(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var records []*kgo.Record
	for int64(len(records)) < want {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("cannot read topic %q, %d of %d records: %v", topic, len(records), want, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// rig is an engine that a feed can bring events to.
type rig struct {
	t       *testing.T
	kafka   *broker
	edge    *edge.Edge
	engine  *features.Engine
	set     *features.Set
	journal journal.Journal
	cfg     feed.Config
}

// newRig makes a rig over a journal in memory, and a configuration of one topic, which is not made.
func newRig(t *testing.T, kafka *broker) *rig {
	t.Helper()
	r := &rig{t: t, kafka: kafka, edge: newEdge(t), set: newSet(t), journal: journal.NewMemory(journal.MemoryConfig{})}
	r.engine = openEngine(t, r.journal, states.NewMemory(), r.set)
	r.cfg = testConfig(kafka, "events"+kafka.suffix)
	return r
}

func testConfig(kafka *broker, topic string) feed.Config {
	cfg := feed.DefaultConfig()
	cfg.Brokers = kafka.addrs
	cfg.Topics, cfg.DeadLetterTopic, cfg.Group = []string{topic}, topic+".dead", "group-of-"+topic
	cfg.AdvanceEvery, cfg.RetryEvery, cfg.Timeout = 20*time.Millisecond, 5*time.Millisecond, 2*time.Second
	return cfg
}

func (r *rig) topic() string { return r.cfg.Topics[0] }

func newKinds(t testing.TB) *features.Kinds {
	t.Helper()
	kinds, err := features.NewKinds(nil)
	if err != nil {
		t.Fatal(err)
	}
	return kinds
}

func newEdge(t testing.TB) *edge.Edge {
	t.Helper()
	keys, err := edge.ParseKeys([]byte(testKeys), "keys.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const ratesFile = "../../examples/casino/rates.yaml"
	data, err := os.ReadFile(ratesFile)
	if err != nil {
		t.Fatal(err)
	}
	rates, err := edge.ParseRates(data, ratesFile)
	if err != nil {
		t.Fatal(err)
	}
	cfg := edge.DefaultConfig()
	cfg.Kinds, cfg.Keys = newKinds(t), keys
	cfg.Tenants = map[string]edge.TenantConfig{tenant: {Rates: rates}, "other": {}}
	e, err := edge.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func newSet(t testing.TB) *features.Set {
	t.Helper()
	const file = "../../examples/casino/features.yaml"
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	set, err := features.CompileSet(source, file, features.CompileOptions{Kinds: newKinds(t)})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// openEngine opens an engine and runs it until the test ends.
func openEngine(t testing.TB, j journal.Journal, s features.States, set *features.Set) *features.Engine {
	t.Helper()
	cfg := features.DefaultEngineConfig()
	cfg.Kinds = newKinds(t)
	engine, err := features.OpenEngine(t.Context(), cfg, j, s, set)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) }) // it returns nil
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := errors.Join(engine.Close(), s.Close(), j.Close()); err != nil {
			t.Errorf("cannot close: %v", err)
		}
	})
	return engine
}

// running is a feed at work.
type running struct {
	*feed.Feed
	t      *testing.T
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // what Run returned; read it after ended
}

// start runs a feed on the rig's engine; the test ends it where nothing else does.
func (r *rig) start() *running { return r.startOn(r.engine) }

func (r *rig) startOn(engine feed.Engine) *running {
	r.t.Helper()
	f, err := feed.New(r.cfg, engine, r.edge, logger(r.t))
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	run := &running{Feed: f, t: r.t, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(run.ended)
		run.err = f.Run(ctx)
	}()
	r.t.Cleanup(func() {
		cancel()
		<-run.ended
	})
	return run
}

// stop ends the feed and wants a clean end.
func (run *running) stop() {
	run.t.Helper()
	run.cancel()
	<-run.ended
	if run.err != nil {
		run.t.Fatalf("Run ended with %v, want nil", run.err)
	}
}

// refused waits for the feed to refuse.
func (run *running) refused() *feed.RefusedError {
	run.t.Helper()
	select {
	case <-run.ended:
	case <-time.After(patience):
		run.t.Fatalf("the feed reads on, want a refusal; status %+v", run.Status())
	}
	refused, ok := errors.AsType[*feed.RefusedError](run.err)
	if !ok {
		run.t.Fatalf("Run ended with %v, want a *RefusedError", run.err)
	}
	if s := run.Status(); s.State != feed.StateRefused || s.Error != refused.Error() {
		run.t.Errorf("status %+v after refusal %q", s, refused)
	}
	return refused
}

// state waits for a state of the feed.
func (run *running) state(want feed.State) {
	run.t.Helper()
	until(run.t, "state "+string(want), func() bool { return run.Status().State == want })
}

// caughtUp waits until everything in the rig's topic is applied and noted.
func (r *rig) caughtUp() {
	r.t.Helper()
	ends := r.kafka.ends(r.t, r.topic())
	topics, err := r.kafka.admin.ListTopics(r.t.Context(), r.topic())
	if err != nil {
		r.t.Fatal(err)
	}
	id := topics[r.topic()].ID
	until(r.t, "all of the topic to be applied", func() bool {
		got := map[int32]int64{}
		for _, at := range r.engine.Offsets() {
			if bytes.Equal(at.GetTopicId(), id[:]) {
				got[at.GetPartition()] = at.GetOffset() + 1
			}
		}
		for p, end := range ends {
			if got[p] != end {
				return false
			}
		}
		return true
	})
}

const patience = 30 * time.Second

// until waits for what other goroutines or processes bring about.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline.C:
			t.Fatalf("waited %v for %s", patience, what)
		case <-tick.C:
		}
	}
}

// logger writes to the test's log.
func logger(t testing.TB) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// bet is event number n: a bet of n cents by one of ten players.
func bet(n int) *pb.Event {
	return &pb.Event{
		EventId: fmt.Sprintf("bet-%d", n), Type: "bet.placed", Tenant: tenant,
		OccurredAt: timestamppb.New(start.Add(time.Duration(n) * time.Second)),
		Entities:   []*pb.Identifier{{Kind: "player", Value: fmt.Sprintf("player-%d", n%10), Form: pb.Form_FORM_RAW}},
		Payload:    &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{Amount: &pb.Money{AmountMinor: int64(n), Currency: "EUR"}}},
	}
}

// record makes a Protobuf record of an event, received a quarter of a second after it happened.
func (r *rig) record(p int32, ev *pb.Event) *kgo.Record {
	r.t.Helper()
	value, err := proto.Marshal(ev)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.raw(p, ev.GetOccurredAt().AsTime().Add(250*time.Millisecond), value)
}

func (r *rig) json(p int32, ev *pb.Event) *kgo.Record {
	r.t.Helper()
	value, err := protojson.Marshal(ev)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.raw(p, ev.GetOccurredAt().AsTime().Add(250*time.Millisecond), value)
}

func (r *rig) raw(p int32, at time.Time, value []byte) *kgo.Record {
	return &kgo.Record{Topic: r.topic(), Partition: p, Timestamp: at, Value: value}
}

// bets makes records of bets from..to-1, over the partitions in turn.
func (r *rig) bets(from, to int, partitions int32) []*kgo.Record {
	records := make([]*kgo.Record, 0, to-from)
	for n := from; n < to; n++ {
		records = append(records, r.record(int32(n)%partitions, bet(n)))
	}
	return records
}

// frames are the event frames of the rig's journal, in order.
func (r *rig) frames() []*pb.EventFrame { return eventFrames(r.t, r.journal) }

func eventFrames(t testing.TB, j journal.Journal) []*pb.EventFrame {
	t.Helper()
	if err := j.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	cursor, err := j.Read(journal.Pos{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cursor.Close() }()
	var frames []*pb.EventFrame
	for {
		f, err := cursor.Next(t.Context())
		if err != nil {
			return frames
		}
		if f.Kind != features.FrameEvent {
			continue
		}
		frame := &pb.EventFrame{}
		if err := proto.Unmarshal(f.Payload, frame); err != nil {
			t.Fatal(err)
		}
		frames = append(frames, frame)
	}
}

// wantBets checks that bets 0..n-1 were applied, each once.
func (r *rig) wantBets(n int) {
	r.t.Helper()
	times := map[string]int{}
	for _, f := range r.frames() {
		times[f.GetEvent().GetEventId()]++
	}
	for i := range n {
		if got := times[fmt.Sprintf("bet-%d", i)]; got != 1 {
			r.t.Errorf("bet-%d was applied %d times, want once", i, got)
		}
	}
	if len(times) != n {
		r.t.Errorf("%d events were applied, want %d: %v", len(times), n, slices.Sorted(maps.Keys(times)))
	}
}

// deadLetter is what a test looks at of a dead letter.
type deadLetter struct{ Reason, Path, Message, Offset, Cut, Value string }

// letters reads the dead letters, by the place of their records: topic/partition/offset.
func (r *rig) letters() map[string]deadLetter {
	r.t.Helper()
	letters := map[string]deadLetter{}
	for _, rec := range r.kafka.all(r.t, r.cfg.DeadLetterTopic) {
		h := map[string]string{}
		for _, header := range rec.Headers {
			h[header.Key] = string(header.Value)
		}
		at := strings.Join([]string{h[feed.HeaderTopic], h[feed.HeaderPartition], h[feed.HeaderOffset]}, "/")
		letters[at] = deadLetter{Reason: h[feed.HeaderReason], Path: h[feed.HeaderPath], Message: h[feed.HeaderMessage],
			Offset: h[feed.HeaderOffset], Cut: h[feed.HeaderCut], Value: string(rec.Value)}
	}
	return letters
}
