package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pitboss/features"
	"pitboss/features/feed"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// sick is an engine that fails where it is told to.
type sick struct {
	*features.Engine
	mu sync.Mutex // guards fail
	// fail gets the method's name and says what it returns; nil works.
	fail func(method string) error
}

func (s *sick) set(fail func(string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

func (s *sick) ask(method string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		return nil
	}
	return s.fail(method)
}

func (s *sick) Admit(ctx context.Context, ev *features.Event) (*features.Slot, error) {
	if err := s.ask("Admit"); err != nil {
		return nil, err
	}
	return s.Engine.Admit(ctx, ev)
}

func (s *sick) Append(ctx context.Context, slot *features.Slot, frame *pb.EventFrame) (features.Ticket, error) {
	if err := s.ask("Append"); err != nil {
		return features.Ticket{}, err
	}
	return s.Engine.Append(ctx, slot, frame)
}

func (s *sick) Written(ctx context.Context, t features.Ticket) error {
	if err := s.ask("Written"); err != nil {
		return err
	}
	return s.Engine.Written(ctx, t)
}

func (s *sick) Advance(ctx context.Context, offsets []*pb.KafkaOffset) error {
	if err := s.ask("Advance"); err != nil {
		return err
	}
	return s.Engine.Advance(ctx, offsets)
}

func TestEngineThatCannotWrite(t *testing.T) {
	// good is how many calls work first, so that a batch fails in the middle.
	for method, good := range map[string]int{"Admit": 3, "Append": 3, "Written": 0, "Advance": 0} {
		t.Run(method, func(t *testing.T) {
			r := newRig(t, newFake(t))
			r.kafka.create(t, 2, r.topic())
			engine := &sick{Engine: r.engine}
			run := r.startOn(engine)
			run.state(feed.StateReading)
			calls := 0
			engine.set(func(m string) error {
				if m != method {
					return nil
				}
				if calls++; calls <= good {
					return nil
				}
				return fmt.Errorf("the disk is full: %w", features.ErrUnavailable)
			})
			r.kafka.send(t, r.bets(0, 20, 2)...)
			r.kafka.send(t, r.bets(0, 20, 2)...)
			until(t, "the feed to wait", func() bool { return run.Stats().Waits > 0 })
			// What was appended and not waited for is known at the next attempt: then nothing is wrong any more.
			if got := run.Status(); method != "Written" && (got.State != feed.StateWaiting || !strings.Contains(got.Error, "the disk is full")) {
				t.Errorf("status %+v does not say why it waits", got)
			}
			engine.set(nil)
			r.caughtUp()
			r.wantBets(20)
			run.state(feed.StateReading)
			run.stop()
		})
	}
}

func TestStopWhileTheEngineCannotWrite(t *testing.T) {
	r := newRig(t, newFake(t))
	r.kafka.create(t, 1, r.topic())
	r.kafka.send(t, r.bets(0, 10, 1)...)
	engine := &sick{Engine: r.engine}
	appended := 0
	engine.set(func(m string) error {
		if m == "Append" {
			if appended++; appended > 4 {
				return features.ErrUnavailable
			}
		}
		return nil
	})
	run := r.startOn(engine)
	run.state(feed.StateWaiting)
	run.stop()
	r.start()
	r.caughtUp()
	r.wantBets(10)
}

func TestEngineClosed(t *testing.T) {
	r := newRig(t, newFake(t))
	r.kafka.create(t, 1, r.topic())
	engine := &sick{Engine: r.engine}
	run := r.startOn(engine)
	run.state(feed.StateReading)
	engine.set(func(string) error { return features.ErrClosed })
	r.kafka.send(t, r.bets(0, 3, 1)...)
	select {
	case <-run.ended:
	case <-time.After(patience):
		t.Fatal("Run goes on without an engine")
	}
	if !errors.Is(run.err, features.ErrClosed) {
		t.Errorf("Run ended with %v, want ErrClosed", run.err)
	}
	if s := run.Status(); s.State != feed.StateStopped || s.Error == "" {
		t.Errorf("status %+v, want stopped with the error", s)
	}
}

// A frame of the journal is bounded; an event that does not fit is one that will never fit.
func TestEventTooLargeForTheJournal(t *testing.T) {
	r := newRig(t, newFake(t))
	r.kafka.create(t, 1, r.topic())
	r.kafka.send(t, r.bets(0, 3, 1)...)
	engine := &sick{Engine: r.engine}
	n := 0
	engine.set(func(m string) error {
		if m == "Append" {
			if n++; n == 2 {
				return fmt.Errorf("cannot seal: %w", journal.ErrTooLarge)
			}
		}
		return nil
	})
	run := r.startOn(engine)
	r.caughtUp()
	letters := r.letters()
	if got := letters[r.topic()+"/0/1"]; len(letters) != 1 || got.Reason != "TOO_LARGE" {
		t.Errorf("dead letters %+v, want one TOO_LARGE of record 1", letters)
	}
	run.stop()
}

// Whatever makes a dead letter, no offset passes its record before it is safe: neither a frame's nor a note's.
func TestDeadLetterIsSafeFirst(t *testing.T) {
	for _, test := range []struct {
		name string
		bad  func(r *rig) *kgo.Record
	}{
		{"undecodable", func(r *rig) *kgo.Record { return r.raw(0, start, []byte("\xff")) }},
		{"conflict", func(r *rig) *kgo.Record {
			ev := bet(1)
			ev.GetBetPlaced().Selection = "another"
			return r.record(0, ev)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, newFake(t))
			r.cfg.Timeout = 200 * time.Millisecond
			r.kafka.create(t, 1, r.topic())
			r.kafka.create(t, 1, r.cfg.DeadLetterTopic)
			fault := r.kafka.fake.Fault(kfake.Fault{
				Keys: []kmsg.Key{kmsg.Produce}, Topic: r.cfg.DeadLetterTopic, Err: kerr.NotLeaderForPartition, Count: -1,
			})
			r.kafka.send(t, append(r.bets(0, 3, 1), test.bad(r), r.record(0, bet(3)), r.record(0, bet(0)))...)
			run := r.start()
			run.state(feed.StateAway)
			if err := fault.Wait(t.Context(), 2); err != nil {
				t.Fatal(err)
			}
			for _, at := range r.engine.Offsets() {
				if at.GetOffset() >= 3 {
					t.Errorf("offset %d is noted, and the dead letter of record 3 is not safe", at.GetOffset())
				}
			}
			run.stop() // it is given up, and found again
			for _, at := range r.engine.Offsets() {
				if at.GetOffset() >= 3 {
					t.Errorf("offset %d is noted at the end, and the dead letter of record 3 is not safe", at.GetOffset())
				}
			}
			run = r.start()
			run.state(feed.StateAway)
			fault.Remove()
			r.caughtUp()
			r.wantBets(4)
			if got := r.letters(); len(got) != 1 {
				t.Errorf("dead letters %+v, want that of record 3", got)
			}
			run.state(feed.StateReading)
			run.stop()
		})
	}
}

// The dead-letter topic need not be ours to make.
func TestDeadLetterTopicIsMissing(t *testing.T) {
	r := newRig(t, newFake(t))
	r.cfg.Timeout = 300 * time.Millisecond
	fault := r.kafka.fake.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.CreateTopics}, Topic: r.cfg.DeadLetterTopic, Err: kerr.TopicAuthorizationFailed, Count: -1,
	})
	r.kafka.create(t, 1, r.topic())
	r.kafka.send(t, r.record(0, bet(0)), r.raw(0, start, []byte("\xff")), r.record(0, bet(1)))
	run := r.start()
	run.state(feed.StateAway)
	if got := run.Status().Error; !strings.Contains(got, r.cfg.DeadLetterTopic) {
		t.Errorf("status %q does not name the topic", got)
	}
	fault.Remove()
	r.kafka.create(t, 1, r.cfg.DeadLetterTopic)
	r.caughtUp()
	r.wantBets(2)
	run.stop()
}

// Whoever can write large records cannot stop the feed.
func TestLargeRecords(t *testing.T) {
	r := newRig(t, newFake(t))
	r.kafka.create(t, 1, r.topic())
	client, err := kgo.NewClient(kgo.SeedBrokers(r.kafka.addrs...), kgo.ProducerBatchMaxBytes(8<<20),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	huge := r.raw(0, start, bytes.Repeat([]byte("x"), 3<<20))
	wide := r.raw(0, start, []byte("\xff"))
	wide.Headers = []kgo.RecordHeader{{Key: "h", Value: bytes.Repeat([]byte("y"), 2<<20)}}
	long := r.raw(0, start, []byte("\xff"))
	long.Key = bytes.Repeat([]byte("z"), 2<<20)
	deep := r.raw(0, start, []byte(strings.Repeat(`{"attributes":`, 20_000)))
	for _, rec := range []*kgo.Record{r.record(0, bet(0)), huge, wide, long, deep, r.record(0, bet(1))} {
		if err := client.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	run := r.start()
	r.caughtUp()
	r.wantBets(2)
	letters := r.letters()
	for offset, want := range map[int]deadLetter{
		1: {Reason: "TOO_LARGE", Cut: "value"}, 2: {Reason: "UNDECODABLE", Cut: "headers"},
		3: {Reason: "UNDECODABLE", Cut: "key"}, 4: {Reason: "UNDECODABLE"},
	} {
		got := letters[fmt.Sprintf("%s/0/%d", r.topic(), offset)]
		if got.Reason != want.Reason || got.Cut != want.Cut {
			t.Errorf("record %d: dead letter %s without %q, want %s without %q", offset, got.Reason, got.Cut, want.Reason, want.Cut)
		}
	}
	run.stop()
}

// A batch that is small on the wire and huge in memory is passed, with a letter, and nothing around it is lost.
func TestBatchThatExplodes(t *testing.T) {
	r := newRig(t, newFake(t))
	r.kafka.create(t, 1, r.topic())
	client, err := kgo.NewClient(kgo.SeedBrokers(r.kafka.addrs...), kgo.ProducerBatchMaxBytes(90<<20), kgo.BrokerMaxWriteBytes(100<<20),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r.kafka.send(t, r.bets(0, 10, 1)...)
	if err := client.ProduceSync(t.Context(), r.raw(0, start, make([]byte, 65<<20))).FirstErr(); err != nil {
		t.Fatal(err)
	}
	r.kafka.send(t, r.bets(10, 20, 1)...)
	r.cfg.MaxBatch = 3
	run := r.start()
	r.caughtUp()
	r.wantBets(20)
	got := r.letters()
	if letter := got[r.topic()+"/0/10"]; len(got) != 1 || letter.Reason != "TOO_LARGE" || !strings.Contains(letter.Message, "offsets 10 to 10") {
		t.Errorf("dead letters %+v, want one of record 10", got)
	}
	run.stop()
}

// A dead-letter topic that takes less than the source: the letter says where the record is.
func TestLetterTooLargeForItsTopic(t *testing.T) {
	r := newRig(t, newFake(t))
	r.kafka.create(t, 1, r.topic())
	limit := "2000"
	if _, err := r.kafka.admin.CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &limit}, r.cfg.DeadLetterTopic); err != nil {
		t.Fatal(err)
	}
	random := make([]byte, 10_000)
	for i, x := 0, uint32(1); i < len(random); i++ {
		x = x*1664525 + 1013904223
		random[i] = byte(x >> 24)
	}
	random[0] = 0xff
	r.kafka.send(t, r.raw(0, start, []byte("\xff small")), r.raw(0, start, random), r.raw(0, start, []byte("\xff too")))
	run := r.start()
	r.caughtUp()
	letters := r.letters()
	for offset, want := range map[int]string{0: "", 1: "value", 2: ""} {
		got, ok := letters[fmt.Sprintf("%s/0/%d", r.topic(), offset)]
		if !ok || got.Cut != want {
			t.Errorf("record %d: letter %t without %q, want one without %q", offset, ok, got.Cut, want)
		}
	}
	run.stop()
}

func TestKfakeGoesAwayAndComesBack(t *testing.T) {
	dir := t.TempDir()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir))
	if err != nil {
		t.Fatal(err)
	}
	var port int
	if _, err = fmt.Sscanf(fake.ListenAddrs()[0], "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	b := dial(t, fake.ListenAddrs())
	goesAway(newRig(t, b), fake.Close, func() {
		if fake, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir), kfake.Ports(port)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(fake.Close)
	})
}

// goesAway stops the broker under a feed and brings it back.
func goesAway(r *rig, stop, start func()) {
	t := r.t
	t.Helper()
	r.cfg.Timeout = 500 * time.Millisecond
	r.kafka.create(t, 2, r.topic())
	r.kafka.send(t, r.bets(0, 10, 2)...)
	run := r.start()
	r.caughtUp()
	run.state(feed.StateReading)
	stop()
	run.state(feed.StateAway)
	until(t, "nobody to know the lag", func() bool { return r.engine.Lag() == features.NoLag })
	for _, l := range run.Lags() {
		if l.Known {
			t.Errorf("the broker is away and %+v is known", l)
		}
	}
	if run.Status().Error == "" || run.Stats().Away != 1 {
		t.Errorf("status %+v, away %d times, want once with the error", run.Status(), run.Stats().Away)
	}
	start()
	run.state(feed.StateReading)
	r.kafka.send(t, r.bets(10, 20, 2)...)
	r.caughtUp()
	r.wantBets(20)
	run.stop()
}

func TestNoBroker(t *testing.T) {
	r := newRig(t, &broker{addrs: []string{"127.0.0.1:1"}})
	r.cfg.Timeout = 100 * time.Millisecond
	run := r.start()
	run.state(feed.StateAway)
	run.stop()
}

// An answer out of range that is not so at a second look, as from a follower that lags, stops nothing.
func TestOutOfRangeInPassing(t *testing.T) {
	r := newRig(t, newFake(t))
	r.kafka.create(t, 1, r.topic())
	r.kafka.send(t, r.bets(0, 10, 1)...)
	run := r.start()
	r.caughtUp()
	fault := r.kafka.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: r.topic(), Err: kerr.OffsetOutOfRange})
	if err := fault.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	r.kafka.send(t, r.bets(10, 20, 1)...)
	r.caughtUp()
	r.wantBets(20)
	run.stop()
}

// Records removed under a feed that reads.
func TestOffsetsRemovedWhileReading(t *testing.T) {
	r := newRig(t, newFake(t))
	r.kafka.create(t, 1, r.topic())
	engine := &sick{Engine: r.engine}
	r.cfg.MaxBatch = 5
	engine.set(func(m string) error {
		if m == "Append" {
			return features.ErrUnavailable
		}
		return nil
	})
	r.kafka.send(t, r.bets(0, 5, 1)...)
	run := r.startOn(engine)
	run.state(feed.StateWaiting)
	// More than one fetch may hold, so that what is removed is not with the client already.
	big := make([]*kgo.Record, 40)
	for i := range big {
		big[i] = r.raw(0, start, bytes.Repeat([]byte{0xff}, 900_000))
	}
	r.kafka.send(t, big...)
	r.deleteBefore(44)
	engine.set(nil)
	refused := run.refused()
	if !strings.HasSuffix(refused.Why, "and the topic holds 44 to 44") {
		t.Errorf("refused because %q", refused.Why)
	}
	r.cfg.OutOfRange = "earliest"
	run = r.start()
	r.caughtUp()
	run.stop()
}

// Kafka lost a tail that was read, and another leader wrote other records in its place: the client would go on by itself.
func TestRecordsLost(t *testing.T) {
	r := newRig(t, newFake(t))
	r.kafka.create(t, 1, r.topic())
	r.kafka.send(t, r.bets(0, 10, 1)...)
	run := r.start()
	r.caughtUp()
	r.kafka.fake.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		req := kreq.(*kmsg.OffsetForLeaderEpochRequest)
		resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		for _, rt := range req.Topics {
			st := kmsg.NewOffsetForLeaderEpochResponseTopic()
			st.Topic = rt.Topic
			for _, rp := range rt.Partitions {
				sp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
				sp.Partition, sp.EndOffset, sp.LeaderEpoch = rp.Partition, 6, 0
				st.Partitions = append(st.Partitions, sp)
			}
			resp.Topics = append(resp.Topics, st)
		}
		return resp, nil, true
	})
	r.kafka.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: r.topic(), Err: kerr.FencedLeaderEpoch})
	refused := run.refused()
	if want := "kafka lost records that were read: it has none from offset 6 on, and 9 was read"; refused.Why != want {
		t.Errorf("refused because %q, want %q", refused.Why, want)
	}
}

// Partitions that are added are read whole, wherever the topic started.
func TestPartitionsAdded(t *testing.T) {
	r := newRig(t, newFake(t))
	r.cfg.Start = "latest"
	r.kafka.create(t, 1, r.topic())
	r.kafka.send(t, r.bets(90, 95, 1)...)
	run := r.start()
	run.state(feed.StateReading)
	if _, err := r.kafka.admin.UpdatePartitions(t.Context(), 3, r.topic()); err != nil {
		t.Fatal(err)
	}
	until(t, "the test's client to see the partitions", func() bool {
		r.kafka.client.ForceMetadataRefresh()
		return r.kafka.client.ProduceSync(t.Context(), r.record(2, bet(2))).FirstErr() == nil
	})
	r.kafka.send(t, r.bets(0, 9, 3)...)
	until(t, "9 events", func() bool { return run.Stats().Applied == 9 })
	r.wantBets(9)
	run.stop()
}

// A lag is visible while the engine waits.
func TestLag(t *testing.T) {
	r := newRig(t, newFake(t))
	r.kafka.create(t, 1, r.topic())
	engine := &sick{Engine: r.engine}
	run := r.startOn(engine)
	run.state(feed.StateReading)
	engine.set(func(string) error { return features.ErrUnavailable })
	r.kafka.send(t, r.bets(0, 12, 1)...)
	until(t, "a lag of 12", func() bool { return lagOf(run) == 12 && r.engine.Lag() == 12 })
	if v := r.vector(); v.Lag != 12 {
		t.Errorf("a vector says lag %d, want 12", v.Lag)
	}
	engine.set(nil)
	until(t, "no lag", func() bool { return lagOf(run) == 0 && r.engine.Lag() == 0 })
	run.stop()
	if got := r.engine.Lag(); got != features.NoLag {
		t.Errorf("the feed has ended, and the engine says lag %d", got)
	}
}

// vector reads a player's features.
func (r *rig) vector() *features.Vector {
	r.t.Helper()
	v := &features.Vector{}
	player, _ := newKinds(r.t).Get("player")
	ref := features.EntityRef{Key: features.MakeEntityKey(tenant, player, "p"), Kind: "player", Alias: "p"}
	if err := r.engine.Features(r.t.Context(), ref, start.UnixMicro(), r.set, v); err != nil {
		r.t.Fatal(err)
	}
	return v
}

func lagOf(run *running) int64 {
	all := int64(-1)
	for _, l := range run.Lags() {
		all = max(all, 0) + l.Records
	}
	return all
}

// The group's offsets of a topic that was read under another id are not committed over the new one's.
func TestCommitAfterTopicWasMadeAnew(t *testing.T) {
	r := newRig(t, newFake(t))
	r.kafka.create(t, 1, r.topic())
	r.kafka.send(t, r.bets(0, 50, 1)...)
	r.cfg.NewTopic = "restart"
	run := r.start()
	r.caughtUp()
	run.stop()
	r.kafka.delete(t, r.topic())
	r.kafka.create(t, 1, r.topic())
	r.kafka.send(t, r.bets(50, 53, 1)...)
	run = r.start()
	r.caughtUp()
	r.wantCommitted(map[int32]int64{0: 3})
	run.stop()
}
